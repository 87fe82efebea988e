//! Long lists that are changed in few places: what did not change is shared with the list before.

use std::sync::Arc;

/// So that a page and what is counted beside it fit into what allocators give in one piece: 1 KB of pointers, 8 KB of lines.
const PAGE: usize = 126;

/// A list whose copies share their pages. Copying it takes a step for each page, setting an item copies one.
#[derive(Clone, Debug)]
pub struct Pages<T> {
    /// All but the last are full.
    pages: Vec<Arc<[T]>>,
    len: usize,
}

impl<T> Pages<T> {
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[must_use]
    pub fn get(&self, at: usize) -> Option<&T> {
        self.pages.get(at / PAGE)?.get(at % PAGE)
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flat_map(|page| page.iter())
    }
}

impl<T: Clone> Pages<T> {
    /// False when the list is not that long.
    pub fn set(&mut self, at: usize, item: T) -> bool {
        let page = self
            .pages
            .get_mut(at / PAGE)
            .filter(|page| at % PAGE < page.len());
        let page = page.map(Arc::make_mut);
        page.and_then(|page| page.get_mut(at % PAGE))
            .map(|place| *place = item)
            .is_some()
    }
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self {
            pages: Vec::new(),
            len: 0,
        }
    }
}

impl<T> FromIterator<T> for Pages<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut pages = Vec::new();
        let mut len = 0;
        let mut items = items.into_iter();
        loop {
            let page: Vec<T> = items.by_ref().take(PAGE).collect();
            if page.is_empty() {
                return Self { pages, len };
            }
            len += page.len();
            pages.push(page.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_keeps_what_it_had_and_shares_the_other_pages() {
        let before: Pages<usize> = (0..PAGE * 2 + 1).collect();
        let mut after = before.clone();
        assert!(after.set(PAGE, 0) && !after.set(PAGE * 2 + 1, 0));
        assert_eq!((before.get(PAGE), after.get(PAGE)), (Some(&PAGE), Some(&0)));
        assert!(Arc::ptr_eq(&before.pages[0], &after.pages[0]));
        assert!(Arc::ptr_eq(&before.pages[2], &after.pages[2]));
        assert_eq!((after.len(), after.iter().count()), (PAGE * 2 + 1, PAGE * 2 + 1));
    }
}

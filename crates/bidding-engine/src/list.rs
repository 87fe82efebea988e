//! Allow and block lists, compiled.

use domain::targeting::AllowBlock;

/// Sorted hashes. Empty `allow` allows everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct List {
    pub(crate) allow: Box<[u64]>,
    pub(crate) block: Box<[u64]>,
}

impl List {
    pub(crate) fn compile(list: &AllowBlock, hash: impl Fn(&str) -> u64) -> Self {
        let sorted = |texts: &[String]| sorted(texts.iter().map(|text| hash(text)));
        Self {
            allow: sorted(&list.allow),
            block: sorted(&list.block),
        }
    }

    /// Of texts that stand for several values each.
    pub(crate) fn compile_spread(list: &AllowBlock, hashes: impl Fn(&str) -> Vec<u64>) -> Self {
        let sorted = |texts: &[String]| sorted(texts.iter().flat_map(|text| hashes(text)));
        Self {
            allow: sorted(&list.allow),
            block: sorted(&list.block),
        }
    }

    /// Admits whatever comes.
    pub(crate) fn is_any(&self) -> bool {
        self.allow.is_empty() && self.block.is_empty()
    }

    pub(crate) fn allowing(values: impl IntoIterator<Item = u64>) -> Self {
        Self {
            allow: sorted(values),
            block: Box::default(),
        }
    }

    /// Whether an opportunity with these values fits: one is allowed, none is blocked. One that does not
    /// say (no values) fails `allow` and passes `block`.
    pub(crate) fn admits(&self, values: &[u64]) -> bool {
        (self.allow.is_empty() || contains_any(&self.allow, values)) && !contains_any(&self.block, values)
    }
}

/// A list of a request that every candidate is compared with. Most have nothing in common with it, which one word says.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    sorted: Vec<u64>,
    /// The bit `value % 64` of every value.
    seen: u64,
}

impl Asked {
    pub(crate) fn refill(&mut self, values: impl IntoIterator<Item = u64>) {
        self.sorted.clear();
        self.sorted.extend(values);
        self.sorted.sort_unstable();
        self.seen = self.sorted.iter().fold(0, |seen, value| seen | bit(*value));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    pub(crate) fn contains(&self, value: u64) -> bool {
        self.seen & bit(value) != 0 && self.sorted.binary_search(&value).is_ok()
    }

    /// False only when the list has none of them.
    pub(crate) fn may_contain_any<T>(&self, words: &Words<T>) -> bool {
        self.seen & words.seen != 0
    }
}

/// Values of a creative, and the bits by which [`Asked`] knows that it has none of them.
#[derive(Debug)]
pub(crate) struct Words<T> {
    seen: u64,
    values: Box<[T]>,
}

impl<T: Seen> Words<T> {
    pub(crate) fn new(values: impl Iterator<Item = T>) -> Self {
        let values: Box<[T]> = values.collect();
        Self {
            seen: values.iter().fold(0, |seen, value| seen | value.bits()),
            values,
        }
    }
}

impl<T> std::ops::Deref for Words<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.values
    }
}

/// What stands for a value in [`Words`].
pub(crate) trait Seen {
    fn bits(&self) -> u64;
}

impl Seen for u64 {
    fn bits(&self) -> u64 {
        bit(*self)
    }
}

/// The one that stands for a value.
pub(crate) const fn bit(value: u64) -> u64 {
    1 << (value % 64)
}

/// Sorted, each value once.
pub(crate) fn sorted(values: impl IntoIterator<Item = u64>) -> Box<[u64]> {
    let mut values: Vec<u64> = values.into_iter().collect();
    values.sort_unstable();
    values.dedup();
    values.into_boxed_slice()
}

/// `sorted` must be sorted; `values` need not be.
pub(crate) fn contains_any(sorted: &[u64], values: &[u64]) -> bool {
    !sorted.is_empty() && values.iter().any(|value| sorted.binary_search(value).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_must_be_allowed_and_none_blocked() {
        let list = List {
            allow: sorted([3, 1]),
            block: sorted([2]),
        };
        assert!(list.admits(&[1]));
        assert!(!list.admits(&[1, 2]));
        assert!(!list.admits(&[4]));
        assert!(!list.admits(&[]));
    }

    #[test]
    fn a_list_of_a_request_contains_what_was_put_in() {
        let mut asked = Asked::default();
        asked.refill([70, 3, 6]);
        assert!(asked.contains(70) && asked.contains(3) && asked.contains(6));
        assert!(!asked.contains(64) && !asked.contains(134));
        asked.refill([]);
        assert!(asked.is_empty() && !asked.contains(70));
    }

    #[test]
    fn an_empty_list_admits_what_says_nothing() {
        assert!(List::default().admits(&[]));
    }
}

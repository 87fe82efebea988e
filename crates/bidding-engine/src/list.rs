//! Allow and block lists, compiled.

use domain::targeting::AllowBlock;
use std::sync::LazyLock;

/// Hashes to allow and to block, each sorted. With none to allow everything is allowed.
#[derive(Clone, Debug, Default)]
pub(crate) struct List {
    /// First those to allow.
    values: Box<[u64]>,
    to_allow: usize,
}

impl List {
    pub(crate) fn compile(list: &AllowBlock, hash: impl Fn(&str) -> u64) -> Self {
        let sorted = |texts: &[String]| sorted(texts.iter().map(|text| hash(text)));
        Self::new(&sorted(&list.allow), &sorted(&list.block))
    }

    /// Of texts that stand for several values each.
    pub(crate) fn compile_spread(list: &AllowBlock, hashes: impl Fn(&str) -> Vec<u64>) -> Self {
        let sorted = |texts: &[String]| sorted(texts.iter().flat_map(|text| hashes(text)));
        Self::new(&sorted(&list.allow), &sorted(&list.block))
    }

    pub(crate) fn allowing(values: impl IntoIterator<Item = u64>) -> Self {
        Self::new(&sorted(values), &[])
    }

    /// Both sorted.
    fn new(allow: &[u64], block: &[u64]) -> Self {
        Self {
            values: [allow, block].concat().into(),
            to_allow: allow.len(),
        }
    }

    /// Admits whatever comes.
    pub(crate) fn is_any(&self) -> bool {
        self.values.is_empty()
    }

    pub(crate) fn allow(&self) -> &[u64] {
        self.values.get(..self.to_allow).unwrap_or_default()
    }

    pub(crate) fn block(&self) -> &[u64] {
        self.values.get(self.to_allow..).unwrap_or_default()
    }

    /// Whether an opportunity with these values fits: one is allowed, none is blocked. One that does not
    /// say (no values) fails `allow` and passes `block`.
    pub(crate) fn admits(&self, values: &[u64]) -> bool {
        let allow = self.allow();
        (allow.is_empty() || contains_any(allow, values)) && !contains_any(self.block(), values)
    }
}

/// Which of a campaign's lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListOf {
    Placements,
    Positions,
    Sizes,
    Exchanges,
    Inventory,
    Countries,
    Devices,
    /// Of its creatives; never "any".
    Formats,
    /// Sizes of its banners, formats of the others; never "any".
    FittingSizes,
    OperatingSystems,
    Browsers,
    Languages,
    Connections,
    Carriers,
    Sites,
    Apps,
    Categories,
    Keywords,
    Audiences,
}

/// The lists of one campaign. Most of them admit whatever comes, and take no room.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    /// A bit for each of [`ListOf`] that is here.
    which: u32,
    /// In the order of [`ListOf`].
    lists: Box<[List]>,
}

impl Lists {
    pub(crate) fn new<const COUNT: usize>(mut lists: [(ListOf, List); COUNT]) -> Self {
        lists.sort_unstable_by_key(|(of, _)| *of as u32);
        let kept = lists.into_iter().filter(|(_, list)| !list.is_any());
        let mut which = 0;
        let lists = kept.map(|(of, list)| {
            which |= 1 << of as u32;
            list
        });
        let lists = lists.collect();
        Self { which, lists }
    }

    pub(crate) fn get(&self, of: ListOf) -> &List {
        static ANY: LazyLock<List> = LazyLock::new(List::default);
        let bit = 1_u32 << of as u32;
        if self.which & bit == 0 {
            return &ANY;
        }
        let before = (self.which & (bit - 1)).count_ones();
        self.lists.get(before as usize).unwrap_or(&ANY)
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
        let list = List::new(&[1, 3], &[2]);
        assert!(list.admits(&[1]));
        assert!(!list.admits(&[1, 2]));
        assert!(!list.admits(&[4]));
        assert!(!list.admits(&[]));
    }

    #[test]
    fn of_the_lists_of_a_campaign_each_is_found_and_any_other_admits_all() {
        let lists = Lists::new([
            (ListOf::Audiences, List::allowing([3])),
            (ListOf::Sites, List::default()),
            (ListOf::Placements, List::new(&[], &[1])),
        ]);
        assert_eq!(lists.lists.len(), 2);
        assert_eq!(lists.get(ListOf::Audiences).allow(), [3]);
        assert_eq!(lists.get(ListOf::Placements).block(), [1]);
        assert!(lists.get(ListOf::Sites).is_any() && lists.get(ListOf::Apps).is_any());
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

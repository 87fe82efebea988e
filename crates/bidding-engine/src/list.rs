//! Allow and block lists, compiled.

use domain::targeting::AllowBlock;

/// Hashes to allow and to block, each sorted. With none to allow everything is allowed.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewList {
    allow: Box<[u64]>,
    block: Box<[u64]>,
}

impl NewList {
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

    pub(crate) fn allowing(values: impl IntoIterator<Item = u64>) -> Self {
        Self {
            allow: sorted(values),
            block: Box::default(),
        }
    }

    pub(crate) fn as_list(&self) -> List<'_> {
        List {
            allow: &self.allow,
            block: &self.block,
        }
    }
}

/// The same, where it is kept.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct List<'a> {
    pub(crate) allow: &'a [u64],
    pub(crate) block: &'a [u64],
}

impl List<'_> {
    /// Admits whatever comes.
    pub(crate) fn is_any(&self) -> bool {
        self.allow.is_empty() && self.block.is_empty()
    }

    /// Whether an opportunity with these values fits: one is allowed, none is blocked. One that does not
    /// say (no values) fails `allow` and passes `block`.
    pub(crate) fn admits(&self, values: &[u64]) -> bool {
        (self.allow.is_empty() || contains_any(self.allow, values)) && !contains_any(self.block, values)
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
    /// That it wants beside the open auction, or instead of it.
    Deals,
}

/// The lists of one campaign. Most of them admit whatever comes, and take no room.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    /// A bit for each of [`ListOf`] that is here.
    which: u32,
    /// In the order of [`ListOf`], of each where its values to allow end and where those to block do; then all values.
    words: Box<[u64]>,
}

impl Lists {
    pub(crate) fn new<const COUNT: usize>(mut lists: [(ListOf, NewList); COUNT]) -> Self {
        lists.sort_unstable_by_key(|(of, _)| *of as u32);
        let kept = || lists.iter().filter(|(_, list)| !list.as_list().is_any());
        let mut end = kept().count();
        let ends = kept().map(|(_, list)| {
            let allowed = end + list.allow.len();
            end = allowed + list.block.len();
            (allowed as u64) << 32 | end as u64
        });
        let mut words: Vec<u64> = ends.collect();
        words.extend(kept().flat_map(|(_, list)| list.allow.iter().chain(&list.block)));
        Self {
            which: kept().fold(0, |which, (of, _)| which | 1 << *of as u32),
            words: words.into(),
        }
    }

    pub(crate) fn get(&self, of: ListOf) -> List<'_> {
        let bit = 1_u32 << of as u32;
        if self.which & bit == 0 {
            return List::default();
        }
        let before = (self.which & (bit - 1)).count_ones() as usize;
        let begin = match before.checked_sub(1) {
            Some(last) => self.ends(last).1,
            None => self.which.count_ones() as usize,
        };
        let (allowed, blocked) = self.ends(before);
        List {
            allow: self.words.get(begin..allowed).unwrap_or_default(),
            block: self.words.get(allowed..blocked).unwrap_or_default(),
        }
    }

    fn ends(&self, list: usize) -> (usize, usize) {
        let ends = self.words.get(list).copied().unwrap_or_default();
        ((ends >> 32) as usize, (ends & u64::from(u32::MAX)) as usize)
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

    /// False only when the list has none of the values whose [`bit`]s `seen` is made of.
    pub(crate) fn may_contain_any(&self, seen: u64) -> bool {
        self.seen & seen != 0
    }
}

/// The one of 64 bits that stands for a value. By those of a creative's values [`Asked`] knows that it has none of them.
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
            allow: &[1, 3],
            block: &[2],
        };
        assert!(list.admits(&[1]));
        assert!(!list.admits(&[1, 2]));
        assert!(!list.admits(&[4]));
        assert!(!list.admits(&[]));
    }

    #[test]
    fn of_the_lists_of_a_campaign_each_is_found_and_any_other_admits_all() {
        let blocking = |value| NewList {
            block: [value].into(),
            ..NewList::allowing([9, 8])
        };
        let lists = Lists::new([
            (ListOf::Audiences, NewList::allowing([3])),
            (ListOf::Sites, NewList::default()),
            (ListOf::Placements, blocking(1)),
            (ListOf::Keywords, blocking(2)),
        ]);
        assert_eq!(lists.get(ListOf::Audiences).allow, [3]);
        assert_eq!(lists.get(ListOf::Audiences).block, [] as [u64; 0]);
        for (of, blocked) in [(ListOf::Placements, 1), (ListOf::Keywords, 2)] {
            assert_eq!(lists.get(of).allow, [8, 9]);
            assert_eq!(lists.get(of).block, [blocked]);
        }
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

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
    fn an_empty_list_admits_what_says_nothing() {
        assert!(List::default().admits(&[]));
    }
}

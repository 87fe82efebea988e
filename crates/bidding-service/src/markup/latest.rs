//! What many creatives have in common, made once.

/// What was made of the last `CAPACITY` keys that differ, the latest first. Looked through one by one: small.
#[derive(Debug)]
pub(super) struct Latest<K: ?Sized, V, const CAPACITY: usize>(Vec<(Box<K>, V)>);

impl<K: ?Sized, V, const CAPACITY: usize> Latest<K, V, CAPACITY> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }
}

impl<K, V, const CAPACITY: usize> Latest<K, V, CAPACITY>
where
    K: ?Sized + PartialEq,
    V: Clone,
    for<'a> Box<K>: From<&'a K>,
{
    /// What was made of an equal key, else what is made now.
    pub(super) fn get_or_make(&mut self, key: &K, make: impl FnOnce() -> V) -> V {
        match self.0.iter().position(|(known, _)| **known == *key) {
            Some(at) => self.0[..=at].rotate_right(1),
            None => {
                self.0.truncate(CAPACITY.saturating_sub(1));
                self.0.insert(0, (key.into(), make()));
            }
        }
        self.0[0].1.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_lately_is_made_once_and_nothing_is_kept_for_ever() {
        let mut latest = Latest::<str, usize, 2>::new();
        let mut made = 0;
        let mut ask = |key| {
            latest.get_or_make(key, || {
                made += 1;
                made
            })
        };
        assert_eq!(
            ["a", "b", "a", "c", "a", "b", "c"].map(&mut ask),
            [1, 2, 1, 3, 1, 4, 5]
        );
        assert_eq!(ask("a"), 6);
    }
}

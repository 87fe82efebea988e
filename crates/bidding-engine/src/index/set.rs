//! The campaigns of one value: many as bits, few as numbers.

use crate::bits::{BLOCK_NUMBERS, Bits, Block};
use std::cell::Cell;

/// With fewer of the numbers than one in so many, numbers take less room and less time.
const DENSE_ONE_IN: usize = 256;

#[derive(Clone, Debug)]
pub(super) enum Set {
    Dense(Bits),
    /// Rising.
    Sparse(Vec<u32>),
}

impl Default for Set {
    fn default() -> Self {
        Self::Sparse(Vec::new())
    }
}

impl Set {
    /// Numbers are below `room`.
    pub(super) fn insert(&mut self, number: usize, room: usize) {
        match self {
            Self::Dense(bits) => bits.insert(number),
            Self::Sparse(numbers) => {
                let Ok(short) = u32::try_from(number) else {
                    return;
                };
                if let Err(at) = numbers.binary_search(&short) {
                    numbers.insert(at, short);
                }
                if numbers.len() > 16 && numbers.len() > room / DENSE_ONE_IN {
                    let mut bits = Bits::empty(room);
                    numbers.iter().for_each(|number| bits.insert(*number as usize));
                    *self = Self::Dense(bits);
                }
            }
        }
    }

    pub(super) fn remove(&mut self, number: usize) {
        match self {
            Self::Dense(bits) => bits.remove(number),
            Self::Sparse(numbers) => numbers.retain(|one| *one as usize != number),
        }
    }
}

/// A set on the way through its blocks, from the first to the last.
#[derive(Debug)]
pub(super) struct Member<'a> {
    set: &'a Set,
    /// Of a sparse set: how many numbers lie before the block.
    passed: Cell<usize>,
}

impl<'a> Member<'a> {
    pub(super) fn new(set: &'a Set) -> Self {
        Self {
            set,
            passed: Cell::new(0),
        }
    }

    /// The bits, when there are many.
    pub(super) fn dense(&self) -> Option<&'a Bits> {
        match self.set {
            Set::Dense(bits) => Some(bits),
            Set::Sparse(_) => None,
        }
    }

    /// False only when the set has no number in the block. Asked for in the same order as the blocks themselves.
    #[inline]
    pub(super) fn touches(&self, at: usize) -> bool {
        let passed = if at == 0 { 0 } else { self.passed.get() };
        match self.set {
            Set::Dense(_) => true,
            Set::Sparse(numbers) => numbers
                .get(passed)
                .is_some_and(|number| (*number as usize) < (at + 1) * BLOCK_NUMBERS),
        }
    }

    pub(super) fn add_to(&self, block: &mut Block, at: usize) {
        match self.set {
            Set::Dense(set) => block.union(set.block(at)),
            Set::Sparse(numbers) => self.pass(numbers, at, |number| block.set(number)),
        }
    }

    pub(super) fn take_from(&self, block: &mut Block, at: usize) {
        match self.set {
            Set::Dense(set) => block.subtract(set.block(at)),
            Set::Sparse(numbers) => self.pass(numbers, at, |number| block.clear(number)),
        }
    }

    /// Blocks may be left out, but not come again before the first has.
    fn pass(&self, numbers: &[u32], at: usize, mut with: impl FnMut(usize)) {
        let begin = at * BLOCK_NUMBERS;
        let mut passed = if at == 0 { 0 } else { self.passed.get() };
        while let Some(number) = numbers.get(passed).map(|number| *number as usize) {
            if number >= begin + BLOCK_NUMBERS {
                break;
            }
            if number >= begin {
                with(number - begin);
            }
            passed += 1;
        }
        self.passed.set(passed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bits::EMPTY_BLOCK;

    #[test]
    fn few_and_many_are_the_same_set() {
        let room = 5 * BLOCK_NUMBERS;
        for step in [7, 1_000] {
            let mut set = Set::default();
            (0..room)
                .step_by(step)
                .for_each(|number| set.insert(number, room));
            set.remove(step);
            assert_eq!(matches!(set, Set::Dense(_)), step == 7);
            let member = Member::new(&set);
            for _ in 0..2 {
                let mut found = Vec::new();
                // The one in the middle is left out, as by a search that knows that nobody is there.
                for at in [0, 1, 3, 4] {
                    let mut block = EMPTY_BLOCK;
                    let is_touched = member.touches(at);
                    member.add_to(&mut block, at);
                    assert!(is_touched || block.is_empty());
                    let numbers = std::iter::from_fn(|| block.take_first());
                    found.extend(numbers.map(|number| at * BLOCK_NUMBERS + number));
                }
                let expected = (0..room)
                    .step_by(step)
                    .filter(|number| *number != step && number / BLOCK_NUMBERS != 2);
                assert_eq!(found, expected.collect::<Vec<_>>());
            }
        }
    }
}

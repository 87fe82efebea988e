//! Sets of campaign numbers.

/// How many numbers are looked at together.
pub(crate) const BLOCK_NUMBERS: usize = 64 * BLOCK_WORDS;
const BLOCK_WORDS: usize = 16;

/// A bit for each of [`BLOCK_NUMBERS`] numbers, 64 to a word. In two lines of the cache, not in three.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct Block([u64; BLOCK_WORDS]);

pub(crate) const EMPTY_BLOCK: Block = Block([0; BLOCK_WORDS]);

/// A bit for each number. Sets that are combined have the same length.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bits(Vec<Block>);

impl Bits {
    /// Empty, with room for numbers below `len` at least.
    pub(crate) fn empty(len: usize) -> Self {
        Self(vec![EMPTY_BLOCK; len.div_ceil(BLOCK_NUMBERS)])
    }

    /// A number beyond the room is left out.
    pub(crate) fn insert(&mut self, number: usize) {
        if let Some(block) = self.0.get_mut(number / BLOCK_NUMBERS) {
            block.set(number % BLOCK_NUMBERS);
        }
    }

    pub(crate) fn remove(&mut self, number: usize) {
        if let Some(block) = self.0.get_mut(number / BLOCK_NUMBERS) {
            block.clear(number % BLOCK_NUMBERS);
        }
    }

    pub(crate) fn blocks(&self) -> usize {
        self.0.len()
    }

    /// Numbers from `at * BLOCK_NUMBERS` on.
    #[inline]
    pub(crate) fn block(&self, at: usize) -> &Block {
        self.0.get(at).unwrap_or(&EMPTY_BLOCK)
    }
}

impl Block {
    /// `number` counts from the block's beginning, here and below.
    pub(crate) fn set(&mut self, number: usize) {
        self.0[number / 64 % BLOCK_WORDS] |= 1 << (number % 64);
    }

    pub(crate) fn clear(&mut self, number: usize) {
        self.0[number / 64 % BLOCK_WORDS] &= !(1 << (number % 64));
    }

    #[inline]
    pub(crate) fn union(&mut self, other: &Self) {
        self.0 = std::array::from_fn(|at| self.0[at] | other.0[at]);
    }

    #[inline]
    pub(crate) fn intersect(&mut self, other: &Self) {
        self.0 = std::array::from_fn(|at| self.0[at] & other.0[at]);
    }

    #[inline]
    pub(crate) fn subtract(&mut self, other: &Self) {
        self.0 = std::array::from_fn(|at| self.0[at] & !other.0[at]);
    }

    /// Takes the lowest number out.
    pub(crate) fn take_first(&mut self) -> Option<usize> {
        let at = self.0.iter().position(|word| *word != 0)?;
        let word = &mut self.0[at];
        let bit = word.trailing_zeros() as usize;
        *word &= *word - 1;
        Some(at * 64 + bit)
    }

    /// Without a branch for each word, so that words are looked at several at a time.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().fold(0, |all, word| all | word) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_gives_its_numbers_in_rising_order() {
        let mut bits = Bits::empty(BLOCK_NUMBERS + 2);
        [BLOCK_NUMBERS + 1, 129, 0, 64, 63, 5 * BLOCK_NUMBERS]
            .into_iter()
            .for_each(|number| bits.insert(number));
        bits.remove(64);
        assert_eq!(bits.blocks(), 2);
        let numbers = |at| {
            let mut block = *bits.block(at);
            std::iter::from_fn(move || block.take_first()).collect::<Vec<_>>()
        };
        assert_eq!(numbers(0), [0, 63, 129]);
        assert_eq!(numbers(1), [1]);
        assert!(bits.block(2).is_empty() && !bits.block(1).is_empty());
    }
}

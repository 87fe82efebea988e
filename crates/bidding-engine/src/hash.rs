//! A 64-bit hash that never changes: ties and rotations must come out the same in every process and
//! version, and targeting compares texts by it. Eight bytes at a time, each multiplied in and folded, then the length and
//! the finaliser of Murmur3 so that every bit depends on all of them. Not meant to withstand an attacker who looks for
//! collisions.

use std::hash::{BuildHasherDefault, Hasher};

const START: u64 = 0xcbf2_9ce4_8422_2325;
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// A text fed in pieces.
#[derive(Clone, Copy)]
pub(crate) struct TextHash {
    hash: u64,
    /// Up to seven bytes that are not in the hash yet, the first lowest.
    begun: u64,
    len_bytes: u64,
}

impl TextHash {
    pub(crate) const fn new() -> Self {
        Self {
            hash: START,
            begun: 0,
            len_bytes: 0,
        }
    }

    const fn word(mut self, word: u64) -> Self {
        let product = (self.hash ^ word).wrapping_mul(FACTOR);
        self.hash = product ^ (product >> 32);
        self.len_bytes += 8;
        self
    }

    const fn byte(mut self, byte: u8) -> Self {
        self.begun |= (byte as u64) << (self.len_bytes % 8 * 8);
        if self.len_bytes % 8 < 7 {
            self.len_bytes += 1;
            return self;
        }
        let word = self.begun;
        self.begun = 0;
        self.len_bytes -= 7;
        self.word(word)
    }

    pub(crate) const fn exact(self, text: &str) -> Self {
        let mut hash = self;
        let mut rest = text.as_bytes();
        while self.len_bytes.is_multiple_of(8)
            && let Some((chunk, others)) = rest.split_first_chunk()
        {
            hash = hash.word(u64::from_le_bytes(*chunk));
            rest = others;
        }
        while let Some((byte, others)) = rest.split_first() {
            hash = hash.byte(*byte);
            rest = others;
        }
        hash
    }

    /// The text in lower case.
    #[inline]
    fn folded(self, text: &str) -> Self {
        if !text.is_ascii() {
            let mut utf8 = [0; 4];
            return text
                .chars()
                .flat_map(char::to_lowercase)
                .fold(self, |hash, letter| hash.exact(letter.encode_utf8(&mut utf8)));
        }
        if !self.len_bytes.is_multiple_of(8) {
            let lower = |hash: Self, byte: &u8| hash.byte(byte.to_ascii_lowercase());
            return text.as_bytes().iter().fold(self, lower);
        }
        let (chunks, tail) = text.as_bytes().as_chunks::<8>();
        let hash = chunks.iter().fold(self, |hash, chunk| {
            hash.word(lower_case(u64::from_le_bytes(*chunk)))
        });
        let begun = tail
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte));
        Self {
            begun: lower_case(begun),
            len_bytes: hash.len_bytes + tail.len() as u64,
            ..hash
        }
    }

    pub(crate) const fn finish(self) -> u64 {
        mix(self.hash ^ self.begun.wrapping_mul(FACTOR), self.len_bytes)
    }
}

/// Of the text as it is.
pub(crate) const fn exact(text: &str) -> u64 {
    TextHash::new().exact(text).finish()
}

/// Of the text in lower case, without space around it.
pub(crate) fn folded(text: &str) -> u64 {
    let has_no_space = |end: Option<&u8>| end.is_some_and(u8::is_ascii_graphic);
    let bytes = text.as_bytes();
    let is_trimmed = has_no_space(bytes.first()) && has_no_space(bytes.last());
    let text = if is_trimmed { text } else { text.trim() };
    TextHash::new().folded(text).finish()
}

/// Eight ASCII characters at once.
const fn lower_case(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    // The high bit of each byte says: at least `A`, more than `Z`.
    let from_a = word + ONES * (0x80 - b'A' as u64);
    let beyond_z = word + ONES * (0x80 - b'Z' as u64 - 1);
    let is_upper = from_a & !beyond_z & ONES << 7;
    word | is_upper >> 2
}

/// Of two values in their order.
pub(crate) const fn mix(first: u64, second: u64) -> u64 {
    let mut value = first ^ second.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
    value ^= value >> 33;
    value = value.wrapping_mul(0xff51_afd7_ed55_8ccd);
    value ^= value >> 33;
    value = value.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    value ^ (value >> 33)
}

/// For maps whose keys are hashes of this module already.
pub(crate) type HashedBy = BuildHasherDefault<AsItIs>;

/// Takes a `u64` for its hash.
#[derive(Debug, Default)]
pub(crate) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = mix(self.0, u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_text_is_the_same_in_every_version() {
        assert_eq!(exact("cmp_1"), 6_840_620_618_629_362_365);
        assert_eq!(exact("cmp_01k9c5m0w3v8q4s7h2"), 17_092_363_887_985_235_336);
    }

    #[test]
    fn a_text_has_one_hash_however_it_is_cut() {
        let text = "segment:provider:1234567";
        for at in 0..=text.len() {
            let (start, end) = text.split_at(at);
            assert_eq!(TextHash::new().exact(start).exact(end).finish(), exact(text));
            assert_eq!(TextHash::new().folded(start).folded(end).finish(), exact(text));
        }
        assert_ne!(exact("a"), exact("a\0"));
    }

    #[test]
    fn folding_ignores_case_and_space_around() {
        assert_eq!(folded(" MÜNCHEN "), exact("münchen"));
        assert_ne!(exact("USA"), exact("usa"));
        let all: String = (0..0x80_u8).map(char::from).collect();
        for text in all
            .as_bytes()
            .windows(11)
            .map(|text| std::str::from_utf8(text).unwrap())
        {
            assert_eq!(folded(text), exact(text.to_ascii_lowercase().trim()), "{text:?}");
        }
    }

    #[test]
    fn mixing_depends_on_the_order() {
        assert_ne!(mix(1, 2), mix(2, 1));
    }
}

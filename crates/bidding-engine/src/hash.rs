//! A 64-bit hash that never changes: ties and rotations must come out the same in every process and
//! version, and targeting compares texts by it. FNV-1a over the bytes, then the finaliser of Murmur3 so
//! that every bit depends on all of them. Not meant to withstand an attacker who looks for collisions.

use std::hash::{BuildHasherDefault, Hasher};

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// A text fed in pieces.
#[derive(Clone, Copy)]
pub(crate) struct TextHash(u64);

impl TextHash {
    pub(crate) const fn new() -> Self {
        Self(FNV_OFFSET)
    }

    const fn byte(self, byte: u8) -> Self {
        Self((self.0 ^ byte as u64).wrapping_mul(FNV_PRIME))
    }

    pub(crate) const fn exact(self, text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut hash = self;
        let mut at = 0;
        while at < bytes.len() {
            hash = hash.byte(bytes[at]);
            at += 1;
        }
        hash
    }

    /// The text in lower case.
    fn folded(self, text: &str) -> Self {
        if text.is_ascii() {
            return text
                .bytes()
                .fold(self, |hash, byte| hash.byte(byte.to_ascii_lowercase()));
        }
        let mut utf8 = [0; 4];
        text.chars()
            .flat_map(char::to_lowercase)
            .fold(self, |hash, letter| hash.exact(letter.encode_utf8(&mut utf8)))
    }

    pub(crate) const fn finish(self) -> u64 {
        mix(self.0, 0)
    }
}

/// Of the text as it is.
pub(crate) const fn exact(text: &str) -> u64 {
    TextHash::new().exact(text).finish()
}

/// Of the text in lower case, without space around it.
pub(crate) fn folded(text: &str) -> u64 {
    TextHash::new().folded(text.trim()).finish()
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
        // The published test vector of FNV-1a.
        assert_eq!(TextHash::new().exact("a").0, 0xaf63_dc4c_8601_ec8c);
        assert_eq!(exact("cmp_1"), 17_835_049_944_970_612_967);
    }

    #[test]
    fn folding_ignores_case_and_space_around() {
        assert_eq!(folded(" MÜNCHEN "), exact("münchen"));
        assert_ne!(exact("USA"), exact("usa"));
    }

    #[test]
    fn mixing_depends_on_the_order() {
        assert_ne!(mix(1, 2), mix(2, 1));
    }
}

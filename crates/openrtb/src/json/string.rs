use bumpalo::collections::String as ArenaString;

use super::Reader;
use crate::Malformed;

impl<'a> Reader<'a> {
    /// Reads the string whose opening quote comes next: a slice of the document, or of the arena when
    /// it has escapes. A lone surrogate, which no `str` can hold, becomes U+FFFD.
    pub(super) fn string(&mut self) -> Result<&'a str, Malformed> {
        let start = self.at + 1;
        let rest = self.bytes().get(start..).unwrap_or_default();
        let plain = plain_len(rest);
        if rest.get(plain) == Some(&b'"') {
            self.at = start + plain + 1;
            return self.slice(start, start + plain);
        }
        let has_escapes = self.skip_string()?;
        let raw = self.slice(start, self.at - 1)?;
        Ok(if has_escapes { self.unescape(raw) } else { raw })
    }

    /// Steps over the string whose opening quote comes next; `true` when it has escapes.
    pub(super) fn skip_string(&mut self) -> Result<bool, Malformed> {
        self.at += 1;
        let mut has_escapes = false;
        loop {
            self.at += plain_len(self.rest());
            match self.rest() {
                [b'"', ..] => {
                    self.at += 1;
                    return Ok(has_escapes);
                }
                [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => self.at += 2,
                [b'\\', b'u', hex @ ..] if hex.len() >= 4 && hex[..4].iter().all(u8::is_ascii_hexdigit) => {
                    self.at += 6;
                }
                _ => return Err(self.syntax()),
            }
            has_escapes = true;
        }
    }

    /// `raw` has passed `skip_string`. No escape is shorter than what it stands for.
    fn unescape(&self, raw: &str) -> &'a str {
        let mut text = ArenaString::with_capacity_in(raw.len(), self.arena);
        let mut rest = raw;
        while let Some((plain, escape)) = rest.split_once('\\') {
            text.push_str(plain);
            let (character, len) = unescape_one(escape.as_bytes());
            text.push(character);
            rest = escape.get(len..).unwrap_or_default();
        }
        text.push_str(rest);
        text.into_bump_str()
    }
}

/// The character that the bytes after a backslash stand for, and how many of them it takes.
fn unescape_one(escape: &[u8]) -> (char, usize) {
    match escape.first() {
        Some(b'b') => ('\u{8}', 1),
        Some(b'f') => ('\u{c}', 1),
        Some(b'n') => ('\n', 1),
        Some(b'r') => ('\r', 1),
        Some(b't') => ('\t', 1),
        Some(b'u') => unescape_utf16(escape),
        Some(&byte) => (char::from(byte), 1),
        None => (char::REPLACEMENT_CHARACTER, 0),
    }
}

/// `uXXXX`, or the pair `uXXXX\uXXXX` for a character outside the basic plane.
fn unescape_utf16(escape: &[u8]) -> (char, usize) {
    let unit = |at: usize| escape.get(at..at + 4).map(hex_value);
    let first = unit(1).unwrap_or_default();
    let second = match escape.get(5..7) {
        Some(b"\\u") => unit(7),
        _ => None,
    };
    match (first, second) {
        (0xD800..0xDC00, Some(second @ 0xDC00..0xE000)) => {
            let code = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
            (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 11)
        }
        _ => (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 5),
    }
}

fn hex_value(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |value, &digit| {
        value << 4 | char::from(digit).to_digit(16).unwrap_or_default()
    })
}

/// How many bytes there are before the first that a JSON string cannot hold as it is: a quote, a
/// backslash or a control character. Eight bytes at a time, since most of a body lies in strings.
pub(crate) fn plain_len(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH_BITS: u64 = ONES << 7;
    let (words, tail) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ (ONES * u64::from(b'"'));
        let backslash = word ^ (ONES * u64::from(b'\\'));
        // Subtracting borrows into the high bit of a byte that was 0 (or below a space), and into the
        // bytes above it, where it does not matter: only the first is asked for.
        let borrowed =
            quote.wrapping_sub(ONES) | backslash.wrapping_sub(ONES) | word.wrapping_sub(ONES * 0x20);
        let special = borrowed & !word & HIGH_BITS;
        if special != 0 {
            return index * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | ..0x20);
    bytes.len() - tail.len() + tail.iter().position(is_special).unwrap_or(tail.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::plain_len;

    proptest! {
        #[test]
        fn the_first_special_byte_is_found(
            bytes in proptest::collection::vec(prop_oneof![20 => 0x20..=0xff_u8, 1 => any::<u8>(), 1 => Just(b'"')], 0..40),
        ) {
            let naive = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..0x20));
            prop_assert_eq!(plain_len(&bytes), naive.unwrap_or(bytes.len()));
        }
    }
}

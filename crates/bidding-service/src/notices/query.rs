//! The query of a notice. Exchanges replace macros by plain text, so nothing in it can be relied on to be encoded,
//! and nothing in it makes a notice fail but its token.

use std::borrow::Cow;

#[derive(Clone, Copy, Debug)]
pub(crate) struct NoticeQuery<'a>(pub(crate) &'a str);

impl<'a> NoticeQuery<'a> {
    /// The first value of this name, percent-decoded where it is encoded; empty when it is not there.
    pub(crate) fn value(&self, name: &str) -> Cow<'a, str> {
        self.0
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
            .map_or(Cow::Borrowed(""), decode)
    }
}

/// `+` stays: it is a digit of base64.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = |offset| {
            bytes
                .get(at + offset)
                .and_then(|digit| char::from(*digit).to_digit(16))
        };
        match (byte, hex(1), hex(2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_name_and_decoded() {
        let query = NoticeQuery("t=abc&p=MS4y%2BNQ%3D%3D&pp=7&m=${AUCTION_MIN_TO_WIN}&x=%zz%e");
        assert_eq!(query.value("t"), "abc");
        assert_eq!(query.value("p"), "MS4y+NQ==");
        assert_eq!(query.value("m"), "${AUCTION_MIN_TO_WIN}");
        assert_eq!(query.value("x"), "%zz%e");
        assert_eq!(query.value("absent"), "");
    }
}

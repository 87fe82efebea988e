use super::Reader;
use crate::Malformed;

impl<'a> Reader<'a> {
    /// Steps over a number (RFC 8259, 6) and gives its text.
    pub(super) fn number(&mut self) -> Result<&'a str, Malformed> {
        let start = self.at;
        self.step_over(b'-');
        if !self.step_over(b'0') {
            self.digits()?;
        }
        if self.step_over(b'.') {
            self.digits()?;
        }
        if self.step_over(b'e') || self.step_over(b'E') {
            if !self.step_over(b'-') {
                self.step_over(b'+');
            }
            self.digits()?;
        }
        self.slice(start, self.at)
    }

    /// At least one digit.
    fn digits(&mut self) -> Result<(), Malformed> {
        let count = self
            .rest()
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        self.at += count;
        if count == 0 { Err(self.syntax()) } else { Ok(()) }
    }

    fn step_over(&mut self, byte: u8) -> bool {
        let is_next = self.bytes().get(self.at) == Some(&byte);
        self.at += usize::from(is_next);
        is_next
    }
}

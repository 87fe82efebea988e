use super::Reader;
use crate::{DEPTH_LIMIT, Malformed};

// One bit of `objects` for each open object or array.
const _: () = assert!(DEPTH_LIMIT <= u64::BITS);

impl<'a> Reader<'a> {
    /// Steps over the next value, which must be JSON throughout. A loop, not a recursion: the depth of
    /// a document must not become the depth of our stack.
    pub(crate) fn skip(&mut self) -> Result<(), Malformed> {
        let outside = self.depth;
        // The lowest bit is the innermost: 1 for an object, 0 for an array.
        let mut objects: u64 = 0;
        loop {
            match self.peek()? {
                b'{' => {
                    self.open()?;
                    objects = objects << 1 | 1;
                    if self.peek()? != b'}' {
                        self.skip_key()?;
                        continue;
                    }
                }
                b'[' => {
                    self.open()?;
                    objects <<= 1;
                    if self.peek()? != b']' {
                        continue;
                    }
                }
                _ => self.skip_scalar()?,
            }
            while self.depth > outside {
                let is_object = objects & 1 == 1;
                if self.continues(if is_object { b'}' } else { b']' })? {
                    if is_object {
                        self.skip_key()?;
                    }
                    break;
                }
                objects >>= 1;
            }
            if self.depth == outside {
                return Ok(());
            }
        }
    }

    /// Steps over the next value and gives the text of it.
    pub(crate) fn raw(&mut self) -> Result<&'a str, Malformed> {
        self.peek()?;
        let start = self.at;
        self.skip()?;
        self.slice(start, self.at)
    }

    fn skip_key(&mut self) -> Result<(), Malformed> {
        if self.peek()? != b'"' {
            return Err(self.syntax());
        }
        self.skip_string()?;
        self.expect(b':')
    }

    fn skip_scalar(&mut self) -> Result<(), Malformed> {
        match self.peek()? {
            b'"' => self.skip_string().map(drop),
            b'n' => self.literal("null"),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            _ => self.number().map(drop),
        }
    }
}

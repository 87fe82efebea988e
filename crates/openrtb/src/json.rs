//! A tolerant pull reader over one JSON document: each value is looked at once, in the order of the
//! text, and either kept or skipped. Syntax is not tolerated: the whole document must be JSON, the
//! parts that nobody asks for too.

mod number;
mod skip;
mod string;
mod values;

pub(crate) use string::plain_len;
pub(crate) use values::FromObject;

use bumpalo::Bump;

use crate::{DEPTH_LIMIT, Malformed};

/// Where we are in a document. Texts come out as slices of it, everything else lies in the arena.
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Objects and arrays that are open here.
    depth: u32,
    arena: &'a Bump,
}

/// The next value: a scalar, read; or an object or array, only seen.
enum Token<'a> {
    Null,
    Bool(bool),
    /// Its text, which keeps to the grammar of JSON numbers.
    Number(&'a str),
    Text(&'a str),
    Object,
    Array,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str, arena: &'a Bump) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
            arena,
        }
    }

    pub(crate) fn arena(&self) -> &'a Bump {
        self.arena
    }

    /// Reads the document as one object and nothing after it.
    pub(crate) fn document<T: FromObject<'a>>(mut self) -> Result<T, Malformed> {
        let root = self.object::<T>()?.ok_or(Malformed::NotAnObject);
        // Only white space may follow.
        if self.peek().is_ok() || self.at < self.text.len() {
            return Err(self.syntax());
        }
        root
    }

    /// Calls `member` with each key of the object that comes next; it must read or skip exactly one
    /// value. Any other value than an object is skipped, and the answer is `false`.
    pub(crate) fn members(
        &mut self,
        mut member: impl FnMut(&mut Self, &[u8]) -> Result<(), Malformed>,
    ) -> Result<bool, Malformed> {
        if self.peek()? != b'{' {
            self.skip()?;
            return Ok(false);
        }
        self.open()?;
        if self.closes_with(b'}')? {
            return Ok(true);
        }
        loop {
            let key = self.key()?;
            member(self, key.as_bytes())?;
            if !self.continues(b'}')? {
                return Ok(true);
            }
        }
    }

    /// Calls `element` before each element of the array that comes next (the caller has seen its `[`).
    fn elements(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.open()?;
        if self.closes_with(b']')? {
            return Ok(());
        }
        loop {
            element(self)?;
            if !self.continues(b']')? {
                return Ok(());
            }
        }
    }

    fn token(&mut self) -> Result<Token<'a>, Malformed> {
        match self.peek()? {
            b'"' => Ok(Token::Text(self.string()?)),
            b'{' => Ok(Token::Object),
            b'[' => Ok(Token::Array),
            b'n' => self.literal("null").map(|()| Token::Null),
            b't' => self.literal("true").map(|()| Token::Bool(true)),
            b'f' => self.literal("false").map(|()| Token::Bool(false)),
            _ => Ok(Token::Number(self.number()?)),
        }
    }

    fn key(&mut self) -> Result<&'a str, Malformed> {
        if self.peek()? != b'"' {
            return Err(self.syntax());
        }
        let key = self.string()?;
        self.expect(b':')?;
        Ok(key)
    }

    fn literal(&mut self, word: &str) -> Result<(), Malformed> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(self.syntax());
        }
        self.at += word.len();
        Ok(())
    }

    /// Steps over the bracket that opens an object or array.
    fn open(&mut self) -> Result<(), Malformed> {
        if self.depth == DEPTH_LIMIT {
            return Err(Malformed::TooDeep);
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// Steps over `bracket` if that comes next.
    fn closes_with(&mut self, bracket: u8) -> Result<bool, Malformed> {
        let closes = self.peek()? == bracket;
        if closes {
            self.depth -= 1;
            self.at += 1;
        }
        Ok(closes)
    }

    /// Steps over the comma before another member or element, or over the `bracket` after the last one.
    fn continues(&mut self, bracket: u8) -> Result<bool, Malformed> {
        let byte = self.peek()?;
        if byte != b',' && byte != bracket {
            return Err(self.syntax());
        }
        self.depth -= u32::from(byte == bracket);
        self.at += 1;
        Ok(byte == b',')
    }

    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.peek()? != byte {
            return Err(self.syntax());
        }
        self.at += 1;
        Ok(())
    }

    /// The first byte that is not white space, from which on the rest is.
    #[inline]
    fn peek(&mut self) -> Result<u8, Malformed> {
        loop {
            match self.bytes().get(self.at) {
                Some(&byte) if byte > b' ' => return Ok(byte),
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                _ => return Err(self.syntax()),
            }
        }
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes().get(self.at..).unwrap_or_default()
    }

    /// The text between two offsets. Both are beside ASCII bytes, so they never split a character.
    fn slice(&self, from: usize, to: usize) -> Result<&'a str, Malformed> {
        self.text.get(from..to).ok_or(self.syntax())
    }

    #[cold]
    fn syntax(&self) -> Malformed {
        Malformed::Syntax { offset: self.at }
    }
}

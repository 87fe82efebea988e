//! What OpenRTB's fields are read as. A value of the wrong type or out of range is absent; numbers may
//! come as strings and strings as numbers, and a lone value stands for an array of one (openrtb 2.6:
//! "unknown fields, objects and enum values are tolerated").

use bumpalo::collections::Vec as ArenaVec;

use super::{Reader, Token};
use crate::Malformed;
use crate::decimal::{self, Rounding};

/// A struct that is read from a JSON object.
pub(crate) trait FromObject<'a>: Sized {
    /// The reader stands before the object's brace.
    fn from_object(json: &mut Reader<'a>) -> Result<Self, Malformed>;
}

impl<'a> Reader<'a> {
    pub(crate) fn text(&mut self) -> Result<Option<&'a str>, Malformed> {
        match self.scalar()? {
            Some(Token::Text(text) | Token::Number(text)) => Ok(Some(text)),
            _ => Ok(None),
        }
    }

    /// A text, or an object as its own text: JSON that should have been inside a string.
    pub(crate) fn text_or_object(&mut self) -> Result<Option<&'a str>, Malformed> {
        if self.peek()? == b'{' {
            self.raw().map(Some)
        } else {
            self.text()
        }
    }

    /// An integer; what comes after a decimal point is cut off.
    pub(crate) fn integer<T: TryFrom<i64>>(&mut self) -> Result<Option<T>, Malformed> {
        Ok(self.scalar()?.and_then(integer_of))
    }

    /// 0 or `false`, against any other number or `true`.
    pub(crate) fn flag(&mut self) -> Result<Option<bool>, Malformed> {
        Ok(self.integer::<i64>()?.map(|value| value != 0))
    }

    /// A width or height. A negative one makes the request malformed, and `field` is named.
    pub(crate) fn size(&mut self, field: &'static str) -> Result<Option<u32>, Malformed> {
        match self.integer::<i64>()? {
            Some(..0) => Err(Malformed::NegativeSize(field)),
            value => Ok(value.and_then(|value| value.try_into().ok())),
        }
    }

    /// A coordinate.
    pub(crate) fn float(&mut self) -> Result<Option<f64>, Malformed> {
        match self.scalar()? {
            Some(Token::Text(text) | Token::Number(text)) => {
                Ok(text.parse().ok().filter(|value: &f64| value.is_finite()))
            }
            _ => Ok(None),
        }
    }

    /// A number in millionths, too many digits rounded and too large a one `i64::MAX`.
    pub(crate) fn micros(&mut self, rounding: Rounding) -> Result<Option<i64>, Malformed> {
        match self.scalar()? {
            Some(Token::Text(text) | Token::Number(text)) => Ok(decimal::to_micros(text, rounding)),
            _ => Ok(None),
        }
    }

    /// A floor in micros: rounded up, being a lower bound; a negative one is none.
    pub(crate) fn floor_micros(&mut self) -> Result<Option<i64>, Malformed> {
        Ok(self.micros(Rounding::Up)?.map(|micros| micros.max(0)))
    }

    pub(crate) fn texts(&mut self) -> Result<&'a [&'a str], Malformed> {
        self.list(|token| match token {
            Token::Text(text) | Token::Number(text) => Some(text),
            _ => None,
        })
    }

    pub(crate) fn integers<T: TryFrom<i64>>(&mut self) -> Result<&'a [T], Malformed> {
        self.list(integer_of)
    }

    pub(crate) fn object<T: FromObject<'a>>(&mut self) -> Result<Option<T>, Malformed> {
        if self.peek()? == b'{' {
            return T::from_object(self).map(Some);
        }
        self.skip()?;
        Ok(None)
    }

    /// An object whose absence means the same as an empty one.
    pub(crate) fn object_or_default<T: FromObject<'a> + Default>(&mut self) -> Result<T, Malformed> {
        Ok(self.object()?.unwrap_or_default())
    }

    /// An object placed in the arena, so that what contains it stays small.
    pub(crate) fn object_ref<T: FromObject<'a>>(&mut self) -> Result<Option<&'a T>, Malformed> {
        Ok(self.object()?.map(|object| &*self.arena.alloc(object)))
    }

    pub(crate) fn objects<T: FromObject<'a>>(&mut self) -> Result<&'a [T], Malformed> {
        self.objects_where(|_| true)
    }

    /// The objects of an array that `keep` accepts.
    pub(crate) fn objects_where<T: FromObject<'a>>(
        &mut self,
        keep: impl Fn(&T) -> bool,
    ) -> Result<&'a [T], Malformed> {
        let mut objects = ArenaVec::new_in(self.arena);
        if self.peek()? == b'[' {
            self.elements(|json| {
                objects.extend(json.object()?.filter(&keep));
                Ok(())
            })?;
        } else {
            objects.extend(self.object()?.filter(&keep));
        }
        Ok(objects.into_bump_slice())
    }

    /// The scalars of an array that `convert` knows, or the one that stands in its place.
    fn list<T>(&mut self, convert: impl Fn(Token<'a>) -> Option<T>) -> Result<&'a [T], Malformed> {
        let mut list = ArenaVec::with_capacity_in(8, self.arena);
        if self.peek()? == b'[' {
            self.elements(|json| {
                list.extend(json.scalar()?.and_then(&convert));
                Ok(())
            })?;
        } else {
            list.extend(self.scalar()?.and_then(&convert));
        }
        Ok(list.into_bump_slice())
    }

    /// The next value if it is a scalar; an object or array is skipped.
    fn scalar(&mut self) -> Result<Option<Token<'a>>, Malformed> {
        match self.token()? {
            Token::Object | Token::Array => self.skip().map(|()| None),
            token => Ok(Some(token)),
        }
    }
}

fn integer_of<T: TryFrom<i64>>(token: Token<'_>) -> Option<T> {
    let value = match token {
        Token::Number(text) | Token::Text(text) => decimal::to_integer(text)?,
        Token::Bool(value) => i64::from(value),
        Token::Null | Token::Object | Token::Array => return None,
    };
    value.try_into().ok()
}

//! What a script answers: a word first, then texts and lists.

use crate::error::{corrupt, rebuilding};
use redis::Value;
use storage::StorageError;

/// A script's answer after its word.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) word: String,
    rest: std::vec::IntoIter<Value>,
}

impl Answer {
    /// A group that is not ready has no answer.
    pub(super) fn of(value: Value) -> Result<Self, StorageError> {
        let mut rest = list(value)?.into_iter();
        let word = text(rest.next().unwrap_or_default())?;
        match word.as_str() {
            "rebuilding" => Err(rebuilding()),
            "conflict" => Err(StorageError::Conflict(
                "the bid belongs to another campaign".to_owned(),
            )),
            "out-of-range" => Err(corrupt("an amount of the ledger left its range")),
            _ => Ok(Self { word, rest }),
        }
    }

    pub(super) fn number(&mut self) -> Result<i64, StorageError> {
        number(self.next())
    }

    pub(super) fn text(&mut self) -> Result<String, StorageError> {
        text(self.next())
    }

    pub(super) fn list(&mut self) -> Result<Vec<Value>, StorageError> {
        list(self.next())
    }

    pub(super) fn rest(self) -> std::vec::IntoIter<Value> {
        self.rest
    }

    fn next(&mut self) -> Value {
        self.rest.next().unwrap_or_default()
    }
}

pub(super) fn list(value: Value) -> Result<Vec<Value>, StorageError> {
    match value {
        Value::Array(values) => Ok(values),
        other => Err(unexpected("a list", &other)),
    }
}

pub(super) fn bytes(value: Value) -> Result<Vec<u8>, StorageError> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.into_bytes()),
        other => Err(unexpected("a text", &other)),
    }
}

pub(super) fn text(value: Value) -> Result<String, StorageError> {
    String::from_utf8(bytes(value)?).map_err(|_| corrupt("a text is not utf-8"))
}

pub(super) fn number(value: Value) -> Result<i64, StorageError> {
    match value {
        Value::Int(number) => Ok(number),
        other => text(other)?
            .parse()
            .map_err(|_| corrupt("a figure cannot be read")),
    }
}

/// A limit; the empty text is none.
pub(super) fn limit(value: Value) -> Result<Option<i64>, StorageError> {
    match bytes(value)? {
        none if none.is_empty() => Ok(None),
        some => number(Value::BulkString(some)).map(Some),
    }
}

fn unexpected(what: &str, found: &Value) -> StorageError {
    corrupt(&format!("{what} was expected, and {found:?} came"))
}

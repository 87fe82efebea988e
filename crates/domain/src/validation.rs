//! What a person may send, checked as a walk over the JSON that collects every mistake with its pointer.
//!
//! serde stops at the first error; so bodies are walked first and deserialized after. Law, kept by a property
//! test: whatever the walk accepts deserializes. A member that is `null` counts as absent, as in a merge patch
//! (RFC 7396).

pub mod advertiser;
pub mod audience;
pub mod campaign;
pub mod creative;
pub mod deal;
pub mod exchange;
mod field;
pub mod syntax;
mod targeting;
#[cfg(test)]
mod tests;

pub use field::{Field, Fields};

use crate::mistake::{Mistake, Mistakes};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The most mistakes told at once: a body of a mebibyte could hold a hundred thousand.
const MOST_MISTAKES: usize = 1_000;

/// The longest list a body may hold.
pub const LONGEST_LIST: usize = 10_000;

/// Walks a whole body.
///
/// # Errors
/// Every mistake, in the order of the walk.
pub fn check(body: &Value, walk: impl FnOnce(&mut Fields<'_, '_>)) -> Result<(), Vec<Mistake>> {
    let mut mistakes = Mistakes::default();
    Field::whole(body, &mut mistakes).object(walk);
    mistakes.finish().map_err(|mut all| {
        if all.len() > MOST_MISTAKES {
            all.truncate(MOST_MISTAKES);
            all.push(Mistake {
                pointer: String::new(),
                code: "too_many_mistakes",
                message: format!("only the first {MOST_MISTAKES} mistakes are told"),
            });
        }
        all
    })
}

/// Walks a body, then reads it.
///
/// # Errors
/// Every mistake. One with an empty pointer and the code `invalid_value` means that the walk missed something.
pub fn read<T: DeserializeOwned>(
    body: Value,
    walk: impl FnOnce(&mut Fields<'_, '_>),
) -> Result<T, Vec<Mistake>> {
    let body = without_nulls(body);
    check(&body, walk)?;
    serde_json::from_value(body).map_err(|_| {
        vec![Mistake {
            pointer: String::new(),
            code: "invalid_value",
            message: "cannot be read".to_owned(),
        }]
    })
}

/// The value without the members of objects that are `null`, at any depth; elements of arrays stay.
#[must_use]
pub fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.into_iter().filter(|(_, member)| !member.is_null());
            Value::Object(
                kept.map(|(name, member)| (name, without_nulls(member)))
                    .collect::<Map<_, _>>(),
            )
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

//! Members as they are written at once.

use crate::error::ApiError;
use domain::mistake::Mistake;
use domain::validation::{audience::member, check};
use serde_json::Value;
use std::collections::HashMap;

/// Of each list in one JSON document.
const LONGEST_LIST: usize = 10_000;

/// The keys of users.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub(super) add: Vec<String>,
    pub(super) remove: Vec<String>,
}

impl Piece {
    /// Who is in both lists leaves.
    pub(super) fn of_document(body: &Value) -> Result<Self, ApiError> {
        let mut piece = Self::default();
        check(body, |fields| {
            for (name, keys) in [("add", &mut piece.add), ("remove", &mut piece.remove)] {
                fields.optional(name).list(0..=LONGEST_LIST, |_, item| {
                    item.object(|fields| keys.extend(member(fields)));
                });
            }
        })?;
        Ok(piece)
    }

    /// Of lines, the last one that names a user counts.
    pub(super) fn of_lines(lines: HashMap<String, Op>) -> Self {
        let mut piece = Self::default();
        for (key, op) in lines {
            match op {
                Op::Add => piece.add.push(key),
                Op::Remove => piece.remove.push(key),
            }
        }
        piece
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Add,
    Remove,
}

/// `{"op": "add", "id_type": …}`; without an `op` it is `add`.
pub(super) fn line(text: &[u8]) -> Result<(String, Op), Vec<Mistake>> {
    let unreadable = |message: &str| {
        vec![Mistake {
            pointer: String::new(),
            code: "invalid_json",
            message: message.to_owned(),
        }]
    };
    let body: Value = serde_json::from_slice(text).map_err(|_| unreadable("is no JSON"))?;
    let (mut key, mut op) = (None, Op::Add);
    check(&body, |fields| {
        if fields.optional("op").word(&["add", "remove"]) == Some("remove") {
            op = Op::Remove;
        }
        key = member(fields);
    })?;
    key.map(|key| (key, op))
        .ok_or_else(|| unreadable("names no user"))
}

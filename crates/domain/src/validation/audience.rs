//! What a client may say of an audience and of its members.

use super::{Fields, read};
use crate::audience::AudienceSpec;
use crate::mistake::Mistake;
use crate::user_key;
use serde_json::Value;

/// A device's, our own as exchanges match it, another source's, an exchange's.
pub const ID_TYPES: [&str; 4] = ["ifa", "buyeruid", "eid", "user_id"];

/// # Errors
/// Every mistake of the body.
pub fn audience(body: Value) -> Result<AudienceSpec, Vec<Mistake>> {
    read(body, |fields| {
        fields.required("advertiser_id").text(1..=64);
        fields.optional("external_id").text(1..=100);
        fields.required("name").text(1..=200);
        fields.optional("status").word(&["active", "archived"]);
        fields.optional("membership_days").integer(1..=540);
    })
}

/// `{"id_type": "ifa", "id": "…"}`, for `eid` with the `source`, for `user_id` with the `exchange`: the key under which the
/// user's state is kept. `None` when a mistake was noted.
pub fn member(fields: &mut Fields<'_, '_>) -> Option<String> {
    let id_type = fields.required("id_type").word(&ID_TYPES);
    let scope = match id_type {
        Some("eid") => {
            fields.absent("exchange", "belongs to the id type user_id");
            fields.required("source").text(1..=200)
        }
        Some("user_id") => {
            fields.absent("source", "belongs to the id type eid");
            fields.required("exchange").checked(super::syntax::exchange_id)
        }
        Some(_) => {
            fields.absent("source", "belongs to the id type eid");
            fields.absent("exchange", "belongs to the id type user_id");
            Some("")
        }
        None => {
            fields.optional("source");
            fields.optional("exchange");
            None
        }
    };
    let id = fields.required("id").text(1..=user_key::LONGEST_ID_BYTES);
    let (id_type, scope, id) = (id_type?, scope?, id?);
    let key = key_of(id_type, scope, id);
    if key.is_none() {
        fields.mistake(
            "id",
            "invalid_value",
            "must be an id: not blank, at most 256 bytes, not only zeros",
        );
    }
    key
}

/// The key of a user; `scope` is the source of an `eid` and the exchange of a `user_id`.
#[must_use]
pub fn key_of(id_type: &str, scope: &str, id: &str) -> Option<String> {
    match id_type {
        "ifa" => user_key::device(id),
        "buyeruid" => user_key::buyer(id),
        "eid" => user_key::extended(scope, id),
        "user_id" => user_key::exchange_user(scope, id),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validation::check;
    use serde_json::json;

    fn read_member(body: &Value) -> Result<Option<String>, Vec<String>> {
        let mut key = None;
        let told = |mistakes: Vec<Mistake>| {
            let told = mistakes
                .iter()
                .map(|mistake| format!("{} {}", mistake.pointer, mistake.code));
            told.collect::<Vec<_>>()
        };
        check(body, |fields| key = member(fields)).map_err(told)?;
        Ok(key)
    }

    #[test]
    fn members_are_spelled_as_the_bidder_spells_users() {
        for (body, key) in [
            (json!({"id_type": "ifa", "id": "AB-1"}), "ifa:ab-1"),
            (json!({"id_type": "buyeruid", "id": "Ab"}), "buyeruid:Ab"),
            (
                json!({"id_type": "eid", "source": "Id5-sync.com", "id": "X"}),
                "eid:id5-sync.com:X",
            ),
            (
                json!({"id_type": "user_id", "exchange": "default", "id": "X"}),
                "id:default:X",
            ),
        ] {
            assert_eq!(read_member(&body), Ok(Some(key.to_owned())), "{body}");
        }
    }

    #[test]
    fn every_mistake_of_a_member_is_told() {
        for (body, mistakes) in [
            (json!({}), vec!["/id_type required", "/id required"]),
            (
                json!({"id_type": "ip", "id": "1"}),
                vec!["/id_type unknown_value"],
            ),
            (json!({"id_type": "ifa", "id": "0-0"}), vec!["/id invalid_value"]),
            (
                json!({"id_type": "ifa", "id": 7, "source": "s"}),
                vec!["/source not_allowed", "/id invalid_type"],
            ),
            (json!({"id_type": "eid", "id": "1"}), vec!["/source required"]),
            (
                json!({"id_type": "user_id", "exchange": "X Y", "id": "1"}),
                vec!["/exchange invalid_value"],
            ),
            (
                json!({"id_type": "ifa", "id": "1", "more": 1}),
                vec!["/more unknown_field"],
            ),
        ] {
            assert_eq!(
                read_member(&body),
                Err(mistakes.into_iter().map(str::to_owned).collect()),
                "{body}"
            );
        }
    }
}

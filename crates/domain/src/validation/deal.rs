//! What a client may say of a deal.

use super::{read, syntax};
use crate::deal::DealSpec;
use crate::mistake::Mistake;
use serde_json::Value;

/// # Errors
/// Every mistake of the body.
pub fn deal(body: Value) -> Result<DealSpec, Vec<Mistake>> {
    read(body, |fields| {
        fields.required("advertiser_id").text(1..=64);
        fields.required("name").text(1..=200);
        fields.optional("status").word(&["active", "paused", "archived"]);
        fields.required("exchange").checked(syntax::exchange_id);
        fields.required("deal_id").checked(syntax::phrase);
    })
}

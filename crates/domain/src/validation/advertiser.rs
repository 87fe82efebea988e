//! What a client may say of an advertiser.

use super::{Fields, read, syntax};
use crate::advertiser::AdvertiserSpec;
use crate::mistake::Mistake;
use serde_json::Value;

/// # Errors
/// Every mistake of the body.
pub fn advertiser(body: Value) -> Result<AdvertiserSpec, Vec<Mistake>> {
    read(body, walk)
}

fn walk(fields: &mut Fields<'_, '_>) {
    fields.required("name").text(1..=200);
    fields.optional("legal_name").text(1..=200);
    fields.optional("paid_by").text(1..=200);
    fields.optional("status").word(&["active", "paused", "archived"]);
    fields.optional("seats").map(|exchange, seat| {
        if let Err(message) = syntax::exchange_id(exchange) {
            seat.refuse("invalid_value", format!("the exchange's id {message}"));
        } else {
            seat.text(1..=100);
        }
    });
    fields.optional("conversion_lookback_days").integer(1..=365);
}

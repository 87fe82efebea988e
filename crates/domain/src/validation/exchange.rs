//! What an administrator may say of an exchange.

use super::{Fields, check, read, syntax, without_nulls};
use crate::exchange::ExchangeSpec;
use crate::id::ExchangeId;
use crate::mistake::Mistake;
use serde_json::Value;

/// The time a lease outlives its bid (design section 5, T1).
const NOTICE_DELAYS_MS: std::ops::RangeInclusive<i64> = 100..=60_000;
const DAY_MS: i64 = 86_400_000;

/// # Errors
/// Every mistake of the body.
pub fn exchange(body: Value) -> Result<ExchangeSpec, Vec<Mistake>> {
    read(body, walk)
}

/// A new exchange: its id stands in the body, since it is the client's choice.
///
/// # Errors
/// Every mistake of the body.
pub fn new_exchange(body: Value) -> Result<(ExchangeId, ExchangeSpec), Vec<Mistake>> {
    let mut body = without_nulls(body);
    check(&body, |fields| {
        fields.required("id").checked(syntax::exchange_id);
        walk(fields);
    })?;
    let id = body.as_object_mut().and_then(|members| members.remove("id"));
    let id = ExchangeId(id.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned());
    Ok((id, exchange(body)?))
}

fn walk(fields: &mut Fields<'_, '_>) {
    fields.required("name").text(1..=200);
    fields.optional("status").word(&["active", "paused", "archived"]);
    fields.optional("currency").checked(syntax::currency);
    fields.optional("auction_type").integer(1..=2);
    fields.optional("seat").text(1..=100);
    fields.optional("billing").word(&["notice", "pixel"]);
    fields.optional("price_form").object(|form| {
        match form.required("kind").word(&["plain", "base64", "encrypted"]) {
            Some("encrypted") => {
                form.required("key_name").checked(syntax::key_name);
                form.optional("unit").word(&["cpi_micros", "cpm_micros"]);
                form.optional("suffix").checked(syntax::macro_suffix);
            }
            kind => {
                for name in ["key_name", "unit", "suffix"] {
                    if kind.is_some() {
                        form.absent(name, "belongs to encrypted prices");
                    } else {
                        form.optional(name);
                    }
                }
            }
        }
    });
    fields.optional("eid_sources").texts(0..=20, syntax::domain);
    fields.optional("user_sync").object(|sync| {
        if let Some(url) = sync.optional("redirect_url").checked(syntax::web_url)
            && !url.contains("{UID}")
        {
            sync.mistake(
                "redirect_url",
                "invalid_value",
                "must hold {UID}, where our id goes",
            );
        }
        sync.optional("accepts_ids").flag();
    });
    fields.optional("win_notice_delay_ms").integer(NOTICE_DELAYS_MS);
    fields.optional("billing_window_ms").object(|windows| {
        for format in ["web", "app", "interstitial"] {
            windows.optional(format).integer(1_000..=DAY_MS);
        }
    });
    fields.optional("qps_limit").integer(1..=10_000_000);
    fields
        .optional("allowed_networks")
        .texts(0..=1_000, syntax::network);
    fields.optional("secret_header").object(|header| {
        header.required("name").checked(syntax::header_name);
        header.required("sha256").checked(syntax::sha256);
    });
    fields.optional("secret_path_sha256").checked(syntax::sha256);
    fields.optional("wants_no_bid_reason").flag();
    fields.optional("supply").object(|supply| {
        supply
            .optional("chain")
            .word(&["any", "complete_if_given", "complete"]);
        supply.optional("max_nodes").integer(1..=100);
        supply.optional("blocked_nodes").texts(0..=1_000, syntax::seller);
        supply
            .optional("ads_txt")
            .word(&["ignored", "if_known", "required"]);
        supply.optional("seller_domain").checked(syntax::domain);
    });
    fields
        .optional("usd_rates_e9")
        .map(|currency, rate| match syntax::currency(currency) {
            Err(message) => rate.refuse("invalid_value", format!("the currency {message}")),
            Ok(()) if currency == "USD" => {
                rate.integer(crate::money::RATE_ONE_E9..=crate::money::RATE_ONE_E9);
            }
            Ok(()) => {
                rate.integer(1..=1_000_000_000_000);
            }
        });
}

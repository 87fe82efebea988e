//! What a client may say of a campaign.

use super::{Fields, read, syntax, targeting};
use crate::campaign::CampaignSpec;
use crate::mistake::Mistake;
use serde_json::Value;

/// A thousand million units of a currency; in nanos it still fits 64 bits, nine times over.
const LARGEST_BUDGET_MICROS: i64 = 1_000_000_000_000_000;
/// A million units for a thousand impressions.
pub const LARGEST_CPM_MICROS: i64 = 1_000_000_000_000;

/// # Errors
/// Every mistake of the body.
pub fn campaign(body: Value) -> Result<CampaignSpec, Vec<Mistake>> {
    read(body, walk)
}

fn walk(fields: &mut Fields<'_, '_>) {
    fields.required("advertiser_id").text(1..=64);
    fields.required("name").text(1..=200);
    fields.optional("external_id").text(1..=200);
    fields
        .optional("status")
        .word(&["draft", "active", "paused", "archived"]);
    fields.required("flight").object(flight);
    fields.required("budget").object(budget);
    fields.optional("pacing").word(&["even", "asap"]);
    fields.required("bid").object(|bid| {
        bid.optional("strategy").word(&["max_cpm"]);
        bid.required("max_cpm_micros").integer(1..=LARGEST_CPM_MICROS);
    });
    fields.optional("targeting").object(targeting::walk);
    fields
        .optional("frequency_caps")
        .list(0..=10, |_, cap| cap.object(frequency_cap));
    fields.optional("fee_ppm").integer(0..=1_000_000);
    fields.optional("reserve_ppm").integer(0..=900_000);
}

fn flight(flight: &mut Fields<'_, '_>) {
    let start = flight.required("start").timestamp();
    let end = flight.optional("end").timestamp();
    flight.optional("time_zone").checked(syntax::time_zone);
    if let (Some(start), Some(end)) = (start, end)
        && end <= start
    {
        flight.mistake("end", "too_small", "must be after the start");
    }
}

fn budget(budget: &mut Fields<'_, '_>) {
    budget.required("currency").checked(syntax::currency);
    let daily = budget.optional("daily_micros");
    let has_daily = daily.is_given();
    let daily = daily.integer(1..=LARGEST_BUDGET_MICROS);
    let total = budget.optional("total_micros");
    let has_total = total.is_given();
    let total = total.integer(1..=LARGEST_BUDGET_MICROS);
    if !has_daily && !has_total {
        budget.mistake("", "required", "needs daily_micros, total_micros or both");
    }
    if let (Some(daily), Some(total)) = (daily, total)
        && total < daily
    {
        budget.mistake("total_micros", "too_small", "must be at least daily_micros");
    }
}

fn frequency_cap(cap: &mut Fields<'_, '_>) {
    cap.required("impressions").integer(1..=1_000_000);
    cap.required("window").word(&["hour", "day", "week", "month"]);
    cap.optional("scope")
        .word(&["campaign", "creative", "advertiser"]);
    cap.optional("unidentified").word(&["skip", "bid"]);
}

//! The events that notices become.

use super::Conversion;
use crate::token::BidToken;
use domain::event::{BidEvent, EventKind, SCHEMA, SpendEvent, WonReservation};
use domain::money::Charge;
use sha2::{Digest, Sha256};

pub(super) fn of(token: &BidToken, kind: EventKind, at_ms: i64) -> BidEvent {
    BidEvent {
        schema: SCHEMA,
        event_id: format!("{}:{}", word(kind), token.bid_id),
        kind,
        at_ms,
        bid_id: token.bid_id,
        bid_at_ms: token.bid_at_ms,
        dimensions: token.dimensions.clone(),
        loss_reason: None,
        reservation: None,
        price_cpm_micros: None,
        value_micros: None,
        currency: None,
        conversion_type: None,
        order_id: None,
    }
}

/// The id tells each type and order of a click apart.
pub(super) fn converted(click: &BidToken, conversion: Conversion, at_ms: i64) -> BidEvent {
    let order = conversion.order_id.as_deref().unwrap_or_default();
    let digest = Sha256::digest(format!("{}\n{order}", conversion.kind).as_bytes());
    let which: String = digest[..12].iter().map(|byte| format!("{byte:02x}")).collect();
    let event = of(click, EventKind::Conversion, at_ms);
    BidEvent {
        event_id: format!("{}:{which}", event.event_id),
        value_micros: conversion.value_micros,
        currency: conversion.currency.map(|currency| currency.to_string()),
        conversion_type: Some(conversion.kind),
        order_id: conversion.order_id,
        ..event
    }
}

/// What the ledger's books can be rebuilt from.
pub(super) fn won(token: &BidToken) -> WonReservation {
    let reservation = token.reservation();
    WonReservation {
        day: reservation.day,
        bidder_id: reservation.bidder_id,
        reserved_nanos: reservation.reserved_nanos,
        billing_window_ms: reservation.billing_window_ms,
    }
}

/// As the kind stands in the event itself.
fn word(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Win => "win",
        EventKind::Loss => "loss",
        EventKind::Impression => "impression",
        EventKind::Click => "click",
        EventKind::Conversion => "conversion",
        EventKind::VideoStart => "video_start",
        EventKind::VideoFirstQuartile => "video_first_quartile",
        EventKind::VideoMidpoint => "video_midpoint",
        EventKind::VideoThirdQuartile => "video_third_quartile",
        EventKind::VideoComplete => "video_complete",
        EventKind::VideoError => "video_error",
    }
}

/// The spend event but for the ledger's verdict: what goes into the outbox beside the verdict.
pub(super) fn draft_of_spend(
    token: &BidToken,
    price_cpm_micros: i64,
    charge: Charge,
    at_ms: i64,
) -> SpendEvent {
    SpendEvent {
        schema: SCHEMA,
        event_id: format!("spend:{}", token.bid_id),
        at_ms,
        bid_id: token.bid_id,
        bid_at_ms: token.bid_at_ms,
        campaign_id: token.campaign_id.clone(),
        day: token.day.date.clone(),
        day_start_ms: token.day.start_ms,
        day_end_ms: token.day.end_ms,
        dimensions: token.dimensions.clone(),
        price_cpm_micros,
        bid_currency: token.bid_currency.to_string(),
        currency: token.currency.to_string(),
        terms: token.terms,
        media_cost_nanos: charge.media_cost_nanos,
        fee_nanos: charge.fee_nanos,
        charge_nanos: 0,
        over_delivery_nanos: 0,
    }
}

/// The verdict is the ledger's word; media cost and fee always add up to the charge.
pub(super) fn settled_spend(draft: SpendEvent, charge_nanos: i64, over_delivery_nanos: i64) -> SpendEvent {
    let media_cost_nanos = draft.media_cost_nanos.clamp(0, charge_nanos.max(0));
    SpendEvent {
        media_cost_nanos,
        fee_nanos: charge_nanos - media_cost_nanos,
        charge_nanos,
        over_delivery_nanos,
        ..draft
    }
}

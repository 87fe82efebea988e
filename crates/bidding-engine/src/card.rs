//! What the search reads of every candidate, by its number.
//!
//! A campaign is spread over a dozen places in memory, each of them a miss of the processor's caches where there are many
//! campaigns. Its card is one line of them, and says of most banners that they pass every condition, where the request's lists
//! of blocked domains and categories are short: all others are asked one condition after the other, as the oracle asks
//! everybody.

use crate::campaign::CompiledCampaign;
use crate::conditions::{AllConditions, all_conditions};
use crate::creative::CompiledCreative;
use crate::list::ListOf;
use crate::offer::Formats;
use crate::taxonomy::Space;
use domain::creative::Format;
use domain::currency::Currency;

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Card {
    /// At least the worth of a thousand impressions, micros of USD, at the rates of every exchange, of this campaign and of
    /// all after it.
    pub(crate) bound_usd_micros: i64,
    pub(crate) max_cpm_micros: i64,
    /// Of its id.
    pub(crate) hash: u64,
    /// Of its main creative: the bits of [`crate::list::bit`].
    pub(crate) domains_seen: u64,
    pub(crate) categories_seen: u64,
    /// What can fail: everything where there is no [`main_creative`], or the campaign wants deals or no open auction.
    pub(crate) may_fail: AllConditions,
    pub(crate) flight: Seconds,
    pub(crate) currency: Currency,
    /// Of the main creative.
    pub(crate) format: Format,
    /// Of the others, none of them the main one's.
    pub(crate) other_formats: Formats,
    /// Taxonomies that all categories of the main creative can be compared with.
    pub(crate) spaces: Space,
    pub(crate) has_plain_price: bool,
}

const _: () = assert!(size_of::<Card>() == 64);

impl Card {
    pub(crate) fn of(campaign: &CompiledCampaign, bound_usd_micros: i64) -> Self {
        let creative = main_creative(campaign)
            .filter(|_| campaign.open_auction && campaign.list(ListOf::Deals).is_any());
        let nobodys = Self::nobodys(bound_usd_micros);
        let own = Self {
            max_cpm_micros: campaign.max_cpm_micros,
            hash: campaign.hash,
            flight: Seconds::within(campaign.span.start_ms, campaign.span.end_ms),
            currency: campaign.currency,
            has_plain_price: campaign.has_plain_price,
            ..nobodys
        };
        creative.map_or(own, |creative| own.with(campaign, creative))
    }

    fn with(self, campaign: &CompiledCampaign, creative: &CompiledCreative) -> Self {
        let spaces = creative
            .traits
            .category_words
            .iter()
            .map(|category| category.spaces);
        let others = campaign.creatives.iter().map(|creative| creative.format);
        Self {
            domains_seen: creative.adomain.seen,
            categories_seen: creative.traits.categories_seen,
            may_fail: all_conditions(campaign.may_fail, creative.may_fail, campaign.may_fail_in_slot),
            format: creative.format,
            other_formats: Formats::of(others.filter(|format| *format != creative.format)),
            spaces: spaces.fold(Space::MAX, |all, spaces| all & spaces),
            ..self
        }
    }

    /// Of a number that no campaign has.
    pub(crate) fn nobodys(bound_usd_micros: i64) -> Self {
        Self {
            bound_usd_micros,
            max_cpm_micros: 0,
            hash: 0,
            domains_seen: u64::MAX,
            categories_seen: u64::MAX,
            may_fail: AllConditions::MAX,
            flight: Seconds::within(0, 0),
            currency: Currency::USD,
            format: Format::Banner,
            other_formats: Formats::of([]),
            spaces: 0,
            has_plain_price: false,
        }
    }
}

/// The first creative, where it is the only one of its format.
fn main_creative(campaign: &CompiledCampaign) -> Option<&CompiledCreative> {
    let (first, others) = campaign.creatives.split_first()?;
    let is_alone = others.iter().all(|other| other.format != first.format);
    is_alone.then_some(first)
}

/// `[start, end)`, whole seconds since 1970 within a span of milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seconds {
    start: u32,
    end: u32,
}

impl Seconds {
    fn within(start_ms: i64, end_ms: i64) -> Self {
        let start = u32::try_from(start_ms.max(0).saturating_add(999) / 1_000);
        let end = u32::try_from(end_ms.max(0) / 1_000).unwrap_or(u32::MAX);
        // One that begins later than can be said is never certain to hold.
        start.map_or(Self { start: 0, end: 0 }, |start| Self { start, end })
    }

    /// False also in what a span has of a second at either end.
    #[inline]
    pub(crate) fn contains(self, instant_ms: i64) -> bool {
        i64::from(self.start) * 1_000 <= instant_ms && instant_ms < i64::from(self.end) * 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditions::card_passes;
    use crate::facts::Facts;
    use crate::offer::{History, Offer, read_slots};
    use crate::{Now, Snapshot, UserView};
    use bumpalo::Bump;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    proptest! {
        #[test]
        fn whole_seconds_lie_within_their_milliseconds(
            start_ms in -2_000..6_000_i64, end_ms in -2_000..9_000_i64, instant_ms in -3_000..10_000_i64,
        ) {
            let is_contained = |start_ms, end_ms| Seconds::within(start_ms, end_ms).contains(instant_ms);
            let holds = |start_ms, end_ms| start_ms <= instant_ms && instant_ms < end_ms;
            prop_assert!(!is_contained(start_ms, end_ms) || holds(start_ms, end_ms));
            let (start_ms, end_ms) = (start_ms.max(0) / 1_000 * 1_000, end_ms.max(0) / 1_000 * 1_000);
            prop_assert_eq!(is_contained(start_ms, end_ms), holds(start_ms, end_ms));
        }
    }

    #[test]
    fn a_flight_without_an_end_holds_from_its_first_whole_second_on() {
        let flight = Seconds::within(1_500, i64::MAX);
        assert!(flight.contains(2_000) && !flight.contains(1_999));
        assert!(flight.contains(4_000_000_000_000));
    }

    const STAMP: &str = "2026-01-01T00:00:00Z";

    /// Of a campaign with one banner, at a request for it that blocks another domain and category.
    fn passes(change: impl FnOnce(&mut Value)) -> bool {
        let spec = json!({
            "id": "c", "advertiser_id": "a", "name": "n", "status": "active", "flight": {"start": STAMP},
            "budget": {"currency": "USD", "daily_micros": 1}, "bid": {"max_cpm_micros": 1_000_000},
            "targeting": {}, "created_at": STAMP, "updated_at": STAMP,
        });
        let mut serving = json!({
            "schema": 1, "generation": 1, "revision": 1, "campaign": spec, "creatives": [banner()],
            "advertiser": {"id": "a", "status": "active", "conversion_lookback_days": 30},
            "limits": {"daily_nanos": 1, "total_nanos": null},
            "days": [{"date": "2026-01-02", "start_ms": 0, "end_ms": 100_000_000_000_000_i64}],
        });
        change(&mut serving);
        let campaign = CompiledCampaign::compile(serde_json::from_value(serving).unwrap());
        let exchange = json!({"id": "default", "created_at": STAMP, "updated_at": STAMP});
        let exchange = json!({"schema": 1, "generation": 1, "revision": 1, "exchange": exchange});
        let snapshot = Snapshot::build([], &[serde_json::from_value(exchange).unwrap()]);
        let request = json!({
            "id": "r", "cur": ["USD"], "badv": ["other.example"], "bcat": ["IAB25"],
            "imp": [{"id": "1", "bidfloor": 1, "banner": {"w": 300, "h": 250}}],
        });
        let (request, arena) = (request.to_string(), Bump::new());
        let request = openrtb::read_request(request.as_bytes(), &arena).unwrap();
        let (exchange, user) = (snapshot.exchange("default").unwrap(), UserView::Unidentified);
        let now = Now {
            unix_ms: 2_000_000_000_000,
            monotonic_ms: 0,
        };
        let (mut facts, mut slots, history) = (Facts::default(), Vec::new(), History::default());
        let ask = crate::bid::open(&snapshot, exchange, &user, now, &request, &mut facts).unwrap();
        read_slots(&ask, &request.imp[0], &mut slots);
        let offer = Offer::new(&ask, 0, &request.imp[0], &slots, &history, &arena);
        card_passes(&Card::of(&campaign, 0), &offer, &slots[0])
    }

    fn banner() -> Value {
        json!({
            "id": "crv", "campaign_id": "c", "name": "n", "version": 1, "format": "banner", "width": 300, "height": 250,
            "markup": "<b>hello</b>", "click_url": "https://shop.example/", "adomain": ["shop.example"],
            "categories": ["IAB1"], "created_at": STAMP, "updated_at": STAMP,
        })
    }

    #[test]
    fn a_plain_banner_passes_by_its_card_and_none_that_may_fail() {
        assert!(passes(|_| {}));
        assert!(!passes(
            |of| of["creatives"][0]["adomain"] = json!(["other.example"])
        ));
        assert!(!passes(|of| of["creatives"][0]["categories"] = json!(["IAB25-3"])));
        assert!(!passes(|of| of["creatives"][0]["attributes"] = json!([1])));
        assert!(!passes(|of| of["creatives"] = json!([banner(), banner()])));
        assert!(!passes(
            |of| of["campaign"]["bid"]["max_cpm_micros"] = json!(999_999)
        ));
        assert!(!passes(|of| of["campaign"]["budget"]["currency"] = json!("EUR")));
        assert!(!passes(
            |of| of["campaign"]["flight"]["end"] = json!("2026-02-01T00:00:00Z")
        ));
        assert!(!passes(
            |of| of["campaign"]["targeting"] = json!({"deals": ["d1"]})
        ));
        assert!(!passes(
            |of| of["campaign"]["targeting"] = json!({"open_auction": false})
        ));
        assert!(!passes(
            |of| of["campaign"]["targeting"] = json!({"positions": {"allow": ["header"]}})
        ));
        let cap = json!([{"impressions": 1, "window": "day"}]);
        assert!(!passes(|of| of["campaign"]["frequency_caps"] = cap));
    }
}

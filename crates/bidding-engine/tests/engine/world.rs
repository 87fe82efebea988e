//! A world small enough to read: `World::of([campaign("a").cpm(2)]).bid(&site())`.

use bidding_engine::{
    Catalog, Counter, Decision, LeaseCell, Leases, NoBidReason, Now, Outcome, Scratch, Snapshot, Traffic,
    UserView, oracle,
};
use bumpalo::Bump;
use domain::serving::{ServingCampaign, ServingExchange};
use serde_json::{Value, json};
use std::sync::Arc;

/// Monday 2026-11-23, noon UTC.
pub(crate) const NOW: Now = Now {
    unix_ms: 1_795_435_200_000,
    monotonic_ms: 1_000,
};
pub(crate) const DAY_START_MS: i64 = NOW.unix_ms - 12 * 3_600_000;
const DAY_MS: i64 = 24 * 3_600_000;

/// A campaign that is being described; any field can be set by its JSON pointer in the serving record.
#[derive(Clone, PartialEq)]
pub(crate) struct CampaignBuilder(Value);

/// Active, 1 USD, one banner of 300x250, its id also its advertiser's.
pub(crate) fn campaign(id: &str) -> CampaignBuilder {
    CampaignBuilder(json!({
        "schema": 1, "generation": 1, "revision": 1,
        "campaign": {
            "id": id, "advertiser_id": id, "name": id, "status": "active",
            "flight": {"start": "2026-01-01T00:00:00Z", "time_zone": "UTC"},
            "budget": {"currency": "USD", "daily_micros": 1_000_000_000},
            "bid": {"max_cpm_micros": 1_000_000}, "targeting": {}, "frequency_caps": [],
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
        },
        "advertiser": {"id": id, "status": "active", "conversion_lookback_days": 30},
        "creatives": [banner(300, 250)],
        "limits": {"daily_nanos": null, "total_nanos": null},
        "days": [{"date": "2026-11-23", "start_ms": DAY_START_MS, "end_ms": DAY_START_MS + DAY_MS}],
    }))
}

impl CampaignBuilder {
    pub(crate) fn set(mut self, pointer: &str, value: Value) -> Self {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        self.0.pointer_mut(parent).unwrap()[key] = value;
        self
    }

    pub(crate) fn targeting(self, key: &str, value: Value) -> Self {
        self.set(&format!("/campaign/targeting/{key}"), value)
    }

    pub(crate) fn cpm_micros(self, micros: i64) -> Self {
        self.set("/campaign/bid/max_cpm_micros", json!(micros))
    }

    pub(crate) fn cpm(self, usd: i64) -> Self {
        self.cpm_micros(usd * 1_000_000)
    }

    pub(crate) fn currency(self, code: &str) -> Self {
        self.set("/campaign/budget/currency", json!(code))
    }

    pub(crate) fn advertiser(self, id: &str) -> Self {
        self.set("/advertiser/id", json!(id))
            .set("/campaign/advertiser_id", json!(id))
    }

    pub(crate) fn creatives(self, creatives: impl IntoIterator<Item = Value>) -> Self {
        self.set("/creatives", creatives.into_iter().collect())
    }

    /// A field of its first creative.
    pub(crate) fn creative(self, key: &str, value: Value) -> Self {
        self.set(&format!("/creatives/0/{key}"), value)
    }

    pub(crate) fn deals(self, ids: &[&str]) -> Self {
        self.targeting("deals", json!(ids))
    }

    pub(crate) fn id(&self) -> String {
        self.0["campaign"]["id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn build(mut self) -> ServingCampaign {
        let campaign = self.0["campaign"]["id"].clone();
        for (at, creative) in self.0["creatives"].as_array_mut().unwrap().iter_mut().enumerate() {
            creative["id"] = json!(format!("crv_{}_{at}", campaign.as_str().unwrap()));
            creative["campaign_id"] = campaign.clone();
        }
        serde_json::from_value(self.0).unwrap()
    }
}

fn creative(format: &str, more: Value) -> Value {
    let mut creative = json!({
        "id": "", "campaign_id": "", "name": "c", "format": format, "click_url": "https://shop.example/",
        "adomain": ["shop.example"], "version": 1,
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    });
    creative
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    creative
}

pub(crate) fn banner(width: i64, height: i64) -> Value {
    creative(
        "banner",
        json!({"markup": "<b>hello</b>", "width": width, "height": height}),
    )
}

/// A VAST 3 inline MP4.
pub(crate) fn video(duration_ms: i64) -> Value {
    let more = json!({"markup": "<VAST/>", "width": 640, "height": 360, "duration_ms": duration_ms,
        "mimes": ["video/mp4"], "protocols": [3]});
    creative("video", more)
}

pub(crate) fn audio(duration_ms: i64) -> Value {
    let more =
        json!({"markup": "<VAST/>", "duration_ms": duration_ms, "mimes": ["audio/mpeg"], "protocols": [3]});
    creative("audio", more)
}

pub(crate) fn native() -> Value {
    creative(
        "native",
        json!({"assets": [
            {"kind": "title", "text": "Hello world"},
            {"kind": "image", "image_type": 3, "url": "https://cdn.example/i.png", "width": 1200, "height": 627},
            {"kind": "data", "data_type": 1, "value": "Shop"},
        ]}),
    )
}

/// One banner of 300x250 on a site in the USA.
pub(crate) fn site() -> Value {
    json!({
        "id": "request-1",
        "imp": [{"id": "1", "banner": {"w": 300, "h": 250}}],
        "site": {"domain": "news.example.com", "page": "https://news.example.com/a"},
        "device": {"geo": {"country": "USA"}, "devicetype": 2},
    })
}

/// The request with a field set by its JSON pointer; missing parents are made.
pub(crate) fn with(mut request: Value, pointer: &str, value: Value) -> Value {
    let mut place = &mut request;
    for key in pointer.trim_start_matches('/').split('/') {
        place = match key.parse::<usize>() {
            Ok(at) => &mut place[at],
            Err(_) => &mut place[key],
        };
    }
    *place = value;
    request
}

/// One imp of video, with the fields given.
pub(crate) fn video_imp(more: Value) -> Value {
    let mut video = json!({"mimes": ["video/mp4"], "protocols": [3], "minduration": 5, "maxduration": 30, "w": 640, "h": 360});
    video
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    with(site(), "/imp/0", json!({"id": "1", "video": video}))
}

pub(crate) struct World {
    pub(crate) snapshot: Snapshot,
    pub(crate) leases: Leases,
    pub(crate) user: OwnedUser,
    pub(crate) now: Now,
    pub(crate) scratch: Scratch,
    exchange: ServingExchange,
    campaigns: Vec<ServingCampaign>,
}

#[derive(Clone, Debug, Default)]
pub(crate) enum OwnedUser {
    #[default]
    Unidentified,
    Unavailable,
    /// (scope id, window ms, impressions), audiences.
    Known(Vec<(String, i64, u32)>, Vec<String>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    pub(crate) decisions: Vec<Decision>,
    pub(crate) reasons: Vec<Option<NoBidReason>>,
}

pub(crate) fn exchange(spec: Value) -> ServingExchange {
    let mut exchange = json!({"id": "default", "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
        "usd_rates_e9": {"EUR": 1_100_000_000, "JPY": 6_500_000}});
    exchange
        .as_object_mut()
        .unwrap()
        .extend(spec.as_object().unwrap().clone());
    serde_json::from_value(json!({"schema": 1, "generation": 1, "revision": 1, "exchange": exchange}))
        .unwrap()
}

/// Leases that never run out.
pub(crate) fn rich(count: usize) -> Leases {
    leases(&vec![(i64::MAX, i64::MAX, i64::MAX); count])
}

/// (nanos, bids, end on the monotonic clock) of each campaign.
pub(crate) fn leases(cells: &[(i64, i64, i64)]) -> Leases {
    Leases {
        cells: cells.iter().copied().map(cell).collect(),
    }
}

pub(crate) fn cell((nanos, bids, until_ms): (i64, i64, i64)) -> Arc<LeaseCell> {
    let cell = LeaseCell::default();
    cell.set_reserve_ceiling_nanos(nanos);
    cell.set_bids_ceiling(bids);
    cell.set_valid_until_monotonic_ms(until_ms);
    Arc::new(cell)
}

impl World {
    pub(crate) fn of(campaigns: impl IntoIterator<Item = CampaignBuilder>) -> Self {
        let campaigns: Vec<_> = campaigns.into_iter().map(CampaignBuilder::build).collect();
        let exchange = exchange(json!({}));
        let snapshot = Snapshot::build(campaigns.clone(), std::slice::from_ref(&exchange));
        Self {
            leases: rich(snapshot.len()),
            snapshot,
            user: OwnedUser::default(),
            now: NOW,
            scratch: Scratch::default(),
            exchange,
            campaigns,
        }
    }

    pub(crate) fn exchange(mut self, spec: Value) -> Self {
        self.exchange = exchange(spec);
        self.snapshot = Snapshot::build(self.campaigns.clone(), std::slice::from_ref(&self.exchange));
        self
    }

    pub(crate) fn traffic(mut self, traffic: Traffic) -> Self {
        self.snapshot = self.snapshot.clone().with_traffic(Arc::new(traffic));
        self
    }

    /// Of a catalog as it now is.
    pub(crate) fn of_catalog<T: Clone>(catalog: &Catalog<T>) -> Self {
        Self {
            snapshot: catalog.snapshot().clone(),
            leases: catalog.leases().clone(),
            ..Self::of([])
        }
    }

    pub(crate) fn user(mut self, user: OwnedUser) -> Self {
        self.user = user;
        self
    }

    pub(crate) fn leases(mut self, cells: &[(i64, i64, i64)]) -> Self {
        self.leases = leases(cells);
        self
    }

    /// The engine's answer, after checking that the reference agrees to all of it, leases included.
    pub(crate) fn bid(&mut self, request: &Value) -> Answer {
        self.bid_on_text(&request.to_string())
    }

    pub(crate) fn bid_on_text(&mut self, text: &str) -> Answer {
        let arena = Bump::new();
        let request = openrtb::read_request(text.as_bytes(), &arena).unwrap();
        let exchange = self.snapshot.exchange("default").unwrap();
        let copies = copy(&self.leases);
        let seen_before = opportunities(&self.leases);
        let mut decisions = Vec::new();
        let (now, scratch) = (self.now, &mut self.scratch);
        let outcome = self.user.view(|user| {
            bidding_engine::bid(
                &self.snapshot,
                exchange,
                &self.leases,
                &user,
                now,
                &request,
                scratch,
                &mut decisions,
            )
        });
        let expected = self
            .user
            .view(|user| oracle::bid(&self.snapshot, exchange, &copies, &user, now, &request));
        let answer = Answer {
            outcome,
            decisions,
            reasons: self.scratch.reasons().to_vec(),
        };
        assert_eq!(answer.outcome, expected.outcome, "{text}");
        assert_eq!(answer.decisions, expected.decisions, "{text}");
        assert_eq!(answer.reasons, expected.reasons, "{text}");
        assert_eq!(left(&self.leases), left(&copies), "{text}");
        let seen = opportunities(&self.leases).into_iter().zip(seen_before);
        let seen: Vec<i64> = seen.map(|(after, before)| after - before).collect();
        assert_eq!(seen, opportunities(&copies), "{text}");
        answer
    }

    /// Ids of the campaigns that bid.
    pub(crate) fn winners(&mut self, request: &Value) -> Vec<String> {
        let decisions = self.bid(request).decisions;
        decisions.iter().map(|decision| self.id(decision)).collect()
    }

    pub(crate) fn id(&self, decision: &Decision) -> String {
        self.snapshot.campaign(decision.campaign).unwrap().id.to_string()
    }

    pub(crate) fn reason(&mut self, request: &Value) -> Option<NoBidReason> {
        match self.bid(request).outcome {
            Outcome::Bid => None,
            Outcome::NoBid(reason) => Some(reason),
        }
    }

    /// What `explain` says is the first condition that fails, of each imp.
    pub(crate) fn explained(&self, request: &Value, number: usize) -> bidding_engine::Explanation {
        let arena = Bump::new();
        let text = request.to_string();
        let request = openrtb::read_request(text.as_bytes(), &arena).unwrap();
        let exchange = self.snapshot.exchange("default").unwrap();
        self.user
            .view(|user| {
                bidding_engine::explain(
                    &self.snapshot,
                    exchange,
                    &self.leases,
                    &user,
                    self.now,
                    &request,
                    number,
                )
            })
            .unwrap()
    }
}

impl OwnedUser {
    fn view<T>(&self, then: impl FnOnce(UserView<'_>) -> T) -> T {
        match self {
            Self::Unidentified => then(UserView::Unidentified),
            Self::Unavailable => then(UserView::Unavailable),
            Self::Known(counters, audiences) => {
                let counters: Vec<Counter<'_>> = counters
                    .iter()
                    .map(|(scope_id, window_ms, impressions)| Counter {
                        scope_id,
                        window_ms: *window_ms,
                        impressions: *impressions,
                    })
                    .collect();
                then(UserView::Known {
                    counters: &counters,
                    audiences,
                })
            }
        }
    }
}

fn copy(of: &Leases) -> Leases {
    let fresh = leases(&of.cells.iter().map(ceilings).collect::<Vec<_>>());
    for (cell, original) in fresh.cells.iter().zip(of.cells.iter()) {
        // A cell's past is made up for by lower ceilings.
        cell.set_bids_ceiling(original.bids_ceiling().saturating_sub(original.bids_total()));
        let left = original
            .reserve_ceiling_nanos()
            .saturating_sub(original.reserved_total_nanos());
        cell.set_reserve_ceiling_nanos(left);
    }
    fresh
}

fn ceilings(cell: &Arc<LeaseCell>) -> (i64, i64, i64) {
    (
        cell.reserve_ceiling_nanos(),
        cell.bids_ceiling(),
        cell.valid_until_monotonic_ms(),
    )
}

/// What is left of each lease: nanos and bids.
fn left(leases: &Leases) -> Vec<(i64, i64)> {
    let left = |cell: &Arc<LeaseCell>| {
        (
            cell.reserve_ceiling_nanos()
                .saturating_sub(cell.reserved_total_nanos()),
            cell.bids_ceiling().saturating_sub(cell.bids_total()),
        )
    };
    leases.cells.iter().map(left).collect()
}

fn opportunities(leases: &Leases) -> Vec<i64> {
    leases
        .cells
        .iter()
        .map(|cell| cell.opportunities_total())
        .collect()
}

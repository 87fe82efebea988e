//! The law: for any campaigns, leases and requests, the search decides exactly as the linear reference.

use crate::drawn::*;
use crate::world::*;
use bidding_engine::{Catalog, Change as CatalogChange, CompiledCampaign, Decision, Entry, Scratch};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::LazyJust;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// `World::bid` compares outcome, decisions, reasons and what is left of each lease. What a pod holds is looked at by
    /// itself.
    #[test]
    fn the_search_decides_as_the_reference(
        drawn in prop::collection::vec(drawn(), 0..12),
        requests in prop::collection::vec(request(), 1..6),
        user in user(),
        (exchange, traffic) in partner(),
    ) {
        let campaigns = drawn.iter().enumerate().map(|(number, drawn)| drawn.describe(number));
        let cells: Vec<_> = drawn.iter().map(|drawn| drawn.lease).collect();
        let mut world = World::of(campaigns).exchange(exchange).traffic(traffic).user(user).leases(&cells);
        for request in &requests {
            let answer = world.bid(request);
            assert_pods_hold_what_they_may(&world, request, &answer);
        }
    }
}

/// Within each pod no advertiser and no top category twice; within each slot of a dynamic one no more ads and seconds than
/// it has.
fn assert_pods_hold_what_they_may(world: &World, request: &Value, answer: &Answer) {
    let mut in_pods: BTreeMap<String, BTreeMap<usize, (String, Vec<String>)>> = BTreeMap::new();
    let mut in_slots: BTreeMap<(usize, Option<usize>), (u64, i64)> = BTreeMap::new();
    for decision in &answer.decisions {
        let imp = &request["imp"][decision.imp];
        let media = &imp[decision.format.as_str()];
        let campaign = world.snapshot.campaign(decision.campaign).unwrap();
        let creative = &campaign.creatives[decision.creative];
        if let Some(whole) = media["poddur"].as_i64() {
            let (ads, seconds) = in_slots.entry((decision.imp, decision.deal)).or_default();
            *ads += 1;
            *seconds += (decision.duration_ms.unwrap() + 999) / 1_000;
            assert!(
                *seconds <= whole && *ads <= media["maxseq"].as_u64().unwrap_or(20),
                "{request}"
            );
        } else {
            let others = answer
                .decisions
                .iter()
                .filter(|other| (other.imp, other.deal) == (decision.imp, decision.deal));
            assert!(
                others.count() == 1 || imp.to_string().contains("poddur"),
                "{request}"
            );
        }
        let pod = match (media["podid"].as_str(), media["poddur"].is_null()) {
            (Some(pod), _) => pod.to_owned(),
            (None, false) => format!("own of {}", decision.imp),
            (None, true) => continue,
        };
        let tops = creative
            .traits
            .categories
            .iter()
            .map(|name| format!("{} {}", creative.traits.cattax, name.split('-').next().unwrap()));
        let ads = in_pods.entry(pod).or_default();
        ads.insert(
            decision.campaign,
            (campaign.advertiser.id.to_string(), tops.collect()),
        );
    }
    for ads in in_pods.values() {
        let mut advertisers: Vec<&String> = ads.values().map(|(advertiser, _)| advertiser).collect();
        let mut tops: Vec<&String> = ads.values().flat_map(|(_, tops)| tops).collect();
        let counts = (advertisers.len(), tops.len());
        advertisers.sort_unstable();
        advertisers.dedup();
        tops.sort_unstable();
        tops.dedup();
        assert_eq!((advertisers.len(), tops.len()), counts, "{request}");
    }
}

/// What happens to campaigns between two requests.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Added(Box<Drawn>),
    Removed(Index),
    Replaced(Index, Box<Drawn>),
    Toggled(Index),
    Priced(Index, i64),
}

fn change() -> impl Strategy<Value = Change> {
    let which = any::<Index>;
    prop_oneof![
        3 => drawn().prop_map(|drawn| Change::Added(Box::new(drawn))),
        1 => which().prop_map(Change::Removed),
        1 => (which(), drawn()).prop_map(|(at, drawn)| Change::Replaced(at, Box::new(drawn))),
        1 => which().prop_map(Change::Toggled),
        1 => (which(), select(&[1, 1_000_000, 3_000_000, i64::MAX])).prop_map(|(at, cpm)| Change::Priced(at, cpm)),
    ]
}

impl Change {
    fn apply(self, campaigns: &mut Vec<Drawn>) {
        let place = |at: Index| (!campaigns.is_empty()).then(|| at.index(campaigns.len()));
        match self {
            Self::Added(drawn) => campaigns.push(*drawn),
            Self::Removed(at) => drop(place(at).map(|at| campaigns.remove(at))),
            Self::Replaced(at, drawn) => drop(place(at).map(|at| campaigns[at] = *drawn)),
            Self::Toggled(at) => drop(place(at).map(|at| campaigns[at].is_active ^= true)),
            Self::Priced(at, cpm_micros) => drop(place(at).map(|at| campaigns[at].cpm_micros = cpm_micros)),
        }
    }
}

/// Values that do not belong, for any place of a request.
fn odd_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        select(vec![
            json!(null),
            json!(0),
            json!(1),
            json!(-1),
            json!(3),
            json!(1e300),
            json!(u64::MAX),
            json!(""),
            json!("1"),
            json!("\u{0}"),
            json!("USD"),
            json!("com.a"),
            json!("d1"),
            json!([]),
            json!({}),
            json!([null, "IAB1", 7]),
            json!([{}]),
            json!({"id": "d1"}),
            json!(true),
        ]),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ]
}

/// Puts `value` into one of the places of `within`, counted depth first.
fn put(within: &mut Value, place: &mut usize, value: &Value) -> bool {
    if *place == 0 {
        *within = value.clone();
        return true;
    }
    *place -= 1;
    match within {
        Value::Array(items) => items.iter_mut().any(|item| put(item, place, value)),
        Value::Object(members) => members.values_mut().any(|member| put(member, place, value)),
        _ => false,
    }
}

/// Every field there is, less those that leave out all campaigns of this law.
fn full_request() -> Value {
    let text = include_str!("../../../openrtb/tests/samples/full-2.6.json");
    let mut request: Value = serde_json::from_str(text).unwrap();
    for restricting in ["cur", "wseat", "acat", "wlang", "wlangb", "regs"] {
        request.as_object_mut().unwrap().remove(restricting);
    }
    request
}

fn mutated_request() -> impl Strategy<Value = String> {
    let whole = prop_oneof![1 => LazyJust::new(full_request), 2 => request()];
    let values = prop::collection::vec((1..120_usize, odd_value()), 0..3);
    let bytes =
        prop_oneof![4 => Just(Vec::new()), 1 => prop::collection::vec((any::<Index>(), 32..127_u8), 1..3)];
    (whole, values, bytes).prop_map(|(mut request, values, bytes)| {
        for (mut place, value) in values {
            put(&mut request, &mut place, &value);
        }
        let mut text = request.to_string();
        for (at, byte) in bytes {
            let start = text.floor_char_boundary(at.index(text.len().max(1)));
            let end = text.ceil_char_boundary((start + 1).min(text.len()));
            text.replace_range(start..end, &char::from(byte).to_string());
        }
        text
    })
}

/// Campaigns, then changes and a request at each step, and the user of them all.
pub(crate) type History = (Vec<Drawn>, Vec<(Vec<Change>, String)>, OwnedUser);

pub(crate) fn history() -> impl Strategy<Value = History> {
    let step = (prop::collection::vec(change(), 0..4), mutated_request());
    (
        prop::collection::vec(drawn(), 0..12),
        prop::collection::vec(step, 1..8),
        user(),
    )
}

/// A catalog to which only what changed is told.
struct Patched {
    catalog: Catalog<()>,
    told: BTreeMap<String, (CampaignBuilder, (i64, i64, i64))>,
}

impl Patched {
    fn new() -> Self {
        Self {
            catalog: built([]),
            told: BTreeMap::new(),
        }
    }

    fn follow(&mut self, campaigns: &[Drawn]) {
        let described = campaigns.iter().enumerate();
        let wanted: BTreeMap<_, _> = described
            .map(|(number, drawn)| drawn.describe(number))
            .zip(campaigns)
            .map(|(described, drawn)| (described.id(), (described, drawn.lease)))
            .collect();
        let gone = self.told.keys().filter(|id| !wanted.contains_key(*id));
        let gone = gone.cloned().map(CatalogChange::Gone);
        let serves = wanted
            .iter()
            .filter(|(id, one)| self.told.get(*id) != Some(*one))
            .map(|(_, (described, lease))| CatalogChange::Serves(entry(described, *lease)));
        let changes: Vec<CatalogChange<()>> = gone.chain(serves).collect();
        self.catalog.apply(changes).unwrap();
        self.told = wanted;
        self.renew_leases();
    }

    /// What an earlier step took from a lease is no part of this law.
    fn renew_leases(&mut self) {
        for (number, cell) in self.catalog.leases().cells.iter().enumerate() {
            if let Some(campaign) = self.catalog.snapshot().campaign(number) {
                let (nanos, bids, until_ms) = self.told[campaign.id.as_str()].1;
                cell.set_reserve_ceiling_nanos(nanos.saturating_add(cell.reserved_total_nanos()));
                cell.set_bids_ceiling(bids.saturating_add(cell.bids_total()));
                cell.set_valid_until_monotonic_ms(until_ms);
            }
        }
    }
}

fn built(entries: impl IntoIterator<Item = Entry<()>>) -> Catalog<()> {
    let (campaigns, cells): (Vec<_>, _) = entries
        .into_iter()
        .map(|entry| ((entry.campaign, ()), entry.cell))
        .unzip();
    Catalog::build(campaigns, &[exchange(json!({}))], || cells)
}

fn entry(described: &CampaignBuilder, lease: (i64, i64, i64)) -> Entry<()> {
    Entry {
        campaign: Arc::new(CompiledCampaign::compile(described.clone().build())),
        cell: cell(lease),
        companion: (),
    }
}

/// An answer with campaigns by their ids: numbers are a snapshot's own.
fn by_id(world: &World, answer: Answer) -> (Answer, Vec<String>) {
    let ids = answer
        .decisions
        .iter()
        .map(|decision| world.id(decision))
        .collect();
    let decisions = answer.decisions.into_iter().map(|decision| Decision {
        campaign: 0,
        ..decision
    });
    let decisions = decisions.collect();
    (Answer { decisions, ..answer }, ids)
}

/// The buffers of one thread serve snapshot after snapshot, and requests that no exchange should send. A snapshot made
/// from the one before by what changed decides as one built anew.
pub(crate) fn decide_alike((mut campaigns, steps, user): History) {
    let mut scratch = Scratch::default();
    let mut patched = Patched::new();
    for (changes, text) in steps {
        changes
            .into_iter()
            .for_each(|change| change.apply(&mut campaigns));
        patched.follow(&campaigns);
        if openrtb::read_request(text.as_bytes(), &bumpalo::Bump::new()).is_err() {
            continue;
        }
        let anew = built(patched.told.values().map(|(of, lease)| entry(of, *lease)));
        let mut answers = Vec::new();
        for catalog in [&anew, &patched.catalog] {
            let mut world = World::of_catalog(catalog).user(user.clone());
            world.scratch = std::mem::take(&mut scratch);
            let answer = world.bid_on_text(&text);
            answers.push(by_id(&world, answer));
            scratch = std::mem::take(&mut world.scratch);
        }
        assert_eq!(answers[0], answers[1], "{text}");
        assert_eq!(anew.snapshot().len(), patched.catalog.snapshot().len());
        assert_eq!(
            anew.snapshot().needs_user_state(),
            patched.catalog.snapshot().needs_user_state()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn whatever_changes_and_whatever_is_sent_the_search_decides_as_the_reference(history in history()) {
        decide_alike(history);
    }
}

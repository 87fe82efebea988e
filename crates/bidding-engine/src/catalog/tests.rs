use super::*;
use domain::serving::ServingCampaign;
use serde_json::json;

fn exchange() -> ServingExchange {
    let exchange =
        json!({"id": "default", "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"});
    serde_json::from_value(json!({"schema": 1, "generation": 1, "revision": 1, "exchange": exchange}))
        .unwrap()
}

fn entry(id: &str, cpm_micros: i64) -> Entry<&'static str> {
    let serving: ServingCampaign = serde_json::from_value(json!({
        "schema": 1, "generation": 1, "revision": 1,
        "campaign": {
            "id": id, "advertiser_id": "adv_1", "name": "n", "status": "active",
            "flight": {"start": "2026-01-01T00:00:00Z"}, "budget": {"currency": "USD", "daily_micros": 1},
            "bid": {"max_cpm_micros": cpm_micros},
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
        },
        "advertiser": {"id": "adv_1", "status": "active", "conversion_lookback_days": 30},
        "creatives": [], "limits": {"daily_nanos": 1, "total_nanos": null}, "days": [],
    }))
    .unwrap();
    Entry {
        campaign: Arc::new(CompiledCampaign::compile(serving)),
        cell: Arc::default(),
        companion: "kept",
    }
}

/// Campaigns of 1 to `count` millionths.
fn catalog(count: i64) -> Catalog<&'static str> {
    let entries: Vec<_> = (1..=count).map(|cpm| entry(&format!("c{cpm}"), cpm)).collect();
    let cells = entries.iter().map(|entry| entry.cell.clone()).collect();
    let campaigns = entries.into_iter().map(|entry| (entry.campaign, entry.companion));
    Catalog::build(campaigns, &[exchange()], || cells)
}

fn bounds(catalog: &Catalog<&'static str>) -> Vec<i64> {
    let cards = catalog.snapshot.cards.iter();
    cards.map(|card| card.bound_usd_micros).collect()
}

/// Each campaign's bound holds for it and for all after it.
fn has_bounds_that_hold(catalog: &Catalog<&'static str>) -> bool {
    let snapshot = &catalog.snapshot;
    let bounds = bounds(catalog);
    bounds.is_sorted_by(|one, next| one >= next)
        && snapshot
            .numbered()
            .all(|(number, campaign)| campaign.max_cpm_micros <= snapshot.bound_usd_micros(number))
}

fn number_of(catalog: &Catalog<&'static str>, id: &str) -> Option<usize> {
    let mut numbered = catalog.snapshot.numbered();
    numbered
        .find(|(_, campaign)| campaign.id() == id)
        .map(|(number, _)| number)
}

#[test]
fn a_campaign_that_comes_takes_a_free_number_before_its_place_and_raises_no_bound() {
    let mut catalog = catalog(100);
    let bounds_before = bounds(&catalog);
    catalog.apply([Change::Serves(entry("new", 50))]).unwrap();
    let number = number_of(&catalog, "new").unwrap();
    assert!(number < number_of(&catalog, "c50").unwrap());
    assert!(number > number_of(&catalog, "c80").unwrap());
    assert_eq!(bounds(&catalog), bounds_before);
    assert_eq!(catalog.snapshot.len(), 101);
}

#[test]
fn the_best_of_all_comes_after_the_first_and_raises_their_bounds() {
    let mut catalog = catalog(100);
    catalog.apply([Change::Serves(entry("new", 1_000))]).unwrap();
    assert_eq!(number_of(&catalog, "new"), Some(SPREAD));
    assert_eq!(catalog.snapshot.bound_usd_micros(0), 1_000);
    assert!(has_bounds_that_hold(&catalog));
}

#[test]
fn a_campaign_of_the_same_price_keeps_its_number_and_one_of_another_moves() {
    let mut catalog = catalog(100);
    let before = number_of(&catalog, "c50");
    catalog.apply([Change::Serves(entry("c50", 50))]).unwrap();
    assert_eq!(number_of(&catalog, "c50"), before);
    catalog.apply([Change::Serves(entry("c50", 5))]).unwrap();
    assert!(number_of(&catalog, "c50") > before);
    assert_eq!(catalog.companions().get(before.unwrap()), Some(&None));
    assert!(has_bounds_that_hold(&catalog));
    assert_eq!(catalog.snapshot.len(), 100);
}

#[test]
fn a_copy_of_the_snapshot_sees_no_later_change_and_who_is_gone_leaves_no_lease() {
    let mut catalog = catalog(3);
    let (snapshot, cell) = (
        catalog.snapshot().clone(),
        catalog.leases().cells.get(1).cloned().unwrap(),
    );
    catalog
        .apply([Change::Gone("c2".to_owned()), Change::Gone("nobody".to_owned())])
        .unwrap();
    assert_eq!(snapshot.campaign(1).map(|one| one.id.as_str()), Some("c2"));
    assert!(catalog.snapshot().campaign(1).is_none());
    assert_eq!(
        Arc::strong_count(&cell),
        1,
        "no reader of what is new can bid on it"
    );
}

#[test]
fn without_a_number_left_it_asks_to_be_built_anew() {
    let mut catalog = catalog(2);
    let all: Vec<_> = (0..TAIL)
        .map(|n| Change::Serves(entry(&format!("n{n}"), 1)))
        .collect();
    catalog.apply(all).unwrap();
    assert!(has_bounds_that_hold(&catalog));
    let one_more = catalog.apply([Change::Serves(entry("n", 1))]);
    assert_eq!(one_more, Err(NeedsBuild::NoRoom));
}

#[test]
fn bounds_hold_and_numbers_stay_apart_through_any_changes() {
    let mut dice = 1_u64;
    let mut next = |below: u64| {
        dice = dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % below
    };
    let mut catalog = catalog(200);
    for _ in 0..2_000 {
        let id = format!("c{}", next(220));
        let change = match next(3) {
            0 => Change::Gone(id),
            _ => Change::Serves(entry(&id, i64::try_from(next(250)).unwrap())),
        };
        catalog.apply([change]).unwrap();
        let taken: Vec<usize> = catalog.snapshot.numbered().map(|(number, _)| number).collect();
        assert_eq!(taken.len(), catalog.snapshot.len());
        assert!(taken.iter().all(|number| !catalog.free.contains(number)));
        assert_eq!(taken.len() + catalog.free.len(), catalog.snapshot.numbers());
    }
    assert!(has_bounds_that_hold(&catalog));
    assert!(catalog.is_worn());
}

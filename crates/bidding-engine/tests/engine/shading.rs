//! First-price bids: the learned price, between floor and maximum; who wins does not depend on it.

use crate::world::{CampaignBuilder, World, banner, campaign, site, with};
use bidding_engine::{Decision, LearnedPrices, Market, MarketPrices, PriceLevel, PriceTable};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

fn first_price() -> Value {
    with(site(), "/at", json!(1))
}

fn world(campaigns: impl IntoIterator<Item = CampaignBuilder>) -> World {
    World::of(campaigns)
}

/// In this market every value from a cent on is bid `cpm_micros`.
fn learned(mut world: World, market: Market, cpm_micros: i64) -> World {
    let prices = LearnedPrices::default();
    prices.publish(PriceTable::new(vec![MarketPrices {
        market,
        first_value: PriceLevel::at_or_below(10_000),
        targets: Arc::new([PriceLevel::at_or_below(cpm_micros)]),
        explores_below: false,
        explores_above: false,
        chances: Arc::default(),
        known: Default::default(),
        bids: Arc::default(),
    }]));
    world.snapshot = world.snapshot.with_prices(prices);
    world
}

fn only(world: &mut World, request: &Value) -> Decision {
    let decisions = world.bid(request).decisions;
    assert_eq!(decisions.len(), 1);
    decisions[0]
}

fn market(request: &Value) -> Market {
    let decision = only(&mut world([campaign("c").cpm(2)]), request);
    decision.market.unwrap()
}

#[test]
fn an_unknown_market_is_bid_a_little_below_the_value_and_that_is_what_is_reserved() {
    let decision = only(&mut world([campaign("c").cpm(2)]), &first_price());
    assert_eq!(decision.price_cpm_micros, 1_800_000);
    assert_eq!(
        decision.terms.reservation_nanos(1_800_000),
        Ok(decision.reserved_nanos)
    );
}

#[test]
fn second_price_bids_the_value_and_a_market_of_its_own() {
    let second_price = with(site(), "/at", json!(2));
    let decision = only(&mut world([campaign("c").cpm(2)]), &second_price);
    assert_eq!(decision.price_cpm_micros, 2_000_000);
    assert_ne!(decision.market, Some(market(&first_price())));
}

#[test]
fn a_learned_price_is_bid_but_never_below_the_floor_nor_above_the_value() {
    let request = first_price();
    let mut world = learned(world([campaign("c").cpm(4)]), market(&request), 1_000_000);
    let target = PriceLevel::at_or_below(1_000_000).cpm_micros();
    assert_eq!(only(&mut world, &request).price_cpm_micros, target);
    let dear = with(request.clone(), "/imp/0/bidfloor", json!(3.5));
    assert_eq!(only(&mut world, &dear).price_cpm_micros, 3_500_000);
    let mut poor = learned(
        self::world([campaign("c").cpm_micros(500_000)]),
        market(&request),
        1_000_000,
    );
    assert_eq!(only(&mut poor, &request).price_cpm_micros, 500_000);
}

#[test]
fn the_higher_value_wins_whatever_its_price() {
    let request = first_price();
    let both = [campaign("low").cpm(3), campaign("high").cpm(4)];
    let mut world = learned(world(both), market(&request), 1_000_000);
    assert_eq!(world.winners(&request), ["high"]);
}

#[test]
fn markets_differ_by_format_place_deal_and_currency() {
    let creatives = [banner(300, 250), crate::world::video(15_000)];
    let rich = || campaign("c").cpm(2).creatives(creatives.clone()).deals(&["d"]);
    let deal = json!({"private_auction": 1, "deals": [{"id": "d", "at": 1}]});
    let video = with(crate::world::video_imp(json!({})), "/at", json!(1));
    let requests = [
        first_price(),
        with(first_price(), "/imp/0/instl", json!(1)),
        with(first_price(), "/cur", json!(["EUR"])),
        with(first_price(), "/imp/0/pmp", deal),
        video.clone(),
        with(video, "/imp/0/video/plcmt", json!(1)),
    ];
    let mut markets: Vec<Market> = requests
        .iter()
        .map(|request| only(&mut world([rich()]), request).market.unwrap())
        .collect();
    markets.sort_unstable();
    markets.dedup();
    assert_eq!(markets.len(), requests.len());
}

#[test]
fn guaranteed_and_fixed_price_deals_are_not_shaded() {
    let deal = |more: Value| {
        let mut deal = json!({"id": "d", "bidfloor": 1.5});
        deal.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        with(
            first_price(),
            "/imp/0/pmp",
            json!({"private_auction": 1, "deals": [deal]}),
        )
    };
    let price =
        |request: &Value| only(&mut world([campaign("c").cpm(2).deals(&["d"])]), request).price_cpm_micros;
    assert_eq!(price(&deal(json!({"at": 1, "guar": 1}))), 2_000_000);
    assert_eq!(price(&deal(json!({"at": 3}))), 1_500_000);
    assert_eq!(price(&deal(json!({"at": 1}))), 1_800_000);
}

proptest! {
    #[test]
    fn a_price_lies_between_floor_and_maximum_and_rises_with_value_floor_and_lift(
        learned_micros in 1..20_000_000_i64,
        values in (1..20_000_000_i64, 1..20_000_000_i64),
        floors in (0..20_000_i64, 0..20_000_i64),
        lifts in (0..=1_000_000_i64, 0..=1_000_000_i64),
    ) {
        let request = first_price();
        let market = market(&request);
        let bid = |value: i64, floor_thousandths: i64, lift_ppm: i64| {
            let mut world = learned(world([campaign("c").cpm_micros(value)]), market, learned_micros);
            world.leases.cells.iter().for_each(|cell| cell.set_price_lift_ppm(lift_ppm));
            let request = with(request.clone(), "/imp/0/bidfloor", json!(floor_thousandths as f64 / 1_000.0));
            let arena = bumpalo::Bump::new();
            let text = request.to_string();
            let read = openrtb::read_request(text.as_bytes(), &arena).unwrap();
            let mut decisions = Vec::new();
            bidding_engine::bid(
                &world.snapshot, world.snapshot.exchange("default").unwrap(), &world.leases,
                &bidding_engine::UserView::Unidentified, world.now, &read, &mut world.scratch, &mut decisions,
            );
            decisions.first().map(|decision| decision.price_cpm_micros)
        };
        let (value, floor, lift) = (values.0.min(values.1), floors.0.min(floors.1), lifts.0.min(lifts.1));
        if let Some(price) = bid(value, floor, lift) {
            prop_assert!(floor * 1_000 <= price && price <= value);
            let dearer = bid(values.0.max(values.1), floor, lift);
            prop_assert!(dearer >= Some(price));
            prop_assert!(bid(value, floor, lifts.0.max(lifts.1)) >= Some(price));
            let floored = bid(value, floors.0.max(floors.1), lift);
            prop_assert!(floored.is_none() || floored >= Some(price));
        }
    }
}

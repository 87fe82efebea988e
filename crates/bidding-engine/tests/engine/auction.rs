//! Slots, winners, floors, currencies, prices and leases.

use crate::world::*;
use bidding_engine::NoBidReason::*;
use domain::money::Terms;
use serde_json::{Value, json};
use std::collections::HashMap;

const MAX: i64 = i64::MAX;

fn floor(micros_text: &str, currency: &str) -> Value {
    with(
        with(site(), "/imp/0/bidfloor", json!(micros_text)),
        "/imp/0/bidfloorcur",
        json!(currency),
    )
}

fn pmp(private: i64, deals: Value) -> Value {
    with(
        site(),
        "/imp/0/pmp",
        json!({"private_auction": private, "deals": deals}),
    )
}

fn imps(count: usize) -> Value {
    let imps = (0..count).map(|at| json!({"id": at.to_string(), "banner": {"w": 300, "h": 250}}));
    with(site(), "/imp", imps.collect())
}

#[test]
fn the_highest_value_wins_and_is_the_price() {
    let mut world = World::of([
        campaign("low").cpm(1),
        campaign("high").cpm(3),
        campaign("mid").cpm(2),
    ]);
    let answer = world.bid(&site());
    assert_eq!(world.id(&answer.decisions[0]), "high");
    let decision = answer.decisions[0];
    assert_eq!(decision.price_cpm_micros, 3_000_000);
    assert_eq!(decision.reserved_nanos, 3_000_000);
    assert_eq!(
        (decision.terms, decision.test, decision.deal),
        (Terms::default(), false, None)
    );
    assert_eq!(world.winners(&with(site(), "/at", json!(1))), ["high"]);
}

#[test]
fn equals_share_equally() {
    let mut world = World::of(["a", "b", "c", "d"].map(campaign));
    let mut wins: HashMap<String, u32> = HashMap::new();
    for request in 0..4_000 {
        let winner = world
            .winners(&with(site(), "/id", json!(format!("request-{request}"))))
            .remove(0);
        *wins.entry(winner).or_default() += 1;
    }
    // A standard deviation is 27; the seed is fixed by the ids.
    assert!(
        wins.len() == 4 && wins.values().all(|wins| (890..1_110).contains(wins)),
        "{wins:?}"
    );
}

#[test]
fn creatives_rotate_by_weight() {
    let mut world = World::of([campaign("a")
        .creatives([banner(300, 250), banner(300, 250), banner(1, 1)])
        .creative("weight", json!(3))]);
    let mut shown = [0; 3];
    for request in 0..4_000 {
        let answer = world.bid(&with(site(), "/id", json!(format!("request-{request}"))));
        shown[answer.decisions[0].creative] += 1;
    }
    assert!(
        (2_890..3_110).contains(&shown[0]) && shown[0] + shown[1] == 4_000,
        "{shown:?}"
    );
    let mut never = World::of([campaign("a").creative("weight", json!(0))]);
    assert_eq!(never.reason(&site()), Some(Format));
}

#[test]
fn a_floor_can_be_met_exactly() {
    let mut world = World::of([campaign("a").cpm(2)]);
    assert_eq!(world.reason(&floor("2", "USD")), None);
    assert_eq!(world.reason(&floor("2.000001", "USD")), Some(Floor));
    // 1 EUR is 1.1 USD.
    assert_eq!(world.reason(&floor("1.818181", "EUR")), None);
    assert_eq!(world.reason(&floor("1.818182", "EUR")), Some(Floor));
    assert_eq!(world.reason(&floor("0.01", "CHF")), Some(FloorCurrency));
    assert_eq!(world.reason(&floor("0", "CHF")), None);
}

#[test]
fn the_deals_own_floor_comes_first_and_its_currency_does_not_inherit() {
    let mut world = World::of([campaign("a")
        .cpm(2)
        .deals(&["d"])
        .targeting("open_auction", json!(false))]);
    let priced = |deal: Value| {
        with(
            with(pmp(0, json!([deal])), "/imp/0/bidfloor", json!(3)),
            "/imp/0/bidfloorcur",
            json!("JPY"),
        )
    };
    assert_eq!(world.reason(&priced(json!({"id": "d", "bidfloor": 2}))), None);
    assert_eq!(
        world.reason(&priced(json!({"id": "d", "bidfloor": 3}))),
        Some(Floor)
    );
    // Without one of its own, the imp's: 3 JPY is far below 2 USD.
    assert_eq!(world.reason(&priced(json!({"id": "d"}))), None);
}

#[test]
fn floors_for_a_duration_come_before_the_imps() {
    let of = |duration_ms: i64| campaign("a").cpm(2).creatives([video(duration_ms)]);
    let durfloors = json!([{"mindur": 1, "maxdur": 15, "bidfloor": 2}, {"mindur": 16, "bidfloor": 2.5}]);
    let by_range = with(
        video_imp(json!({"durfloors": durfloors})),
        "/imp/0/bidfloor",
        json!(9),
    );
    assert_eq!(World::of([of(15_000)]).reason(&by_range), None);
    assert_eq!(World::of([of(16_000)]).reason(&by_range), Some(Floor));
    let by_second = video_imp(json!({"mincpmpersec": 0.1}));
    assert_eq!(World::of([of(20_000)]).reason(&by_second), None);
    assert_eq!(World::of([of(20_001)]).reason(&by_second), Some(Floor));
}

#[test]
fn one_currency_serves_the_whole_response() {
    let mut world = World::of([
        campaign("usd").cpm_micros(1_000_000),
        campaign("eur").currency("EUR").cpm_micros(950_000),
    ]);
    let answer = world.bid(&site());
    // 0.95 EUR is 1.045 USD.
    let decision = answer.decisions[0];
    assert_eq!(
        (world.id(&decision).as_str(), decision.price_cpm_micros),
        ("eur", 1_045_000)
    );
    assert_eq!(decision.bid_currency.as_str(), "USD");
    assert!(
        decision.reserved_nanos <= 950_000,
        "never more than its maximum: {}",
        decision.reserved_nanos
    );

    let in_euro = world.bid(&with(site(), "/cur", json!(["GBP", "EUR"])));
    assert_eq!(in_euro.decisions[0].bid_currency.as_str(), "EUR");
    assert_eq!(in_euro.decisions[0].price_cpm_micros, 950_000);
    assert_eq!(in_euro.decisions[0].reserved_nanos, 950_000);
}

#[test]
fn each_deal_and_the_open_auction_get_a_bid_of_their_own() {
    let mut world = World::of([
        campaign("open").cpm(5),
        campaign("one").cpm(4).deals(&["d1"]),
        campaign("both").cpm(3).deals(&["d1", "d2"]),
    ]);
    let request = pmp(0, json!([{"id": "d1"}, {"id": "d2"}, {"id": "d3"}]));
    let answer = world.bid(&request);
    let found: Vec<_> = answer
        .decisions
        .iter()
        .map(|decision| (world.id(decision), decision.deal))
        .collect();
    let expected = [("open", None), ("one", Some(0)), ("both", Some(1))];
    assert_eq!(found, expected.map(|(id, deal)| (id.to_owned(), deal)));
}

/// Two exchanges may give two sellers' deals the same id.
#[test]
fn a_deal_of_an_exchange_is_met_there_alone() {
    let mut world = World::of([
        campaign("there").cpm(5).deals(&["elsewhere\u{1f}d"]),
        campaign("here").cpm(4).deals(&["default\u{1f}d"]),
        campaign("anywhere").cpm(3).deals(&["d"]),
    ]);
    let request = pmp(1, json!([{"id": "d"}]));
    let answer = world.bid(&request);
    assert_eq!(world.id(&answer.decisions[0]), "here");
    let mut alone = World::of([campaign("there").deals(&["elsewhere\u{1f}d"])]);
    assert_eq!(alone.reason(&request), Some(Deal));
    // Nor may an exchange speak for another.
    let forged = pmp(1, json!([{"id": "elsewhere\u{1f}d"}]));
    assert_eq!(alone.reason(&forged), Some(Deal));
}

#[test]
fn a_private_auction_takes_deals_only_and_a_deal_campaign_may_want_nothing_else() {
    let mut open = World::of([campaign("a")]);
    assert_eq!(open.reason(&pmp(1, json!([{"id": "d"}]))), Some(Deal));
    assert_eq!(open.reason(&pmp(1, json!([]))), Some(Deal));
    let mut only_deals = World::of([campaign("a")
        .deals(&["d"])
        .targeting("open_auction", json!(false))]);
    assert_eq!(only_deals.reason(&site()), Some(Deal));
    assert_eq!(only_deals.reason(&pmp(1, json!([{"id": "d"}]))), None);
}

#[test]
fn a_deal_chooses_its_seats_and_advertisers() {
    let mut world = World::of([campaign("a")
        .deals(&["d"])
        .set("/advertiser/seats", json!({"default": "s1"}))]);
    let deal = |more: Value| {
        let mut deal = json!({"id": "d"});
        deal.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        pmp(1, json!([deal]))
    };
    assert_eq!(world.reason(&deal(json!({"wseat": ["s1"]}))), None);
    assert_eq!(world.reason(&deal(json!({"wseat": ["s2"]}))), Some(DealSeat));
    assert_eq!(world.reason(&deal(json!({"wadomain": ["shop.example"]}))), None);
    assert_eq!(
        world.reason(&deal(json!({"wadomain": ["other.example"]}))),
        Some(DealAdvertiser)
    );
}

#[test]
fn a_fixed_price_deal_costs_what_it_says() {
    let mut world = World::of([campaign("a").cpm(5).deals(&["d"])]);
    let fixed = |floor: i64| pmp(1, json!([{"id": "d", "at": 3, "bidfloor": floor}]));
    let decision = world.bid(&fixed(2)).decisions[0];
    assert_eq!(
        (decision.price_cpm_micros, decision.reserved_nanos),
        (2_000_000, 2_000_000)
    );
    assert_eq!(world.reason(&fixed(6)), Some(Floor));
}

#[test]
fn a_fixed_price_is_converted_from_the_deals_currency() {
    let mut world = World::of([campaign("a").cpm(5).deals(&["d"])]);
    let in_euro = json!([{"id": "d", "at": 3, "bidfloor": 2, "bidfloorcur": "EUR"}]);
    let decision = world.bid(&pmp(1, in_euro)).decisions[0];
    assert_eq!(
        (decision.price_cpm_micros, decision.bid_currency.as_str()),
        (2_200_000, "USD")
    );
}

#[test]
fn how_the_price_is_found_is_the_deals_word_then_the_requests_then_the_exchanges() {
    let world = |auction_type: i64| {
        World::of([campaign("a").cpm(5).deals(&["d"])]).exchange(json!({"auction_type": auction_type}))
    };
    let kinds = |world: &mut World, request: &Value| -> Vec<u16> {
        let decisions = world.bid(request).decisions;
        decisions.iter().map(|decision| decision.auction_type).collect()
    };
    let deal = |deal: Value| pmp(0, json!([deal]));
    let silent = deal(json!({"id": "d"}));
    assert_eq!(kinds(&mut world(1), &silent), [1, 1]);
    assert_eq!(kinds(&mut world(2), &silent), [2, 2]);
    assert_eq!(kinds(&mut world(2), &with(silent, "/at", json!(1))), [1, 1]);
    let fixed = with(deal(json!({"id": "d", "at": 3, "bidfloor": 2})), "/at", json!(1));
    assert_eq!(kinds(&mut world(2), &fixed), [1, 3]);
    // A request's own 3 is the price of deals alone.
    let all_fixed = with(deal(json!({"id": "d", "bidfloor": 2})), "/at", json!(3));
    let prices: Vec<i64> = world(2)
        .bid(&all_fixed)
        .decisions
        .iter()
        .map(|decision| decision.price_cpm_micros)
        .collect();
    assert_eq!(prices, [5_000_000, 2_000_000]);
}

#[test]
fn a_guaranteed_deal_ignores_pacing_but_never_the_lease() {
    let of = |cell: (i64, i64, i64)| World::of([campaign("a").deals(&["d"])]).leases(&[cell]);
    let guaranteed = pmp(1, json!([{"id": "d", "guar": 1}]));
    let paced = (2_000_000, 0, MAX);
    assert_eq!(of(paced).reason(&pmp(1, json!([{"id": "d"}]))), Some(Paced));
    let mut world = of(paced);
    assert_eq!(world.explained(&guaranteed, 0).imps[0].first, None);
    assert_eq!(world.reason(&guaranteed), None);
    assert_eq!(world.reason(&guaranteed), None);
    assert_eq!(world.reason(&guaranteed), Some(Budget));
    assert_eq!(world.explained(&guaranteed, 0).imps[0].first, Some(Budget));
    assert_eq!(of((2_000_000, 9, 0)).reason(&guaranteed), Some(NoLease));
}

#[test]
fn a_fee_and_a_multiplier_are_reserved_too() {
    let mut world = World::of([campaign("a").set("/campaign/fee_ppm", json!(100_000))]);
    let decision = world
        .bid(&with(site(), "/imp/0/qty", json!({"multiplier": 14.2})))
        .decisions[0];
    assert_eq!(
        (decision.terms.fee_ppm, decision.terms.multiplier_micros),
        (100_000, 14_200_000)
    );
    assert_eq!(decision.reserved_nanos, 15_620_000);
}

#[test]
fn a_price_beyond_64_bits_is_no_bid() {
    let mut world = World::of([campaign("a").cpm_micros(i64::MAX / 2)]);
    assert_eq!(
        world.reason(&with(site(), "/imp/0/qty", json!({"multiplier": 1000}))),
        Some(Price)
    );
    assert_eq!(
        World::of([campaign("a").cpm_micros(0)]).reason(&site()),
        Some(Price)
    );
}

#[test]
fn who_is_withheld_gives_way_to_the_next() {
    let two = || World::of([campaign("rich").cpm(2), campaign("next").cpm(1)]);
    for withheld in [(0, 1, MAX), (2_000_000, 0, MAX), (2_000_000, 1, NOW.monotonic_ms)] {
        let mut world = two().leases(&[withheld, (1_000_000, 1, MAX)]);
        assert_eq!(world.winners(&site()), ["next"]);
        let seen: Vec<i64> = world
            .leases
            .cells
            .iter()
            .map(|cell| cell.opportunities_total())
            .collect();
        assert_eq!(seen, [1, 1]);
    }
    let mut world = two().leases(&[(2_000_000, 1, MAX), (1_000_000, 1, MAX)]);
    assert_eq!(world.winners(&site()), ["rich"]);
    assert_eq!(
        world.leases.cells.get(1).unwrap().opportunities_total(),
        0,
        "it could not have won"
    );
}

#[test]
fn the_furthest_of_the_withheld_names_the_reason() {
    let reason = |cell: (i64, i64, i64)| World::of([campaign("a")]).leases(&[cell]).reason(&site());
    assert_eq!(reason((1_000_000, 1, 0)), Some(NoLease));
    assert_eq!(reason((1_000_000, 0, MAX)), Some(Paced));
    assert_eq!(reason((999_999, 1, MAX)), Some(Budget));
    let mut without_cells = World::of([campaign("a")]).leases(&[]);
    assert_eq!(without_cells.reason(&site()), Some(NoLease));
    let mut two = World::of([campaign("a"), campaign("b")]).leases(&[(0, 1, MAX), (1, 1, 0)]);
    assert_eq!(two.reason(&site()), Some(Budget));
}

#[test]
fn imps_are_decided_in_order_from_one_lease() {
    let shared = [campaign("a").cpm(3), campaign("b").cpm(2), campaign("c").cpm(1)];
    let mut world = World::of(shared);
    let answer = world.bid(&imps(4));
    let found: Vec<_> = answer
        .decisions
        .iter()
        .map(|decision| (decision.imp, world.id(decision)))
        .collect();
    assert_eq!(
        found,
        [(0, "a".to_owned()), (1, "b".to_owned()), (2, "c".to_owned())]
    );
    assert_eq!(answer.reasons, [None, None, None, Some(AdvertiserRepeated)]);
}

#[test]
fn an_advertiser_bids_on_one_imp_but_there_in_every_slot() {
    let own = |id: &str, cpm: i64| campaign(id).advertiser("adv").cpm(cpm);
    let mut world = World::of([own("a", 2), own("b", 1).deals(&["d"])]);
    let request = with(imps(2), "/imp/0/pmp", json!({"deals": [{"id": "d"}]}));
    let answer = world.bid(&request);
    assert_eq!(
        answer
            .decisions
            .iter()
            .map(|decision| decision.imp)
            .collect::<Vec<_>>(),
        [0, 0]
    );
    assert_eq!(answer.reasons, [None, Some(AdvertiserRepeated)]);
}

#[test]
fn one_campaign_in_two_slots_is_one_opportunity_and_two_reservations() {
    let mut world = World::of([campaign("a").deals(&["d"])]).leases(&[(1_000_000, 5, MAX)]);
    let answer = world.bid(&pmp(0, json!([{"id": "d"}])));
    assert_eq!(
        answer
            .decisions
            .iter()
            .map(|decision| decision.deal)
            .collect::<Vec<_>>(),
        [None]
    );
    assert_eq!(world.leases.cells.get(0).unwrap().opportunities_total(), 1);
}

#[test]
fn no_top_category_comes_twice_in_a_pod() {
    let of = |id: &str, cpm: i64, category: &str| {
        campaign(id)
            .cpm(cpm)
            .creatives([video(15_000)])
            .creative("categories", json!([category]))
    };
    let mut world = World::of([of("a", 3, "IAB2-1"), of("b", 2, "IAB2-2"), of("c", 1, "IAB3")]);
    let imp = |id: &str, pod: &str| {
        with(video_imp(json!({"podid": pod})), "/imp/0/id", json!(id))["imp"][0].clone()
    };
    let one_pod = with(
        site(),
        "/imp",
        json!([imp("1", "p"), imp("2", "p"), imp("3", "p")]),
    );
    assert_eq!(world.winners(&one_pod), ["a", "c"]);
    assert_eq!(world.bid(&one_pod).reasons[2], Some(PodCategory));
    let two_pods = with(site(), "/imp", json!([imp("1", "p"), imp("2", "q")]));
    assert_eq!(world.winners(&two_pods), ["a", "b"]);
}

#[test]
fn a_test_request_bids_and_reserves_nothing() {
    let mut world = World::of([campaign("a")]).leases(&[(0, 0, 0)]);
    let decision = world.bid(&with(site(), "/test", json!(1))).decisions[0];
    assert_eq!(
        (decision.test, decision.reserved_nanos, decision.price_cpm_micros),
        (true, 0, 1_000_000)
    );
    assert_eq!(world.leases.cells.get(0).unwrap().opportunities_total(), 0);
}

#[test]
fn the_reason_is_the_condition_that_leaves_nobody() {
    let mut world = World::of([
        campaign("elsewhere").targeting("geo", json!({"allow": [{"country": "DEU"}]})),
        campaign("poor").cpm_micros(1),
        campaign("large").creatives([banner(728, 90)]),
    ]);
    assert_eq!(world.reason(&floor("1", "USD")), Some(Floor));
    let mut narrower = World::of([
        campaign("elsewhere").targeting("geo", json!({"allow": [{"country": "DEU"}]})),
        campaign("large").creatives([banner(728, 90)]),
    ]);
    assert_eq!(narrower.reason(&site()), Some(NoFittingSize));
}

#[test]
fn a_decision_names_the_day_that_pays() {
    let days = json!([
        {"date": "2026-11-22", "start_ms": DAY_START_MS - 86_400_000, "end_ms": DAY_START_MS},
        {"date": "2026-11-23", "start_ms": DAY_START_MS, "end_ms": DAY_START_MS + 86_400_000},
    ]);
    let mut world = World::of([campaign("a").set("/days", days)]);
    assert_eq!(world.bid(&site()).decisions[0].day, 1);
}

/// The imp's floor is nothing that the deal agreed on.
#[test]
fn a_fixed_price_deal_that_names_no_price_costs_the_value() {
    let mut world = World::of([campaign("a").cpm(5).deals(&["d"])]);
    let asked = with(pmp(1, json!([{"id": "d", "at": 3}])), "/imp/0/bidfloor", json!(2));
    assert_eq!(world.bid(&asked).decisions[0].price_cpm_micros, 5_000_000);
    assert_eq!(
        world.reason(&with(asked, "/imp/0/bidfloor", json!(6))),
        Some(Floor)
    );
}

/// What a play is billed for is multiplied: a number that is nothing, or beyond counting, must not be taken for one.
#[test]
fn a_multiplier_that_cannot_be_reckoned_with_gets_no_bid() {
    let mut world = World::of([campaign("a").cpm_micros(1)]);
    for multiplier in [json!(0), json!(-2), json!(1e300), json!(i64::MAX)] {
        let asked = with(site(), "/imp/0/qty", json!({"multiplier": multiplier}));
        assert_eq!(world.reason(&asked), Some(Price), "{multiplier}");
    }
    let tenth = with(site(), "/imp/0/qty", json!({"multiplier": 0.1}));
    let decision = World::of([campaign("a")]).bid(&tenth).decisions[0];
    assert_eq!(
        (decision.price_cpm_micros, decision.reserved_nanos),
        (1_000_000, 100_000)
    );
}

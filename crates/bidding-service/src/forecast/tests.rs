use super::*;
use crate::known_user::KnownUser;
use crate::samples::Sample;
use bidding_engine::{Market, MarketPrices, Now, PriceLevel, PriceTable, Snapshot, UserView, explain_draft};
use bumpalo::Bump;
use domain::serving::ServingExchange;
use proptest::prelude::*;
use serde_json::json;
use std::time::Duration;

const NOON_MS: i64 = 1_795_435_200_000;

fn live() -> Live {
    let exchange: ServingExchange = serde_json::from_value(json!({
        "schema": 1, "generation": 1, "revision": 1,
        "exchange": {"id": "default", "name": "default", "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"},
    }))
    .unwrap();
    Live {
        snapshot: Snapshot::build([], &[exchange]),
        ..Live::default()
    }
}

fn question() -> Value {
    json!({
        "campaign": {
            "name": "n", "flight": {"start": "2030-01-01T00:00:00Z"}, "bid": {"max_cpm_micros": 2_000_000},
            "budget": {"currency": "USD", "daily_micros": 1}, "targeting": {"geo": {"allow": [{"country": "DEU"}]}},
        },
        "creatives": [{
            "name": "n", "format": "banner", "width": 300, "height": 250, "click_url": "https://l.example",
            "adomain": ["l.example"], "markup": "<a href=\"{CLICK_URL}\">x</a>",
        }],
    })
}

fn draft(question: Value) -> Result<Draft, Vec<String>> {
    let question: Question = serde_json::from_value(question).unwrap();
    let pointers = |mistakes: Vec<platform::http::FieldError>| {
        let mut pointers: Vec<String> = mistakes.into_iter().map(|mistake| mistake.pointer).collect();
        pointers.dedup();
        pointers
    };
    question.check().map_err(pointers)
}

/// One request and how often it came.
#[derive(Clone, Debug)]
struct Seen {
    country: &'static str,
    auction_type: u8,
    width: u16,
    floors_micros: Vec<i64>,
    weight: u64,
}

impl Seen {
    fn body(&self) -> Vec<u8> {
        let imp = |(at, floor): (usize, &i64)| {
            let floor = *floor as f64 / 1_000_000.0;
            json!({"id": at.to_string(), "banner": {"w": self.width, "h": 250}, "bidfloor": floor})
        };
        let request = json!({
            "id": "r", "at": self.auction_type, "site": {"domain": "news.example"},
            "device": {"geo": {"country": self.country}},
            "imp": self.floors_micros.iter().enumerate().map(imp).collect::<Vec<_>>(),
        });
        request.to_string().into_bytes()
    }

    fn sample(&self) -> Sample {
        let at = Instant::now();
        Sample {
            exchange: "default".into(),
            body: self.body().into(),
            user: Arc::new(KnownUser::Nobody),
            weight: self.weight,
            since: at,
            at,
            unix_ms: NOON_MS,
        }
    }
}

fn fitting(auction_type: u8, floor_micros: i64) -> Seen {
    Seen {
        country: "DEU",
        auction_type,
        width: 300,
        floors_micros: vec![floor_micros],
        weight: 10,
    }
}

/// Where a banner meets its rivals under this type of auction.
fn market(auction_type: u8) -> Market {
    let (live, body, arena) = (live(), fitting(auction_type, 0).body(), Bump::new());
    let request = openrtb::read_request(&body, &arena).unwrap();
    let exchange = live.snapshot.exchange("default").unwrap();
    let now = Now {
        unix_ms: NOON_MS,
        monotonic_ms: 0,
    };
    let campaigns = draft(question()).unwrap().compile(None, NOON_MS);
    let explained = explain_draft(
        &live.snapshot,
        exchange,
        &UserView::Unidentified,
        now,
        &request,
        &campaigns[0],
    );
    explained.imps[0].creatives[0].price.unwrap().market.unwrap()
}

/// By level the chance to win in ten-thousandths; outcomes have told of what lies between two prices.
fn prices(auction_type: u8, chance_e4: impl Fn(i64) -> u16, known: (i64, i64)) -> LearnedPrices {
    let levels = (0..PriceLevel::COUNT).filter_map(PriceLevel::at);
    let prices = LearnedPrices::default();
    prices.publish(PriceTable::new(vec![MarketPrices {
        market: market(auction_type),
        first_value: PriceLevel::FIRST,
        targets: Arc::default(),
        explores_below: false,
        explores_above: false,
        chances: levels.map(|level| chance_e4(level.cpm_micros())).collect(),
        known: (PriceLevel::at_or_below(known.0), PriceLevel::at_or_below(known.1)),
        bids: Arc::default(),
    }]));
    prices
}

fn sums(question: Value, seen: &[Seen], prices: LearnedPrices) -> Sums {
    let draft = draft(question).unwrap();
    let samples = seen.iter().map(Seen::sample).collect();
    let job = Job::new(&live(), prices, samples, &draft, NOON_MS);
    let mut sums = Sums::of(draft.max_cpms_micros().len());
    job.add(0..job.len(), &mut sums);
    sums
}

/// One second-price market in which the least that wins is 1 or 2 USD a thousand, four and four times of ten.
fn two_rivals() -> LearnedPrices {
    let chance = |cpm_micros| match cpm_micros {
        ..1_000_000 => 0,
        1_000_000..2_000_000 => 4_000,
        _ => 8_000,
    };
    prices(2, chance, (1_000, 1_000_000_000))
}

fn at(max_cpm_micros: i64) -> Value {
    let mut question = question();
    question["max_cpm_micros"] = json!([max_cpm_micros]);
    question
}

#[test]
fn under_second_price_it_pays_what_the_rivals_bid_and_the_floor_at_least() {
    let expected = |maximum: i64, floor: i64| {
        let sums = sums(at(maximum), &[fitting(2, floor)], two_rivals());
        let at = &sums.at_maxima[0];
        assert_eq!(at.low, at.high);
        (at.eligible, at.low.wins_e4, at.low.spend_e4_nanos)
    };
    let level_of_one = i128::from(PriceLevel::at_or_above(1_000_000).unwrap().cpm_micros());
    let level_of_two = i128::from(PriceLevel::at_or_above(2_000_000).unwrap().cpm_micros());
    let nanos = |sum: i128| u128::try_from(10 * sum).unwrap();
    assert_eq!(expected(500_000, 0), (10, 0, 0));
    let (_, wins, spend) = expected(1_500_000, 0);
    assert_eq!((wins, spend), (40_000, nanos(4_000 * level_of_one)));
    let (_, wins, spend) = expected(5_000_000, 0);
    assert_eq!(
        (wins, spend),
        (80_000, nanos(4_000 * level_of_one + 4_000 * level_of_two))
    );
    let (_, wins, spend) = expected(5_000_000, 1_500_000);
    assert_eq!(
        (wins, spend),
        (80_000, nanos(4_000 * 1_500_000 + 4_000 * level_of_two))
    );
    assert_eq!(expected(1_000_000, 1_500_000), (0, 0, 0));
}

#[test]
fn under_first_price_it_pays_its_bid_with_the_fee() {
    let mut question = at(2_000_000);
    question["campaign"]["fee_ppm"] = 100_000.into();
    let learned = prices(1, |_| 5_000, (1_000, 1_000_000_000));
    let sums = sums(question, &[fitting(1, 0)], learned);
    let at = &sums.at_maxima[0];
    // Nine tenths of the value, as nothing else has been learned to be best.
    let paid = u128::from(1_800_000_u32 + 180_000);
    assert_eq!((at.low.wins_e4, at.low.spend_e4_nanos), (50_000, 50_000 * paid));
    let told = sums.told(&Told {
        currency: "USD".parse().unwrap(),
        max_cpms_micros: vec![2_000_000],
        span_ms: 1_000,
    });
    let told = &told["by_max_cpm"][0];
    assert_eq!((&told["wins_low"], &told["wins_high"]), (&5.into(), &5.into()));
    assert_eq!(told["spend_micros_low"], 9_900);
    assert_eq!(told["paid_cpm_micros_high"], 1_980_000);
    assert_eq!(told["per_day"]["wins_high"], 432_000);
}

#[test]
fn what_was_not_learned_is_told_as_a_range() {
    // Nobody has bid in this market: it may win nothing or all.
    let unknown = sums(at(2_000_000), &[fitting(2, 0)], LearnedPrices::default());
    let at_maximum = &unknown.at_maxima[0];
    assert_eq!((at_maximum.eligible, at_maximum.unknown), (10, 10));
    assert_eq!(at_maximum.low, Default::default());
    assert_eq!(at_maximum.high.wins_e4, 100_000);
    // Bids were made at 1 to 2 USD alone.
    let chance = |cpm_micros: i64| u16::try_from(cpm_micros / 1_000).unwrap_or(9_000).min(9_000);
    let learned = prices(2, chance, (1_000_000, 2_000_000));
    let range = |maximum| {
        let sums = sums(at(maximum), &[fitting(2, 0)], learned.clone());
        let at = &sums.at_maxima[0];
        assert_eq!(at.unknown, 0);
        (at.low.wins_e4 / 10, at.high.wins_e4 / 10)
    };
    let level = |cpm_micros| u128::from(chance(PriceLevel::at_or_below(cpm_micros).cpm_micros()));
    assert_eq!(range(500_000), (0, level(500_000)));
    assert_eq!(range(1_500_000), (level(1_500_000), level(1_500_000)));
    assert_eq!(range(4_000_000), (level(2_000_000), level(4_000_000)));
}

#[test]
fn what_a_second_price_costs_below_what_was_tried_is_told_as_a_range() {
    let learned = prices(2, |_| 5_000, (1_000_000, 1_000_000_000));
    let sums = sums(at(2_000_000), &[fitting(2, 300_000)], learned);
    let at = &sums.at_maxima[0];
    assert_eq!((at.low.wins_e4, at.high.wins_e4), (50_000, 50_000));
    let lowest_tried = PriceLevel::at_or_below(1_000_000).cpm_micros();
    assert_eq!(at.low.spend_e4_nanos, 50_000 * 300_000);
    assert_eq!(
        at.high.spend_e4_nanos,
        50_000 * u128::try_from(lowest_tried).unwrap()
    );
}

#[test]
fn what_is_lost_is_told_by_the_condition_that_loses_it_whatever_the_price() {
    let abroad = Seen {
        country: "USA",
        ..fitting(2, 0)
    };
    let narrow = Seen {
        width: 468,
        weight: 3,
        ..fitting(2, 90_000_000)
    };
    let sums = sums(
        question(),
        &[abroad, narrow, fitting(2, 90_000_000)],
        two_rivals(),
    );
    let lost: Vec<(&str, u64)> = sums
        .lost
        .iter()
        .map(|(reason, imps)| (reason.as_str(), *imps))
        .collect();
    assert_eq!(lost, [("country", 10), ("no_fitting_size", 3)]);
    assert_eq!((sums.requests, sums.imps, sums.opportunities), (23, 23, 10));
    assert!(sums.at_maxima.iter().all(|at| at.eligible == 0));
}

#[test]
fn dates_and_statuses_of_a_draft_do_not_count_but_its_day_parts_do() {
    let mut later = question();
    later["campaign"]["status"] = "paused".into();
    later["campaign"]["flight"] = json!({"start": "2031-01-01T00:00:00Z", "end": "2031-02-01T00:00:00Z"});
    let all = sums(later.clone(), &[fitting(2, 0)], two_rivals());
    assert_eq!(all.opportunities, 10);
    // The sample is of a Monday noon, UTC.
    later["campaign"]["targeting"]["day_parts"] =
        json!([{"days": ["tuesday"], "start_minute": 0, "end_minute": 1_440}]);
    let none = sums(later, &[fitting(2, 0)], two_rivals());
    assert_eq!(
        none.lost.keys().map(|reason| reason.as_str()).collect::<Vec<_>>(),
        ["day_part"]
    );
}

#[test]
fn the_prices_looked_at_are_around_the_drafts_own_unless_the_question_says() {
    let maxima = |question| draft(question).unwrap().max_cpms_micros().to_vec();
    let own = maxima(question());
    assert!(own.contains(&2_000_000) && own.first() == Some(&500_000) && own.last() == Some(&8_000_000));
    let mut asked = question();
    asked["max_cpm_micros"] = json!([3, 1, 3]);
    assert_eq!(maxima(asked), [1, 3]);
    let mut dearest = question();
    dearest["campaign"]["bid"]["max_cpm_micros"] = 1_000_000_000_000_i64.into();
    assert_eq!(maxima(dearest).last(), Some(&1_000_000_000_000));
}

#[test]
fn all_mistakes_of_a_question_are_told_at_once() {
    let mut question = question();
    question["campaign"]["bid"]["max_cpm_micros"] = 0.into();
    question["campaign"]["more"] = 1.into();
    question["creatives"][0]["width"] = "wide".into();
    question["max_cpm_micros"] = json!([1, 0, 2_000_000_000_000_i64]);
    assert_eq!(
        draft(question.clone()).unwrap_err(),
        [
            "/campaign/bid/max_cpm_micros",
            "/campaign/more",
            "/creatives/0/width",
            "/max_cpm_micros/1",
            "/max_cpm_micros/2",
        ]
    );
    question["creatives"] = json!([]);
    question["max_cpm_micros"] = json!([]);
    let told = draft(question).unwrap_err();
    assert_eq!(told[2..], ["/creatives", "/max_cpm_micros"]);
}

#[test]
fn a_deal_goes_by_its_exchanges_id() {
    let mut question = question();
    question["campaign"]["targeting"]["deals"] = json!(["their-deal", "dea_01k0000000000000000000000"]);
    assert_eq!(draft(question).unwrap_err(), ["/campaign/targeting/deals/1"]);
}

#[test]
fn without_time_or_samples_there_is_nothing_to_tell() {
    let told = sums(question(), &[], two_rivals()).told(&Told {
        currency: "USD".parse().unwrap(),
        max_cpms_micros: vec![1],
        span_ms: 0,
    });
    assert_eq!(told["requests"], 0);
    assert_eq!(told["lost"], json!([]));
    assert_eq!(told["by_max_cpm"][0]["paid_cpm_micros_high"], Value::Null);
    assert_eq!(told["by_max_cpm"][0]["per_day"]["wins_high"], 0);
}

fn any_seen() -> impl Strategy<Value = Seen> {
    let floors = prop::collection::vec(0..9_000_000_i64, 1..3);
    let parts = (
        prop::sample::select(vec!["DEU", "DEU", "USA"]),
        1..=2_u8,
        prop::sample::select(vec![300_u16, 300, 468]),
        floors,
        1..1_000_u64,
    );
    parts.prop_map(|(country, auction_type, width, floors_micros, weight)| Seen {
        country,
        auction_type,
        width,
        floors_micros,
        weight,
    })
}

/// A curve that rises by steps, and what of it is known.
fn any_prices() -> impl Strategy<Value = LearnedPrices> {
    let steps = prop::collection::vec((0..10_000_000_i64, 0..3_000_u16), 0..6);
    (1..=2_u8, steps, 1_000..9_000_000_i64, 1_000..9_000_000_i64).prop_map(|(auction_type, steps, a, b)| {
        let chance = |cpm_micros: i64| {
            let below = steps.iter().filter(|(from, _)| *from <= cpm_micros);
            below.map(|(_, chance)| *chance).sum::<u16>().min(10_000)
        };
        prices(auction_type, chance, (a.min(b), a.max(b)))
    })
}

fn of_maximum(sums: &Sums, at: usize) -> [u128; 5] {
    let of = &sums.at_maxima[at];
    let (low, high) = (of.low, of.high);
    [
        of.eligible.into(),
        low.wins_e4,
        high.wins_e4,
        low.spend_e4_nanos,
        high.spend_e4_nanos,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_higher_maximum_never_brings_less_and_no_more_than_there_is(
        seen in prop::collection::vec(any_seen(), 1..8),
        prices in any_prices(),
        mut maxima in prop::collection::vec(1..12_000_000_i64, 2..6),
        fee_ppm in 0..200_000_i64,
    ) {
        maxima.sort_unstable();
        maxima.dedup();
        let mut question = question();
        question["campaign"]["fee_ppm"] = fee_ppm.into();
        question["max_cpm_micros"] = json!(maxima);
        let all = sums(question.clone(), &seen, prices.clone());
        prop_assert_eq!(all.opportunities + all.lost.values().sum::<u64>(), all.imps);
        let of_all: Vec<[u128; 5]> = (0..maxima.len()).map(|at| of_maximum(&all, at)).collect();
        for two in of_all.windows(2) {
            prop_assert!(two[0].iter().zip(&two[1]).all(|(lower, higher)| lower <= higher), "{two:?}");
        }
        for ([eligible, wins_low, wins_high, spend_low, spend_high], maximum) in of_all.iter().zip(&maxima) {
            prop_assert!(*eligible <= u128::from(all.opportunities));
            prop_assert!(wins_low <= wins_high && *wins_high <= eligible * 10_000);
            let dearest = u128::try_from(maximum + maximum * fee_ppm / 1_000_000 + 1).unwrap();
            prop_assert!(spend_low <= spend_high && *spend_high <= wins_high * dearest);
        }
        for (at, maximum) in maxima.iter().enumerate() {
            question["max_cpm_micros"] = json!([maximum]);
            let alone = sums(question.clone(), &seen, prices.clone());
            let counted = |sums: &Sums| (sums.requests, sums.imps, sums.opportunities, sums.lost.clone());
            prop_assert_eq!(counted(&alone), counted(&all));
            prop_assert_eq!(of_maximum(&alone, 0), of_all[at]);
        }
    }

    #[test]
    fn figures_grow_with_the_requests_a_sample_stands_for(
        seen in prop::collection::vec(any_seen(), 1..6),
        prices in any_prices(),
        times in 1..50_u64,
    ) {
        let once = sums(question(), &seen, prices.clone());
        let more: Vec<Seen> = seen.into_iter().map(|one| Seen { weight: one.weight * times, ..one }).collect();
        let more = sums(question(), &more, prices);
        prop_assert_eq!(more.requests, once.requests * times);
        prop_assert_eq!(more.opportunities, once.opportunities * times);
        for at in 0..once.at_maxima.len() {
            prop_assert_eq!(of_maximum(&more, at), of_maximum(&once, at).map(|sum| sum * u128::from(times)));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_forecast_takes_the_samples_in_turns_and_counts_each() {
    let live = Arc::new(ArcSwap::from_pointee(live()));
    let store = storage_sqlite::SqliteStore::open("sqlite::memory:", Arc::new(|| 0))
        .await
        .unwrap();
    let shutdown = platform::Shutdown::new(Default::default(), platform::Readiness::new());
    let clock = Clock::manual(NOON_MS);
    let (sampler, samples) =
        crate::samples::Sampler::start(live.clone(), Arc::new(store), clock.clone(), &shutdown);
    let requests = 2 * u64::try_from(AT_ONCE).unwrap() + 1;
    let body = Bytes::from(fitting(2, 0).body());
    for _ in 0..requests {
        sampler.seen("default", &body, Instant::now());
        tokio::time::advance(Duration::from_millis(100)).await;
        tokio::task::yield_now().await;
    }
    let forecaster = Forecaster {
        live,
        samples,
        prices: LearnedPrices::default(),
        clock,
        administrator: Administrator(None),
    };
    let told = forecaster.forecast(draft(question()).unwrap()).await.unwrap();
    assert_eq!(told["sampled_requests"], requests);
    assert_eq!(told["opportunities"], requests);
    assert_eq!(told["span_ms"], requests * 100);
    assert_eq!(told["per_day"]["requests"], 864_000);
    shutdown.background().cancel();
}

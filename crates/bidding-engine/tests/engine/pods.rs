//! Video and audio pods (OpenRTB 2.6, 7.6): dynamic ones are filled by several bids, structured ones are imps of one
//! `podid`.

use crate::world::*;
use bidding_engine::NoBidReason::*;
use serde_json::{Value, json};

/// A video of so many seconds in a category of its own, of an advertiser of its own.
fn spot(id: &str, seconds: i64, cpm: i64) -> CampaignBuilder {
    let mut creative = video(seconds * 1_000);
    creative["categories"] = json!([format!("IAB{}", 1 + id.bytes().map(u64::from).sum::<u64>() % 23)]);
    campaign(id).cpm(cpm).creatives([creative])
}

fn pod(more: Value) -> Value {
    let mut imp = video_imp(json!({"minduration": 0, "maxduration": 60}));
    for (key, value) in more.as_object().unwrap() {
        imp = with(imp, &format!("/imp/0/video/{key}"), value.clone());
    }
    imp
}

#[test]
fn a_dynamic_pod_is_filled_best_first_within_its_time() {
    let mut world = World::of([
        spot("a", 30, 5),
        spot("b", 30, 4),
        spot("c", 15, 3),
        spot("d", 15, 2),
        spot("e", 10, 1),
    ]);
    assert_eq!(world.winners(&pod(json!({"poddur": 75}))), ["a", "b", "c"]);
    // 15 s are left after a and b: d's turn would be next, but the time is c's; 10 s are left for e.
    assert_eq!(world.winners(&pod(json!({"poddur": 85}))), ["a", "b", "c", "e"]);
    assert_eq!(world.winners(&pod(json!({"poddur": 29}))), ["c", "e"]);
    assert_eq!(world.reason(&pod(json!({"poddur": 9}))), Some(Duration));
}

#[test]
fn a_dynamic_pod_takes_no_more_ads_than_it_asks_for() {
    let mut world = World::of((b'a'..=b'z').map(|id| spot(&char::from(id).to_string(), 2, 1)));
    let ads = |world: &mut World, pod: &Value| world.bid(pod).decisions.len();
    assert_eq!(ads(&mut world, &pod(json!({"poddur": 60, "maxseq": 3}))), 3);
    assert_eq!(ads(&mut world, &pod(json!({"poddur": 6, "maxseq": 9}))), 3);
    let endless = ads(&mut world, &pod(json!({"poddur": 4_000_000_000_u32})));
    assert_eq!(endless, 20, "not more than anybody could mean");
    assert_eq!(
        ads(&mut world, &pod(json!({"maxseq": 3}))),
        1,
        "without a time to fill it is one ad"
    );
}

#[test]
fn begun_seconds_count_and_exact_durations_bind_each_ad() {
    let long = spot("a", 10, 5).creatives([video(9_100)]);
    let mut world = World::of([long.clone(), spot("b", 10, 4)]);
    assert_eq!(world.winners(&pod(json!({"poddur": 19}))), ["a"]);
    let mut world = World::of([long, spot("b", 15, 4)]);
    assert_eq!(
        world.winners(&pod(json!({"poddur": 60, "rqddurs": [15, 30]}))),
        ["b"]
    );
    assert_eq!(
        world.reason(&pod(json!({"poddur": 10, "rqddurs": [15, 30]}))),
        Some(Duration)
    );
}

#[test]
fn each_ad_of_a_pod_pays_for_its_seconds() {
    let mut world = World::of([spot("a", 30, 3), spot("b", 15, 2)]);
    // 0.11 a second: 3.30 for a, 1.65 for b.
    assert_eq!(
        world.winners(&pod(json!({"poddur": 60, "mincpmpersec": 0.11}))),
        ["b"]
    );
    let ranges = json!([{"mindur": 16, "bidfloor": 2.5}, {"maxdur": 15, "bidfloor": 2.5}]);
    assert_eq!(
        world.winners(&pod(json!({"poddur": 60, "durfloors": ranges}))),
        ["a"]
    );
}

#[test]
fn nobody_comes_twice_in_a_pod_whether_by_advertiser_or_category() {
    let same_advertiser = spot("b", 10, 4).advertiser("a");
    let mut same_category = video(10_000);
    same_category["categories"] = json!(["IAB7-1"]);
    let c = spot("c", 10, 3).creatives([same_category.clone()]);
    same_category["categories"] = json!(["IAB7-2"]);
    let d = spot("d", 10, 2).creatives([same_category]);
    let mut world = World::of([spot("a", 10, 5), same_advertiser, c, d, spot("e", 10, 1)]);
    assert_eq!(world.winners(&pod(json!({"poddur": 60}))), ["a", "c", "e"]);
}

#[test]
fn a_deal_has_the_whole_pod_beside_the_open_auction() {
    let dealers = ["c", "d"].map(|id| {
        spot(id, 30, 1)
            .deals(&["d1"])
            .targeting("open_auction", json!(false))
    });
    let mut world = World::of([spot("a", 30, 5), spot("b", 30, 4)].into_iter().chain(dealers));
    let asked = with(
        pod(json!({"poddur": 60})),
        "/imp/0/pmp",
        json!({"deals": [{"id": "d1"}]}),
    );
    let answer = world.bid(&asked);
    let won: Vec<_> = answer
        .decisions
        .iter()
        .map(|one| (one.deal, world.id(one)))
        .collect();
    let dealers_won = won.iter().filter(|(deal, _)| *deal == Some(0)).count();
    assert_eq!((won.len(), dealers_won), (4, 2), "{won:?}");
    assert_eq!(won[0], (None, "a".to_owned()));
}

/// The exchange may take both, so they must not be of one category; of one campaign they are one ad.
#[test]
fn a_deal_and_the_open_auction_put_nothing_twice_in_a_pod() {
    let alike = |id: &str, cpm| {
        let mut creative = video(10_000);
        creative["categories"] = json!(["IAB7"]);
        campaign(id).cpm(cpm).creatives([creative])
    };
    let dealer = |id: &str| {
        alike(id, 1)
            .deals(&["d1"])
            .targeting("open_auction", json!(false))
    };
    let asked = with(
        pod(json!({"podid": "p"})),
        "/imp/0/pmp",
        json!({"deals": [{"id": "d1"}]}),
    );
    assert_eq!(World::of([alike("a", 5), dealer("b")]).winners(&asked), ["a"]);
    assert_eq!(
        World::of([alike("a", 5).deals(&["d1"])]).winners(&asked),
        ["a", "a"]
    );
    let unlike = dealer("b").creatives([video(10_000)]);
    assert_eq!(
        World::of([alike("a", 5), unlike.clone()]).winners(&asked),
        ["a", "b"]
    );
    assert_eq!(
        World::of([alike("a", 5), unlike.advertiser("a")]).winners(&asked),
        ["a"]
    );
}

#[test]
fn a_pod_of_audio_is_filled_too_and_a_banner_ends_it() {
    let sounds = ["a", "b", "c"].map(|id| campaign(id).creatives([audio(15_000)]));
    let audio_pod = json!({"mimes": ["audio/mpeg"], "poddur": 30});
    let asked = with(site(), "/imp/0", json!({"id": "1", "audio": audio_pod}));
    assert_eq!(World::of(sounds).bid(&asked).decisions.len(), 2);
    let asked = with(
        pod(json!({"poddur": 60})),
        "/imp/0/banner",
        json!({"w": 300, "h": 250}),
    );
    let mut world = World::of([campaign("banner").cpm(9), spot("a", 10, 5), spot("b", 10, 4)]);
    assert_eq!(world.winners(&asked), ["banner"]);
}

#[test]
fn what_a_lease_has_left_ends_with_the_ads_of_the_pod() {
    let mut world = World::of([spot("a", 10, 2), spot("b", 10, 1)]);
    world = world.leases(&[(i64::MAX, 0, i64::MAX), (i64::MAX, 1, i64::MAX)]);
    assert_eq!(world.winners(&pod(json!({"poddur": 60}))), ["b"]);
    assert_eq!(world.reason(&pod(json!({"poddur": 60}))), Some(Paced));
}

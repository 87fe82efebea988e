//! What is used of a user, and when it is not.

use crate::world::*;
use bidding_engine::NoBidReason::*;
use serde_json::{Value, json};

const DAY_MS: i64 = 86_400_000;

fn capped(unidentified: &str, scope: &str) -> CampaignBuilder {
    let cap = json!([{"impressions": 2, "window": "day", "scope": scope, "unidentified": unidentified}]);
    campaign("a")
        .advertiser("adv")
        .set("/campaign/frequency_caps", cap)
}

fn seen(scope_id: &str, window_ms: i64, impressions: u32) -> OwnedUser {
    OwnedUser::Known(vec![(scope_id.to_owned(), window_ms, impressions)], Vec::new())
}

fn coppa() -> Value {
    with(site(), "/regs/coppa", json!(1))
}

#[test]
fn a_cap_counts_in_its_scope_and_window() {
    for (scope, id) in [("campaign", "a"), ("advertiser", "adv"), ("creative", "crv_a_0")] {
        let reason = |user: OwnedUser| World::of([capped("skip", scope)]).user(user).reason(&site());
        assert_eq!(reason(seen(id, DAY_MS, 1)), None, "{scope}");
        assert_eq!(reason(seen(id, DAY_MS, 2)), Some(FrequencyCap), "{scope}");
        assert_eq!(reason(seen(id, DAY_MS / 24, 9)), None, "another window: {scope}");
        assert_eq!(reason(seen("else", DAY_MS, 9)), None, "another scope: {scope}");
    }
}

#[test]
fn a_capped_creative_gives_way_to_another() {
    let two = capped("skip", "creative").creatives([banner(300, 250), banner(300, 250)]);
    let mut world = World::of([two]).user(seen("crv_a_0", DAY_MS, 2));
    assert_eq!(world.bid(&site()).decisions[0].creative, 1);
}

#[test]
fn without_a_user_a_cap_does_what_it_says_and_so_it_does_when_the_user_may_not_be_known() {
    for (request, user) in [
        (site(), OwnedUser::Unidentified),
        (coppa(), seen("a", DAY_MS, 0)),
        (coppa(), OwnedUser::Unavailable),
    ] {
        assert_eq!(
            World::of([capped("skip", "campaign")])
                .user(user.clone())
                .reason(&request),
            Some(FrequencyCap)
        );
        assert_eq!(
            World::of([capped("bid", "campaign")]).user(user).reason(&request),
            None
        );
    }
}

#[test]
fn a_late_user_state_leaves_out_those_who_need_it() {
    let of_list = campaign("a").targeting("audiences", json!({"block": ["aud_1"]}));
    for needing in [capped("bid", "campaign"), of_list] {
        assert_eq!(
            World::of([needing]).user(OwnedUser::Unavailable).reason(&site()),
            Some(UserStateUnavailable)
        );
    }
    let of_segment = campaign("a").targeting("audiences", json!({"block": ["segment:p:1"]}));
    for other in [campaign("a"), of_segment] {
        assert_eq!(
            World::of([other]).user(OwnedUser::Unavailable).reason(&site()),
            None
        );
    }
}

#[test]
fn audiences_are_own_lists_and_segments_of_the_request() {
    let mut own = World::of([campaign("a").targeting("audiences", json!({"allow": ["aud_1"]}))]);
    assert_eq!(own.reason(&site()), Some(Audience));
    own.user = OwnedUser::Known(Vec::new(), vec!["aud_1".to_owned()]);
    assert_eq!(own.reason(&site()), None);
    assert_eq!(own.reason(&coppa()), Some(Audience));

    let mut segments = World::of([campaign("a").targeting("audiences", json!({"allow": ["segment:p:7"]}))]);
    let data = json!([{"id": "p", "segment": [{"id": "7"}]}]);
    assert_eq!(segments.reason(&with(site(), "/user/data", data.clone())), None);
    assert_eq!(
        segments.reason(&with(coppa(), "/user/data", data)),
        Some(Audience)
    );
}

#[test]
fn places_are_coarse_where_a_user_may_not_be_known() {
    let geo = json!({"country": "DEU", "region": "BE", "city": "Berlin", "zip": "10115", "lat": 52.52, "lon": 13.4});
    let open = with(site(), "/device/geo", geo);
    let closed = with(open.clone(), "/device/lmt", json!(1));
    let circle =
        json!({"latitude_micros": 52_520_000, "longitude_micros": 13_400_000, "radius_meters": 1000});
    for place in [
        json!({"city": "berlin"}),
        json!({"zip": "10115"}),
        json!({"radius": circle}),
    ] {
        let mut world = World::of([campaign("a").targeting("geo", json!({"allow": [place]}))]);
        assert_eq!(world.reason(&open), None);
        assert_eq!(world.reason(&closed), Some(Geo));
    }
    let coarse = campaign("a").targeting("geo", json!({"allow": [{"country": "DEU", "region": "BE"}]}));
    assert_eq!(World::of([coarse]).reason(&closed), None);
}

#[test]
fn keywords_of_the_user_are_the_users() {
    let mut world = World::of([campaign("a").targeting("keywords", json!({"allow": ["cars"]}))]);
    let known = with(site(), "/user/keywords", json!("cars"));
    assert_eq!(world.reason(&known), None);
    assert_eq!(world.reason(&with(known, "/device/dnt", json!(1))), Some(Keyword));
}

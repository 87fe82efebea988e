//! Conditions of the campaign: each refuses what it should, and nothing else.

use crate::world::*;
use bidding_engine::NoBidReason::{self, *};
use serde_json::{Value, json};

/// The campaign bids on the first request; on the second it drops out, for this reason. `explain` agrees.
#[track_caller]
fn bids_on_one_not_the_other(campaign: CampaignBuilder, yes: &Value, no: &Value, reason: NoBidReason) {
    let mut world = World::of([campaign]);
    assert_eq!(world.reason(yes), None, "should bid on {yes}");
    assert_eq!(world.reason(no), Some(reason), "should not bid on {no}");
    assert_eq!(world.explained(yes, 0).imps[0].first, None);
    assert_eq!(world.explained(no, 0).imps[0].first, Some(reason));
}

/// The same for a targeting list: the request has the value, another has not.
#[track_caller]
fn targets(key: &str, value: &str, pointer: &str, yes: Value, no: Value, reason: NoBidReason) {
    let yes = with(site(), pointer, yes);
    let no = with(site(), pointer, no);
    let allowing = campaign("a").targeting(key, json!({"allow": [value]}));
    bids_on_one_not_the_other(allowing, &yes, &no, reason);
    let blocking = campaign("a").targeting(key, json!({"block": [value]}));
    bids_on_one_not_the_other(blocking, &no, &yes, reason);
}

#[test]
fn a_campaign_that_is_not_active_does_not_bid() {
    for (pointer, status) in [
        ("/campaign/status", "paused"),
        ("/campaign/status", "draft"),
        ("/advertiser/status", "paused"),
    ] {
        let mut world = World::of([campaign("a").set(pointer, json!(status))]);
        assert_eq!(world.reason(&site()), Some(NoActiveCampaign));
        assert_eq!(world.explained(&site(), 0).imps[0].first, Some(NoActiveCampaign));
    }
    assert_eq!(World::of([]).reason(&site()), Some(NoActiveCampaign));
}

#[test]
fn a_paused_exchange_gets_nothing() {
    let mut world = World::of([campaign("a")]).exchange(json!({"status": "paused"}));
    assert_eq!(world.reason(&site()), Some(ExchangePaused));
}

#[test]
fn exchanges_are_targeted_by_id() {
    let other = campaign("a").targeting("exchanges", json!({"allow": ["other"]}));
    assert_eq!(World::of([other]).reason(&site()), Some(Exchange));
    let own = campaign("a").targeting("exchanges", json!({"allow": ["default"]}));
    assert_eq!(World::of([own]).reason(&site()), None);
}

#[test]
fn inventory_is_site_app_or_dooh() {
    let app =
        json!({"id": "r", "imp": [{"id": "1", "banner": {"w": 300, "h": 250}}], "app": {"bundle": "com.a"}});
    let of_apps = campaign("a").targeting("inventory", json!({"allow": ["app"]}));
    bids_on_one_not_the_other(of_apps, &app, &site(), Inventory);
    let not_apps = campaign("a").targeting("inventory", json!({"block": ["app"]}));
    bids_on_one_not_the_other(not_apps, &site(), &app, Inventory);
}

#[test]
fn devices_connections_and_carriers_are_targeted() {
    targets(
        "devices",
        "phone",
        "/device/devicetype",
        json!(4),
        json!(5),
        Device,
    );
    targets(
        "devices",
        "mobile",
        "/device/devicetype",
        json!(5),
        json!(3),
        Device,
    );
    targets(
        "connections",
        "cellular",
        "/device/connectiontype",
        json!(6),
        json!(2),
        Connection,
    );
    targets(
        "connections",
        "5g",
        "/device/connectiontype",
        json!(7),
        json!(6),
        Connection,
    );
    targets(
        "carriers",
        "vodafone",
        "/device/carrier",
        json!("VODAFONE"),
        json!("O2"),
        Carrier,
    );
}

#[test]
fn systems_browsers_and_languages_are_targeted() {
    targets(
        "operating_systems",
        "macos",
        "/device/os",
        json!("Mac OS X"),
        json!("Windows"),
        OperatingSystem,
    );
    targets(
        "browsers",
        "firefox",
        "/device/ua",
        json!("Mozilla/5.0 Firefox/1"),
        json!("Mozilla/5.0 Chrome/1"),
        Browser,
    );
    targets(
        "languages",
        "de",
        "/device/language",
        json!("de-AT"),
        json!("en"),
        Language,
    );
}

#[test]
fn countries_and_what_lies_in_them_are_targeted() {
    let california = campaign("a").targeting("geo", json!({"allow": [{"country": "USA", "region": "CA"}]}));
    let usa = |region: &str| with(site(), "/device/geo", json!({"country": "usa", "region": region}));
    bids_on_one_not_the_other(california.clone(), &usa("CA"), &usa("NY"), Geo);
    bids_on_one_not_the_other(
        california.clone(),
        &usa("US-CA"),
        &with(site(), "/device/geo", json!({"country": "CAN", "region": "CA"})),
        Country,
    );
    bids_on_one_not_the_other(
        california,
        &usa("CA"),
        &with(site(), "/device/geo", json!({})),
        Country,
    );
    let elsewhere = campaign("a").targeting("geo", json!({"block": [{"city": "Berlin"}, {"zip": "10001"}]}));
    bids_on_one_not_the_other(
        elsewhere.clone(),
        &site(),
        &with(site(), "/device/geo/city", json!("BERLIN")),
        Geo,
    );
    bids_on_one_not_the_other(
        elsewhere,
        &site(),
        &with(site(), "/device/geo/zip", json!("10001")),
        Geo,
    );
}

#[test]
fn a_radius_holds_what_is_near() {
    let circle =
        json!({"latitude_micros": 52_520_000, "longitude_micros": 13_405_000, "radius_meters": 10_000});
    let berlin = campaign("a").targeting("geo", json!({"allow": [{"radius": circle}]}));
    let at = |lat: f64| {
        with(
            with(site(), "/device/geo/lat", json!(lat)),
            "/device/geo/lon",
            json!(13.4),
        )
    };
    bids_on_one_not_the_other(berlin.clone(), &at(52.55), &at(52.65), Geo);
    bids_on_one_not_the_other(berlin, &at(52.55), &site(), Geo);
}

#[test]
fn a_domain_covers_its_subdomains() {
    targets(
        "sites",
        "example.com",
        "/site/domain",
        json!("a.b.example.com"),
        json!("notexample.com"),
        Site,
    );
    let of_page = with(site(), "/site", json!({"page": "https://www.example.com/x"}));
    let own = campaign("a").targeting("sites", json!({"allow": ["example.com"]}));
    bids_on_one_not_the_other(own, &of_page, &with(site(), "/site", json!({})), Site);
}

#[test]
fn bundles_of_apps_are_exact() {
    let app = |bundle: &str| json!({"id": "r", "imp": [{"id": "1", "banner": {"w": 300, "h": 250}}], "app": {"bundle": bundle}});
    let own = campaign("a").targeting("apps", json!({"allow": ["com.a"]}));
    bids_on_one_not_the_other(own, &app("com.a"), &app("com.a.b"), App);
    let blocking = campaign("a").targeting("apps", json!({"block": ["com.a"]}));
    bids_on_one_not_the_other(blocking, &app("com.b"), &app("com.a"), App);
}

#[test]
fn lists_of_sites_and_of_apps_bind_each_its_own() {
    let app = |bundle: &str| json!({"id": "r", "imp": [{"id": "1", "banner": {"w": 300, "h": 250}}], "app": {"bundle": bundle}});
    let page = |domain: &str| with(site(), "/site", json!({"domain": domain}));
    let screen =
        json!({"id": "r", "imp": [{"id": "1", "banner": {"w": 300, "h": 250}}], "dooh": {"id": "d"}});
    let both = || {
        campaign("a")
            .targeting(
                "sites",
                json!({"allow": ["example.com"], "block": ["bad.example.com"]}),
            )
            .targeting("apps", json!({"allow": ["com.a"]}))
    };
    bids_on_one_not_the_other(both(), &page("example.com"), &page("other.com"), Site);
    bids_on_one_not_the_other(both(), &page("example.com"), &page("bad.example.com"), Site);
    bids_on_one_not_the_other(both(), &app("com.a"), &app("com.b"), App);
    bids_on_one_not_the_other(both(), &app("com.a"), &screen, Site);
    // One kind alone leaves the other out.
    let sites = campaign("a").targeting("sites", json!({"allow": ["example.com"]}));
    bids_on_one_not_the_other(sites, &page("example.com"), &app("com.a"), Site);
    let apps = campaign("a").targeting("apps", json!({"allow": ["com.a"]}));
    bids_on_one_not_the_other(apps, &app("com.a"), &page("example.com"), App);
}

#[test]
fn a_category_covers_its_children_and_what_they_are_in_other_taxonomies() {
    targets(
        "categories",
        "IAB1",
        "/site/cat",
        json!(["IAB1-2"]),
        json!(["IAB12"]),
        ContentCategory,
    );
    targets(
        "categories",
        "IAB1-2",
        "/site/content",
        json!({"cat": ["IAB1-2"]}),
        json!({"cat": ["IAB1"]}),
        ContentCategory,
    );
    let own = campaign("a")
        .targeting("categories", json!({"allow": ["52"]}))
        .targeting("category_taxonomy", json!(6));
    let site_of = |cattax: i64, name: &str| with(site(), "/site", json!({"cat": [name], "cattax": cattax}));
    // The Content taxonomies from 2.0 on share their ids, others do not. 54 lies in 53, that in 52, which is IAB3.
    for fitting in [site_of(6, "52"), site_of(2, "54"), site_of(1, "IAB3")] {
        bids_on_one_not_the_other(own.clone(), &fitting, &site_of(8, "52"), ContentCategory);
    }
    let arts = campaign("a").targeting("categories", json!({"allow": ["IAB1"]}));
    // Books and Literature, and Young Adult Literature within it; Automotive.
    for fitting in [site_of(6, "42"), site_of(6, "51")] {
        bids_on_one_not_the_other(arts.clone(), &fitting, &site_of(6, "1"), ContentCategory);
    }
}

#[test]
fn keywords_come_joined_or_listed() {
    targets(
        "keywords",
        "Cars",
        "/site/keywords",
        json!("boats, cars"),
        json!("carsharing"),
        Keyword,
    );
    targets(
        "keywords",
        "cars",
        "/site/kwarray",
        json!(["CARS"]),
        json!(["boats"]),
        Keyword,
    );
}

#[test]
fn nothing_bids_outside_of_its_flight_or_its_published_days() {
    for (pointer, value) in [
        ("/campaign/flight/start", json!("2026-11-23T12:00:00.001Z")),
        ("/campaign/flight/end", json!("2026-11-23T12:00:00Z")),
        (
            "/days",
            json!([{"date": "2026-11-22", "start_ms": 0, "end_ms": DAY_START_MS}]),
        ),
    ] {
        assert_eq!(
            World::of([campaign("a").set(pointer, value)]).reason(&site()),
            Some(OutOfFlight),
            "{pointer}"
        );
    }
    let last_instant = campaign("a").set("/campaign/flight/end", json!("2026-11-23T12:00:00.001Z"));
    assert_eq!(World::of([last_instant]).reason(&site()), None);
}

#[test]
fn day_parts_are_in_the_campaigns_zone() {
    // Noon UTC on a Monday is 21:00 in Tokyo.
    let at = |start: u16| {
        campaign("a")
            .set("/campaign/flight/time_zone", json!("Asia/Tokyo"))
            .targeting(
                "day_parts",
                json!([{"days": ["monday"], "start_minute": start, "end_minute": start + 60}]),
            )
    };
    assert_eq!(World::of([at(21 * 60)]).reason(&site()), None);
    assert_eq!(World::of([at(12 * 60)]).reason(&site()), Some(DayPart));
}

#[test]
fn seats_may_be_invited_or_turned_away() {
    let seated = || campaign("a").set("/advertiser/seats", json!({"default": "s1"}));
    let wseat = |seat: &str| with(site(), "/wseat", json!([seat]));
    let bseat = |seat: &str| with(site(), "/bseat", json!([seat]));
    bids_on_one_not_the_other(seated(), &wseat("s1"), &wseat("s2"), Seat);
    bids_on_one_not_the_other(seated(), &bseat("s2"), &bseat("s1"), Seat);
    bids_on_one_not_the_other(campaign("a"), &site(), &wseat("s1"), Seat);
    let mut by_default = World::of([campaign("a")]).exchange(json!({"seat": "house"}));
    assert_eq!(by_default.reason(&wseat("house")), None);
}

#[test]
fn where_the_dsa_asks_for_it_an_advertiser_says_who_it_is() {
    let dsa = |pubrender: i64| {
        with(
            site(),
            "/regs",
            json!({"ext": {"dsa": {"dsarequired": 2, "pubrender": pubrender}}}),
        )
    };
    let named = campaign("a")
        .set("/advertiser/legal_name", json!("Shop Ltd"))
        .set("/advertiser/paid_by", json!("Shop Ltd"));
    bids_on_one_not_the_other(named, &dsa(2), &dsa(0), Dsa);
    bids_on_one_not_the_other(campaign("a"), &site(), &dsa(2), Dsa);
    // Required of large platforms (3) as of others (2); where it is not required, whoever says nothing may bid.
    let first_class = |required: Value| {
        with(
            site(),
            "/regs",
            json!({"dsa": {"dsarequired": required, "pubrender": 1}}),
        )
    };
    for not_required in [json!(0), json!(1), json!(null)] {
        bids_on_one_not_the_other(
            campaign("a"),
            &first_class(not_required),
            &first_class(json!(3)),
            Dsa,
        );
    }
}

#[test]
fn a_currency_without_a_rate_is_not_guessed() {
    let mut world = World::of([campaign("a").currency("CHF")]);
    assert_eq!(world.snapshot.campaigns_without_rate(), 1);
    assert_eq!(world.reason(&site()), Some(CurrencyRate));
    let mut swiss = World::of([campaign("a").currency("CHF")]).exchange(json!({"currency": "CHF"}));
    assert_eq!(swiss.reason(&with(site(), "/cur", json!(["CHF"]))), None);
    assert_eq!(
        swiss.reason(&with(site(), "/cur", json!(["GBP"]))),
        Some(UnsupportedCurrency)
    );
}

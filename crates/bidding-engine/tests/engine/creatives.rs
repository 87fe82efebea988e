//! Conditions of the creative.

use crate::world::*;
use bidding_engine::NoBidReason::{self, *};
use serde_json::{Value, json};

#[track_caller]
fn fits_one_not_the_other(campaign: CampaignBuilder, yes: &Value, no: &Value, reason: NoBidReason) {
    let mut world = World::of([campaign]);
    assert_eq!(world.reason(yes), None, "should bid on {yes}");
    assert_eq!(world.reason(no), Some(reason), "should not bid on {no}");
    assert_eq!(world.explained(no, 0).imps[0].first, Some(reason));
}

fn banner_imp(banner: Value) -> Value {
    with(site(), "/imp/0/banner", banner)
}

fn of(creative: Value) -> CampaignBuilder {
    campaign("a").creatives([creative])
}

#[test]
fn each_format_answers_its_own_object() {
    let native_imp = with(
        site(),
        "/imp/0",
        json!({"id": "1", "native": {"request": "{\"assets\": []}"}}),
    );
    let audio_imp = with(
        site(),
        "/imp/0",
        json!({"id": "1", "audio": {"mimes": ["audio/mpeg"], "maxduration": 30}}),
    );
    fits_one_not_the_other(of(banner(300, 250)), &site(), &audio_imp, Format);
    fits_one_not_the_other(of(video(15_000)), &video_imp(json!({})), &site(), Format);
    fits_one_not_the_other(of(audio(15_000)), &audio_imp, &native_imp, Format);
    fits_one_not_the_other(of(native()), &native_imp, &video_imp(json!({})), Format);
    assert_eq!(
        World::of([campaign("a").creatives([])]).reason(&site()),
        Some(Format)
    );
}

#[test]
fn a_creative_of_another_format_than_the_fitting_one_is_reported_last() {
    let mut world = World::of([campaign("a").creatives([banner(1, 1), video(15_000)])]);
    assert_eq!(world.reason(&site()), Some(NoFittingSize));
    let mut world = World::of([campaign("a")
        .creatives([video(15_000), banner(300, 250)])
        .creative("reviews", json!([]))]);
    let answer = world.bid(&site());
    assert_eq!(answer.decisions[0].creative, 1);
}

#[test]
fn an_exchange_that_has_not_approved_it_is_not_shown_it() {
    for status in ["pending", "rejected"] {
        let reviewed = campaign("a").creative("reviews", json!([{"exchange": "default", "status": status}]));
        assert_eq!(World::of([reviewed]).reason(&site()), Some(CreativeReview));
    }
    for (exchange, status) in [("default", "approved"), ("other", "rejected")] {
        let reviewed = campaign("a").creative("reviews", json!([{"exchange": exchange, "status": status}]));
        assert_eq!(World::of([reviewed]).reason(&site()), None);
    }
}

#[test]
fn only_formats_on_offer_are_considered_creative_by_creative() {
    let both = campaign("a")
        .creatives([banner(300, 250), video(15_000)])
        .creative("reviews", json!([{"exchange": "default", "status": "pending"}]));
    assert_eq!(World::of([both]).reason(&site()), Some(CreativeFormat));
}

#[test]
fn markup_that_no_exchange_takes_is_left_out() {
    // 720 of the 6 KiB are for our pixel.
    let of_size = |bytes: usize| campaign("a").creative("markup", json!("x".repeat(bytes)));
    assert_eq!(World::of([of_size(5_424)]).reason(&site()), None);
    assert_eq!(
        World::of([of_size(5_425)]).reason(&site()),
        Some(CreativeTooLarge)
    );
    let tracked = of_size(5_400).creative("impression_trackers", json!(["https://t.example/i"]));
    assert_eq!(World::of([tracked]).reason(&site()), Some(CreativeTooLarge));
    let clicked = |clicks: usize| campaign("a").creative("markup", json!("{CLICK_URL}".repeat(clicks)));
    assert_eq!(World::of([clicked(7)]).reason(&site()), None);
    assert_eq!(World::of([clicked(9)]).reason(&site()), Some(CreativeTooLarge));
}

#[test]
fn a_banner_has_one_of_the_sizes_on_offer() {
    let formats = |formats: Value| banner_imp(json!({"w": 728, "h": 90, "format": formats}));
    fits_one_not_the_other(
        campaign("a"),
        &formats(json!([{"w": 1, "h": 1}, {"w": 300, "h": 250}])),
        &formats(json!([])),
        NoFittingSize,
    );
    let flexible = |wmin: i64| banner_imp(json!({"format": [{"wratio": 6, "hratio": 5, "wmin": wmin}]}));
    fits_one_not_the_other(campaign("a"), &flexible(300), &flexible(301), NoFittingSize);
    let anything = banner_imp(json!({}));
    let full_screen = |width: i64| {
        with(
            with(anything.clone(), "/imp/0/instl", json!(1)),
            "/device/w",
            json!(width),
        )
    };
    fits_one_not_the_other(campaign("a"), &anything, &full_screen(299), NoFittingSize);
    assert_eq!(World::of([campaign("a")]).reason(&full_screen(300)), None);
}

#[test]
fn sizes_are_targeted_by_the_creative_shown() {
    let only_large = campaign("a")
        .creatives([banner(300, 250), banner(728, 90)])
        .targeting("sizes", json!({"allow": ["728x90"]}));
    let any_size = banner_imp(json!({}));
    let mut world = World::of([only_large]);
    assert_eq!(world.bid(&any_size).decisions[0].width, Some(728));
    assert_eq!(world.reason(&site()), Some(SizeTargeting));
}

#[test]
fn placements_are_targeted() {
    let wanting = |placement: &str| of(video(15_000)).targeting("placements", json!({"allow": [placement]}));
    let plcmt = |plcmt: i64| video_imp(json!({"plcmt": plcmt}));
    fits_one_not_the_other(wanting("in_stream"), &plcmt(1), &plcmt(4), Placement);
    fits_one_not_the_other(
        wanting("out_of_stream"),
        &video_imp(json!({"placement": 3})),
        &plcmt(2),
        Placement,
    );
    let rewarded = with(video_imp(json!({})), "/imp/0/rwdd", json!(1));
    fits_one_not_the_other(wanting("rewarded"), &rewarded, &video_imp(json!({})), Placement);
    let standard = campaign("a").targeting("placements", json!({"block": ["interstitial"]}));
    fits_one_not_the_other(
        standard,
        &site(),
        &with(site(), "/imp/0/instl", json!(1)),
        Placement,
    );
}

#[test]
fn positions_are_targeted() {
    let above = campaign("a").targeting("positions", json!({"allow": ["above_the_fold"]}));
    let pos = |pos: i64| with(site(), "/imp/0/banner/pos", json!(pos));
    fits_one_not_the_other(above.clone(), &pos(1), &pos(3), Position);
    fits_one_not_the_other(above, &pos(1), &site(), Position);
}

#[test]
fn an_overlay_is_not_what_we_have() {
    fits_one_not_the_other(
        of(video(15_000)),
        &video_imp(json!({"linearity": 1})),
        &video_imp(json!({"linearity": 2})),
        Linearity,
    );
}

#[test]
fn durations_keep_their_bounds() {
    fits_one_not_the_other(
        of(video(15_000)),
        &video_imp(json!({"maxduration": 15})),
        &video_imp(json!({"maxduration": 14})),
        Duration,
    );
    fits_one_not_the_other(
        of(video(15_001)),
        &video_imp(json!({"maxduration": 16})),
        &video_imp(json!({"maxduration": 15})),
        Duration,
    );
    fits_one_not_the_other(
        of(video(5_000)),
        &video_imp(json!({"minduration": 5})),
        &video_imp(json!({"minduration": 6})),
        Duration,
    );
    fits_one_not_the_other(
        of(video(15_000)),
        &video_imp(json!({"rqddurs": [15, 30]})),
        &video_imp(json!({"rqddurs": [10, 20]})),
        Duration,
    );
    fits_one_not_the_other(
        of(video(15_000)),
        &video_imp(json!({"poddur": 15})),
        &video_imp(json!({"poddur": 10})),
        Duration,
    );
}

#[test]
fn protocols_mimes_and_frameworks_are_supported() {
    fits_one_not_the_other(
        of(video(15_000)),
        &video_imp(json!({"protocols": [2, 3]})),
        &video_imp(json!({"protocols": [7]})),
        Protocol,
    );
    fits_one_not_the_other(
        of(video(15_000)),
        &video_imp(json!({"mimes": ["Video/MP4"]})),
        &video_imp(json!({"mimes": ["video/webm"]})),
        Mime,
    );
    let mut wrapped = video(15_000);
    wrapped["vast_url"] = json!("https://v.example/vast.xml");
    wrapped.as_object_mut().unwrap().remove("markup");
    fits_one_not_the_other(
        of(wrapped),
        &video_imp(json!({"protocols": [6]})),
        &video_imp(json!({"protocols": [2, 3]})),
        Protocol,
    );
    let mraid = campaign("a").creative("apis", json!([5]));
    fits_one_not_the_other(
        mraid,
        &with(site(), "/imp/0/banner/api", json!([3, 5])),
        &site(),
        Api,
    );
}

#[test]
fn native_answers_every_required_asset() {
    let asking = |assets: Value| {
        let text = json!({"native": {"assets": assets}}).to_string();
        with(site(), "/imp/0", json!({"id": "1", "native": {"request": text}}))
    };
    let title = |len: i64| json!([{"id": 1, "required": 1, "title": {"len": len}}]);
    fits_one_not_the_other(of(native()), &asking(title(11)), &asking(title(10)), NativeAssets);
    let image = |wmin: i64| json!([{"id": 2, "required": 1, "img": {"type": 3, "wmin": wmin, "hmin": 1}}]);
    fits_one_not_the_other(
        of(native()),
        &asking(image(1200)),
        &asking(image(1201)),
        NativeAssets,
    );
    let typed = |mime: &str| json!([{"id": 2, "required": 1, "img": {"type": 3, "wmin": 1, "hmin": 1, "mimes": [mime]}}]);
    fits_one_not_the_other(
        of(native()),
        &asking(typed("image/PNG")),
        &asking(typed("image/jpeg")),
        NativeAssets,
    );
    let untold = of(native()).creative("assets/1/url", json!("https://cdn.example/i?f=.png"));
    assert_eq!(World::of([untold]).reason(&asking(typed("image/jpeg"))), None);
    let data = |kind: i64, required: i64| json!([{"id": 3, "required": required, "data": {"type": kind, "len": 10}}]);
    fits_one_not_the_other(
        of(native()),
        &asking(data(1, 1)),
        &asking(data(2, 1)),
        NativeAssets,
    );
    fits_one_not_the_other(
        of(native()),
        &asking(data(2, 0)),
        &with(asking(json!([])), "/imp/0/native/request", json!("{")),
        NativeAssets,
    );
}

#[test]
fn types_and_attributes_may_be_blocked() {
    let script = campaign("a").creative("markup", json!("<SCRIPT src='https://a/'></SCRIPT>"));
    let btype = |kind: i64| with(site(), "/imp/0/banner/btype", json!([kind]));
    fits_one_not_the_other(script, &btype(4), &btype(3), BlockedAdType);
    let loud = campaign("a").creative("attributes", json!([1, 8]));
    let battr = |kind: i64| with(site(), "/imp/0/banner/battr", json!([kind]));
    fits_one_not_the_other(loud, &battr(2), &battr(8), BlockedAttribute);
}

#[test]
fn what_expands_needs_room_on_every_side() {
    let expanding = campaign("a").creative("attributes", json!([4]));
    let expdir = |ways: &[u16]| with(site(), "/imp/0/banner/expdir", json!(ways));
    fits_one_not_the_other(
        expanding.clone(),
        &expdir(&[1, 2, 3, 4]),
        &expdir(&[2, 4]),
        BlockedAttribute,
    );
    // Nothing said, nothing ruled out.
    fits_one_not_the_other(expanding, &site(), &expdir(&[5, 6]), BlockedAttribute);
    assert_eq!(World::of([campaign("a")]).reason(&expdir(&[2])), None);
}

#[test]
fn a_creative_id_longer_than_64_bytes_is_left_out() {
    // `crv_{campaign}_0.1` is eight bytes more than the campaign's id.
    assert_eq!(World::of([campaign(&"x".repeat(56))]).reason(&site()), None);
    assert_eq!(
        World::of([campaign(&"x".repeat(57))]).reason(&site()),
        Some(CreativeTooLarge)
    );
}

#[test]
fn a_blocked_parent_blocks_its_children_in_every_taxonomy_that_knows_them() {
    let cars = || campaign("a").creative("categories", json!(["IAB2-1"]));
    let bcat = |name: &str| with(site(), "/bcat", json!([name]));
    fits_one_not_the_other(cars(), &bcat("IAB25"), &bcat("IAB2"), BlockedCategory);
    fits_one_not_the_other(cars(), &bcat("IAB2-2"), &bcat("IAB2-1"), BlockedCategory);
    // IAB2-1 is 32 of Content 2, within 1 (Automotive): blocks of either reach it.
    let of = |cattax: i64, name: &str| with(bcat(name), "/cattax", json!(cattax));
    for (cattax, blocked) in [(6, "32"), (2, "1"), (7, "1")] {
        fits_one_not_the_other(cars(), &of(cattax, "42"), &of(cattax, blocked), BlockedCategory);
    }
    let trucks = campaign("a")
        .creative("categories", json!(["3"]))
        .creative("cattax", json!(6));
    for blocked in ["3", "2", "1"] {
        fits_one_not_the_other(trucks.clone(), &of(6, "16"), &of(6, blocked), BlockedCategory);
    }
    // A taxonomy that has nothing for it cannot clear it.
    fits_one_not_the_other(cars(), &bcat("IAB7"), &of(4, "7"), BlockedCategory);
    let unknown = campaign("a")
        .creative("categories", json!(["x"]))
        .creative("cattax", json!(500));
    fits_one_not_the_other(unknown, &site(), &bcat("IAB7"), BlockedCategory);
    let acat = |name: &str| with(site(), "/acat", json!([name]));
    let numbered = |name: &str| with(acat(name), "/cattax", json!(6));
    fits_one_not_the_other(cars(), &numbered("1"), &numbered("42"), BlockedCategory);
    fits_one_not_the_other(cars(), &acat("IAB2"), &acat("IAB3"), BlockedCategory);
    fits_one_not_the_other(campaign("a"), &bcat("IAB2"), &acat("IAB2"), BlockedCategory);
}

#[test]
fn a_blocked_domain_blocks_its_subdomains() {
    let deep = campaign("a").creative("adomain", json!(["sale.shop.example"]));
    let badv = |name: &str| with(site(), "/badv", json!([name]));
    fits_one_not_the_other(
        deep.clone(),
        &badv("other.shop.example"),
        &badv("SHOP.example"),
        BlockedAdvertiser,
    );
    fits_one_not_the_other(
        deep,
        &badv("hop.example"),
        &badv("sale.shop.example"),
        BlockedAdvertiser,
    );
}

#[test]
fn an_app_that_is_advertised_may_be_blocked() {
    let app = campaign("a").creative(
        "click_url",
        json!("https://play.google.com/store/apps/details?id=com.game"),
    );
    let bapp = |bundle: &str| with(site(), "/bapp", json!([bundle]));
    fits_one_not_the_other(app, &bapp("com.other"), &bapp("com.game"), BlockedApp);
}

#[test]
fn creatives_speak_an_allowed_language() {
    let german = campaign("a").creative("language", json!("de"));
    let wlang = |tag: &str| with(site(), "/wlang", json!([tag]));
    fits_one_not_the_other(german.clone(), &wlang("de"), &wlang("en"), CreativeLanguage);
    fits_one_not_the_other(
        german,
        &with(site(), "/wlangb", json!(["de-CH"])),
        &wlang("en"),
        CreativeLanguage,
    );
    fits_one_not_the_other(campaign("a"), &site(), &wlang("en"), CreativeLanguage);
}

#[test]
fn secure_means_every_tracker_too() {
    let plain = campaign("a").creative("impression_trackers", json!(["http://t.example/p"]));
    fits_one_not_the_other(
        plain,
        &site(),
        &with(site(), "/imp/0/secure", json!(1)),
        NotSecure,
    );
    assert_eq!(
        World::of([campaign("a")]).reason(&with(site(), "/imp/0/secure", json!(1))),
        None
    );
}

/// AdCOM frameworks: 2 VPAID, 7 OMID, 8 SIMID.
#[test]
fn where_a_server_inserts_the_video_nobody_runs_its_scripts() {
    let needing = |api: i64| {
        let mut creative = video(15_000);
        creative["apis"] = json!([api]);
        of(creative)
    };
    let inserted = |ssai: i64| with(video_imp(json!({"api": [2, 7, 8]})), "/imp/0/ssai", json!(ssai));
    for api in [2, 8] {
        fits_one_not_the_other(needing(api), &inserted(1), &inserted(2), Api);
        fits_one_not_the_other(needing(api), &inserted(0), &inserted(3), Api);
    }
    fits_one_not_the_other(needing(7), &inserted(2), &inserted(3), Api);
    assert_eq!(World::of([of(video(15_000))]).reason(&inserted(3)), None);
}

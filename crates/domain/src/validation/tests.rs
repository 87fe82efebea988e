//! The law of the walk: what it accepts can be read, and nothing makes it panic.

use super::{advertiser::advertiser, campaign::campaign, creative::creative, exchange::exchange, syntax};
use crate::mistake::Mistake;
use proptest::prelude::*;
use serde_json::{Value, json};

fn full_campaign() -> Value {
    json!({
        "advertiser_id": "adv_1", "name": "Autumn", "external_id": "A-1", "status": "active",
        "flight": {"start": "2026-11-01T00:00:00Z", "end": "2026-12-01T00:00:00+01:00", "time_zone": "Europe/Berlin"},
        "budget": {"currency": "USD", "daily_micros": 1, "total_micros": 1_000_000_000_000_000_i64},
        "pacing": "asap", "bid": {"strategy": "max_cpm", "max_cpm_micros": 2_000_000},
        "targeting": {
            "geo": {"allow": [{"country": "USA", "region": "CA", "city": "Los Angeles", "zip": "90001"}],
                    "block": [{"radius": {"latitude_micros": -1, "longitude_micros": 1, "radius_meters": 5}}]},
            "devices": {"allow": ["phone"]}, "operating_systems": {"block": ["ios"]}, "browsers": {"allow": ["edge"]},
            "languages": {"allow": ["en"]}, "connections": {"block": ["5g"]}, "carriers": {"allow": ["Telco"]},
            "inventory": {"allow": ["site", "app"]}, "sites": {"block": ["bad.example"]}, "apps": {"allow": ["123"]},
            "categories": {"block": ["IAB25-3"]}, "category_taxonomy": 1, "placements": {"allow": ["rewarded"]},
            "sizes": {"allow": ["300x250"]}, "positions": {"allow": ["header"]},
            "day_parts": [{"days": ["monday", "sunday"], "start_minute": 0, "end_minute": 1440}],
            "audiences": {"allow": ["aud_1", "segment:p:1"]}, "deals": ["d1"], "open_auction": false,
            "exchanges": {"allow": ["default"]}, "keywords": {"block": ["casino"]},
        },
        "frequency_caps": [{"impressions": 3, "window": "day", "scope": "creative", "unidentified": "bid"}],
        "fee_ppm": 100_000, "reserve_ppm": 10_000,
    })
}

fn full_creatives() -> [Value; 4] {
    let shared = json!({
        "name": "c", "status": "active", "click_url": "https://shop.example/?c={CLICK_ID}", "adomain": ["shop.example"],
        "categories": ["IAB1"], "cattax": 1, "attributes": [1], "apis": [7], "language": "en",
        "impression_trackers": ["https://t.example/i?{CACHEBUSTER}"], "click_trackers": ["http://t.example:8080/c"],
        "weight": 5,
    });
    let with = |own: Value| {
        let mut whole = shared.clone();
        let members = whole.as_object_mut().unwrap();
        members.extend(own.as_object().unwrap().clone());
        whole
    };
    let timed = json!({"duration_ms": 15_000, "mimes": ["video/mp4"], "protocols": [3, 7]});
    let merged = |own: Value, more: &Value| {
        let mut whole = with(own);
        whole
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        whole
    };
    [
        with(json!({"format": "banner", "markup": "<b>\n</b>", "width": 300, "height": 250})),
        merged(
            json!({"format": "video", "markup": "<VAST/>", "width": 640, "height": 360}),
            &timed,
        ),
        merged(
            json!({"format": "audio", "vast_url": "https://v.example/vast.xml"}),
            &timed,
        ),
        with(json!({"format": "native", "assets": [
            {"kind": "title", "text": "Buy"},
            {"kind": "image", "image_type": 3, "url": "https://i.example/1.png", "width": 1200, "height": 627},
            {"kind": "data", "data_type": 2, "value": "Now"},
            {"kind": "video", "vast": "<VAST/>", "duration_ms": 10_000},
        ]})),
    ]
}

fn full_exchange() -> Value {
    json!({
        "name": "Partner", "status": "paused", "currency": "EUR", "auction_type": 1, "seat": "s", "billing": "pixel",
        "price_form": {"kind": "encrypted", "key_name": "k", "unit": "cpm_micros", "suffix": "OXCRYPT"},
        "eid_sources": ["uidapi.com"], "user_sync": {"redirect_url": "https://x.example/?u={UID}", "accepts_ids": true}, "win_notice_delay_ms": 100,
        "billing_window_ms": {"web": 60_000, "app": 600_000, "interstitial": 3_600_000}, "qps_limit": 10,
        "allowed_networks": ["192.0.2.0/24", "2001:db8::/32"],
        "secret_header": {"name": "x-key", "sha256": "0".repeat(64)}, "secret_path_sha256": "f".repeat(64),
        "supply": {
            "chain": "complete", "max_nodes": 3, "blocked_nodes": ["reseller.example", "ssp.example/7"], "ads_txt": "required",
            "seller_domain": "ssp.example",
        },
        "wants_no_bid_reason": true, "usd_rates_e9": {"EUR": 1_080_000_000, "USD": 1_000_000_000},
    })
}

fn full_advertiser() -> Value {
    json!({
        "name": "Acme", "legal_name": "Acme Ltd", "paid_by": "Acme plc", "status": "paused",
        "seats": {"default": "seat-1"}, "conversion_lookback_days": 7,
    })
}

type Read = fn(Value) -> Result<(), Vec<Mistake>>;
type Check = fn(&str) -> Result<(), &'static str>;

/// Each kind of body, complete, with the check that reads it.
fn bodies() -> Vec<(Value, Read)> {
    let mut all: Vec<(Value, Read)> = vec![
        (full_campaign(), |body| campaign(body).map(drop)),
        (full_exchange(), |body| exchange(body).map(drop)),
        (full_advertiser(), |body| advertiser(body).map(drop)),
    ];
    all.extend(full_creatives().map(|body| (body, (|body| creative(body).map(drop)) as Read)));
    all
}

#[test]
fn a_timed_creative_that_names_no_type_and_protocol_has_the_usual_ones() {
    for (format, mime) in [("video", "video/mp4"), ("audio", "audio/mpeg")] {
        let body = json!({
            "name": "c", "format": format, "vast_url": "https://v.example/vast.xml", "duration_ms": 15_000,
            "click_url": "https://shop.example/", "adomain": ["shop.example"],
        });
        let spec = creative(body).unwrap();
        assert_eq!(
            (spec.mimes, spec.protocols),
            (vec![mime.to_owned()], vec![2, 3, 5, 6])
        );
    }
}

#[test]
fn complete_bodies_are_right() {
    for (body, read) in bodies() {
        assert_eq!(read(body.clone()), Ok(()), "{body}");
    }
}

#[test]
fn null_is_absence() {
    let mut body = full_campaign();
    body["external_id"] = Value::Null;
    body["pacing"] = Value::Null;
    body["flight"]["end"] = Value::Null;
    let read = campaign(body).unwrap();
    assert_eq!((read.external_id, read.flight.end), (None, None));
    let mut body = full_campaign();
    body["name"] = Value::Null;
    assert_eq!(campaign(body).unwrap_err()[0].code, "required");
}

#[test]
fn a_list_that_is_too_long_is_one_mistake() {
    let mut body = full_campaign();
    body["targeting"]["sites"]["allow"] = json!(vec![0; 10_001]);
    let mistakes = campaign(body).unwrap_err();
    assert_eq!(mistakes.len(), 1);
    assert_eq!(
        (mistakes[0].pointer.as_str(), mistakes[0].code),
        ("/targeting/sites/allow", "too_long")
    );
}

#[test]
fn mistakes_without_end_are_cut_off() {
    let mut body = full_campaign();
    for list in ["sites", "apps", "keywords"] {
        body["targeting"][list] = json!({"block": vec![0; 9_000]});
    }
    let mistakes = campaign(body).unwrap_err();
    assert_eq!(
        (mistakes.len(), mistakes[1_000].code),
        (1_001, "too_many_mistakes")
    );
}

#[test]
fn texts_are_taken_by_their_syntax() {
    let right: [(Check, &[&str]); 6] = [
        (
            syntax::web_url,
            &[
                "http://a.example",
                "https://[2001:db8::1]:8443/x?y={CLICK_ID}#z",
                "https://a.example:80",
            ],
        ),
        (
            syntax::domain,
            &["a.example", "xn--bcher-kva.example", "a-b.c_d.example"],
        ),
        (syntax::size, &["1x1", "10000x10000"]),
        (syntax::network, &["0.0.0.0/0", "::/0", "::1/128"]),
        (syntax::seller, &["a.example", "a.example/pub-1", "a.example/a/b"]),
        (syntax::exchange_id, &["default", "a-1_b"]),
    ];
    for (check, texts) in right {
        for text in texts {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }
    let wrong: [(Check, &[&str]); 6] = [
        (
            syntax::web_url,
            &[
                "",
                "a.example",
                "//a.example",
                "javascript:alert(1)",
                "https://",
                "https://a b.example",
                "https://u:p@a.example",
                "https://a.example:99999",
            ],
        ),
        (
            syntax::domain,
            &[
                "",
                "example",
                "A.example",
                ".example",
                "a..example",
                "-a.example",
                "https://a.example",
            ],
        ),
        (
            syntax::size,
            &["", "x", "0x1", "1x10001", "+1x1", "300X250", "1x1x1", "01x1"],
        ),
        (
            syntax::network,
            &["", "1.2.3.4", "1.2.3.4/33", "::/129", "1.2.3/8", "1.2.3.4/+8"],
        ),
        (
            syntax::seller,
            &["", "reseller", "a.example/", "/7", "a.example/ 7", "A.example/7"],
        ),
        (syntax::exchange_id, &["", "A", "1a", "a/b", "a b"]),
    ];
    for (check, texts) in wrong {
        for text in texts {
            assert!(check(text).is_err(), "{text}");
        }
    }
}

/// Any small JSON, with the words and numbers that the fields know among it.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-2..2_000_i64).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        prop::sample::select(vec![
            "active",
            "banner",
            "native",
            "image",
            "USD",
            "default",
            "day",
            "monday",
            "2026-11-23T00:00:00Z",
            "UTC",
            "https://a.example",
            "a.example",
            "300x250",
            "10.0.0.0/8",
            "encrypted",
            "plain",
            "Local",
            "+5",
            "1e3",
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z~/]{0,6}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The pointers of every value in the body.
fn pointers(at: &str, value: &Value, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(members) => members
            .iter()
            .for_each(|(name, value)| pointers(&format!("{at}/{name}"), value, found)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(i, value)| pointers(&format!("{at}/{i}"), value, found)),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// `invalid_value` at the root is how `read` says that the walk accepted what serde could not read.
    #[test]
    fn whatever_validation_accepts_can_be_read(
        which in 0..7_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any_json(), 0..3_u8), 1..4),
    ) {
        let (mut body, read) = bodies().swap_remove(which);
        for (place, change, how) in changes {
            let mut all = Vec::new();
            pointers("", &body, &mut all);
            let Some(target) = body.pointer_mut(place.get(&all[..]).as_str()) else { continue };
            match (how, &mut *target) {
                (0, Value::Array(items)) => items.push(change),
                (0, Value::Object(members)) => { members.insert("added".to_owned(), change); }
                (1, _) => *target = Value::Null,
                _ => *target = change,
            }
        }
        if let Err(mistakes) = read(body.clone()) {
            prop_assert!(!mistakes.is_empty());
            let missed = mistakes.iter().find(|mistake| mistake.pointer.is_empty() && mistake.code == "invalid_value");
            prop_assert!(missed.is_none(), "the walk accepted {body}");
        }
    }
}

//! Campaigns, users and requests drawn at random, few values of each, so that they meet.

use crate::world::*;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::LazyJust;
use serde_json::{Value, json};

/// A list that allows, blocks, or says nothing; mostly nothing.
fn list(values: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop_oneof![
        16 => Just(json!({})),
        2 => select(values).prop_map(|value| json!({"allow": [value]})),
        1 => select(values).prop_map(|value| json!({"block": [value]})),
    ]
}

fn places() -> impl Strategy<Value = Value> {
    prop_oneof![
        12 => Just(json!({})),
        2 => select(&["USA", "DEU"]).prop_map(|country| json!({"allow": [{"country": country}]})),
        1 => Just(json!({"allow": [{"country": "USA", "region": "CA"}, {"city": "Berlin"}]})),
        1 => Just(json!({"block": [{"country": "DEU"}]})),
    ]
}

fn creative() -> impl Strategy<Value = Value> {
    let of_format = prop_oneof![
        3 => select(&[(300, 250), (728, 90), (320, 50)]).prop_map(|(width, height)| banner(width, height)),
        2 => select(&[6_000, 15_000, 30_000]).prop_map(video),
        1 => Just(audio(15_000)),
        1 => Just(native()),
    ];
    let categories = select(&[&[] as &[&str], &["IAB1"], &["IAB2-1"], &["IAB1-2", "IAB3"]]);
    let adomain = select(&["shop.example", "a.shop.example", "cars.example"]);
    (
        of_format,
        categories,
        adomain,
        0..4_u32,
        prop::bool::weighted(0.1),
    )
        .prop_map(|(mut creative, categories, adomain, weight, is_rejected)| {
            creative["categories"] = json!(categories);
            creative["adomain"] = json!([adomain]);
            creative["weight"] = json!(weight);
            if is_rejected {
                creative["reviews"] = json!([{"exchange": "default", "status": "rejected"}]);
            }
            creative
        })
}

#[derive(Clone, Debug)]
pub(crate) struct Drawn {
    pub(crate) cpm_micros: i64,
    currency: &'static str,
    advertiser: &'static str,
    creatives: Vec<Value>,
    targeting: Vec<(&'static str, Value)>,
    cap: Option<&'static str>,
    pub(crate) is_active: bool,
    pub(crate) lease: (i64, i64, i64),
}

pub(crate) fn drawn() -> impl Strategy<Value = Drawn> {
    // Few prices, so that there are ties.
    let price = (
        select(&[1_000_000, 1_000_000, 2_000_000, 2_200_000, 5_000]),
        select(&["USD", "USD", "EUR", "JPY", "CHF"]),
    );
    let targeting = (
        places(),
        list(&["phone", "mobile", "desktop"]),
        list(&["site", "app"]),
        list(&["IAB1", "IAB2-1"]),
        (
            list(&["example.com", "news.example.com"]),
            list(&["com.a", "com.b"]),
        ),
        list(&["default", "other"]),
        list(&["aud_1", "segment:p:7"]),
        select(&[&[] as &[&str], &[], &["d1"], &["d1", "d2"]]),
        prop::bool::weighted(0.8),
    );
    let targeting = targeting.prop_map(
        |(geo, devices, inventory, categories, (sites, apps), exchanges, audiences, deals, open)| {
            vec![
                ("geo", geo),
                ("devices", devices),
                ("inventory", inventory),
                ("categories", categories),
                ("sites", sites),
                ("apps", apps),
                ("exchanges", exchanges),
                ("audiences", audiences),
                ("deals", json!(deals)),
                ("open_auction", json!(open)),
            ]
        },
    );
    let lease = prop_oneof![
        4 => Just((i64::MAX, i64::MAX, i64::MAX)),
        1 => Just((2_000_000, 1, i64::MAX)),
        1 => Just((i64::MAX, 0, i64::MAX)),
        1 => Just((100, 5, i64::MAX)),
        1 => Just((i64::MAX, 5, NOW.monotonic_ms)),
    ];
    let cap = select(&[None, None, Some("skip"), Some("bid")]);
    (
        price,
        select(&["x", "y", "z", "own"]),
        prop::collection::vec(creative(), 0..4),
        targeting,
        cap,
        prop::bool::weighted(0.9),
        lease,
    )
        .prop_map(
            |((cpm_micros, currency), advertiser, creatives, targeting, cap, is_active, lease)| Drawn {
                cpm_micros,
                currency,
                advertiser,
                creatives,
                targeting,
                cap,
                is_active,
                lease,
            },
        )
}

impl Drawn {
    pub(crate) fn describe(&self, number: usize) -> CampaignBuilder {
        let id = format!("c{number}");
        let advertiser = if self.advertiser == "own" {
            &id
        } else {
            self.advertiser
        };
        let mut campaign = campaign(&id)
            .advertiser(advertiser)
            .cpm_micros(self.cpm_micros)
            .currency(self.currency)
            .creatives(self.creatives.clone());
        for (key, value) in &self.targeting {
            campaign = campaign.targeting(key, value.clone());
        }
        if let Some(unidentified) = self.cap {
            let cap = json!([{"impressions": 1, "window": "day", "unidentified": unidentified}]);
            campaign = campaign.set("/campaign/frequency_caps", cap);
        }
        if self.is_active {
            campaign
        } else {
            campaign.set("/campaign/status", json!("paused"))
        }
    }
}

fn imp() -> impl Strategy<Value = Value> {
    let formats = (
        prop::bool::weighted(0.7),
        prop::bool::weighted(0.4),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.2),
    );
    let floor = (select(&["0", "0.5", "1", "2"]), select(&["USD", "EUR", "CHF"]));
    let deals = select(vec![
        json!([]),
        json!([]),
        json!([{"id": "d1"}]),
        json!([{"id": "d1", "bidfloor": 1, "at": 3}, {"id": "d2", "bidfloor": 2, "guar": 1}, {"id": "d1"}]),
    ]);
    (formats, floor, deals, prop::bool::weighted(0.15), prop::bool::weighted(0.5)).prop_map(
        |((has_banner, has_video, has_audio, has_native), (floor, currency), deals, is_private, is_pod)| {
            let mut imp = json!({"bidfloor": floor, "bidfloorcur": currency, "pmp": {"private_auction": i32::from(is_private), "deals": deals}});
            if has_banner {
                imp["banner"] = json!({"format": [{"w": 300, "h": 250}, {"w": 320, "h": 50}]});
            }
            if has_video {
                imp["video"] = json!({"mimes": ["video/mp4"], "maxduration": 20});
                if is_pod {
                    imp["video"]["podid"] = json!("pod");
                }
            }
            if has_audio {
                imp["audio"] = json!({"mimes": ["audio/mpeg"], "mincpmpersec": 0.1});
            }
            if has_native {
                imp["native"] = json!({"request": "{\"assets\":[{\"id\":1,\"required\":1,\"title\":{\"len\":20}}]}"});
            }
            imp
        },
    )
}

pub(crate) fn request() -> impl Strategy<Value = Value> {
    let place = select(vec![
        json!({"site": {"domain": "news.example.com", "cat": ["IAB1-1"]}}),
        json!({"app": {"bundle": "com.a", "cat": ["IAB2-1"]}}),
        json!({}),
    ]);
    let geo = select(vec![
        json!({"country": "USA", "region": "CA"}),
        json!({"country": "DEU", "city": "Berlin"}),
        json!({}),
    ]);
    let blocks = (
        select(vec![json!([]), json!(["IAB1"]), json!(["IAB2-1"])]),
        select(vec![json!([]), json!(["shop.example"])]),
    );
    let cur = select(vec![
        json!(null),
        json!(["EUR"]),
        json!(["JPY", "USD"]),
        json!(["GBP"]),
    ]);
    let flags = (
        select(&[2, 4, 5]),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
    );
    (any::<u32>(), place, geo, blocks, cur, flags, prop::collection::vec(imp(), 1..4)).prop_map(
        |(id, mut request, geo, (bcat, badv), cur, (device, is_test, is_limited), mut imps)| {
            for (at, imp) in imps.iter_mut().enumerate() {
                imp["id"] = json!(at.to_string());
            }
            let rest = json!({
                "id": id.to_string(), "imp": imps, "bcat": bcat, "badv": badv, "cur": cur, "test": i32::from(is_test),
                "device": {"geo": geo, "devicetype": device, "lmt": i32::from(is_limited)},
                "user": {"data": [{"id": "p", "segment": [{"id": "7"}]}]},
            });
            request.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            request
        },
    )
}

pub(crate) fn user() -> impl Strategy<Value = OwnedUser> {
    prop_oneof![
        Just(OwnedUser::Unidentified),
        Just(OwnedUser::Unavailable),
        Just(OwnedUser::Known(
            vec![("c0".to_owned(), 86_400_000, 1)],
            vec!["aud_1".to_owned()]
        )),
    ]
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

pub(crate) fn mutated_request() -> impl Strategy<Value = String> {
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

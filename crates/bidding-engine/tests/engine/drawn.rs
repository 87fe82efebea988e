//! What the law draws: campaigns, creatives, requests, partners and users.

use crate::world::*;
use bidding_engine::{AdsTxt, Crawlers, Networks, Traffic};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use std::sync::Arc;

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

/// Mostly nothing, else one of these.
pub(crate) fn rarely(values: Vec<Value>) -> impl Strategy<Value = Value> {
    prop_oneof![3 => Just(json!({})), 1 => select(values)]
}

pub(crate) fn extend(object: &mut Value, more: &Value) {
    object
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
}

fn creative() -> impl Strategy<Value = Value> {
    let of_format = prop_oneof![
        3 => select(&[(300, 250), (728, 90), (320, 50)]).prop_map(|(width, height)| banner(width, height)),
        3 => select(&[6_000, 9_500, 15_000, 30_000]).prop_map(video),
        1 => Just(audio(15_000)),
        1 => Just(native()),
    ];
    let categories = select(vec![
        json!({}),
        json!({"categories": ["IAB1"]}),
        json!({"categories": ["IAB2-1"]}),
        json!({"categories": ["IAB1-2", "IAB3"]}),
        // Commercial trucks, within Automotive; a category of nobody's.
        json!({"categories": ["3"], "cattax": 6}),
        json!({"categories": ["1003"], "cattax": 8}),
        json!({"categories": ["x"], "cattax": 4}),
    ]);
    let adomain = select(&["shop.example", "a.shop.example", "cars.example"]);
    let traits = rarely(vec![
        json!({"attributes": [3]}),
        json!({"attributes": [1, 6]}),
        json!({"apis": [2]}),
        json!({"apis": [7]}),
        json!({"language": "de"}),
        json!({"impression_trackers": ["http://t.example/"]}),
        json!({"click_url": "https://play.google.com/store/apps/details?id=com.rival"}),
        json!({"markup": "<script>1</script>"}),
    ]);
    (
        of_format,
        categories,
        adomain,
        0..4_u32,
        prop::bool::weighted(0.1),
        traits,
    )
        .prop_map(
            |(mut creative, categories, adomain, weight, is_rejected, traits)| {
                extend(&mut creative, &categories);
                extend(&mut creative, &traits);
                creative["adomain"] = json!([adomain]);
                creative["weight"] = json!(weight);
                if is_rejected {
                    creative["reviews"] = json!([{"exchange": "default", "status": "rejected"}]);
                }
                creative
            },
        )
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
    /// What the advertiser says of itself.
    house: Value,
    pub(crate) lease: (i64, i64, i64),
}

/// Half of them are plain, without any targeting or caps, so that they are told apart by price and creatives.
pub(crate) fn drawn() -> impl Strategy<Value = Drawn> {
    (of_every_kind(), any::<bool>()).prop_map(|(mut drawn, is_plain)| {
        if is_plain {
            drawn.targeting.clear();
            drawn.creatives.truncate(2);
            drawn.cap = None;
        }
        drawn
    })
}

fn of_every_kind() -> impl Strategy<Value = Drawn> {
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
        select(&[
            &[] as &[&str],
            &[],
            &["d1"],
            &["d1", "d2"],
            &["default\u{1f}d1", "other\u{1f}d2"],
        ]),
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
        (
            lease,
            rarely(vec![
                json!({"legal_name": "A", "paid_by": "B"}),
                json!({"seats": {"default": "s1"}}),
            ]),
        ),
    )
        .prop_map(
            |((cpm_micros, currency), advertiser, creatives, targeting, cap, is_active, (lease, house))| {
                Drawn {
                    cpm_micros,
                    currency,
                    advertiser,
                    creatives,
                    targeting,
                    cap,
                    is_active,
                    house,
                    lease,
                }
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
        for (key, value) in self.house.as_object().unwrap() {
            campaign = campaign.set(&format!("/advertiser/{key}"), value.clone());
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
        json!([{"id": "d1", "at": 3}, {"id": "d2", "bidfloor": 1, "bidfloorcur": "EUR", "wadomain": ["shop.example"]}]),
        json!([{"id": "d1", "wseat": ["s1"]}, {"id": "d2", "mincpmpersec": 0.05, "bidfloorcur": "CHF"}]),
        json!([{"id": "d2", "at": 3, "durfloors": [{"maxdur": 15, "bidfloor": 0.7}, {"mindur": 16, "bidfloor": 1.5}]}]),
    ]);
    let pod = select(vec![
        json!({}),
        json!({"podid": "pod"}),
        json!({"podid": "pod", "poddur": 30}),
        json!({"poddur": 60, "maxseq": 2}),
        json!({"poddur": 45, "mincpmpersec": 0.06}),
        json!({"podid": "pod", "poddur": 60, "rqddurs": [10, 15, 30]}),
        json!({"durfloors": [{"mindur": 1, "maxdur": 10, "bidfloor": 0.5}, {"mindur": 11, "bidfloor": 2}]}),
    ]);
    let rules = rarely(vec![
        json!({"secure": 1}),
        json!({"ssai": 2}),
        json!({"ssai": 3}),
        json!({"qty": {"multiplier": 3.5}}),
        json!({"qty": {"multiplier": 0}}),
        json!({"qty": {"multiplier": 1e300}}),
        json!({"instl": 1}),
        json!({"rwdd": 1}),
    ]);
    let banner_rules = rarely(vec![
        json!({"btype": [3]}),
        json!({"battr": [6]}),
        json!({"expdir": [1, 2]}),
        json!({"format": []}),
        json!({"format": [], "w": 320, "h": 50}),
    ]);
    let video_rules = rarely(vec![
        json!({"api": [2, 7]}),
        json!({"battr": [1]}),
        json!({"protocols": [2]}),
        json!({"linearity": 2}),
        json!({"minduration": 7, "maxduration": 20}),
    ]);
    let rules = (rules, banner_rules, video_rules);
    (formats, floor, deals, prop::bool::weighted(0.15), pod, rules).prop_map(
        |((has_banner, has_video, has_audio, has_native), (floor, currency), deals, is_private, pod, rules)| {
            let (rules, banner_rules, video_rules) = rules;
            let mut imp = json!({"bidfloor": floor, "bidfloorcur": currency, "pmp": {"private_auction": i32::from(is_private), "deals": deals}});
            if has_banner {
                imp["banner"] = json!({"format": [{"w": 300, "h": 250}, {"w": 320, "h": 50}]});
                extend(&mut imp["banner"], &banner_rules);
            }
            if has_video {
                imp["video"] = json!({"mimes": ["video/mp4"], "maxduration": 30});
                extend(&mut imp["video"], &pod);
                extend(&mut imp["video"], &video_rules);
            }
            if has_audio {
                imp["audio"] = json!({"mimes": ["audio/mpeg"], "mincpmpersec": 0.1});
                extend(&mut imp["audio"], &pod);
            }
            if has_native {
                imp["native"] = json!({"request": "{\"assets\":[{\"id\":1,\"required\":1,\"title\":{\"len\":20}}]}"});
            }
            extend(&mut imp, &rules);
            imp
        },
    )
}

/// What a request may ask of everybody.
pub(crate) fn demands() -> impl Strategy<Value = Value> {
    rarely(vec![
        json!({"acat": ["IAB1", "IAB2"]}),
        json!({"bcat": ["1"], "cattax": 6}),
        json!({"bcat": ["1002"], "cattax": 8}),
        json!({"acat": ["1"], "cattax": 7}),
        json!({"wseat": ["s1"]}),
        json!({"bseat": ["s1"]}),
        json!({"wlang": ["de"]}),
        json!({"bapp": ["com.rival"]}),
        json!({"at": 1}),
        json!({"regs": {"ext": {"dsa": {"dsarequired": 3, "pubrender": 1}}}}),
        json!({"regs": {"dsa": {"dsarequired": 2, "pubrender": 0}}}),
        json!({"regs": {"dsa": {"dsarequired": 1}}}),
        json!({"regs": {"coppa": 1}}),
    ])
}

/// Who sold it.
pub(crate) fn sellers() -> impl Strategy<Value = Value> {
    let node = |system: &str, account: &str| json!({"asi": system, "sid": account, "hp": 1});
    rarely(vec![
        json!({"complete": 1, "nodes": [node("ssp.example", "1")]}),
        json!({"complete": 1, "nodes": [node("ssp.example", "1"), node("bad.example", "2")]}),
        json!({"complete": 0, "nodes": [node("ssp.example", "1")]}),
        json!({"complete": 1, "nodes": [{"asi": "ssp.example"}]}),
    ])
    .prop_map(|chain| json!({"schain": chain.get("nodes").map(|_| chain.clone())}))
}

/// An exchange's settings, and the lists that the bidder is given.
pub(crate) fn partner() -> impl Strategy<Value = (Value, Traffic)> {
    let exchange = rarely(vec![
        json!({"supply": {"chain": "complete"}}),
        json!({"supply": {"chain": "any", "blocked_nodes": ["bad.example"]}}),
        json!({"supply": {"max_nodes": 1}}),
        json!({"supply": {"ads_txt": "required", "seller_domain": "ssp.example"}}),
        json!({"supply": {"ads_txt": "ignored"}, "seat": "s1", "auction_type": 1}),
        json!({"usd_rates_e9": {"EUR": 900_000_000, "CHF": 1_200_000_000}}),
    ]);
    (exchange, prop::bool::weighted(0.3)).prop_map(|(exchange, is_listed)| {
        let sites = "example.com, ssp.example, 1, DIRECT\nnews.example.com, ssp.example, p1, DIRECT";
        let lists = || Traffic {
            crawlers: Some(Arc::new(Crawlers::parse("crawler|1|kind crawler").unwrap())),
            data_centers: Some(Arc::new(Networks::parse("198.51.100.0/24").unwrap())),
            ads_txt: Some(Arc::new(AdsTxt::sites(sites).unwrap())),
            app_ads_txt: Some(Arc::new(AdsTxt::apps("com.a, ssp.example, p1, DIRECT").unwrap())),
        };
        (exchange, if is_listed { lists() } else { Traffic::default() })
    })
}

pub(crate) fn request() -> impl Strategy<Value = Value> {
    let place = select(vec![
        json!({"site": {"domain": "news.example.com", "cat": ["IAB1-1"], "publisher": {"id": "p1"}}}),
        json!({"site": {"domain": "sport.example.com", "cat": ["42"], "cattax": 6, "publisher": {"id": "p2"}}}),
        json!({"app": {"bundle": "com.a", "cat": ["IAB2-1"], "publisher": {"id": "p1"}}}),
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
    let agents = rarely(vec![
        json!({"ua": "a kind crawler"}),
        json!({"ua": "Crawler/1"}),
        json!({"ip": "198.51.100.9"}),
        json!({"ip": "192.0.2.1", "ua": "Mozilla/5.0 (Windows NT 10.0) Chrome/120"}),
    ]);
    let more = (demands(), sellers(), agents);
    (any::<u32>(), place, geo, blocks, cur, flags, more, prop::collection::vec(imp(), 1..4)).prop_map(
        |(id, mut request, geo, (bcat, badv), cur, (device, is_test, is_limited), more, mut imps)| {
            let (demands, source, agent) = more;
            for (at, imp) in imps.iter_mut().enumerate() {
                imp["id"] = json!(at.to_string());
            }
            let mut rest = json!({
                "id": id.to_string(), "imp": imps, "bcat": bcat, "badv": badv, "cur": cur, "test": i32::from(is_test),
                "device": {"geo": geo, "devicetype": device, "lmt": i32::from(is_limited)},
                "user": {"data": [{"id": "p", "segment": [{"id": "7"}]}]}, "source": source,
            });
            extend(&mut rest["device"], &agent);
            extend(&mut rest, &demands);
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

//! The law: for any campaigns, leases and requests, the search decides exactly as the linear reference.

use crate::world::*;
use bidding_engine::{
    AdsTxt, Catalog, Change as CatalogChange, CompiledCampaign, Crawlers, Decision, Entry, Networks, Scratch,
    Traffic,
};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::LazyJust;
use serde_json::{Value, json};
use std::collections::BTreeMap;
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
fn rarely(values: Vec<Value>) -> impl Strategy<Value = Value> {
    prop_oneof![3 => Just(json!({})), 1 => select(values)]
}

fn extend(object: &mut Value, more: &Value) {
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
    cpm_micros: i64,
    currency: &'static str,
    advertiser: &'static str,
    creatives: Vec<Value>,
    targeting: Vec<(&'static str, Value)>,
    cap: Option<&'static str>,
    is_active: bool,
    /// What the advertiser says of itself.
    house: Value,
    lease: (i64, i64, i64),
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
fn demands() -> impl Strategy<Value = Value> {
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
fn sellers() -> impl Strategy<Value = Value> {
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

fn request() -> impl Strategy<Value = Value> {
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// `World::bid` compares outcome, decisions, reasons and what is left of each lease. What a pod holds is looked at by
    /// itself.
    #[test]
    fn the_search_decides_as_the_reference(
        drawn in prop::collection::vec(drawn(), 0..12),
        requests in prop::collection::vec(request(), 1..6),
        user in user(),
        (exchange, traffic) in partner(),
    ) {
        let campaigns = drawn.iter().enumerate().map(|(number, drawn)| drawn.describe(number));
        let cells: Vec<_> = drawn.iter().map(|drawn| drawn.lease).collect();
        let mut world = World::of(campaigns).exchange(exchange).traffic(traffic).user(user).leases(&cells);
        for request in &requests {
            let answer = world.bid(request);
            assert_pods_hold_what_they_may(&world, request, &answer);
        }
    }
}

/// Within each pod no advertiser and no top category twice; within each slot of a dynamic one no more ads and seconds than
/// it has.
fn assert_pods_hold_what_they_may(world: &World, request: &Value, answer: &Answer) {
    let mut in_pods: BTreeMap<String, BTreeMap<usize, (String, Vec<String>)>> = BTreeMap::new();
    let mut in_slots: BTreeMap<(usize, Option<usize>), (u64, i64)> = BTreeMap::new();
    for decision in &answer.decisions {
        let imp = &request["imp"][decision.imp];
        let media = &imp[decision.format.as_str()];
        let serving = world.snapshot.campaign(decision.campaign).unwrap();
        let creative = &serving.creatives[decision.creative].spec;
        if let Some(whole) = media["poddur"].as_i64() {
            let (ads, seconds) = in_slots.entry((decision.imp, decision.deal)).or_default();
            *ads += 1;
            *seconds += (decision.duration_ms.unwrap() + 999) / 1_000;
            assert!(
                *seconds <= whole && *ads <= media["maxseq"].as_u64().unwrap_or(20),
                "{request}"
            );
        } else {
            let others = answer
                .decisions
                .iter()
                .filter(|other| (other.imp, other.deal) == (decision.imp, decision.deal));
            assert!(
                others.count() == 1 || imp.to_string().contains("poddur"),
                "{request}"
            );
        }
        let pod = match (media["podid"].as_str(), media["poddur"].is_null()) {
            (Some(pod), _) => pod.to_owned(),
            (None, false) => format!("own of {}", decision.imp),
            (None, true) => continue,
        };
        let tops = creative
            .categories
            .iter()
            .map(|name| format!("{} {}", creative.cattax, name.split('-').next().unwrap()));
        let ads = in_pods.entry(pod).or_default();
        ads.insert(
            decision.campaign,
            (serving.advertiser.id.to_string(), tops.collect()),
        );
    }
    for ads in in_pods.values() {
        let mut advertisers: Vec<&String> = ads.values().map(|(advertiser, _)| advertiser).collect();
        let mut tops: Vec<&String> = ads.values().flat_map(|(_, tops)| tops).collect();
        let counts = (advertisers.len(), tops.len());
        advertisers.sort_unstable();
        advertisers.dedup();
        tops.sort_unstable();
        tops.dedup();
        assert_eq!((advertisers.len(), tops.len()), counts, "{request}");
    }
}

/// What happens to campaigns between two requests.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Added(Box<Drawn>),
    Removed(Index),
    Replaced(Index, Box<Drawn>),
    Toggled(Index),
    Priced(Index, i64),
}

fn change() -> impl Strategy<Value = Change> {
    let which = any::<Index>;
    prop_oneof![
        3 => drawn().prop_map(|drawn| Change::Added(Box::new(drawn))),
        1 => which().prop_map(Change::Removed),
        1 => (which(), drawn()).prop_map(|(at, drawn)| Change::Replaced(at, Box::new(drawn))),
        1 => which().prop_map(Change::Toggled),
        1 => (which(), select(&[1, 1_000_000, 3_000_000, i64::MAX])).prop_map(|(at, cpm)| Change::Priced(at, cpm)),
    ]
}

impl Change {
    fn apply(self, campaigns: &mut Vec<Drawn>) {
        let place = |at: Index| (!campaigns.is_empty()).then(|| at.index(campaigns.len()));
        match self {
            Self::Added(drawn) => campaigns.push(*drawn),
            Self::Removed(at) => drop(place(at).map(|at| campaigns.remove(at))),
            Self::Replaced(at, drawn) => drop(place(at).map(|at| campaigns[at] = *drawn)),
            Self::Toggled(at) => drop(place(at).map(|at| campaigns[at].is_active ^= true)),
            Self::Priced(at, cpm_micros) => drop(place(at).map(|at| campaigns[at].cpm_micros = cpm_micros)),
        }
    }
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

fn mutated_request() -> impl Strategy<Value = String> {
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

/// Campaigns, then changes and a request at each step, and the user of them all.
pub(crate) type History = (Vec<Drawn>, Vec<(Vec<Change>, String)>, OwnedUser);

pub(crate) fn history() -> impl Strategy<Value = History> {
    let step = (prop::collection::vec(change(), 0..4), mutated_request());
    (
        prop::collection::vec(drawn(), 0..12),
        prop::collection::vec(step, 1..8),
        user(),
    )
}

/// A catalog to which only what changed is told.
struct Patched {
    catalog: Catalog<()>,
    told: BTreeMap<String, (CampaignBuilder, (i64, i64, i64))>,
}

impl Patched {
    fn new() -> Self {
        Self {
            catalog: Catalog::build([], &[exchange(json!({}))]),
            told: BTreeMap::new(),
        }
    }

    fn follow(&mut self, campaigns: &[Drawn]) {
        let described = campaigns.iter().enumerate();
        let wanted: BTreeMap<_, _> = described
            .map(|(number, drawn)| drawn.describe(number))
            .zip(campaigns)
            .map(|(described, drawn)| (described.id(), (described, drawn.lease)))
            .collect();
        let gone = self.told.keys().filter(|id| !wanted.contains_key(*id));
        let gone = gone.cloned().map(CatalogChange::Gone);
        let serves = wanted
            .iter()
            .filter(|(id, one)| self.told.get(*id) != Some(*one))
            .map(|(_, (described, lease))| CatalogChange::Serves(entry(described, *lease)));
        let changes: Vec<CatalogChange<()>> = gone.chain(serves).collect();
        self.catalog.apply(changes).unwrap();
        self.told = wanted;
        self.renew_leases();
    }

    /// What an earlier step took from a lease is no part of this law.
    fn renew_leases(&mut self) {
        for (number, cell) in self.catalog.leases().cells.iter().enumerate() {
            if let Some(campaign) = self.catalog.snapshot().campaign(number) {
                let (nanos, bids, until_ms) = self.told[campaign.campaign.id.as_str()].1;
                cell.set_reserve_ceiling_nanos(nanos.saturating_add(cell.reserved_total_nanos()));
                cell.set_bids_ceiling(bids.saturating_add(cell.bids_total()));
                cell.set_valid_until_monotonic_ms(until_ms);
            }
        }
    }
}

fn entry(described: &CampaignBuilder, lease: (i64, i64, i64)) -> Entry<()> {
    Entry {
        campaign: Arc::new(CompiledCampaign::compile(described.clone().build())),
        cell: cell(lease),
        companion: (),
    }
}

/// An answer with campaigns by their ids: numbers are a snapshot's own.
fn by_id(world: &World, answer: Answer) -> (Answer, Vec<String>) {
    let ids = answer
        .decisions
        .iter()
        .map(|decision| world.id(decision))
        .collect();
    let decisions = answer.decisions.into_iter().map(|decision| Decision {
        campaign: 0,
        ..decision
    });
    let decisions = decisions.collect();
    (Answer { decisions, ..answer }, ids)
}

/// The buffers of one thread serve snapshot after snapshot, and requests that no exchange should send. A snapshot made
/// from the one before by what changed decides as one built anew.
pub(crate) fn decide_alike((mut campaigns, steps, user): History) {
    let mut scratch = Scratch::default();
    let mut patched = Patched::new();
    for (changes, text) in steps {
        changes
            .into_iter()
            .for_each(|change| change.apply(&mut campaigns));
        patched.follow(&campaigns);
        if openrtb::read_request(text.as_bytes(), &bumpalo::Bump::new()).is_err() {
            continue;
        }
        let anew = Catalog::build(
            patched.told.values().map(|(of, lease)| entry(of, *lease)),
            &[exchange(json!({}))],
        );
        let mut answers = Vec::new();
        for catalog in [&anew, &patched.catalog] {
            let mut world = World::of_catalog(catalog).user(user.clone());
            world.scratch = std::mem::take(&mut scratch);
            let answer = world.bid_on_text(&text);
            answers.push(by_id(&world, answer));
            scratch = std::mem::take(&mut world.scratch);
        }
        assert_eq!(answers[0], answers[1], "{text}");
        assert_eq!(anew.snapshot().len(), patched.catalog.snapshot().len());
        assert_eq!(
            anew.snapshot().needs_user_state(),
            patched.catalog.snapshot().needs_user_state()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn whatever_changes_and_whatever_is_sent_the_search_decides_as_the_reference(history in history()) {
        decide_alike(history);
    }
}

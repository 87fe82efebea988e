//! Whose inventory is bought: supply chains, ads.txt, crawlers, data centres.

use crate::world::*;
use bidding_engine::NoBidReason::{self, *};
use bidding_engine::{AdsTxt, Crawlers, Networks, Traffic};
use serde_json::{Value, json};
use std::sync::Arc;

fn reason(supply: &Value, chain: Value) -> Option<NoBidReason> {
    let mut world = World::of([campaign("a")]).exchange(json!({"supply": supply}));
    world.reason(&with(site(), "/source", json!({"schain": chain})))
}

fn node(system: &str, account: &str) -> Value {
    json!({"asi": system, "sid": account, "hp": 1})
}

fn chain(complete: i64, nodes: &[Value]) -> Value {
    json!({"ver": "1.0", "complete": complete, "nodes": nodes})
}

#[test]
fn an_incomplete_chain_is_not_bought_unless_the_exchange_is_set_to() {
    let good = chain(1, &[node("ssp.example", "1")]);
    let none = json!(null);
    let faulty = [
        chain(0, &[node("ssp.example", "1")]),
        chain(1, &[]),
        chain(1, &[json!({"asi": "ssp.example"})]),
        chain(1, &[node("ssp.example", "1"), node("", "1")]),
    ];
    let (default, any, strict) = (json!({}), json!({"chain": "any"}), json!({"chain": "complete"}));
    for policy in [&default, &any, &strict] {
        assert_eq!(reason(policy, good.clone()), None);
    }
    for chain in &faulty {
        assert_eq!(
            reason(&default, chain.clone()),
            Some(IncompleteSupplyChain),
            "{chain}"
        );
        assert_eq!(reason(&any, chain.clone()), None, "{chain}");
    }
    assert_eq!(reason(&default, none.clone()), None);
    assert_eq!(reason(&strict, none), Some(IncompleteSupplyChain));
}

#[test]
fn a_chain_of_2_5_counts_as_well() {
    let mut world = World::of([campaign("a")]);
    let of_2_5 = with(site(), "/source", json!({"ext": {"schain": chain(0, &[])}}));
    assert_eq!(world.reason(&of_2_5), Some(IncompleteSupplyChain));
}

#[test]
fn a_chain_may_be_so_long_and_no_blocked_seller_be_in_it() {
    let two = chain(
        1,
        &[node("ssp.example", "1"), node("Deep.Reseller.example", "77")],
    );
    assert_eq!(reason(&json!({"max_nodes": 2}), two.clone()), None);
    assert_eq!(
        reason(&json!({"max_nodes": 1}), two.clone()),
        Some(SupplyChainTooLong)
    );
    for (blocked, expected) in [
        ("reseller.example", true),
        ("deep.reseller.example/77", true),
        ("deep.reseller.example/78", false),
        ("seller.example", false),
        ("other.example", false),
    ] {
        let found = reason(&json!({"blocked_nodes": [blocked]}), two.clone());
        assert_eq!(found, expected.then_some(BlockedSupplyChainNode), "{blocked}");
    }
    let nodes: Vec<Value> = (0..11).map(|at| node("ssp.example", &at.to_string())).collect();
    assert_eq!(reason(&json!({}), chain(1, &nodes)), Some(SupplyChainTooLong));
}

fn listed() -> Traffic {
    let sites = "news.example.com, ssp.example, 1, DIRECT\nexample.com, ssp.example, 2, DIRECT\n\
                 example.com, reseller.example, 7, RESELLER\npartner.example, ssp.example, 9, DIRECT";
    Traffic {
        ads_txt: Some(Arc::new(AdsTxt::sites(sites).unwrap())),
        app_ads_txt: Some(Arc::new(AdsTxt::apps("com.a, ssp.example, 5, DIRECT").unwrap())),
        crawlers: Some(Arc::new(Crawlers::parse("Googlebot").unwrap())),
        data_centers: Some(Arc::new(
            Networks::parse("198.51.100.0/24\n2001:db8::/32").unwrap(),
        )),
    }
}

fn by_list(supply: Value, request: &Value) -> Option<NoBidReason> {
    let world = World::of([campaign("a")]).exchange(json!({"supply": supply}));
    world.traffic(listed()).reason(request)
}

#[test]
fn sellers_whom_the_publisher_does_not_name_are_not_bought() {
    let of = |domain: &str, nodes: &[Value]| {
        let request = with(site(), "/site", json!({"domain": domain}));
        with(request, "/source", json!({"schain": chain(1, nodes)}))
    };
    let (ssp, other) = (node("ssp.example", "1"), node("ssp.example", "3"));
    let own = "news.example.com";
    assert_eq!(by_list(json!({}), &of(own, std::slice::from_ref(&ssp))), None);
    assert_eq!(
        by_list(json!({}), &of(own, std::slice::from_ref(&other))),
        Some(AdsTxtViolation)
    );
    assert_eq!(
        by_list(json!({}), &of(own, &[ssp.clone(), node("reseller.example", "7")])),
        Some(AdsTxtViolation)
    );
    // The nearest domain with a list speaks for its subdomains.
    let resold = [node("ssp.example", "2"), node("reseller.example", "7")];
    assert_eq!(by_list(json!({}), &of("sport.example.com", &resold)), None);
    assert_eq!(
        by_list(
            json!({"ads_txt": "ignored"}),
            &of(own, std::slice::from_ref(&other))
        ),
        None
    );
    // A node that is not paid need not be named.
    let unpaid = json!({"asi": "tool.example", "sid": "1", "hp": 0});
    assert_eq!(by_list(json!({}), &of(own, &[ssp, unpaid])), None);
    let by_partner = with(
        of(own, &[node("ssp.example", "9")]),
        "/site/inventorypartnerdomain",
        json!("partner.example"),
    );
    assert_eq!(by_list(json!({}), &by_partner), None);
    // Of an unknown publisher nothing is known.
    assert_eq!(
        by_list(json!({}), &of("unknown.test", std::slice::from_ref(&other))),
        None
    );
    assert_eq!(
        by_list(json!({"ads_txt": "required"}), &of("unknown.test", &[other])),
        Some(AdsTxtUnavailable)
    );
}

#[test]
fn without_a_chain_the_publisher_s_account_at_the_exchange_is_looked_up() {
    let of = |place: Value, account: &str| {
        let mut request = site();
        request.as_object_mut().unwrap().remove("site");
        for (kind, mut place) in place.as_object().unwrap().clone() {
            place["publisher"] = json!({"id": account});
            request[kind] = place;
        }
        request
    };
    let policy = || json!({"seller_domain": "ssp.example"});
    let (news, app) = (
        json!({"site": {"domain": "www.news.example.com"}}),
        json!({"app": {"bundle": "com.a"}}),
    );
    assert_eq!(by_list(policy(), &of(news.clone(), "1")), None);
    assert_eq!(by_list(policy(), &of(news.clone(), "2")), Some(AdsTxtViolation));
    assert_eq!(
        by_list(json!({}), &of(news, "2")),
        None,
        "the exchange's domain is not known"
    );
    assert_eq!(by_list(policy(), &of(app.clone(), "5")), None);
    assert_eq!(by_list(policy(), &of(app, "1")), Some(AdsTxtViolation));
    assert_eq!(
        by_list(policy(), &of(json!({"dooh": {"id": "screen"}}), "1")),
        None
    );
}

#[test]
fn crawlers_and_data_centres_get_no_bid() {
    let from = |device: Value| by_list(json!({}), &with(site(), "/device", device));
    assert_eq!(
        from(json!({"ua": "Mozilla/5.0 (compatible; Googlebot/2.1)"})),
        Some(WebCrawler)
    );
    assert_eq!(from(json!({"ip": "198.51.100.7"})), Some(DataCenterIp));
    assert_eq!(
        from(json!({"ip": "192.0.2.1", "ipv6": "2001:db8::7"})),
        Some(DataCenterIp)
    );
    for harmless in [
        json!({"ua": "Mozilla/5.0", "ip": "192.0.2.1"}),
        json!({"ip": "nonsense"}),
        json!({}),
    ] {
        assert_eq!(from(harmless), None);
    }
    let codes = [
        WebCrawler,
        DataCenterIp,
        IncompleteSupplyChain,
        BlockedSupplyChainNode,
        AdsTxtViolation,
        AdsTxtUnavailable,
    ];
    assert_eq!(codes.map(NoBidReason::nbr), [3, 5, 16, 17, 12, 11]);
}

//! Once its buffers have grown, a decision takes nothing from the heap.

#![expect(clippy::unwrap_used, reason = "a test may fail by it")]

#[path = "engine/world.rs"]
#[expect(
    dead_code,
    reason = "the world is shared with the other tests; these need a corner of it"
)]
mod world;

use bidding_engine::{Outcome, UserView};
use bumpalo::Bump;
use serde_json::json;
use world::{World, banner, campaign, native, site, video, with};

#[test]
fn deciding_a_request_again_allocates_nothing() {
    let deals = json!([{"id": "d1", "bidfloor": 1}, {"id": "d2"}]);
    let native_text = r#"{"assets":[{"id":1,"required":1,"title":{"len":20}}]}"#;
    let imps = json!([
        {"id": "1", "banner": {"w": 300, "h": 250}, "pmp": {"deals": deals}},
        {"id": "2", "video": {"mimes": ["video/mp4"], "maxduration": 30, "podid": "p"}},
        {"id": "4", "video": {"mimes": ["video/mp4"], "maxduration": 30, "poddur": 60, "maxseq": 3}},
        {"id": "3", "native": {"request": native_text}},
    ]);
    let request = with(with(site(), "/imp", imps), "/bcat", json!(["IAB7"]));
    let request = with(request, "/device/ua", json!("Mozilla/5.0 (X11; Linux x86_64)"));
    let request = with(request, "/device/ip", json!("192.0.2.1"));
    let chain = json!({"complete": 1, "nodes": [{"asi": "ssp.example", "sid": "1"}]});
    let request = with(request, "/source", json!({"schain": chain}));
    // First price: the look-up of the learned price as well.
    let request = with(request, "/at", json!(1));
    let text = with(request, "/site/keywords", json!("a, b")).to_string();
    let arena = Bump::new();
    let request = openrtb::read_request(text.as_bytes(), &arena).unwrap();

    let lists = bidding_engine::Traffic {
        crawlers: Some(bidding_engine::Crawlers::parse("googlebot").unwrap().into()),
        data_centers: Some(bidding_engine::Networks::parse("198.51.100.0/24").unwrap().into()),
        ads_txt: Some(
            bidding_engine::AdsTxt::sites("example.com, ssp.example, 1, DIRECT")
                .unwrap()
                .into(),
        ),
        app_ads_txt: None,
    };
    let mut world = World::of((0..100).map(|number| {
        let creatives = [banner(300, 250), banner(300, 250), video(15_000), native()];
        campaign(&format!("c{number}"))
            .deals(&["d2"])
            .creatives(creatives)
            .creative("categories", json!(["IAB1-1"]))
    }))
    .traffic(lists);
    let exchange = world.snapshot.exchange("default").unwrap();
    let mut decisions = Vec::new();
    let mut bid = || {
        bidding_engine::bid(
            &world.snapshot,
            exchange,
            &world.leases,
            &UserView::Unidentified,
            world.now,
            &request,
            &mut world.scratch,
            &mut decisions,
        )
    };
    (0..3).for_each(|_| assert_eq!(bid(), Outcome::Bid));
    let taken = allocation_counter::measure(|| assert_eq!(bid(), Outcome::Bid));
    assert_eq!(taken.count_total, 0);
    assert_eq!(decisions.len(), 4 + 3);
}

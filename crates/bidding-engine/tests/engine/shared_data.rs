//! Requests that others wrote: the search decides on each as the linear reference, for campaigns of the law's kind.
//!
//! The file lies beside the repository, not in it; a run without it says so.

use crate::drawn;
use crate::world::*;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use std::path::PathBuf;

fn requests() -> Option<Vec<Value>> {
    let folder = std::env::var_os("SHARED_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let path = folder.join("openrtb/requests.ndjson");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!(
            "SKIPPED: {} is not there; set SHARED_DATA to the folder that holds openrtb/",
            path.display()
        );
        return None;
    };
    let request = |line: &str| serde_json::from_str::<Value>(line).unwrap()["request"].take();
    Some(text.lines().map(request).collect())
}

#[test]
fn on_every_request_of_the_collection_the_search_decides_as_the_reference() {
    let Some(requests) = requests() else { return };
    let mut random = TestRunner::deterministic();
    let mut bids = 0;
    for some in requests.chunks(100) {
        let drawn = proptest::collection::vec(drawn::drawn(), 30..60)
            .new_tree(&mut random)
            .unwrap();
        let user = drawn::user().new_tree(&mut random).unwrap().current();
        let (exchange, traffic) = drawn::partner().new_tree(&mut random).unwrap().current();
        let drawn = drawn.current();
        let campaigns = drawn
            .iter()
            .enumerate()
            .map(|(number, drawn)| drawn.describe(number));
        let mut world = World::of(campaigns)
            .exchange(exchange)
            .traffic(traffic)
            .user(user);
        for request in some {
            let text = request.to_string();
            if openrtb::read_request(text.as_bytes(), &bumpalo::Bump::new()).is_ok() {
                bids += world.bid_on_text(&text).decisions.len();
            }
        }
        // A currency that everybody takes, and a place for everyone.
        let broad = with(
            some[0].clone(),
            "/imp",
            json!([{"id": "1", "banner": {}, "video": {"poddur": 60}}]),
        );
        if openrtb::read_request(broad.to_string().as_bytes(), &bumpalo::Bump::new()).is_ok() {
            world.bid(&broad);
        }
    }
    assert!(
        bids > requests.len() / 4,
        "{bids} bids on {} requests",
        requests.len()
    );
}

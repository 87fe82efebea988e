//! Requests that others wrote: search and reference agree on every one.

use crate::world::*;
use bidding_engine::{NoBidReason, Outcome};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Creatives of common sizes and formats, with and without deals, caps and targeting.
fn broad() -> World {
    let sizes = [
        (300, 250),
        (728, 90),
        (320, 50),
        (160, 600),
        (970, 250),
        (300, 600),
    ];
    let banners = sizes.into_iter().enumerate().map(|(at, (width, height))| {
        campaign(&format!("banner_{at}"))
            .cpm(1 + at as i64 % 3)
            .creatives([banner(width, height)])
    });
    let mime = |mut creative: Value, mimes: &[&str]| {
        creative["mimes"] = json!(mimes);
        creative["protocols"] = json!([1, 2, 3, 5, 6, 7]);
        creative
    };
    let others = [
        campaign("video").cpm(4).creatives([
            mime(video(15_000), &["video/mp4", "video/webm"]),
            mime(video(30_000), &["video/mp4"]),
        ]),
        campaign("video_eur")
            .currency("EUR")
            .cpm(4)
            .creatives([mime(video(10_000), &["video/mp4"])]),
        campaign("audio").creatives([mime(audio(15_000), &["audio/mp4", "audio/mpeg", "audio/mp3"])]),
        campaign("native").creatives([native()]),
        campaign("usa")
            .cpm(6)
            .targeting("geo", json!({"allow": [{"country": "USA"}]})),
        campaign("apps")
            .cpm(6)
            .targeting("inventory", json!({"allow": ["app"]})),
        campaign("phones")
            .cpm(5)
            .targeting("devices", json!({"allow": ["mobile"]})),
    ];
    World::of(banners.chain(others))
}

#[test]
fn every_shared_request_is_decided_alike_by_search_and_reference() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/openrtb/requests.ndjson");
    let Ok(lines) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: {} is not there", path.display());
        return;
    };
    let mut world = broad();
    let mut outcomes: BTreeMap<String, u32> = BTreeMap::new();
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = line["request"].to_string();
        let arena = bumpalo::Bump::new();
        if openrtb::read_request(text.as_bytes(), &arena).is_err() {
            *outcomes.entry("malformed".to_owned()).or_default() += 1;
            continue;
        }
        let word = match world.bid_on_text(&text).outcome {
            Outcome::Bid => "bid",
            Outcome::NoBid(reason) => NoBidReason::as_str(reason),
        };
        *outcomes.entry(word.to_owned()).or_default() += 1;
    }
    println!("{outcomes:#?}");
    assert!(outcomes["bid"] > 300, "{outcomes:?}");
}

//! Requests that others wrote. They are not part of this source tree: found in `SHARED_DATA_DIR`, or in
//! `shared/data` beside the repository; where they are absent, the tests say so and check nothing.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::{env, fs};

use bumpalo::Bump;
use openrtb::request::InventoryKind;
use openrtb::{Malformed, native, read_request};
use serde_json::Value;
use serde_json::value::RawValue;

fn shared_file(name: &str) -> Option<String> {
    let folder = env::var_os("SHARED_DATA_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")),
        PathBuf::from,
    );
    let path = folder.join("openrtb").join(name);
    match fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) => {
            // Not `eprintln`, which the test harness would swallow.
            let _ = writeln!(
                io::stderr(),
                "SKIPPED: {} is not there ({error}); nothing was checked",
                path.display()
            );
            None
        }
    }
}

/// The lines of a file: the request as it was written, and its source.
fn requests(text: &str) -> impl Iterator<Item = (&str, String)> {
    text.lines().map(|line| {
        let mut members: BTreeMap<&str, &RawValue> = serde_json::from_str(line).expect("a line is an object");
        let request = members.remove("request").expect("a line has a request");
        (
            request.get(),
            members["source"].get().trim_matches('"').to_owned(),
        )
    })
}

/// The name of a kind of `Malformed`, without what it holds.
fn kind(malformed: &Malformed) -> String {
    let text = format!("{malformed:?}");
    text.split(|character: char| !character.is_alphanumeric())
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn each_request_of_others_is_served_or_refused_by_a_rule() {
    let Some(text) = shared_file("requests.ndjson") else {
        return;
    };
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    let mut arena = Bump::new();
    for (request, _) in requests(&text) {
        let outcome = match read_request(request.as_bytes(), &arena) {
            Ok(request) if request.inventory.kind == InventoryKind::Unknown => {
                "served, context unknown".into()
            }
            Ok(_) => "served".into(),
            Err(malformed) => kind(&malformed),
        };
        *outcomes.entry(outcome).or_default() += 1;
        arena.reset();
    }
    println!("{outcomes:#?}");
    let expected = [
        ("served", 1330),
        // 402 name neither site, app nor dooh; 6 of them have no imp or duplicate ids.
        ("served, context unknown", 396),
        ("SeveralInventories", 40),
        ("NoImp", 10),
        ("DuplicateImpId", 8),
        ("MissingImpId", 9),
    ];
    assert_eq!(
        outcomes,
        expected
            .map(|(outcome, count)| (outcome.to_owned(), count))
            .into()
    );
}

/// Reading agrees with a generic parser on what many lines have in common.
#[test]
fn the_requests_of_others_are_read_as_they_are_written() {
    let Some(text) = shared_file("requests.ndjson") else {
        return;
    };
    let mut arena = Bump::new();
    let mut compared = 0;
    for (written, source) in requests(&text) {
        arena.reset();
        let value: Value = serde_json::from_str(written).unwrap();
        let Ok(request) = read_request(written.as_bytes(), &arena) else {
            continue;
        };
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
        assert_eq!(Some(request.id), text("/id"), "{source}");
        assert_eq!(
            request.imp.len(),
            value["imp"].as_array().map_or(1, Vec::len),
            "{source}"
        );
        assert_eq!(request.device.ua, text("/device/ua"), "{source}");
        assert_eq!(request.user.buyeruid, text("/user/buyeruid"), "{source}");
        let page = text("/site/page").or(text("/app/page"));
        assert_eq!(request.inventory.page, page, "{source}");
        for (imp, written) in request
            .imp
            .iter()
            .zip(value["imp"].as_array().into_iter().flatten())
        {
            assert_eq!(Some(imp.id), written["id"].as_str(), "{source}");
            assert_eq!(imp.banner.is_some(), written["banner"].is_object(), "{source}");
            assert_eq!(imp.video.is_some(), written["video"].is_object(), "{source}");
            assert_eq!(imp.audio.is_some(), written["audio"].is_object(), "{source}");
            assert_eq!(imp.native.is_some(), written["native"].is_object(), "{source}");
            let formats = imp.banner.map_or(0, |banner| banner.format.len());
            let expected = written
                .pointer("/banner/format")
                .and_then(Value::as_array)
                .map_or(0, Vec::len);
            assert_eq!(formats, expected, "{source}");
            let floor = written["bidfloor"].as_f64().unwrap_or_default().max(0.0);
            assert!(
                (imp.bidfloor_micros as f64 / 1e6 - floor).abs() < 2e-6,
                "{source}: {floor}"
            );
        }
        compared += 1;
    }
    assert!(compared > 1_700, "only {compared} requests were compared");
}

/// Of what prebid-server refuses, all but these break only its own rules and are served.
#[test]
fn of_what_prebid_refuses_only_what_breaks_openrtb_is_malformed() {
    let Some(text) = shared_file("invalid.ndjson") else {
        return;
    };
    let expected = [
        ("bad_stored_req.json", Malformed::MissingImpId),
        ("device-h-negative.json", Malformed::NegativeSize("device.h")),
        ("device-w-negative.json", Malformed::NegativeSize("device.w")),
        ("empty-object.json", Malformed::MissingId),
        (
            "format-w-negative.json",
            Malformed::NegativeSize("imp.banner.format.w"),
        ),
        (
            "format-wmin-negative.json",
            Malformed::NegativeSize("imp.banner.format.wmin"),
        ),
        ("imp-empty-object.json", Malformed::MissingImpId),
        ("only-request-id.json", Malformed::NoImp),
        ("video-h-negative.json", Malformed::NegativeSize("imp.video.h")),
        ("video-w-negative.json", Malformed::NegativeSize("imp.video.w")),
    ];
    let mut arena = Bump::new();
    let mut refused = BTreeMap::new();
    for (request, source) in requests(&text) {
        let file = source.rsplit('/').next().unwrap_or_default().to_owned();
        match read_request(request.as_bytes(), &arena) {
            Ok(_) => println!("{file}: served"),
            Err(malformed) => drop(refused.insert(file, malformed)),
        }
        arena.reset();
    }
    assert_eq!(
        refused,
        expected
            .map(|(file, malformed)| (file.to_owned(), malformed))
            .into()
    );
}

/// Native requests that prebid-server refuses make no bid request malformed; the offer itself is
/// unusable only for its negative size.
#[test]
fn native_requests_that_prebid_refuses() {
    let Some(text) = shared_file("invalid.ndjson") else {
        return;
    };
    let arena = Bump::new();
    let mut refused = Vec::new();
    for (written, source) in requests(&text).filter(|(_, source)| source.contains("/invalid-native/")) {
        let request = read_request(written.as_bytes(), &arena).unwrap();
        let offer = request.imp[0].native.and_then(|native| native.request).unwrap();
        if let Err(malformed) = native::read_request(offer, &arena) {
            refused.push((
                source.rsplit('/').next().unwrap_or_default().to_owned(),
                malformed,
            ));
        }
    }
    let negative = Malformed::NegativeSize("assets.img.wmin");
    assert_eq!(refused, [("asset-img-wmin-negative.json".to_owned(), negative)]);
}

#[test]
fn the_load_generators_request() {
    let Some(text) = shared_file("load-request-2.5.json") else {
        return;
    };
    let arena = Bump::new();
    let request = read_request(text.as_bytes(), &arena).unwrap();
    assert_eq!(request.id, "1f3c6f4e-6a0e-4a35-9b1a-0d5f6f2c9a11");
    assert_eq!(
        (request.tmax_ms, request.at, request.cattax),
        (Some(51), Some(1), 2)
    );
    assert_eq!(
        (
            request.bcat.len(),
            request.badv.len(),
            request.inventory.cat.len()
        ),
        (14, 5, 12)
    );
    let imp = &request.imp[0];
    assert_eq!(
        (imp.bidfloor_micros, imp.bidfloorcur, imp.exp, imp.ssai),
        (3_580_000, "USD", Some(4), 1)
    );
    let banner = imp.banner.unwrap();
    assert_eq!(
        (banner.w, banner.h, banner.mimes),
        (Some(1767), Some(1092), &["text/html"][..])
    );
    assert_eq!((request.regs.gdpr, request.regs.coppa), (Some(false), false));
    assert_eq!(
        (request.user.geo.lat, request.user.geo.lon),
        (Some(37.789), Some(-122.394))
    );
    assert_eq!(request.user.data[0].segment[0].value, Some("segment_value"));
}

//! Laws that hold for any bytes.

use bumpalo::Bump;
use openrtb::{Malformed, native, read_request, read_response};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::Index;
use serde::de::IgnoredAny;
use serde_json::Value;

const FULL: &[u8] = include_bytes!("samples/full-2.6.json");

/// What a bidder has to answer for: no panic, from any reader.
fn read_everything(bytes: &[u8]) {
    let arena = Bump::new();
    let _ = read_request(bytes, &arena);
    let _ = read_response(bytes, &arena);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = native::read_request(text, &arena);
    }
}

fn is_json(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// Our verdict on syntax against serde_json's. Deliberate differences: we stop at `DEPTH_LIMIT`, and a
/// request that breaks a rule of OpenRTB is refused before its rest is looked at.
fn expect_same_syntax(bytes: &[u8]) {
    match read_request(bytes, &Bump::new()) {
        Ok(_) | Err(Malformed::NotAnObject) => assert!(is_json(bytes), "we accept what is no json"),
        Err(Malformed::Syntax { .. } | Malformed::NotUtf8) => {
            assert!(!is_json(bytes), "we refuse what is json");
        }
        Err(_) => {}
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    scalar.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            btree_map(key(), inner, 0..6).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// Names that the reader knows, and any other.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(vec![
            "id",
            "imp",
            "banner",
            "video",
            "native",
            "request",
            "format",
            "w",
            "h",
            "pmp",
            "deals",
            "bidfloor",
            "device",
            "geo",
            "lat",
            "user",
            "eids",
            "uids",
            "data",
            "segment",
            "regs",
            "ext",
            "dsa",
            "source",
            "schain",
            "nodes",
            "site",
            "app",
            "content",
            "publisher",
            "cat",
            "cur",
            "mimes",
            "sua",
            "browsers",
            "durfloors",
            "qty",
            "multiplier",
            "gdpr",
            "gpp_sid",
            "seatbid",
            "bid",
            "price",
            "adm",
            "assets",
            "img",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ]
}

/// Bytes that matter to a JSON reader, and any other.
fn any_edit() -> impl Strategy<Value = u8> {
    prop_oneof![
        proptest::sample::select(b"{}[]\",:\\-+.eE0123456789 \n\tutrfn\x00\x1f\x80".to_vec()),
        any::<u8>()
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any_edit(), 0..200)) {
        read_everything(&bytes);
        expect_same_syntax(&bytes);
    }

    #[test]
    fn edited_requests_never_panic(edits in vec((any::<Index>(), any_edit()), 1..4)) {
        let mut bytes = FULL.to_vec();
        for (index, byte) in edits {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        read_everything(&bytes);
        expect_same_syntax(&bytes);
    }

    #[test]
    fn any_json_in_any_place_is_tolerated_or_refused_by_a_rule(value in any_json(), name in key()) {
        let bytes = serde_json::to_vec(&value).expect("a value has a text");
        read_everything(&bytes);
        expect_same_syntax(&bytes);
        let inside = format!(r#"{{"id":"1","imp":[{{"id":"1"}}],{}:{value}}}"#, Value::from(name));
        read_everything(inside.as_bytes());
        expect_same_syntax(inside.as_bytes());
    }

    #[test]
    fn an_unknown_member_changes_nothing(value in any_json()) {
        let arena = Bump::new();
        let plain = read_request(br#"{"id":"1","imp":[{"id":"1"}]}"#, &arena);
        let body = format!(r#"{{"unheard-of":{value},"id":"1","imp":[{{"unheard-of":{value},"id":"1"}}]}}"#);
        prop_assert_eq!(read_request(body.as_bytes(), &arena), plain);
    }

    #[test]
    fn an_edited_unknown_member_is_json_or_refused(value in any_json(), index in any::<Index>(), byte in any_edit()) {
        let mut bytes = serde_json::to_vec(&value).expect("a value has a text");
        let at = index.index(bytes.len());
        bytes[at] = byte;
        let body = [br#"{"id":"1","imp":[{"id":"1"}],"x":"#, &*bytes, b"}"].concat();
        expect_same_syntax(&body);
    }

    #[test]
    fn a_text_is_read_as_it_was_meant(text in any::<String>(), escape_all in any::<bool>()) {
        let quoted = if escape_all {
            let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            format!("\"{units}\"")
        } else {
            Value::from(&*text).to_string()
        };
        let body = format!(r#"{{"id":{quoted},"imp":[{{"id":"1"}}]}}"#);
        let arena = Bump::new();
        prop_assert_eq!(read_request(body.as_bytes(), &arena).map(|request| request.id), Ok(&*text));
    }

    #[test]
    fn floors_are_exact_and_rounded_up(nanos in 0..1_000_000_000_000_u64, zeros in 0..40_usize) {
        let floor = format!("{}.{:09}{}", nanos / 1_000_000_000, nanos % 1_000_000_000, "0".repeat(zeros));
        let body = format!(r#"{{"id":"1","imp":[{{"id":"1","bidfloor":{floor}}}]}}"#);
        let arena = Bump::new();
        let request = read_request(body.as_bytes(), &arena).expect("the sample is served");
        prop_assert_eq!(request.imp[0].bidfloor_micros.unsigned_abs(), nanos.div_ceil(1_000));
    }
}

#[test]
fn every_truncation_is_refused() {
    let whole = FULL.trim_ascii_end();
    assert!(read_request(whole, &Bump::new()).is_ok());
    for len in 0..whole.len() {
        read_everything(&whole[..len]);
        assert!(
            read_request(&whole[..len], &Bump::new()).is_err(),
            "cut after {len} bytes"
        );
    }
}

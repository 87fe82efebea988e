//! One sample for each rule that makes a request malformed, and for what lies just inside it.

use bumpalo::Bump;
use openrtb::Malformed::{self, *};
use openrtb::request::InventoryKind;
use openrtb::{DEPTH_LIMIT, read_request};

fn verdict(body: impl AsRef<[u8]>) -> Result<(), Malformed> {
    read_request(body.as_ref(), &Bump::new()).map(drop)
}

#[test]
fn the_least_request_is_served() {
    assert_eq!(verdict(r#"{"id":"1","imp":[{"id":"1"}]}"#), Ok(()));
    assert_eq!(
        verdict(" \t\r\n{ \"id\" : \"1\" , \"imp\" : [ { \"id\" : \"1\" } ] } \n"),
        Ok(())
    );
}

#[test]
fn a_body_that_is_not_utf8() {
    assert_eq!(
        verdict(b"{\"id\":\"\xff\",\"imp\":[{\"id\":\"1\"}]}"),
        Err(NotUtf8)
    );
}

#[test]
fn a_body_that_is_not_json_anywhere() {
    let syntax = |offset| Err(Syntax { offset });
    assert_eq!(verdict(""), syntax(0));
    assert_eq!(verdict(r#"{"id":"1","imp":[{"id":"1"}]"#), syntax(28));
    assert_eq!(verdict(r#"{"id":"1","imp":[{"id":"1"}]} x"#), syntax(30));
    assert_eq!(verdict(r#"{"id":"1","imp":[{"id":"1"}],}"#), syntax(29));
    assert_eq!(verdict("{\"id\":\"1\",\"imp\":[{\"id\":\"1\"}]}\0"), syntax(29));
    for skipped in [
        "01",
        "1.",
        "-",
        "1e",
        ".5",
        "+1",
        "tru",
        "nul",
        "[1,]",
        "[1 2]",
        "{1:2}",
        "{\"a\"}",
        "{\"a\":1,}",
        "[1}",
        "{\"a\":1]",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\n\"",
        "NaN",
        "'a'",
        "",
    ] {
        let body = format!(r#"{{"id":"1","unknown":{skipped},"imp":[{{"id":"1"}}]}}"#);
        assert!(matches!(verdict(&body), Err(Syntax { .. })), "{body}");
    }
}

#[test]
fn a_document_that_is_no_object() {
    for body in ["[]", "1", "null", "\"text\"", "[{\"id\":\"1\"}]"] {
        assert_eq!(verdict(body), Err(NotAnObject), "{body}");
    }
}

#[test]
fn nesting_beyond_the_limit_and_up_to_it() {
    let nested = |depth: usize, open: &str, close: &str| {
        format!(
            r#"{{"id":"1","imp":[{{"id":"1"}}],"x":{}1{}}}"#,
            open.repeat(depth),
            close.repeat(depth)
        )
    };
    let most = DEPTH_LIMIT as usize - 1;
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        assert_eq!(verdict(nested(most, open, close)), Ok(()));
        assert_eq!(verdict(nested(most + 1, open, close)), Err(TooDeep));
        assert_eq!(verdict(nested(1_000_000, open, close)), Err(TooDeep));
    }
}

#[test]
fn a_missing_request_id() {
    for body in [
        "{}",
        r#"{"imp":[{"id":"1"}]}"#,
        r#"{"id":null,"imp":[{"id":"1"}]}"#,
        r#"{"id":{},"imp":[]}"#,
    ] {
        assert_eq!(verdict(body), Err(MissingId), "{body}");
    }
}

#[test]
fn no_imp() {
    for body in [
        r#"{"id":"1"}"#,
        r#"{"id":"1","imp":[]}"#,
        r#"{"id":"1","imp":null}"#,
        r#"{"id":"1","imp":[null]}"#,
    ] {
        assert_eq!(verdict(body), Err(NoImp), "{body}");
    }
}

#[test]
fn a_missing_imp_id() {
    assert_eq!(
        verdict(r#"{"id":"1","imp":[{"id":"1"},{"banner":{}}]}"#),
        Err(MissingImpId)
    );
}

#[test]
fn duplicate_imp_ids_among_few_and_many() {
    assert_eq!(
        verdict(r#"{"id":"1","imp":[{"id":"a"},{"id":"b"},{"id":"a"}]}"#),
        Err(DuplicateImpId)
    );
    let many = |last: usize| {
        let imps: Vec<_> = (0..200)
            .chain([last])
            .map(|id| format!(r#"{{"id":"{id}"}}"#))
            .collect();
        format!(r#"{{"id":"1","imp":[{}]}}"#, imps.join(","))
    };
    assert_eq!(verdict(many(200)), Ok(()));
    assert_eq!(verdict(many(7)), Err(DuplicateImpId));
}

#[test]
fn negative_sizes_name_their_field() {
    let imp = |part: &str| format!(r#"{{"id":"1","imp":[{{"id":"1",{part}}}]}}"#);
    for (part, field) in [
        (r#""banner":{"w":-1}"#, "imp.banner.w"),
        (r#""banner":{"h":"-1"}"#, "imp.banner.h"),
        (
            r#""banner":{"format":[{"w":300,"h":-250}]}"#,
            "imp.banner.format.h",
        ),
        (r#""banner":{"format":[{"wmin":-1}]}"#, "imp.banner.format.wmin"),
        (r#""video":{"w":-1.0}"#, "imp.video.w"),
    ] {
        assert_eq!(verdict(imp(part)), Err(NegativeSize(field)));
    }
    let device = r#"{"id":"1","imp":[{"id":"1"}],"device":{"h":-1}}"#;
    assert_eq!(verdict(device), Err(NegativeSize("device.h")));
    assert_eq!(verdict(imp(r#""banner":{"w":0,"h":-0}"#)), Ok(()));
}

#[test]
fn at_most_one_of_site_app_and_dooh() {
    let with = |members: &str| format!(r#"{{"id":"1","imp":[{{"id":"1"}}]{members}}}"#);
    for two in [
        r#","site":{},"app":{}"#,
        r#","app":{},"dooh":{}"#,
        r#","site":{},"dooh":{}"#,
    ] {
        assert_eq!(verdict(with(two)), Err(SeveralInventories), "{two}");
    }
    let kind = |members: &str| {
        read_request(with(members).as_bytes(), &Bump::new()).map(|request| request.inventory.kind)
    };
    assert_eq!(kind(""), Ok(InventoryKind::Unknown));
    assert_eq!(kind(r#","site":{},"app":null"#), Ok(InventoryKind::Site));
}

#[test]
fn what_is_said_names_the_field() {
    assert_eq!(MissingImpId.to_string(), "imp.id is missing");
    assert_eq!(
        NegativeSize("imp.banner.w").to_string(),
        "imp.banner.w is negative"
    );
    assert_eq!(
        SeveralInventories.to_string(),
        "more than one of site, app and dooh"
    );
}

#[test]
fn nothing_else_is_malformed() {
    for part in [
        r#""bidfloor":-1"#,
        r#""bidfloor":1e400"#,
        r#""bidfloor":"free""#,
        r#""banner":{}"#,
        r#""banner":7"#,
        r#""banner":{"w":99999999999,"format":[]}"#,
        r#""video":{"minduration":-5,"maxseq":-1,"protocols":[999999,"x",{}]}"#,
        r#""native":{"request":"not json"}"#,
        r#""native":{}"#,
        r#""pmp":{"deals":[{"bidfloor":1},{"id":"d"}]}"#,
        r#""exp":"soon","qty":{"multiplier":-1}"#,
        r#""ext":[1,2]"#,
    ] {
        assert_eq!(
            verdict(format!(r#"{{"id":"1","imp":[{{"id":"1",{part}}}]}}"#)),
            Ok(()),
            "{part}"
        );
    }
}

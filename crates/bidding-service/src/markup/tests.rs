use super::*;
use crate::testing::creative;
use serde_json::json;

fn shown(prepared: &PreparedCreative) -> String {
    prepared
        .markup
        .pieces()
        .map(|piece| match piece {
            Piece::Text(text) => text.to_string(),
            Piece::ClickUrl => "(click)".into(),
            Piece::ClickId => "(id)".into(),
            Piece::CacheBuster => "(buster)".into(),
            Piece::ImpressionUrl => "(impression)".into(),
            Piece::VideoUrl(word) => format!("({word})"),
        })
        .collect()
}

#[test]
fn a_banner_gets_its_macros_and_its_pixels() {
    let banner = PreparedCreative::new(&creative(json!({
        "format": "banner", "width": 300, "height": 250,
        "markup": "<a href=\"{CLICK_URL}\">{x} {CLICK_ID}</a><script>f({CACHEBUSTER},{})</script>",
        "impression_trackers": ["https://t.example/i"],
    })));
    assert_eq!(
        shown(&banner),
        "<a href=\"(click)\">{x} (id)</a><script>f((buster),{})</script>\
         <img src=\"(impression)\" width=\"1\" height=\"1\" style=\"display:none\" alt=\"\">\
         <img src=\"https://t.example/i\" width=\"1\" height=\"1\" style=\"display:none\" alt=\"\">"
    );
    assert!(banner.has_click && !banner.has_video_events);
}

#[test]
fn inline_vast_gets_impression_events_and_click_where_the_schema_wants_them() {
    let video = PreparedCreative::new(&creative(json!({
        "format": "video", "duration_ms": 15000,
        "markup": "<VAST version=\"3.0\"><Ad><InLine><AdSystem>a</AdSystem><AdTitle>t</AdTitle><Impression>own</Impression>\
                   <Creatives><Creative><Linear><Duration>00:00:15</Duration><MediaFiles/></Linear></Creative></Creatives></InLine></Ad></VAST>",
    })));
    let text = shown(&video);
    let order = [
        "<Error><![CDATA[(error)&e=[ERRORCODE]]]>",
        "<Impression><![CDATA[(impression)]]>",
        "<Impression>own",
        "</Duration><TrackingEvents><Tracking event=\"start\"><![CDATA[(start)]]>",
        "<Tracking event=\"complete\"><![CDATA[(complete)]]>",
        "<VideoClicks><ClickThrough><![CDATA[(click)]]>",
        "<MediaFiles/>",
    ];
    let positions: Vec<usize> = order.iter().map(|part| text.find(part).expect(part)).collect();
    assert!(positions.is_sorted(), "{text}");
    assert!(video.has_video_events);
}

#[test]
fn a_vast_url_is_wrapped() {
    let video = PreparedCreative::new(&creative(json!({
        "format": "video", "duration_ms": 15000, "vast_url": "https://v.example/x?cb={CACHEBUSTER}&a=1",
        "protocols": [2, 3], "click_trackers": ["https://c.example"],
    })));
    let text = shown(&video);
    assert!(
        text.starts_with("<VAST version=\"3.0\"><Ad id=\"crv_1.1\"><Wrapper>"),
        "{text}"
    );
    assert!(text.contains("<VASTAdTagURI><![CDATA[https://v.example/x?cb=(buster)&a=1]]></VASTAdTagURI>"));
    assert!(text.contains("<ClickTracking><![CDATA[https://c.example]]></ClickTracking>"));
}

#[test]
fn the_landing_page_may_hold_macros() {
    let prepared = PreparedCreative::new(&creative(json!({
        "format": "banner", "markup": "x", "click_url": "https://l.example/?c={CLICK_ID}",
    })));
    assert_eq!(prepared.landing.len(), 2);
    assert_eq!(prepared.landing.pieces().last(), Some(&Piece::ClickId));
}

#[test]
fn braces_that_never_close_are_text() {
    assert_eq!(
        pieces("a{b{{CLICK_URL}").collect::<Vec<_>>(),
        [Piece::Text("a{b{".into()), Piece::ClickUrl]
    );
    assert_eq!(
        pieces("a{CLICK_URL").collect::<Vec<_>>(),
        [Piece::Text("a{CLICK_URL".into())]
    );
}

#[test]
fn what_follows_the_first_text_is_kept_once_for_all_that_have_it() {
    let wrapper = |vast_url: &str| {
        let video = json!({"format": "video", "duration_ms": 15000, "vast_url": vast_url});
        PreparedCreative::new(&creative(video)).markup
    };
    let (one, other) = (wrapper("https://a.example"), wrapper("https://b.example"));
    assert_ne!(one.first, other.first);
    assert!(one.rest.len() > 10 && Arc::ptr_eq(&one.rest, &other.rest));
}

#[test]
fn every_macro_is_found() {
    let events = VIDEO_EVENTS.map(|word| format!("{VIDEO_URL}{word}"));
    let others = ["CLICK_URL", "CLICK_ID", "CACHEBUSTER", IMPRESSION_URL].map(str::to_owned);
    for name in events.into_iter().chain(others) {
        let found: Vec<Piece> = pieces(&format!("{{{name}}}")).collect();
        assert!(found.len() == 1 && !matches!(found[0], Piece::Text(_)), "{name}");
    }
}

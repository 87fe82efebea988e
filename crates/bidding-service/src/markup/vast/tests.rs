use super::*;
use crate::testing::creative;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::json;

/// VAST 2.0, with the least that its schema asks for.
const VAST_2: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<VAST version=\"2.0\"><Ad id=\"1\"><InLine><AdSystem>Acme</AdSystem><AdTitle>T</AdTitle>
<Impression><![CDATA[https://acme.example/i?a=1&b=2]]></Impression>
<Creatives><Creative sequence=\"1\"><Linear><Duration>00:00:15</Duration>
<MediaFiles><MediaFile delivery=\"progressive\" type=\"video/mp4\" width=\"640\" height=\"360\">
<![CDATA[https://cdn.acme.example/v.mp4]]></MediaFile></MediaFiles></Linear></Creative></Creatives></InLine></Ad></VAST>";

/// VAST 3.0: a companion with events of its own before the linear creative, tags in a comment and in parameters.
const VAST_3: &str = "<VAST version=\"3.0\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><Ad><InLine>
<AdSystem version=\"1\">Acme</AdSystem><AdTitle>T</AdTitle><Error><![CDATA[https://acme.example/e]]></Error>
<!-- <Impression>old</Impression> --><Impression id=\"a\">https://acme.example/i</Impression>
<Creatives><Creative><CompanionAds><Companion width=\"300\" height=\"250\"><StaticResource creativeType=\"image/png\">
https://cdn.acme.example/c.png</StaticResource><TrackingEvents><Tracking event=\"creativeView\">https://acme.example/cv
</Tracking></TrackingEvents><CompanionClickThrough>{CLICK_URL}</CompanionClickThrough></Companion></CompanionAds></Creative>
<Creative><Linear skipoffset=\"00:00:05\"><Duration>00:00:15</Duration><TrackingEvents>
<Tracking event=\"start\">https://acme.example/s</Tracking></TrackingEvents>
<AdParameters><![CDATA[<VideoClicks></VideoClicks><MediaFiles>]]></AdParameters>
<VideoClicks><ClickThrough>https://acme.example/</ClickThrough><ClickTracking>https://acme.example/ct</ClickTracking>
<CustomClick>https://acme.example/cc</CustomClick></VideoClicks><MediaFiles><MediaFile delivery=\"streaming\"
type=\"video/mp4\" width=\"1\" height=\"1\">https://cdn.acme.example/v</MediaFile></MediaFiles></Linear></Creative>
</Creatives></InLine></Ad></VAST>";

/// VAST 4.2: other order, empty elements, a verification, clicks without a page.
const VAST_4: &str = "<VAST version=\"4.2\" xmlns=\"http://www.iab.com/VAST\"><Ad id=\"1\" adType=\"video\"><InLine>
<AdServingId>x</AdServingId><Creatives><Creative id=\"5\"><UniversalAdId idRegistry=\"Ad-ID\">8465</UniversalAdId><Linear>
<TrackingEvents/><Duration>00:00:15</Duration><VideoClicks><CustomClick id=\"c\">https://acme.example/cc</CustomClick>
</VideoClicks><MediaFiles><Mezzanine delivery=\"progressive\" type=\"video/mp4\" width=\"1\" height=\"1\">
https://cdn.acme.example/m.mp4</Mezzanine></MediaFiles></Linear></Creative></Creatives>
<AdVerifications><Verification vendor=\"v\"><TrackingEvents><Tracking event=\"verificationNotExecuted\">
https://v.example/</Tracking></TrackingEvents></Verification></AdVerifications></InLine></Ad></VAST>";

const WRAPPER_3: &str = "<VAST version=\"3.0\"><Ad><Wrapper followAdditionalWrappers=\"0\"><AdSystem>Acme</AdSystem>
<VASTAdTagURI><![CDATA[https://acme.example/vast?x=<1>]]></VASTAdTagURI><Impression>https://acme.example/i</Impression>
<Creatives><Creative><Linear><VideoClicks><ClickTracking>https://acme.example/ct</ClickTracking></VideoClicks>
</Linear></Creative></Creatives></Wrapper></Ad></VAST>";

const WRAPPER_WITHOUT_CREATIVES: &str = "<VAST version=\"2.0\"><Ad><Wrapper><AdSystem>Acme</AdSystem>
<VASTAdTagURI>https://acme.example/vast</VASTAdTagURI><Impression/><Extensions><Extension/></Extensions></Wrapper></Ad></VAST>";

const ALL: [&str; 5] = [VAST_2, VAST_3, VAST_4, WRAPPER_3, WRAPPER_WITHOUT_CREATIVES];

const OUR_IMPRESSION: &str = "<Impression><![CDATA[{IMPRESSION_URL}]]></Impression>";
const OUR_START: &str = "<Tracking event=\"start\"><![CDATA[{VIDEO_URL:start}]]></Tracking>";
const OUR_CLICK: &str = "<ClickTracking><![CDATA[{CLICK_URL}]]></ClickTracking>";
const OUR_PAGE: &str = "<ClickThrough><![CDATA[{CLICK_URL}]]></ClickThrough>";
const THEIR_CLICK: &str = "<ClickTracking><![CDATA[https://c.example]]></ClickTracking>";

fn written(markup: &str) -> String {
    document(&creative(json!({
        "format": "video", "duration_ms": 15_000, "markup": markup,
        "impression_trackers": ["https://t.example"], "click_trackers": ["https://c.example"],
    })))
}

/// The parts stand in the text in this order, each once.
#[track_caller]
fn expect_in_order(text: &str, parts: &[&str]) {
    let mut at = 0;
    for part in parts {
        let found = text[at..].find(part);
        at += found.unwrap_or_else(|| panic!("no {part} after byte {at} of {text}")) + part.len();
    }
}

/// Every element closes in the order in which it was opened.
fn is_balanced(text: &str) -> bool {
    let mut open = Vec::new();
    for tag in tags(text) {
        match tag.kind {
            Kind::Open => open.push(tag.name),
            Kind::Close if open.pop() != Some(tag.name) => return false,
            Kind::Close | Kind::Empty => {}
        }
    }
    open.is_empty()
}

#[test]
fn every_document_gets_each_of_ours_once_and_stays_whole() {
    for markup in ALL {
        let text = written(markup);
        assert!(is_balanced(markup) && is_balanced(&text), "{text}");
        for ours in [
            OUR_IMPRESSION,
            OUR_START,
            THEIR_CLICK,
            "{VIDEO_URL:error}",
            "{VIDEO_URL:complete}",
        ] {
            assert_eq!(text.matches(ours).count(), 1, "{ours} in {text}");
        }
        assert_eq!(
            text.matches(OUR_CLICK).count() + text.matches(OUR_PAGE).count(),
            1,
            "{text}"
        );
    }
}

#[test]
fn a_document_without_events_and_clicks_gets_the_elements_around_them() {
    expect_in_order(
        &written(VAST_2),
        &[
            "</AdTitle>",
            "<Error>",
            OUR_IMPRESSION,
            "<Impression><![CDATA[https://t.example]]></Impression><Impression><![CDATA[https://acme.example/i?a=1&b=2]]>",
            "</Duration><TrackingEvents>",
            OUR_START,
            "</TrackingEvents>",
            "<VideoClicks>",
            OUR_PAGE,
            THEIR_CLICK,
            "</VideoClicks><MediaFiles>",
        ],
    );
}

#[test]
fn what_is_there_is_added_to_in_the_linear_creative_alone() {
    let text = written(VAST_3);
    expect_in_order(
        &text,
        &[
            "<!-- <Impression>old</Impression> -->",
            OUR_IMPRESSION,
            "<Impression id=\"a\">",
            // The companion's own events stay its own, and its click does not stand in for the video's.
            "<TrackingEvents><Tracking event=\"creativeView\">",
            "</Duration><TrackingEvents>",
            OUR_START,
            "https://acme.example/s",
            "<AdParameters><![CDATA[<VideoClicks></VideoClicks><MediaFiles>]]></AdParameters>",
            "<ClickThrough>https://acme.example/</ClickThrough>",
            OUR_CLICK,
            THEIR_CLICK,
            "<ClickTracking>https://acme.example/ct</ClickTracking>",
            "<CustomClick>",
        ],
    );
}

#[test]
fn empty_elements_are_filled_and_a_missing_page_is_ours() {
    expect_in_order(
        &written(VAST_4),
        &[
            "</AdServingId>",
            OUR_IMPRESSION,
            "<Creatives>",
            "<TrackingEvents><Tracking",
            "</TrackingEvents><Duration>",
            "<VideoClicks><ClickThrough><![CDATA[{CLICK_URL}]]></ClickThrough>",
            THEIR_CLICK,
            "<CustomClick id=\"c\">",
            "<Verification vendor=\"v\"><TrackingEvents><Tracking event=\"verificationNotExecuted\">",
        ],
    );
}

#[test]
fn a_wrapper_is_tracked_and_names_no_page() {
    let text = written(WRAPPER_3);
    assert!(!text.contains("<ClickThrough>"), "{text}");
    expect_in_order(
        &text,
        &[
            OUR_IMPRESSION,
            "<Linear><TrackingEvents>",
            OUR_START,
            "<VideoClicks>",
            OUR_CLICK,
            "acme.example/ct",
        ],
    );
    let bare = written(WRAPPER_WITHOUT_CREATIVES);
    expect_in_order(
        &bare,
        &[
            OUR_IMPRESSION,
            "<Impression/>",
            "<Creatives><Creative><Linear>",
            OUR_CLICK,
            "</Creatives><Extensions>",
        ],
    );
    for (from, to) in [
        ("<Extensions>", "<Creatives/><Extensions>"),
        ("<Extensions>", "<Creatives></Creatives><Extensions>"),
        (
            "<Extensions>",
            "<Creatives><Creative><Linear skipoffset=\"00:00:05\" /></Creative></Creatives><Extensions>",
        ),
    ] {
        let text = written(&WRAPPER_WITHOUT_CREATIVES.replace(from, to));
        assert!(is_balanced(&text), "{text}");
        assert_eq!(text.matches("<Creatives>").count(), 1, "{text}");
        expect_in_order(
            &text,
            &[
                "<Creatives>",
                "<Linear",
                OUR_START,
                OUR_CLICK,
                "</Linear>",
                "</Creatives>",
            ],
        );
    }
}

#[test]
fn our_page_named_by_the_advertiser_is_not_tracked_twice() {
    let named = VAST_3.replace(
        "<ClickThrough>https://acme.example/<",
        "<ClickThrough>{CLICK_URL}<",
    );
    let text = written(&named);
    assert_eq!(text.matches(OUR_CLICK).count(), 0, "{text}");
    assert_eq!(
        text.matches("{CLICK_URL}").count(),
        named.matches("{CLICK_URL}").count()
    );
    let without = VAST_3.replace(
        "<ClickThrough>https://acme.example/</ClickThrough>",
        "<ClickThrough/>",
    );
    assert_eq!(written(&without).matches(OUR_PAGE).count(), 1);
}

#[test]
fn what_holds_no_ad_stays_as_it_is() {
    for markup in [
        "",
        "<VAST/>",
        "{}",
        "<VAST version=\"3.0\"></VAST>",
        "<InLine>",
        "< Linear >",
        "<InLine",
    ] {
        assert_eq!(written(markup), markup);
    }
}

proptest! {
    #[test]
    fn no_document_panics_and_a_whole_one_stays_whole(
        document in select(ALL.to_vec()),
        edits in proptest::collection::vec((any::<Index>(), any::<Index>(), select(vec!["", "<", ">", "/", "\"", "<Linear/>", "</Linear>", "<![CDATA[", "é"])), 0..4),
    ) {
        let mut markup = document.to_owned();
        for (at, len, text) in edits {
            let start = markup.floor_char_boundary(at.index(markup.len()));
            let end = markup.ceil_char_boundary((start + len.index(12)).min(markup.len()));
            markup.replace_range(start..end, text);
        }
        let text = written(&markup);
        prop_assert!(!is_balanced(&markup) || is_balanced(&text), "{markup} became {text}");
    }
}

//! VAST for video and audio: our impression, events and click added to the advertiser's document, or a wrapper
//! around its URL.
//!
//! Elements go where the schemas of VAST 2 and 3 want them: `Error` and `Impression` before the advertiser's first
//! `Impression`, `TrackingEvents` after `Duration`, `VideoClicks` before `MediaFiles`. VAST 4 takes any order.

use super::{IMPRESSION_URL, VIDEO_URL};
use domain::creative::{Creative, CreativeSpec};

/// VAST's names of the events, and ours.
const LINEAR_EVENTS: [(&str, &str); 5] = [
    ("start", "start"),
    ("firstQuartile", "first_quartile"),
    ("midpoint", "midpoint"),
    ("thirdQuartile", "third_quartile"),
    ("complete", "complete"),
];

pub(super) fn document(creative: &Creative) -> String {
    let spec = &creative.spec;
    match (&spec.markup, &spec.vast_url) {
        (Some(markup), _) => inline(markup, spec),
        (None, Some(url)) => wrapper(url, creative),
        (None, None) => String::new(),
    }
}

fn wrapper(url: &str, creative: &Creative) -> String {
    let spec = &creative.spec;
    let version = version(&spec.protocols);
    format!(
        "<VAST version=\"{version}\"><Ad id=\"{}\"><Wrapper><AdSystem>adplatform</AdSystem><VASTAdTagURI>{}</VASTAdTagURI>\
         {}<Creatives><Creative><Linear><TrackingEvents>{}</TrackingEvents><VideoClicks>{}</VideoClicks></Linear></Creative>\
         </Creatives></Wrapper></Ad></VAST>",
        creative.crid(),
        cdata(url),
        impressions(spec),
        linear_events(),
        click_trackings(spec, true),
    )
}

/// AdCOM list "Creative Subtypes - Audio/Video" to VAST's `version`; 2.0 is what every player knows.
fn version(protocols: &[i64]) -> &'static str {
    match protocols.iter().copied().max() {
        Some(3 | 6) => "3.0",
        Some(7 | 8) => "4.0",
        Some(11 | 12) => "4.1",
        Some(13 | 14) => "4.2",
        _ => "2.0",
    }
}

fn inline(markup: &str, spec: &CreativeSpec) -> String {
    let mut document = markup.to_owned();
    insert_before(&mut document, &["<Impression", "<Creatives"], &impressions(spec));
    let events = linear_events();
    if !insert_after(&mut document, "<TrackingEvents>", &events) {
        insert_after(
            &mut document,
            "</Duration>",
            &format!("<TrackingEvents>{events}</TrackingEvents>"),
        );
    }
    let clicks = click_trackings(spec, !markup.contains("{CLICK_URL}"));
    if !insert_before(&mut document, &["</VideoClicks>"], &clicks) {
        let through = cdata("{CLICK_URL}");
        let trackers = click_trackings(spec, false);
        let clicks = format!("<VideoClicks><ClickThrough>{through}</ClickThrough>{trackers}</VideoClicks>");
        insert_before(&mut document, &["<MediaFiles"], &clicks);
    }
    document
}

fn impressions(spec: &CreativeSpec) -> String {
    // VAST's own macro: the player fills it in.
    let mut elements = format!(
        "<Error>{}</Error>",
        cdata(&format!("{{{VIDEO_URL}error}}&e=[ERRORCODE]"))
    );
    let own = format!("{{{IMPRESSION_URL}}}");
    for url in [own.as_str()]
        .into_iter()
        .chain(spec.impression_trackers.iter().map(String::as_str))
    {
        elements.push_str(&format!("<Impression>{}</Impression>", cdata(url)));
    }
    elements
}

fn linear_events() -> String {
    LINEAR_EVENTS
        .iter()
        .map(|(event, word)| {
            let url = cdata(&format!("{{{VIDEO_URL}{word}}}"));
            format!("<Tracking event=\"{event}\">{url}</Tracking>")
        })
        .collect()
}

/// The click URL answers with a redirect that a player ignores: as a tracker it counts the click.
fn click_trackings(spec: &CreativeSpec, with_own: bool) -> String {
    let own = with_own.then_some("{CLICK_URL}");
    own.into_iter()
        .chain(spec.click_trackers.iter().map(String::as_str))
        .map(|url| format!("<ClickTracking>{}</ClickTracking>", cdata(url)))
        .collect()
}

fn cdata(text: &str) -> String {
    format!("<![CDATA[{}]]>", text.replace("]]>", "]]%3E"))
}

/// Before the first of `marks` that is there; says whether one is.
fn insert_before(document: &mut String, marks: &[&str], text: &str) -> bool {
    let at = marks.iter().find_map(|mark| document.find(mark));
    if let Some(at) = at {
        document.insert_str(at, text);
    }
    at.is_some()
}

fn insert_after(document: &mut String, mark: &str, text: &str) -> bool {
    let at = document.find(mark).map(|at| at + mark.len());
    if let Some(at) = at {
        document.insert_str(at, text);
    }
    at.is_some()
}

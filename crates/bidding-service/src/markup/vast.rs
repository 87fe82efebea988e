//! VAST for video and audio: our impression, events and click added to the advertiser's document, or a wrapper
//! around its URL.
//!
//! Elements go where the schemas of VAST 2 and 3 want them: `Error` and `Impression` before the advertiser's first
//! `Impression`, `TrackingEvents` after `Duration`, `VideoClicks` before `MediaFiles`, `ClickTracking` after
//! `ClickThrough`. VAST 4 takes any order.

mod tags;

use super::{IMPRESSION_URL, VIDEO_URL};
use domain::creative::{Creative, CreativeSpec};
use std::sync::LazyLock;
use tags::{Kind, Tag, element, tags};

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
        (Some(markup), _) => augmented(markup, spec),
        (None, Some(url)) => wrapper(url, creative),
        (None, None) => String::new(),
    }
}

fn wrapper(url: &str, creative: &Creative) -> String {
    let spec = &creative.spec;
    let version = version(&spec.protocols);
    [
        "<VAST version=\"",
        version,
        "\"><Ad id=\"",
        &creative.crid(),
        "\"><Wrapper><AdSystem>adplatform</AdSystem><VASTAdTagURI>",
        &cdata(url),
        "</VASTAdTagURI>",
        &impressions(spec),
        "<Creatives><Creative>",
        &linear_of_wrapper("<Linear>", spec),
        "</Creative></Creatives></Wrapper></Ad></VAST>",
    ]
    .concat()
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

/// The advertiser's document with ours in it: in the first ad, inline or a wrapper itself, and in its first linear
/// creative. What has no ad in it stays as it is.
fn augmented(markup: &str, spec: &CreativeSpec) -> String {
    let tags = tags(markup);
    let ad = tags
        .iter()
        .position(|tag| tag.begins("InLine") || tag.begins("Wrapper"))
        .and_then(|open| element(&tags, open));
    let Some([opening, inside @ .., closing]) = ad else {
        return markup.to_owned();
    };
    let mut edits = Edits::default();
    let end = closing.bytes.start;
    let before = |names: &[&str]| start_of(inside, names).unwrap_or(end);
    let pixels_at = start_of(inside, &["Impression"]).unwrap_or_else(|| before(&["Creatives", "Extensions"]));
    edits.insert(pixels_at, impressions(spec));
    let is_wrapper = opening.name == "Wrapper";
    let linear = inside.iter().position(|tag| tag.begins("Linear"));
    match linear.and_then(|open| element(inside, open)) {
        Some(linear) => augment_linear(markup, linear, is_wrapper, spec, &mut edits),
        // A wrapper need not say anything of its creatives.
        None if is_wrapper => {
            let creative = format!("<Creative>{}</Creative>", linear_of_wrapper("<Linear>", spec));
            match inside.iter().find(|tag| tag.begins("Creatives")) {
                Some(creatives) if creatives.kind == Kind::Open => {
                    edits.insert(creatives.bytes.end, creative)
                }
                Some(empty) => edits.replace(empty, format!("<Creatives>{creative}</Creatives>")),
                None => edits.insert(
                    before(&["Extensions"]),
                    format!("<Creatives>{creative}</Creatives>"),
                ),
            }
        }
        None => {}
    }
    edits.applied_to(markup)
}

fn augment_linear(
    markup: &str,
    linear: &[Tag<'_>],
    is_wrapper: bool,
    spec: &CreativeSpec,
    edits: &mut Edits,
) {
    let [opening, inside @ .., closing] = linear else {
        // `<Linear/>`, which only a wrapper may have.
        if let [empty] = linear {
            let opening = markup[empty.bytes.clone()].trim_end_matches("/>").trim_end();
            edits.replace(empty, linear_of_wrapper(&format!("{opening}>"), spec));
        }
        return;
    };
    let events = linear_events();
    match inside.iter().find(|tag| tag.begins("TrackingEvents")) {
        Some(tag) if tag.kind == Kind::Open => edits.insert(tag.bytes.end, events.to_owned()),
        Some(empty) => edits.replace(empty, format!("<TrackingEvents>{events}</TrackingEvents>")),
        None => {
            let duration = inside
                .iter()
                .find(|tag| tag.name == "Duration" && tag.kind == Kind::Close);
            let at = duration.map_or(opening.bytes.end, |duration| duration.bytes.end);
            edits.insert(at, format!("<TrackingEvents>{events}</TrackingEvents>"));
        }
    }
    // In a wrapper a click leads where the document inside of it says.
    let whole = if is_wrapper {
        click_trackings(spec, true)
    } else {
        click_through(spec)
    };
    let clicks = inside.iter().position(|tag| tag.begins("VideoClicks"));
    match clicks.and_then(|open| element(inside, open)) {
        Some([opening, inside @ .., closing]) => {
            let through = inside.iter().position(|tag| tag.begins("ClickThrough"));
            let is_ours = markup[opening.bytes.end..closing.bytes.start].contains("{CLICK_URL}");
            match through.and_then(|open| element(inside, open)) {
                Some([.., through_end]) if through_end.kind == Kind::Close => {
                    edits.insert(through_end.bytes.end, click_trackings(spec, !is_ours));
                }
                Some([empty]) => edits.replace(empty, whole),
                _ => edits.insert(opening.bytes.end, whole),
            }
        }
        Some([empty]) => edits.replace(empty, format!("<VideoClicks>{whole}</VideoClicks>")),
        _ => {
            let at = start_of(inside, &["MediaFiles"]).unwrap_or(closing.bytes.start);
            edits.insert(at, format!("<VideoClicks>{whole}</VideoClicks>"));
        }
    }
}

fn start_of(tags: &[Tag<'_>], names: &[&str]) -> Option<usize> {
    let found = tags.iter().find(|tag| names.iter().any(|name| tag.begins(name)));
    found.map(|tag| tag.bytes.start)
}

/// Changes to a document, none inside of another.
#[derive(Default)]
struct Edits(Vec<(std::ops::Range<usize>, String)>);

impl Edits {
    fn insert(&mut self, at: usize, text: String) {
        self.0.push((at..at, text));
    }

    fn replace(&mut self, tag: &Tag<'_>, text: String) {
        self.0.push((tag.bytes.clone(), text));
    }

    fn applied_to(mut self, document: &str) -> String {
        self.0.sort_by_key(|(bytes, _)| bytes.start);
        let mut result = document.to_owned();
        for (bytes, text) in self.0.into_iter().rev() {
            result.replace_range(bytes, &text);
        }
        result
    }
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

/// The same of all.
fn linear_events() -> &'static str {
    static ELEMENTS: LazyLock<String> = LazyLock::new(|| {
        let elements = LINEAR_EVENTS.iter().map(|(event, word)| {
            let url = cdata(&format!("{{{VIDEO_URL}{word}}}"));
            format!("<Tracking event=\"{event}\">{url}</Tracking>")
        });
        elements.collect()
    });
    &ELEMENTS
}

/// Where the advertiser names no page: ours, and the advertiser's trackers.
fn click_through(spec: &CreativeSpec) -> String {
    let through = cdata("{CLICK_URL}");
    format!(
        "<ClickThrough>{through}</ClickThrough>{}",
        click_trackings(spec, false)
    )
}

/// `opening` is the tag it begins with.
fn linear_of_wrapper(opening: &str, spec: &CreativeSpec) -> String {
    [
        opening,
        "<TrackingEvents>",
        linear_events(),
        "</TrackingEvents><VideoClicks>",
        &click_trackings(spec, true),
        "</VideoClicks></Linear>",
    ]
    .concat()
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
    ["<![CDATA[", &text.replace("]]>", "]]%3E"), "]]>"].concat()
}

#[cfg(test)]
mod tests;

//! A creative made ready to be answered: its markup cut into pieces, so that a bid copies nothing of it.
//!
//! Advertisers write the macros `{CLICK_URL}`, `{CLICK_ID}` and `{CACHEBUSTER}`; our own pixel, events and click
//! are added here, once, when the campaign's record arrives.

mod vast;

use domain::creative::{Creative, Format};

/// What a bid fills in, and the text between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(Box<str>),
    ClickUrl,
    ClickId,
    CacheBuster,
    /// With the price macro where the exchange bills by pixel.
    ImpressionUrl,
    /// The word in `/event/video/{word}`.
    VideoUrl(&'static str),
}

/// The words of `/event/video/{word}`.
pub(crate) const VIDEO_EVENTS: [&str; 6] = [
    "start",
    "first_quartile",
    "midpoint",
    "third_quartile",
    "complete",
    "error",
];

/// Written into augmented markup in braces, as an advertiser writes `{CLICK_URL}`.
const IMPRESSION_URL: &str = "IMPRESSION_URL";
const VIDEO_URL: &str = "VIDEO_URL:";

#[derive(Clone, Debug)]
pub(crate) struct PreparedCreative {
    pub(crate) crid: Box<str>,
    /// Of `adm`; empty for native, whose markup depends on what the request asks for.
    pub(crate) markup: Box<[Piece]>,
    /// The landing page.
    pub(crate) landing: Box<[Piece]>,
    pub(crate) attributes: Box<[u16]>,
    pub(crate) apis: Box<[u16]>,
    /// Of the app it advertises.
    pub(crate) bundle: Option<Box<str>>,
    pub(crate) has_click: bool,
    pub(crate) has_video_events: bool,
}

impl PreparedCreative {
    pub(crate) fn new(creative: &Creative) -> Self {
        let spec = &creative.spec;
        let markup = match spec.format {
            Format::Banner => banner(creative),
            Format::Video | Format::Audio => vast::document(creative),
            Format::Native => String::new(),
        };
        let markup = pieces(&markup);
        let codes = |codes: &[i64]| {
            codes
                .iter()
                .filter_map(|code| u16::try_from(*code).ok())
                .collect()
        };
        Self {
            crid: creative.crid().into(),
            has_click: spec.format == Format::Native || markup.contains(&Piece::ClickUrl),
            has_video_events: markup.iter().any(|piece| matches!(piece, Piece::VideoUrl(_))),
            markup: markup.into(),
            landing: pieces(&spec.click_url).into(),
            attributes: codes(&spec.attributes),
            apis: codes(&spec.apis),
            bundle: bidding_engine::advertised_bundle(&spec.click_url).map(Into::into),
        }
    }
}

fn banner(creative: &Creative) -> String {
    let spec = &creative.spec;
    let mut html = spec.markup.clone().unwrap_or_default();
    let own = format!("{{{IMPRESSION_URL}}}");
    for url in [own.as_str()]
        .into_iter()
        .chain(spec.impression_trackers.iter().map(String::as_str))
    {
        html.push_str(r#"<img src=""#);
        html.push_str(&url.replace('"', "%22"));
        html.push_str(r#"" width="1" height="1" style="display:none" alt="">"#);
    }
    html
}

/// Cuts at the macros; anything else in braces is text.
fn pieces(markup: &str) -> Vec<Piece> {
    let mut found = Vec::new();
    let mut text_start = 0;
    let mut search_start = 0;
    while let Some(open) = markup[search_start..].find('{').map(|at| at + search_start) {
        search_start = open + 1;
        let Some(close) = markup[search_start..].find('}').map(|at| at + search_start) else {
            break;
        };
        if let Some(piece) = macro_named(&markup[search_start..close]) {
            push_text(&markup[text_start..open], &mut found);
            found.push(piece);
            text_start = close + 1;
            search_start = text_start;
        }
    }
    push_text(&markup[text_start..], &mut found);
    found
}

fn push_text(text: &str, found: &mut Vec<Piece>) {
    if !text.is_empty() {
        found.push(Piece::Text(text.into()));
    }
}

fn macro_named(name: &str) -> Option<Piece> {
    match name {
        "CLICK_URL" => Some(Piece::ClickUrl),
        "CLICK_ID" => Some(Piece::ClickId),
        "CACHEBUSTER" => Some(Piece::CacheBuster),
        IMPRESSION_URL => Some(Piece::ImpressionUrl),
        _ => {
            let word = name.strip_prefix(VIDEO_URL)?;
            VIDEO_EVENTS
                .iter()
                .find(|known| **known == word)
                .map(|known| Piece::VideoUrl(known))
        }
    }
}

#[cfg(test)]
mod tests;

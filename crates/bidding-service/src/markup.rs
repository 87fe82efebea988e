//! A creative made ready to be answered: its markup cut into pieces, so that a bid copies nothing of it.
//!
//! Advertisers write the macros `{CLICK_URL}`, `{CLICK_ID}` and `{CACHEBUSTER}`; our own pixel, events and click
//! are added here, once, when the campaign's record arrives.

mod latest;
mod vast;

use domain::creative::{Creative, Format};
use latest::Latest;
use std::cell::RefCell;
use std::sync::Arc;

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
/// No macro's is longer.
const LONGEST_NAME_BYTES: usize = 32;

/// Pieces in their order. Those after the first are the same in many creatives, since our own elements follow the
/// advertiser's: creatives that are made ready one after the other share them.
#[derive(Clone, Debug)]
pub(crate) struct Markup {
    first: Option<Piece>,
    rest: Arc<[Piece]>,
}

#[derive(Clone, Debug)]
pub(crate) struct PreparedCreative {
    pub(crate) crid: Box<str>,
    /// Of `adm`; empty for native, whose markup depends on what the request asks for.
    pub(crate) markup: Markup,
    /// The landing page.
    pub(crate) landing: Markup,
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
        let markup = Markup::new(&markup);
        let has = |wanted: fn(&Piece) -> bool| markup.pieces().any(wanted);
        Self {
            crid: creative.crid().into(),
            has_click: spec.format == Format::Native || has(|piece| *piece == Piece::ClickUrl),
            has_video_events: has(|piece| matches!(piece, Piece::VideoUrl(_))),
            markup,
            landing: Markup::new(&spec.click_url),
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

impl Markup {
    /// Cuts at the macros; anything else in braces is text.
    fn new(markup: &str) -> Self {
        thread_local! {
            static LATEST: RefCell<Latest<str, Arc<[Piece]>, 16>> = const { RefCell::new(Latest::new()) };
        }
        let (first, rest) = next_piece(markup);
        Self {
            first,
            rest: LATEST.with_borrow_mut(|latest| latest.get_or_make(rest, || pieces(rest).collect())),
        }
    }

    pub(crate) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    pub(crate) fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.first.iter().chain(&*self.rest)
    }
}

fn pieces(mut markup: &str) -> impl Iterator<Item = Piece> {
    std::iter::from_fn(move || {
        let (piece, rest) = next_piece(markup);
        markup = rest;
        piece
    })
}

/// A macro, or the text before the next one; and what follows. `None`: nothing is left.
fn next_piece(markup: &str) -> (Option<Piece>, &str) {
    let named = markup.match_indices('{').find_map(|(open, _)| {
        let mut name = markup[open + 1..].bytes().take(LONGEST_NAME_BYTES + 1);
        let length = name.position(|byte| byte == b'}')?;
        let close = open + 1 + length;
        Some((open, macro_named(&markup[open + 1..close])?, close + 1))
    });
    match named {
        Some((0, piece, end)) => (Some(piece), &markup[end..]),
        Some((open, ..)) => (Some(Piece::Text(markup[..open].into())), &markup[open..]),
        None if markup.is_empty() => (None, markup),
        None => (Some(Piece::Text(markup.into())), ""),
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

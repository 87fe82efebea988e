//! What a client may say of a creative; what belongs in it depends on its format.

use super::{Fields, read, syntax};
use crate::creative::{CreativeSpec, Format, Review};
use crate::mistake::Mistake;
use serde_json::Value;

/// Exchanges cut off long before this.
const LONGEST_MARKUP: usize = 100_000;
const LARGEST_SIDE: i64 = 10_000;
const DURATIONS_MS: std::ops::RangeInclusive<i64> = 100..=3_600_000;
/// AdCOM lists end below a hundred; 500 and above are a vendor's own.
const CODES: std::ops::RangeInclusive<i64> = 1..=1_000;
/// AdCOM "Creative Subtypes - Audio/Video": VAST 2.0, 3.0, and a wrapper of each.
const VAST_2_AND_3: [i64; 4] = [2, 3, 5, 6];

/// # Errors
/// Every mistake of the body.
pub fn creative(body: Value) -> Result<CreativeSpec, Vec<Mistake>> {
    let mut spec: CreativeSpec = read(body, walk)?;
    say_what_most_players_take(&mut spec);
    Ok(spec)
}

/// A client that names neither media types nor protocols has what nearly everybody has: an MP4 or an MP3 in VAST 2.0 or
/// 3.0. Without them the creative would fit no request that names its own.
fn say_what_most_players_take(spec: &mut CreativeSpec) {
    let mime = match spec.format {
        Format::Video => "video/mp4",
        Format::Audio => "audio/mpeg",
        Format::Banner | Format::Native => return,
    };
    if spec.mimes.is_empty() {
        spec.mimes.push(mime.to_owned());
    }
    if spec.protocols.is_empty() {
        spec.protocols.extend(VAST_2_AND_3);
    }
}

/// The exchanges' words on a creative, as an administrator sets them: `{"reviews": […]}`.
///
/// # Errors
/// Every mistake of the list.
pub fn reviews(list: Value) -> Result<Vec<Review>, Vec<Mistake>> {
    #[derive(serde::Deserialize)]
    struct Body {
        reviews: Vec<Review>,
    }
    let body = serde_json::json!({ "reviews": list });
    let read: Body = read(body, |fields| {
        let mut exchanges = Vec::new();
        fields.required("reviews").list(0..=1_000, |_, review| {
            review.object(|review| {
                let exchange = review.required("exchange").checked(syntax::exchange_id);
                review
                    .required("status")
                    .word(&["pending", "approved", "rejected"]);
                review.optional("reason").text(1..=1_000);
                if let Some(exchange) = exchange {
                    if exchanges.contains(&exchange) {
                        review.mistake("exchange", "duplicate", "is named twice");
                    }
                    exchanges.push(exchange);
                }
            });
        });
    })?;
    Ok(read.reviews)
}

fn walk(fields: &mut Fields<'_, '_>) {
    fields.required("name").text(1..=200);
    fields.optional("status").word(&["active", "paused", "archived"]);
    match fields
        .required("format")
        .word(&["banner", "video", "audio", "native"])
    {
        Some("banner") => banner(fields),
        Some("video") => timed(fields, true),
        Some("audio") => timed(fields, false),
        Some("native") => native(fields),
        // Without a format nobody knows what belongs; so nothing more is said about these.
        _ => {
            for name in FORMAT_FIELDS {
                fields.optional(name);
            }
        }
    }
    fields.required("click_url").checked(syntax::web_url);
    fields.required("adomain").texts(1..=10, syntax::domain);
    fields.optional("categories").texts(0..=50, syntax::category);
    fields.optional("cattax").integer(CODES);
    codes(fields, "attributes");
    codes(fields, "apis");
    fields.optional("language").checked(syntax::language);
    fields
        .optional("impression_trackers")
        .texts(0..=20, syntax::web_url);
    fields.optional("click_trackers").texts(0..=20, syntax::web_url);
    fields.optional("weight").integer(1..=1_000);
}

const FORMAT_FIELDS: [&str; 8] = [
    "markup",
    "assets",
    "vast_url",
    "width",
    "height",
    "duration_ms",
    "mimes",
    "protocols",
];

fn codes(fields: &mut Fields<'_, '_>, name: &'static str) {
    fields.optional(name).list(0..=50, |_, code| {
        code.integer(CODES);
    });
}

fn banner(fields: &mut Fields<'_, '_>) {
    fields.required("markup").document(1..=LONGEST_MARKUP);
    fields.required("width").integer(1..=LARGEST_SIDE);
    fields.required("height").integer(1..=LARGEST_SIDE);
    for name in ["assets", "vast_url", "duration_ms", "mimes", "protocols"] {
        fields.absent(name, "is no part of a banner");
    }
}

fn timed(fields: &mut Fields<'_, '_>, is_video: bool) {
    let markup = fields.optional("markup");
    let has_markup = markup.is_given();
    markup.document(1..=LONGEST_MARKUP);
    let vast_url = fields.optional("vast_url");
    let has_url = vast_url.is_given();
    vast_url.checked(syntax::web_url);
    match (has_markup, has_url) {
        (false, false) => fields.mistake("markup", "required", "is required, or vast_url in its place"),
        (true, true) => fields.mistake("vast_url", "not_allowed", "has no place beside markup"),
        _ => {}
    }
    fields.required("duration_ms").integer(DURATIONS_MS);
    fields.optional("mimes").texts(1..=20, syntax::mime);
    codes(fields, "protocols");
    fields.absent("assets", "belongs to native creatives");
    if is_video {
        sides(fields);
    } else {
        fields.absent("width", "is no part of an audio creative");
        fields.absent("height", "is no part of an audio creative");
    }
}

/// Both or neither.
fn sides(fields: &mut Fields<'_, '_>) {
    let given = ["width", "height"].map(|name| {
        let side = fields.optional(name);
        let is_given = side.is_given();
        side.integer(1..=LARGEST_SIDE);
        is_given
    });
    match given {
        [true, false] => fields.mistake("height", "required", "is required with width"),
        [false, true] => fields.mistake("width", "required", "is required with height"),
        _ => {}
    }
}

fn native(fields: &mut Fields<'_, '_>) {
    for name in [
        "markup",
        "vast_url",
        "width",
        "height",
        "duration_ms",
        "mimes",
        "protocols",
    ] {
        fields.absent(name, "is no part of a native creative");
    }
    // (kind, type): a request's asset is answered by kind and type, so one of each is all that can be used.
    let mut seen: Vec<(&str, i64)> = Vec::new();
    fields.required("assets").list(1..=20, |_, asset| {
        asset.object(|asset| {
            let Some(found) = native_asset(asset) else { return };
            if seen.contains(&found) {
                asset.mistake("", "duplicate", "there is another asset of this kind and type");
            }
            seen.push(found);
        });
    });
    let has = |wanted: &str| seen.iter().any(|(kind, _)| *kind == wanted);
    let (has_title, has_picture) = (has("title"), has("image") || has("video"));
    if !seen.is_empty() && !has_title {
        fields.mistake("assets", "required", "needs a title");
    }
    if !seen.is_empty() && !has_picture {
        fields.mistake("assets", "required", "needs an image or a video");
    }
}

/// The asset's kind and type, when both can be told.
fn native_asset<'v>(asset: &mut Fields<'v, '_>) -> Option<(&'v str, i64)> {
    let kind = asset.required("kind").word(&["title", "image", "data", "video"]);
    match kind {
        Some("title") => {
            asset.required("text").text(1..=140);
            Some(("title", 0))
        }
        Some("image") => {
            let image_type = asset.required("image_type").integer(CODES);
            asset.required("url").checked(syntax::web_url);
            asset.required("width").integer(1..=LARGEST_SIDE);
            asset.required("height").integer(1..=LARGEST_SIDE);
            image_type.map(|image_type| ("image", image_type))
        }
        Some("data") => {
            let data_type = asset.required("data_type").integer(CODES);
            asset.required("value").text(1..=1_000);
            data_type.map(|data_type| ("data", data_type))
        }
        Some("video") => {
            asset.required("vast").document(1..=LONGEST_MARKUP);
            asset.required("duration_ms").integer(DURATIONS_MS);
            Some(("video", 0))
        }
        _ => {
            for name in [
                "text",
                "image_type",
                "url",
                "width",
                "height",
                "data_type",
                "value",
                "vast",
                "duration_ms",
            ] {
                asset.optional(name);
            }
            None
        }
    }
}

//! Native assets (OpenRTB Native 1.2).

use crate::campaign::CompiledCampaign;
use crate::creative::CompiledCreative;
use crate::offer::Offer;
use domain::creative::{Format, NativeAsset};
use openrtb::native::{Asset, Image, Video};

/// Every required asset has an answer among the creative's. A request that cannot be read has none.
pub(super) fn has_required_assets(
    _: &CompiledCampaign,
    creative: &CompiledCreative,
    offer: &Offer<'_>,
) -> bool {
    if creative.format != Format::Native {
        return true;
    }
    let Some((request, own)) = offer.native.as_ref().zip(creative.traits.native.as_ref()) else {
        return false;
    };
    request
        .assets
        .iter()
        .filter(|asked| asked.required)
        .all(|asked| asked.id.is_some() && own.assets.iter().any(|own| answers_native_asset(own, asked)))
}

/// Whether an asset of a creative can stand where the request asks for one: kind, type, length, size, duration, and
/// the type of an image's file as far as its address shows it.
#[must_use]
pub fn answers_native_asset(own: &NativeAsset, asked: &Asset<'_>) -> bool {
    match own {
        NativeAsset::Title { text } => asked.title.is_some_and(|title| is_within(text, title.len)),
        NativeAsset::Image {
            image_type,
            url,
            width,
            height,
        } => asked.img.as_ref().is_some_and(|image| {
            image.kind.is_none_or(|kind| i64::from(kind) == *image_type)
                && has_size(*width, *height, image)
                && is_of_type(url, image.mimes)
        }),
        NativeAsset::Data { data_type, value } => asked.data.is_some_and(|data| {
            data.kind.is_some_and(|kind| i64::from(kind) == *data_type) && is_within(value, data.len)
        }),
        NativeAsset::Video { duration_ms, .. } => asked
            .video
            .as_ref()
            .is_some_and(|video| lasts(*duration_ms, video)),
    }
}

/// Characters, not bytes.
fn is_within(text: &str, limit: Option<u32>) -> bool {
    limit.is_none_or(|limit| text.chars().take(limit as usize + 1).count() <= limit as usize)
}

/// A least size where one is given, else exactly the size that is.
fn has_size(width: i64, height: i64, image: &Image<'_>) -> bool {
    let fits = |own: i64, least: Option<u32>, exactly: Option<u32>| match (least, exactly) {
        (Some(least), _) => own >= i64::from(least),
        (None, Some(exactly)) => own == i64::from(exactly),
        (None, None) => true,
    };
    fits(width, image.wmin, image.w) && fits(height, image.hmin, image.h)
}

/// Native 1.2, 4.4: without `mimes` every type is allowed. An address that does not end as files of a known type do
/// says nothing, and passes.
fn is_of_type(url: &str, mimes: &[&str]) -> bool {
    const TYPES: [(&str, &str); 8] = [
        (".jpg", "image/jpeg"),
        (".jpeg", "image/jpeg"),
        (".png", "image/png"),
        (".gif", "image/gif"),
        (".webp", "image/webp"),
        (".avif", "image/avif"),
        (".svg", "image/svg+xml"),
        (".bmp", "image/bmp"),
    ];
    let path = url.split(['?', '#']).next().unwrap_or(url).as_bytes();
    let ends_in = |end: &str| {
        path.len()
            .checked_sub(end.len())
            .is_some_and(|at| path[at..].eq_ignore_ascii_case(end.as_bytes()))
    };
    // `image/jpg` is no registered type, but it is what many write.
    let is_asked_for = |own: &str| {
        mimes.iter().any(|asked| {
            asked.eq_ignore_ascii_case(own) || own == "image/jpeg" && asked.eq_ignore_ascii_case("image/jpg")
        })
    };
    mimes.is_empty()
        || TYPES
            .iter()
            .find(|(end, _)| ends_in(end))
            .is_none_or(|(_, own)| is_asked_for(own))
}

fn lasts(duration_ms: i64, video: &Video<'_>) -> bool {
    video
        .minduration
        .is_none_or(|least| i64::from(least) * 1_000 <= duration_ms)
        && video
            .maxduration
            .is_none_or(|most| duration_ms <= i64::from(most) * 1_000)
}

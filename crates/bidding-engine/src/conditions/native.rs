//! Native assets (OpenRTB Native 1.2).

use crate::campaign::CompiledCampaign;
use crate::creative::CompiledCreative;
use crate::offer::Offer;
use domain::creative::{Format, NativeAsset};
use openrtb::native::{Asset, Image, Video};

/// Every required asset has an answer among the creative's. A request that cannot be read has none.
pub(super) fn has_required_assets(
    campaign: &CompiledCampaign,
    creative: &CompiledCreative,
    offer: &Offer<'_>,
) -> bool {
    if creative.format != Format::Native {
        return true;
    }
    let Some((request, spec)) = offer.native.as_ref().zip(campaign.spec_of(creative)) else {
        return false;
    };
    request
        .assets
        .iter()
        .filter(|asked| asked.required)
        .all(|asked| asked.id.is_some() && spec.assets.iter().any(|own| answers(own, asked)))
}

fn answers(own: &NativeAsset, asked: &Asset<'_>) -> bool {
    match own {
        NativeAsset::Title { text } => asked.title.is_some_and(|title| is_within(text, title.len)),
        NativeAsset::Image {
            image_type,
            width,
            height,
            ..
        } => asked.img.as_ref().is_some_and(|image| {
            image.kind.is_none_or(|kind| i64::from(kind) == *image_type) && has_size(*width, *height, image)
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

fn lasts(duration_ms: i64, video: &Video<'_>) -> bool {
    video
        .minduration
        .is_none_or(|least| i64::from(least) * 1_000 <= duration_ms)
        && video
            .maxduration
            .is_none_or(|most| duration_ms <= i64::from(most) * 1_000)
}

//! Whether a creative fits the place.

use crate::campaign::CompiledCampaign;
use crate::creative::CompiledCreative;
use crate::list::ListOf;
use crate::offer::{Offer, names_no_size, pod};
use crate::words::size;
use domain::creative::Format;
use openrtb::request::Device;

/// The exchange has approved it, or says nothing of it.
pub(super) fn is_approved(_: &CompiledCampaign, creative: &CompiledCreative, offer: &Offer<'_>) -> bool {
    !creative
        .traits
        .unapproved_by
        .iter()
        .any(|exchange| offer.ask.facts.exchange.contains(exchange))
}

pub(super) fn format_is_offered(
    _: &CompiledCampaign,
    creative: &CompiledCreative,
    offer: &Offer<'_>,
) -> bool {
    offer.formats.contains(creative.format)
}

/// Banners alone have to have the size of their place; players scale videos.
pub(super) fn size_is_offered(_: &CompiledCampaign, creative: &CompiledCreative, offer: &Offer<'_>) -> bool {
    let Some(banner) = offer.imp.banner.filter(|_| creative.format == Format::Banner) else {
        return true;
    };
    let Some((width, height)) = creative.traits.width.zip(creative.traits.height) else {
        return false;
    };
    if names_no_size(banner) {
        return !offer.imp.instl || fits_screen(&offer.ask.request.device, width, height);
    }
    let is_exactly = |w: Option<u32>, h: Option<u32>| w == Some(width) && h == Some(height);
    is_exactly(banner.w, banner.h)
        || banner.format.iter().any(|format| {
            is_exactly(format.w, format.h)
                || has_ratio(width, height, format.wratio, format.hratio, format.wmin)
        })
}

fn fits_screen(device: &Device<'_>, width: u32, height: u32) -> bool {
    device.w.is_none_or(|screen| width <= screen) && device.h.is_none_or(|screen| height <= screen)
}

/// A flexible size (OpenRTB 2.6, 3.2.10): this ratio, at least this wide.
fn has_ratio(width: u32, height: u32, wratio: Option<u32>, hratio: Option<u32>, wmin: Option<u32>) -> bool {
    let Some((wratio, hratio)) = wratio.zip(hratio).filter(|ratio| *ratio != (0, 0)) else {
        return false;
    };
    u64::from(width) * u64::from(hratio) == u64::from(height) * u64::from(wratio)
        && wmin.is_none_or(|wmin| width >= wmin)
}

/// `targeting.sizes`, of the creative that would be shown.
pub(super) fn size_is_wanted(
    campaign: &CompiledCampaign,
    creative: &CompiledCreative,
    _: &Offer<'_>,
) -> bool {
    let sizes = campaign.list(ListOf::Sizes);
    match creative.traits.width.zip(creative.traits.height) {
        Some((width, height)) => sizes.admits(&[size(width.into(), height.into())]),
        None => sizes.admits(&[]),
    }
}

/// No top category comes twice within a pod.
pub(super) fn is_new_to_pod(_: &CompiledCampaign, creative: &CompiledCreative, offer: &Offer<'_>) -> bool {
    let Some(pod) = pod(offer.imp, creative.format) else {
        return true;
    };
    !creative
        .traits
        .category_words
        .iter()
        .any(|category| offer.history.pod_categories.contains(&(pod, category.top)))
}

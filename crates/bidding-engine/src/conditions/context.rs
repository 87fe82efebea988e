//! Where on the page, in the app or in the stream.

use crate::campaign::CompiledCampaign;
use crate::creative::CompiledCreative;
use crate::hash::exact;
use crate::list::ListOf;
use crate::offer::{Few, Offer};
use domain::creative::Format;
use openrtb::request::AudioVideo;

pub(super) fn placement_is_wanted(
    campaign: &CompiledCampaign,
    creative: &CompiledCreative,
    offer: &Offer<'_>,
) -> bool {
    campaign
        .list(ListOf::Placements)
        .admits(placements(offer, creative.format).as_slice())
}

/// The kinds of place, in the words of `targeting.placements`; `standard` when it is none in particular.
fn placements(offer: &Offer<'_>, format: Format) -> Few<3> {
    const INTERSTITIAL: u64 = exact("interstitial");
    let interstitial = offer.imp.instl.then_some(INTERSTITIAL);
    let rewarded = offer.imp.rwdd.then_some(const { exact("rewarded") });
    let video = offer
        .imp
        .video
        .filter(|_| format == Format::Video)
        .and_then(video_placement);
    let found = [interstitial, rewarded, video];
    if found.iter().all(Option::is_none) {
        return Few::of([const { exact("standard") }]);
    }
    Few::of(found.into_iter().flatten())
}

/// AdCOM "Plcmt Subtypes - Video"; before 2023 "Placement Subtypes - Video".
fn video_placement(video: &AudioVideo<'_>) -> Option<u64> {
    let word = match (video.plcmt, video.placement) {
        (Some(1), _) | (None, Some(1)) => const { exact("in_stream") },
        (Some(2), _) => const { exact("accompanying_content") },
        (Some(3), _) | (None, Some(5)) => const { exact("interstitial") },
        (Some(4), _) | (None, Some(2..=4)) => const { exact("out_of_stream") },
        _ => return None,
    };
    Some(word)
}

/// AdCOM "Placement Positions".
pub(super) fn position_is_wanted(
    campaign: &CompiledCampaign,
    creative: &CompiledCreative,
    offer: &Offer<'_>,
) -> bool {
    let position = match creative.format {
        Format::Banner => offer.imp.banner.and_then(|banner| banner.pos),
        Format::Video | Format::Audio => offer.media(creative.format).and_then(|media| media.pos),
        Format::Native => None,
    };
    let word = match position {
        Some(1) => const { exact("above_the_fold") },
        Some(3) => const { exact("below_the_fold") },
        Some(4) => const { exact("header") },
        Some(5) => const { exact("footer") },
        Some(6) => const { exact("sidebar") },
        Some(7) => const { exact("full_screen") },
        _ => const { exact("unknown") },
    };
    campaign.list(ListOf::Positions).admits(&[word])
}

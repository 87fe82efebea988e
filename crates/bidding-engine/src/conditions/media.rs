//! Video and audio (OpenRTB 2.6, 3.2.7 and 3.2.8), and the frameworks that any markup needs.

use crate::campaign::CompiledCampaign;
use crate::creative::CompiledCreative;
use crate::offer::{Offer, Slot, dynamic_pod};
use domain::creative::Format;

/// AdCOM "Linearity Modes": 1 linear, 2 overlay. Our creatives are linear.
pub(super) fn is_linear(_: &CompiledCampaign, creative: &CompiledCreative, offer: &Offer<'_>) -> bool {
    offer
        .media(creative.format)
        .is_none_or(|media| media.linearity != Some(2))
}

/// Exact durations where they are asked for, else between least and most; in either case no longer than its pod.
/// Seconds; begun ones count.
pub(super) fn duration_fits(_: &CompiledCampaign, creative: &CompiledCreative, offer: &Offer<'_>) -> bool {
    let Some(media) = offer.media(creative.format) else {
        return true;
    };
    let most = [media.maxduration, media.poddur].into_iter().flatten().min();
    let Some(seconds) = creative.duration_s() else {
        return media.rqddurs.is_empty()
            && media.minduration.is_none_or(|least| least == 0)
            && most.is_none();
    };
    if !media.rqddurs.is_empty() {
        return media.rqddurs.iter().any(|asked| i64::from(*asked) == seconds)
            && media.poddur.is_none_or(|whole| seconds <= i64::from(whole));
    }
    media.minduration.is_none_or(|least| i64::from(least) <= seconds)
        && most.is_none_or(|most| seconds <= i64::from(most))
}

/// In a dynamic pod that has ads already: the creative goes in, and there is time left for it.
pub(super) fn has_room(
    _: &CompiledCampaign,
    creative: &CompiledCreative,
    offer: &Offer<'_>,
    slot: &Slot,
) -> bool {
    if slot.filled.ads == 0 {
        return true;
    }
    let whole = dynamic_pod(offer.imp, creative.format).and_then(|media| media.poddur);
    whole
        .zip(creative.duration_s())
        .is_some_and(|(whole, seconds)| slot.filled.seconds + seconds <= i64::from(whole))
}

/// A creative that does not say its protocol fits only where none is asked for.
pub(super) fn protocol_is_supported(
    _: &CompiledCampaign,
    creative: &CompiledCreative,
    offer: &Offer<'_>,
) -> bool {
    let Some(media) = offer.media(creative.format) else {
        return true;
    };
    media.protocols.is_empty()
        || creative
            .traits
            .protocols
            .iter()
            .any(|own| media.protocols.contains(own))
}

/// The same for the type of its media file.
pub(super) fn mime_is_supported(
    _: &CompiledCampaign,
    creative: &CompiledCreative,
    offer: &Offer<'_>,
) -> bool {
    let Some(media) = offer.media(creative.format) else {
        return true;
    };
    media.mimes.is_empty()
        || creative
            .traits
            .mimes
            .iter()
            .any(|own| media.mimes.iter().any(|asked| asked.eq_ignore_ascii_case(own)))
}

/// AdCOM "API Frameworks" whose script a player has to run beside the video: VPAID 1 and 2, SIMID 1.0 and 1.1.
const INTERACTIVE: [u16; 4] = [1, 2, 8, 9];
/// Of the same list: a script that measures in the player.
const OMID: u16 = 7;
/// `imp.ssai` (3.2.4): the video is stitched on the server and tracked by the client, or all is done by the server.
const STITCHED: u16 = 2;
const ALL_SERVER_SIDE: u16 = 3;

/// Where videos are stitched into the stream by a server nobody runs their scripts, whatever `api` says.
fn runs_where_it_is_inserted(api: u16, ssai: u16) -> bool {
    !(INTERACTIVE.contains(&api) && matches!(ssai, STITCHED | ALL_SERVER_SIDE)
        || api == OMID && ssai == ALL_SERVER_SIDE)
}

/// A framework that is not listed is not supported (3.2.6 `api`).
pub(super) fn apis_are_supported(
    _: &CompiledCampaign,
    creative: &CompiledCreative,
    offer: &Offer<'_>,
) -> bool {
    let supported = match creative.format {
        Format::Banner => offer.imp.banner.map(|banner| banner.api),
        Format::Video | Format::Audio => offer.media(creative.format).map(|media| media.api),
        Format::Native => offer.imp.native.map(|native| native.api),
    };
    let supported = supported.unwrap_or_default();
    let needed = &creative.traits.apis;
    let is_played = matches!(creative.format, Format::Video | Format::Audio);
    needed
        .iter()
        .all(|api| supported.contains(api) && (!is_played || runs_where_it_is_inserted(*api, offer.imp.ssai)))
}

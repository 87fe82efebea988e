//! Frequency caps.

use crate::campaign::CompiledCampaign;
use crate::creative::CompiledCreative;
use crate::offer::Offer;
use crate::user::{Counter, UserView};
use domain::campaign::{CapScope, Unidentified};

pub(super) fn is_below_caps(
    campaign: &CompiledCampaign,
    creative: &CompiledCreative,
    offer: &Offer<'_>,
) -> bool {
    let spec = &campaign.serving.campaign.spec;
    let counters: &[Counter<'_>] = match offer.ask.user {
        UserView::Known { counters, .. } => counters,
        UserView::Unidentified => {
            return spec
                .frequency_caps
                .iter()
                .all(|cap| cap.unidentified == Unidentified::Bid);
        }
        UserView::Unavailable => return spec.frequency_caps.is_empty(),
    };
    spec.frequency_caps.iter().all(|cap| {
        let scope_id = match cap.scope {
            CapScope::Campaign => Some(campaign.serving.campaign.id.as_str()),
            CapScope::Creative => campaign
                .serving
                .creatives
                .get(creative.position)
                .map(|of| of.id.as_str()),
            CapScope::Advertiser => Some(campaign.serving.advertiser.id.as_str()),
        };
        let window_ms = cap.window.length_ms();
        let seen = counters
            .iter()
            .find(|counter| Some(counter.scope_id) == scope_id && counter.window_ms == window_ms)
            .map_or(0, |counter| counter.impressions);
        seen < cap.impressions
    })
}

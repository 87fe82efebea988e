//! Frequency caps.

use crate::campaign::CompiledCampaign;
use crate::creative::CompiledCreative;
use crate::facts::counter_key;
use crate::offer::Offer;
use crate::user::UserView;
use domain::campaign::{CapScope, Unidentified};

pub(super) fn is_below_caps(
    campaign: &CompiledCampaign,
    creative: &CompiledCreative,
    offer: &Offer<'_>,
) -> bool {
    let mut caps = campaign.record.frequency_caps.iter();
    match offer.ask.user {
        UserView::Known { .. } => caps.all(|cap| {
            let scope_hash = match cap.scope {
                CapScope::Campaign => campaign.hash,
                CapScope::Creative => creative.hash,
                CapScope::Advertiser => campaign.advertiser,
            };
            let seen = offer
                .ask
                .facts
                .impressions(counter_key(scope_hash, cap.window.length_ms()));
            seen < cap.impressions
        }),
        UserView::Unidentified => caps.all(|cap| cap.unidentified == Unidentified::Bid),
        UserView::Unavailable => campaign.record.frequency_caps.is_empty(),
    }
}

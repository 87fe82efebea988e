//! The conditions that the index answers for many campaigns at once, and here for one.

use super::creative::{format_is_offered, size_is_offered};
use crate::campaign::CompiledCampaign;
use crate::facts::Facts;
use crate::list::ListOf;
use crate::offer::Offer;
use crate::reason::NoBidReason::{self, *};
use crate::user::UserView;
use openrtb::request::InventoryKind;

/// A list of the campaign against what the request says.
pub(crate) struct Listed {
    pub(crate) reason: NoBidReason,
    pub(crate) of: ListOf,
    pub(crate) values: fn(&Facts) -> &[u64],
}

macro_rules! lists {
    ($($reason:ident $of:ident $values:ident;)*) => {
        &[$(Listed {
            reason: $reason,
            of: ListOf::$of,
            values: |facts| &facts.$values,
        }),*]
    };
}

/// In the order of their reasons.
pub(crate) const LISTS: &[Listed] = lists! {
    Exchange Exchanges exchange;
    Inventory Inventory inventory;
    Country Countries country;
    Device Devices devices;
    OperatingSystem OperatingSystems operating_system;
    Browser Browsers browser;
    Language Languages language;
    Connection Connections connections;
    Carrier Carriers carrier;
    Site Sites sites;
    App Apps app;
    ContentCategory Categories categories;
    Keyword Keywords keywords;
    Audience Audiences audiences;
};

/// Those that fail, in order.
pub(crate) fn failing<'a>(
    campaign: &'a CompiledCampaign,
    offer: &'a Offer<'_>,
) -> impl Iterator<Item = NoBidReason> + use<'a> {
    let is_inactive = (!campaign.record.is_active).then_some(NoActiveCampaign);
    let of_lists = LISTS.iter().flat_map(|list| {
        let without_state = list.reason == Audience
            && campaign.needs_user_state
            && matches!(offer.ask.user, UserView::Unavailable);
        let fails = !is_wanted(list, campaign, offer);
        let reasons = [
            without_state.then_some(UserStateUnavailable),
            fails.then_some(list.reason),
        ];
        reasons.into_iter().flatten()
    });
    let of_imp = [
        (!offer.slots.iter().any(|slot| slot.suits(campaign))).then_some(Deal),
        (!campaign
            .formats()
            .as_list()
            .admits(offer.format_words().as_slice()))
        .then_some(Format),
        (!has_fitting_size(campaign, offer)).then_some(NoFittingSize),
    ];
    is_inactive
        .into_iter()
        .chain(of_lists)
        .chain(of_imp.into_iter().flatten())
}

fn is_wanted(list: &Listed, campaign: &CompiledCampaign, offer: &Offer<'_>) -> bool {
    // A campaign with a list of apps to allow does not ask an app for its site, nor the other way round.
    let is_of_the_other_kind = match (list.reason, offer.ask.request.inventory.kind) {
        (Site, InventoryKind::App) => !campaign.list(ListOf::Apps).allow.is_empty(),
        (App, InventoryKind::Site) => !campaign.list(ListOf::Sites).allow.is_empty(),
        _ => false,
    };
    campaign.list(list.of).admits((list.values)(offer.ask.facts)) || is_of_the_other_kind
}

/// Of a format that is offered, and no banner of another size.
pub(crate) fn has_fitting_size(campaign: &CompiledCampaign, offer: &Offer<'_>) -> bool {
    campaign.creatives.iter().any(|creative| {
        format_is_offered(campaign, creative, offer) && size_is_offered(campaign, creative, offer)
    })
}

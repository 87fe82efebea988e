//! The words a bid is reported under, in the vocabulary of targeting.

use bidding_engine::{CampaignRecord, Decision};
use domain::creative::Format;
use domain::event::Dimensions;
use openrtb::BidRequest;
use openrtb::codes::device_type as device;
use openrtb::request::{Imp, Inventory, InventoryKind};

/// Requests come from outside: no word of theirs grows beyond this.
const LONGEST_BYTES: usize = 100;

pub(crate) fn dimensions(
    request: &BidRequest<'_>,
    imp: &Imp<'_>,
    decision: &Decision,
    campaign: &CampaignRecord,
    exchange_id: &str,
) -> Dimensions {
    let creative = campaign.creatives.get(decision.creative);
    let deal = decision.deal.and_then(|at| imp.pmp.deals.get(at));
    Dimensions {
        advertiser: campaign.advertiser.id.0.clone(),
        campaign: campaign.id.0.clone(),
        creative: creative.map_or_else(String::new, |creative| creative.id.0.clone()),
        exchange: exchange_id.to_owned(),
        deal: deal.map_or_else(String::new, |deal| bounded(deal.id)),
        country: country(request).to_uppercase(),
        device: device_word(request.device.devicetype).to_owned(),
        os: request
            .device
            .os
            .map_or_else(String::new, |os| bounded(&os.to_lowercase())),
        format: decision.format.as_str().to_owned(),
        size: match (decision.width, decision.height) {
            (Some(width), Some(height)) => format!("{width}x{height}"),
            _ => String::new(),
        },
        placement: placement(imp, decision.format).to_owned(),
        site_or_bundle: site_or_bundle(&request.inventory),
    }
}

/// ISO 3166-1 alpha-3, of the device, else of the user's home.
fn country<'a>(request: &BidRequest<'a>) -> &'a str {
    let is_code = |text: &&str| text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    let countries = [request.device.geo.country, request.user.geo.country];
    countries.into_iter().flatten().find(is_code).unwrap_or_default()
}

fn device_word(devicetype: Option<u16>) -> &'static str {
    match devicetype {
        Some(device::PERSONAL_COMPUTER) => "desktop",
        Some(device::PHONE) => "phone",
        Some(device::TABLET) => "tablet",
        Some(device::MOBILE_OR_TABLET) => "mobile",
        Some(device::CONNECTED_TV) => "connected_tv",
        Some(device::CONNECTED_DEVICE) => "connected_device",
        Some(device::SET_TOP_BOX) => "set_top_box",
        Some(device::OUT_OF_HOME) => "ooh",
        _ => "",
    }
}

/// `plcmt` (AdCOM "Plcmt Subtypes - Video") wins over the older `placement`.
fn placement(imp: &Imp<'_>, format: Format) -> &'static str {
    if imp.rwdd {
        return "rewarded";
    }
    if imp.instl {
        return "interstitial";
    }
    let video = imp.video.filter(|_| format == Format::Video);
    match video.map(|video| (video.plcmt, video.placement)) {
        Some((Some(1), _) | (None, Some(1))) => "in_stream",
        Some((Some(2), _)) => "accompanying_content",
        Some((Some(3), _) | (None, Some(5))) => "interstitial",
        Some((Some(4), _) | (None, Some(2..=4))) => "out_of_stream",
        _ => "standard",
    }
}

fn site_or_bundle(inventory: &Inventory<'_>) -> String {
    let name = match inventory.kind {
        InventoryKind::App => inventory.bundle.or(inventory.id),
        InventoryKind::Site => {
            return inventory
                .domain
                .or_else(|| inventory.page.and_then(host))
                .or(inventory.id)
                .map_or_else(String::new, |domain| bounded(&domain.to_lowercase()));
        }
        InventoryKind::Dooh => inventory.domain.or(inventory.id).or(inventory.name),
        InventoryKind::Unknown => None,
    };
    name.map_or_else(String::new, bounded)
}

fn host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    rest.split(['/', '?', '#', ':'])
        .next()
        .filter(|host| !host.is_empty())
}

fn bounded(text: &str) -> String {
    text[..text.floor_char_boundary(LONGEST_BYTES)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_known_by_its_domain_or_the_host_of_its_page() {
        let site = |domain, page| {
            site_or_bundle(&Inventory {
                kind: InventoryKind::Site,
                domain,
                page,
                ..Inventory::default()
            })
        };
        assert_eq!(site(Some("News.Example"), None), "news.example");
        assert_eq!(site(None, Some("https://a.example:8443/x?y")), "a.example");
        assert_eq!(site(None, Some("nonsense")), "");
    }

    #[test]
    fn a_word_from_outside_is_cut_at_a_whole_character() {
        assert_eq!(bounded(&"é".repeat(80)).chars().count(), LONGEST_BYTES / 2);
    }
}

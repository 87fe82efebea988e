//! Campaigns of a realistic spread: of all, `eligible` fit the load's request; each of the others fails it at one
//! condition at least, most at several. The best of the eligible are withheld.

use crate::campaigns;
use domain::campaign::{CampaignSpec, CapScope, CapWindow, FrequencyCap, Unidentified};
use domain::serving::ServingCampaign;
use domain::targeting::{AllowBlock, Place, Targeting};
use jiff::Timestamp;

/// That of the request.
const SIZE: (i64, i64) = (1767, 1092);
const OTHER_SIZES: [(i64, i64); 8] = [
    (300, 250),
    (320, 50),
    (728, 90),
    (300, 600),
    (160, 600),
    (970, 250),
    (336, 280),
    (320, 100),
];
const COUNTRIES: [&str; 12] = [
    "USA", "KOR", "DEU", "GBR", "JPN", "FRA", "BRA", "CAN", "IND", "MEX", "ITA", "ESP",
];
/// On the request's `badv`.
const BLOCKED_DOMAIN: &str = "blocked-one.example";
const HIGHEST_CPM_MICROS: i64 = 10_000_000;
const LOWEST_CPM_MICROS: i64 = 4_000_000;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub campaigns: usize,
    pub eligible: usize,
    /// Of the eligible, the best; in turn by each of [`Withheld`].
    pub withheld: usize,
    pub reasons: &'static [Withheld],
}

/// What keeps a campaign from bidding that fits otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Withheld {
    /// Its budget is smaller than one impression; in the engine's own benchmark its quota of bids is used up.
    Paced,
    /// The user has seen it often enough.
    Capped,
    /// Its advertiser's domain is on the request's list.
    Blocked,
}

impl Spread {
    /// Campaigns are numbered in falling order of price; the eligible lie evenly among them.
    pub(crate) fn rank(&self, number: usize) -> Option<usize> {
        let before = |number: usize| number * self.eligible / self.campaigns;
        (before(number + 1) > before(number)).then(|| before(number))
    }

    pub(crate) fn withheld(&self, number: usize) -> Option<Withheld> {
        let rank = self.rank(number).filter(|rank| *rank < self.withheld)?;
        self.reasons.get(rank.checked_rem(self.reasons.len())?).copied()
    }

    /// `template`: see [`Spread::template`].
    pub(crate) fn campaign(&self, number: usize, template: &ServingCampaign) -> ServingCampaign {
        let mut random = fastrand::Rng::with_seed(number as u64);
        let mut campaign = template.clone();
        let id = format!("cmp_01k9c5m0w3v8q4s7h2{number:08}");
        campaign.advertiser.id = format!("adv_01k9c5m0w3v8q4s7h2{:08}", number / 4).as_str().into();
        campaign.campaign.id = id.as_str().into();
        let spec = &mut campaign.campaign.spec;
        spec.advertiser_id = campaign.advertiser.id.clone();
        let steps = (HIGHEST_CPM_MICROS - LOWEST_CPM_MICROS) / 1_000;
        let step = number as i64 * steps / self.campaigns as i64;
        spec.bid.max_cpm_micros = HIGHEST_CPM_MICROS - step * 1_000;
        let is_eligible = self.rank(number).is_some();
        spec.targeting = targeting(&mut random, is_eligible);
        let has_size = is_eligible || !is_any(spec) && random.f64() < 0.15;
        let size = if has_size {
            SIZE
        } else {
            OTHER_SIZES[random.usize(..OTHER_SIZES.len())]
        };
        if self.withheld(number) == Some(Withheld::Capped) {
            spec.frequency_caps = vec![FrequencyCap {
                impressions: 1,
                window: CapWindow::Day,
                scope: CapScope::Campaign,
                unidentified: Unidentified::Skip,
            }];
        }
        for (position, creative) in campaign.creatives.iter_mut().enumerate() {
            creative.id = format!("crv_01k9c5m0w3v8q4s7h2{number:07}{position}")
                .as_str()
                .into();
            creative.campaign_id = id.as_str().into();
            creative.spec.click_url = format!("https://brand{number}.example/landing");
            creative.spec.adomain = vec![format!("brand{number}.example")];
            if position == 0 {
                (creative.spec.width, creative.spec.height) = (Some(size.0), Some(size.1));
            }
            // In the request's taxonomy: others cannot be compared with its `bcat`.
            creative.spec.cattax = 2;
            creative.spec.categories = vec!["52".to_owned()];
            if self.withheld(number) == Some(Withheld::Blocked) {
                creative.spec.adomain = vec![BLOCKED_DOMAIN.to_owned()];
            }
        }
        campaign
    }

    pub(crate) fn template(now: Timestamp) -> anyhow::Result<ServingCampaign> {
        campaigns::campaign(0, now)
    }
}

/// No condition of the request's fails it.
fn is_any(spec: &CampaignSpec) -> bool {
    spec.targeting == Targeting::default()
}

/// `is_eligible`: every condition is one that the request meets.
fn targeting(random: &mut fastrand::Rng, is_eligible: bool) -> Targeting {
    let mut targeting = Targeting::default();
    let mut list = |share: f64, fitting: &[&str], failing: &[&str]| {
        let is_set = random.f64() < share;
        let words = if is_eligible { fitting } else { failing };
        if !is_set || words.is_empty() {
            return AllowBlock::default();
        }
        AllowBlock {
            allow: vec![words[random.usize(..words.len())].to_owned()],
            block: Vec::new(),
        }
    };
    targeting.operating_systems = list(0.4, &["ios"], &["android", "windows", "macos"]);
    targeting.devices = list(0.3, &["desktop"], &["phone", "tablet", "connected_tv"]);
    targeting.inventory = list(0.2, &["site"], &["app"]);
    targeting.languages = list(0.1, &["en"], &["de", "fr", "es", "ja"]);
    targeting.categories = list(0.2, &["1", "35"], &["IAB1", "IAB2-3", "IAB9", "IAB17", "IAB19-2"]);
    targeting.audiences = list(
        0.1,
        &["segment:pub-demographics:345qw245wfrtgwertrt56765wert"],
        &["segment:pub-demographics:1", "segment:pub-demographics:2"],
    );
    targeting.keywords = list(0.05, &[], &["football", "travel", "cars"]);
    targeting.sites = list(0.1, &["news.example"], &[]);
    if !is_eligible && random.f64() < 0.1 {
        targeting.sites.allow = vec![format!("site{}.example", random.usize(..2_000))];
    }
    // The request does not say where the device is.
    if !is_eligible && random.f64() < 0.6 {
        targeting.geo.allow = vec![Place {
            country: Some(COUNTRIES[random.usize(..COUNTRIES.len())].to_owned()),
            ..Place::default()
        }];
    }
    targeting
}

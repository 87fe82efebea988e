//! Campaigns, compiled once when a snapshot is built.

use crate::conditions::Conditions;
use crate::creative::CompiledCreative;
use crate::hash::{exact, folded, mix};
use crate::list::{List, sorted};
use crate::offer::Offer;
use crate::place::Geo;
use crate::schedule::Schedule;
use crate::taxonomy;
use crate::words;
use domain::advertiser::AdvertiserStatus;
use domain::campaign::{CampaignSpec, CampaignStatus, FrequencyCap};
use domain::creative::{CreativeSpec, Format};
use domain::currency::Currency;
use domain::money::Terms;
use domain::period::Day;
use domain::serving::ServingCampaign;
use std::sync::Arc;

/// A campaign's record as the engine reads it. It depends on nothing else, so that one that did not change is compiled
/// once for all the snapshots that hold it.
///
/// In the order of the fields: what the search reads of every candidate comes first, in two lines of the cache.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct CompiledCampaign {
    pub(crate) may_fail: Conditions,
    pub(crate) may_fail_in_slot: Conditions,
    /// The flight, as far as days are published.
    pub(crate) span: Span,
    pub(crate) currency: Currency,
    pub(crate) open_auction: bool,
    /// Campaign and advertiser are active.
    pub(crate) is_active: bool,
    /// Frequency caps or own lists: without the user's state it must not bid.
    pub(crate) needs_user_state: bool,
    /// Its maximum for one impression is a price that can be reserved.
    pub(crate) has_plain_price: bool,
    pub(crate) max_cpm_micros: i64,
    pub(crate) fee_ppm: i64,
    /// Of its id.
    pub(crate) hash: u64,
    /// Of its advertiser's id.
    pub(crate) advertiser: u64,
    pub(crate) creatives: Box<[CompiledCreative]>,
    pub(crate) caps: Box<[FrequencyCap]>,
    /// Parallel to the record's `days`.
    pub(crate) days: Box<[Span]>,
    /// Sorted.
    pub(crate) deals: Box<[u64]>,
    pub(crate) serving: Arc<ServingCampaign>,
    pub(crate) schedule: Option<Schedule>,
    pub(crate) geo: Geo,
    pub(crate) placements: List,
    pub(crate) positions: List,
    pub(crate) sizes: List,
    pub(crate) exchanges: List,
    pub(crate) inventory: List,
    pub(crate) countries: List,
    pub(crate) devices: List,
    /// Of its creatives; never "any".
    pub(crate) formats: List,
    /// Sizes of its banners, formats of the others; never "any".
    pub(crate) fitting_sizes: List,
    pub(crate) operating_systems: List,
    pub(crate) browsers: List,
    pub(crate) languages: List,
    pub(crate) connections: List,
    pub(crate) carriers: List,
    pub(crate) sites: List,
    pub(crate) apps: List,
    pub(crate) categories: List,
    pub(crate) keywords: List,
    pub(crate) audiences: List,
}

impl CompiledCampaign {
    /// Takes some microseconds: not for the bid path.
    #[must_use]
    pub fn compile(serving: Arc<ServingCampaign>) -> Self {
        let campaign = &serving.campaign;
        let targeting = &campaign.spec.targeting;
        let geo = Geo::compile(&targeting.geo);
        let creatives = serving.creatives.iter().enumerate();
        let creatives: Box<[CompiledCreative]> = creatives
            .map(|(position, creative)| CompiledCreative::compile(position, creative))
            .filter(|creative| creative.weight > 0)
            .collect();
        let spec = &campaign.spec;
        let mut compiled = Self {
            span: span(&serving),
            days: serving.days.iter().map(Span::of_day).collect(),
            max_cpm_micros: spec.bid.max_cpm_micros,
            currency: spec.budget.currency,
            fee_ppm: spec.fee_ppm,
            has_plain_price: has_plain_price(spec),
            caps: spec.frequency_caps.as_slice().into(),
            may_fail: Conditions::MAX,
            may_fail_in_slot: Conditions::MAX,
            is_active: campaign.spec.status == CampaignStatus::Active
                && serving.advertiser.status == AdvertiserStatus::Active,
            hash: exact(campaign.id.as_str()),
            advertiser: exact(serving.advertiser.id.as_str()),
            schedule: Schedule::compile(
                &targeting.day_parts,
                &campaign.spec.flight.time_zone,
                &serving.days,
            ),
            countries: geo.countries(),
            geo,
            exchanges: List::compile(&targeting.exchanges, exact),
            inventory: List::compile(&targeting.inventory, folded),
            devices: List::compile(&targeting.devices, folded),
            formats: List::allowing(formats(&creatives)),
            fitting_sizes: List::allowing(fitting_sizes(&creatives)),
            deals: sorted(targeting.deals.iter().map(|id| exact(id))),
            open_auction: targeting.open_auction,
            operating_systems: List::compile(&targeting.operating_systems, folded),
            browsers: List::compile(&targeting.browsers, folded),
            languages: List::compile(&targeting.languages, words::language),
            connections: List::compile(&targeting.connections, folded),
            carriers: List::compile(&targeting.carriers, folded),
            sites: List::compile(&targeting.sites, words::domain),
            apps: List::compile(&targeting.apps, |bundle| exact(bundle.trim())),
            categories: List::compile_spread(&targeting.categories, |name| {
                taxonomy::spread(targeting.category_taxonomy, name)
            }),
            keywords: List::compile(&targeting.keywords, folded),
            audiences: List::compile(&targeting.audiences, exact),
            needs_user_state: needs_user_state(&serving),
            placements: List::compile(&targeting.placements, folded),
            positions: List::compile(&targeting.positions, folded),
            sizes: List::compile(&targeting.sizes, words::size_of_text),
            creatives,
            serving,
        };
        compiled.may_fail = compiled.may_fail();
        compiled.may_fail_in_slot = compiled.may_fail_in_slot();
        for at in 0..compiled.creatives.len() {
            compiled.creatives[at].may_fail = compiled.creative_may_fail(&compiled.creatives[at]);
        }
        compiled
    }

    /// The record it was compiled from.
    #[must_use]
    pub fn serving(&self) -> &Arc<ServingCampaign> {
        &self.serving
    }

    pub(crate) fn id(&self) -> &str {
        self.serving.campaign.id.as_str()
    }

    /// What the client said of one of its creatives.
    pub(crate) fn spec_of(&self, creative: &CompiledCreative) -> Option<&CreativeSpec> {
        self.serving
            .creatives
            .get(creative.position)
            .map(|creative| &creative.spec)
    }

    /// The tie-break among equal values on one imp, and where a rotation of creatives stands.
    pub(crate) fn tie(&self, offer: &Offer<'_>) -> u64 {
        mix(offer.hash, self.hash)
    }
}

/// `[start_ms, end_ms)`, Unix milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    start_ms: i64,
    end_ms: i64,
}

impl Span {
    fn of_day(day: &Day) -> Self {
        Self {
            start_ms: day.start_ms,
            end_ms: day.end_ms,
        }
    }

    pub(crate) fn contains(self, instant_ms: i64) -> bool {
        self.start_ms <= instant_ms && instant_ms < self.end_ms
    }
}

/// From the flight's beginning or the first day's, whichever is later, to the end that is earlier. Published days follow
/// each other; of days that do not the search finds none in the gap, and withholds the bid.
fn span(serving: &ServingCampaign) -> Span {
    let flight = &serving.campaign.spec.flight;
    let first_ms = serving
        .days
        .iter()
        .map(|day| day.start_ms)
        .min()
        .unwrap_or(i64::MAX);
    let last_ms = serving
        .days
        .iter()
        .map(|day| day.end_ms)
        .max()
        .unwrap_or(i64::MIN);
    Span {
        start_ms: flight.start.as_millisecond().max(first_ms),
        end_ms: flight
            .end
            .map_or(last_ms, |end| end.as_millisecond().min(last_ms)),
    }
}

fn has_plain_price(spec: &CampaignSpec) -> bool {
    let terms = Terms {
        fee_ppm: spec.fee_ppm,
        ..Terms::default()
    };
    let price = spec.bid.max_cpm_micros;
    price > 0 && terms.reservation_nanos(price).is_ok_and(|nanos| nanos > 0)
}

/// With nothing to show the list names a format that no imp offers.
fn formats(creatives: &[CompiledCreative]) -> Vec<u64> {
    if creatives.is_empty() {
        return vec![exact("none")];
    }
    creatives
        .iter()
        .map(|creative| format_word(creative.format))
        .collect()
}

/// A banner without a size fits nowhere; one with a size also goes by its format, where any size is taken.
fn fitting_sizes(creatives: &[CompiledCreative]) -> Vec<u64> {
    let mut fitting = vec![exact("none")];
    for creative in creatives {
        match (creative.format, creative.width.zip(creative.height)) {
            (Format::Banner, None) => {}
            (Format::Banner, Some((width, height))) => {
                fitting.extend([words::size(width, height), format_word(Format::Banner)]);
            }
            (other, _) => fitting.push(format_word(other)),
        }
    }
    fitting
}

pub(crate) const fn format_word(format: Format) -> u64 {
    match format {
        Format::Banner => const { exact("banner") },
        Format::Video => const { exact("video") },
        Format::Audio => const { exact("audio") },
        Format::Native => const { exact("native") },
    }
}

fn needs_user_state(serving: &ServingCampaign) -> bool {
    let spec = &serving.campaign.spec;
    let audiences = &spec.targeting.audiences;
    let is_own_list = |id: &String| !id.starts_with("segment:");
    !spec.frequency_caps.is_empty() || audiences.allow.iter().chain(&audiences.block).any(is_own_list)
}

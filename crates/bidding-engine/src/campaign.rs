//! Campaigns, compiled once when a snapshot is built.

use crate::conditions::Conditions;
use crate::creative::CompiledCreative;
use crate::hash::{exact, folded, mix};
use crate::list::{List, ListOf, Lists, sorted};
use crate::offer::Offer;
use crate::place::Geo;
use crate::record::{CampaignRecord, CreativeRecord};
use crate::schedule::Schedule;
use crate::taxonomy;
use crate::words;
use domain::campaign::CampaignSpec;
use domain::creative::Format;
use domain::currency::Currency;
use domain::money::Terms;
use domain::serving::ServingCampaign;
use domain::targeting::Targeting;

/// A campaign's record as the engine reads it. It depends on nothing else, so that one that did not change is compiled
/// once for all the snapshots that hold it.
///
/// In the order of the fields: what the search reads of every candidate comes first.
#[derive(Debug)]
#[repr(C)]
pub struct CompiledCampaign {
    pub(crate) may_fail: Conditions,
    pub(crate) may_fail_in_slot: Conditions,
    /// The flight, as far as days are published.
    pub(crate) span: Span,
    pub(crate) currency: Currency,
    pub(crate) open_auction: bool,
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
    /// Sorted.
    pub(crate) deals: Box<[u64]>,
    pub(crate) lists: Lists,
    pub(crate) schedule: Option<Box<Schedule>>,
    /// `None` is anywhere.
    pub(crate) geo: Option<Box<Geo>>,
    pub(crate) record: CampaignRecord,
}

impl CompiledCampaign {
    /// Takes some microseconds: not for the bid path.
    #[must_use]
    pub fn compile(serving: ServingCampaign) -> Self {
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
            max_cpm_micros: spec.bid.max_cpm_micros,
            currency: spec.budget.currency,
            fee_ppm: spec.fee_ppm,
            has_plain_price: has_plain_price(spec),
            may_fail: Conditions::MAX,
            may_fail_in_slot: Conditions::MAX,
            hash: exact(campaign.id.as_str()),
            advertiser: exact(serving.advertiser.id.as_str()),
            schedule: Schedule::compile(
                &targeting.day_parts,
                &campaign.spec.flight.time_zone,
                &serving.days,
            )
            .map(Box::new),
            lists: lists(targeting, &geo, &creatives),
            geo: (!geo.is_anywhere()).then(|| Box::new(geo)),
            deals: sorted(targeting.deals.iter().map(|id| exact(id))),
            open_auction: targeting.open_auction,
            needs_user_state: needs_user_state(&serving),
            creatives,
            record: CampaignRecord::new(serving),
        };
        compiled.may_fail = compiled.may_fail();
        compiled.may_fail_in_slot = compiled.may_fail_in_slot();
        for at in 0..compiled.creatives.len() {
            compiled.creatives[at].may_fail = compiled.creative_may_fail(&compiled.creatives[at]);
        }
        compiled
    }

    /// What is left of the record it was compiled from.
    #[must_use]
    pub fn record(&self) -> &CampaignRecord {
        &self.record
    }

    pub(crate) fn id(&self) -> &str {
        self.record.id.as_str()
    }

    pub(crate) fn list(&self, of: ListOf) -> &List {
        self.lists.get(of)
    }

    pub(crate) fn record_of(&self, creative: &CompiledCreative) -> Option<&CreativeRecord> {
        self.record.creatives.get(creative.position)
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

fn lists(targeting: &Targeting, geo: &Geo, creatives: &[CompiledCreative]) -> Lists {
    let bundle = |bundle: &str| exact(bundle.trim());
    let spread = |name: &str| taxonomy::spread(targeting.category_taxonomy, name);
    Lists::new([
        (ListOf::Placements, List::compile(&targeting.placements, folded)),
        (ListOf::Positions, List::compile(&targeting.positions, folded)),
        (
            ListOf::Sizes,
            List::compile(&targeting.sizes, words::size_of_text),
        ),
        (ListOf::Exchanges, List::compile(&targeting.exchanges, exact)),
        (ListOf::Inventory, List::compile(&targeting.inventory, folded)),
        (ListOf::Countries, geo.countries()),
        (ListOf::Devices, List::compile(&targeting.devices, folded)),
        (ListOf::Formats, List::allowing(formats(creatives))),
        (ListOf::FittingSizes, List::allowing(fitting_sizes(creatives))),
        (
            ListOf::OperatingSystems,
            List::compile(&targeting.operating_systems, folded),
        ),
        (ListOf::Browsers, List::compile(&targeting.browsers, folded)),
        (
            ListOf::Languages,
            List::compile(&targeting.languages, words::language),
        ),
        (ListOf::Connections, List::compile(&targeting.connections, folded)),
        (ListOf::Carriers, List::compile(&targeting.carriers, folded)),
        (ListOf::Sites, List::compile(&targeting.sites, words::domain)),
        (ListOf::Apps, List::compile(&targeting.apps, bundle)),
        (
            ListOf::Categories,
            List::compile_spread(&targeting.categories, spread),
        ),
        (ListOf::Keywords, List::compile(&targeting.keywords, folded)),
        (ListOf::Audiences, List::compile(&targeting.audiences, exact)),
    ])
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

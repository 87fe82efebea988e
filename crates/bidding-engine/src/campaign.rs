//! Campaigns, compiled once when a snapshot is built.

use crate::conditions::Conditions;
use crate::creative::CompiledCreative;
use crate::hash::{exact, folded};
use crate::list::{List, ListOf, Lists, NewList};
use crate::place::Geo;
use crate::record::{self, CampaignRecord};
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
/// In the order of the fields: what the search reads first comes first.
#[derive(Debug)]
#[repr(C)]
pub struct CompiledCampaign {
    pub(crate) may_fail: Conditions,
    pub(crate) may_fail_in_slot: Conditions,
    /// The flight, as far as days are published.
    pub(crate) span: Span,
    pub(crate) max_cpm_micros: i64,
    pub(crate) currency: Currency,
    pub(crate) open_auction: bool,
    /// Frequency caps or own lists: without the user's state it must not bid.
    pub(crate) needs_user_state: bool,
    /// Its maximum for one impression is a price that can be reserved.
    pub(crate) has_plain_price: bool,
    /// Of its id.
    pub(crate) hash: u64,
    /// Of its advertiser's id.
    pub(crate) advertiser: u64,
    pub(crate) creatives: Box<[CompiledCreative]>,
    pub(crate) lists: Lists,
    pub(crate) schedule: Option<Box<Schedule>>,
    /// `None` is anywhere in the countries of its list.
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
        let parts = record::parts(&serving.creatives);
        let creatives = (0..).zip(&serving.creatives).zip(&parts);
        let creatives: Box<[CompiledCreative]> = creatives
            .map(|((position, creative), parts)| CompiledCreative::compile(position, creative, parts))
            .filter(|creative| creative.weight > 0)
            .collect();
        let spec = &campaign.spec;
        let mut compiled = Self {
            span: span(&serving),
            max_cpm_micros: spec.bid.max_cpm_micros,
            currency: spec.budget.currency,
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
            lists: lists(targeting, &geo),
            geo: (!geo.is_anywhere_in_its_countries()).then(|| Box::new(geo)),
            open_auction: targeting.open_auction,
            needs_user_state: needs_user_state(&serving),
            creatives,
            record: CampaignRecord::new(serving, &parts),
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

    pub(crate) fn list(&self, of: ListOf) -> List<'_> {
        self.lists.get(of)
    }
}

/// `[start_ms, end_ms)`, Unix milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
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

fn lists(targeting: &Targeting, geo: &Geo) -> Lists {
    let bundle = |bundle: &str| exact(bundle.trim());
    let spread = |name: &str| taxonomy::spread(targeting.category_taxonomy, name);
    Lists::new([
        (
            ListOf::Placements,
            NewList::compile(&targeting.placements, folded),
        ),
        (ListOf::Positions, NewList::compile(&targeting.positions, folded)),
        (
            ListOf::Sizes,
            NewList::compile(&targeting.sizes, words::size_of_text),
        ),
        (ListOf::Exchanges, NewList::compile(&targeting.exchanges, exact)),
        (ListOf::Inventory, NewList::compile(&targeting.inventory, folded)),
        (ListOf::Countries, geo.countries()),
        (ListOf::Devices, NewList::compile(&targeting.devices, folded)),
        (
            ListOf::OperatingSystems,
            NewList::compile(&targeting.operating_systems, folded),
        ),
        (ListOf::Browsers, NewList::compile(&targeting.browsers, folded)),
        (
            ListOf::Languages,
            NewList::compile(&targeting.languages, words::language),
        ),
        (
            ListOf::Connections,
            NewList::compile(&targeting.connections, folded),
        ),
        (ListOf::Carriers, NewList::compile(&targeting.carriers, folded)),
        (ListOf::Sites, NewList::compile(&targeting.sites, words::domain)),
        (ListOf::Apps, NewList::compile(&targeting.apps, bundle)),
        (
            ListOf::Categories,
            NewList::compile_spread(&targeting.categories, spread),
        ),
        (ListOf::Keywords, NewList::compile(&targeting.keywords, folded)),
        (ListOf::Audiences, NewList::compile(&targeting.audiences, exact)),
        (
            ListOf::Deals,
            NewList::allowing(targeting.deals.iter().map(|id| exact(id))),
        ),
    ])
}

/// What its creatives say, found when it is asked for, which is not on the bid path.
impl CompiledCampaign {
    /// With nothing to show the list names a format that no imp offers.
    pub(crate) fn formats(&self) -> NewList {
        let formats = self.creatives.iter().map(|creative| format_word(creative.format));
        let none = self.creatives.is_empty().then_some(const { exact("none") });
        NewList::allowing(formats.chain(none))
    }

    /// Sizes of its banners, formats of the others.
    pub(crate) fn fitting_sizes(&self) -> NewList {
        NewList::allowing(fitting_sizes(&self.creatives))
    }
}

/// A banner without a size fits nowhere; one with a size also goes by its format, where any size is taken.
fn fitting_sizes(creatives: &[CompiledCreative]) -> Vec<u64> {
    let mut fitting = vec![exact("none")];
    for creative in creatives {
        match (creative.format, creative.traits.width.zip(creative.traits.height)) {
            (Format::Banner, None) => {}
            (Format::Banner, Some((width, height))) => {
                fitting.extend([
                    words::size(width.into(), height.into()),
                    format_word(Format::Banner),
                ]);
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

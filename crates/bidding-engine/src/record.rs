//! What is left of a campaign's record once it is compiled: what answers say, and what leases are asked for.
//!
//! There may be a million of them in memory. So texts of targeting and markup are left out, what is often empty takes no
//! more than a pointer, and what many campaigns and creatives have in common is kept once; a domain, once a campaign.

use crate::creative::banner_types;
use crate::hash::exact;
use crate::list::bit;
use crate::pool::Pool;
use crate::taxonomy::Category;
use crate::words::{domain_and_parents, language};
use domain::advertiser::AdvertiserStatus;
use domain::campaign::{CampaignStatus, FrequencyCap, Pacing};
use domain::creative::{Creative, CreativeSpec, Format, NativeAsset, ReviewStatus};
use domain::currency::Currency;
use domain::id::{CampaignId, CreativeId};
use domain::period::{Day, FlightSpan, Limits};
use domain::serving::{ServingAdvertiser, ServingCampaign};
use domain::targeting::Targeting;
use std::sync::Arc;

/// Of the record that was compiled.
#[derive(Debug)]
pub struct CampaignRecord {
    pub id: CampaignId,
    pub generation: i64,
    pub revision: i64,
    pub advertiser: Arc<ServingAdvertiser>,
    /// Campaign and advertiser are active.
    pub is_active: bool,
    /// Its targeting names audiences.
    pub uses_profile: bool,
    /// Its targeting names a postal code or a circle.
    pub uses_precise_place: bool,
    pub pacing: Pacing,
    pub currency: Currency,
    pub flight: FlightSpan,
    pub limits: Limits,
    pub max_cpm_micros: i64,
    pub fee_ppm: i64,
    pub reserve_ppm: i64,
    pub frequency_caps: Box<[FrequencyCap]>,
    pub days: Arc<[Day]>,
    /// In their order, those that are never shown too.
    pub creatives: Box<[CreativeRecord]>,
}

/// Of one of its creatives.
#[derive(Debug)]
pub struct CreativeRecord {
    pub id: CreativeId,
    pub version: i64,
    pub adomain: Arc<Adomain>,
    pub traits: Arc<CreativeTraits>,
}

/// The advertiser's domains, mostly those of all creatives of a campaign.
#[derive(Debug)]
pub struct Adomain {
    pub names: Box<[Box<str>]>,
    /// The [`bit`]s of [`Adomain::words`].
    pub(crate) seen: u64,
}

/// What is the same of many creatives.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct CreativeTraits {
    pub cattax: i64,
    pub categories: Box<[Box<str>]>,
    pub(crate) category_words: Box<[Category]>,
    /// The [`bit`]s of all words of all categories.
    pub(crate) categories_seen: u64,
    pub language: Option<Box<str>>,
    pub(crate) language_word: Option<u64>,
    pub attributes: Box<[u16]>,
    pub apis: Box<[u16]>,
    pub mimes: Box<[Box<str>]>,
    /// As it is answered with: those of wrappers, where the creative names where its document is.
    pub protocols: Box<[u16]>,
    /// `None` of other formats.
    pub native: Option<Box<NativeRecord>>,
    pub(crate) banner_types: Box<[u16]>,
    pub(crate) width: Option<u32>,
    pub(crate) height: Option<u32>,
    pub(crate) duration_ms: Option<u32>,
    /// Exchanges that have not approved it, hashes of their ids.
    pub(crate) unapproved_by: Box<[u64]>,
}

/// What a native answer is made of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NativeRecord {
    pub assets: Box<[NativeAsset]>,
    pub impression_trackers: Box<[String]>,
    pub click_trackers: Box<[String]>,
}

impl CampaignRecord {
    pub(crate) fn new(serving: ServingCampaign, parts: &[(Arc<Adomain>, Arc<CreativeTraits>)]) -> Self {
        static ADVERTISERS: Pool<ServingAdvertiser> = Pool::new();
        static DAYS: Pool<[Day]> = Pool::new();
        let spec = serving.campaign.spec;
        Self {
            id: serving.campaign.id,
            generation: serving.generation,
            revision: serving.revision,
            is_active: spec.status == CampaignStatus::Active
                && serving.advertiser.status == AdvertiserStatus::Active,
            advertiser: ADVERTISERS.share(serving.advertiser),
            uses_profile: !spec.targeting.audiences.is_any(),
            uses_precise_place: uses_precise_place(&spec.targeting),
            pacing: spec.pacing,
            currency: spec.budget.currency,
            flight: FlightSpan::of(&spec.flight),
            limits: serving.limits,
            max_cpm_micros: spec.bid.max_cpm_micros,
            fee_ppm: spec.fee_ppm,
            reserve_ppm: spec.reserve_ppm,
            frequency_caps: spec.frequency_caps.into(),
            days: DAYS.share(serving.days),
            creatives: serving
                .creatives
                .into_iter()
                .zip(parts)
                .map(|(creative, (adomain, traits))| CreativeRecord {
                    id: creative.id,
                    version: creative.version,
                    adomain: adomain.clone(),
                    traits: traits.clone(),
                })
                .collect(),
        }
    }
}

/// Of each creative.
pub(crate) fn parts(creatives: &[Creative]) -> Vec<(Arc<Adomain>, Arc<CreativeTraits>)> {
    static TRAITS: Pool<CreativeTraits> = Pool::new();
    let mut parts: Vec<(Arc<Adomain>, Arc<CreativeTraits>)> = Vec::with_capacity(creatives.len());
    for creative in creatives {
        let names = &creative.spec.adomain;
        let mut before = parts.iter().map(|(adomain, _)| adomain);
        let same = before.find(|adomain| adomain.names.iter().map(|name| &**name).eq(names));
        let adomain = same.cloned().unwrap_or_else(|| Arc::new(Adomain::new(names)));
        parts.push((adomain, TRAITS.share(CreativeTraits::new(creative))));
    }
    parts
}

impl Adomain {
    fn new(names: &[String]) -> Self {
        let mut adomain = Self {
            names: texts(names),
            seen: 0,
        };
        adomain.seen = adomain.words().fold(0, |seen, word| seen | bit(word));
        adomain
    }

    /// Each with those above it.
    pub(crate) fn words(&self) -> impl Iterator<Item = u64> {
        self.names.iter().flat_map(|name| domain_and_parents(name))
    }
}

impl CreativeTraits {
    fn new(creative: &Creative) -> Self {
        let spec = &creative.spec;
        // A code that is none stands for one that nobody supports, and nobody names.
        let codes = |codes: &[i64]| {
            let codes = codes.iter().map(|code| u16::try_from(*code).unwrap_or(u16::MAX));
            codes.collect()
        };
        // What is too much is said to be more than anybody offers.
        let whole = |number: Option<i64>| number.map(|number| u32::try_from(number).unwrap_or(u32::MAX));
        let categories = spec.categories.iter();
        let category_words: Box<[Category]> =
            categories.map(|name| Category::new(spec.cattax, name)).collect();
        let words = category_words.iter().flat_map(|category| category.words.iter());
        let reviews = creative.reviews.iter();
        let pending = reviews.filter(|review| review.status != ReviewStatus::Approved);
        Self {
            cattax: spec.cattax,
            categories: texts(&spec.categories),
            categories_seen: words.fold(0, |seen, word| seen | bit(*word)),
            category_words,
            language: spec.language.as_deref().map(Into::into),
            language_word: spec.language.as_deref().map(language),
            attributes: codes(&spec.attributes),
            apis: codes(&spec.apis),
            mimes: texts(&spec.mimes),
            protocols: protocols(spec).collect(),
            native: native(spec).map(Box::new),
            banner_types: banner_types(creative),
            width: whole(spec.width),
            height: whole(spec.height),
            duration_ms: whole(spec.duration_ms),
            unapproved_by: pending.map(|review| exact(&review.exchange)).collect(),
        }
    }
}

fn native(spec: &CreativeSpec) -> Option<NativeRecord> {
    (spec.format == Format::Native).then(|| NativeRecord {
        assets: spec.assets.as_slice().into(),
        impression_trackers: spec.impression_trackers.as_slice().into(),
        click_trackers: spec.click_trackers.as_slice().into(),
    })
}

fn texts(texts: &[String]) -> Box<[Box<str>]> {
    texts.iter().map(|text| text.as_str().into()).collect()
}

fn uses_precise_place(targeting: &Targeting) -> bool {
    let mut places = targeting.geo.allow.iter().chain(&targeting.geo.block);
    places.any(|place| place.radius.is_some() || place.zip.is_some())
}

/// What a creative is answered with, of the AdCOM list "Creative Subtypes - Audio/Video". One that names where its
/// document is gets a wrapper around the address, so that its protocols count as those of wrappers.
fn protocols(spec: &CreativeSpec) -> impl Iterator<Item = u16> {
    let is_wrapped = spec.markup.is_none() && spec.vast_url.is_some();
    let own = spec.protocols.iter().filter_map(|code| u16::try_from(*code).ok());
    own.map(move |code| match code {
        1..=3 if is_wrapped => code + 3,
        7 | 9 | 11 | 13 if is_wrapped => code + 1,
        other => other,
    })
}

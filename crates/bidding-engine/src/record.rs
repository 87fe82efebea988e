//! What is left of a campaign's record once it is compiled: what answers say, and what leases are asked for.
//!
//! There may be a million of them in memory. So texts of targeting and markup are left out, what is often empty takes no
//! more than a pointer, and campaigns that are compiled one after the other share their days.

use crate::latest::Latest;
use domain::advertiser::AdvertiserStatus;
use domain::campaign::{CampaignStatus, Flight, FrequencyCap, Pacing};
use domain::creative::{Creative, CreativeSpec, Format, NativeAsset};
use domain::currency::Currency;
use domain::id::{CampaignId, CreativeId};
use domain::period::{Day, Limits};
use domain::serving::{ServingAdvertiser, ServingCampaign};
use domain::targeting::Targeting;
use std::cell::RefCell;
use std::sync::Arc;

/// Of the record that was compiled.
#[derive(Debug)]
pub struct CampaignRecord {
    pub id: CampaignId,
    pub generation: i64,
    pub revision: i64,
    pub advertiser: ServingAdvertiser,
    /// Campaign and advertiser are active.
    pub is_active: bool,
    /// Its targeting names audiences.
    pub uses_profile: bool,
    /// Its targeting names a postal code or a circle.
    pub uses_precise_place: bool,
    pub pacing: Pacing,
    pub currency: Currency,
    pub flight: Flight,
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
    pub adomain: Box<[Box<str>]>,
    pub cattax: i64,
    pub categories: Box<[Box<str>]>,
    pub language: Option<Box<str>>,
    pub attributes: Box<[u16]>,
    pub apis: Box<[u16]>,
    pub mimes: Box<[Box<str>]>,
    /// As it is answered with: those of wrappers, where the creative names where its document is.
    pub protocols: Box<[u16]>,
    /// `None` of other formats.
    pub native: Option<Box<NativeRecord>>,
}

/// What a native answer is made of.
#[derive(Clone, Debug)]
pub struct NativeRecord {
    pub assets: Box<[NativeAsset]>,
    pub impression_trackers: Box<[String]>,
    pub click_trackers: Box<[String]>,
}

impl CampaignRecord {
    pub(crate) fn new(serving: ServingCampaign) -> Self {
        let spec = serving.campaign.spec;
        Self {
            id: serving.campaign.id,
            generation: serving.generation,
            revision: serving.revision,
            is_active: spec.status == CampaignStatus::Active
                && serving.advertiser.status == AdvertiserStatus::Active,
            advertiser: serving.advertiser,
            uses_profile: !spec.targeting.audiences.is_any(),
            uses_precise_place: uses_precise_place(&spec.targeting),
            pacing: spec.pacing,
            currency: spec.budget.currency,
            flight: spec.flight,
            limits: serving.limits,
            max_cpm_micros: spec.bid.max_cpm_micros,
            fee_ppm: spec.fee_ppm,
            reserve_ppm: spec.reserve_ppm,
            frequency_caps: spec.frequency_caps.into(),
            days: shared(&serving.days),
            creatives: serving.creatives.into_iter().map(CreativeRecord::new).collect(),
        }
    }
}

impl CreativeRecord {
    fn new(creative: Creative) -> Self {
        let spec = creative.spec;
        // A code that is none stands for one that nobody supports, and nobody names.
        let codes = |codes: &[i64]| {
            let codes = codes.iter().map(|code| u16::try_from(*code).unwrap_or(u16::MAX));
            codes.collect()
        };
        Self {
            id: creative.id,
            version: creative.version,
            attributes: codes(&spec.attributes),
            apis: codes(&spec.apis),
            protocols: protocols(&spec).collect(),
            cattax: spec.cattax,
            adomain: texts(spec.adomain),
            categories: texts(spec.categories),
            mimes: texts(spec.mimes),
            language: spec.language.map(Into::into),
            native: (spec.format == Format::Native).then(|| {
                Box::new(NativeRecord {
                    assets: spec.assets.into(),
                    impression_trackers: spec.impression_trackers.into(),
                    click_trackers: spec.click_trackers.into(),
                })
            }),
        }
    }
}

fn texts(texts: Vec<String>) -> Box<[Box<str>]> {
    texts.into_iter().map(String::into_boxed_str).collect()
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

/// The days of all campaigns of a time zone are the same, and there are few zones.
fn shared(days: &[Day]) -> Arc<[Day]> {
    thread_local! {
        static LATEST: RefCell<Latest<[Day], Arc<[Day]>, 8>> = const { RefCell::new(Latest::new()) };
    }
    LATEST.with_borrow_mut(|latest| latest.get_or_make(days, || days.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_that_are_the_same_are_kept_once() {
        let days = |start_ms| {
            [Day {
                date: "2026-11-23".to_owned(),
                start_ms,
                end_ms: start_ms + 1,
            }]
        };
        let first = shared(&days(0));
        assert!(Arc::ptr_eq(&first, &shared(&days(0))));
        assert_eq!(*shared(&days(1)), days(1));
    }
}

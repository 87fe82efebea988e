//! A draft at each of its prices against each sample.

use super::draft::Draft;
use super::sums::Sums;
use crate::geo_ip::GeoIp;
use crate::live::Live;
use crate::samples::Sample;
use bidding_engine::{CompiledCampaign, LearnedPrices, Now, Snapshot, explain_draft};
use bumpalo::Bump;
use std::ops::Range;
use std::sync::Arc;

/// Everything stands still in it, prices too: what it counts at one price is comparable with what it counts at another.
pub(super) struct Job {
    snapshot: Snapshot,
    prices: LearnedPrices,
    locations: Option<Arc<GeoIp>>,
    samples: Vec<Sample>,
    /// By rising maximum.
    drafts: Vec<CompiledCampaign>,
}

impl Job {
    /// Looks through all campaigns for one of the draft's advertiser: not on a thread that bids wait for.
    pub(super) fn new(
        live: &Live,
        prices: LearnedPrices,
        samples: Vec<Sample>,
        draft: &Draft,
        now_ms: i64,
    ) -> Self {
        let advertiser = live
            .snapshot
            .campaigns()
            .map(|serving| &*serving.advertiser)
            .find(|advertiser| advertiser.id == *draft.advertiser_id());
        // The wall clock may have gone back meanwhile.
        let from_ms = samples.iter().map(|sample| sample.unix_ms).min();
        Self {
            drafts: draft.compile(advertiser, from_ms.unwrap_or(now_ms)),
            snapshot: live.snapshot.clone().with_prices(prices.clone()),
            prices,
            locations: live.locations.clone(),
            samples,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    /// Adds what these samples bring.
    pub(super) fn add(&self, samples: Range<usize>, sums: &mut Sums) {
        let samples = self.samples.iter().skip(samples.start).take(samples.len());
        samples.for_each(|sample| self.add_sample(sample, sums));
    }

    /// One of an exchange that is gone by now brings nothing, nor does it count.
    fn add_sample(&self, sample: &Sample, sums: &mut Sums) {
        let arena = Bump::new();
        let Some(exchange) = self.snapshot.exchange(&sample.exchange) else {
            return;
        };
        let Ok(mut request) = openrtb::read_request(&sample.body, &arena) else {
            return;
        };
        if let Some(locations) = &self.locations {
            locations.locate(&mut request, &arena);
        }
        let now = Now {
            unix_ms: sample.unix_ms,
            // Of leases, which nobody asks for here.
            monotonic_ms: 0,
        };
        let table = self.prices.table();
        sample.user.view(|user| {
            let explain = |draft| explain_draft(&self.snapshot, exchange, user, now, &request, draft);
            let Some((lowest, others)) = self.drafts.split_first() else {
                return;
            };
            let lowest = explain(lowest);
            let chances = sums.request(sample.weight, request.imp.len(), &lowest);
            sums.maximum(0, &chances, &lowest, &table);
            // Most requests are nothing for most drafts, whatever the price.
            if chances.is_empty() {
                return;
            }
            for (at, draft) in others.iter().enumerate() {
                sums.maximum(at + 1, &chances, &explain(draft), &table);
            }
        });
    }
}

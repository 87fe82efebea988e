//! What the engine knows of the world, all but leases and users: campaigns and exchanges.

use crate::campaign::CompiledCampaign;
use crate::exchange::{ExchangeState, scale_up};
use crate::index::Index;
use domain::money::RATE_ONE_E9;
use domain::serving::{ServingCampaign, ServingExchange};
use std::cmp::Ordering;
use std::sync::Arc;

/// Immutable, shared by all threads, replaced as a whole.
///
/// Campaigns are numbered from 0 in falling order of what they could be worth at most in USD.
#[derive(Debug, Default)]
pub struct Snapshot {
    campaigns: Vec<Arc<CompiledCampaign>>,
    /// Parallel to the campaigns: at least the worth of a thousand impressions, micros of USD, at the rates of every
    /// exchange.
    bounds_usd_micros: Vec<i64>,
    exchanges: Vec<ExchangeState>,
    index: Index,
    campaigns_without_rate: usize,
}

impl Snapshot {
    /// Compiles every campaign and builds the index over them. Takes time in proportion to their number:
    /// not for the bid path.
    ///
    /// The numbers depend on ids, prices and rates alone, not on the order of the arguments.
    #[must_use]
    pub fn build(campaigns: Vec<Arc<ServingCampaign>>, exchanges: &[ServingExchange]) -> Self {
        let compiled = campaigns
            .into_iter()
            .map(|serving| (Arc::new(CompiledCampaign::compile(serving)), ()))
            .collect();
        Self::of_compiled(compiled, exchanges).0
    }

    /// The same of campaigns that are compiled already, each with a companion. The companions come back in the order
    /// of the campaigns' numbers.
    #[must_use]
    pub fn of_compiled<T>(
        campaigns: Vec<(Arc<CompiledCampaign>, T)>,
        exchanges: &[ServingExchange],
    ) -> (Self, Vec<T>) {
        let exchanges: Vec<ExchangeState> = exchanges.iter().cloned().map(ExchangeState::new).collect();
        let mut campaigns_without_rate = 0;
        let mut in_order: Vec<InOrder<T>> = campaigns
            .into_iter()
            .map(|(campaign, companion)| {
                let bound_usd_micros = bound_usd_micros(&campaign.serving, &exchanges);
                campaigns_without_rate += usize::from(bound_usd_micros.is_none());
                InOrder {
                    bound_usd_micros: bound_usd_micros.unwrap_or(0),
                    hash: campaign.hash,
                    campaign,
                    companion,
                }
            })
            .collect();
        in_order.sort_unstable_by(InOrder::compare);
        let bounds_usd_micros = in_order.iter().map(|one| one.bound_usd_micros).collect();
        let (campaigns, companions): (Vec<_>, Vec<T>) = in_order
            .into_iter()
            .map(|one| (one.campaign, one.companion))
            .unzip();
        let snapshot = Self {
            index: Index::build(&campaigns),
            campaigns,
            bounds_usd_micros,
            exchanges,
            campaigns_without_rate,
        };
        (snapshot, companions)
    }

    /// How many campaigns there are, those that can never bid included: the length of [`crate::Leases`].
    #[must_use]
    pub fn len(&self) -> usize {
        self.campaigns.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.campaigns.is_empty()
    }

    /// The record of a campaign, by its number.
    #[must_use]
    pub fn campaign(&self, number: usize) -> Option<&Arc<ServingCampaign>> {
        self.campaigns.get(number).map(|campaign| &campaign.serving)
    }

    /// All records, in the order of their numbers.
    pub fn campaigns(&self) -> impl ExactSizeIterator<Item = &Arc<ServingCampaign>> {
        self.campaigns.iter().map(|campaign| &campaign.serving)
    }

    /// Campaigns whose currency no exchange has a rate for. They are numbered last, and bid only at an
    /// exchange that trades in that very currency.
    #[must_use]
    pub fn campaigns_without_rate(&self) -> usize {
        self.campaigns_without_rate
    }

    /// An exchange by its id.
    #[must_use]
    pub fn exchange(&self, id: &str) -> Option<&ExchangeState> {
        self.exchanges
            .iter()
            .find(|exchange| exchange.serving().exchange.id.as_str() == id)
    }

    pub(crate) fn compiled(&self) -> &[Arc<CompiledCampaign>] {
        &self.campaigns
    }

    /// Falls with the number.
    pub(crate) fn bound_usd_micros(&self, number: usize) -> i64 {
        self.bounds_usd_micros.get(number).copied().unwrap_or(0)
    }

    pub(crate) fn index(&self) -> &Index {
        &self.index
    }
}

/// A campaign with what it is sorted by at hand: reading it from each campaign costs more than the sorting.
struct InOrder<T> {
    bound_usd_micros: i64,
    /// Of the id.
    hash: u64,
    campaign: Arc<CompiledCampaign>,
    companion: T,
}

impl<T> InOrder<T> {
    fn compare(&self, other: &Self) -> Ordering {
        let by_worth = other.bound_usd_micros.cmp(&self.bound_usd_micros);
        by_worth
            .then(self.hash.cmp(&other.hash))
            .then_with(|| self.campaign.id().cmp(other.campaign.id()))
    }
}

/// The maximum CPM at the best rate that any exchange has, rounded up. Exchanges may differ in their
/// rates; a bound that holds for all of them lets one numbering serve them all.
fn bound_usd_micros(serving: &ServingCampaign, exchanges: &[ExchangeState]) -> Option<i64> {
    let spec = &serving.campaign.spec;
    let rates = exchanges
        .iter()
        .filter_map(|exchange| exchange.usd_rate_e9(spec.budget.currency));
    let rate_e9 = rates.max()?;
    Some(scale_up(spec.bid.max_cpm_micros, rate_e9, RATE_ONE_E9).unwrap_or(i64::MAX))
}

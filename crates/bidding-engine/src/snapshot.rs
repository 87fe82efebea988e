//! What the engine knows of the world, all but leases and users: campaigns and exchanges.

use crate::campaign::CompiledCampaign;
use crate::card::Card;
use crate::exchange::{ExchangeState, scale_up};
use crate::index::Index;
use crate::pages::Pages;
use crate::prices::LearnedPrices;
use crate::record::CampaignRecord;
use crate::traffic::Traffic;
use domain::money::RATE_ONE_E9;
use domain::serving::{ServingCampaign, ServingExchange};
use std::cmp::Ordering;
use std::sync::Arc;

/// Immutable, shared by all threads, replaced as a whole; its copies share what is equal.
///
/// Campaigns are numbered from 0 in falling order of what they could be worth at most in USD. Some numbers may be
/// nobody's: [`crate::Catalog`] leaves them for campaigns to come.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub(crate) campaigns: Pages<Option<Arc<CompiledCampaign>>>,
    /// By number; their bounds fall.
    pub(crate) cards: Pages<Card>,
    pub(crate) exchanges: Arc<[ExchangeState]>,
    pub(crate) index: Index,
    pub(crate) counts: Counts,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) prices: LearnedPrices,
}

/// Of the campaigns of a snapshot.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    all: usize,
    without_rate: usize,
    needing_user_state: usize,
}

impl Counts {
    pub(crate) fn add(&mut self, campaign: &CompiledCampaign, has_rate: bool) {
        self.all += 1;
        self.without_rate += usize::from(!has_rate);
        self.needing_user_state += usize::from(asks_for_user_state(campaign));
    }

    pub(crate) fn remove(&mut self, campaign: &CompiledCampaign, has_rate: bool) {
        self.all -= 1;
        self.without_rate -= usize::from(!has_rate);
        self.needing_user_state -= usize::from(asks_for_user_state(campaign));
    }
}

/// One that is paused makes nobody read a user's state.
fn asks_for_user_state(campaign: &CompiledCampaign) -> bool {
    campaign.needs_user_state && campaign.record.is_active
}

impl Snapshot {
    /// Compiles every campaign and builds the index over them. Takes time in proportion to their number:
    /// not for the bid path.
    ///
    /// The numbers depend on ids, prices and rates alone, not on the order of the arguments, and all are taken.
    #[must_use]
    pub fn build(
        campaigns: impl IntoIterator<Item = ServingCampaign>,
        exchanges: &[ServingExchange],
    ) -> Self {
        let exchanges = exchange_states(exchanges);
        let compiled = campaigns.into_iter().map(CompiledCampaign::compile).map(Arc::new);
        let in_order = in_order(compiled.map(|campaign| (campaign, ())), &exchanges);
        let numbered = in_order.into_iter().map(|one| Some(one.apart().0)).collect();
        Self::of_numbered(numbered, exchanges)
    }

    /// Of campaigns by their numbers, in the order of [`in_order`].
    pub(crate) fn of_numbered(
        numbered: Vec<Option<Arc<CompiledCampaign>>>,
        exchanges: Arc<[ExchangeState]>,
    ) -> Self {
        let mut counts = Counts::default();
        let mut bounds: Vec<i64> = Vec::with_capacity(numbered.len());
        // From the last: a number that is nobody's has the bound of the next one.
        let mut bound = 0;
        for campaign in numbered.iter().rev() {
            if let Some(campaign) = campaign {
                let own = bound_usd_micros(campaign, &exchanges);
                counts.add(campaign, own.is_some());
                bound = own.unwrap_or(0).max(bound);
            }
            bounds.push(bound);
        }
        let cards = numbered.iter().zip(bounds.into_iter().rev());
        let card = |(campaign, bound): (&Option<Arc<CompiledCampaign>>, i64)| match campaign {
            Some(campaign) => Card::of(campaign, bound),
            None => Card::nobodys(bound),
        };
        Self {
            index: Index::build(&numbered),
            cards: cards.map(card).collect(),
            campaigns: numbered.into_iter().collect(),
            exchanges,
            counts,
            traffic: Arc::default(),
            prices: LearnedPrices::default(),
        }
    }

    /// The same with other lists of what is not worth a bid.
    #[must_use]
    pub fn with_traffic(self, traffic: Arc<Traffic>) -> Self {
        Self { traffic, ..self }
    }

    /// The same with first-price bids priced by this table.
    #[must_use]
    pub fn with_prices(self, prices: LearnedPrices) -> Self {
        Self { prices, ..self }
    }

    /// How many campaigns there are, those that can never bid included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.counts.all
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One past the greatest number that a campaign has or could get: the length of [`crate::Leases`].
    #[must_use]
    pub fn numbers(&self) -> usize {
        self.campaigns.len()
    }

    /// What is left of the record of a campaign, by its number.
    #[must_use]
    pub fn campaign(&self, number: usize) -> Option<&CampaignRecord> {
        self.compiled(number).map(|campaign| &campaign.record)
    }

    /// All records, in the order of their numbers.
    pub fn campaigns(&self) -> impl Iterator<Item = &CampaignRecord> {
        self.numbered().map(|(_, campaign)| &campaign.record)
    }

    /// Campaigns whose currency no exchange has a rate for. They are numbered last, and bid only at an
    /// exchange that trades in that very currency.
    #[must_use]
    pub fn campaigns_without_rate(&self) -> usize {
        self.counts.without_rate
    }

    /// Whether any campaign that is not paused asks for frequency counters or own audiences.
    #[must_use]
    pub fn needs_user_state(&self) -> bool {
        self.counts.needing_user_state > 0
    }

    /// An exchange by its id.
    #[must_use]
    pub fn exchange(&self, id: &str) -> Option<&ExchangeState> {
        self.exchanges
            .iter()
            .find(|exchange| exchange.serving().exchange.id.as_str() == id)
    }

    pub(crate) fn compiled(&self, number: usize) -> Option<&Arc<CompiledCampaign>> {
        self.campaigns.get(number)?.as_ref()
    }

    /// By rising number.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (usize, &Arc<CompiledCampaign>)> {
        let numbers = self.campaigns.iter().enumerate();
        numbers.filter_map(|(number, campaign)| Some((number, campaign.as_ref()?)))
    }

    /// Falls with the number.
    pub(crate) fn bound_usd_micros(&self, number: usize) -> i64 {
        self.cards.get(number).map_or(0, |card| card.bound_usd_micros)
    }

    pub(crate) fn raise_bound(&mut self, number: usize, bound_usd_micros: i64) {
        if let Some(card) = self.cards.get(number).copied() {
            self.cards.set(
                number,
                Card {
                    bound_usd_micros,
                    ..card
                },
            );
        }
    }

    pub(crate) fn index(&self) -> &Index {
        &self.index
    }
}

pub(crate) fn exchange_states(exchanges: &[ServingExchange]) -> Arc<[ExchangeState]> {
    exchanges.iter().cloned().map(ExchangeState::new).collect()
}

/// A campaign with what it is sorted by at hand: reading it from each campaign costs more than the sorting.
pub(crate) struct Ranked<T> {
    bound_usd_micros: i64,
    /// Of the id.
    hash: u64,
    campaign: Arc<CompiledCampaign>,
    companion: T,
}

impl<T> Ranked<T> {
    pub(crate) fn apart(self) -> (Arc<CompiledCampaign>, T) {
        (self.campaign, self.companion)
    }

    fn compare(&self, other: &Self) -> Ordering {
        let by_worth = other.bound_usd_micros.cmp(&self.bound_usd_micros);
        by_worth
            .then(self.hash.cmp(&other.hash))
            .then_with(|| self.campaign.id().cmp(other.campaign.id()))
    }
}

/// In the order of the numbers they are to have.
pub(crate) fn in_order<T>(
    campaigns: impl Iterator<Item = (Arc<CompiledCampaign>, T)>,
    exchanges: &[ExchangeState],
) -> Vec<Ranked<T>> {
    let ranked = campaigns.map(|(campaign, companion)| Ranked {
        bound_usd_micros: bound_usd_micros(&campaign, exchanges).unwrap_or(0),
        hash: campaign.hash,
        campaign,
        companion,
    });
    let mut in_order: Vec<Ranked<T>> = ranked.collect();
    in_order.sort_unstable_by(Ranked::compare);
    in_order
}

/// The maximum CPM at the best rate that any exchange has, rounded up. Exchanges may differ in their
/// rates; a bound that holds for all of them lets one numbering serve them all.
pub(crate) fn bound_usd_micros(campaign: &CompiledCampaign, exchanges: &[ExchangeState]) -> Option<i64> {
    let rates = exchanges
        .iter()
        .filter_map(|exchange| exchange.usd_rate_e9(campaign.currency));
    let rate_e9 = rates.max()?;
    Some(scale_up(campaign.max_cpm_micros, rate_e9, RATE_ONE_E9).unwrap_or(i64::MAX))
}

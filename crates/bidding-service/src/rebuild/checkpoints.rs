//! Topic `ledger_checkpoints` as far as it concerns groups of which nothing is left.

use super::skipped::Place;
use domain::event::{BadRecord, CheckpointDay, LedgerCheckpoint, SpentTotals};
use domain::id::{AdvertiserId, CampaignId};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use storage::event_log::Record;
use storage::spend_ledger::Fact;

/// The last record of each campaign.
#[derive(Default)]
pub(super) struct Checkpoints {
    of: HashMap<CampaignId, Checkpoint>,
    /// When the last record of each campaign was made, of every group. Of one whose only record is bad nothing is known, so
    /// that it needs all there is in topic `spend`.
    made_ms: HashMap<String, i64>,
    /// Records published together share their offsets, of which each has as many as topic `spend` has partitions.
    offsets: HashSet<Arc<BTreeMap<u32, i64>>>,
}

struct Checkpoint {
    at: Place,
    advertiser_id: AdvertiserId,
    days: Vec<CheckpointDay>,
    lifetime: SpentTotals,
    offsets: Arc<BTreeMap<u32, i64>>,
}

impl Checkpoints {
    /// `is_wanted`: whether the advertiser's group begins from nothing.
    ///
    /// # Errors
    /// The record is bad; the campaign's last one before it stands.
    pub(super) fn take(
        &mut self,
        record: Record,
        at: Place,
        is_wanted: impl Fn(&AdvertiserId) -> bool,
    ) -> Result<(), BadRecord> {
        let Some(value) = record.value else {
            self.made_ms.remove(&record.key);
            self.of.remove(&CampaignId(record.key));
            return Ok(());
        };
        let read = match LedgerCheckpoint::read(Some(&value)) {
            Ok(read) => read,
            Err(bad) => {
                self.made_ms.entry(record.key).or_insert(i64::MIN);
                return Err(bad);
            }
        };
        self.made_ms.insert(record.key, read.at_ms);
        if is_wanted(&read.advertiser_id) {
            let offsets = self.shared(read.offsets);
            let checkpoint = Checkpoint {
                at,
                advertiser_id: read.advertiser_id,
                days: read.days,
                lifetime: read.lifetime,
                offsets,
            };
            self.of.insert(read.campaign_id, checkpoint);
        }
        Ok(())
    }

    fn shared(&mut self, offsets: BTreeMap<u32, i64>) -> Arc<BTreeMap<u32, i64>> {
        if let Some(known) = self.offsets.get(&offsets) {
            return known.clone();
        }
        let new = Arc::new(offsets);
        self.offsets.insert(new.clone());
        new
    }

    /// When the oldest of the last records was made; `None` where there is none.
    pub(super) fn oldest_at_ms(&self) -> Option<i64> {
        self.made_ms.values().copied().min()
    }

    /// Whether the campaign's checkpoint holds this record of topic `spend`.
    pub(super) fn holds(&self, campaign_id: &CampaignId, partition: u32, offset: i64) -> bool {
        let next = |checkpoint: &Checkpoint| checkpoint.offsets.get(&partition).copied().unwrap_or(0);
        self.of
            .get(campaign_id)
            .is_some_and(|checkpoint| offset < next(checkpoint))
    }

    /// Lowers each partition's offset to the least that a checkpoint of these advertisers is complete up to.
    pub(super) fn lower(&self, from: &mut [i64], is_of_group: impl Fn(&AdvertiserId) -> bool) {
        let sets: HashSet<&Arc<BTreeMap<u32, i64>>> = self
            .of
            .values()
            .filter(|checkpoint| is_of_group(&checkpoint.advertiser_id))
            .map(|checkpoint| &checkpoint.offsets)
            .collect();
        for offsets in sets {
            for (partition, least) in (0_u32..).zip(from.iter_mut()) {
                *least = (*least).min(offsets.get(&partition).copied().unwrap_or(0));
            }
        }
    }

    /// Every account, whose it is, and where it was read.
    pub(super) fn facts(&self) -> impl Iterator<Item = (AdvertiserId, Fact, Place)> {
        self.of.iter().flat_map(|(campaign_id, checkpoint)| {
            let days = checkpoint
                .days
                .iter()
                .map(|day| (Some(day.day.clone()), day.totals));
            let accounts = days.chain([(None, checkpoint.lifetime)]);
            accounts.map(move |(day, totals)| {
                let fact = Fact::Checkpoint {
                    advertiser_id: checkpoint.advertiser_id.clone(),
                    campaign_id: campaign_id.clone(),
                    day,
                    spent_nanos: totals.spent_nanos,
                    over_delivery_nanos: totals.over_delivery_nanos,
                    settled_bids: totals.settled_bids,
                };
                (checkpoint.advertiser_id.clone(), fact, checkpoint.at)
            })
        })
    }
}

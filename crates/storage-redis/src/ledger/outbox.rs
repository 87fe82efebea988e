//! Verdicts on their way to topic `spend`.

use super::RedisLedger;
use super::answers::{bytes, list, number};
use super::groups::group_of;
use crate::error::corrupt;
use crate::router::{Call, GROUPS, Lane};
use domain::id::{BidId, CampaignId};
use futures_util::future::join_all;
use redis::Value;
use std::collections::BTreeMap;
use storage::StorageError;
use storage::spend_ledger::{BidRef, Settled};

/// Of one script.
const BIDS_IN_ONE: usize = 500;

impl RedisLedger {
    /// Groups fail one by one: what the others hold is returned, and only nothing at all is an error.
    pub(super) async fn oldest_settled(
        &self,
        settled_before_ms: i64,
        limit: u32,
    ) -> Result<Vec<Settled>, StorageError> {
        let of_groups = join_all((0..GROUPS).map(|group| self.due(group, settled_before_ms, limit))).await;
        let mut failed = None;
        let mut found: Vec<(i64, u32, BidId)> = what_there_is(of_groups, &mut failed);
        found.sort_unstable();
        found.truncate(limit as usize);
        let mut by_group: BTreeMap<u32, Vec<BidId>> = BTreeMap::new();
        for (_, group, bid_id) in found {
            by_group.entry(group).or_default().push(bid_id);
        }
        let read = by_group.iter().map(|(group, bids)| self.verdicts(*group, bids));
        let mut settled: Vec<Settled> = what_there_is(join_all(read).await, &mut failed);
        settled.sort_by_key(|of| (of.settled_at_ms, of.bid_id));
        match failed {
            Some(error) if settled.is_empty() => Err(error),
            _ => Ok(settled),
        }
    }

    async fn due(
        &self,
        group: u32,
        settled_before_ms: i64,
        limit: u32,
    ) -> Result<Vec<(i64, u32, BidId)>, StorageError> {
        let args = [
            b"due".to_vec(),
            settled_before_ms.to_string().into_bytes(),
            limit.to_string().into_bytes(),
        ];
        let pairs = list(self.read_outbox(group, args.to_vec()).await?)?;
        pairs
            .chunks_exact(2)
            .map(|pair| {
                let [bid, at] = pair else {
                    return Err(corrupt("an entry of the outbox is half"));
                };
                Ok((number(at.clone())?, group, bid_id_of(bytes(bid.clone())?)?))
            })
            .collect()
    }

    /// Those that are still there.
    pub(super) async fn verdicts(&self, group: u32, bids: &[BidId]) -> Result<Vec<Settled>, StorageError> {
        let mut found = Vec::with_capacity(bids.len());
        for bids in bids.chunks(BIDS_IN_ONE) {
            let mut args = vec![b"of".to_vec()];
            args.extend(bids.iter().map(|bid_id| bid_id.0.to_be_bytes().to_vec()));
            let kept = list(self.read_outbox(group, args).await?)?;
            for (bid_id, kept) in bids.iter().zip(kept) {
                if kept != Value::Nil {
                    found.push(settled(*bid_id, &bytes(kept)?)?);
                }
            }
        }
        Ok(found)
    }

    async fn read_outbox(&self, group: u32, mut args: Vec<Vec<u8>>) -> Result<Value, StorageError> {
        args.insert(0, self.clock());
        let call = Call {
            group,
            lane: Lane::Notices,
            script: &self.scripts.outbox,
            keys: &["outbox", "outbox-order"].map(str::to_owned),
            args: &args,
            follows_moves: true,
        };
        Ok(self.router.call(&call).await?.value)
    }

    pub(super) async fn remove_appended(&self, bids: &[BidRef]) -> Result<(), StorageError> {
        let mut by_group: BTreeMap<u32, Vec<Vec<u8>>> = BTreeMap::new();
        for bid in bids {
            let of_group = by_group.entry(group_of(&bid.advertiser_id)).or_default();
            of_group.push(bid.bid_id.0.to_be_bytes().to_vec());
        }
        let chunks = by_group
            .iter()
            .flat_map(|(group, bids)| bids.chunks(BIDS_IN_ONE).map(|bids| (*group, bids)));
        let removed = chunks.map(|(group, bids)| async move {
            let mut args = vec![self.clock()];
            args.extend_from_slice(bids);
            let call = Call {
                group,
                lane: Lane::Notices,
                script: &self.scripts.appended,
                keys: &["outbox", "outbox-order"].map(str::to_owned),
                args: &args,
                follows_moves: true,
            };
            self.router.call(&call).await.map(|_reply| ())
        });
        // All of them, also after one has failed.
        join_all(removed).await.into_iter().collect()
    }

    pub(super) async fn is_kept_safe(&self, bid: &BidRef) -> Result<bool, StorageError> {
        let call = Call {
            group: group_of(&bid.advertiser_id),
            lane: Lane::Renewals,
            script: &self.scripts.touch,
            keys: &["outbox".to_owned()],
            args: &[self.clock(), bid.bid_id.0.to_be_bytes().to_vec()],
            follows_moves: false,
        };
        let (answer, reply) = self.replied(&call).await?;
        if answer.word != "there" || !reply.has_replica {
            return Ok(false);
        }
        self.is_replicated(&reply).await
    }
}

/// Of groups that fail one by one.
fn what_there_is<T>(
    of_groups: Vec<Result<Vec<T>, StorageError>>,
    failed: &mut Option<StorageError>,
) -> Vec<T> {
    let mut found = Vec::new();
    for of_group in of_groups {
        match of_group {
            Ok(some) => found.extend(some),
            Err(error) => *failed = Some(error),
        }
    }
    found
}

/// `charge over-delivery settled-at length-of-campaign length-of-date`, then the three texts without a gap.
fn settled(bid_id: BidId, kept: &[u8]) -> Result<Settled, StorageError> {
    let wrong = || corrupt("a verdict of the outbox cannot be read");
    let kept = std::str::from_utf8(kept).map_err(|_| wrong())?;
    let mut fields = kept.splitn(6, ' ');
    let mut next = || fields.next().ok_or_else(wrong);
    let charge_nanos = next()?.parse().map_err(|_| wrong())?;
    let over_delivery_nanos = next()?.parse().map_err(|_| wrong())?;
    let settled_at_ms = next()?.parse().map_err(|_| wrong())?;
    let lengths: [usize; 2] = [
        next()?.parse().map_err(|_| wrong())?,
        next()?.parse().map_err(|_| wrong())?,
    ];
    let (campaign_id, rest) = next()?.split_at_checked(lengths[0]).ok_or_else(wrong)?;
    let (date, context) = rest.split_at_checked(lengths[1]).ok_or_else(wrong)?;
    Ok(Settled {
        bid_id,
        campaign_id: CampaignId::from(campaign_id),
        date: date.to_owned(),
        settled_at_ms,
        charge_nanos,
        over_delivery_nanos,
        context: context.to_owned(),
    })
}

fn bid_id_of(bytes: Vec<u8>) -> Result<BidId, StorageError> {
    let bytes: [u8; 16] = bytes
        .try_into()
        .map_err(|_| corrupt("a bid id in the outbox is not 16 bytes"))?;
    Ok(BidId(u128::from_be_bytes(bytes)))
}

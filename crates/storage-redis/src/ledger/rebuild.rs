//! A group that came up on another server than its books were good on, until they are good again.

use super::RedisLedger;
use super::answers::Answer;
use super::groups::{bucket, day_key, group_of, lifetime_key};
use super::renewal::MOST_NANOS;
use crate::error::corrupt;
use crate::router::{Call, GROUPS, Lane};
use domain::id::{BidderId, CampaignId};
use domain::period::Day;
use futures_util::future::join_all;
use std::sync::PoisonError;
use storage::StorageError;
use storage::spend_ledger::{Fact, Rebuild};

/// Without a restore for so long, another bidder may take the group over.
const CLAIM_MS: i64 = 10_000;
/// Of one script.
const FACTS_IN_ONE: usize = 200;
/// Of one look at a group, so that wiping a large one goes on with the next.
const STEPS: u32 = 50;

impl RedisLedger {
    /// Groups fail one by one: what the others say is returned, and only nothing at all is an error.
    pub(super) async fn claims(
        &self,
        bidder_id: &BidderId,
        hold_ms: i64,
    ) -> Result<Vec<Rebuild>, StorageError> {
        self.router.look_now_and_then().await;
        let groups = (0..GROUPS).map(|group| self.claim_unless_ready(group, bidder_id, hold_ms));
        let mut claimed = Vec::new();
        let mut failed = None;
        for outcome in join_all(groups).await {
            match outcome {
                Ok(rebuild) => claimed.extend(rebuild),
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if claimed.is_empty() => Err(error),
            _ => Ok(claimed),
        }
    }

    async fn claim_unless_ready(
        &self,
        group: u32,
        bidder_id: &BidderId,
        hold_ms: i64,
    ) -> Result<Option<Rebuild>, StorageError> {
        let run_id = self.router.run_id(group).await?;
        if self.ready_on().get(&group) == Some(&run_id) {
            return Ok(None);
        }
        let mut answer = self.look_at(group, bidder_id.as_str(), hold_ms).await?;
        match answer.word.as_str() {
            "ready" => {
                self.ready_on().insert(group, run_id);
                Ok(None)
            }
            "claimed" => {
                let epoch = answer.number()?;
                let complete_until = answer.text()?;
                Ok(Some(Rebuild {
                    group,
                    epoch,
                    complete_until_ms: complete_until.parse().ok(),
                }))
            }
            _ => Ok(None),
        }
    }

    /// After a renewal was refused: the wait begins now, and not only when somebody next looks for groups to rebuild.
    pub(super) async fn begin_epoch(&self, group: u32, hold_ms: i64) {
        // That it failed the next look finds out.
        let _ = self.look_at(group, "", hold_ms).await;
    }

    async fn look_at(&self, group: u32, bidder: &str, hold_ms: i64) -> Result<Answer, StorageError> {
        let args = [
            self.clock(),
            hold_ms.max(0).to_string().into_bytes(),
            bidder.as_bytes().to_vec(),
            CLAIM_MS.to_string().into_bytes(),
        ];
        let call = Call {
            group,
            lane: Lane::Notices,
            script: &self.scripts.claim,
            keys: &[],
            args: &args,
            follows_moves: false,
        };
        let mut answer = Answer::of(self.router.call(&call).await?.value)?;
        for _ in 0..STEPS {
            if answer.word != "again" {
                break;
            }
            answer = Answer::of(self.router.call(&call).await?.value)?;
        }
        Ok(answer)
    }

    /// By group, the run id of the server that it was last seen ready on.
    pub(super) fn ready_on(&self) -> std::sync::MutexGuard<'_, std::collections::HashMap<u32, String>> {
        self.ready_on.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn restore_facts(
        &self,
        rebuild: &Rebuild,
        bidder_id: &BidderId,
        facts: &[Fact],
    ) -> Result<(), StorageError> {
        // Without facts only the claim is renewed.
        let none: [&[Fact]; 1] = [&[]];
        let chunks: Vec<&[Fact]> = facts.chunks(FACTS_IN_ONE).collect();
        for chunk in if chunks.is_empty() { &none[..] } else { &chunks } {
            let mut args = self.claim_of(rebuild, bidder_id);
            args.push(CLAIM_MS.to_string().into_bytes());
            let mut keys = Vec::with_capacity(chunk.len() * 3);
            for fact in *chunk {
                push(fact, rebuild.group, &mut keys, &mut args)?;
            }
            let call = Call {
                group: rebuild.group,
                lane: Lane::Notices,
                script: &self.scripts.restore,
                keys: &keys,
                args: &args,
                follows_moves: false,
            };
            of_claim(self.router.call(&call).await?.value)?;
        }
        Ok(())
    }

    pub(super) async fn declare_rebuilt(
        &self,
        rebuild: &Rebuild,
        bidder_id: &BidderId,
    ) -> Result<(), StorageError> {
        let args = self.claim_of(rebuild, bidder_id);
        let call = Call {
            group: rebuild.group,
            lane: Lane::Notices,
            script: &self.scripts.rebuilt,
            keys: &[],
            args: &args,
            follows_moves: false,
        };
        of_claim(self.router.call(&call).await?.value)
    }

    fn claim_of(&self, rebuild: &Rebuild, bidder_id: &BidderId) -> Vec<Vec<u8>> {
        vec![
            self.clock(),
            bidder_id.0.clone().into_bytes(),
            rebuild.epoch.to_string().into_bytes(),
        ]
    }
}

fn of_claim(value: redis::Value) -> Result<(), StorageError> {
    match Answer::of(value) {
        Ok(_) => Ok(()),
        Err(StorageError::Conflict(_)) => Err(StorageError::Conflict(
            "another bidder or another epoch goes on with the rebuild".to_owned(),
        )),
        Err(error) => Err(error),
    }
}

/// Three keys and twelve arguments, as the script counts them.
fn push(
    fact: &Fact,
    group: u32,
    keys: &mut Vec<String>,
    args: &mut Vec<Vec<u8>>,
) -> Result<(), StorageError> {
    let lifetime = Day {
        date: String::new(),
        start_ms: 0,
        end_ms: 0,
    };
    let (kind, advertiser_id, campaign_id, day, bid_id, figures): (_, _, &CampaignId, &Day, _, [i64; 4]) =
        match fact {
            Fact::Checkpoint {
                advertiser_id,
                campaign_id,
                day,
                spent_nanos,
                over_delivery_nanos,
                settled_bids,
            } => {
                let figures = [*spent_nanos, *over_delivery_nanos, *settled_bids, 0];
                let day = day.as_ref().unwrap_or(&lifetime);
                (
                    "checkpoint",
                    advertiser_id,
                    campaign_id,
                    day,
                    domain::id::BidId(0),
                    figures,
                )
            }
            Fact::Settled {
                bid,
                campaign_id,
                day,
                charge_nanos,
                over_delivery_nanos,
                settled_at_ms,
                counted,
            } => {
                let figures = [
                    *charge_nanos,
                    *over_delivery_nanos,
                    *settled_at_ms,
                    i64::from(*counted),
                ];
                (
                    "settled",
                    &bid.advertiser_id,
                    campaign_id,
                    day,
                    bid.bid_id,
                    figures,
                )
            }
            Fact::Won {
                reservation,
                won_at_ms,
            } => {
                let window_ms = reservation.billing_window_ms.max(0);
                let until_ms = won_at_ms.saturating_add(window_ms).clamp(0, 1 << 52);
                let figures = [reservation.reserved_nanos.min(MOST_NANOS), until_ms, 0, 0];
                let of = reservation;
                (
                    "won",
                    &of.advertiser_id,
                    &of.campaign_id,
                    &of.day,
                    of.bid_id,
                    figures,
                )
            }
        };
    if group_of(advertiser_id) != group {
        return Err(corrupt("a fact of another group"));
    }
    let bucket = bucket(bid_id, campaign_id, day.end_ms);
    keys.extend([
        lifetime_key(campaign_id),
        day_key(campaign_id, &day.date),
        bucket.key,
    ]);
    args.extend([
        kind.as_bytes().to_vec(),
        campaign_id.0.clone().into_bytes(),
        day.date.clone().into_bytes(),
    ]);
    args.extend([day.start_ms.to_string(), day.end_ms.to_string()].map(String::into_bytes));
    args.push(bid_id.0.to_be_bytes().to_vec());
    args.extend([bucket.check.to_string(), bucket.hour.to_string()].map(String::into_bytes));
    args.extend(figures.map(|figure| figure.max(0).to_string().into_bytes()));
    Ok(())
}

//! One bidder's heartbeat in one group.

use super::RedisLedger;
use super::answers::{limit, list, number};
use super::groups::{day_key, lifetime_key};
use crate::error::{corrupt, is_rebuilding, unavailable};
use crate::router::{Call, Lane};
use domain::id::BidderId;
use redis::Value;
use storage::StorageError;
use storage::spend_ledger::{AccountBalance, Grant, LeaseRequest};

/// The largest lease: Lua counts in doubles, which are exact so far. Nine million units of a currency.
pub(super) const MOST_NANOS: i64 = 9_007_199_000_000_000;
/// Of a script, so that none holds its server up for long.
const REQUESTS_IN_ONE: usize = 200;
const LONGEST_HOLD_MS: i64 = 24 * 60 * 60 * 1_000;

impl RedisLedger {
    pub(super) async fn renew_group(
        &self,
        group: u32,
        bidder_id: &BidderId,
        hold_ms: i64,
        requests: &[LeaseRequest],
    ) -> Result<Vec<Grant>, StorageError> {
        // A heartbeat without requests is one script too.
        let in_one = requests.len().clamp(1, REQUESTS_IN_ONE);
        let mut grants = Vec::with_capacity(requests.len());
        for start in (0..requests.len().max(1)).step_by(in_one) {
            let chunk = &requests[start.min(requests.len())..requests.len().min(start + in_one)];
            grants.extend(self.renew_some(group, bidder_id, hold_ms, chunk).await?);
        }
        Ok(grants)
    }

    async fn renew_some(
        &self,
        group: u32,
        bidder_id: &BidderId,
        hold_ms: i64,
        requests: &[LeaseRequest],
    ) -> Result<Vec<Grant>, StorageError> {
        let hold_ms = hold_ms.clamp(0, LONGEST_HOLD_MS);
        let mut args = vec![
            self.clock(),
            bidder_id.0.clone().into_bytes(),
            hold_ms.to_string().into_bytes(),
        ];
        let mut keys = Vec::with_capacity(requests.len() * 2);
        for request in requests {
            keys.push(lifetime_key(&request.campaign_id));
            keys.push(day_key(&request.campaign_id, &request.day.date));
            args.extend(asked(request));
        }
        let call = Call {
            group,
            lane: Lane::Renewals,
            script: &self.scripts.renew,
            keys: &keys,
            args: &args,
            follows_moves: false,
        };
        let (mut answer, reply) = match self.replied(&call).await {
            Err(error) if is_rebuilding(&error) => {
                self.begin_epoch(group, hold_ms).await;
                return Err(error);
            }
            other => other?,
        };
        let (epoch, count) = (answer.number()?, answer.number()?);
        let sequence = sequence(epoch, count)?;
        let granted: Vec<Value> = answer.rest().collect();
        if granted.len() != requests.len() {
            return Err(corrupt("as many grants as requests were expected"));
        }
        // What only one machine knows is no grant: after its loss the money would be given out again.
        if reply.has_replica && !requests.is_empty() && !self.is_replicated(&reply).await? {
            return Err(unavailable("no replica has confirmed the renewal"));
        }
        requests
            .iter()
            .zip(granted)
            .map(|(request, granted)| grant(request, granted, sequence))
            .collect()
    }
}

fn asked(request: &LeaseRequest) -> [Vec<u8>; 13] {
    let limit = |nanos: Option<i64>| nanos.map(|nanos| nanos.to_string()).unwrap_or_default();
    [
        request.campaign_id.0.clone(),
        request.day.date.clone(),
        request.day.start_ms.to_string(),
        request.day.end_ms.to_string(),
        request.generation.to_string(),
        request.revision.to_string(),
        limit(request.limits.daily_nanos),
        limit(request.limits.total_nanos),
        request.wanted_nanos.clamp(0, MOST_NANOS).to_string(),
        request.bid_nanos.clamp(1, MOST_NANOS).to_string(),
        request.opportunities.max(0).to_string(),
        request.bids.max(0).to_string(),
        request.renewal.clamp(0, MOST_NANOS).to_string(),
    ]
    .map(String::into_bytes)
}

fn grant(request: &LeaseRequest, granted: Value, sequence: i64) -> Result<Grant, StorageError> {
    let mut fields = list(granted)?.into_iter();
    let mut next = || fields.next().unwrap_or_default();
    let leased_nanos = number(next())?;
    let mut account = || -> Result<AccountBalance, StorageError> {
        Ok(AccountBalance {
            limit_nanos: limit(next())?,
            spent_nanos: number(next())?,
            pending_nanos: number(next())?,
            leased_nanos: number(next())?,
        })
    };
    let (day, lifetime) = (account()?, account()?);
    Ok(Grant {
        campaign_id: request.campaign_id.clone(),
        date: request.day.date.clone(),
        leased_nanos,
        sequence,
        free_nanos: day.free_nanos().min(lifetime.free_nanos()),
        day,
        lifetime,
        bidders: u32::try_from(number(next())?).map_err(|_| corrupt("too many bidders"))?,
        opportunities: number(next())?,
        bids: number(next())?,
    })
}

/// Goes on across a loss of the count: epochs grow by the seconds, the count by far less than 2^32 in one.
pub(super) fn sequence(epoch: i64, count: i64) -> Result<i64, StorageError> {
    epoch
        .checked_mul(1 << 32)
        .and_then(|base| base.checked_add(count))
        .ok_or_else(|| corrupt("the count of changes left its range"))
}

//! Wins and billings.

use super::RedisLedger;
use super::answers::Answer;
use super::groups::{Bucket, bucket, day_key, group_of, lifetime_key};
use super::renewal::{MOST_NANOS, sequence};
use crate::error::corrupt;
use crate::router::{Call, Lane};
use storage::StorageError;
use storage::spend_ledger::{BillVerdict, Billing, LeaseNow, Reservation, WinVerdict};

/// An instant that a double still counts exactly; no billing window reaches so far.
const LONGEST_WINDOW_MS: i64 = 1 << 50;

impl RedisLedger {
    pub(super) async fn apply_win(&self, reservation: &Reservation) -> Result<WinVerdict, StorageError> {
        let bucket = bucket_of(reservation);
        let nanos = reservation.reserved_nanos.clamp(0, MOST_NANOS + 1);
        let window_ms = reservation.billing_window_ms.clamp(0, LONGEST_WINDOW_MS);
        let mut args = self.terms(reservation);
        args.extend([nanos.to_string(), window_ms.to_string()].map(String::into_bytes));
        args.extend([bucket.check.to_string(), bucket.hour.to_string()].map(String::into_bytes));
        let mut answer = self
            .answered(&Call {
                group: group_of(&reservation.advertiser_id),
                lane: Lane::Notices,
                script: &self.scripts.win,
                keys: &accounts(reservation, &bucket),
                args: &args,
                follows_moves: false,
            })
            .await?;
        match answer.word.as_str() {
            "pending" => Ok(WinVerdict::Pending(lease_now(&mut answer)?)),
            "unbacked" => Ok(WinVerdict::Unbacked),
            "repeated" => Ok(WinVerdict::Repeated),
            other => Err(corrupt(&format!("a win came to {other}"))),
        }
    }

    pub(super) async fn apply_bill(&self, billing: &Billing) -> Result<BillVerdict, StorageError> {
        let reservation = &billing.reservation;
        let bucket = bucket_of(reservation);
        let charge_nanos = billing.charge_nanos.clamp(0, reservation.reserved_nanos.max(0));
        let mut args = self.terms(reservation);
        args.push(charge_nanos.to_string().into_bytes());
        args.extend([bucket.check.to_string(), bucket.hour.to_string()].map(String::into_bytes));
        args.push(billing.context.clone().into_bytes());
        let mut keys = accounts(reservation, &bucket).to_vec();
        keys.extend(["outbox", "outbox-order"].map(str::to_owned));
        let mut answer = self
            .answered(&Call {
                group: group_of(&reservation.advertiser_id),
                lane: Lane::Notices,
                script: &self.scripts.bill,
                keys: &keys,
                args: &args,
                follows_moves: false,
            })
            .await?;
        if answer.word == "repeated" {
            return Ok(BillVerdict::Repeated);
        }
        let (from, nanos) = (answer.word.clone(), answer.number()?);
        let lease = lease_now(&mut answer)?;
        let charged = |backed, lease| BillVerdict::Charged {
            charge_nanos: nanos,
            backed,
            lease,
        };
        match from.as_str() {
            "pending" => Ok(charged(true, None)),
            "free" => Ok(charged(false, None)),
            "lease" => Ok(charged(true, Some(lease))),
            "over" => Ok(BillVerdict::OverDelivery { owed_nanos: nanos }),
            other => Err(corrupt(&format!("a billing came to {other}"))),
        }
    }

    /// What both scripts are told first.
    fn terms(&self, reservation: &Reservation) -> Vec<Vec<u8>> {
        let day = &reservation.day;
        vec![
            self.clock(),
            reservation.campaign_id.0.clone().into_bytes(),
            day.date.clone().into_bytes(),
            day.start_ms.to_string().into_bytes(),
            day.end_ms.to_string().into_bytes(),
            reservation.bidder_id.0.clone().into_bytes(),
            reservation.bid_id.0.to_be_bytes().to_vec(),
        ]
    }
}

fn bucket_of(reservation: &Reservation) -> Bucket {
    bucket(
        reservation.bid_id,
        &reservation.campaign_id,
        reservation.day.end_ms,
    )
}

fn accounts(reservation: &Reservation, bucket: &Bucket) -> [String; 3] {
    [
        lifetime_key(&reservation.campaign_id),
        day_key(&reservation.campaign_id, &reservation.day.date),
        bucket.key.clone(),
    ]
}

fn lease_now(answer: &mut Answer) -> Result<LeaseNow, StorageError> {
    Ok(LeaseNow {
        leased_nanos: answer.number()?,
        sequence: sequence(answer.number()?, answer.number()?)?,
    })
}

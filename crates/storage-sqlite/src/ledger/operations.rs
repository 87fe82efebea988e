//! Renew, win, bill: load, decide, store. Each runs inside the writer's transaction.

use super::books::Books;
use super::outbox;
use super::rules::Amount;
use super::sweep;
use crate::error::storage_error;
use domain::id::{BidId, BidderId};
use sqlx::{FromRow, SqliteConnection};
use std::collections::HashMap;
use storage::StorageError;
use storage::spend_ledger::{BillVerdict, Billing, Grant, LeaseRequest, Reservation, Settled, WinVerdict};

/// What is remembered of a bid; no row: nothing has come yet.
#[derive(Debug, FromRow)]
struct Bid {
    campaign_id: String,
    date: String,
    state: String,
    pending_nanos: i64,
}

mod state {
    pub(super) const PENDING: &str = "pending";
    pub(super) const UNBACKED: &str = "unbacked";
    pub(super) const SETTLED: &str = "settled";
}

pub(super) async fn renew(
    connection: &mut SqliteConnection,
    now_ms: i64,
    bidder_id: BidderId,
    hold_ms: i64,
    requests: Vec<LeaseRequest>,
) -> Result<Vec<Grant>, StorageError> {
    sweep::free_what_ended(connection, now_ms).await?;
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<(&str, &str)> = requests
        .iter()
        .map(|request| (request.campaign_id.as_str(), request.day.date.as_str()))
        .collect();
    let others = other_bidders(connection, &bidder_id, &keys).await?;
    let mut books = Books::load(connection, &bidder_id, &keys).await?;
    let expires_ms = now_ms.saturating_add(hold_ms.max(0));
    let mut grants = Vec::with_capacity(requests.len());
    for request in &requests {
        let mut page = books.page(&request.campaign_id, &request.day);
        page.renew(request, expires_ms)?;
        let key = (request.campaign_id.0.clone(), request.day.date.clone());
        grants.push(page.grant(others.get(&key).copied().unwrap_or(0)));
    }
    books.store(connection).await?;
    Ok(grants)
}

pub(super) async fn win(
    connection: &mut SqliteConnection,
    now_ms: i64,
    reservation: Reservation,
) -> Result<WinVerdict, StorageError> {
    sweep::free_what_ended(connection, now_ms).await?;
    if known_bid(connection, &reservation).await?.is_some() {
        return Ok(WinVerdict::Repeated);
    }
    let reserved_nanos = reservation.reserved_nanos.max(0);
    let mut books = load_for(connection, &reservation).await?;
    let mut page = books.page(&reservation.campaign_id, &reservation.day);
    if page.lease.leased_nanos >= reserved_nanos && page.lease.sequence > 0 {
        page.draw_on_lease(reserved_nanos)?;
    } else if page.room_nanos() < reserved_nanos {
        remember(connection, &reservation, state::UNBACKED, 0, now_ms).await?;
        return Ok(WinVerdict::Unbacked);
    }
    page.add(Amount::Pending, reserved_nanos)?;
    let lease = page.lease.now();
    books.store(connection).await?;
    let until_ms = now_ms.saturating_add(reservation.billing_window_ms.max(0));
    remember(connection, &reservation, state::PENDING, reserved_nanos, until_ms).await?;
    Ok(WinVerdict::Pending(lease))
}

pub(super) async fn bill(
    connection: &mut SqliteConnection,
    now_ms: i64,
    billing: Billing,
) -> Result<BillVerdict, StorageError> {
    sweep::free_what_ended(connection, now_ms).await?;
    let reservation = &billing.reservation;
    let known = known_bid(connection, reservation).await?;
    if known.as_ref().is_some_and(|bid| bid.state == state::SETTLED) {
        return Ok(BillVerdict::Repeated);
    }
    let pending_nanos = known
        .filter(|bid| bid.state == state::PENDING)
        .map(|bid| bid.pending_nanos);
    let mut books = load_for(connection, reservation).await?;
    let verdict = charge(&mut books, &billing, pending_nanos)?;
    books.store(connection).await?;
    remember(connection, reservation, state::SETTLED, 0, now_ms).await?;
    let (charge_nanos, over_delivery_nanos) = match verdict {
        BillVerdict::Charged { charge_nanos, .. } => (charge_nanos, 0),
        BillVerdict::OverDelivery { owed_nanos } => (0, owed_nanos),
        BillVerdict::Repeated => (0, 0),
    };
    let settled = Settled {
        bid_id: reservation.bid_id,
        campaign_id: reservation.campaign_id.clone(),
        date: reservation.day.date.clone(),
        settled_at_ms: now_ms,
        charge_nanos,
        over_delivery_nanos,
        context: billing.context,
    };
    outbox::add(connection, &settled).await?;
    Ok(verdict)
}

/// From the bid's pending win, else from free, else from its bidder's lease; else all of it is over-delivery.
fn charge(
    books: &mut Books,
    billing: &Billing,
    pending_nanos: Option<i64>,
) -> Result<BillVerdict, StorageError> {
    let reservation = &billing.reservation;
    let charge_nanos = billing.charge_nanos.clamp(0, reservation.reserved_nanos.max(0));
    let mut page = books.page(&reservation.campaign_id, &reservation.day);
    page.settle();
    if let Some(pending_nanos) = pending_nanos {
        page.remove(Amount::Pending, pending_nanos)?;
    }
    let mut lease = None;
    let backed = if pending_nanos.is_some_and(|pending_nanos| charge_nanos <= pending_nanos) {
        true
    } else if charge_nanos <= page.room_nanos() {
        false
    } else if charge_nanos <= page.lease.leased_nanos {
        page.draw_on_lease(charge_nanos)?;
        lease = Some(page.lease.now());
        true
    } else {
        page.over_deliver(charge_nanos)?;
        return Ok(BillVerdict::OverDelivery {
            owed_nanos: charge_nanos,
        });
    };
    page.add(Amount::Spent, charge_nanos)?;
    Ok(BillVerdict::Charged {
        charge_nanos,
        backed,
        lease,
    })
}

async fn load_for(
    connection: &mut SqliteConnection,
    reservation: &Reservation,
) -> Result<Books, StorageError> {
    let key = (reservation.campaign_id.as_str(), reservation.day.date.as_str());
    Books::load(connection, &reservation.bidder_id, &[key]).await
}

/// How many bidders besides this one hold a lease on each campaign's day.
async fn other_bidders(
    connection: &mut SqliteConnection,
    bidder_id: &BidderId,
    keys: &[(&str, &str)],
) -> Result<HashMap<(String, String), u32>, StorageError> {
    let counts: Vec<(String, String, u32)> = sqlx::query_as(
        "SELECT l.campaign_id, l.date, count(DISTINCT l.bidder_id) FROM json_each(?1) AS k \
           CROSS JOIN ledger_leases AS l ON l.campaign_id = k.value ->> 0 AND l.date = k.value ->> 1 \
         WHERE l.leased_nanos > 0 AND l.bidder_id <> ?2 GROUP BY l.campaign_id, l.date",
    )
    .bind(serde_json::to_string(keys)?)
    .bind(bidder_id.as_str())
    .fetch_all(connection)
    .await
    .map_err(storage_error)?;
    Ok(counts
        .into_iter()
        .map(|(campaign_id, date, bidders)| ((campaign_id, date), bidders))
        .collect())
}

pub(super) fn key_of(bid_id: BidId) -> Vec<u8> {
    bid_id.0.to_be_bytes().to_vec()
}

async fn known_bid(
    connection: &mut SqliteConnection,
    reservation: &Reservation,
) -> Result<Option<Bid>, StorageError> {
    let bid: Option<Bid> =
        sqlx::query_as("SELECT campaign_id, date, state, pending_nanos FROM ledger_bids WHERE bid_id = ?")
            .bind(key_of(reservation.bid_id))
            .fetch_optional(connection)
            .await
            .map_err(storage_error)?;
    match bid {
        Some(bid) if bid.campaign_id != reservation.campaign_id.0 || bid.date != reservation.day.date => {
            Err(StorageError::Conflict(format!(
                "bid {} belongs to {} on {}",
                reservation.bid_id, bid.campaign_id, bid.date
            )))
        }
        other => Ok(other),
    }
}

async fn remember(
    connection: &mut SqliteConnection,
    reservation: &Reservation,
    state: &str,
    pending_nanos: i64,
    until_ms: i64,
) -> Result<(), StorageError> {
    sqlx::query(
        "INSERT OR REPLACE INTO ledger_bids (bid_id, campaign_id, date, state, pending_nanos, until_ms) \
         VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(key_of(reservation.bid_id))
    .bind(reservation.campaign_id.as_str())
    .bind(&reservation.day.date)
    .bind(state)
    .bind(pending_nanos)
    .bind(until_ms)
    .execute(connection)
    .await
    .map_err(storage_error)?;
    Ok(())
}

//! Wins and billings: those that wait at the same time are loaded together, decided one after the other in memory,
//! and stored together. Runs inside the writer's transaction.

use super::books::Books;
use super::outbox;
use super::rules::{Amount, charge};
use super::sweep;
use crate::batches::Answers;
use crate::error::storage_error;
use domain::id::BidId;
use serde::Serialize;
use sqlx::{FromRow, SqliteConnection};
use std::collections::{HashMap, HashSet};
use storage::StorageError;
use storage::spend_ledger::{BillVerdict, Billing, Reservation, Settled, WinVerdict};

#[derive(Debug)]
pub(crate) enum Notice {
    Win(Reservation),
    Bill(Billing),
}

#[derive(Debug)]
pub(crate) enum Verdict {
    Win(WinVerdict),
    Bill(BillVerdict),
}

/// What is remembered of a bid; no row: nothing has come yet.
#[derive(Clone, Debug, FromRow, Serialize)]
struct Bid {
    campaign_id: String,
    date: String,
    state: State,
    pending_nanos: i64,
    until_ms: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(rename_all = "lowercase")]
enum State {
    Pending,
    Unbacked,
    Expired,
    Settled,
}

/// The rows that a batch works on, and what it has to write.
struct Batch {
    now_ms: i64,
    books: Books,
    bids: HashMap<BidId, Bid>,
    changed: HashSet<BidId>,
    settled: Vec<Settled>,
}

pub(super) async fn apply(
    connection: &mut SqliteConnection,
    now_ms: i64,
    notices: Vec<Notice>,
) -> Answers<Verdict> {
    sweep::free_what_ended(connection, now_ms).await?;
    let reservations: Vec<&Reservation> = notices.iter().map(Notice::reservation).collect();
    let mut batch = Batch {
        now_ms,
        bids: known_bids(connection, &reservations).await?,
        books: load(connection, &reservations).await?,
        changed: HashSet::new(),
        settled: Vec::new(),
    };
    let verdicts = notices
        .into_iter()
        .map(|notice| match notice {
            Notice::Win(reservation) => batch.win(&reservation).map(Verdict::Win),
            Notice::Bill(billing) => batch.bill(billing).map(Verdict::Bill),
        })
        .collect();
    batch.store(connection).await?;
    Ok(verdicts)
}

impl Notice {
    fn reservation(&self) -> &Reservation {
        match self {
            Self::Win(reservation) => reservation,
            Self::Bill(billing) => &billing.reservation,
        }
    }
}

impl Batch {
    fn win(&mut self, reservation: &Reservation) -> Result<WinVerdict, StorageError> {
        if self.known(reservation)?.is_some() {
            return Ok(WinVerdict::Repeated);
        }
        let nanos = reservation.reserved_nanos.max(0);
        let lease = self.books.change(reservation, |page| {
            if page.lease.leased_nanos >= nanos && page.lease.sequence > 0 {
                page.draw_on_lease(nanos)?;
            } else if page.room_nanos() < nanos {
                return Ok(None);
            }
            page.add(Amount::Pending, nanos)?;
            Ok(Some(page.lease.now()))
        })?;
        let Some(lease) = lease else {
            self.remember(reservation, State::Unbacked, 0, self.now_ms);
            return Ok(WinVerdict::Unbacked);
        };
        let until_ms = self.now_ms.saturating_add(reservation.billing_window_ms.max(0));
        self.remember(reservation, State::Pending, nanos, until_ms);
        Ok(WinVerdict::Pending(lease))
    }

    fn bill(&mut self, billing: Billing) -> Result<BillVerdict, StorageError> {
        let reservation = &billing.reservation;
        let pending_nanos = match self.known(reservation)? {
            Some(bid) if bid.state == State::Settled => return Ok(BillVerdict::Repeated),
            Some(bid) if bid.state == State::Pending => Some(bid.pending_nanos),
            _ => None,
        };
        let verdict = self
            .books
            .change(reservation, |page| charge(page, &billing, pending_nanos))?;
        let (charge_nanos, over_delivery_nanos) = match verdict {
            BillVerdict::Charged { charge_nanos, .. } => (charge_nanos, 0),
            BillVerdict::OverDelivery { owed_nanos } => (0, owed_nanos),
            BillVerdict::Repeated => (0, 0),
        };
        self.remember(reservation, State::Settled, 0, self.now_ms);
        self.settled.push(Settled {
            bid_id: reservation.bid_id,
            campaign_id: reservation.campaign_id.clone(),
            date: reservation.day.date.clone(),
            settled_at_ms: self.now_ms,
            charge_nanos,
            over_delivery_nanos,
            context: billing.context,
        });
        Ok(verdict)
    }

    /// An earlier notice of this batch included.
    fn known(&self, reservation: &Reservation) -> Result<Option<&Bid>, StorageError> {
        match self.bids.get(&reservation.bid_id) {
            Some(bid) if bid.campaign_id != reservation.campaign_id.0 || bid.date != reservation.day.date => {
                Err(StorageError::Conflict(format!(
                    "bid {} belongs to {} on {}",
                    reservation.bid_id, bid.campaign_id, bid.date
                )))
            }
            known => Ok(known),
        }
    }

    /// `until_ms`: the end of a pending win, else when the bid came to this state.
    fn remember(&mut self, reservation: &Reservation, state: State, pending_nanos: i64, until_ms: i64) {
        let bid = Bid {
            campaign_id: reservation.campaign_id.0.clone(),
            date: reservation.day.date.clone(),
            state,
            pending_nanos,
            until_ms,
        };
        self.bids.insert(reservation.bid_id, bid);
        self.changed.insert(reservation.bid_id);
    }

    async fn store(&self, connection: &mut SqliteConnection) -> Result<(), StorageError> {
        if self.changed.is_empty() {
            return Ok(());
        }
        self.books.store(connection).await?;
        let bids: Vec<(BidId, &Bid)> = self
            .bids
            .iter()
            .filter(|(bid_id, _)| self.changed.contains(bid_id))
            .map(|(bid_id, bid)| (*bid_id, bid))
            .collect();
        sqlx::query(
            "INSERT OR REPLACE INTO ledger_bids (bid_id, campaign_id, date, state, pending_nanos, until_ms) \
             SELECT unhex(value ->> 0), value ->> '$[1].campaign_id', value ->> '$[1].date', \
               value ->> '$[1].state', value ->> '$[1].pending_nanos', value ->> '$[1].until_ms' \
             FROM json_each(?)",
        )
        .bind(serde_json::to_string(&bids)?)
        .execute(&mut *connection)
        .await
        .map_err(storage_error)?;
        outbox::add(connection, &self.settled).await
    }
}

async fn load(
    connection: &mut SqliteConnection,
    reservations: &[&Reservation],
) -> Result<Books, StorageError> {
    let keys: HashSet<(&str, &str, &str)> = reservations
        .iter()
        .map(|of| {
            (
                of.campaign_id.as_str(),
                of.day.date.as_str(),
                of.bidder_id.as_str(),
            )
        })
        .collect();
    Books::load(connection, &keys).await
}

async fn known_bids(
    connection: &mut SqliteConnection,
    reservations: &[&Reservation],
) -> Result<HashMap<BidId, Bid>, StorageError> {
    #[derive(FromRow)]
    struct Row {
        bid_id: Vec<u8>,
        #[sqlx(flatten)]
        bid: Bid,
    }
    // A bid id in JSON is its 32 hex digits.
    let bid_ids: Vec<BidId> = reservations.iter().map(|of| of.bid_id).collect();
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT b.* FROM json_each(?) AS k CROSS JOIN ledger_bids AS b ON b.bid_id = unhex(k.value)",
    )
    .bind(serde_json::to_string(&bid_ids)?)
    .fetch_all(connection)
    .await
    .map_err(storage_error)?;
    rows.into_iter()
        .map(|row| Ok((outbox::bid_id_of(row.bid_id)?, row.bid)))
        .collect()
}

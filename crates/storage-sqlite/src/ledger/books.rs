//! The ledger's rows that one operation works on.

use crate::error::storage_error;
use domain::id::{BidderId, CampaignId};
use domain::period::Day;
use sqlx::{FromRow, QueryBuilder, Sqlite, SqliteConnection};
use std::collections::{HashMap, HashSet};
use storage::StorageError;
use storage::spend_ledger::{AccountBalance, Balance, Reservation};

/// The date of a campaign's lifetime account.
pub(super) const LIFETIME: &str = "";
/// Of an account whose limits nobody has told yet: nothing is free in it.
const LIMITS_UNKNOWN: i64 = -1;
/// How many rows an INSERT may have: few different numbers, since a statement of each is prepared and kept.
const ROWS_PER_INSERT: [usize; 4] = [64, 16, 4, 1];

/// One row of `ledger_accounts`, its columns in their order.
#[derive(Clone, Debug, FromRow)]
pub(super) struct Account {
    pub(super) campaign_id: String,
    pub(super) date: String,
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
    pub(super) generation: i64,
    pub(super) revision: i64,
    /// Lifetime account only: what the campaign's days get.
    pub(super) daily_limit_nanos: Option<i64>,
    pub(super) limit_nanos: Option<i64>,
    pub(super) spent_nanos: i64,
    pub(super) pending_nanos: i64,
    pub(super) leased_nanos: i64,
    pub(super) over_delivery_nanos: i64,
    pub(super) settled_bids: i64,
    pub(super) opportunities: i64,
    pub(super) bids: i64,
    /// To be written back.
    #[sqlx(skip)]
    pub(super) changed: bool,
}

/// One row of `ledger_leases`.
#[derive(Clone, Debug, FromRow)]
pub(super) struct Lease {
    pub(super) campaign_id: String,
    pub(super) date: String,
    pub(super) bidder_id: String,
    pub(super) leased_nanos: i64,
    pub(super) sequence: i64,
    pub(super) expires_ms: i64,
    /// Of its last renewal.
    pub(super) renewal: i64,
    /// To be written back.
    #[sqlx(skip)]
    pub(super) changed: bool,
}

/// The accounts of some campaigns' days, and what some bidders lease of them.
#[derive(Debug, Default)]
pub(super) struct Books {
    /// By campaign.
    lifetimes: HashMap<String, Account>,
    /// By (campaign, date).
    days: HashMap<(String, String), Account>,
    /// By (campaign, date, bidder).
    leases: HashMap<(String, String, String), Lease>,
}

/// What one operation on one campaign's day may change.
pub(super) struct Page<'a> {
    pub(super) lifetime: &'a mut Account,
    pub(super) day: &'a mut Account,
    pub(super) lease: &'a mut Lease,
}

impl Books {
    /// Loads what is there of each (campaign, date, bidder); what is not comes into being with [`Books::page`].
    pub(super) async fn load(
        connection: &mut SqliteConnection,
        keys: &HashSet<(&str, &str, &str)>,
    ) -> Result<Self, StorageError> {
        let keys = serde_json::to_string(keys)?;
        let accounts: Vec<Account> = sqlx::query_as(
            "SELECT a.* FROM json_each(?1) AS k CROSS JOIN ledger_accounts AS a \
               ON a.campaign_id = k.value ->> 0 AND a.date IN ('', k.value ->> 1)",
        )
        .bind(&keys)
        .fetch_all(&mut *connection)
        .await
        .map_err(storage_error)?;
        let leases: Vec<Lease> = sqlx::query_as(
            "SELECT l.* FROM json_each(?1) AS k CROSS JOIN ledger_leases AS l \
               ON l.campaign_id = k.value ->> 0 AND l.date = k.value ->> 1 AND l.bidder_id = k.value ->> 2",
        )
        .bind(&keys)
        .fetch_all(connection)
        .await
        .map_err(storage_error)?;
        let mut books = Self::default();
        for account in accounts {
            if account.date == LIFETIME {
                books.lifetimes.insert(account.campaign_id.clone(), account);
            } else {
                books
                    .days
                    .insert((account.campaign_id.clone(), account.date.clone()), account);
            }
        }
        for lease in leases {
            let key = (
                lease.campaign_id.clone(),
                lease.date.clone(),
                lease.bidder_id.clone(),
            );
            books.leases.insert(key, lease);
        }
        Ok(books)
    }

    /// The campaign's day. A day not seen before has the limit kept for the campaign.
    pub(super) fn page(&mut self, campaign_id: &CampaignId, day: &Day, bidder_id: &BidderId) -> Page<'_> {
        let campaign_id = campaign_id.as_str();
        let key = (campaign_id.to_owned(), day.date.clone());
        let lifetime = self
            .lifetimes
            .entry(campaign_id.to_owned())
            .or_insert_with(|| Account::new(campaign_id, LIFETIME));
        let daily_limit_nanos = lifetime.daily_limit_nanos;
        let account = self.days.entry(key.clone()).or_insert_with(|| Account {
            start_ms: day.start_ms,
            end_ms: day.end_ms,
            limit_nanos: daily_limit_nanos,
            ..Account::new(campaign_id, &day.date)
        });
        let key = (key.0, key.1, bidder_id.0.clone());
        let lease = self.leases.entry(key).or_insert_with(|| Lease {
            campaign_id: campaign_id.to_owned(),
            date: day.date.clone(),
            bidder_id: bidder_id.0.clone(),
            leased_nanos: 0,
            sequence: 0,
            expires_ms: 0,
            renewal: 0,
            changed: false,
        });
        Page {
            lifetime,
            day: account,
            lease,
        }
    }

    /// Changes the reservation's page, or nothing when `decide` fails.
    pub(super) fn change<T>(
        &mut self,
        reservation: &Reservation,
        decide: impl FnOnce(&mut Page<'_>) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let mut page = self.page(&reservation.campaign_id, &reservation.day, &reservation.bidder_id);
        let before = (page.lifetime.clone(), page.day.clone(), page.lease.clone());
        let decided = decide(&mut page);
        if decided.is_err() {
            (*page.lifetime, *page.day, *page.lease) = before;
        }
        decided
    }

    /// Writes back what was changed.
    pub(super) async fn store(&self, connection: &mut SqliteConnection) -> Result<(), StorageError> {
        let accounts = self.lifetimes.values().chain(self.days.values());
        let accounts: Vec<&Account> = accounts.filter(|account| account.changed).collect();
        for rows in inserts(&accounts) {
            store_accounts(connection, rows).await?;
        }
        let leases: Vec<&Lease> = self.leases.values().filter(|lease| lease.changed).collect();
        for rows in inserts(&leases) {
            store_leases(connection, rows).await?;
        }
        Ok(())
    }
}

fn inserts<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let length = ROWS_PER_INSERT.into_iter().find(|length| *length <= rows.len())?;
        let (insert, others) = rows.split_at(length);
        rows = others;
        Some(insert)
    })
}

async fn store_accounts(connection: &mut SqliteConnection, rows: &[&Account]) -> Result<(), StorageError> {
    let mut sql = QueryBuilder::<Sqlite>::new(
        "INSERT INTO ledger_accounts (campaign_id, date, start_ms, end_ms, generation, revision, \
           daily_limit_nanos, limit_nanos, spent_nanos, pending_nanos, leased_nanos, over_delivery_nanos, \
           settled_bids, opportunities, bids) ",
    );
    sql.push_values(rows, |mut row, account| {
        row.push_bind(account.campaign_id.as_str())
            .push_bind(account.date.as_str())
            .push_bind(account.start_ms)
            .push_bind(account.end_ms)
            .push_bind(account.generation)
            .push_bind(account.revision)
            .push_bind(account.daily_limit_nanos)
            .push_bind(account.limit_nanos)
            .push_bind(account.spent_nanos)
            .push_bind(account.pending_nanos)
            .push_bind(account.leased_nanos)
            .push_bind(account.over_delivery_nanos)
            .push_bind(account.settled_bids)
            .push_bind(account.opportunities)
            .push_bind(account.bids);
    });
    // Not replaced: that deletes, and enters the row in its index again.
    sql.push(
        " ON CONFLICT DO UPDATE SET start_ms = excluded.start_ms, end_ms = excluded.end_ms, \
           generation = excluded.generation, revision = excluded.revision, \
           daily_limit_nanos = excluded.daily_limit_nanos, limit_nanos = excluded.limit_nanos, \
           spent_nanos = excluded.spent_nanos, pending_nanos = excluded.pending_nanos, \
           leased_nanos = excluded.leased_nanos, over_delivery_nanos = excluded.over_delivery_nanos, \
           settled_bids = excluded.settled_bids, opportunities = excluded.opportunities, bids = excluded.bids",
    );
    let stored = sql.build().execute(connection).await;
    stored.map(|_| ()).map_err(storage_error)
}

async fn store_leases(connection: &mut SqliteConnection, rows: &[&Lease]) -> Result<(), StorageError> {
    let mut sql = QueryBuilder::<Sqlite>::new(
        "INSERT INTO ledger_leases (campaign_id, date, bidder_id, leased_nanos, sequence, expires_ms, \
           renewal) ",
    );
    sql.push_values(rows, |mut row, lease| {
        row.push_bind(lease.campaign_id.as_str())
            .push_bind(lease.date.as_str())
            .push_bind(lease.bidder_id.as_str())
            .push_bind(lease.leased_nanos)
            .push_bind(lease.sequence)
            .push_bind(lease.expires_ms)
            .push_bind(lease.renewal);
    });
    sql.push(
        " ON CONFLICT DO UPDATE SET leased_nanos = excluded.leased_nanos, sequence = excluded.sequence, \
           expires_ms = excluded.expires_ms, renewal = excluded.renewal",
    );
    let stored = sql.build().execute(connection).await;
    stored.map(|_| ()).map_err(storage_error)
}

impl Account {
    fn new(campaign_id: &str, date: &str) -> Self {
        Self {
            campaign_id: campaign_id.to_owned(),
            date: date.to_owned(),
            start_ms: 0,
            end_ms: 0,
            generation: LIMITS_UNKNOWN,
            revision: LIMITS_UNKNOWN,
            daily_limit_nanos: Some(0),
            limit_nanos: Some(0),
            spent_nanos: 0,
            pending_nanos: 0,
            leased_nanos: 0,
            over_delivery_nanos: 0,
            settled_bids: 0,
            opportunities: 0,
            bids: 0,
            changed: false,
        }
    }

    pub(super) fn balance(&self) -> AccountBalance {
        AccountBalance {
            limit_nanos: self.limit_nanos,
            spent_nanos: self.spent_nanos,
            pending_nanos: self.pending_nanos,
            leased_nanos: self.leased_nanos,
        }
    }

    pub(super) fn into_balance(self) -> Balance {
        let account = self.balance();
        Balance {
            day: (self.date != LIFETIME).then_some(Day {
                date: self.date,
                start_ms: self.start_ms,
                end_ms: self.end_ms,
            }),
            campaign_id: CampaignId(self.campaign_id),
            account,
            over_delivery_nanos: self.over_delivery_nanos,
            settled_bids: self.settled_bids,
        }
    }
}

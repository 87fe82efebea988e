//! [`CampaignStore`]: each method one transaction.

use crate::documents::{Creation, kind_name};
use crate::error::{Failure, storable};
use crate::outbox::Told;
use crate::store::PostgresStore;
use crate::{campaign_list, documents, idempotency, outbox};
use async_trait::async_trait;
use sqlx::PgConnection;
use std::collections::{HashMap, HashSet};
use storage::campaign_store::{
    CampaignBundle, Change, Document, Idempotent, Kind, ListQuery, Outgoing, RelayClaim, Revision, Write,
    Written,
};
use storage::{CampaignStore, StorageError};

/// `in_transaction!(database.write, |connection| work)`: begins, does the work, commits or rolls back, and all of it
/// again while that may help.
macro_rules! in_transaction {
    ($database:expr, $begin:ident, |$connection:ident| $work:expr) => {
        crate::campaigns::tried_in_transaction!($database, $begin, |$connection| $work)
            .map_err(storage::StorageError::from)
    };
}
pub(crate) use in_transaction;

/// The same, for those who look at why it failed.
macro_rules! tried_in_transaction {
    ($database:expr, $begin:ident, |$connection:ident| $work:expr) => {
        $database
            .tried(async || {
                let mut transaction = $database.$begin().await?;
                let $connection: &mut sqlx::PgConnection = &mut transaction;
                let outcome = $work.await;
                transaction.finish(outcome).await
            })
            .await
    };
}
pub(crate) use tried_in_transaction;

/// `at_a_glance!(database, |connection| work)`: one statement that reads, and so sees one instant without a transaction: one
/// round trip instead of three. Beside a pooler that keeps no statements it has to be a transaction.
macro_rules! at_a_glance {
    ($database:expr, |$connection:ident| $work:expr) => {
        if $database.shares_connections {
            in_transaction!($database, read, |$connection| $work)
        } else {
            $database
                .tried(async || {
                    let glance = async || {
                        let mut lent = $database.lend().await?;
                        let $connection: &mut sqlx::PgConnection = &mut lent;
                        let outcome = $work.await;
                        lent.give_back(outcome)
                    };
                    $database.on_a_connection_that_works(glance).await
                })
                .await
                .map_err(StorageError::from)
        }
    };
}

#[async_trait]
impl CampaignStore for PostgresStore {
    async fn get(&self, kind: Kind, id: &str) -> Result<Option<Document>, StorageError> {
        at_a_glance!(self.primary, |connection| documents::read(connection, kind, id))
    }

    async fn list(&self, kind: Kind, query: &ListQuery) -> Result<Vec<Document>, StorageError> {
        in_transaction!(self.primary, read, |connection| campaign_list::list(
            connection, kind, query
        ))
    }

    async fn write(&self, write: Write) -> Result<Written, StorageError> {
        self.writes.write(write).await
    }

    async fn answered(&self, key: &str, now_ms: i64) -> Result<Option<Idempotent>, StorageError> {
        at_a_glance!(self.primary, |connection| idempotency::kept_answer(
            connection, key, now_ms
        ))
    }

    async fn history(
        &self,
        kind: Kind,
        id: &str,
        before_version: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Revision>, StorageError> {
        at_a_glance!(self.primary, |connection| read_history(
            connection,
            kind,
            id,
            before_version,
            limit
        ))
    }

    async fn claim_relay(
        &self,
        relay_id: &str,
        now_ms: i64,
        hold_ms: i64,
    ) -> Result<Option<RelayClaim>, StorageError> {
        in_transaction!(self.primary, write, |connection| outbox::claim(
            connection, relay_id, now_ms, hold_ms
        ))
    }

    async fn outgoing(&self, limit: u32) -> Result<Vec<Outgoing>, StorageError> {
        at_a_glance!(self.primary, |connection| outbox::waiting(connection, limit))
    }

    async fn outgoing_backlog(&self) -> Result<(i64, Option<i64>), StorageError> {
        at_a_glance!(self.primary, |connection| async {
            let backlog = sqlx::query_as("SELECT count(*), min(written_at_ms) FROM outbox");
            Ok(backlog.fetch_one(connection).await?)
        })
    }

    async fn mark_sent(&self, claim: &RelayClaim, sequences: &[i64]) -> Result<(), StorageError> {
        in_transaction!(self.primary, write_lazily, |connection| outbox::mark_sent(
            connection, claim, sequences
        ))
    }

    async fn bundle(&self, campaign_id: &str) -> Result<Option<CampaignBundle>, StorageError> {
        let ids = [campaign_id.to_owned()];
        let mut bundles = self.bundles(&ids).await?;
        Ok(bundles.pop().flatten())
    }

    async fn bundles(&self, campaign_ids: &[String]) -> Result<Vec<Option<CampaignBundle>>, StorageError> {
        at_a_glance!(self.primary, |connection| read_bundles(connection, campaign_ids))
    }

    async fn revision(&self) -> Result<(i64, i64), StorageError> {
        at_a_glance!(self.primary, |connection| async {
            let revision = sqlx::query_as("SELECT generation, revision FROM store");
            Ok(revision.fetch_one(connection).await?)
        })
    }

    async fn announce_all(&self, now_ms: i64) -> Result<u64, StorageError> {
        in_transaction!(self.primary, write, |connection| outbox::announce_all(
            connection, now_ms
        ))
    }

    async fn begin_generation(&self, past: i64, now_ms: i64) -> Result<i64, StorageError> {
        in_transaction!(self.primary, write, |connection| outbox::begin_generation(
            connection, past, now_ms
        ))
    }
}

/// Every write's answer; an error undoes them all.
pub(crate) async fn write_all(
    connection: &mut PgConnection,
    writes: &[&Write],
) -> Result<Vec<Result<Written, StorageError>>, Failure> {
    let mut answers = Vec::with_capacity(writes.len());
    let mut announcements = Vec::new();
    let mut has_written = false;
    let mut left = writes;
    while let Some(first) = left.first() {
        let creations = creations_ahead(left);
        if creations.len() > 1 {
            left = left.get(creations.len()..).unwrap_or_default();
            let created = documents::create_all(connection, &creations).await?;
            answers.extend(created.into_iter().map(|created| created.map(|()| Written::Done)));
            continue;
        }
        answers.push(match writes.len() > 1 && may_fail_half_done(first) {
            true => write_undoably(connection, first).await?,
            false => write_one(connection, first).await?,
        });
        left = left.get(1..).unwrap_or_default();
    }
    for (write, answer) in writes.iter().zip(&answers) {
        if let Ok(Written::Done) = answer {
            has_written = true;
            let told = write.announcements.iter();
            announcements.extend(told.map(|announcement| Told {
                announcement,
                now_ms: write.now_ms,
                traceparent: write.traceparent.as_deref(),
            }));
        }
    }
    if has_written {
        // As late as may be, since it lets one transaction at a time pass; before the announcements, whose order it makes.
        outbox::raise_and_announce(connection, &announcements).await?;
    }
    Ok(answers)
}

/// The next writes, as far as each creates one document that none of them has created.
fn creations_ahead<'a>(writes: &[&'a Write]) -> Vec<Creation<'a>> {
    let mut ids = HashSet::new();
    let creation = |write: &&'a Write| -> Option<Creation<'a>> {
        let [Change { document }] = &*write.changes else {
            return None;
        };
        let is_creation = document.version == 1 && !may_fail_half_done(write);
        (is_creation && ids.insert((kind_name(document.kind), &document.id))).then_some(Creation {
            document,
            actor: &write.actor,
            now_ms: write.now_ms,
        })
    };
    writes.iter().map_while(creation).collect()
}

/// Whether a conflict could leave something behind that the transaction's other writes must not commit.
fn may_fail_half_done(write: &Write) -> bool {
    let mut documents = write.changes.iter().map(|change| &change.document);
    write.idempotency.is_some()
        || write.changes.len() > 1
        || documents.any(|document| document.external_id.is_some())
}

/// One round trip more: where it conflicts nothing of it holds, and the transaction goes on.
async fn write_undoably(
    connection: &mut PgConnection,
    write: &Write,
) -> Result<Result<Written, StorageError>, Failure> {
    sqlx::raw_sql("SAVEPOINT one").execute(&mut *connection).await?;
    match write_one(connection, write).await {
        Err(Failure::Port(conflict @ StorageError::Conflict(_))) => {
            let undone = sqlx::raw_sql("ROLLBACK TO SAVEPOINT one").execute(connection);
            undone.await?;
            Ok(Err(conflict))
        }
        other => other,
    }
}

/// Documents and history, and the answer that is kept. A conflict that has changed nothing is an answer.
async fn write_one(
    connection: &mut PgConnection,
    write: &Write,
) -> Result<Result<Written, StorageError>, Failure> {
    if let Some(idempotent) = &write.idempotency
        && let Some(first) = idempotency::keep_or_find(connection, idempotent, write.now_ms).await?
    {
        return Ok(Ok(Written::Repeated(first)));
    }
    for (position, change) in write.changes.iter().enumerate() {
        match documents::write(connection, &change.document, &write.actor, write.now_ms).await? {
            Ok(()) => {}
            Err(conflict) if position == 0 && write.idempotency.is_none() => return Ok(Err(conflict)),
            Err(conflict) => return Err(conflict.into()),
        }
    }
    Ok(Ok(Written::Done))
}

async fn read_history(
    connection: &mut PgConnection,
    kind: Kind,
    id: &str,
    before_version: Option<i64>,
    limit: u32,
) -> Result<Vec<Revision>, Failure> {
    let rows: Vec<(i64, String, i64, String)> = sqlx::query_as(
        "SELECT version, actor, at_ms, body FROM document_history \
         WHERE kind = $1 AND id = $2 AND version < $3 ORDER BY version DESC LIMIT $4",
    )
    .bind(documents::kind_name(kind))
    .bind(storable(id))
    .bind(before_version.unwrap_or(i64::MAX))
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await?;
    let revision = |(version, actor, at_ms, body): (i64, String, i64, String)| {
        Ok(Revision {
            version,
            actor,
            at_ms,
            body: serde_json::from_str(&body)?,
        })
    };
    rows.into_iter().map(revision).collect()
}

/// Id, generation, revision, campaign, its advertiser, its creatives.
type BundleRow = (String, i64, i64, String, Option<String>, Vec<String>);

async fn read_bundles(
    connection: &mut PgConnection,
    campaign_ids: &[String],
) -> Result<Vec<Option<CampaignBundle>>, Failure> {
    let wanted: Vec<_> = campaign_ids.iter().map(|id| storable(id)).collect();
    // One statement sees one instant.
    let rows: Vec<BundleRow> = sqlx::query_as(
        "SELECT c.id, s.generation, s.revision, c.body, a.body, \
           ARRAY(SELECT body FROM documents WHERE kind = 'creative' AND parent_id = c.id \
             AND status <> 'archived' ORDER BY created_at_ms, id) \
         FROM store AS s CROSS JOIN documents AS c \
         LEFT JOIN documents AS a ON a.kind = 'advertiser' AND a.id = c.advertiser_id \
         WHERE c.kind = 'campaign' AND c.id = ANY($1)",
    )
    .bind(&wanted)
    .fetch_all(connection)
    .await?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in rows {
        let (id, bundle) = bundle(row)?;
        found.insert(id, bundle);
    }
    Ok(wanted.iter().map(|id| found.get(&**id).cloned()).collect())
}

fn bundle(row: BundleRow) -> Result<(String, CampaignBundle), Failure> {
    let (id, generation, revision, campaign, advertiser, creatives) = row;
    let advertiser =
        advertiser.ok_or_else(|| StorageError::Corrupt(format!("the advertiser of {id} is missing")))?;
    let creatives: Result<_, serde_json::Error> =
        creatives.iter().map(|body| serde_json::from_str(body)).collect();
    let bundle = CampaignBundle {
        generation,
        revision,
        campaign: serde_json::from_str(&campaign)?,
        advertiser: serde_json::from_str(&advertiser)?,
        creatives: creatives?,
    };
    Ok((id, bundle))
}

//! [`CampaignStore`]: each method one transaction.

use crate::error::{Failure, storable};
use crate::store::PostgresStore;
use crate::{campaign_list, documents, idempotency, outbox};
use async_trait::async_trait;
use sqlx::PgConnection;
use storage::campaign_store::{
    CampaignBundle, Document, Idempotent, Kind, ListQuery, Outgoing, RelayClaim, Revision, Write, Written,
};
use storage::{CampaignStore, StorageError};

/// `in_transaction!(database.write, |connection| work)`: begins, does the work, commits or rolls back, and all of it
/// again while that may help.
macro_rules! in_transaction {
    ($database:expr, $begin:ident, |$connection:ident| $work:expr) => {
        $database
            .attempt(async || {
                let mut transaction = $database.$begin().await?;
                let $connection: &mut sqlx::PgConnection = &mut transaction;
                let outcome = $work.await;
                transaction.finish(outcome).await
            })
            .await
    };
}
pub(crate) use in_transaction;

#[async_trait]
impl CampaignStore for PostgresStore {
    async fn get(&self, kind: Kind, id: &str) -> Result<Option<Document>, StorageError> {
        in_transaction!(self.primary, read, |connection| documents::read(
            connection, kind, id
        ))
    }

    async fn list(&self, kind: Kind, query: &ListQuery) -> Result<Vec<Document>, StorageError> {
        in_transaction!(self.primary, read, |connection| campaign_list::list(
            connection, kind, query
        ))
    }

    async fn write(&self, write: Write) -> Result<Written, StorageError> {
        in_transaction!(self.primary, write, |connection| write_all(connection, &write))
    }

    async fn answered(&self, key: &str, now_ms: i64) -> Result<Option<Idempotent>, StorageError> {
        in_transaction!(self.primary, read, |connection| idempotency::kept_answer(
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
        in_transaction!(self.primary, read, |connection| read_history(
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
        in_transaction!(self.primary, read, |connection| outbox::waiting(
            connection, limit
        ))
    }

    async fn outgoing_backlog(&self) -> Result<(i64, Option<i64>), StorageError> {
        in_transaction!(self.primary, read, |connection| async {
            let backlog = sqlx::query_as("SELECT count(*), min(written_at_ms) FROM outbox");
            Ok(backlog.fetch_one(connection).await?)
        })
    }

    async fn mark_sent(&self, claim: &RelayClaim, sequences: &[i64]) -> Result<(), StorageError> {
        in_transaction!(self.primary, write, |connection| outbox::mark_sent(
            connection, claim, sequences
        ))
    }

    async fn bundle(&self, campaign_id: &str) -> Result<Option<CampaignBundle>, StorageError> {
        in_transaction!(self.primary, read, |connection| read_bundle(
            connection,
            campaign_id
        ))
    }

    async fn revision(&self) -> Result<(i64, i64), StorageError> {
        in_transaction!(self.primary, read, |connection| async {
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

async fn write_all(connection: &mut PgConnection, write: &Write) -> Result<Written, Failure> {
    if let Some(idempotent) = &write.idempotency
        && let Some(first) = idempotency::keep_or_find(connection, idempotent, write.now_ms).await?
    {
        return Ok(Written::Repeated(first));
    }
    for change in &write.changes {
        documents::write(connection, &change.document, &write.actor, write.now_ms).await?;
    }
    // As late as may be, since it lets one write at a time pass; before the announcements, whose order it makes.
    let traceparent = write.traceparent.as_deref();
    outbox::raise_and_announce(connection, &write.announcements, write.now_ms, traceparent).await?;
    Ok(Written::Done)
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

/// Generation, revision, campaign, its advertiser, its creatives.
type BundleRow = (i64, i64, String, Option<String>, Vec<String>);

async fn read_bundle(
    connection: &mut PgConnection,
    campaign_id: &str,
) -> Result<Option<CampaignBundle>, Failure> {
    // One statement sees one instant.
    let row: Option<BundleRow> = sqlx::query_as(
        "SELECT s.generation, s.revision, c.body, a.body, \
           ARRAY(SELECT body FROM documents WHERE kind = 'creative' AND parent_id = c.id \
             AND status <> 'archived' ORDER BY created_at_ms, id) \
         FROM store AS s CROSS JOIN documents AS c \
         LEFT JOIN documents AS a ON a.kind = 'advertiser' AND a.id = c.advertiser_id \
         WHERE c.kind = 'campaign' AND c.id = $1",
    )
    .bind(storable(campaign_id))
    .fetch_optional(connection)
    .await?;
    let Some((generation, revision, campaign, advertiser, creatives)) = row else {
        return Ok(None);
    };
    let advertiser = advertiser
        .ok_or_else(|| StorageError::Corrupt(format!("the advertiser of {campaign_id} is missing")))?;
    let creatives: Result<_, serde_json::Error> =
        creatives.iter().map(|body| serde_json::from_str(body)).collect();
    Ok(Some(CampaignBundle {
        generation,
        revision,
        campaign: serde_json::from_str(&campaign)?,
        advertiser: serde_json::from_str(&advertiser)?,
        creatives: creatives?,
    }))
}

//! [`CampaignStore`]: documents, their history, and the outbox of what others must hear of.

use crate::campaign_list;
use crate::error::storage_error;
use crate::idempotency::{keep_answer, kept_answer};
use crate::store::SqliteStore;
use async_trait::async_trait;
use domain::creative::Creative;
use serde::de::DeserializeOwned;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row, SqliteConnection};
use storage::campaign_store::{
    Announcement, CampaignBundle, Document, Idempotent, Kind, ListQuery, Outgoing, RelayClaim, Revision,
    Write, Written,
};
use storage::{CampaignStore, StorageError};

pub(crate) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Advertiser => "advertiser",
        Kind::Campaign => "campaign",
        Kind::Creative => "creative",
        Kind::Exchange => "exchange",
        Kind::Key => "key",
        Kind::Audience => "audience",
        Kind::Deal => "deal",
    }
}

/// The columns of [`DocumentRow`], in a query that knows the kind.
pub(crate) const DOCUMENT_COLUMNS: &str = "id, advertiser_id, parent_id, external_id, name, status, version, \
                                           created_at_ms, updated_at_ms, body";

#[derive(FromRow)]
pub(crate) struct DocumentRow {
    id: String,
    advertiser_id: Option<String>,
    parent_id: Option<String>,
    external_id: Option<String>,
    name: String,
    status: String,
    version: i64,
    created_at_ms: i64,
    updated_at_ms: i64,
    body: String,
}

impl DocumentRow {
    pub(crate) fn document(self, kind: Kind) -> Result<Document, StorageError> {
        Ok(Document {
            kind,
            id: self.id,
            advertiser_id: self.advertiser_id,
            parent_id: self.parent_id,
            external_id: self.external_id,
            name: self.name,
            status: self.status,
            version: self.version,
            created_at_ms: self.created_at_ms,
            updated_at_ms: self.updated_at_ms,
            body: serde_json::from_str(&self.body)?,
        })
    }
}

#[async_trait]
impl CampaignStore for SqliteStore {
    async fn get(&self, kind: Kind, id: &str) -> Result<Option<Document>, StorageError> {
        let id = id.to_owned();
        let row: Option<DocumentRow> = self
            .run_read(move |connection| {
                Box::pin(async move {
                    sqlx::query_as(
                        "SELECT id, advertiser_id, parent_id, external_id, name, status, version, created_at_ms, \
                         updated_at_ms, body FROM documents WHERE kind = ? AND id = ?",
                    )
                    .bind(kind_name(kind))
                    .bind(id)
                    .fetch_optional(connection)
                    .await
                    .map_err(storage_error)
                })
            })
            .await?;
        row.map(|row| row.document(kind)).transpose()
    }

    async fn list(&self, kind: Kind, query: &ListQuery) -> Result<Vec<Document>, StorageError> {
        let query = query.clone();
        self.run_read(move |connection| Box::pin(campaign_list::list(connection, kind, query)))
            .await
    }

    async fn write(&self, write: Write) -> Result<Written, StorageError> {
        self.run_write(move |connection| Box::pin(write_all(connection, write)))
            .await
    }

    async fn answered(&self, key: &str, now_ms: i64) -> Result<Option<Idempotent>, StorageError> {
        let key = key.to_owned();
        self.run_read(move |connection| Box::pin(kept_answer(connection, key, now_ms)))
            .await
    }

    async fn history(
        &self,
        kind: Kind,
        id: &str,
        before_version: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Revision>, StorageError> {
        let id = id.to_owned();
        let rows: Vec<(i64, String, i64, String)> = self
            .run_read(move |connection| {
                Box::pin(async move {
                    sqlx::query_as(
                        "SELECT version, actor, at_ms, body FROM document_history \
                         WHERE kind = ? AND id = ? AND version < ? ORDER BY version DESC LIMIT ?",
                    )
                    .bind(kind_name(kind))
                    .bind(id)
                    .bind(before_version.unwrap_or(i64::MAX))
                    .bind(limit)
                    .fetch_all(connection)
                    .await
                    .map_err(storage_error)
                })
            })
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

    async fn claim_relay(
        &self,
        relay_id: &str,
        now_ms: i64,
        hold_ms: i64,
    ) -> Result<Option<RelayClaim>, StorageError> {
        let relay_id = relay_id.to_owned();
        self.run_write(move |connection| {
            Box::pin(async move {
                // Renewed by its holder the fence stays; taken over it rises, which is what stops the old holder.
                let fence: Option<i64> = sqlx::query_scalar(
                    "INSERT INTO relay (one, relay_id, fence, until_ms) VALUES (1, ?1, 1, ?2) \
                     ON CONFLICT (one) DO UPDATE SET fence = fence + (relay_id <> ?1), relay_id = ?1, until_ms = ?2 \
                     WHERE relay_id = ?1 OR until_ms <= ?3 RETURNING fence",
                )
                .bind(&relay_id)
                .bind(now_ms.saturating_add(hold_ms))
                .bind(now_ms)
                .fetch_optional(connection)
                .await
                .map_err(storage_error)?;
                Ok(fence.map(|fence| RelayClaim { relay_id, fence }))
            })
        })
        .await
    }

    async fn outgoing(&self, limit: u32) -> Result<Vec<Outgoing>, StorageError> {
        let rows: Vec<(i64, String, String, i64, Option<String>)> = self
            .run_read(move |connection| {
                Box::pin(async move {
                    sqlx::query_as(
                        "SELECT sequence, kind, id, written_at_ms, traceparent FROM outbox \
                         ORDER BY sequence LIMIT ?",
                    )
                    .bind(limit)
                    .fetch_all(connection)
                    .await
                    .map_err(storage_error)
                })
            })
            .await?;
        rows.into_iter().map(outgoing).collect()
    }

    async fn outgoing_backlog(&self) -> Result<(i64, Option<i64>), StorageError> {
        self.run_read(|connection| {
            Box::pin(async move {
                sqlx::query_as("SELECT count(*), min(written_at_ms) FROM outbox")
                    .fetch_one(connection)
                    .await
                    .map_err(storage_error)
            })
        })
        .await
    }

    async fn mark_sent(&self, claim: &RelayClaim, sequences: &[i64]) -> Result<(), StorageError> {
        let claim = claim.clone();
        let sequences = serde_json::to_string(sequences)?;
        self.run_write(move |connection| {
            Box::pin(async move {
                let holds: Option<i64> =
                    sqlx::query_scalar("SELECT 1 FROM relay WHERE relay_id = ? AND fence = ?")
                        .bind(&claim.relay_id)
                        .bind(claim.fence)
                        .fetch_optional(&mut *connection)
                        .await
                        .map_err(storage_error)?;
                if holds.is_none() {
                    return Err(StorageError::Conflict(
                        "the relay's claim was taken over".to_owned(),
                    ));
                }
                sqlx::query("DELETE FROM outbox WHERE sequence IN (SELECT value FROM json_each(?))")
                    .bind(sequences)
                    .execute(connection)
                    .await
                    .map_err(storage_error)?;
                Ok(())
            })
        })
        .await
    }

    async fn bundle(&self, campaign_id: &str) -> Result<Option<CampaignBundle>, StorageError> {
        let campaign_id = campaign_id.to_owned();
        self.snapshot(move |connection| Box::pin(read_bundle(connection, campaign_id)))
            .await
    }

    async fn revision(&self) -> Result<(i64, i64), StorageError> {
        self.run_read(|connection| Box::pin(read_revision(connection)))
            .await
    }

    async fn announce_all(&self, now_ms: i64) -> Result<u64, StorageError> {
        self.run_write(move |connection| Box::pin(announce_campaigns(connection, now_ms)))
            .await
    }

    async fn begin_generation(&self, past: i64, now_ms: i64) -> Result<i64, StorageError> {
        self.run_write(move |connection| Box::pin(begin_generation(connection, past, now_ms)))
            .await
    }
}

async fn announce_campaigns(connection: &mut SqliteConnection, now_ms: i64) -> Result<u64, StorageError> {
    raise_revision(connection).await?;
    sqlx::query(
        "INSERT INTO outbox (kind, id, written_at_ms) \
         SELECT 'campaign', id, ? FROM documents WHERE kind = 'campaign' AND status <> 'archived'",
    )
    .bind(now_ms)
    .execute(connection)
    .await
    .map(|done| done.rows_affected())
    .map_err(storage_error)
}

async fn begin_generation(
    connection: &mut SqliteConnection,
    past: i64,
    now_ms: i64,
) -> Result<i64, StorageError> {
    let generation =
        sqlx::query_scalar("UPDATE store SET generation = max(generation + 1, ?, ?) RETURNING generation")
            .bind(past.saturating_add(1))
            .bind(now_ms)
            .fetch_one(&mut *connection)
            .await
            .map_err(storage_error)?;
    announce_campaigns(connection, now_ms).await?;
    sqlx::query(
        "INSERT INTO outbox (kind, id, written_at_ms) SELECT 'exchange', id, ? FROM documents WHERE kind = 'exchange'",
    )
    .bind(now_ms)
    .execute(connection)
    .await
    .map_err(storage_error)?;
    Ok(generation)
}

fn outgoing(
    (sequence, kind, id, written_at_ms, traceparent): (i64, String, String, i64, Option<String>),
) -> Result<Outgoing, StorageError> {
    let announcement = match kind.as_str() {
        "campaign" => Announcement::Campaign(id),
        "exchange" => Announcement::Exchange(id),
        other => return Err(StorageError::Corrupt(format!("outbox row of kind {other}"))),
    };
    Ok(Outgoing {
        sequence,
        announcement,
        written_at_ms,
        traceparent,
    })
}

async fn write_all(connection: &mut SqliteConnection, write: Write) -> Result<Written, StorageError> {
    if let Some(idempotent) = &write.idempotency {
        let kept = kept_answer(connection, idempotent.key.clone(), write.now_ms).await?;
        if let Some(kept) = kept {
            return Ok(Written::Repeated(kept));
        }
        keep_answer(connection, idempotent, write.now_ms).await?;
    }
    raise_revision(connection).await?;
    for change in &write.changes {
        write_document(connection, &change.document, &write.actor, write.now_ms).await?;
    }
    for announcement in &write.announcements {
        announce(
            connection,
            announcement,
            write.now_ms,
            write.traceparent.as_deref(),
        )
        .await?;
    }
    Ok(Written::Done)
}

async fn write_document(
    connection: &mut SqliteConnection,
    document: &Document,
    actor: &str,
    now_ms: i64,
) -> Result<(), StorageError> {
    let body = document.body.to_string();
    let sql = if document.version == 1 {
        "INSERT INTO documents (kind, id, advertiser_id, parent_id, external_id, name, status, version, \
         created_at_ms, updated_at_ms, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) \
         ON CONFLICT (kind, id) DO NOTHING"
    } else {
        "UPDATE documents SET advertiser_id = ?3, parent_id = ?4, external_id = ?5, name = ?6, status = ?7, \
         version = ?8, created_at_ms = ?9, updated_at_ms = ?10, body = ?11 \
         WHERE kind = ?1 AND id = ?2 AND version = ?8 - 1"
    };
    let written = sqlx::query(sql)
        .bind(kind_name(document.kind))
        .bind(&document.id)
        .bind(&document.advertiser_id)
        .bind(&document.parent_id)
        .bind(&document.external_id)
        .bind(&document.name)
        .bind(&document.status)
        .bind(document.version)
        .bind(document.created_at_ms)
        .bind(document.updated_at_ms)
        .bind(&body)
        .execute(&mut *connection)
        .await
        .map_err(|error| document_error(error, document))?;
    if written.rows_affected() == 0 {
        return Err(StorageError::Conflict(match document.version {
            1 => format!("{} is taken", document.id),
            version => format!("{} is not at version {}", document.id, version.saturating_sub(1)),
        }));
    }
    sqlx::query(
        "INSERT INTO document_history (kind, id, version, actor, at_ms, body) VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(kind_name(document.kind))
    .bind(&document.id)
    .bind(document.version)
    .bind(actor)
    .bind(now_ms)
    .bind(&body)
    .execute(connection)
    .await
    .map_err(storage_error)?;
    Ok(())
}

fn document_error(error: sqlx::Error, document: &Document) -> StorageError {
    match (storage_error(error), &document.external_id) {
        (StorageError::Conflict(_), Some(external_id)) => {
            StorageError::Conflict(format!("external_id {external_id} is taken"))
        }
        (other, _) => other,
    }
}

async fn announce(
    connection: &mut SqliteConnection,
    announcement: &Announcement,
    now_ms: i64,
    traceparent: Option<&str>,
) -> Result<(), StorageError> {
    let (sql, id) = match announcement {
        Announcement::Campaign(id) => (
            "INSERT INTO outbox (kind, id, written_at_ms, traceparent) VALUES ('campaign', ?, ?, ?)",
            id,
        ),
        Announcement::Exchange(id) => (
            "INSERT INTO outbox (kind, id, written_at_ms, traceparent) VALUES ('exchange', ?, ?, ?)",
            id,
        ),
        Announcement::CampaignsOf(advertiser_id) => (
            "INSERT INTO outbox (kind, id, written_at_ms, traceparent) \
             SELECT 'campaign', id, ?2, ?3 FROM documents WHERE kind = 'campaign' AND advertiser_id = ?1",
            advertiser_id,
        ),
    };
    sqlx::query(sql)
        .bind(id)
        .bind(now_ms)
        .bind(traceparent)
        .execute(connection)
        .await
        .map_err(storage_error)?;
    Ok(())
}

async fn raise_revision(connection: &mut SqliteConnection) -> Result<(), StorageError> {
    sqlx::query("UPDATE store SET revision = revision + 1")
        .execute(connection)
        .await
        .map_err(storage_error)?;
    Ok(())
}

async fn read_revision(connection: &mut SqliteConnection) -> Result<(i64, i64), StorageError> {
    sqlx::query_as("SELECT generation, revision FROM store")
        .fetch_one(connection)
        .await
        .map_err(storage_error)
}

async fn read_bundle(
    connection: &mut SqliteConnection,
    campaign_id: String,
) -> Result<Option<CampaignBundle>, StorageError> {
    let (generation, revision) = read_revision(connection).await?;
    let rows = sqlx::query(
        "SELECT 0 AS part, body FROM documents WHERE kind = 'campaign' AND id = ?1 \
         UNION ALL SELECT 1, body FROM documents WHERE kind = 'advertiser' AND id = \
           (SELECT advertiser_id FROM documents WHERE kind = 'campaign' AND id = ?1) \
         UNION ALL SELECT 2, body FROM (SELECT body FROM documents WHERE kind = 'creative' AND parent_id = ?1 \
           AND status <> 'archived' ORDER BY created_at_ms, id)",
    )
    .bind(&campaign_id)
    .fetch_all(connection)
    .await
    .map_err(storage_error)?;
    let mut campaign = None;
    let mut advertiser = None;
    let mut creatives = Vec::with_capacity(rows.len());
    for row in &rows {
        match row.try_get::<i64, _>("part").map_err(storage_error)? {
            0 => campaign = Some(body(row)?),
            1 => advertiser = Some(body(row)?),
            _ => creatives.push(body::<Creative>(row)?),
        }
    }
    let Some(campaign) = campaign else {
        return Ok(None);
    };
    let advertiser = advertiser
        .ok_or_else(|| StorageError::Corrupt(format!("the advertiser of {campaign_id} is missing")))?;
    Ok(Some(CampaignBundle {
        generation,
        revision,
        campaign,
        advertiser,
        creatives,
    }))
}

fn body<T: DeserializeOwned>(row: &SqliteRow) -> Result<T, StorageError> {
    let text: &str = row.try_get("body").map_err(storage_error)?;
    Ok(serde_json::from_str(text)?)
}

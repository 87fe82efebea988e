//! Documents as rows: reading one, writing one with its history.

use crate::error::{Failure, storable};
use sqlx::{FromRow, PgConnection};
use storage::StorageError;
use storage::campaign_store::{Document, Kind};

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
    pub(crate) fn document(self, kind: Kind) -> Result<Document, Failure> {
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

pub(crate) async fn read(
    connection: &mut PgConnection,
    kind: Kind,
    id: &str,
) -> Result<Option<Document>, Failure> {
    let row: Option<DocumentRow> = sqlx::query_as(
        "SELECT id, advertiser_id, parent_id, external_id, name, status, version, created_at_ms, updated_at_ms, body \
         FROM documents WHERE kind = $1 AND id = $2",
    )
    .bind(kind_name(kind))
    .bind(storable(id))
    .fetch_optional(connection)
    .await?;
    row.map(|row| row.document(kind)).transpose()
}

/// One statement, so that a document costs one round trip: the history's row is there exactly when the document's is.
const CREATE: &str = "WITH written AS ( \
       INSERT INTO documents (kind, id, advertiser_id, parent_id, external_id, name, status, version, created_at_ms, \
         updated_at_ms, body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
       ON CONFLICT (kind, id) DO NOTHING RETURNING kind, id, version, body) \
     INSERT INTO document_history (kind, id, version, actor, at_ms, body) \
     SELECT kind, id, version, $12, $13, body FROM written";

const REPLACE: &str = "WITH written AS ( \
       UPDATE documents SET advertiser_id = $3, parent_id = $4, external_id = $5, name = $6, status = $7, \
         version = $8, created_at_ms = $9, updated_at_ms = $10, body = $11 \
       WHERE kind = $1 AND id = $2 AND version = $8 - 1 RETURNING kind, id, version, body) \
     INSERT INTO document_history (kind, id, version, actor, at_ms, body) \
     SELECT kind, id, version, $12, $13, body FROM written";

/// The inner error is a conflict that has changed nothing, and the transaction goes on.
pub(crate) async fn write(
    connection: &mut PgConnection,
    document: &Document,
    actor: &str,
    now_ms: i64,
) -> Result<Result<(), StorageError>, Failure> {
    let sql = if document.version == 1 { CREATE } else { REPLACE };
    let written = sqlx::query(sql)
        .bind(kind_name(document.kind))
        .bind(storable(&document.id))
        .bind(document.advertiser_id.as_deref().map(storable))
        .bind(document.parent_id.as_deref().map(storable))
        .bind(document.external_id.as_deref().map(storable))
        .bind(storable(&document.name))
        .bind(storable(&document.status))
        .bind(document.version)
        .bind(document.created_at_ms)
        .bind(document.updated_at_ms)
        .bind(document.body.to_string())
        .bind(storable(actor))
        .bind(now_ms)
        .execute(connection)
        .await
        .map_err(|error| write_failure(error, document))?;
    if written.rows_affected() > 0 {
        return Ok(Ok(()));
    }
    Ok(Err(StorageError::Conflict(match document.version {
        1 => format!("{} is taken", document.id),
        version => format!("{} is not at version {}", document.id, version.saturating_sub(1)),
    })))
}

fn write_failure(error: sqlx::Error, document: &Document) -> Failure {
    let constraint = error.as_database_error().and_then(|error| error.constraint());
    match (constraint, &document.external_id) {
        (Some("documents_external_id"), Some(external_id)) => Failure::Port(StorageError::Conflict(format!(
            "external_id {external_id} is taken"
        ))),
        _ => Failure::Database(error),
    }
}

//! Documents as rows: reading one, writing one with its history.

use crate::error::{Failure, storable};
use sqlx::{FromRow, PgConnection};
use std::collections::HashSet;
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

/// Several at once, as [`CREATE`] each.
const CREATE_ALL: &str = "WITH given AS ( \
       SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], \
         $8::bigint[], $9::text[], $10::text[], $11::bigint[]) AS given (kind, id, advertiser_id, parent_id, name, \
         status, created_at_ms, updated_at_ms, body, actor, at_ms)), \
     written AS ( \
       INSERT INTO documents (kind, id, advertiser_id, parent_id, name, status, version, created_at_ms, updated_at_ms, body) \
       SELECT kind, id, advertiser_id, parent_id, name, status, 1, created_at_ms, updated_at_ms, body FROM given \
       ON CONFLICT (kind, id) DO NOTHING RETURNING kind, id), \
     told AS ( \
       INSERT INTO document_history (kind, id, version, actor, at_ms, body) \
       SELECT kind, id, 1, actor, at_ms, body FROM written JOIN given USING (kind, id)) \
     SELECT kind, id FROM written";

/// A document that is created, by whom and when.
pub(crate) struct Creation<'a> {
    pub(crate) document: &'a Document,
    pub(crate) actor: &'a str,
    pub(crate) now_ms: i64,
}

/// Documents of different ids without an external id, in one round trip. An inner error is a conflict that has changed
/// nothing.
pub(crate) async fn create_all(
    connection: &mut PgConnection,
    creations: &[Creation<'_>],
) -> Result<Vec<Result<(), StorageError>>, Failure> {
    let text = |of: fn(&Document) -> &str| -> Vec<_> {
        creations
            .iter()
            .map(|creation| storable(of(creation.document)))
            .collect()
    };
    let maybe = |of: fn(&Document) -> Option<&str>| -> Vec<_> {
        creations
            .iter()
            .map(|creation| of(creation.document).map(storable))
            .collect()
    };
    let number = |of: fn(&Creation<'_>) -> i64| -> Vec<_> { creations.iter().map(of).collect() };
    let bodies: Vec<_> = creations
        .iter()
        .map(|creation| creation.document.body.to_string())
        .collect();
    let actors: Vec<_> = creations
        .iter()
        .map(|creation| storable(creation.actor))
        .collect();
    let written: Vec<(String, String)> = sqlx::query_as(CREATE_ALL)
        .bind(text(|document| kind_name(document.kind)))
        .bind(text(|document| &document.id))
        .bind(maybe(|document| document.advertiser_id.as_deref()))
        .bind(maybe(|document| document.parent_id.as_deref()))
        .bind(text(|document| &document.name))
        .bind(text(|document| &document.status))
        .bind(number(|creation| creation.document.created_at_ms))
        .bind(number(|creation| creation.document.updated_at_ms))
        .bind(bodies)
        .bind(actors)
        .bind(number(|creation| creation.now_ms))
        .fetch_all(connection)
        .await?;
    let written: HashSet<(&str, &str)> = written.iter().map(|(kind, id)| (&**kind, &**id)).collect();
    let answer = |Creation { document, .. }: &Creation<'_>| {
        let is_written = written.contains(&(kind_name(document.kind), &*storable(&document.id)));
        is_written.then_some(()).ok_or_else(|| conflict(document))
    };
    Ok(creations.iter().map(answer).collect())
}

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
    Ok(Err(conflict(document)))
}

fn conflict(document: &Document) -> StorageError {
    StorageError::Conflict(match document.version {
        1 => format!("{} is taken", document.id),
        version => format!("{} is not at version {}", document.id, version.saturating_sub(1)),
    })
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

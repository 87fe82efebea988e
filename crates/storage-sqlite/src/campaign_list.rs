//! One page of documents.

use crate::campaigns::{DOCUMENT_COLUMNS, DocumentRow, kind_name};
use crate::error::storage_error;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};
use storage::StorageError;
use storage::campaign_store::{Document, Kind, ListQuery, OrderBy, OrderValue};

pub(crate) async fn list(
    connection: &mut SqliteConnection,
    kind: Kind,
    query: ListQuery,
) -> Result<Vec<Document>, StorageError> {
    let mut sql = QueryBuilder::<Sqlite>::new("SELECT ");
    sql.push(DOCUMENT_COLUMNS);
    sql.push(" FROM documents WHERE kind = ");
    sql.push_bind(kind_name(kind));
    push_filters(&mut sql, &query)?;
    push_order(&mut sql, &query);
    let rows: Vec<DocumentRow> = sql
        .build_query_as()
        .fetch_all(connection)
        .await
        .map_err(storage_error)?;
    rows.into_iter().map(|row| row.document(kind)).collect()
}

fn push_filters(sql: &mut QueryBuilder<Sqlite>, query: &ListQuery) -> Result<(), StorageError> {
    let equal = [
        (" AND advertiser_id = ", &query.advertiser_id),
        (" AND parent_id = ", &query.parent_id),
        (" AND external_id = ", &query.external_id),
    ];
    for (condition, value) in equal {
        if let Some(value) = value {
            sql.push(condition).push_bind(value.clone());
        }
    }
    if !query.statuses.is_empty() {
        sql.push(" AND status IN (SELECT value FROM json_each(");
        sql.push_bind(serde_json::to_string(&query.statuses)?);
        sql.push("))");
    }
    if let Some(part) = &query.name_contains {
        // LIKE compares ASCII letters without case.
        sql.push(" AND name LIKE ");
        sql.push_bind(format!("%{}%", escaped_for_like(part)));
        sql.push(r" ESCAPE '\'");
    }
    if let Some(since_ms) = query.updated_since_ms {
        sql.push(" AND updated_at_ms >= ").push_bind(since_ms);
    }
    Ok(())
}

/// The page's order and where it begins: after the last document seen, by (order value, id).
fn push_order(sql: &mut QueryBuilder<Sqlite>, query: &ListQuery) {
    let column = match query.order.by {
        OrderBy::CreatedAt => "created_at_ms",
        OrderBy::UpdatedAt => "updated_at_ms",
        OrderBy::Name => "name",
    };
    let (direction, beyond) = if query.order.descending {
        ("DESC", '<')
    } else {
        ("ASC", '>')
    };
    if let Some((value, id)) = &query.after {
        sql.push(format_args!(" AND ({column}, id) {beyond} ("));
        match value {
            OrderValue::Ms(ms) => sql.push_bind(*ms),
            OrderValue::Text(text) => sql.push_bind(text.clone()),
        };
        sql.push(", ").push_bind(id.clone()).push(")");
    }
    sql.push(format_args!(
        " ORDER BY {column} {direction}, id {direction} LIMIT "
    ));
    sql.push_bind(query.limit);
}

fn escaped_for_like(part: &str) -> String {
    let mut escaped = String::with_capacity(part.len());
    for letter in part.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

//! One page of documents.

use crate::documents::{DocumentRow, kind_name};
use crate::error::{Failure, storable};
use sqlx::{PgConnection, Postgres, QueryBuilder};
use storage::campaign_store::{Document, Kind, ListQuery, OrderBy, OrderValue};

pub(crate) async fn list(
    connection: &mut PgConnection,
    kind: Kind,
    query: &ListQuery,
) -> Result<Vec<Document>, Failure> {
    let mut sql = QueryBuilder::<Postgres>::new(
        "SELECT id, advertiser_id, parent_id, external_id, name, status, version, created_at_ms, updated_at_ms, body \
         FROM documents WHERE kind = ",
    );
    sql.push_bind(kind_name(kind));
    push_filters(&mut sql, query);
    push_order(&mut sql, query);
    let rows: Vec<DocumentRow> = sql.build_query_as().fetch_all(connection).await?;
    rows.into_iter().map(|row| row.document(kind)).collect()
}

fn push_filters(sql: &mut QueryBuilder<Postgres>, query: &ListQuery) {
    let equal = [
        (" AND advertiser_id = ", &query.advertiser_id),
        (" AND parent_id = ", &query.parent_id),
        (" AND external_id = ", &query.external_id),
    ];
    for (condition, value) in equal {
        if let Some(value) = value {
            sql.push(condition).push_bind(storable(value));
        }
    }
    if !query.statuses.is_empty() {
        let statuses: Vec<_> = query.statuses.iter().map(|status| storable(status)).collect();
        sql.push(" AND status = ANY(").push_bind(statuses).push(")");
    }
    if let Some(part) = &query.name_contains {
        // In the collation "C", ILIKE folds ASCII letters alone.
        sql.push(" AND name ILIKE ");
        sql.push_bind(format!("%{}%", escaped_for_like(&storable(part))));
        sql.push(r" ESCAPE '\'");
    }
    if let Some(since_ms) = query.updated_since_ms {
        sql.push(" AND updated_at_ms >= ").push_bind(since_ms);
    }
}

/// The page's order and where it begins: after the last document seen, by (order value, id).
fn push_order(sql: &mut QueryBuilder<Postgres>, query: &ListQuery) {
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
            OrderValue::Text(text) => sql.push_bind(storable(text)),
        };
        sql.push(", ").push_bind(storable(id)).push(")");
    }
    sql.push(format_args!(
        " ORDER BY {column} {direction}, id {direction} LIMIT "
    ));
    sql.push_bind(i64::from(query.limit));
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

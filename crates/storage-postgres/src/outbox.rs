//! The outbox: what others must hear of, and the one relay that sends it.

use crate::error::{Failure, storable};
use sqlx::PgConnection;
use storage::StorageError;
use storage::campaign_store::{Announcement, Outgoing, RelayClaim};

/// From here to the commit writes go one after the other: revisions and outbox sequences become visible in their order,
/// and what a later statement of this transaction reads holds every earlier write.
pub(crate) async fn raise_revision(connection: &mut PgConnection) -> Result<(), Failure> {
    sqlx::query("UPDATE store SET revision = revision + 1 WHERE one = 1")
        .execute(connection)
        .await?;
    Ok(())
}

/// What is one object each goes in with the raising of the revision, in one statement: all writes wait for it. The rows come
/// from the raised one, so that their sequences are given under its lock.
const RAISE_AND_ANNOUNCE: &str = "WITH raised AS (UPDATE store SET revision = revision + 1 WHERE one = 1 RETURNING one) \
    INSERT INTO outbox (kind, id, written_at_ms) SELECT told.kind, told.id, told.at_ms \
    FROM raised CROSS JOIN unnest($1::TEXT[], $2::TEXT[], $3::BIGINT[]) \
    WITH ORDINALITY AS told (kind, id, at_ms, place) ORDER BY told.place";

/// The same with the traces of the writes. Only then is their column named, since the schema of the release before lacks it.
const RAISE_AND_ANNOUNCE_TRACED: &str = "WITH raised AS (UPDATE store SET revision = revision + 1 WHERE one = 1 RETURNING one) \
    INSERT INTO outbox (kind, id, written_at_ms, traceparent) SELECT told.kind, told.id, told.at_ms, told.traceparent \
    FROM raised CROSS JOIN unnest($1::TEXT[], $2::TEXT[], $3::BIGINT[], $4::TEXT[]) \
    WITH ORDINALITY AS told (kind, id, at_ms, traceparent, place) ORDER BY told.place";

/// Which campaigns an advertiser has is looked at under the lock, by a statement of its own.
const ANNOUNCE_CAMPAIGNS_OF: &str = "INSERT INTO outbox (kind, id, written_at_ms) \
    SELECT 'campaign', id, $2 FROM documents WHERE kind = 'campaign' AND advertiser_id = $1";

const ANNOUNCE_CAMPAIGNS_OF_TRACED: &str = "INSERT INTO outbox (kind, id, written_at_ms, traceparent) \
    SELECT 'campaign', id, $2, $3 FROM documents WHERE kind = 'campaign' AND advertiser_id = $1";

/// What is announced, and what its row says of the write.
pub(crate) struct Told<'a> {
    pub(crate) announcement: &'a Announcement,
    pub(crate) now_ms: i64,
    pub(crate) traceparent: Option<&'a str>,
}

/// Raises the revision, as [`raise_revision`] does, and announces each as of its instant.
pub(crate) async fn raise_and_announce(
    connection: &mut PgConnection,
    announcements: &[Told<'_>],
) -> Result<(), Failure> {
    let (mut kinds, mut ids, mut advertisers) = (Vec::new(), Vec::new(), Vec::new());
    let (mut instants_ms, mut traceparents) = (Vec::new(), Vec::new());
    for told in announcements {
        let (kind, id) = match told.announcement {
            Announcement::Campaign(id) => ("campaign", id),
            Announcement::Exchange(id) => ("exchange", id),
            Announcement::CampaignsOf(advertiser_id) => {
                advertisers.push((advertiser_id, told));
                continue;
            }
        };
        kinds.push(kind);
        ids.push(storable(id));
        instants_ms.push(told.now_ms);
        traceparents.push(told.traceparent);
    }
    let is_traced = traceparents.iter().any(Option::is_some);
    let statement = if is_traced {
        RAISE_AND_ANNOUNCE_TRACED
    } else {
        RAISE_AND_ANNOUNCE
    };
    let mut raise = sqlx::query(statement).bind(kinds).bind(ids).bind(instants_ms);
    if is_traced {
        raise = raise.bind(traceparents);
    }
    raise.execute(&mut *connection).await?;
    for (advertiser_id, told) in advertisers {
        let announce = match told.traceparent {
            None => sqlx::query(ANNOUNCE_CAMPAIGNS_OF)
                .bind(storable(advertiser_id))
                .bind(told.now_ms),
            Some(traceparent) => sqlx::query(ANNOUNCE_CAMPAIGNS_OF_TRACED)
                .bind(storable(advertiser_id))
                .bind(told.now_ms)
                .bind(traceparent),
        };
        announce.execute(&mut *connection).await?;
    }
    Ok(())
}

pub(crate) async fn announce_all(connection: &mut PgConnection, now_ms: i64) -> Result<u64, Failure> {
    raise_revision(connection).await?;
    let announced = sqlx::query(
        "INSERT INTO outbox (kind, id, written_at_ms) \
         SELECT 'campaign', id, $1 FROM documents WHERE kind = 'campaign' AND status <> 'archived'",
    )
    .bind(now_ms)
    .execute(connection)
    .await?;
    Ok(announced.rows_affected())
}

/// The generation first: its row is the lock that announcements are written under.
pub(crate) async fn begin_generation(
    connection: &mut PgConnection,
    past: i64,
    now_ms: i64,
) -> Result<i64, Failure> {
    let generation = sqlx::query_scalar(
        "UPDATE store SET generation = greatest(generation + 1, $1, $2) WHERE one = 1 RETURNING generation",
    )
    .bind(past.saturating_add(1))
    .bind(now_ms)
    .fetch_one(&mut *connection)
    .await?;
    announce_all(connection, now_ms).await?;
    sqlx::query(
        "INSERT INTO outbox (kind, id, written_at_ms) SELECT 'exchange', id, $1 FROM documents WHERE kind = 'exchange'",
    )
    .bind(now_ms)
    .execute(connection)
    .await?;
    Ok(generation)
}

pub(crate) async fn claim(
    connection: &mut PgConnection,
    relay_id: &str,
    now_ms: i64,
    hold_ms: i64,
) -> Result<Option<RelayClaim>, Failure> {
    // Renewed by its holder the fence stays; taken over it rises, which is what stops the old holder.
    let fence: Option<i64> = sqlx::query_scalar(
        "INSERT INTO relay AS held (one, relay_id, fence, until_ms) VALUES (1, $1, 1, $2) \
         ON CONFLICT (one) DO UPDATE SET fence = held.fence + (held.relay_id <> $1)::INT, relay_id = $1, until_ms = $2 \
         WHERE held.relay_id = $1 OR held.until_ms <= $3 RETURNING fence",
    )
    .bind(relay_id)
    .bind(now_ms.saturating_add(hold_ms))
    .bind(now_ms)
    .fetch_optional(connection)
    .await?;
    Ok(fence.map(|fence| RelayClaim {
        relay_id: relay_id.to_owned(),
        fence,
    }))
}

pub(crate) async fn waiting(connection: &mut PgConnection, limit: u32) -> Result<Vec<Outgoing>, Failure> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT sequence, kind, id, written_at_ms, to_jsonb(outbox) ->> 'traceparent' FROM outbox ORDER BY sequence LIMIT $1",
    )
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(outgoing).collect()
}

type Row = (i64, String, String, i64, Option<String>);

fn outgoing((sequence, kind, id, written_at_ms, traceparent): Row) -> Result<Outgoing, Failure> {
    let announcement = match kind.as_str() {
        "campaign" => Announcement::Campaign(id),
        "exchange" => Announcement::Exchange(id),
        other => return Err(StorageError::Corrupt(format!("outbox row of kind {other}")).into()),
    };
    Ok(Outgoing {
        sequence,
        announcement,
        written_at_ms,
        traceparent,
    })
}

pub(crate) async fn mark_sent(
    connection: &mut PgConnection,
    claim: &RelayClaim,
    sequences: &[i64],
) -> Result<(), Failure> {
    // Locked until the commit: nobody takes the claim over between this look and the rows' end.
    let holds: Option<i32> =
        sqlx::query_scalar("SELECT 1 FROM relay WHERE one = 1 AND relay_id = $1 AND fence = $2 FOR UPDATE")
            .bind(&claim.relay_id)
            .bind(claim.fence)
            .fetch_optional(&mut *connection)
            .await?;
    if holds.is_none() {
        return Err(StorageError::Conflict("the relay's claim was taken over".to_owned()).into());
    }
    sqlx::query("DELETE FROM outbox WHERE sequence = ANY($1)")
        .bind(sequences)
        .execute(connection)
        .await?;
    Ok(())
}

//! Behind PgBouncer in transaction mode, where nothing of a session outlives its transaction.

use crate::at_once::{exchange, write_of};
use crate::server::{Server, Stores as _, store_at};
use std::sync::Arc;
use storage::campaign_store::Kind;
use storage::{CampaignStore, ReportStore, contract};
use storage_postgres::PostgresStore;
use test_servers::postgres::PgBouncer;
use tokio::task::JoinSet;

async fn pooled() -> Option<(Server, PgBouncer)> {
    let server = Server::start().await?;
    let pooler = PgBouncer::before(&server).await?;
    Some((server, pooler))
}

async fn fresh(server: &Server, pooler: &PgBouncer) -> Arc<PostgresStore> {
    let store = store_at(&pooler.url(&server.database().await));
    store.migrate().await.unwrap();
    Arc::new(store)
}

#[tokio::test]
async fn campaign_store_keeps_its_contract_behind_a_pooler() {
    let Some((server, pooler)) = pooled().await else {
        return;
    };
    contract::campaign_store::all(async || fresh(&server, &pooler).await as Arc<dyn CampaignStore>).await;
}

#[tokio::test]
async fn report_store_keeps_its_contract_behind_a_pooler() {
    let Some((server, pooler)) = pooled().await else {
        return;
    };
    contract::report_store::all(async || fresh(&server, &pooler).await as Arc<dyn ReportStore>).await;
}

#[tokio::test]
async fn replicas_that_start_together_behind_a_pooler_migrate_once() {
    let Some((server, pooler)) = pooled().await else {
        return;
    };
    let database = server.database().await;
    let mut starting = JoinSet::new();
    for _ in 0..8 {
        let store = store_at(&pooler.url(&database));
        starting.spawn(async move { store.migrate().await });
    }
    for migrated in starting.join_all().await {
        migrated.unwrap();
    }
    let store = store_at(&server.url(&database));
    assert!(store.is_migrated().await.unwrap());
    assert_eq!(store.outgoing_backlog().await.unwrap().0, 1);
}

/// More writers than the pooler has connections: their transactions take turns on them.
#[tokio::test]
async fn writers_that_share_connections_lose_nothing() {
    let Some((server, pooler)) = pooled().await else {
        return;
    };
    let database = server.database().await;
    server.store(&database).await;
    let mut writing = JoinSet::new();
    for writer in 0..16 {
        let store = store_at(&pooler.url(&database));
        writing.spawn(async move {
            for n in 0..10 {
                let id = format!("e{writer}-{n}");
                store.write(write_of(exchange(&id, 1))).await.unwrap();
                assert!(store.get(Kind::Exchange, &id).await.unwrap().is_some());
            }
        });
    }
    writing.join_all().await;
    let store = store_at(&server.url(&database));
    assert_eq!(store.revision().await.unwrap().1, 161);
}

//! A primary that hangs while its standby takes over: the whole pool turns, and stays there.

use crate::at_once::{exchange, write_of};
use crate::server::{Server, Stores as _, store_at};
use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::CampaignStore;
use storage::campaign_store::Kind;
use storage_postgres::PostgresStore;
use tokio::task::JoinSet;

/// As many at once as the pool has connections.
async fn read_on_all_connections(store: &Arc<PostgresStore>) {
    let mut reading = JoinSet::new();
    for _ in 0..8 {
        let store = store.clone();
        reading.spawn(async move { store.list(Kind::Exchange, &Default::default()).await });
    }
    for read in reading.join_all().await {
        read.unwrap();
    }
}

#[tokio::test]
async fn no_connection_leads_back_to_a_primary_that_hung_and_was_replaced() {
    let Some(primary) = Server::start().await else {
        return;
    };
    let database = primary.database().await;
    primary.store(&database).await;
    let standby = primary.standby().await;
    let url = format!(
        "postgres://postgres@127.0.0.1:{},127.0.0.1:{}/{database}",
        primary.port, standby.port
    );
    let store = Arc::new(store_at(&url));
    read_on_all_connections(&store).await;
    primary.pause();
    standby.promote().await;
    let deadline = Instant::now() + Duration::from_secs(60);
    while let Err(error) = store.write(write_of(exchange("after", 1))).await {
        assert!(Instant::now() < deadline, "{error}");
    }
    // The old one is itself again and takes what is sent to it: nothing may be.
    primary.unpause();
    let asked = Instant::now();
    read_on_all_connections(&store).await;
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    for n in 0..20 {
        store
            .write(write_of(exchange(&format!("later-{n}"), 1)))
            .await
            .unwrap();
    }
    let replaced = store_at(&primary.url(&database));
    for id in ["after", "later-0", "later-19"] {
        assert!(store.get(Kind::Exchange, id).await.unwrap().is_some());
        assert_eq!(replaced.get(Kind::Exchange, id).await.unwrap(), None);
    }
}

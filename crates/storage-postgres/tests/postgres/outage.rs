//! The server goes away and comes back.

use crate::at_once::{exchange, write_of};
use crate::server::{Server, Stores as _, store_at};
use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::campaign_store::Kind;
use storage::{CampaignStore, StorageError};
use storage_postgres::PostgresStore;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Tasks that write without a pause.
struct Writers {
    tasks: JoinSet<Written>,
    is_up_again: watch::Sender<bool>,
}

/// The ids acknowledged, and whether the outage was noticed.
type Written = (Vec<String>, bool);

impl Writers {
    /// Returns once a hundred writes are done.
    async fn start(store: &Arc<PostgresStore>) -> Self {
        let (is_up_again, watching) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for writer in 0..6 {
            tasks.spawn(write_through(store.clone(), writer, watching.clone()));
        }
        let deadline = Instant::now() + Duration::from_secs(30);
        while store.outgoing_backlog().await.unwrap().0 < 100 {
            assert!(Instant::now() < deadline, "the writers do not come on");
        }
        Self { tasks, is_up_again }
    }

    async fn find_everything_acknowledged(self, store: &PostgresStore) {
        self.is_up_again.send_replace(true);
        for (acknowledged, noticed_outage) in self.tasks.join_all().await {
            assert!(noticed_outage);
            for id in acknowledged {
                assert!(
                    store.get(Kind::Exchange, &id).await.unwrap().is_some(),
                    "{id} was lost"
                );
            }
        }
    }
}

/// Writes until 20 writes were acknowledged after the outage.
async fn write_through(
    store: Arc<PostgresStore>,
    writer: usize,
    is_up_again: watch::Receiver<bool>,
) -> Written {
    let mut acknowledged = Vec::new();
    let mut noticed_outage = false;
    let mut after = 0;
    let mut n = 0;
    while after < 20 {
        let begun_after = *is_up_again.borrow();
        let id = format!("e{writer}-{n}");
        match store.write(write_of(exchange(&id, 1))).await {
            Ok(_) => {
                acknowledged.push(id);
                n += 1;
                after += usize::from(begun_after);
            }
            // An earlier attempt had taken effect after all.
            Err(StorageError::Conflict(_)) => n += 1,
            Err(StorageError::Unavailable(_)) => noticed_outage = true,
            Err(error) => panic!("{error}"),
        }
    }
    (acknowledged, noticed_outage)
}

#[tokio::test]
async fn a_server_that_stops_and_starts_loses_nothing_it_acknowledged() {
    let Some(mut server) = Server::start().await else {
        return;
    };
    let database = server.database().await;
    let store = Arc::new(server.store(&database).await);
    let writers = Writers::start(&store).await;
    server.stop();
    let asked = Instant::now();
    let refused = store.get(Kind::Exchange, "default").await;
    assert!(
        matches!(refused, Err(StorageError::Unavailable(_))),
        "{refused:?}"
    );
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    server.resume().await;
    writers.find_everything_acknowledged(&store).await;
}

#[tokio::test]
async fn a_store_may_be_made_before_its_server_is_there() {
    let Some(mut server) = Server::start().await else {
        return;
    };
    let database = server.database().await;
    server.stop();
    let store = store_at(&server.url(&database));
    let refused = store.migrate().await;
    assert!(
        matches!(refused, Err(StorageError::Unavailable(_))),
        "{refused:?}"
    );
    server.resume().await;
    store.migrate().await.unwrap();
    assert_eq!(store.revision().await.unwrap().1, 1);
}

#[tokio::test]
async fn a_read_only_server_is_unavailable_and_its_connections_are_not_kept() {
    let Some(server) = Server::start().await else {
        return;
    };
    let database = server.database().await;
    server.store(&database).await;
    let read_only =
        |setting: &str| format!("ALTER DATABASE {database} SET default_transaction_read_only = {setting}");
    server.execute("postgres", &read_only("on")).await;
    let store = store_at(&server.url(&database));
    let refused = store.write(write_of(exchange("e", 1))).await;
    assert!(
        matches!(refused, Err(StorageError::Unavailable(_))),
        "{refused:?}"
    );
    // The setting is of the session: a connection that was kept would still refuse.
    server.execute("postgres", &read_only("off")).await;
    store.write(write_of(exchange("e", 1))).await.unwrap();
}

#[tokio::test]
async fn connections_that_the_server_ended_are_replaced_unnoticed() {
    let Some(server) = Server::start().await else {
        return;
    };
    let database = server.database().await;
    let store = server.store(&database).await;
    store.revision().await.unwrap();
    let end_all =
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'");
    server.execute("postgres", &end_all).await;
    store.write(write_of(exchange("e", 1))).await.unwrap();
}

#[tokio::test]
async fn of_a_list_of_hosts_the_one_that_answers_is_found() {
    let Some(mut server) = Server::start().await else {
        return;
    };
    let Some(other) = Server::start().await else {
        return;
    };
    let database = server.database().await;
    assert_eq!(other.database().await, database);
    other.store(&database).await;
    server.store(&database).await;
    let url = format!(
        "postgres://postgres@127.0.0.1:{},127.0.0.1:{}/{database}",
        server.port, other.port
    );
    let store = store_at(&url);
    let first = store.revision().await.unwrap();
    server.stop();
    let second = store.revision().await.unwrap();
    assert_ne!(first.0, second.0, "each server has a generation of its own");
}

#[tokio::test]
async fn the_promotion_of_a_synchronous_standby_loses_nothing_acknowledged() {
    let Some(mut primary) = Server::start().await else {
        return;
    };
    let database = primary.database().await;
    primary.store(&database).await;
    let standby = primary.synchronous_standby().await;
    // The standby comes first in the list, and is not written to while it is one.
    let url = format!(
        "postgres://postgres@127.0.0.1:{},127.0.0.1:{}/{database}",
        standby.port, primary.port
    );
    let store = Arc::new(store_at(&url));
    store.migrate().await.unwrap();
    let writers = Writers::start(&store).await;
    primary.stop();
    let refused = store.revision().await;
    assert!(
        matches!(refused, Err(StorageError::Unavailable(_))),
        "{refused:?}"
    );
    standby.execute("postgres", "SELECT pg_promote()").await;
    writers.find_everything_acknowledged(&store).await;
}

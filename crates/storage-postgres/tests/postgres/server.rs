//! Stores on a server.

use storage_postgres::{PostgresStore, Settings};
pub(crate) use test_servers::postgres::Server;

pub(crate) trait Stores {
    /// With the schema of this program.
    async fn store(&self, database: &str) -> PostgresStore;
}

impl Stores for Server {
    async fn store(&self, database: &str) -> PostgresStore {
        let store = store_at(&self.url(database));
        store.migrate().await.unwrap();
        store
    }
}

pub(crate) fn store_at(url: &str) -> PostgresStore {
    store_with(url, None)
}

pub(crate) fn store_with(url: &str, replica_url: Option<String>) -> PostgresStore {
    let settings = Settings {
        database_url: url.to_owned(),
        replica_url,
        pool_size: 8,
    };
    PostgresStore::new(&settings).unwrap()
}

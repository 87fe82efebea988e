//! Schemas of other releases: migrations expand, and contract a release later (see the crate's first page).

use crate::at_once::{exchange, write_of};
use crate::server::{Server, Stores as _, store_at};
use sqlx::{Connection, PgConnection};
use std::sync::Arc;
use storage::campaign_store::Kind;
use storage::{CampaignStore, contract};

/// The newest migration that a release has shipped with; a release moves it up. The first release has none before it: its
/// first migration is where expanding begins.
const RELEASED: i64 = 1;

/// What an earlier program's statements would fail at or miss.
const CONTRACTS: [&str; 8] = [
    "DROP TABLE",
    "DROP COLUMN",
    "RENAME",
    "SET NOT NULL",
    " TYPE ",
    "DROP DEFAULT",
    "TRUNCATE",
    "ADD CONSTRAINT",
];

/// Statements that contract, in upper case with single spaces, each with a migration of the first release whose programs do
/// without what it takes away: an empty one where it has no other, so that the release can be told from the one before.
/// Once that release is out, the next may take it away.
const UNUSED_SINCE: [(&str, i64); 0] = [];

fn migrations() -> Vec<(i64, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let mut found: Vec<(i64, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| {
            let file = file.unwrap();
            let name = file.file_name().into_string().unwrap();
            let version = name.split('_').next().unwrap().parse().unwrap();
            (version, std::fs::read_to_string(file.path()).unwrap())
        })
        .collect();
    found.sort_unstable();
    found
}

/// Statements in upper case with single spaces, without comments.
fn statements(sql: &str) -> Vec<String> {
    let code: Vec<&str> = sql
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default())
        .collect();
    code.join(" ")
        .split(';')
        .map(|statement| {
            let words: Vec<&str> = statement.split_whitespace().collect();
            words.join(" ").to_uppercase()
        })
        .collect()
}

fn contracts(statement: &str) -> bool {
    // A column that an earlier program does not know of must do without its values.
    let demands = statement.contains("ADD COLUMN")
        && statement.contains("NOT NULL")
        && !statement.contains("DEFAULT")
        && !statement.contains("GENERATED");
    demands || CONTRACTS.iter().any(|words| statement.contains(words))
}

/// `released` is the newest migration of the last release: its programs may still run while this one's migrate.
fn may_contract(statement: &str, unused_since: &[(&str, i64)], released: i64) -> bool {
    let mut known = unused_since.iter();
    known.any(|(contraction, since)| *contraction == statement && *since <= released)
}

/// Whether writers of a table that exists already wait until all of its rows are read.
fn stops_writers(statement: &str, made_here: &[String]) -> bool {
    let Some((_, on)) = statement
        .split_once("INDEX ")
        .filter(|(create, _)| create.starts_with("CREATE"))
        .and_then(|(_, index)| index.split_once(" ON "))
    else {
        return false;
    };
    let table = on.split([' ', '(']).next().unwrap_or_default();
    !statement.contains(" CONCURRENTLY ") && !made_here.iter().any(|made| made == table)
}

fn tables_made(statements: &[String]) -> Vec<String> {
    let named = statements
        .iter()
        .filter_map(|statement| statement.strip_prefix("CREATE TABLE "));
    named
        .map(|rest| rest.split([' ', '(']).next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn migrations_index_no_table_that_is_written_meanwhile() {
    for (version, sql) in migrations() {
        let statements = statements(&sql);
        let made = tables_made(&statements);
        for statement in &statements {
            assert!(
                !stops_writers(statement, &made),
                "migration {version} stops writers for as long as it reads the table: {statement}"
            );
        }
    }
    let late = statements("CREATE TABLE a (b INT); CREATE INDEX c ON a (b); CREATE UNIQUE INDEX d ON e (f)");
    let stops = late.iter().map(|one| stops_writers(one, &tables_made(&late)));
    assert_eq!(stops.collect::<Vec<_>>(), [false, false, true]);
}

#[test]
fn migrations_since_the_last_release_only_expand() {
    for (version, sql) in migrations() {
        for statement in statements(&sql) {
            assert!(
                version <= RELEASED
                    || !contracts(&statement)
                    || may_contract(&statement, &UNUSED_SINCE, RELEASED),
                "migration {version} contracts what the release before may still use, see UNUSED_SINCE: {statement}"
            );
        }
    }
}

#[test]
fn a_contraction_is_told_from_an_expansion() {
    let contracting = "ALTER TABLE a DROP COLUMN b; ALTER TABLE a ALTER b TYPE INT; \
                       ALTER TABLE a ADD COLUMN c INT NOT NULL; ALTER TABLE a RENAME TO b";
    assert!(statements(contracting).iter().all(|one| contracts(one)));
    let expanding = "CREATE TABLE a (b INT NOT NULL); ALTER TABLE a ADD COLUMN c INT NOT NULL DEFAULT 0; \
                     CREATE INDEX d ON a (b); -- DROP TABLE a";
    assert!(!statements(expanding).iter().any(|one| contracts(one)));
}

#[test]
fn what_a_release_did_without_may_go_in_the_next() {
    let drop = "ALTER TABLE A DROP COLUMN B";
    let unused_since = [(drop, 30)];
    assert!(
        !may_contract(drop, &unused_since, 20),
        "the last release still uses it"
    );
    assert!(may_contract(drop, &unused_since, 30) && may_contract(drop, &unused_since, 40));
    assert!(!may_contract("ALTER TABLE A DROP COLUMN C", &unused_since, 40));
}

/// Every schema that a running database may have when this program comes, and what its program had written there.
#[tokio::test]
async fn each_earlier_schema_is_told_apart_and_brought_up_with_what_it_holds() {
    let Some(server) = Server::start().await else {
        return;
    };
    let all = migrations();
    let newest = all.last().unwrap().0;
    for (version, _) in all.iter().filter(|(version, _)| *version >= RELEASED) {
        let store = store_at(&server.url(&server.database().await));
        assert!(!store.is_migrated().await.unwrap());
        store.migrate_up_to(*version).await.unwrap();
        assert_eq!(store.is_migrated().await.unwrap(), *version == newest);
        store.write(write_of(exchange("e", 1))).await.unwrap();
        let generation = store.revision().await.unwrap().0;
        store.migrate().await.unwrap();
        store.migrate().await.unwrap();
        assert!(store.is_migrated().await.unwrap());
        assert!(store.get(Kind::Exchange, "e").await.unwrap().is_some());
        assert_eq!(store.revision().await.unwrap(), (generation, 2));
    }
}

/// campaign-service of this release, started before the migration job has run.
#[tokio::test]
async fn campaign_store_keeps_its_contract_on_the_schema_of_the_release_before() {
    let Some(server) = Server::start().await else {
        return;
    };
    let on_released = async || {
        let store = store_at(&server.url(&server.database().await));
        store.migrate_up_to(RELEASED).await.unwrap();
        Arc::new(store) as Arc<dyn CampaignStore>
    };
    contract::campaign_store::untraced(&on_released).await;
}

/// A dump, say, reads a table for long: a migration that wants the table waits, and nobody waits behind it for longer than
/// their own patience.
#[tokio::test]
async fn a_migration_that_waits_for_a_table_lets_writes_through() {
    let Some(server) = Server::start().await else {
        return;
    };
    let database = server.database().await;
    let store = Arc::new(store_at(&server.url(&database)));
    store.migrate_up_to(RELEASED).await.unwrap();
    let mut reader = PgConnection::connect(&server.url(&database)).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE outbox IN ACCESS SHARE MODE")
        .execute(&mut reader)
        .await
        .unwrap();
    let migrating = tokio::spawn({
        let store = store.clone();
        async move { store.migrate().await }
    });
    let wanted = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'outbox'::regclass";
    loop {
        let waiting: i64 = sqlx::query_scalar(wanted).fetch_one(&mut reader).await.unwrap();
        if waiting > 0 {
            break;
        }
        tokio::task::yield_now().await;
    }
    store.write(write_of(exchange("e", 1))).await.unwrap();
    assert!(!migrating.is_finished());
    sqlx::raw_sql("COMMIT").execute(&mut reader).await.unwrap();
    migrating.await.unwrap().unwrap();
    assert!(store.is_migrated().await.unwrap());
}

/// A program of the release before beside the one that migrated: a rolling update.
#[tokio::test]
async fn a_schema_newer_than_the_program_is_served_and_left_as_it_is() {
    let Some(server) = Server::start().await else {
        return;
    };
    let database = server.database().await;
    let store = server.store(&database).await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (9999, 'later', true, '', 0); ALTER TABLE documents ADD COLUMN later TEXT; \
                 ALTER TABLE store ADD COLUMN later BIGINT NOT NULL DEFAULT 7";
    server.execute(&database, newer).await;
    assert!(store.is_migrated().await.unwrap());
    store.migrate().await.unwrap();
    store.write(write_of(exchange("e", 1))).await.unwrap();
    assert!(store.get(Kind::Exchange, "e").await.unwrap().is_some());
}

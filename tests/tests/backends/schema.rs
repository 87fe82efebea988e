//! Services on a database whose schema is of another release than they are.

use crate::events::log_on;
use adplatform_tests::eventually;
use adplatform_tests::service::Service;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use storage_postgres::PostgresStore;
use test_servers::kafka::Broker;
use test_servers::postgres::Server;

const KEY: &str = "an-administrator-s-key";
/// The schema that the first release shipped with: before this program's own.
const EARLIER: i64 = 1;
/// As a later release may leave the database: it has only added, and this program knows of none of it.
const LATER: &str = "\
    INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
      VALUES (9999, 'later', true, '', 0); \
    ALTER TABLE documents ADD COLUMN later TEXT; \
    ALTER TABLE store ADD COLUMN later BIGINT NOT NULL DEFAULT 7; \
    ALTER TABLE outbox ADD COLUMN later TEXT; \
    ALTER TABLE idempotency ADD COLUMN later TEXT DEFAULT 'x'; \
    ALTER TABLE rollups ADD COLUMN later BIGINT NOT NULL DEFAULT 0; \
    ALTER TABLE report_offsets ADD COLUMN later BIGINT; \
    ALTER TABLE report_event_ids ADD COLUMN later BIGINT NOT NULL DEFAULT 0; \
    ALTER TABLE ledger_spend ADD COLUMN later BIGINT NOT NULL DEFAULT 0; \
    CREATE TABLE later (one BIGINT PRIMARY KEY)";

fn store(url: &str) -> PostgresStore {
    PostgresStore::new(&storage_postgres::Settings {
        database_url: url.to_owned(),
        replica_url: None,
        pool_size: 2,
    })
    .unwrap()
}

/// Those that use the database, as a cluster runs them. Redis is away, which neither of them waits for.
fn services(folder: &Path, broker: &Broker, database_url: &str) -> [Service; 2] {
    let settings = [
        ("ENVIRONMENT", "production".to_owned()),
        ("KAFKA_BROKERS", broker.bootstrap()),
        ("REDIS_URL", "redis://127.0.0.1:1".to_owned()),
        ("DATABASE_URL", database_url.to_owned()),
        ("ADMIN_API_KEY", KEY.to_owned()),
        (
            "NOTICE_SECRET",
            "k1:a-notice-key-of-more-than-thirty-two-bytes".to_owned(),
        ),
        ("SHUTDOWN_DRAIN_SECONDS", "0".to_owned()),
        ("LOG_FORMAT", "json".to_owned()),
    ];
    ["campaign-service", "analytics-service"].map(|name| Service::new(name, folder.join(name), &settings))
}

async fn broker_with_topics() -> Option<Broker> {
    let broker = Broker::start().await?;
    log_on(&broker).await;
    Some(broker)
}

/// What it says of the database's schema, as `waits_for`.
fn waits_for(service: &Service) -> Vec<String> {
    let lines = service.logged();
    let told = lines.iter().filter_map(|line| line["waits_for"].as_str());
    told.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_comes_before_its_migration_says_so_once_and_waits() {
    let _with_others = crate::ALONE.read().await;
    let (Some(broker), Some(postgres)) = (broker_with_topics().await, Server::start().await) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let url = postgres.url(&postgres.database().await);
    let store = store(&url);
    store.migrate_up_to(EARLIER).await.unwrap();
    let client = Client::new();
    let mut services = services(folder.path(), &broker, &url);
    for service in &mut services {
        service.start();
    }
    for service in &services {
        eventually("it says what it waits for", || async {
            (!waits_for(service).is_empty()).then_some(())
        })
        .await;
    }
    // It has looked several times by then, once a second.
    tokio::time::sleep(Duration::from_secs(4)).await;
    for service in &mut services {
        assert_eq!(
            service.is_ready(&client).await,
            Some(false),
            "{}",
            service.last_words()
        );
        assert_eq!(
            waits_for(service),
            ["a migration: its schema is older than this program's"],
            "{}",
            service.last_words()
        );
        // A task that lacks a table says so too, once.
        let lines = service.logged();
        let loud = lines
            .iter()
            .filter(|line| matches!(line["level"].as_str(), Some("WARN" | "ERROR")));
        let told: Vec<[&Value; 2]> = loud.map(|line| [&line["message"], &line["what"]]).collect();
        let repeated = told
            .iter()
            .enumerate()
            .any(|(place, one)| told[..place].contains(one));
        assert!(!repeated, "{}", service.last_words());
    }
    store.migrate().await.unwrap();
    for service in &mut services {
        service.ready(&client).await;
    }
    works(&client, &services).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_work_on_a_schema_that_a_later_release_has_added_to() {
    let _with_others = crate::ALONE.read().await;
    let (Some(broker), Some(postgres)) = (broker_with_topics().await, Server::start().await) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let database = postgres.database().await;
    let url = postgres.url(&database);
    store(&url).migrate().await.unwrap();
    postgres.execute(&database, LATER).await;
    let client = Client::new();
    let mut services = services(folder.path(), &broker, &url);
    for service in &mut services {
        service.start();
        service.ready(&client).await;
    }
    works(&client, &services).await;
}

/// Both write to the database: a change that is published, and events that come to a report.
async fn works(client: &Client, [campaigns, analytics]: &[Service; 2]) {
    let created = client
        .post(format!("{}/advertisers", campaigns.url()))
        .bearer_auth(KEY)
        .header("idempotency-key", "once")
        .json(&json!({"name": "Brand"}))
        .send()
        .await
        .unwrap();
    assert_eq!(created.status(), StatusCode::CREATED);
    eventually("what is written is published", || async {
        let pending = campaigns.metric(client, "outbox_pending").await?;
        (pending == 0.0).then_some(())
    })
    .await;
    let url = format!("{}/analytics/report?metrics=bids", analytics.url());
    let report = client.get(url).bearer_auth(KEY).send().await.unwrap();
    assert_eq!(report.status(), StatusCode::OK);
    eventually("checkpoints are looked for", || async {
        analytics.metric(client, "report_freshness_seconds").await
    })
    .await;
}

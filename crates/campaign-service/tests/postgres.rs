//! The program on a real PostgreSQL, with Redis and Kafka away: started before its database, ahead of its schema, and
//! through an outage.
#![expect(
    clippy::unwrap_used,
    reason = "a test that meets what it does not expect ends"
)]

use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use storage_postgres::{PostgresStore, Settings};
use test_servers::postgres::Server;

const KEY: &str = "administrator-of-this-test";
const PATIENCE: Duration = Duration::from_secs(30);
/// Nobody listens there.
const AWAY: &str = "127.0.0.1:1";

#[tokio::test]
async fn a_service_that_is_early_waits_for_its_database_and_for_the_migration() {
    let Some(mut server) = Server::start().await else {
        return;
    };
    let database = server.database().await;
    server.stop();
    let service = Service::start(&server.url(&database), "production");
    service.says("backends are chosen").await;
    service.says("its server").await;
    assert_eq!(service.ready().await.status(), StatusCode::SERVICE_UNAVAILABLE);

    server.resume().await;
    service.says("a migration: its schema is older").await;
    let waiting: Value = service.ready().await.json().await.unwrap();
    assert!(waiting["waiting_for"].to_string().contains("schema"), "{waiting}");
    // Nothing of the kind is the client's doing, and it passes.
    let early = service.new_advertiser().await;
    assert_eq!(early.status(), StatusCode::SERVICE_UNAVAILABLE);

    store_at(&server.url(&database)).migrate().await.unwrap();
    service.becomes_ready().await;
    // Redis and Kafka are away all the while: the change waits in the outbox.
    assert_eq!(service.new_advertiser().await.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn in_development_the_service_migrates_and_an_outage_is_503_until_it_is_over() {
    let Some(mut server) = Server::start().await else {
        return;
    };
    let database = server.database().await;
    let service = Service::start(&server.url(&database), "development");
    service.becomes_ready().await;
    let created = service.new_advertiser().await;
    assert_eq!(created.status(), StatusCode::CREATED);
    let created: Value = created.json().await.unwrap();

    server.stop();
    let refused = service.new_advertiser().await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    let told = refused.text().await.unwrap();
    assert!(!told.contains("127.0.0.1"), "{told}");
    // An outage must not take every replica out of service.
    assert_eq!(service.ready().await.status(), StatusCode::OK);

    server.resume().await;
    let path = format!("/advertisers/{}", created["id"].as_str().unwrap());
    service
        .until("what was acknowledged is there", async || {
            service.get(&path).await.status() == StatusCode::OK
        })
        .await;
    assert_eq!(service.new_advertiser().await.status(), StatusCode::CREATED);
}

fn store_at(url: &str) -> PostgresStore {
    PostgresStore::new(&Settings {
        database_url: url.to_owned(),
        replica_url: None,
        pool_size: 2,
    })
    .unwrap()
}

struct Service {
    process: Child,
    log: Arc<Mutex<String>>,
    url: String,
    client: Client,
}

impl Service {
    fn start(database_url: &str, environment: &str) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_campaign-service"))
            .env_clear()
            .env("ENVIRONMENT", environment)
            .env("HTTP_ADDR", "127.0.0.1:0")
            .env("METRICS_ADDR", "127.0.0.1:0")
            .env("LOG_FORMAT", "json")
            .env("ADMIN_API_KEY", KEY)
            .env("DATABASE_URL", database_url)
            .env("REDIS_URL", format!("redis://{AWAY}"))
            .env("KAFKA_BROKERS", AWAY)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let mut url = None;
        while url.is_none() {
            let line = lines.next().expect("a service that listens says so").unwrap();
            let said: Value = serde_json::from_str(&line).unwrap();
            if said["message"] == "listening" && said["name"] == "campaign-service" {
                url = Some(format!("http://{}", said["addr"].as_str().unwrap()));
            }
            log.lock().unwrap().push_str(&(line + "\n"));
        }
        let more = log.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                more.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        Self {
            process,
            log,
            url: url.unwrap(),
            client: Client::new(),
        }
    }

    async fn get(&self, path: &str) -> Response {
        let request = self.client.get(format!("{}{path}", self.url)).bearer_auth(KEY);
        request.send().await.unwrap()
    }

    async fn ready(&self) -> Response {
        self.get("/ready").await
    }

    async fn new_advertiser(&self) -> Response {
        let request = self.client.post(format!("{}/advertisers", self.url));
        let body = json!({"name": "Alder Outdoor"});
        request.bearer_auth(KEY).json(&body).send().await.unwrap()
    }

    async fn becomes_ready(&self) {
        self.until("it is ready", async || {
            self.ready().await.status() == StatusCode::OK
        })
        .await;
    }

    /// In one line of the log.
    async fn says(&self, words: &str) {
        self.until(words, async || self.log.lock().unwrap().contains(words))
            .await;
        let log = self.log.lock().unwrap();
        assert_eq!(log.matches(words).count(), 1, "{words} in {log}");
    }

    async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds().await {
            assert!(
                Instant::now() < deadline,
                "not in time: {what}\n{}",
                self.log.lock().unwrap()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

//! `campaign-api`: campaigns created through the API on PostgreSQL, against `pgbench` with the statements that creating one
//! takes, on the same server, with as many connections.
//!
//! In turns, each on a database of its own, so that a machine that is busier for a while troubles both. The statements of
//! the baseline are prepared and its limits are the session's, as the API's are.

use crate::figure::Figure;
use crate::server::{Connection, Server};
use anyhow::Context;
use serde_json::json;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};
use storage_postgres::PostgresStore;
use test_servers::postgres::{self, Server as Postgres};

const TURNS: usize = 3;
const TURN: Duration = Duration::from_secs(6);
/// Writers, and connections of pgbench: fewer than the service's pool has.
const WRITERS: usize = 8;
const KEY: &str = "administrator-of-the-benchmark";
const ADVERTISER: &str = "adv_01k9c5m0w3v8q4s7h2d1n6e9ab";
/// A creation: the advertiser is looked up, then the campaign written with its history and announced.
const CREATION: &str = "\
\\set number random(1, 9000000000000000000)
SELECT id, advertiser_id, parent_id, external_id, name, status, version, created_at_ms, updated_at_ms, body \
  FROM documents WHERE kind = 'advertiser' AND id = :advertiser;
BEGIN;
WITH written AS ( \
  INSERT INTO documents (kind, id, advertiser_id, parent_id, external_id, name, status, version, created_at_ms, \
    updated_at_ms, body) VALUES ('campaign', 'cmp_' || :number, :advertiser, NULL, NULL, 'c', 'draft', 1, \
    1800000000000, 1800000000000, :body) \
  ON CONFLICT (kind, id) DO NOTHING RETURNING kind, id, version, body) \
  INSERT INTO document_history (kind, id, version, actor, at_ms, body) \
  SELECT kind, id, version, 'admin', 1800000000000, body FROM written;
WITH raised AS (UPDATE store SET revision = revision + 1 WHERE one = 1 RETURNING one) \
  INSERT INTO outbox (kind, id, written_at_ms) SELECT told.kind, told.id, 1800000000000 \
  FROM raised CROSS JOIN unnest(ARRAY['campaign'], ARRAY['cmp_' || :number]) WITH ORDINALITY \
  AS told (kind, id, place) ORDER BY told.place;
COMMIT;
";

pub(crate) fn run() -> anyhow::Result<Vec<Figure>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let Some(server) = runtime.block_on(Postgres::start()) else {
        eprintln!("campaign-api needs PostgreSQL, which is not installed here");
        return Ok(Vec::new());
    };
    let (ours, theirs) = runtime.block_on(async { (server.database().await, server.database().await) });
    runtime.block_on(migrated(&server.url(&theirs)))?;
    let folder = in_memory()?;
    let service = Server::campaigns(&server.url(&ours), KEY, folder.path())?;
    let advertiser = create(service.addr, "/advertisers", &json!({"name": "Brand"}))?;
    let id = advertiser["id"].as_str().context("an advertiser has an id")?;
    let body = json!({
        "advertiser_id": id, "name": "c", "status": "draft", "flight": {"start": "2026-01-01T00:00:00Z"},
        "budget": {"currency": "USD", "daily_micros": 50_000_000}, "pacing": "asap",
        "bid": {"max_cpm_micros": 2_500_000},
        "targeting": {"geo": {"allow": [{"country": "USA"}]}, "devices": {"allow": ["phone"]}},
    });
    let stored = create(service.addr, "/campaigns", &body)?;
    let script = folder.path().join("creation.sql");
    std::fs::write(&script, CREATION)?;
    let (mut writes, mut baseline) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        baseline.push(pgbench(&server, &theirs, &script, &stored.to_string())?);
        writes.push(api(service.addr, &body)?);
        eprintln!("campaign-api: pgbench {baseline:.0?}/s, API {writes:.0?}/s");
    }
    Ok(vec![Figure::new(
        "campaign-api",
        "writes_per_second",
        "1/s",
        median(writes),
        median(baseline),
    )])
}

/// What the service keeps itself is the embedded event log, which elsewhere is Kafka's: not on the database's disk.
fn in_memory() -> anyhow::Result<tempfile::TempDir> {
    let memory = std::path::Path::new("/dev/shm");
    Ok(if memory.is_dir() {
        tempfile::tempdir_in(memory)?
    } else {
        tempfile::tempdir()?
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

async fn migrated(url: &str) -> anyhow::Result<()> {
    let store = PostgresStore::new(&storage_postgres::Settings {
        database_url: url.to_owned(),
        replica_url: None,
        pool_size: 1,
    })?;
    Ok(store.migrate().await?)
}

/// Transactions a second, an advertiser's and a campaign's one after the other counted as one.
fn pgbench(server: &Postgres, database: &str, script: &std::path::Path, body: &str) -> anyhow::Result<f64> {
    let program = postgres::program("pgbench").context("pgbench is not installed")?;
    let (writers, seconds) = (WRITERS.to_string(), TURN.as_secs().to_string());
    let ran = Command::new(program)
        .args(server.address_options())
        .args([
            "--no-vacuum",
            "--protocol=prepared",
            "--jobs=2",
            "--client",
            &writers,
            "--time",
            &seconds,
        ])
        .arg(format!("--define=advertiser={ADVERTISER}"))
        .arg(format!("--define=body={body}"))
        .arg("--file")
        .arg(script)
        .arg(database)
        .env("PGOPTIONS", "-c statement_timeout=10s -c lock_timeout=3s")
        .output()?;
    let said = String::from_utf8_lossy(&ran.stdout);
    anyhow::ensure!(
        ran.status.success(),
        "pgbench: {said}{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let rate = said.lines().find_map(|line| line.strip_prefix("tps = "));
    let rate = rate
        .and_then(|rest| rest.split(' ').next())
        .context("pgbench told no rate")?;
    Ok(rate.parse()?)
}

/// Campaigns created a second.
#[expect(clippy::cast_precision_loss, reason = "figures to be shown")]
fn api(addr: SocketAddr, body: &serde_json::Value) -> anyhow::Result<f64> {
    let began = Instant::now();
    let request = request("/campaigns", body);
    let created = std::thread::scope(|scope| {
        let write = || -> anyhow::Result<u64> {
            let mut connection = Connection::to(addr)?;
            let mut created = 0;
            while began.elapsed() < TURN {
                creation(&mut connection, &request)?;
                created += 1;
            }
            Ok(created)
        };
        let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(write)).collect();
        let finished = writers.into_iter().map(|writer| {
            let finished = writer.join();
            finished.map_err(|_panic| anyhow::anyhow!("a writer panicked"))?
        });
        finished.sum::<anyhow::Result<u64>>()
    })?;
    Ok(created as f64 / began.elapsed().as_secs_f64())
}

fn create(addr: SocketAddr, path: &str, body: &serde_json::Value) -> anyhow::Result<serde_json::Value> {
    let answer = creation(&mut Connection::to(addr)?, &request(path, body))?;
    Ok(serde_json::from_slice(&answer)?)
}

/// The answer's body; an error unless something was created.
fn creation(connection: &mut Connection, request: &[u8]) -> anyhow::Result<Vec<u8>> {
    let (status, body) = connection.send(request)?;
    anyhow::ensure!(status == 201, "{status} {}", String::from_utf8_lossy(&body));
    Ok(body)
}

fn request(path: &str, body: &serde_json::Value) -> Vec<u8> {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

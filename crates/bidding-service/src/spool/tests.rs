use super::*;
use crate::metrics::BiddingMetrics;
use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command as Process, Stdio};
use tempfile::TempDir;

const ROOM: u64 = 1 << 20;
/// Set for the copy of this test program that spools until it is killed.
const CHILD_FOLDER: &str = "SPOOL_TEST_CHILD_FOLDER";

fn open(root: &TempDir, max_bytes: u64) -> Spool {
    let metrics = BiddingMetrics::register(&platform::Metrics::new("test").unwrap()).unwrap();
    Spool::open(root.path(), max_bytes, metrics.money.spool).unwrap()
}

fn record(at_ms: i64, payload: &str) -> Spooled {
    Spooled {
        arrived_at_ms: at_ms,
        payload: payload.as_bytes().to_vec(),
    }
}

impl Spool {
    /// Everything that waits, segment by segment.
    async fn all(&self) -> Vec<Spooled> {
        self.seal().await;
        let mut all = Vec::new();
        for segment in self.sealed() {
            all.extend(self.load(&segment).await.unwrap());
        }
        all
    }
}

fn set_aside(root: &TempDir) -> String {
    fs::read_to_string(root.path().join("0/set_aside.ndjson")).unwrap_or_default()
}

#[tokio::test]
async fn what_was_kept_is_read_back_by_time_of_arrival_and_goes_when_it_is_done() {
    let root = TempDir::new().unwrap();
    let spool = open(&root, ROOM);
    for at_ms in [3, 1, 2] {
        spool.keep(record(at_ms, "a"), Worth::Money).await.unwrap();
    }
    spool.seal().await;
    let segment = spool.sealed().remove(0);
    let mut records = spool.load(&segment).await.unwrap();
    assert_eq!(records, [record(1, "a"), record(2, "a"), record(3, "a")]);
    spool.tell_age(5_001);
    let metrics = spool.metrics().clone();
    assert_eq!(
        (metrics.records.get(), metrics.oldest_age_seconds.get()),
        (3, 5.0)
    );
    records.remove(0);
    spool.leave(&segment, records.clone()).await.unwrap();
    assert_eq!(spool.load(&segment).await.unwrap(), records);
    assert_eq!(metrics.records.get(), 2);
    spool.leave(&segment, Vec::new()).await.unwrap();
    assert!(spool.is_empty() && !segment.exists());
    assert_eq!((metrics.bytes.get(), metrics.records.get()), (0, 0));
}

#[tokio::test]
async fn the_next_process_finds_what_the_last_one_left() {
    let root = TempDir::new().unwrap();
    for run in 0..3 {
        let spool = open(&root, ROOM);
        assert_eq!(spool.records(), run);
        let at_ms = i64::try_from(run).unwrap();
        spool.keep(record(at_ms, "kept"), Worth::Money).await.unwrap();
    }
    let spool = open(&root, ROOM);
    let arrivals: Vec<i64> = spool.all().await.iter().map(|of| of.arrived_at_ms).collect();
    assert_eq!(arrivals, [0, 1, 2]);
}

#[tokio::test]
async fn a_full_spool_refuses_and_leaves_half_of_itself_to_money() {
    let root = TempDir::new().unwrap();
    let spool = open(&root, 1_000);
    let large = || record(1, &"x".repeat(80));
    let mut kept = [0, 0];
    for (at, worth) in [Worth::Report, Worth::Money].into_iter().enumerate() {
        while spool.keep(large(), worth).await.is_ok() {
            kept[at] += 1;
        }
        let full = spool.keep(large(), worth).await;
        assert!(matches!(full, Err(NotKept::Full)), "{full:?}");
    }
    assert_eq!(kept, [5, 5]);
    assert_eq!(spool.metrics().refused.get(), 4);
    // What is replayed makes room again.
    let all = spool.all().await;
    let segment = spool.sealed().remove(0);
    spool.leave(&segment, all[..9].to_vec()).await.unwrap();
    spool.keep(large(), Worth::Money).await.unwrap();
    assert!(spool.keep(large(), Worth::Money).await.is_err());
}

#[tokio::test]
async fn many_notices_share_few_syncs_and_all_are_there() {
    let root = TempDir::new().unwrap();
    let spool = open(&root, 64 << 20);
    let payload = "p".repeat(900);
    let keeps = (0..6_000).map(|at_ms| spool.keep(record(at_ms, &payload), Worth::Money));
    for kept in futures_util::future::join_all(keeps).await {
        kept.unwrap();
    }
    let all = spool.all().await;
    assert_eq!(all.len(), 6_000);
    assert!(spool.sealed().len() > 1, "a segment ends at its size");
    let arrivals: HashSet<i64> = all.iter().map(|of| of.arrived_at_ms).collect();
    assert_eq!(arrivals.len(), 6_000);
}

#[tokio::test]
async fn processes_that_share_the_folder_keep_apart_and_take_over_from_the_dead() {
    let root = TempDir::new().unwrap();
    let (first, second) = (open(&root, ROOM), open(&root, ROOM));
    first.keep(record(1, "first"), Worth::Money).await.unwrap();
    second.keep(record(2, "second"), Worth::Money).await.unwrap();
    assert_eq!(second.adopt().await.unwrap(), 0, "the first one lives");
    drop(first);
    assert_eq!(second.adopt().await.unwrap(), 1);
    assert_eq!(second.all().await, [record(1, "first"), record(2, "second")]);
    assert_eq!(second.adopt().await.unwrap(), 0, "once");
    // While it is being replayed the folder is nobody else's; then it is free.
    let third = open(&root, ROOM);
    assert!(third.shared.own.path.ends_with("2"));
    for segment in second.sealed() {
        second.leave(&segment, Vec::new()).await.unwrap();
    }
    assert!(open(&root, ROOM).shared.own.path.ends_with("0"));
}

#[tokio::test]
async fn a_corrupt_record_is_set_aside_once_and_blocks_no_other() {
    let root = TempDir::new().unwrap();
    let spool = open(&root, ROOM);
    for payload in ["before", "broken", "after"] {
        spool.keep(record(1, payload), Worth::Money).await.unwrap();
    }
    spool.seal().await;
    let segment = spool.sealed().remove(0);
    let mut bytes = fs::read(&segment).unwrap();
    let at = bytes.windows(6).position(|window| window == b"broken").unwrap();
    bytes[at] ^= 0x20;
    fs::write(&segment, bytes).unwrap();
    for _ in 0..2 {
        assert_eq!(spool.all().await, [record(1, "before"), record(1, "after")]);
    }
    assert_eq!(spool.metrics().set_aside.get(), 1);
    let told = set_aside(&root);
    assert!(
        told.contains("corrupt record") && told.lines().count() == 1,
        "{told}"
    );
}

#[tokio::test]
async fn a_torn_tail_is_cut_and_counted() {
    let root = TempDir::new().unwrap();
    {
        let spool = open(&root, ROOM);
        for payload in ["whole", "torn"] {
            spool.keep(record(1, payload), Worth::Money).await.unwrap();
        }
        spool.seal().await;
        let file = fs::OpenOptions::new().write(true).open(spool.sealed().remove(0));
        let file = file.unwrap();
        file.set_len(file.metadata().unwrap().len() - 1).unwrap();
    }
    let spool = open(&root, ROOM);
    assert_eq!(spool.all().await, [record(1, "whole")]);
    assert_eq!(spool.records(), 1);
    assert_eq!(spool.metrics().set_aside.get(), 1);
    assert!(set_aside(&root).contains("torn tail"));
    spool.keep(record(2, "later"), Worth::Money).await.unwrap();
    assert_eq!(spool.all().await, [record(1, "whole"), record(2, "later")]);
}

#[tokio::test]
async fn nobody_else_may_read_it() {
    let root = TempDir::new().unwrap();
    let spool = open(&root, ROOM);
    spool.keep(record(1, "user"), Worth::Money).await.unwrap();
    spool.set_aside(1, "test", b"user".to_vec()).await.unwrap();
    let folder = root.path().join("0");
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    let modes = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().permissions().mode() & 0o777);
    assert_eq!(modes.collect::<Vec<_>>(), [0o600; 3]);
}

#[tokio::test]
async fn a_disk_that_fails_refuses_until_it_works_again() {
    let root = TempDir::new().unwrap();
    let spool = open(&root, ROOM);
    let (folder, aside) = (root.path().join("0"), root.path().join("gone"));
    fs::rename(&folder, &aside).unwrap();
    let failed = spool.keep(record(1, "lost"), Worth::Money).await;
    assert!(matches!(failed, Err(NotKept::Failing(_))), "{failed:?}");
    fs::rename(&aside, &folder).unwrap();
    spool.keep(record(2, "kept"), Worth::Money).await.unwrap();
    assert_eq!(spool.all().await, [record(2, "kept")]);
    assert_eq!(spool.shared.used_bytes.load(Ordering::Relaxed), 24);
}

/// Not a test of its own: with the variable set it is the process that dies.
#[tokio::test]
async fn child_that_spools_until_it_is_killed() {
    let Ok(folder) = std::env::var(CHILD_FOLDER) else {
        return;
    };
    let metrics = BiddingMetrics::register(&platform::Metrics::new("test").unwrap()).unwrap();
    let spool = Spool::open(Path::new(&folder), 64 << 20, metrics.money.spool).unwrap();
    let spool = &spool;
    for round in 0_i64.. {
        let kept = (0..16).map(|of| async move {
            let number = round * 16 + of;
            let payload = format!("{number:>0width$}", width = 10 + fastrand::usize(..400));
            spool.keep(record(number, &payload), Worth::Money).await.unwrap();
            writeln!(std::io::stdout(), "kept {number}").unwrap();
        });
        futures_util::future::join_all(kept).await;
    }
}

#[tokio::test]
async fn a_process_killed_while_it_spools_loses_nothing_that_it_acknowledged() {
    for kills_after in [1, 40, 333] {
        let root = TempDir::new().unwrap();
        let mut child = Process::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "spool::tests::child_that_spools_until_it_is_killed",
                "--nocapture",
            ])
            .env(CHILD_FOLDER, root.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = HashSet::new();
        for line in lines {
            // The first line comes after the name of the test, without an end.
            let line = line.unwrap();
            let number = line
                .rsplit_once("kept ")
                .and_then(|(_, number)| number.parse::<i64>().ok());
            acknowledged.extend(number);
            if acknowledged.len() == kills_after {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let all = open(&root, 64 << 20).all().await;
        let found: HashSet<i64> = all.iter().map(|of| of.arrived_at_ms).collect();
        assert!(acknowledged.len() >= kills_after && found.is_superset(&acknowledged));
        for of in all {
            let text = String::from_utf8(of.payload).unwrap();
            assert_eq!(text.parse::<i64>().unwrap(), of.arrived_at_ms);
        }
    }
}

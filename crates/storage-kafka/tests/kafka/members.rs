//! A member that is killed.

use crate::broker::{fresh_log, settings, shared};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;
use storage::EventLog;
use storage::event_log::Topic;
use storage_kafka::{KafkaLog, Settings};

const PATIENCE: Duration = Duration::from_secs(60);
const BROKERS: &str = "TEST_MEMBER_BROKERS";
const PREFIX: &str = "TEST_MEMBER_PREFIX";

/// Does nothing but in the process that the other test starts.
#[tokio::test]
async fn member_in_a_process_of_its_own() {
    let (Ok(brokers), Ok(topic_prefix)) = (std::env::var(BROKERS), std::env::var(PREFIX)) else {
        return;
    };
    let settings = Settings {
        brokers,
        topic_prefix,
        ..Settings::default()
    };
    let log = KafkaLog::new(&settings).unwrap();
    let mut member = log.join("killed", &[Topic::Spend]).await.unwrap();
    while let Ok(assigned) = member.assigned().await {
        println!("\nholds {}", assigned.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_partitions_of_a_killed_member_are_taken_over() {
    let Some(broker) = shared().await else { return };
    let settings = settings(broker);
    let log = crate::broker::log_with_topics(&settings).await;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "members::member_in_a_process_of_its_own",
            "--nocapture",
        ])
        .env(BROKERS, &settings.brokers)
        .env(PREFIX, &settings.topic_prefix)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if let Some(count) = line.strip_prefix("holds ") {
                let _ = tell.send(count.parse::<usize>().unwrap());
            }
        }
    });
    let alone = tokio::time::timeout(PATIENCE, told.recv()).await.unwrap();
    assert_eq!(alone, Some(24));
    let mut member = log.join("killed", &[Topic::Spend]).await.unwrap();
    let mut until = async |count: usize| {
        let mut held = BTreeSet::new();
        while held.len() != count {
            let news = tokio::time::timeout(PATIENCE, member.assigned()).await;
            held = news
                .expect("a change of assignment")
                .unwrap()
                .into_iter()
                .collect();
        }
    };
    until(12).await;
    child.kill().unwrap();
    child.wait().unwrap();
    until(24).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_do_not_share() {
    let Some(broker) = shared().await else { return };
    let log = fresh_log(broker).await;
    for group in ["one", "other"] {
        let mut member = log.join(group, &[Topic::Status, Topic::Deals]).await.unwrap();
        let mut held = Vec::new();
        while held.len() < 7 {
            held = tokio::time::timeout(PATIENCE, member.assigned())
                .await
                .unwrap()
                .unwrap();
        }
    }
}

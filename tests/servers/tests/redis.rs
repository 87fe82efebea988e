//! The servers do what tests of the platform count on.

use std::time::Duration;
use test_servers::redis::{Cluster, Node, Options};

fn ok(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

#[tokio::test]
async fn a_node_keeps_its_data_through_a_stop_and_a_failure() {
    let options = Options {
        append_only: true,
        ..Options::default()
    }
    .with("appendfsync", "always");
    let Some(mut node) = Node::start(&options).await else {
        return;
    };
    let addr = node.addr();
    assert_eq!(node.command(&["SET", "a", "1"]).await, ok("OK"));
    node.stop();
    assert!(node.command(&["GET", "a"]).await.is_err());
    node.restart().await;
    assert_eq!(node.command(&["INCR", "a"]).await, ok("2"));
    node.kill();
    node.restart().await;
    assert_eq!((node.command(&["GET", "a"]).await, node.addr()), (ok("2"), addr));
}

#[tokio::test]
async fn a_node_may_want_tls_and_a_password() {
    let options = Options {
        password: Some("secret".to_owned()),
        tls: true,
        ..Options::default()
    };
    let Some(node) = Node::start(&options).await else {
        return;
    };
    assert_eq!(node.command(&["PING"]).await, ok("PONG"));
    assert!(node.url().starts_with("rediss://:secret@127.0.0.1:"));
}

#[tokio::test]
async fn a_paused_node_answers_when_it_goes_on() {
    let Some(node) = Node::start(&Options::default()).await else {
        return;
    };
    node.pause();
    let (answer, ()) = tokio::join!(node.command(&["PING"]), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        node.resume();
    });
    assert_eq!(answer, ok("PONG"));
}

#[tokio::test]
async fn a_cluster_replaces_a_master_that_fails() {
    let options = Options {
        password: Some("secret".to_owned()),
        max_memory: Some("50mb".to_owned()),
        ..Options::default()
    };
    let Some(mut cluster) = Cluster::start_with(&options).await else {
        return;
    };
    let slot = cluster.slot_of("{u}a").await;
    let master = cluster.master_of(slot).await;
    let replicas = cluster.replicas_of(master).await;
    let set = cluster.node(master).command(&["SET", "{u}a", "1"]).await;
    assert_eq!(set, ok("OK"));
    cluster.node(master).kill();
    let next = cluster.master_of(slot).await;
    assert!(replicas.contains(&next), "{next} of {replicas:?}");
    cluster.wait_until_ok().await;
    assert_eq!(cluster.node(next).command(&["GET", "{u}a"]).await, ok("1"));
    cluster.node(master).restart().await;
    cluster.wait_until_ok().await;
    assert_eq!(cluster.master_of(slot).await, next);
}

//! The laws of the port.

use crate::{flush, on_cluster, users_at};
use std::sync::Arc;
use storage::UserStates;
use storage::contract::user_states;
use storage_redis::{RedisUsers, Settings};
use test_servers::redis::{Cluster, Node, Options};

#[tokio::test]
async fn a_single_node_keeps_the_laws() {
    let Some(node) = Node::start(&Options::default()).await else {
        return;
    };
    user_states::all(async || {
        flush(std::slice::from_ref(&node)).await;
        users_at(node.addr()) as Arc<dyn UserStates>
    })
    .await;
}

#[tokio::test]
async fn a_cluster_keeps_the_laws() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    user_states::all(async || {
        flush(cluster.nodes()).await;
        on_cluster(&cluster) as Arc<dyn UserStates>
    })
    .await;
}

#[tokio::test]
async fn a_node_with_tls_and_a_password_keeps_the_laws() {
    let options = Options {
        tls: true,
        password: Some("secret".to_owned()),
        ..Options::default()
    };
    let Some(node) = Node::start(&options).await else {
        return;
    };
    let settings = Settings {
        nodes: vec![node.addr()],
        cluster: false,
        username: None,
        password: Some("secret".to_owned()),
        ca_file: node.authority(),
    };
    user_states::all(async || {
        flush(std::slice::from_ref(&node)).await;
        Arc::new(RedisUsers::new(&settings).unwrap()) as Arc<dyn UserStates>
    })
    .await;
    // Nobody vouches for it: not spoken to.
    let url = node.url();
    let strangers = Settings {
        nodes: vec![url],
        ca_file: None,
        ..settings
    };
    let users = RedisUsers::new(&strangers).unwrap();
    assert!(users.read("u", crate::NOW_MS).await.is_err());
}

#[tokio::test]
async fn a_cluster_with_a_password_keeps_the_laws() {
    let options = Options {
        password: Some("secret".to_owned()),
        ..Options::default()
    };
    let Some(cluster) = Cluster::start_with(&options).await else {
        return;
    };
    let settings = Settings {
        nodes: cluster.addrs(),
        cluster: true,
        username: None,
        password: Some("secret".to_owned()),
        ca_file: None,
    };
    user_states::all(async || {
        flush(cluster.nodes()).await;
        Arc::new(RedisUsers::new(&settings).unwrap()) as Arc<dyn UserStates>
    })
    .await;
}

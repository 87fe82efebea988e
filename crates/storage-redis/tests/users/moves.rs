//! A slot that moves to another node, key by key.

use crate::{NOW_MS, UNTIL_MS, bounded, daily, on_cluster};
use std::sync::Arc;
use storage::{StorageError, UserStates};
use storage_redis::RedisUsers;
use test_servers::redis::{Cluster, SlotMove};

const USER: &str = "u";

/// How many events have been tried to be counted, and how many of them were.
struct Counted {
    events: u32,
    impressions: u32,
    audiences: Vec<String>,
}

impl Counted {
    /// Counters need two keys that may be at two nodes: then nothing is counted. An audience is one key: it is joined wherever
    /// that is.
    async fn one_more(&mut self, users: &RedisUsers) {
        self.events += 1;
        let event = format!("e{}", self.events);
        match bounded(users.count(&event, USER, &[daily("c")], NOW_MS)).await {
            Ok(()) => self.impressions += 1,
            Err(StorageError::Unavailable(_)) => {}
            Err(error) => panic!("{error}"),
        }
        let audience = format!("aud{}", self.events);
        let user = [USER.to_owned()];
        bounded(users.set_members(&audience, &user, &[], UNTIL_MS, NOW_MS))
            .await
            .unwrap();
        self.audiences.push(audience);
    }

    /// All of it, and at once: half a user would be shown too often.
    async fn is_read(&self, users: &RedisUsers) {
        let mut state = bounded(users.read(USER, NOW_MS)).await.unwrap();
        state.audiences.sort();
        assert_eq!(state.counters, [(daily("c"), self.impressions)]);
        assert_eq!(state.audiences, self.audiences);
        assert_eq!(state.linked_to, None);
    }
}

/// Of the only user there is.
async fn slot(cluster: &Cluster) -> u16 {
    for node in cluster.nodes() {
        let keys = node.command(&["KEYS", "{u:*}c"]).await.unwrap();
        if let Some(key) = keys.lines().next() {
            return cluster.slot_of(key).await;
        }
    }
    panic!("no user is kept");
}

#[tokio::test]
async fn a_user_whose_slot_moves_is_read_whole_and_counted_whole_or_not_at_all() {
    let Some(cluster) = Cluster::start().await else {
        return;
    };
    let (users, counted) = seen_once(&cluster).await;
    let under_way = SlotMove::begin(&cluster, slot(&cluster).await).await;
    is_followed(&users, counted, &under_way).await;
}

/// As when a Cluster is made larger: clients know the new node by what they are told of this slot alone.
#[tokio::test]
async fn and_so_is_one_whose_slot_is_the_first_that_a_node_serves() {
    let Some(mut cluster) = Cluster::start().await else {
        return;
    };
    let new = cluster.grow().await;
    let (users, counted) = seen_once(&cluster).await;
    let under_way = SlotMove::begin_to(&cluster, slot(&cluster).await, new).await;
    is_followed(&users, counted, &under_way).await;
}

async fn seen_once(cluster: &Cluster) -> (Arc<RedisUsers>, Counted) {
    let users = on_cluster(cluster);
    let mut counted = Counted {
        events: 0,
        impressions: 0,
        audiences: Vec::new(),
    };
    counted.one_more(&users).await;
    assert_eq!(counted.impressions, 1);
    counted.is_read(&users).await;
    (users, counted)
}

async fn is_followed(users: &RedisUsers, mut counted: Counted, under_way: &SlotMove<'_>) {
    counted.is_read(users).await;
    let keys = under_way.keys().await;
    assert_eq!(keys.len(), 3, "{keys:?}");
    for key in &keys {
        under_way.take(key).await;
        counted.is_read(users).await;
        counted.one_more(users).await;
        counted.is_read(users).await;
    }
    assert_eq!(under_way.keys().await, Vec::<String>::new());
    under_way.end().await;
    counted.is_read(users).await;
    // Who was refused comes again, and so may who was not: each counts once.
    for event in 1..=counted.events {
        let event = format!("e{event}");
        users.count(&event, USER, &[daily("c")], NOW_MS).await.unwrap();
    }
    counted.impressions = counted.events;
    counted.is_read(users).await;
}

//! What users cost, and what goes by itself.

use crate::{NOW_MS, UNTIL_MS, daily, users_at};
use storage::UserStates;
use storage::user_states::CounterKey;
use test_servers::redis::{Node, Options};

async fn used_bytes(node: &Node) -> i64 {
    let info = node.command(&["INFO", "memory"]).await.unwrap();
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    used.unwrap().trim().parse().unwrap()
}

/// Twelve capped campaigns, five audiences, twenty impressions.
#[tokio::test]
async fn a_user_takes_little_memory() {
    let Some(node) = Node::start(&Options::default()).await else {
        return;
    };
    let users = users_at(node.addr());
    users.read("nobody", NOW_MS).await.unwrap();
    let before = used_bytes(&node).await;
    let user_keys: Vec<String> = (0..500).map(|number| format!("ifa:{number}")).collect();
    for user_key in &user_keys {
        for event in 0..20 {
            let key = daily(&format!("cmp_01JD8Z5Q7V2M3N4P5R6S7T8V{:02}", event % 12));
            users
                .count(&format!("imp:{user_key}:{event}"), user_key, &[key], NOW_MS)
                .await
                .unwrap();
        }
    }
    for audience in 0..5 {
        let audience_id = format!("aud_01JD8Z5Q7V2M3N4P5R6S7T8V0{audience}");
        users
            .set_members(&audience_id, &user_keys, &[], UNTIL_MS, NOW_MS)
            .await
            .unwrap();
    }
    let per_user = (used_bytes(&node).await - before) / 500;
    println!("bytes of memory per user: {per_user}");
    assert!(per_user < 2_200, "{per_user}");
}

#[tokio::test]
async fn what_is_over_expires_by_itself() {
    let Some(node) = Node::start(&Options::default()).await else {
        return;
    };
    let users = users_at(node.addr());
    let short = CounterKey {
        scope_id: "cmp_1".to_owned(),
        window_ms: 50,
    };
    users.count("e1", "u", &[short], NOW_MS).await.unwrap();
    users.count("e2", "u", &[], NOW_MS).await.unwrap();
    let u = ["u".to_owned()];
    users
        .set_members("aud_1", &u, &[], UNTIL_MS, NOW_MS)
        .await
        .unwrap();
    users.link("u", "v", NOW_MS + 50_000, NOW_MS).await.unwrap();
    let keys = node.command(&["KEYS", "*"]).await.unwrap();
    let mut kinds: Vec<char> = Vec::new();
    for key in keys.lines() {
        let ttl_ms: i64 = node.command(&["PTTL", key]).await.unwrap().parse().unwrap();
        let month_ms = 31 * 24 * 3_600_000;
        let kind = key.chars().last().unwrap();
        match kind {
            'a' => assert!(
                (month_ms - 86_400_000 - 60_000..=month_ms).contains(&ttl_ms),
                "{ttl_ms}"
            ),
            'm' => assert!((1..=50_000).contains(&ttl_ms), "{ttl_ms}"),
            'c' => assert!((1..=60_050).contains(&ttl_ms), "{ttl_ms}"),
            _ => assert!((month_ms - 60_000..=2 * month_ms).contains(&ttl_ms), "{ttl_ms}"),
        }
        kinds.push(kind);
    }
    kinds.sort_unstable();
    assert_eq!(kinds, ['a', 'c', 'e', 'm']);
    users
        .set_members("aud_1", &[], &u, UNTIL_MS, NOW_MS)
        .await
        .unwrap();
    assert_eq!(node.command(&["KEYS", "*a"]).await.as_deref(), Ok(""));
}

#[tokio::test]
async fn events_of_a_month_ago_are_forgotten() {
    let Some(node) = Node::start(&Options::default()).await else {
        return;
    };
    let users = users_at(node.addr());
    let day_ms = 24 * 3_600_000;
    for day in 0..40 {
        let event_id = format!("e{day}");
        users
            .count(&event_id, "u", &[], NOW_MS + day * day_ms)
            .await
            .unwrap();
    }
    let key = node.command(&["KEYS", "*e"]).await.unwrap();
    let kept: i64 = node.command(&["HLEN", &key]).await.unwrap().parse().unwrap();
    // And when they were last looked through.
    assert!((33..=35).contains(&kept), "{kept}");
}

#[tokio::test]
async fn a_membership_from_before_they_had_ends_goes_on() {
    let Some(node) = Node::start(&Options::default()).await else {
        return;
    };
    let users = users_at(node.addr());
    let u = ["u".to_owned()];
    users
        .set_members("aud_1", &u, &[], UNTIL_MS, NOW_MS)
        .await
        .unwrap();
    let key = node.command(&["KEYS", "*a"]).await.unwrap();
    node.command(&["HSET", &key, "aud_old", ""]).await.unwrap();
    users
        .set_members("aud_2", &u, &[], UNTIL_MS, NOW_MS)
        .await
        .unwrap();
    assert_eq!(node.command(&["PTTL", &key]).await.as_deref(), Ok("-1"));
    let state = users.read("u", UNTIL_MS).await.unwrap();
    assert_eq!(state.audiences, ["aud_old"]);
    // An end does not cut it short.
    users
        .set_members("aud_old", &u, &[], UNTIL_MS, NOW_MS)
        .await
        .unwrap();
    let state = users.read("u", UNTIL_MS).await.unwrap();
    assert_eq!(state.audiences, ["aud_old"]);
}

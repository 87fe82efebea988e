//! Laws of [`UserStates`].
#![expect(clippy::unwrap_used, reason = "test code: a law that fails panics")]

use super::run_laws;
use crate::UserStates;
use crate::user_states::{CounterKey, UserState};
use std::sync::Arc;

const NOW_MS: i64 = 1_800_000_000_000;
const HOUR_MS: i64 = 3_600_000;

pub async fn all<F: AsyncFn() -> Arc<dyn UserStates>>(fresh: F) {
    run_laws!(fresh;
        an_unknown_user_has_an_empty_state,
        impressions_add_up_by_counter,
        an_event_is_counted_once,
        a_window_begins_with_its_first_impression,
        expired_counters_are_gone_and_running_ones_stay,
        members_come_and_go,
    );
}

fn hourly(scope_id: &str) -> CounterKey {
    CounterKey {
        scope_id: scope_id.to_owned(),
        window_ms: HOUR_MS,
    }
}

fn daily(scope_id: &str) -> CounterKey {
    CounterKey {
        window_ms: 24 * HOUR_MS,
        ..hourly(scope_id)
    }
}

async fn counters(users: &dyn UserStates, user_key: &str, now_ms: i64) -> Vec<(CounterKey, u32)> {
    let mut counters = users.read(user_key, now_ms).await.unwrap().counters;
    counters.sort();
    counters
}

pub async fn an_unknown_user_has_an_empty_state(users: Arc<dyn UserStates>) {
    assert_eq!(users.read("nobody", NOW_MS).await.unwrap(), UserState::default());
}

pub async fn impressions_add_up_by_counter(users: Arc<dyn UserStates>) {
    let both = [hourly("cmp_1"), daily("cmp_1")];
    users.count("e1", "u", &both, NOW_MS).await.unwrap();
    users
        .count("e2", "u", &[daily("cmp_1")], NOW_MS + 1)
        .await
        .unwrap();
    users.count("e3", "other", &both, NOW_MS + 1).await.unwrap();
    let expected = [(hourly("cmp_1"), 1), (daily("cmp_1"), 2)];
    assert_eq!(counters(&*users, "u", NOW_MS + 2).await, expected);
}

pub async fn an_event_is_counted_once(users: Arc<dyn UserStates>) {
    for delay_ms in [0, 1, 30 * 24 * HOUR_MS] {
        users
            .count("e", "u", &[daily("cmp_1")], NOW_MS + delay_ms)
            .await
            .unwrap();
    }
    assert_eq!(counters(&*users, "u", NOW_MS + 2).await, [(daily("cmp_1"), 1)]);
}

pub async fn a_window_begins_with_its_first_impression(users: Arc<dyn UserStates>) {
    users.count("e1", "u", &[hourly("c")], NOW_MS).await.unwrap();
    users
        .count("e2", "u", &[hourly("c")], NOW_MS + HOUR_MS - 1)
        .await
        .unwrap();
    assert_eq!(
        counters(&*users, "u", NOW_MS + HOUR_MS - 1).await,
        [(hourly("c"), 2)]
    );
    assert_eq!(counters(&*users, "u", NOW_MS + HOUR_MS).await, []);
    users
        .count("e3", "u", &[hourly("c")], NOW_MS + HOUR_MS)
        .await
        .unwrap();
    assert_eq!(
        counters(&*users, "u", NOW_MS + HOUR_MS + 1).await,
        [(hourly("c"), 1)]
    );
}

pub async fn expired_counters_are_gone_and_running_ones_stay(users: Arc<dyn UserStates>) {
    users
        .count("e", "u", &[hourly("c"), daily("c")], NOW_MS)
        .await
        .unwrap();
    users.expire(NOW_MS + 2 * HOUR_MS).await.unwrap();
    assert_eq!(counters(&*users, "u", NOW_MS).await, [(daily("c"), 1)]);
}

pub async fn members_come_and_go(users: Arc<dyn UserStates>) {
    let both = ["a".to_owned(), "b".to_owned()];
    users.set_members("aud_1", &both, &[], NOW_MS).await.unwrap();
    users.set_members("aud_1", &both, &[], NOW_MS).await.unwrap();
    users.set_members("aud_2", &both[..1], &[], NOW_MS).await.unwrap();
    users.set_members("aud_1", &[], &both[1..], NOW_MS).await.unwrap();
    let mut audiences = users.read("a", NOW_MS).await.unwrap().audiences;
    audiences.sort();
    assert_eq!(audiences, ["aud_1", "aud_2"]);
    assert_eq!(users.read("b", NOW_MS).await.unwrap(), UserState::default());
}

//! Laws of [`UserStates`].
#![expect(clippy::unwrap_used, reason = "test code: a law that fails panics")]

use super::run_laws;
use crate::UserStates;
use crate::user_states::{CounterKey, UserState};
use std::sync::Arc;

const NOW_MS: i64 = 1_800_000_000_000;
const HOUR_MS: i64 = 3_600_000;
const UNTIL_MS: i64 = NOW_MS + 30 * 24 * HOUR_MS;

pub async fn all<F: AsyncFn() -> Arc<dyn UserStates>>(fresh: F) {
    run_laws!(fresh;
        an_unknown_user_has_an_empty_state,
        impressions_add_up_by_counter,
        an_event_is_counted_once,
        a_window_begins_with_its_first_impression,
        expired_counters_are_gone_and_running_ones_stay,
        a_counter_goes_on_after_others_of_its_user_have_ended,
        events_counted_at_once_all_count,
        members_come_and_go,
        a_long_list_of_members_is_set_whole,
        a_membership_ends,
        a_membership_is_prolonged_and_never_cut,
        a_linked_key_has_the_state_of_whom_it_stands_for,
        a_link_ends_and_can_be_replaced,
        a_link_is_followed_once,
        an_erased_user_has_no_state,
        erasing_a_linked_key_erases_whom_it_stands_for,
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
    assert_eq!(
        counters(&*users, "u", NOW_MS + 2 * HOUR_MS).await,
        [(daily("c"), 1)]
    );
}

pub async fn a_counter_goes_on_after_others_of_its_user_have_ended(users: Arc<dyn UserStates>) {
    users
        .count("e1", "u", &[hourly("c"), daily("c")], NOW_MS)
        .await
        .unwrap();
    let later_ms = NOW_MS + 2 * HOUR_MS;
    users
        .count("e2", "u", &[daily("c"), hourly("other")], later_ms)
        .await
        .unwrap();
    assert_eq!(
        counters(&*users, "u", later_ms).await,
        [(daily("c"), 2), (hourly("other"), 1)]
    );
}

pub async fn events_counted_at_once_all_count(users: Arc<dyn UserStates>) {
    let counting = (0..40).map(|number| {
        let users = users.clone();
        // Each event twice.
        tokio::spawn(async move {
            let event_id = format!("e{}", number / 2);
            users.count(&event_id, "u", &[hourly("c")], NOW_MS).await
        })
    });
    for counted in counting.collect::<Vec<_>>() {
        counted.await.unwrap().unwrap();
    }
    assert_eq!(counters(&*users, "u", NOW_MS).await, [(hourly("c"), 20)]);
}

pub async fn a_long_list_of_members_is_set_whole(users: Arc<dyn UserStates>) {
    let all: Vec<String> = (0..3_000).map(|number| format!("user {number}")).collect();
    users
        .set_members("aud_1", &all, &[], UNTIL_MS, NOW_MS)
        .await
        .unwrap();
    users
        .set_members("aud_1", &[], &all[..1_500], UNTIL_MS, NOW_MS)
        .await
        .unwrap();
    for (number, user_key) in all.iter().enumerate().step_by(250) {
        let audiences = users.read(user_key, NOW_MS).await.unwrap().audiences;
        assert_eq!(audiences.len(), usize::from(number >= 1_500), "{user_key}");
    }
}

pub async fn members_come_and_go(users: Arc<dyn UserStates>) {
    let both = ["a".to_owned(), "b".to_owned()];
    users
        .set_members("aud_1", &both, &[], UNTIL_MS, NOW_MS)
        .await
        .unwrap();
    users
        .set_members("aud_1", &both, &[], UNTIL_MS, NOW_MS)
        .await
        .unwrap();
    users
        .set_members("aud_2", &both[..1], &[], UNTIL_MS, NOW_MS)
        .await
        .unwrap();
    users
        .set_members("aud_1", &[], &both[1..], UNTIL_MS, NOW_MS)
        .await
        .unwrap();
    let mut audiences = users.read("a", NOW_MS).await.unwrap().audiences;
    audiences.sort();
    assert_eq!(audiences, ["aud_1", "aud_2"]);
    assert_eq!(users.read("b", NOW_MS).await.unwrap(), UserState::default());
}

async fn audiences(users: &dyn UserStates, user_key: &str, now_ms: i64) -> Vec<String> {
    let mut audiences = users.read(user_key, now_ms).await.unwrap().audiences;
    audiences.sort();
    audiences
}

pub async fn a_membership_ends(users: Arc<dyn UserStates>) {
    let u = ["u".to_owned()];
    let ends_ms = NOW_MS + HOUR_MS;
    users
        .set_members("aud_short", &u, &[], ends_ms, NOW_MS)
        .await
        .unwrap();
    users
        .set_members("aud_long", &u, &[], UNTIL_MS, NOW_MS)
        .await
        .unwrap();
    assert_eq!(
        audiences(&*users, "u", ends_ms - 1).await,
        ["aud_long", "aud_short"]
    );
    assert_eq!(audiences(&*users, "u", ends_ms).await, ["aud_long"]);
    users.expire(ends_ms).await.unwrap();
    assert_eq!(audiences(&*users, "u", ends_ms).await, ["aud_long"]);
}

pub async fn a_membership_is_prolonged_and_never_cut(users: Arc<dyn UserStates>) {
    let u = ["u".to_owned()];
    for until_ms in [NOW_MS + HOUR_MS, NOW_MS + 3 * HOUR_MS, NOW_MS + 2 * HOUR_MS] {
        users
            .set_members("aud_1", &u, &[], until_ms, NOW_MS)
            .await
            .unwrap();
    }
    assert_eq!(audiences(&*users, "u", NOW_MS + 3 * HOUR_MS - 1).await, ["aud_1"]);
    assert!(audiences(&*users, "u", NOW_MS + 3 * HOUR_MS).await.is_empty());
}

pub async fn a_linked_key_has_the_state_of_whom_it_stands_for(users: Arc<dyn UserStates>) {
    let ours = ["buyeruid:1".to_owned()];
    users
        .set_members("aud_1", &ours, &[], UNTIL_MS, NOW_MS)
        .await
        .unwrap();
    users
        .count("e1", "buyeruid:1", &[hourly("c")], NOW_MS)
        .await
        .unwrap();
    users
        .link("id:ex:u", "buyeruid:1", UNTIL_MS, NOW_MS)
        .await
        .unwrap();
    let expected = UserState {
        counters: vec![(hourly("c"), 1)],
        audiences: vec!["aud_1".to_owned()],
        linked_to: Some("buyeruid:1".to_owned()),
    };
    assert_eq!(users.read("id:ex:u", NOW_MS).await.unwrap(), expected);
    let own = UserState {
        linked_to: None,
        ..expected
    };
    assert_eq!(users.read("buyeruid:1", NOW_MS).await.unwrap(), own);
}

pub async fn a_link_ends_and_can_be_replaced(users: Arc<dyn UserStates>) {
    let linked_to = async |now_ms| users.read("id:ex:u", now_ms).await.unwrap().linked_to;
    let ends_ms = NOW_MS + HOUR_MS;
    users
        .link("id:ex:u", "buyeruid:1", UNTIL_MS, NOW_MS)
        .await
        .unwrap();
    users
        .link("id:ex:u", "buyeruid:2", ends_ms, NOW_MS)
        .await
        .unwrap();
    assert_eq!(linked_to(ends_ms - 1).await.as_deref(), Some("buyeruid:2"));
    assert_eq!(linked_to(ends_ms).await, None);
    users.expire(ends_ms).await.unwrap();
    assert_eq!(
        users.read("id:ex:u", ends_ms).await.unwrap(),
        UserState::default()
    );
}

pub async fn a_link_is_followed_once(users: Arc<dyn UserStates>) {
    for (from, to) in [("a", "b"), ("b", "a"), ("c", "c")] {
        users.link(from, to, UNTIL_MS, NOW_MS).await.unwrap();
    }
    let linked_to = async |key| users.read(key, NOW_MS).await.unwrap().linked_to;
    assert_eq!(linked_to("a").await.as_deref(), Some("b"));
    assert_eq!(linked_to("c").await.as_deref(), Some("c"));
}

pub async fn an_erased_user_has_no_state(users: Arc<dyn UserStates>) {
    let both = ["u".to_owned(), "other".to_owned()];
    users
        .set_members("aud_1", &both, &[], UNTIL_MS, NOW_MS)
        .await
        .unwrap();
    for (event, user_key) in [("e1", "u"), ("e2", "other")] {
        users.count(event, user_key, &[daily("c")], NOW_MS).await.unwrap();
    }
    users.erase("u", NOW_MS).await.unwrap();
    users.erase("u", NOW_MS).await.unwrap();
    assert_eq!(users.read("u", NOW_MS).await.unwrap(), UserState::default());
    let other = users.read("other", NOW_MS).await.unwrap();
    assert_eq!((other.counters.len(), other.audiences.len()), (1, 1));
}

pub async fn erasing_a_linked_key_erases_whom_it_stands_for(users: Arc<dyn UserStates>) {
    let ours = ["buyeruid:1".to_owned()];
    users
        .set_members("aud_1", &ours, &[], UNTIL_MS, NOW_MS)
        .await
        .unwrap();
    users
        .link("id:ex:u", "buyeruid:1", UNTIL_MS, NOW_MS)
        .await
        .unwrap();
    users.erase("id:ex:u", NOW_MS).await.unwrap();
    for user_key in ["id:ex:u", "buyeruid:1"] {
        assert_eq!(
            users.read(user_key, NOW_MS).await.unwrap(),
            UserState::default(),
            "{user_key}"
        );
    }
}

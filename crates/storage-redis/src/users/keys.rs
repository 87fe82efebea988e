//! Names of keys and fields, and what fields hold.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use storage::user_states::CounterKey;

/// Of a user's key: two of a billion users share a state once in a hundred billion times.
const USER_HASH_BYTES: usize = 12;
const EVENT_HASH_BYTES: usize = 8;

pub(super) struct Keys {
    pub(super) counters: String,
    pub(super) audiences: String,
    pub(super) events: String,
    pub(super) link: String,
}

pub(super) fn of(user_key: &str) -> Keys {
    let hash = Sha256::digest(user_key.as_bytes());
    let name = URL_SAFE_NO_PAD.encode(&hash[..USER_HASH_BYTES]);
    let key = |kind: char| format!("{{u:{name}}}{kind}");
    Keys {
        counters: key('c'),
        audiences: key('a'),
        events: key('e'),
        link: key('m'),
    }
}

/// Of one user's events only.
pub(super) fn event(event_id: &str) -> Vec<u8> {
    Sha256::digest(event_id.as_bytes())[..EVENT_HASH_BYTES].to_vec()
}

pub(super) fn counter_field(key: &CounterKey) -> String {
    format!("{}/{}", key.scope_id, key.window_ms)
}

pub(super) struct Counter {
    pub(super) key: CounterKey,
    pub(super) ends_ms: i64,
    pub(super) impressions: u32,
}

/// `None`: not written by us.
pub(super) fn counter(field: &str, value: &str) -> Option<Counter> {
    let (scope_id, window_ms) = field.rsplit_once('/')?;
    let (ends_ms, impressions) = value.split_once('/')?;
    Some(Counter {
        key: CounterKey {
            scope_id: scope_id.to_owned(),
            window_ms: window_ms.parse().ok()?,
        },
        ends_ms: ends_ms.parse().ok()?,
        impressions: impressions.parse().ok()?,
    })
}

/// `None`: not written by us.
pub(super) fn membership_ends_ms(value: &str) -> Option<i64> {
    if value.is_empty() {
        return Some(i64::MAX);
    }
    value.parse().ok()
}

pub(super) fn link(to: &str, until_ms: i64) -> String {
    format!("{until_ms}/{to}")
}

/// Whom the key stands for, while it does.
pub(super) fn linked_to(link: &str, now_ms: i64) -> Option<String> {
    let (until_ms, to) = link.split_once('/')?;
    let is_running = until_ms.parse().is_ok_and(|until_ms: i64| until_ms > now_ms);
    is_running.then(|| to.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_keys_share_a_slot_and_do_not_name_the_user() {
        let keys = of("ifa:6d92078a-8246-4ba4-ae5b-76104861e7dc");
        assert_eq!(keys.counters, "{u:c4yE-hUbVBi7L0BF}c");
        assert_eq!(
            keys.events.trim_end_matches('e'),
            keys.audiences.trim_end_matches('a')
        );
    }

    #[test]
    fn a_counter_is_read_as_it_was_written() {
        let key = CounterKey {
            scope_id: "cmp/1".to_owned(),
            window_ms: 3_600_000,
        };
        let read = counter(&counter_field(&key), "1800000000000/3").unwrap();
        assert_eq!(
            (read.key, read.ends_ms, read.impressions),
            (key, 1_800_000_000_000, 3)
        );
        assert!(counter("cmp_1", "1/1").is_none());
    }
}

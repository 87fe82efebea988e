//! [`UserStates`]: frequency counters, audiences and links, on a Redis of their own or the ledger's.
//!
//! A user has up to four keys in one slot; the hashes are small enough for Redis to keep as plain lists (128 fields, 64 bytes):
//!
//! | key | field | value | goes |
//! |---|---|---|---|
//! | `{u:HASH}c` | `scope/window_ms` | `ends_ms/impressions` | a minute after the last window |
//! | `{u:HASH}a` | audience | `ends_ms`; nothing where it was written before memberships had ends | a minute after the last end |
//! | `{u:HASH}e` | 8 bytes of an event's hash | the last day (since 1970) it is known | 31 days after the last event |
//! | `{u:HASH}m` | no hash | `ends_ms/key` of whom it stands for | when the link ends |
//!
//! The names of users do not reach Redis, but for those that this platform gave them itself, which links lead to: `HASH` is 96
//! bits of SHA-256 of the user's key. Who reads the store cannot list ids; who knows an id can still look for it. An event
//! counts once for its user.
//!
//! Reads have connections of their own, so that a long list of members never stands before a bid. Nothing here waits longer
//! than a second; a bid's own, shorter deadline is the caller's.

mod door;
mod keys;
mod targets;

use crate::error::{corrupt, storage_error, unavailable};
use crate::settings::{Settings, SettingsError};
use async_trait::async_trait;
use door::Door;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use keys::Keys;
use redis::{ErrorKind, Script, ServerErrorKind, ToRedisArgs};
use std::time::Duration;
use storage::user_states::{CounterKey, UserState};
use storage::{StorageError, UserStates};

/// At least the longest window, a month of thirty days: as long as the repeat of an event could count twice.
const EVENT_ID_HOLD_MS: i64 = 31 * 24 * 60 * 60 * 1_000;
const CALL_WITHIN: Duration = Duration::from_secs(1);
/// Of a list of members, on their way at once.
const MEMBERS_AT_ONCE: usize = 512;
const COUNT: &str = include_str!("users/count.lua");
const JOIN: &str = include_str!("users/join.lua");

/// What is known of users, on Redis.
pub struct RedisUsers {
    reads: Door,
    writes: Door,
    count: Loaded,
    join: Loaded,
}

/// A script and its name.
struct Loaded {
    text: &'static str,
    sha1: String,
}

impl Loaded {
    fn new(text: &'static str) -> Self {
        Self {
            text,
            sha1: Script::new(text).get_hash().to_owned(),
        }
    }
}

impl std::fmt::Debug for RedisUsers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisUsers").finish_non_exhaustive()
    }
}

impl RedisUsers {
    /// Connects to nothing yet: a process may start before its Redis.
    ///
    /// # Errors
    /// An address or certificate that cannot be read.
    pub fn new(settings: &Settings) -> Result<Self, SettingsError> {
        Ok(Self {
            reads: Door::new(settings)?,
            writes: Door::new(settings)?,
            count: Loaded::new(COUNT),
            join: Loaded::new(JOIN),
        })
    }

    async fn run<K: ToRedisArgs, A: ToRedisArgs>(
        &self,
        script: &Loaded,
        keys: &[K],
        arguments: &[A],
    ) -> Result<(), StorageError> {
        let command = |name: &str, script: &str| {
            let mut command = redis::cmd(name);
            command.arg(script).arg(keys.len()).arg(keys).arg(arguments);
            command
        };
        let running = async {
            match self.writes.send(&command("EVALSHA", &script.sha1)).await {
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    self.writes.send(&command("EVAL", script.text)).await
                }
                other => other,
            }
        };
        within(running).await.map(drop)
    }

    /// Of the key itself, wherever it leads.
    async fn state_of(&self, user_key: &str, now_ms: i64) -> Result<UserState, StorageError> {
        let keys = keys::of(user_key);
        let mut all = redis::pipe();
        all.cmd("HGETALL").arg(&keys.counters);
        all.cmd("HGETALL").arg(&keys.audiences);
        all.cmd("GET").arg(&keys.link);
        let (counters, audiences, link) = within(self.reads.send_all(&all)).await?;
        let mut state = UserState {
            counters: Vec::with_capacity(counters.len()),
            audiences: Vec::with_capacity(audiences.len()),
            linked_to: link.and_then(|link| keys::linked_to(&link, now_ms)),
        };
        for (field, value) in counters {
            let counter = keys::counter(&field, &value).ok_or_else(|| corrupt("a counter cannot be read"))?;
            if counter.ends_ms > now_ms {
                state.counters.push((counter.key, counter.impressions));
            }
        }
        for (audience_id, ends) in audiences {
            let ends_ms = keys::membership_ends_ms(&ends)
                .ok_or_else(|| corrupt("the end of a membership cannot be read"))?;
            if ends_ms > now_ms {
                state.audiences.push(audience_id);
            }
        }
        Ok(state)
    }

    /// The commands for a list of members are made piece by piece: a million at once would be some hundred megabytes.
    async fn for_each_member<F>(
        &self,
        user_keys: &[String],
        write: impl Fn(Keys) -> F,
    ) -> Result<(), StorageError>
    where
        F: Future<Output = Result<(), StorageError>>,
    {
        for piece in user_keys.chunks(16 * MEMBERS_AT_ONCE) {
            let writes: Vec<F> = piece.iter().map(|user_key| write(keys::of(user_key))).collect();
            stream::iter(writes)
                .buffer_unordered(MEMBERS_AT_ONCE)
                .try_collect::<()>()
                .await?;
        }
        Ok(())
    }
}

#[async_trait]
impl UserStates for RedisUsers {
    async fn read(&self, user_key: &str, now_ms: i64) -> Result<UserState, StorageError> {
        let own = self.state_of(user_key, now_ms).await?;
        let Some(linked_to) = own.linked_to else {
            return Ok(own);
        };
        Ok(UserState {
            linked_to: Some(linked_to.clone()),
            ..self.state_of(&linked_to, now_ms).await?
        })
    }

    async fn count(
        &self,
        event_id: &str,
        user_key: &str,
        counters: &[CounterKey],
        now_ms: i64,
    ) -> Result<(), StorageError> {
        let longest_ms = counters
            .iter()
            .map(|counter| counter.window_ms)
            .max()
            .unwrap_or(0);
        let hold_ms = EVENT_ID_HOLD_MS.max(longest_ms);
        let mut arguments = vec![
            keys::event(event_id),
            now_ms.to_string().into_bytes(),
            hold_ms.to_string().into_bytes(),
        ];
        for counter in counters {
            arguments.push(keys::counter_field(counter).into_bytes());
            arguments.push(counter.window_ms.to_string().into_bytes());
        }
        let keys = keys::of(user_key);
        self.run(&self.count, &[keys.counters, keys.events], &arguments)
            .await
    }

    /// Each member is one write, so that a list that broke off is half applied: to be repeated, as everything that failed.
    async fn set_members(
        &self,
        audience_id: &str,
        add: &[String],
        remove: &[String],
        until_ms: i64,
        now_ms: i64,
    ) -> Result<(), StorageError> {
        let joins = [audience_id.to_owned(), until_ms.to_string(), now_ms.to_string()];
        let joins = &joins;
        // In this order, as the embedded store has it: who is in both lists is out.
        self.for_each_member(add, |keys| async move {
            self.run(&self.join, &[keys.audiences], joins).await
        })
        .await?;
        self.for_each_member(remove, |keys| async move {
            let mut leave = redis::cmd("HDEL");
            leave.arg(keys.audiences).arg(audience_id);
            within(self.writes.send(&leave)).await.map(drop)
        })
        .await
    }

    async fn link(&self, user_key: &str, to: &str, until_ms: i64, now_ms: i64) -> Result<(), StorageError> {
        let lasts_ms = until_ms.saturating_sub(now_ms);
        let key = keys::of(user_key).link;
        let mut command = redis::cmd(if lasts_ms > 0 { "SET" } else { "DEL" });
        command.arg(key);
        if lasts_ms > 0 {
            command.arg(keys::link(to, until_ms)).arg("PX").arg(lasts_ms);
        }
        within(self.writes.send(&command)).await.map(drop)
    }

    async fn erase(&self, user_key: &str, now_ms: i64) -> Result<(), StorageError> {
        let linked_to = self.state_of(user_key, now_ms).await?.linked_to;
        // Whom it stands for first: without the link nobody would find them again.
        for user_key in linked_to.as_deref().into_iter().chain([user_key]) {
            let keys = keys::of(user_key);
            let mut command = redis::cmd("DEL");
            command.arg(&[keys.counters, keys.audiences, keys.events, keys.link]);
            within(self.writes.send(&command)).await?;
        }
        Ok(())
    }

    /// Everything here expires by itself.
    async fn expire(&self, _now_ms: i64) -> Result<(), StorageError> {
        Ok(())
    }
}

async fn within<T>(answer: impl Future<Output = redis::RedisResult<T>>) -> Result<T, StorageError> {
    match tokio::time::timeout(CALL_WITHIN, answer).await {
        Ok(answer) => answer.map_err(|error| storage_error(&error)),
        Err(_elapsed) => Err(late()),
    }
}

fn late() -> StorageError {
    unavailable("no answer in time")
}

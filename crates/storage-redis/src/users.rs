//! [`UserStates`]: frequency counters and audiences, on a Redis of their own or the ledger's.
//!
//! A user has up to three hashes in one slot, each small enough for Redis to keep as a plain list (128 fields, 64 bytes):
//!
//! | key | field | value | goes |
//! |---|---|---|---|
//! | `{u:HASH}c` | `scope/window_ms` | `ends_ms/impressions` | a minute after the last window |
//! | `{u:HASH}a` | audience | nothing | when taken out of the last audience |
//! | `{u:HASH}e` | 8 bytes of an event's hash | the last day (since 1970) it is known | 31 days after the last event |
//!
//! The names of users never reach Redis: `HASH` is 96 bits of SHA-256 of the user's key. Who reads the store cannot list ids;
//! who knows an id can still look for it. An event counts once for its user.
//!
//! Reads have connections of their own, so that a long list of members never stands before a bid. Nothing here waits longer
//! than a second; a bid's own, shorter deadline is the caller's.

mod door;
mod keys;

use crate::error::{corrupt, storage_error, unavailable};
use crate::settings::{Settings, SettingsError};
use async_trait::async_trait;
use door::Door;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use redis::{Cmd, ErrorKind, Script, ServerErrorKind};
use std::time::Duration;
use storage::user_states::{CounterKey, UserState};
use storage::{StorageError, UserStates};

/// At least the longest window, a month of thirty days: as long as the repeat of an event could count twice.
const EVENT_ID_HOLD_MS: i64 = 31 * 24 * 60 * 60 * 1_000;
const CALL_WITHIN: Duration = Duration::from_secs(1);
/// Of a list of members, on their way at once.
const MEMBERS_AT_ONCE: usize = 512;
const COUNT: &str = include_str!("users/count.lua");

/// What is known of users, on Redis.
pub struct RedisUsers {
    reads: Door,
    writes: Door,
    count: Script,
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
            count: Script::new(COUNT),
        })
    }

    async fn run_count(&self, arguments: &[Vec<u8>], keys: &[Vec<u8>]) -> Result<(), StorageError> {
        let command = |name: &str, script: &str| {
            let mut command = redis::cmd(name);
            command.arg(script).arg(keys.len()).arg(keys).arg(arguments);
            command
        };
        let known = self.writes.send(&command("EVALSHA", self.count.get_hash())).await;
        match known {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.writes.send(&command("EVAL", COUNT)).await
            }
            other => other,
        }
        .map(|_counted| ())
        .map_err(|error| storage_error(&error))
    }
}

#[async_trait]
impl UserStates for RedisUsers {
    async fn read(&self, user_key: &str, now_ms: i64) -> Result<UserState, StorageError> {
        let keys = keys::of(user_key);
        let mut both = redis::pipe();
        both.cmd("HGETALL").arg(&keys.counters);
        both.cmd("HKEYS").arg(&keys.audiences);
        let read = self.reads.send_both(&both);
        let (counters, audiences) = within(read).await?;
        let mut state = UserState {
            counters: Vec::with_capacity(counters.len()),
            audiences,
        };
        for (field, value) in counters {
            let counter = keys::counter(&field, &value).ok_or_else(|| corrupt("a counter cannot be read"))?;
            if counter.ends_ms > now_ms {
                state.counters.push((counter.key, counter.impressions));
            }
        }
        Ok(state)
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
        let keys = [keys.counters, keys.events].map(String::into_bytes);
        let counted = self.run_count(&arguments, &keys);
        tokio::time::timeout(CALL_WITHIN, counted)
            .await
            .unwrap_or_else(|_elapsed| Err(late()))
    }

    /// Each member is one write, so that a list that broke off is half applied: to be repeated, as everything that failed.
    async fn set_members(
        &self,
        audience_id: &str,
        add: &[String],
        remove: &[String],
        _now_ms: i64,
    ) -> Result<(), StorageError> {
        // In this order, as the embedded store has it: who is in both lists is out.
        self.write_members("HSET", audience_id, add).await?;
        self.write_members("HDEL", audience_id, remove).await
    }

    /// Counters and event ids expire by themselves.
    async fn expire(&self, _now_ms: i64) -> Result<(), StorageError> {
        Ok(())
    }
}

impl RedisUsers {
    async fn write_members(
        &self,
        name: &str,
        audience_id: &str,
        user_keys: &[String],
    ) -> Result<(), StorageError> {
        // Made piece by piece: a million commands at once would be some hundred megabytes.
        for piece in user_keys.chunks(16 * MEMBERS_AT_ONCE) {
            let commands = piece.iter().map(|user_key| member(name, audience_id, user_key));
            let commands: Vec<Cmd> = commands.collect();
            stream::iter(commands)
                .map(|command| async move { within(self.writes.send(&command)).await })
                .buffer_unordered(MEMBERS_AT_ONCE)
                .try_for_each(|_answer| async { Ok(()) })
                .await?;
        }
        Ok(())
    }
}

fn member(name: &str, audience_id: &str, user_key: &str) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(keys::of(user_key).audiences).arg(audience_id);
    if name == "HSET" {
        command.arg("");
    }
    command
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

//! What is known of a request's user, where no bid waits for it: explanations and samples.

use bidding_engine::{Counter, UserView};
use std::time::Duration;
use storage::UserStates;
use storage::user_states::UserState;
use tokio::time::timeout;

/// Nobody waits for the answer to a bid here.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) enum KnownUser {
    Nobody,
    Away,
    State(UserState),
}

impl KnownUser {
    /// Waits a second at most.
    pub(crate) async fn read(user_states: &dyn UserStates, user_key: Option<&str>, now_ms: i64) -> Self {
        let Some(user_key) = user_key else {
            return Self::Nobody;
        };
        match timeout(PATIENCE, user_states.read(user_key, now_ms)).await {
            Ok(Ok(state)) => Self::State(state),
            Ok(Err(_)) | Err(_) => Self::Away,
        }
    }

    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Nobody => "unidentified",
            Self::Away => "unavailable",
            Self::State(_) => "known",
        }
    }

    /// As the engine sees the user.
    pub(crate) fn view<T>(&self, then: impl FnOnce(&UserView<'_>) -> T) -> T {
        let Self::State(state) = self else {
            return then(match self {
                Self::Away => &UserView::Unavailable,
                Self::Nobody | Self::State(_) => &UserView::Unidentified,
            });
        };
        let counters = state.counters.iter().map(|(counter, impressions)| Counter {
            scope_id: &counter.scope_id,
            window_ms: counter.window_ms,
            impressions: *impressions,
        });
        then(&UserView::Known {
            counters: &counters.collect::<Vec<_>>(),
            audiences: &state.audiences,
        })
    }

    /// About how much memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        /// Of a text, and of what stands beside it in its list.
        const OF_EACH: usize = 48;
        let Self::State(state) = self else { return 0 };
        let counters = state
            .counters
            .iter()
            .map(|(counter, _)| counter.scope_id.len() + OF_EACH);
        let audiences = state.audiences.iter().map(|id| id.len() + OF_EACH);
        counters.chain(audiences).sum()
    }
}

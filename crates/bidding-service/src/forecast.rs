//! `POST /openrtb2/forecast`: what a draft campaign could have had of the sampled requests, by maximum CPM. For
//! administrators, beside the bid path.
//!
//! An *opportunity* is an imp at which everything holds but what depends on the price. At one maximum an imp is *eligible*
//! when the price holds too; then it is won with the chance that this process has learned of its market. What was not
//! learned is not made up: every figure is a lower one, by what outcomes have shown, and an upper one, by the curve
//! continued, or in an unknown market by winning all.
//!
//! It is a forecast of demand for this campaign alone, in the requests of this process alone: budget, pacing, the flight's
//! dates and statuses do not count, nor do other campaigns on the platform. Of frequency caps counts what they say of
//! requests without a user, and what an advertiser that is known has shown already.

mod draft;
mod job;
mod odds;
mod sums;
#[cfg(test)]
mod tests;

use crate::administrator::Administrator;
use crate::live::Live;
use crate::samples::Samples;
use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use bidding_engine::LearnedPrices;
use draft::{Draft, Question};
use job::Job;
use platform::Clock;
use platform::http::{Json, Problem};
use serde_json::Value;
use std::sync::Arc;
use sums::{Sums, Told};
use tokio::time::Instant;

/// Samples that one visit to a thread looks at: whoever asked may be gone by the next one.
const AT_ONCE: usize = 256;

/// What a forecast needs.
pub(crate) struct Forecaster {
    pub(crate) live: Arc<ArcSwap<Live>>,
    pub(crate) samples: Samples,
    pub(crate) prices: LearnedPrices,
    pub(crate) clock: Clock,
    pub(crate) administrator: Administrator,
}

pub(crate) fn router(forecaster: Arc<Forecaster>) -> Router {
    Router::new()
        .route("/openrtb2/forecast", post(answer))
        .with_state(forecaster)
}

async fn answer(
    State(forecaster): State<Arc<Forecaster>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    forecaster.administrator.admit(&headers)?;
    let Json(question) = Json::<Question>::from_bytes(&body)?;
    let draft = question.check().map_err(Problem::bad_request)?;
    forecaster.forecast(draft).await.map(Json)
}

impl Forecaster {
    async fn forecast(&self, draft: Draft) -> Result<Value, Problem> {
        let now = Instant::now();
        let samples = self.samples.all(now);
        let span = samples
            .first()
            .map(|oldest| now.saturating_duration_since(oldest.since));
        let told = Told {
            currency: draft.currency(),
            max_cpms_micros: draft.max_cpms_micros().to_vec(),
            span_ms: span.map_or(0, |span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        };
        let (live, prices, now_ms) = (self.live.load_full(), self.prices.frozen(), self.clock.unix_ms());
        // Up to some hundred thousand looks at a request: not on a thread that bids wait for.
        let job = blocking(move || Job::new(&live, prices, samples, &draft, now_ms)).await?;
        let job = Arc::new(job);
        let mut sums = Sums::of(told.max_cpms_micros.len());
        for from in (0..job.len()).step_by(AT_ONCE) {
            let job = job.clone();
            sums = blocking(move || {
                job.add(from..from + AT_ONCE, &mut sums);
                sums
            })
            .await?;
        }
        Ok(sums.told(&told))
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Problem::internal(&error))
}

//! Win, billing and loss notices, and the events of a creative: `/notice/*`, `/event/*`, GET or POST.
//!
//! 200 (the pixel's GIF, the click's 302) says that what happened cannot be lost any more; a repeat gets the same
//! and changes nothing. 403 without a body: the token is not ours, not for this, or over. 503: try again.

mod answer;
mod price;
mod query;
#[cfg(test)]
mod tests;

use crate::bid_traces::later;
use crate::settlement::{Applied, Settlement};
use crate::token::{BadToken, BidToken, TokenKind, TokenSealer};
use answer::Answer;
use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use axum::routing::get;
use domain::event::EventKind;
use platform::{Clock, Traces};
use price::Notified;
use prometheus::IntCounterVec;
use query::NoticeQuery;
use std::sync::Arc;
use storage::StorageError;

/// What the notices' routes share.
#[derive(Clone, Debug)]
pub(crate) struct Notices {
    pub(crate) sealer: Arc<TokenSealer>,
    pub(crate) settlement: Arc<Settlement>,
    pub(crate) clock: Clock,
    /// `kind`, `result`.
    pub(crate) counted: IntCounterVec,
    pub(crate) traces: Traces,
}

/// Every URL that the outside calls about a bid: as GET or POST (OpenRTB 2.6, 2.1), whose body is not read.
pub(crate) fn router(notices: Notices) -> Router {
    Router::new()
        .route("/notice/win", get(win).post(win))
        .route("/notice/billing", get(billing).post(billing))
        .route("/notice/loss", get(loss).post(loss))
        .route("/event/impression", get(impression).post(impression))
        .route("/event/click", get(click).post(click))
        .route("/event/video/{event}", get(video).post(video))
        .with_state(notices)
}

async fn win(State(notices): State<Notices>, RawQuery(raw): RawQuery) -> Response {
    let raw = raw.unwrap_or_default();
    let query = NoticeQuery(&raw);
    let token = match notices.open(TokenKind::Win, query) {
        Ok(token) => token,
        Err(refused) => return notices.done("win", refused),
    };
    let _traced = later(&notices.traces, token.bid_id, "win notice");
    match Notified::read(&token.price_form, &query.value("p")) {
        Notified::Audit => notices.done("win", Answer::Audit),
        price => {
            let applied = notices.settlement.win(&token, price.cpm_micros()).await;
            notices.answer("win", applied)
        }
    }
}

async fn billing(State(notices): State<Notices>, RawQuery(raw): RawQuery) -> Response {
    let raw = raw.unwrap_or_default();
    let query = NoticeQuery(&raw);
    let token = match notices.open(TokenKind::Billing, query) {
        Ok(token) => token,
        Err(refused) => return notices.done("billing", refused),
    };
    let _traced = later(&notices.traces, token.bid_id, "billing notice");
    // Where the pixel bills, a billing notice says nothing new.
    if token.billing == domain::exchange::Billing::Pixel {
        return notices.done("billing", Answer::Acknowledged);
    }
    match Notified::read(&token.price_form, &query.value("p")) {
        Notified::Audit => notices.done("billing", Answer::Audit),
        price => {
            let applied = notices.settlement.bill(&token, price.cpm_micros()).await;
            notices.answer("billing", applied)
        }
    }
}

async fn loss(State(notices): State<Notices>, RawQuery(raw): RawQuery) -> Response {
    let raw = raw.unwrap_or_default();
    let query = NoticeQuery(&raw);
    match notices.open(TokenKind::Loss, query) {
        Ok(token) => {
            let _traced = later(&notices.traces, token.bid_id, "loss notice");
            let applied = notices
                .settlement
                .loss(&token, query.value("r").parse().ok())
                .await;
            notices.answer("loss", applied)
        }
        Err(refused) => notices.done("loss", refused),
    }
}

async fn impression(State(notices): State<Notices>, RawQuery(raw): RawQuery) -> Response {
    let raw = raw.unwrap_or_default();
    let query = NoticeQuery(&raw);
    let token = match notices.open(TokenKind::Impression, query) {
        Ok(token) => token,
        Err(refused) => return notices.done("impression", refused),
    };
    let _traced = later(&notices.traces, token.bid_id, "impression");
    let answer = match Notified::read(&token.price_form, &query.value("p")) {
        Notified::Audit => Answer::Audit,
        price => Answer::of(notices.settlement.impression(&token, price.cpm_micros()).await),
    };
    notices.count("impression", answer.word());
    answer.pixel()
}

/// The person is taken to the landing page whatever becomes of the event.
async fn click(State(notices): State<Notices>, RawQuery(raw): RawQuery) -> Response {
    let raw = raw.unwrap_or_default();
    match notices.open(TokenKind::Click, NoticeQuery(&raw)) {
        Ok(token) => {
            let _traced = later(&notices.traces, token.bid_id, "click");
            let answer = Answer::of(notices.settlement.click(&token).await);
            notices.count("click", answer.word());
            answer::redirect(&token.landing_url)
        }
        Err(refused) => notices.done("click", refused),
    }
}

async fn video(
    State(notices): State<Notices>,
    Path(event): Path<String>,
    RawQuery(raw): RawQuery,
) -> Response {
    let kind = match event.as_str() {
        "start" => EventKind::VideoStart,
        "first_quartile" => EventKind::VideoFirstQuartile,
        "midpoint" => EventKind::VideoMidpoint,
        "third_quartile" => EventKind::VideoThirdQuartile,
        "complete" => EventKind::VideoComplete,
        "error" => EventKind::VideoError,
        _ => return answer::not_found(),
    };
    let raw = raw.unwrap_or_default();
    match notices.open(TokenKind::Video, NoticeQuery(&raw)) {
        Ok(token) => {
            let _traced = later(&notices.traces, token.bid_id, "video");
            let answer = Answer::of(notices.settlement.video(&token, kind).await);
            notices.count("video", answer.word());
            answer.pixel()
        }
        Err(refused) => notices.done("video", refused),
    }
}

impl Notices {
    fn open(&self, kind: TokenKind, query: NoticeQuery<'_>) -> Result<BidToken, Answer> {
        let token = query.value("t");
        self.sealer
            .open(kind, self.clock.unix_ms(), &token)
            .map_err(|bad| match bad {
                BadToken::Forged => Answer::Forged,
                BadToken::Expired => Answer::Expired,
            })
    }

    fn answer(&self, kind: &str, applied: Result<Applied, StorageError>) -> Response {
        self.done(kind, Answer::of(applied))
    }

    fn done(&self, kind: &str, answer: Answer) -> Response {
        self.count(kind, answer.word());
        answer.plain()
    }

    fn count(&self, kind: &str, result: &str) {
        self.counted.with_label_values(&[kind, result]).inc();
    }
}

//! Win, billing and loss notices, and the events of a creative: `/notice/*`, `/event/*`, GET or POST.
//!
//! 200 (the pixel's GIF, the click's 302) says that what happened cannot be lost any more; a repeat gets the same
//! and changes nothing. 403 without a body: the token is not ours, not for this, or over. 503: try again.

mod answer;
mod conversion;
mod price;
pub(crate) mod query;
#[cfg(test)]
mod tests;

use crate::bid_traces::later;
use crate::live::Live;
use crate::price_keys::PriceKeys;
use crate::settlement::{Applied, Settlement};
use crate::shading::{Fate, Shading};
use crate::token::{BadToken, BidToken, TokenKind, TokenSealer};
use answer::Answer;
use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use axum::routing::get;
use domain::event::EventKind;
use platform::{Clock, Traces};
use price::{Notified, minimum_cpm_micros};
use prometheus::IntCounterVec;
use query::NoticeQuery;
use std::sync::Arc;
use storage::StorageError;

/// What the notices' routes share.
#[derive(Clone, Debug)]
pub(crate) struct Notices {
    pub(crate) sealer: Arc<TokenSealer>,
    pub(crate) settlement: Arc<Settlement>,
    pub(crate) shading: Shading,
    pub(crate) clock: Clock,
    /// For the rates of exchanges.
    pub(crate) live: Arc<ArcSwap<Live>>,
    pub(crate) price_keys: PriceKeys,
    /// `kind`, `result`.
    pub(crate) counted: IntCounterVec,
    pub(crate) traces: Traces,
}

/// What a page gets that asked for an image.
pub(crate) fn pixel() -> Response {
    Answer::Acknowledged.pixel()
}

/// Every URL that the outside calls about a bid: as GET or POST (OpenRTB 2.6, 2.1). Of a POST the body
/// is not read, but for a conversion's.
pub(crate) fn router(notices: Notices) -> Router {
    Router::new()
        .route("/notice/win", get(win).post(win))
        .route("/notice/billing", get(billing).post(billing))
        .route("/notice/loss", get(loss).post(loss))
        .route("/event/impression", get(impression).post(impression))
        .route("/event/click", get(click).post(click))
        .route(
            "/event/conversion",
            get(conversion::pixel).post(conversion::from_server),
        )
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
    match notices.price(&token, query) {
        Notified::Audit => notices.done("win", Answer::Audit),
        price => {
            notices.learn_win(&token, price, query);
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
    match notices.price(&token, query) {
        Notified::Audit => notices.done("billing", Answer::Audit),
        price => {
            notices.learn_win(&token, price, query);
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
            let reason = query.value("r").parse().ok();
            let minimum = minimum_cpm_micros(&query.value("m"));
            notices.shading.noticed(&token, lost_by(reason), minimum);
            let applied = notices.settlement.loss(&token, reason).await;
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
    let answer = match notices.price(&token, query) {
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
            answer::redirect(&conversion::landing(&notices, &token))
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

    fn price(&self, token: &BidToken, query: NoticeQuery<'_>) -> Notified {
        Notified::read_with(&self.price_keys, &token.price_form, &query.value("p"))
    }

    /// In a second-price auction the price is the least that would have won.
    fn learn_win(&self, token: &BidToken, price: Notified, query: NoticeQuery<'_>) {
        let told = minimum_cpm_micros(&query.value("m"));
        let cleared = price
            .cpm_micros()
            .filter(|cleared| *cleared < token.price_cpm_micros);
        self.shading.noticed(token, Fate::Won, told.or(cleared));
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

/// Loss reasons (OpenRTB 3.0, "Loss Reason Codes") that say something of the price: 100 to 102, below a floor or another
/// bid, and what is not said or the exchange's own.
fn lost_by(reason: Option<i64>) -> Fate {
    match reason {
        Some(0..100 | 103..500) => Fate::Void,
        _ => Fate::Lost,
    }
}

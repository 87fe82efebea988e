//! `GET /sync/{exchange}`: which user of ours a browser's user at an exchange is.
//!
//! The browser gets our cookie, unless the privacy signals of the call forbid it. Then, as the exchange is set to: it says its
//! own id (`?uid=…`), which from then on stands for ours; or the browser is sent on to the one URL that the exchange's record
//! names, with our id in it, which the exchange keeps and sends as `user.buyeruid`. The answer is that redirect or a pixel,
//! never an error that a page would show.

mod cookie;

use crate::live::Live;
use crate::notices::pixel;
use crate::notices::query::NoticeQuery;
use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use cookie::UserId;
use domain::exchange::{ExchangeStatus, UserSync};
use domain::user_key::{buyer, exchange_user};
use openrtb::BidRequest;
use openrtb::request::{Device, Regs, User};
use platform::Clock;
use prometheus::IntCounterVec;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use storage::UserStates;
use tokio::sync::Semaphore;

/// In `notices_total`.
const KIND: &str = "sync";
/// Links on their way to the store; one more is left out, and made when the exchange calls again.
const LINKS_AT_ONCE: usize = 64;
const LINK_WITHIN: Duration = Duration::from_millis(500);
const MOST_SECTIONS: usize = 32;

#[derive(Clone)]
pub(crate) struct CookieSync {
    live: Arc<ArcSwap<Live>>,
    users: Arc<dyn UserStates>,
    clock: Clock,
    /// `kind`, `result`.
    counted: IntCounterVec,
    links: Arc<Semaphore>,
}

pub(crate) fn router(sync: CookieSync) -> Router {
    Router::new()
        .route("/sync/{exchange}", get(match_user))
        .with_state(sync)
}

impl CookieSync {
    pub(crate) fn new(
        live: Arc<ArcSwap<Live>>,
        users: Arc<dyn UserStates>,
        clock: Clock,
        counted: IntCounterVec,
    ) -> Self {
        Self {
            live,
            users,
            clock,
            counted,
            links: Arc::new(Semaphore::new(LINKS_AT_ONCE)),
        }
    }

    fn count(&self, result: &str) {
        self.counted.with_label_values(&[KIND, result]).inc();
    }

    /// The exchange's id stands for ours from now on.
    async fn link(&self, exchange_id: &str, uid: &str, user: &UserId) -> &'static str {
        let (Some(theirs), Some(ours)) = (exchange_user(exchange_id, uid), buyer(user.as_str())) else {
            return "malformed";
        };
        let Ok(_permit) = self.links.try_acquire() else {
            return "shed";
        };
        let now_ms = self.clock.unix_ms();
        let until_ms = now_ms.saturating_add(cookie::LIFE_MS);
        let linking = self.users.link(&theirs, &ours, until_ms, now_ms);
        match tokio::time::timeout(LINK_WITHIN, linking).await {
            Ok(Ok(())) => "accepted",
            Ok(Err(_)) | Err(_) => "unavailable",
        }
    }
}

async fn match_user(
    State(sync): State<CookieSync>,
    Path(exchange_id): Path<String>,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
) -> Response {
    let live = sync.live.load_full();
    let exchange = live
        .snapshot
        .exchange(&exchange_id)
        .map(|state| &state.serving().exchange);
    let Some(settings) = exchange
        .filter(|exchange| exchange.spec.status == ExchangeStatus::Active)
        .and_then(|exchange| exchange.spec.user_sync.as_ref())
    else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let raw = raw.unwrap_or_default();
    let query = NoticeQuery(&raw);
    if !is_lawful(query, &headers) {
        sync.count("unlawful");
        return pixel();
    }
    let Some(user) = UserId::of(&headers).or_else(UserId::random) else {
        sync.count("unavailable");
        return pixel();
    };
    let uid = query.value("uid");
    let (result, mut response) = if settings.accepts_ids && !uid.is_empty() {
        (sync.link(&exchange_id, &uid, &user).await, pixel())
    } else {
        match location(settings, &user, query) {
            Some(location) => (
                "redirected",
                (StatusCode::FOUND, [(LOCATION, location)]).into_response(),
            ),
            None => ("acknowledged", pixel()),
        }
    };
    sync.count(result);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(SET_COOKIE, user.set_cookie());
    response
}

/// By the same rules as a bid request with these signals.
fn is_lawful(query: NoticeQuery<'_>, headers: &HeaderMap) -> bool {
    let given = |name: &str| Some(query.value(name)).filter(|text| !text.is_empty());
    let (consent, us_privacy, gpp) = (given("gdpr_consent"), given("us_privacy"), given("gpp"));
    let sections = given("gpp_sid").unwrap_or_default();
    let sections: Option<Vec<u16>> = sections
        .split([',', '_'])
        .filter(|section| !section.is_empty())
        .map(|section| section.trim().parse().ok())
        .collect();
    let Some(sections) = sections.filter(|sections| sections.len() <= MOST_SECTIONS) else {
        return false;
    };
    let is_on = |name: &str| headers.get(name).is_some_and(|value| value.as_bytes() == b"1");
    let request = BidRequest {
        regs: Regs {
            // As in a request: neither 0 nor 1 counts as set.
            gdpr: given("gdpr").map(|gdpr| gdpr != "0"),
            us_privacy: us_privacy.as_deref(),
            gpp: gpp.as_deref(),
            gpp_sid: &sections,
            ..Regs::default()
        },
        user: User {
            consent: consent.as_deref(),
            ..User::default()
        },
        device: Device {
            dnt: Some(is_on("dnt") || is_on("sec-gpc")),
            ..Device::default()
        },
        ..BidRequest::default()
    };
    bidding_engine::is_identifiable(&request)
}

/// The exchange's own URL, as an administrator set it; callers fill in values, never a place to go to.
fn location(settings: &UserSync, user: &UserId, query: NoticeQuery<'_>) -> Option<HeaderValue> {
    let mut url = settings.redirect_url.as_deref()?.replace("{UID}", user.as_str());
    for (mark, name) in [
        ("{GDPR}", "gdpr"),
        ("{GDPR_CONSENT}", "gdpr_consent"),
        ("{US_PRIVACY}", "us_privacy"),
        ("{GPP}", "gpp"),
        ("{GPP_SID}", "gpp_sid"),
    ] {
        if url.contains(mark) {
            url = url.replace(mark, &encoded(query.value(name)));
        }
    }
    HeaderValue::try_from(url).ok()
}

/// What may stand in a query as it is stays; every other byte is written in hex.
fn encoded(text: Cow<'_, str>) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~,".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests;

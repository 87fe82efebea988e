//! The id that ties an answer to the log lines about it.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_LENGTH: usize = 64;

/// The request's id: `x-request-id` as it came in if it is sane, else a new one. Handlers extract it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    pub(super) fn from_headers(headers: &HeaderMap) -> Self {
        match headers
            .get(X_REQUEST_ID)
            .and_then(|value| value.to_str().ok())
            .filter(|id| is_sane(id))
        {
            Some(id) => Self(id.into()),
            None => Self::generate(),
        }
    }

    fn generate() -> Self {
        Self(format!("{:032x}", fastrand::u128(..)).into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `None` only for ids that are not sane, which this type never holds.
    pub(super) fn header_value(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }
}

/// Short enough to log, and nothing in it that could forge a log line or a header.
fn is_sane(id: &str) -> bool {
    (1..=MAX_LENGTH).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = Infallible;

    /// Outside the stack, where no id was given, a new one.
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or_else(Self::generate))
    }
}

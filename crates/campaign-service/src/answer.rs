//! What a handler answers with; also what is kept for the repeats of a keyed request.

use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, ETAG, HeaderName, HeaderValue, LOCATION};
use axum::response::{IntoResponse, Response};
use platform::http::Json;
use serde::{Deserialize, Serialize};
use serde_json::Value;

const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    /// The stored version, quoted: `"v3"`.
    #[serde(default)]
    pub(crate) etag: Option<String>,
    #[serde(default)]
    pub(crate) location: Option<String>,
    /// The answer of an earlier request with the same key.
    #[serde(skip)]
    pub(crate) is_replay: bool,
}

impl Answer {
    pub(crate) fn ok(body: Value) -> Self {
        Self {
            status: 200,
            body,
            etag: None,
            location: None,
            is_replay: false,
        }
    }

    /// The representation of an object at a version.
    pub(crate) fn shows(body: Value, version: i64) -> Self {
        Self {
            etag: Some(crate::precondition::etag(version)),
            ..Self::ok(body)
        }
    }

    pub(crate) fn created(body: Value, version: i64, location: String) -> Self {
        Self {
            status: 201,
            location: Some(location),
            ..Self::shows(body, version)
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Json(self.body).into_response();
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let headers = response.headers_mut();
        // Private, and to be asked again each time: the ETag makes that cheap.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        for (name, value) in [(ETAG, self.etag), (LOCATION, self.location)] {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
                headers.insert(name, value);
            }
        }
        if self.is_replay {
            headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

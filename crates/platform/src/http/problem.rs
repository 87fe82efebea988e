//! Errors as the caller sees them: RFC 9457 problem documents.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// One mistake in a request body or its parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Where: a JSON pointer (RFC 6901) into the body, empty for the whole of it, or a parameter's name.
    pub pointer: String,
    /// What, for programs: snake_case and stable.
    pub code: Cow<'static, str>,
    /// What, for people: lower case, no full stop.
    pub message: String,
}

impl FieldError {
    pub fn new(
        pointer: impl Into<String>,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            pointer: pointer.into(),
            code: code.into(),
            message: message.into(),
        }
    }
}

/// A problem document. The HTTP stack fills in `request_id`, and logs the cause of an internal one.
///
/// One word wide, since it is the error of nearly every handler's `Result`.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Problem(Box<Document>);

#[derive(Clone, Debug, Serialize)]
struct Document {
    #[serde(rename = "type")]
    kind: Cow<'static, str>,
    title: Cow<'static, str>,
    #[serde(serialize_with = "status_number")]
    status: StatusCode,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    #[serde(skip)]
    retry_after_seconds: Option<u64>,
    #[serde(skip)]
    cause: Option<Arc<str>>,
}

/// Why a request failed; travels with the response to the stack, which logs it. Never shown to the caller.
#[derive(Clone)]
struct Cause(Arc<str>);

impl Problem {
    /// A problem that says no more than its status (RFC 9457, 4.2.1: `about:blank`).
    pub fn new(status: StatusCode) -> Self {
        Self(Box::new(Document {
            kind: "about:blank".into(),
            title: status.canonical_reason().unwrap_or("Error").into(),
            status,
            detail: None,
            request_id: None,
            errors: Vec::new(),
            retry_after_seconds: None,
            cause: None,
        }))
    }

    /// 400: the request cannot be understood.
    pub fn bad_request(errors: Vec<FieldError>) -> Self {
        Self::new(StatusCode::BAD_REQUEST).with_errors(errors)
    }

    /// 401: no key, or an unknown one.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED)
    }

    /// 403: a known key that may not do this.
    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN)
    }

    /// 404: not there, or another tenant's.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND).with_detail("there is no such object that this key can see")
    }

    /// 409: the state of the resource does not allow it.
    pub fn conflict() -> Self {
        Self::new(StatusCode::CONFLICT)
    }

    /// 412: `If-Match` is stale.
    pub fn precondition_failed() -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED)
    }

    /// 413: the body is longer than `limit_bytes`.
    pub fn payload_too_large(limit_bytes: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE)
            .with_detail(format!("the body is longer than {limit_bytes} bytes"))
    }

    /// 415: not a media type this resource takes.
    pub fn unsupported_media_type() -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE)
    }

    /// 422: the request cannot stand beside an earlier one, such as a reused `Idempotency-Key`.
    pub fn unprocessable(errors: Vec<FieldError>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY).with_errors(errors)
    }

    /// 429 with `Retry-After`.
    pub fn too_many_requests(retry_after_seconds: u64) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS).with_retry_after(retry_after_seconds)
    }

    /// 503 with `Retry-After`.
    pub fn unavailable(retry_after_seconds: u64) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE).with_retry_after(retry_after_seconds)
    }

    /// 500 that shows nothing of its cause; the stack logs the cause, with all its sources, once.
    pub fn internal(cause: &(dyn Error + 'static)) -> Self {
        let mut problem = Self::new(StatusCode::INTERNAL_SERVER_ERROR);
        problem.0.cause = Some(chain(cause).into());
        problem
    }

    /// What happened this time, for people.
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// A type and title of its own, where a program shall tell this problem from others of the same status.
    pub fn with_type(
        mut self,
        kind: impl Into<Cow<'static, str>>,
        title: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.0.kind = kind.into();
        self.0.title = title.into();
        self
    }

    fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.detail = match errors.as_slice() {
            [] => None,
            [only] if only.pointer.is_empty() => Some(format!("the body {}", only.message)),
            [only] => Some(format!("{} {}", only.pointer, only.message)),
            several => Some(format!("{} mistakes, each told in errors", several.len())),
        };
        self.0.errors = errors;
        self
    }

    fn with_retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after_seconds = Some(seconds);
        self
    }

    pub(super) fn with_request_id(mut self, id: &str) -> Self {
        self.0.request_id = Some(id.to_owned());
        self
    }

    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    pub fn errors(&self) -> &[FieldError] {
        &self.0.errors
    }

    pub(super) fn document(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        let content_type = [(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))];
        let mut response = (self.0.status, content_type, self.document()).into_response();
        if let Some(seconds) = self.0.retry_after_seconds {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        if self.0.status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(cause) = self.0.cause.take() {
            response.extensions_mut().insert(Cause(cause));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Logs why a request failed, once: whichever layer comes first takes the cause with it.
pub(super) fn log_cause(response: &mut Response) {
    if let Some(Cause(cause)) = response.extensions_mut().remove() {
        tracing::error!(cause = &*cause, "request failed");
    }
}

/// An error and all its sources on one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's serialize_with passes a reference"
)]
fn status_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail(errors: &[(&str, &str)]) -> serde_json::Value {
        let errors = errors
            .iter()
            .map(|(pointer, message)| FieldError::new(*pointer, "code", *message));
        let document = Problem::bad_request(errors.collect()).document();
        serde_json::from_slice::<serde_json::Value>(&document).unwrap()["detail"].clone()
    }

    #[test]
    fn the_detail_says_what_is_wrong_when_it_is_one_thing() {
        assert_eq!(detail(&[("/name", "is required")]), "/name is required");
        assert_eq!(detail(&[("", "must be an object")]), "the body must be an object");
        assert_eq!(
            detail(&[("/name", "is required"), ("/bid", "is required")]),
            "2 mistakes, each told in errors"
        );
    }
}

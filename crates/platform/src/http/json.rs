//! JSON bodies in and out; a body that does not fit becomes a problem that points at the place.

use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

use super::{FieldError, Problem};

/// A JSON body. As an extractor it takes `application/json`, `application/*+json` and bodies without a type;
/// others are 415, a body that is no JSON or has another shape is 400 with a pointer.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::unsupported_media_type().with_detail("expected application/json"));
        }
        let body = Bytes::from_request(request, state).await.map_err(unreadable)?;
        Self::from_bytes(&body)
    }
}

impl<T: DeserializeOwned> Json<T> {
    /// Reads a whole body.
    ///
    /// # Errors
    /// 400 when it is no JSON or has another shape; both point at the place.
    pub fn from_bytes(body: &[u8]) -> Result<Self, Problem> {
        let mut deserializer = serde_json::Deserializer::from_slice(body);
        let value = serde_path_to_error::deserialize(&mut deserializer)
            .map_err(|error| refused(&pointer(error.path()), error.inner()))?;
        deserializer.end().map_err(|error| refused("", &error))?;
        Ok(Self(value))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
            Err(error) => Problem::internal(&error).into_response(),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return true;
    };
    let Ok(value) = value.to_str() else { return false };
    let essence = value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn unreadable(rejection: BytesRejection) -> Problem {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE).with_detail("the body is too long")
        }
        // The client went away or broke the transfer encoding.
        _ => Problem::new(StatusCode::BAD_REQUEST).with_detail("the body could not be read"),
    }
}

fn refused(pointer: &str, error: &serde_json::Error) -> Problem {
    let error_at = |code| vec![FieldError::new(pointer, code, error.to_string())];
    match error.classify() {
        serde_json::error::Category::Data => Problem::bad_request(error_at("invalid_type")),
        _ => Problem::bad_request(error_at("invalid_json")),
    }
}

/// The place as a JSON pointer (RFC 6901).
fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            // Not places in the document.
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

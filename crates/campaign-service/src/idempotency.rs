//! Bodies of requests, and `Idempotency-Key` on POST: the first answer is replayed for 24 hours.

use crate::answer::Answer;
use crate::api::Api;
use crate::auth::Caller;
use crate::error::ApiError;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use domain::api_key::sha256_hex;
use platform::http::{Json, Problem};
use serde_json::Value;
use std::sync::Arc;
use storage::campaign_store::Idempotent;

const LONGEST_KEY: usize = 255;

/// The JSON body of a POST, and its key when it has one. An empty body is `null`.
pub(crate) struct Post {
    pub(crate) body: Value,
    pub(crate) keyed: Option<Keyed>,
}

/// A merge patch.
pub(crate) struct Patch(pub(crate) Value);

/// A request that may be repeated.
#[derive(Clone, Debug)]
pub(crate) struct Keyed {
    key: String,
    request_hash: String,
}

impl Keyed {
    /// The first answer, when there is one.
    pub(crate) async fn answered(&self, api: &Api) -> Result<Option<Answer>, ApiError> {
        let found = api.store.answered(&self.key, api.now_ms()).await?;
        found.map(|first| self.replay(first)).transpose()
    }

    /// # Errors
    /// When the first request was another one.
    pub(crate) fn replay(&self, first: Idempotent) -> Result<Answer, ApiError> {
        if first.request_hash != self.request_hash {
            return Err(ApiError::KeyReused);
        }
        let answer: Answer = serde_json::from_value(first.answer).map_err(storage::StorageError::from)?;
        Ok(Answer {
            is_replay: true,
            ..answer
        })
    }

    pub(crate) fn with(&self, answer: &Answer) -> Result<Idempotent, ApiError> {
        Ok(Idempotent {
            key: self.key.clone(),
            request_hash: self.request_hash.clone(),
            answer: serde_json::to_value(answer).map_err(storage::StorageError::from)?,
        })
    }

    /// The key of a part of the request, which is answered for itself.
    pub(crate) fn part(&self, index: usize) -> Self {
        Self {
            key: format!("{}#{index}", self.key),
            request_hash: self.request_hash.clone(),
        }
    }

    /// Of a request whose body has not been read yet: [`Keyed::is_of`] is to follow.
    pub(crate) fn begun(headers: &HeaderMap, caller: &Caller) -> Result<Option<Self>, ApiError> {
        Self::read(headers, caller, &[])
    }

    pub(crate) fn is_of(&mut self, request_hash: String) {
        self.request_hash = request_hash;
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    fn read(headers: &HeaderMap, caller: &Caller, request: &[&[u8]]) -> Result<Option<Self>, ApiError> {
        let Some(value) = headers.get("idempotency-key") else {
            return Ok(None);
        };
        let key = value.to_str().unwrap_or_default();
        let fits =
            (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
        if !fits {
            let message = format!("must be 1 to {LONGEST_KEY} visible characters");
            return Err(ApiError::parameter("Idempotency-Key", "invalid_value", message));
        }
        Ok(Some(Self {
            // Hashed, so that one caller's key can never spell another's.
            key: sha256_hex(format!("{}\n{key}", caller.actor).as_bytes()),
            request_hash: sha256_hex(&request.join(&b'\n')),
        }))
    }
}

impl<S: Send + Sync> FromRequest<S> for Post {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, state).await?;
        let (method, path, headers) = (
            parts.method.clone(),
            parts.uri.path().to_owned(),
            parts.headers.clone(),
        );
        let bytes = read_body(Request::from_parts(parts, body), state).await?;
        let keyed = Keyed::read(
            &headers,
            &caller,
            &[method.as_str().as_bytes(), path.as_bytes(), &bytes],
        )?;
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            parse(&headers, &bytes, &["application/json"])?
        };
        Ok(Self { body, keyed })
    }
}

impl<S: Send + Sync> FromRequest<S> for Patch {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let headers = request.headers().clone();
        let bytes = read_body(request, state).await?;
        parse(
            &headers,
            &bytes,
            &["application/merge-patch+json", "application/json"],
        )
        .map(Self)
    }
}

async fn read_body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    Bytes::from_request(request, state).await.map_err(|rejection| {
        ApiError::Unreadable(match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE).with_detail("the body is too long")
            }
            _ => Problem::new(StatusCode::BAD_REQUEST).with_detail("the body could not be read"),
        })
    })
}

/// Of the body, in lower case and without parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(CONTENT_TYPE)?.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default();
    Some(essence.trim().to_ascii_lowercase())
}

fn parse(headers: &HeaderMap, bytes: &[u8], types: &[&str]) -> Result<Value, ApiError> {
    if media_type(headers).is_some_and(|essence| !types.contains(&essence.as_str())) {
        let expected = format!("expected {}", types.join(" or "));
        return Err(ApiError::Unreadable(
            Problem::unsupported_media_type().with_detail(expected),
        ));
    }
    Json::<Value>::from_bytes(bytes)
        .map(|Json(value)| value)
        .map_err(ApiError::Unreadable)
}

/// Answers a keyed request from what is stored, or runs it.
pub(crate) async fn first_answer(api: &Arc<Api>, keyed: Option<&Keyed>) -> Result<Option<Answer>, ApiError> {
    match keyed {
        Some(keyed) => keyed.answered(api).await,
        None => Ok(None),
    }
}

//! `ETag`, `If-Match` and `If-None-Match` (RFC 9110, 13.1).

use crate::error::ApiError;
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use axum::http::request::Parts;

/// The tag of a stored version.
pub(crate) fn etag(version: i64) -> String {
    format!("\"v{version}\"")
}

/// `If-Match`: the versions a change may be made to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Precondition {
    /// No header, or `*`: whichever is stored.
    Any,
    /// One of these tags.
    Tags(Vec<String>),
}

impl Precondition {
    pub(crate) fn check(&self, version: i64) -> Result<(), ApiError> {
        match self {
            Self::Any => Ok(()),
            // Compared strongly: a weak tag never matches.
            Self::Tags(tags) if tags.contains(&etag(version)) => Ok(()),
            Self::Tags(_) => Err(ApiError::Stale),
        }
    }

    /// From the text of one header.
    pub(crate) fn parse(text: &str) -> Result<Self, ApiError> {
        if text.trim() == "*" {
            return Ok(Self::Any);
        }
        let tags: Vec<String> = split(text);
        let is_strong = |tag: &String| tag.len() >= 2 && tag.starts_with('"') && tag.ends_with('"');
        if tags.is_empty() || !tags.iter().all(is_strong) {
            return Err(ApiError::parameter(
                "If-Match",
                "invalid_value",
                "must be strong entity tags such as \"v3\", or *",
            ));
        }
        Ok(Self::Tags(tags))
    }
}

impl<S: Sync> FromRequestParts<S> for Precondition {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        all(&parts.headers, IF_MATCH).map_or(Ok(Self::Any), |text| Self::parse(&text))
    }
}

/// Whether `If-None-Match` names the version (compared weakly): then the answer is 304.
pub(crate) fn is_known(headers: &HeaderMap, version: i64) -> bool {
    all(headers, IF_NONE_MATCH).is_some_and(|text| {
        text.trim() == "*"
            || split(&text)
                .iter()
                .any(|tag| tag.strip_prefix("W/").unwrap_or(tag) == etag(version))
    })
}

fn all(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let lines: Vec<&str> = headers
        .get_all(name)
        .iter()
        .map(|value| value.to_str().unwrap_or_default())
        .collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

fn split(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|tag| !tag.is_empty())
        .map(str::to_owned)
        .collect()
}

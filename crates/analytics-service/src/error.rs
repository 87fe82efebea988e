//! What can go wrong at the HTTP edge, and the status of each.

use axum::response::{IntoResponse, Response};
use domain::mistake::Mistake;
use platform::http::{FieldError, Problem};
use storage::StorageError;

/// When to come back to a store that is away, in seconds.
const RETRY_AFTER_SECONDS: u64 = 1;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("no key, or one that is not accepted")]
    Unauthorized,
    #[error("not there, or another tenant's")]
    NotFound,
    #[error("query is not url-encoded utf-8")]
    UndecodableQuery,
    #[error("query has mistakes")]
    BadQuery(Vec<Mistake>),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("cannot write csv")]
    Csv(#[from] csv::Error),
    #[error("stored document of {0} makes no sense")]
    Document(String, #[source] serde_json::Error),
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let problem = match &self {
            Self::Unauthorized => {
                Problem::unauthorized().with_detail("expected a known key: Authorization: Bearer <key>")
            }
            Self::NotFound => Problem::not_found(),
            Self::UndecodableQuery => Problem::bad_request(vec![FieldError::new(
                "",
                "invalid_encoding",
                "expected url-encoded UTF-8",
            )]),
            Self::BadQuery(mistakes) => Problem::bad_request(mistakes.iter().map(field_error).collect()),
            Self::Storage(error @ StorageError::Unavailable(_)) => {
                tracing::warn!(%error, "cannot answer");
                Problem::unavailable(RETRY_AFTER_SECONDS).with_detail("the store cannot be reached")
            }
            Self::Storage(StorageError::Conflict(_) | StorageError::Corrupt(_))
            | Self::Csv(_)
            | Self::Document(..) => Problem::internal(&self),
        };
        problem.into_response()
    }
}

fn field_error(mistake: &Mistake) -> FieldError {
    FieldError::new(mistake.pointer.clone(), mistake.code, mistake.message.clone())
}

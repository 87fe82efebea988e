//! Everything that can go wrong, and the status it is told with.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::mistake::Mistake;
use platform::http::{FieldError, Problem};
use storage::StorageError;

/// Seconds after which a client may try again when the store is away.
const RETRY_AFTER_SECONDS: u64 = 1;

#[derive(Debug)]
pub(crate) enum ApiError {
    /// No key, or one that is unknown or revoked.
    Unauthorized,
    /// A known key that may not do this.
    Forbidden(&'static str),
    /// Not there, or another tenant's.
    NotFound,
    /// Query parameters or headers.
    Parameters(Vec<FieldError>),
    /// A body that cannot be read at all.
    Unreadable(Problem),
    /// Every mistake of a body.
    Mistakes(Vec<Mistake>),
    /// The state of the object does not allow it.
    Conflict(&'static str),
    /// `If-Match` names another version.
    Stale,
    /// The same `Idempotency-Key` with another request.
    KeyReused,
    /// An operation of an atomic batch that failed only because another did.
    NotAttempted,
    Store(StorageError),
    /// The operating system gave no random numbers.
    Entropy(getrandom::Error),
}

impl ApiError {
    pub(crate) fn parameter(name: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self::Parameters(vec![FieldError::new(name, code, message)])
    }

    pub(crate) fn mistake(pointer: &str, code: &'static str, message: &str) -> Self {
        Self::Mistakes(vec![Mistake {
            pointer: pointer.to_owned(),
            code,
            message: message.to_owned(),
        }])
    }

    /// The mistakes with their pointers below `parent`: for a body inside a body.
    pub(crate) fn below(self, parent: &str) -> Self {
        match self {
            Self::Mistakes(mistakes) => Self::Mistakes(
                mistakes
                    .into_iter()
                    .map(|mistake| Mistake {
                        pointer: format!("{parent}{}", mistake.pointer),
                        ..mistake
                    })
                    .collect(),
            ),
            other => other,
        }
    }

    pub(crate) fn into_problem(self) -> Problem {
        match self {
            Self::Unauthorized => {
                Problem::unauthorized().with_detail("expected Authorization: Bearer and a valid key")
            }
            Self::Forbidden(detail) => Problem::forbidden().with_detail(detail),
            Self::NotFound => Problem::not_found(),
            Self::Parameters(errors) => Problem::bad_request(errors),
            Self::Unreadable(problem) => problem,
            Self::Mistakes(mistakes) => Problem::bad_request(
                mistakes
                    .into_iter()
                    .map(|mistake| FieldError::new(mistake.pointer, mistake.code, mistake.message))
                    .collect(),
            ),
            Self::Conflict(detail) => Problem::conflict().with_detail(detail),
            Self::Stale => {
                Problem::precondition_failed().with_detail("the object has another version by now")
            }
            Self::KeyReused => Problem::unprocessable(vec![FieldError::new(
                "Idempotency-Key",
                "reused",
                "was used for another request",
            )]),
            Self::NotAttempted => Problem::new(StatusCode::FAILED_DEPENDENCY)
                .with_detail("nothing was written, since another operation failed"),
            Self::Store(StorageError::Conflict(_)) => Problem::conflict()
                .with_detail("another object has this id or external_id, or changed meanwhile"),
            Self::Store(StorageError::Unavailable(_)) => {
                Problem::unavailable(RETRY_AFTER_SECONDS).with_detail("the store cannot be reached")
            }
            Self::Store(error @ StorageError::Corrupt(_)) => Problem::internal(&error),
            Self::Entropy(error) => Problem::internal(&error),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.into_problem().into_response()
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        Self::Store(error)
    }
}

impl From<Vec<Mistake>> for ApiError {
    fn from(mistakes: Vec<Mistake>) -> Self {
        Self::Mistakes(mistakes)
    }
}

impl From<getrandom::Error> for ApiError {
    fn from(error: getrandom::Error) -> Self {
        Self::Entropy(error)
    }
}

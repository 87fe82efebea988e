//! What a notice is answered with.

use crate::settlement::Applied;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use storage::StorageError;

/// A transparent pixel, GIF89a, 1 x 1.
const PIXEL: &[u8] =
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\
\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x01D\x00;";
const RETRY_AFTER_SECONDS: &str = "1";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Accepted,
    Repeated,
    /// No store took it; it is safe on this machine's disk.
    Spooled,
    Test,
    Audit,
    /// Nothing to do at this exchange.
    Acknowledged,
    Forged,
    Expired,
    /// Stores are away and the spool is full: nothing was acknowledged.
    Unavailable,
    /// The ledger knows the bid otherwise: trying again cannot help.
    Refused,
}

impl Answer {
    pub(super) fn of(applied: Result<Applied, StorageError>) -> Self {
        match applied {
            Ok(Applied::First) => Self::Accepted,
            Ok(Applied::Repeated) => Self::Repeated,
            Ok(Applied::Spooled) => Self::Spooled,
            Ok(Applied::Test) => Self::Test,
            Err(StorageError::Conflict(why)) => {
                tracing::error!(why, "a notice contradicts the ledger");
                Self::Refused
            }
            Err(error @ StorageError::Corrupt(_)) => {
                tracing::error!(%error, "a notice cannot be applied");
                Self::Unavailable
            }
            Err(error @ StorageError::Unavailable(_)) => {
                tracing::debug!(%error, "a notice cannot be applied now");
                Self::Unavailable
            }
        }
    }

    /// As `notices_total` has it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Repeated => "repeated",
            Self::Spooled => "spooled",
            Self::Test => "test",
            Self::Audit => "audit",
            Self::Acknowledged => "acknowledged",
            Self::Forged => "forged",
            Self::Expired => "expired",
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::Accepted
            | Self::Repeated
            | Self::Spooled
            | Self::Test
            | Self::Audit
            | Self::Acknowledged => StatusCode::OK,
            Self::Forged | Self::Expired => StatusCode::FORBIDDEN,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Refused => StatusCode::CONFLICT,
        }
    }

    pub(super) fn plain(self) -> Response {
        let mut response = self.status().into_response();
        if self == Self::Unavailable {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        response
    }

    pub(super) fn pixel(self) -> Response {
        if self.status() != StatusCode::OK {
            return self.plain();
        }
        ([(CONTENT_TYPE, "image/gif"), (CACHE_CONTROL, "no-store")], PIXEL).into_response()
    }
}

/// To the landing page that was sealed; one that cannot stand in a header leads nowhere.
pub(super) fn redirect(landing_url: &str) -> Response {
    match HeaderValue::try_from(landing_url) {
        Ok(location) if !landing_url.is_empty() => (
            StatusCode::FOUND,
            [
                (LOCATION, location),
                (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ],
        )
            .into_response(),
        _ => not_found(),
    }
}

pub(super) fn not_found() -> Response {
    StatusCode::NOT_FOUND.into_response()
}

//! What a bid request is refused with: a status and nothing else (OpenRTB 2.6, 2.1).

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("there is no such exchange")]
    UnknownExchange,
    /// It does not come from where, or with what, the exchange is set to.
    #[error("the request does not prove to be its exchange's")]
    Unproven,
    /// The rules are at [`openrtb::Malformed`] and [`crate::transport::BadBody`].
    #[error("the request is malformed")]
    Malformed,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::UnknownExchange => StatusCode::NOT_FOUND,
            Self::Unproven => StatusCode::FORBIDDEN,
            Self::Malformed => StatusCode::BAD_REQUEST,
        }
        .into_response()
    }
}

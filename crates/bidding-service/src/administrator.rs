//! Who may ask what is not for exchanges: whoever has `ADMIN_API_KEY`.

use axum::http::HeaderMap;
use platform::Secret;
use platform::http::{Problem, bearer};
use subtle::ConstantTimeEq;

/// Knows the administrator's key. Without one nobody may ask.
#[derive(Clone, Debug)]
pub(crate) struct Administrator(pub(crate) Option<Secret>);

impl Administrator {
    /// Whether anybody may ask at all.
    pub(crate) fn exists(&self) -> bool {
        self.0.is_some()
    }

    /// # Errors
    /// 403 where this process has no key, 401 without it or with another one.
    pub(crate) fn admit(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(key) = &self.0 else {
            return Err(Problem::forbidden().with_detail("this process has no ADMIN_API_KEY"));
        };
        let is_administrator = |given: &str| bool::from(given.as_bytes().ct_eq(key.expose().as_bytes()));
        if bearer(headers).is_some_and(is_administrator) {
            Ok(())
        } else {
            Err(Problem::unauthorized())
        }
    }
}

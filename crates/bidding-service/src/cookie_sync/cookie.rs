//! Our cookie: a random id that says nothing but that it is the same browser.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};

const NAME: &str = "adp_uid";
const ID_DIGITS: usize = 32;
/// Thirteen months: what data protection authorities let a consent last.
const LIFE_SECONDS: i64 = 390 * 24 * 60 * 60;
pub(super) const LIFE_MS: i64 = LIFE_SECONDS * 1_000;

/// 128 bits in lower-case hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UserId(String);

impl UserId {
    /// The browser's; one that is not of our making is none.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let cookies = headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok());
        let ours = cookies
            .flat_map(|cookies| cookies.split(';'))
            .find_map(|cookie| cookie.trim().strip_prefix(NAME)?.strip_prefix('='))?;
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (ours.len() == ID_DIGITS && ours.bytes().all(is_digit)).then(|| Self(ours.to_owned()))
    }

    /// `None`: the operating system gives no random numbers.
    pub(super) fn random() -> Option<Self> {
        let mut bytes = [0; ID_DIGITS / 2];
        getrandom::fill(&mut bytes).ok()?;
        Some(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// For calls from other sites' pages, over TLS alone, out of reach of scripts. Each call prolongs it.
    pub(super) fn set_cookie(&self) -> HeaderValue {
        let cookie = format!(
            "{NAME}={}; Path=/sync; Max-Age={LIFE_SECONDS}; Secure; HttpOnly; SameSite=None",
            self.0
        );
        HeaderValue::try_from(cookie).expect("digits and words of ASCII")
    }
}

//! Credentials in `Authorization: Bearer`.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

/// The token of `Authorization: Bearer` (RFC 6750, 2.1); the scheme is written in any case (RFC 9110, 11.1).
///
/// `None` when the header is absent, has another scheme, an empty token or bytes that no token has.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers
        .get(AUTHORIZATION)?
        .to_str()
        .ok()?
        .trim()
        .split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, header.parse().unwrap());
        bearer(&headers).map(str::to_owned)
    }

    #[test]
    fn the_scheme_has_no_case_and_the_token_has() {
        for header in ["Bearer aB", "bearer aB", "BEARER  aB "] {
            assert_eq!(token(header).as_deref(), Some("aB"), "{header}");
        }
    }

    #[test]
    fn what_carries_no_token_is_none() {
        for header in ["", "Bearer", "Bearer ", "Basic aB", "aB", "Bearer\u{e4} aB"] {
            assert_eq!(token(header), None, "{header}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}

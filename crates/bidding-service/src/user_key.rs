//! Who the user is, as far as the law and the request allow.

use openrtb::BidRequest;

/// An id longer than this is no id.
const LONGEST_ID_BYTES: usize = 256;

/// The first lawful of `device.ifa`, `user.buyeruid` and `user.id`, with its kind in front; the exchange's own id
/// is scoped by the exchange. `None` when the privacy signals forbid it.
pub(crate) fn user_key(request: &BidRequest<'_>, exchange_id: &str) -> Option<String> {
    if !bidding_engine::is_identifiable(request) {
        return None;
    }
    let ifa = request.device.ifa.and_then(usable).filter(|ifa| !is_zeros(ifa));
    if let Some(ifa) = ifa {
        return Some(format!("ifa:{}", ifa.to_lowercase()));
    }
    if let Some(buyeruid) = request.user.buyeruid.and_then(usable) {
        return Some(format!("buyeruid:{buyeruid}"));
    }
    let id = request.user.id.and_then(usable)?;
    Some(format!("id:{exchange_id}:{id}"))
}

fn usable(id: &str) -> Option<&str> {
    let id = id.trim();
    (!id.is_empty() && id.len() <= LONGEST_ID_BYTES).then_some(id)
}

/// What devices send whose owner has switched the id off: `00000000-0000-0000-0000-000000000000`.
fn is_zeros(ifa: &str) -> bool {
    ifa.bytes().all(|byte| byte == b'0' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use openrtb::request::{Device, User};

    fn key(ifa: Option<&str>, buyeruid: Option<&str>, id: Option<&str>, lmt: bool) -> Option<String> {
        let request = BidRequest {
            device: Device {
                ifa,
                lmt: Some(lmt),
                ..Device::default()
            },
            user: User {
                buyeruid,
                id,
                ..User::default()
            },
            ..BidRequest::default()
        };
        user_key(&request, "ex")
    }

    #[test]
    fn the_first_id_that_is_there_names_the_user() {
        let all = key(Some("AB-1"), Some("b"), Some("u"), false);
        assert_eq!(all.as_deref(), Some("ifa:ab-1"));
        let zeros = key(Some("00000000-0000"), Some("B"), Some("u"), false);
        assert_eq!(zeros.as_deref(), Some("buyeruid:B"));
        assert_eq!(key(Some(" "), None, Some("u"), false).as_deref(), Some("id:ex:u"));
        assert_eq!(key(None, None, None, false), None);
    }

    #[test]
    fn a_user_who_may_not_be_known_has_no_key() {
        assert_eq!(key(Some("AB-1"), Some("b"), Some("u"), true), None);
    }

    #[test]
    fn an_endless_id_is_none() {
        assert_eq!(
            key(None, Some(&"x".repeat(LONGEST_ID_BYTES + 1)), None, false),
            None
        );
    }
}

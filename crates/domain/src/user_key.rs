//! The names under which the state of users is kept: by the bidder, which reads them from requests, and by uploads of audience
//! members, which must spell them the same.
//!
//! An id that is blank or too long is none. Ids are taken as they are, hashed ones too; only a device's is compared without case.

/// An id longer than this is no id.
pub const LONGEST_ID_BYTES: usize = 256;

/// A device's advertising id (`device.ifa`), which comes in either case. Zeros are what devices send whose owner has switched
/// it off.
#[must_use]
pub fn device(ifa: &str) -> Option<String> {
    let ifa = usable(ifa)?;
    let is_zeros = ifa.bytes().all(|byte| byte == b'0' || byte == b'-');
    (!is_zeros).then(|| format!("ifa:{}", ifa.to_lowercase()))
}

/// Our own id, as an exchange has matched it (`user.buyeruid`).
#[must_use]
pub fn buyer(buyeruid: &str) -> Option<String> {
    Some(format!("buyeruid:{}", usable(buyeruid)?))
}

/// An id of another source (`user.eids`), the domain of the source in lower case.
#[must_use]
pub fn extended(source: &str, id: &str) -> Option<String> {
    let source = usable(source)?.to_lowercase();
    Some(format!("eid:{source}:{}", usable(id)?))
}

/// An exchange's own id (`user.id`), which means nothing elsewhere.
#[must_use]
pub fn exchange_user(exchange_id: &str, id: &str) -> Option<String> {
    Some(format!("id:{exchange_id}:{}", usable(id)?))
}

fn usable(id: &str) -> Option<&str> {
    let id = id.trim();
    let is_usable = !id.is_empty() && id.len() <= LONGEST_ID_BYTES && !id.contains(char::is_control);
    is_usable.then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_named_in_lower_case_and_zeros_are_no_name() {
        assert_eq!(device(" AB-1 ").as_deref(), Some("ifa:ab-1"));
        assert_eq!(device("00000000-0000-0000-0000-000000000000"), None);
    }

    #[test]
    fn other_ids_are_taken_as_they_are() {
        assert_eq!(buyer("Ab").as_deref(), Some("buyeruid:Ab"));
        assert_eq!(
            extended("UIDAPI.com", "Zm9v+/==").as_deref(),
            Some("eid:uidapi.com:Zm9v+/==")
        );
        assert_eq!(exchange_user("ex", "U:1").as_deref(), Some("id:ex:U:1"));
    }

    #[test]
    fn what_is_blank_endless_or_unprintable_is_no_id() {
        for text in ["", " ", "a\nb", &"x".repeat(LONGEST_ID_BYTES + 1)] {
            assert_eq!(buyer(text), None, "{text:?}");
        }
        assert_eq!(
            buyer(&"x".repeat(LONGEST_ID_BYTES)).map(|key| key.len()),
            Some(265)
        );
    }
}

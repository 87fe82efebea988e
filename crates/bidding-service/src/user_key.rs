//! Who the user is, as far as the law and the request allow.

use domain::exchange::Exchange;
use domain::user_key::{buyer, device, exchange_user, extended};
use openrtb::BidRequest;

/// The first lawful of `device.ifa`, `user.buyeruid`, an id of `user.eids` whose source the exchange is set to, and
/// `user.id`, which is scoped by the exchange. `None` when the privacy signals forbid it.
pub(crate) fn user_key(request: &BidRequest<'_>, exchange: &Exchange) -> Option<String> {
    if !bidding_engine::is_identifiable(request) {
        return None;
    }
    let user = &request.user;
    request
        .device
        .ifa
        .and_then(device)
        .or_else(|| user.buyeruid.and_then(buyer))
        .or_else(|| extended_id(request, &exchange.spec.eid_sources))
        .or_else(|| exchange_user(exchange.id.as_str(), user.id?))
}

/// Of the first source, in the order of the setting, that has one.
fn extended_id(request: &BidRequest<'_>, sources: &[String]) -> Option<String> {
    sources.iter().find_map(|source| {
        let of_source = |name: &str| name.trim().eq_ignore_ascii_case(source);
        let eids = request
            .user
            .eids
            .iter()
            .filter(|eid| eid.source.is_some_and(of_source));
        let mut ids = eids.flat_map(|eid| eid.uids).filter_map(|uid| uid.id);
        ids.find_map(|id| extended(source, id))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use openrtb::request::{Device, Eid, Uid, User};

    fn set_to(sources: &[&str]) -> Exchange {
        serde_json::from_value(serde_json::json!({
            "id": "ex", "name": "ex", "eid_sources": sources,
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
        }))
        .unwrap()
    }

    fn request<'a>(ifa: Option<&'a str>, buyeruid: Option<&'a str>, id: Option<&'a str>) -> BidRequest<'a> {
        BidRequest {
            device: Device {
                ifa,
                ..Device::default()
            },
            user: User {
                buyeruid,
                id,
                ..User::default()
            },
            ..BidRequest::default()
        }
    }

    fn key(request: &BidRequest<'_>) -> Option<String> {
        user_key(request, &set_to(&["uidapi.com", "id5-sync.com"]))
    }

    #[test]
    fn the_first_id_that_is_there_names_the_user() {
        let all = request(Some("AB-1"), Some("b"), Some("u"));
        assert_eq!(key(&all).as_deref(), Some("ifa:ab-1"));
        let zeros = request(Some("00000000-0000"), Some("B"), Some("u"));
        assert_eq!(key(&zeros).as_deref(), Some("buyeruid:B"));
        let only_id = request(Some(" "), None, Some("u"));
        assert_eq!(key(&only_id).as_deref(), Some("id:ex:u"));
        assert_eq!(key(&request(None, None, None)), None);
    }

    #[test]
    fn of_extended_ids_the_exchanges_first_source_counts_and_no_other() {
        let uid = |id| {
            [Uid {
                id: Some(id),
                ..Uid::default()
            }]
        };
        let (id5, other, uid2) = (uid("five"), uid("o"), uid("Two"));
        let eid = |source, uids| Eid {
            source: Some(source),
            uids,
        };
        let eids = [
            eid("other.com", &other[..]),
            eid("ID5-sync.com", &id5),
            eid("uidapi.com", &uid2),
        ];
        let mut request = request(None, None, Some("u"));
        request.user.eids = &eids;
        assert_eq!(key(&request).as_deref(), Some("eid:uidapi.com:Two"));
        request.user.eids = &eids[..2];
        assert_eq!(key(&request).as_deref(), Some("eid:id5-sync.com:five"));
        request.user.eids = &eids[..1];
        assert_eq!(key(&request).as_deref(), Some("id:ex:u"));
        request.user.eids = &eids;
        assert_eq!(user_key(&request, &set_to(&[])).as_deref(), Some("id:ex:u"));
    }

    #[test]
    fn a_user_who_may_not_be_known_has_no_key() {
        let mut request = request(Some("AB-1"), Some("b"), Some("u"));
        request.device.lmt = Some(true);
        assert_eq!(key(&request), None);
    }
}

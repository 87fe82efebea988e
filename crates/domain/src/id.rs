//! Opaque identifiers with a type prefix (`cmp_01j…`): sortable by time of creation, unguessable.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Crockford's base 32 in lower case: no letter that reads like a digit.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// 26 characters: 48 bits of `now_ms`, then 80 bits of `random`, as a ULID has them.
///
/// The caller owns both clock and entropy, so that tests and simulations repeat.
#[must_use]
pub fn mint(prefix: &str, now_ms: i64, random: u128) -> String {
    let time_bits = u128::from(now_ms.max(0).unsigned_abs()) << 80;
    let value = time_bits | (random & ((1 << 80) - 1));
    let mut text = String::with_capacity(prefix.len() + 27);
    text.push_str(prefix);
    text.push('_');
    for position in (0..26).rev() {
        let digit = (value >> (position * 5)) & 31;
        text.push(char::from(ALPHABET[digit as usize]));
    }
    text
}

macro_rules! id_type {
    ($(#[$meta:meta])* $name:ident, $prefix:literal) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// What every minted id of this type begins with, before the underscore.
            pub const PREFIX: &'static str = $prefix;

            #[must_use]
            pub fn mint(now_ms: i64, random: u128) -> Self {
                Self(mint(Self::PREFIX, now_ms, random))
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

id_type!(
    /// The tenant.
    AdvertiserId,
    "adv"
);
id_type!(CampaignId, "cmp");
id_type!(CreativeId, "crv");
id_type!(AudienceId, "aud");
id_type!(
    /// An advertiser's record of a deal; the exchange has its own id of it.
    DealId,
    "dea"
);
id_type!(
    /// An API key's public half; the secret half is never stored.
    KeyId,
    "key"
);
id_type!(
    /// A supply partner. Chosen by the administrator, since it stands in the bid URL: `default`.
    ExchangeId,
    "exc"
);
id_type!(
    /// One run of one bidding process: random at each start, so that nothing of a dead one is taken over.
    BidderId,
    "bdr"
);

/// One bid, unique across all bidders: the bidder's 64 random bits and its counter.
///
/// Where the request is traced the counter's highest bit is set, and the counter is made of the request's number and the
/// bid's place among the request's bids: whoever sees the id, in a notice or in an event, knows that there is a trace,
/// and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BidId(pub u128);

impl BidId {
    const TRACED: u64 = 1 << 63;
    const PLACE_BITS: u32 = 16;

    #[must_use]
    pub fn untraced(run: u64, counter: u64) -> Self {
        Self(u128::from(run) << 64 | u128::from(counter & !Self::TRACED))
    }

    #[must_use]
    pub fn traced(run: u64, request: u64, place: u16) -> Self {
        let counter = Self::TRACED | request << Self::PLACE_BITS | u64::from(place);
        Self(u128::from(run) << 64 | u128::from(counter))
    }

    /// The trace of the request that was bid on, the same for all its bids: the id with place 0. `None` if it has none.
    #[must_use]
    pub fn trace_id(self) -> Option<u128> {
        let is_traced = self.0 & u128::from(Self::TRACED) != 0;
        is_traced.then_some(self.0 >> Self::PLACE_BITS << Self::PLACE_BITS)
    }
}

impl fmt::Display for BidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl std::str::FromStr for BidId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(Self)
    }
}

impl Serialize for BidId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BidId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minted_ids_sort_by_time_of_creation() {
        let earlier = CampaignId::mint(1_000, u128::MAX);
        let later = CampaignId::mint(1_001, 0);
        assert!(earlier < later);
        assert_eq!(earlier.as_str().len(), "cmp_".len() + 26);
    }

    #[test]
    fn bids_of_a_traced_request_share_its_trace_and_others_have_none() {
        let first = BidId::traced(u64::MAX, 7, 0);
        let last = BidId::traced(u64::MAX, 7, u16::MAX);
        assert_ne!(first, last);
        assert_eq!(first.trace_id(), last.trace_id());
        assert_ne!(first.trace_id(), BidId::traced(u64::MAX, 8, 0).trace_id());
        assert_eq!(BidId::untraced(u64::MAX, u64::MAX).trace_id(), None);
    }

    #[test]
    fn a_bid_id_reads_back_what_it_shows() {
        let id = BidId(0x0123_4567_89ab_cdef_0011_2233_4455_6677);
        assert_eq!(id.to_string().parse(), Ok(id));
    }
}

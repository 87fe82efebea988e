//! In which of the groups, and under which of its keys, things are kept.

use crate::router::GROUPS;
use domain::id::{AdvertiserId, BidId, CampaignId};

const HOUR_MS: i64 = 60 * 60 * 1_000;
/// Bids of an hour's bucket are spread over this many small hashes, which Redis packs tightly up to 512 entries each.
const PARTS: u64 = 4_096;
const CHECK_BITS: u64 = (1 << 21) - 1;

/// FNV-1a, 64 bits: fixed for ever, since money is kept by it.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

pub(super) fn group_of(advertiser_id: &AdvertiserId) -> u32 {
    let group = hash(advertiser_id.as_str().as_bytes()) % u64::from(GROUPS);
    u32::try_from(group).unwrap_or(0)
}

pub(super) fn lifetime_key(campaign_id: &CampaignId) -> String {
    day_key(campaign_id, "")
}

pub(super) fn day_key(campaign_id: &CampaignId, date: &str) -> String {
    format!("a:{date}:{campaign_id}")
}

/// Where a bid is remembered.
pub(super) struct Bucket {
    pub(super) key: String,
    /// Since 1970; the bid's day ends in it or with it, and its bucket is forgotten some time after.
    pub(super) hour: i64,
    /// A few bits of the campaign, small enough to be packed into a number beside the bid's state.
    pub(super) check: u64,
}

pub(super) fn bucket(bid_id: BidId, campaign_id: &CampaignId, day_end_ms: i64) -> Bucket {
    let hour = day_end_ms.saturating_add(HOUR_MS - 1).div_euclid(HOUR_MS);
    let part = hash(&bid_id.0.to_be_bytes()) % PARTS;
    Bucket {
        key: format!("b:{hour}:{part}"),
        hour,
        check: hash(campaign_id.as_str().as_bytes()) & CHECK_BITS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Books kept under another group would be lost.
    #[test]
    fn groups_and_buckets_never_change() {
        let groups = ["", "a", "adv_laws", "adv_01j0000000000000000000000"]
            .map(|id| group_of(&AdvertiserId::from(id)));
        assert_eq!(groups, [37, 12, 58, 10]);
        let bucket = bucket(BidId(7), &CampaignId::from("cmp_1"), 1_800_000_000_001);
        assert_eq!(
            (bucket.key.as_str(), bucket.hour, bucket.check),
            ("b:500001:2176", 500_001, 421_979)
        );
    }

    #[test]
    fn a_day_is_kept_until_the_hour_it_ends_in() {
        let hour = |end_ms| bucket(BidId(1), &CampaignId::from("c"), end_ms).hour;
        assert_eq!([hour(0), hour(1), hour(HOUR_MS), hour(HOUR_MS + 1)], [0, 1, 1, 2]);
    }
}

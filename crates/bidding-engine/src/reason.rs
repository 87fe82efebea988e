//! Why nobody bids.

use openrtb::codes::no_bid_reason as nbr;

/// Names every reason once: variant, word for metrics and logs, code of the wire.
macro_rules! reasons {
    ($($(#[$meta:meta])* $name:ident $word:literal $nbr:ident;)*) => {
        /// Why an opportunity gets no bid: the first condition, in the order of the variants, that leaves
        /// no campaign. In other words the latest of the conditions at which campaigns dropped out.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum NoBidReason {
            $($(#[$meta])* $name,)*
        }

        impl NoBidReason {
            /// Every reason, in order.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The word for metrics and logs, snake case.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }

            /// `nbr`: the nearest of the OpenRTB 3.0 list "No-Bid Reason Codes".
            #[must_use]
            pub fn nbr(self) -> u16 {
                match self {
                    $(Self::$name => nbr::$nbr,)*
                }
            }
        }
    };
}

reasons! {
    // Of the request.
    ExchangePaused "exchange_paused" UNKNOWN_ERROR;
    /// The user agent is in the list of crawlers.
    WebCrawler "web_crawler" KNOWN_WEB_CRAWLER;
    /// The device's address is in the list of data centres.
    DataCenterIp "data_center_ip" CLOUD_DATA_CENTER_OR_PROXY_IP;
    /// `schain` is not complete, or missing where the exchange has to send it.
    IncompleteSupplyChain "incomplete_supply_chain" INCOMPLETE_SUPPLY_CHAIN;
    SupplyChainTooLong "supply_chain_too_long" UNKNOWN_ERROR;
    BlockedSupplyChainNode "blocked_supply_chain_node" BLOCKED_SUPPLY_CHAIN_NODE;
    /// The publisher's ads.txt or app-ads.txt does not name a seller.
    AdsTxtViolation "ads_txt_violation" ADS_TXT_AUTHORIZATION_VIOLATION;
    /// There is none of the publisher, or no seller to look up, where the exchange's policy wants it.
    AdsTxtUnavailable "ads_txt_unavailable" ADS_TXT_AUTHORIZATION_UNAVAILABLE;
    /// None of `cur` has a rate.
    UnsupportedCurrency "unsupported_currency" UNKNOWN_ERROR;

    // Of the campaign, found by the index.
    /// Campaign and advertiser are active.
    NoActiveCampaign "no_active_campaign" UNKNOWN_ERROR;
    Exchange "exchange" UNKNOWN_ERROR;
    Inventory "inventory" UNKNOWN_ERROR;
    /// The country alone; the rest of a place is `Geo`.
    Country "country" UNKNOWN_ERROR;
    Device "device" UNSUPPORTED_DEVICE;
    OperatingSystem "operating_system" UNSUPPORTED_DEVICE;
    Browser "browser" UNSUPPORTED_DEVICE;
    Language "language" UNKNOWN_ERROR;
    Connection "connection" UNKNOWN_ERROR;
    Carrier "carrier" UNKNOWN_ERROR;
    Site "site" BLOCKED_PUBLISHER_OR_SITE;
    App "app" BLOCKED_PUBLISHER_OR_SITE;
    ContentCategory "content_category" BLOCKED_PUBLISHER_OR_SITE;
    Keyword "keyword" UNKNOWN_ERROR;
    /// The campaign needs the user's state, and it came late.
    UserStateUnavailable "user_state_unavailable" UNMATCHED_USER;
    Audience "audience" UNMATCHED_USER;
    /// A deal of the imp, or the open auction where both sides want it.
    Deal "deal" UNKNOWN_ERROR;
    /// A creative of a format that the imp offers.
    Format "format" UNKNOWN_ERROR;
    /// Of those creatives, one that is no banner of another size.
    NoFittingSize "no_fitting_size" UNKNOWN_ERROR;

    // Of the campaign, one by one.
    OutOfFlight "out_of_flight" UNKNOWN_ERROR;
    DayPart "day_part" UNKNOWN_ERROR;
    /// A rate between the campaign's currency and the bid's.
    CurrencyRate "currency_rate" UNKNOWN_ERROR;
    /// `wseat`, `bseat`.
    Seat "seat" UNKNOWN_ERROR;
    /// What the Digital Services Act asks a bid to say.
    Dsa "dsa" UNKNOWN_ERROR;
    Geo "geo" UNKNOWN_ERROR;
    /// The advertiser has bid on an earlier imp of the request, or is in the pod already.
    AdvertiserRepeated "advertiser_repeated" UNKNOWN_ERROR;

    // Of the creative.
    /// The exchange has rejected it or not yet approved it.
    CreativeReview "creative_review" UNKNOWN_ERROR;
    CreativeFormat "creative_format" UNKNOWN_ERROR;
    /// The markup or the creative's id is longer than an exchange takes.
    CreativeTooLarge "creative_too_large" UNKNOWN_ERROR;
    Placement "placement" UNKNOWN_ERROR;
    Position "position" UNKNOWN_ERROR;
    /// The creative's size is one that the imp offers.
    Size "size" UNKNOWN_ERROR;
    /// The creative's size is one that the campaign wants.
    SizeTargeting "size_targeting" UNKNOWN_ERROR;
    Linearity "linearity" UNKNOWN_ERROR;
    Duration "duration" UNKNOWN_ERROR;
    Protocol "protocol" UNKNOWN_ERROR;
    Mime "mime" UNKNOWN_ERROR;
    Api "api" UNKNOWN_ERROR;
    NativeAssets "native_assets" UNKNOWN_ERROR;
    /// `btype`.
    BlockedAdType "blocked_ad_type" UNKNOWN_ERROR;
    /// `battr`, `expdir`.
    BlockedAttribute "blocked_attribute" UNKNOWN_ERROR;
    /// `bcat`, `acat`.
    BlockedCategory "blocked_category" UNKNOWN_ERROR;
    /// `badv`.
    BlockedAdvertiser "blocked_advertiser" UNKNOWN_ERROR;
    /// `bapp`.
    BlockedApp "blocked_app" UNKNOWN_ERROR;
    /// `wlang`, `wlangb`.
    CreativeLanguage "creative_language" UNKNOWN_ERROR;
    NotSecure "not_secure" UNKNOWN_ERROR;
    /// Its top category is in the pod already.
    PodCategory "pod_category" UNKNOWN_ERROR;

    // Of the creative in one slot.
    /// What is left of its pod takes no ad of this length or format.
    PodRoom "pod_room" UNKNOWN_ERROR;
    DealSeat "deal_seat" UNKNOWN_ERROR;
    DealAdvertiser "deal_advertiser" UNKNOWN_ERROR;
    /// The floor's currency has no rate.
    FloorCurrency "floor_currency" UNKNOWN_ERROR;
    Floor "floor" UNKNOWN_ERROR;
    /// The price cannot be expressed: nothing, or more than 64 bits of nanos.
    Price "price" UNKNOWN_ERROR;
    FrequencyCap "frequency_cap" DAILY_USER_CAP_MET;

    // Of the lease, in price order: see `Withheld`.
    NoLease "no_lease" UNKNOWN_ERROR;
    Paced "paced" UNKNOWN_ERROR;
    Budget "budget" UNKNOWN_ERROR;
}

impl From<crate::Withheld> for NoBidReason {
    fn from(withheld: crate::Withheld) -> Self {
        match withheld {
            crate::Withheld::NoLease => Self::NoLease,
            crate::Withheld::Paced => Self::Paced,
            crate::Withheld::Budget => Self::Budget,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::NoBidReason;

    #[test]
    fn every_reason_has_a_word_of_its_own() {
        let mut words: Vec<&str> = NoBidReason::ALL.iter().map(|reason| reason.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), NoBidReason::ALL.len());
    }

    #[test]
    fn the_table_for_operators_has_every_reason_in_order_with_its_code() {
        let table = include_str!("../../../k8s/monitoring/reasons.md");
        let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
        let rows: Vec<(&str, &str)> = rows
            .filter_map(|row| {
                let (word, rest) = row.split_once("` | ")?;
                Some((word, rest.split_once(" | ")?.0))
            })
            .collect();
        let nbrs: Vec<String> = NoBidReason::ALL
            .iter()
            .map(|reason| reason.nbr().to_string())
            .collect();
        let expected = NoBidReason::ALL
            .iter()
            .zip(&nbrs)
            .map(|(reason, nbr)| (reason.as_str(), nbr.as_str()));
        assert_eq!(rows, expected.collect::<Vec<_>>());
    }
}

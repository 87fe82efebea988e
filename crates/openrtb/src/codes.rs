//! Numbers of OpenRTB's lists that a bidder compares with or sends.

/// What a bid is, `bid.mtype` (4.2.3).
pub mod mtype {
    pub const BANNER: u16 = 1;
    pub const VIDEO: u16 = 2;
    pub const AUDIO: u16 = 3;
    pub const NATIVE: u16 = 4;
}

/// How the winner's price is found, `at` (3.2.1, 3.2.12).
pub mod auction_type {
    pub const FIRST_PRICE: u16 = 1;
    pub const SECOND_PRICE: u16 = 2;
    /// In a deal only: its floor is the price.
    pub const FIXED_PRICE: u16 = 3;
}

/// `device.devicetype` (AdCOM list "Device Types").
pub mod device_type {
    pub const MOBILE_OR_TABLET: u16 = 1;
    pub const PERSONAL_COMPUTER: u16 = 2;
    pub const CONNECTED_TV: u16 = 3;
    pub const PHONE: u16 = 4;
    pub const TABLET: u16 = 5;
    pub const CONNECTED_DEVICE: u16 = 6;
    pub const SET_TOP_BOX: u16 = 7;
    pub const OUT_OF_HOME: u16 = 8;
}

/// `device.connectiontype` (AdCOM list "Connection Types").
pub mod connection_type {
    pub const UNKNOWN: u16 = 0;
    pub const ETHERNET: u16 = 1;
    pub const WIFI: u16 = 2;
    pub const CELLULAR_UNKNOWN: u16 = 3;
    pub const CELLULAR_2G: u16 = 4;
    pub const CELLULAR_3G: u16 = 5;
    pub const CELLULAR_4G: u16 = 6;
    pub const CELLULAR_5G: u16 = 7;
}

/// `nbr`, why there is no bid (OpenRTB 3.0 list "No-Bid Reason Codes"; 500 and above are ours to define).
pub mod no_bid_reason {
    pub const UNKNOWN_ERROR: u16 = 0;
    pub const TECHNICAL_ERROR: u16 = 1;
    pub const INVALID_REQUEST: u16 = 2;
    pub const KNOWN_WEB_CRAWLER: u16 = 3;
    pub const SUSPECTED_NON_HUMAN_TRAFFIC: u16 = 4;
    pub const CLOUD_DATA_CENTER_OR_PROXY_IP: u16 = 5;
    pub const UNSUPPORTED_DEVICE: u16 = 6;
    pub const BLOCKED_PUBLISHER_OR_SITE: u16 = 7;
    pub const UNMATCHED_USER: u16 = 8;
    pub const DAILY_USER_CAP_MET: u16 = 9;
    pub const DAILY_DOMAIN_CAP_MET: u16 = 10;
    pub const ADS_TXT_AUTHORIZATION_UNAVAILABLE: u16 = 11;
    pub const ADS_TXT_AUTHORIZATION_VIOLATION: u16 = 12;
    pub const ADS_CERT_AUTHENTICATION_UNAVAILABLE: u16 = 13;
    pub const ADS_CERT_AUTHENTICATION_VIOLATION: u16 = 14;
    pub const INSUFFICIENT_AUCTION_TIME: u16 = 15;
    pub const INCOMPLETE_SUPPLY_CHAIN: u16 = 16;
    pub const BLOCKED_SUPPLY_CHAIN_NODE: u16 = 17;
}

/// `${AUCTION_LOSS}` (OpenRTB 3.0 list "Loss Reason Codes"; 500 and above are the exchange's).
pub mod loss_reason {
    pub const BID_WON: u16 = 0;
    pub const INTERNAL_ERROR: u16 = 1;
    pub const IMPRESSION_OPPORTUNITY_EXPIRED: u16 = 2;
    pub const INVALID_BID_RESPONSE: u16 = 3;
    pub const INVALID_DEAL_ID: u16 = 4;
    pub const INVALID_AUCTION_ID: u16 = 5;
    pub const INVALID_ADVERTISER_DOMAIN: u16 = 6;
    pub const MISSING_MARKUP: u16 = 7;
    pub const MISSING_CREATIVE_ID: u16 = 8;
    pub const MISSING_PRICE: u16 = 9;
    pub const MISSING_MINIMUM_CREATIVE_APPROVAL_DATA: u16 = 10;
    pub const BELOW_AUCTION_FLOOR: u16 = 100;
    pub const BELOW_DEAL_FLOOR: u16 = 101;
    pub const LOST_TO_HIGHER_BID: u16 = 102;
    pub const LOST_TO_DEAL: u16 = 103;
    pub const SEAT_BLOCKED: u16 = 104;
    pub const CREATIVE_FILTERED_UNKNOWN_REASON: u16 = 200;
    pub const CREATIVE_FILTERED_PENDING: u16 = 201;
    pub const CREATIVE_FILTERED_DISAPPROVED: u16 = 202;
    pub const CREATIVE_FILTERED_SIZE: u16 = 203;
    pub const CREATIVE_FILTERED_FORMAT: u16 = 204;
    pub const CREATIVE_FILTERED_ADVERTISER: u16 = 205;
    pub const CREATIVE_FILTERED_APP_BUNDLE: u16 = 206;
    pub const CREATIVE_FILTERED_NOT_SECURE: u16 = 207;
    pub const CREATIVE_FILTERED_LANGUAGE: u16 = 208;
    pub const CREATIVE_FILTERED_CATEGORY: u16 = 209;
    pub const CREATIVE_FILTERED_ATTRIBUTE: u16 = 210;
    pub const CREATIVE_FILTERED_AD_TYPE: u16 = 211;
    pub const CREATIVE_FILTERED_ANIMATION_TOO_LONG: u16 = 212;
    pub const CREATIVE_FILTERED_NOT_ALLOWED_IN_DEAL: u16 = 213;
}

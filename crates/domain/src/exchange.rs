//! Supply partners.

use crate::currency::Currency;
use crate::flat::deserialize_flat;
use crate::id::ExchangeId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What an administrator may set. The id is chosen by the client, since it stands in the bid URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExchangeSpec {
    pub name: String,
    pub status: ExchangeStatus,
    /// Of our bids, unless the request's `cur` asks for another that has a rate.
    pub currency: Currency,
    /// What `at` means when a request leaves it out (OpenRTB 2.6, 3.2.1): 1 first price, 2 second price.
    pub auction_type: i64,
    /// Buyer seat, for advertisers without one of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seat: Option<String>,
    pub billing: Billing,
    pub price_form: PriceForm,
    /// Sources of `user.eids` whose ids name a user, the first that is there; domains in lower case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub eid_sources: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_sync: Option<UserSync>,
    /// 99.9th percentile of the delay from a bid to its win notice.
    pub win_notice_delay_ms: i64,
    /// How long after the win a billing may come, by format and place.
    pub billing_window_ms: BillingWindows,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qps_limit: Option<i64>,
    /// How its requests are known to be its own; outside development at least one is needed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_networks: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_header: Option<SecretHeader>,
    /// Last segment of its bid URL: `/openrtb2/{exchange}/bid/{secret}`; hex SHA-256 of it is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_path_sha256: Option<String>,
    /// Whether no-bids say why (`nbr`).
    pub wants_no_bid_reason: bool,
    /// Whose inventory is bought.
    #[serde(skip_serializing_if = "SupplyPolicy::is_default")]
    pub supply: SupplyPolicy,
    /// Value of one unit of each currency in USD, billionths (`{"EUR": 1080000000}`); USD is 1.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub usd_rates_e9: BTreeMap<Currency, i64>,
}

impl Default for ExchangeSpec {
    fn default() -> Self {
        Self {
            name: String::new(),
            status: ExchangeStatus::Active,
            currency: Currency::USD,
            auction_type: 2,
            seat: None,
            billing: Billing::Notice,
            price_form: PriceForm::Plain,
            eid_sources: Vec::new(),
            user_sync: None,
            win_notice_delay_ms: 5_000,
            billing_window_ms: BillingWindows::default(),
            qps_limit: None,
            allowed_networks: Vec::new(),
            secret_header: None,
            secret_path_sha256: None,
            wants_no_bid_reason: false,
            supply: SupplyPolicy::default(),
            usd_rates_e9: BTreeMap::new(),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExchangeStatus {
    #[default]
    Active,
    Paused,
    Archived,
}

/// Which event says that money is owed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Billing {
    /// The billing notice (`burl`).
    #[default]
    Notice,
    /// The impression pixel of the markup.
    Pixel,
}

/// Which sellers between publisher and us are bought from (OpenRTB 2.6, 3.2.25 `schain`; IAB ads.txt and app-ads.txt).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SupplyPolicy {
    pub chain: ChainPolicy,
    /// A supply chain of more nodes is not bought.
    pub max_nodes: i64,
    /// Advertising systems (`reseller.example`, subdomains with it) or one seller there (`reseller.example/1234`) that must
    /// not be in the chain.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blocked_nodes: Vec<String>,
    pub ads_txt: AdsTxtPolicy,
    /// The exchange's own domain in ads.txt: with it `publisher.id` is checked where a request has no chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seller_domain: Option<String>,
}

impl SupplyPolicy {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for SupplyPolicy {
    fn default() -> Self {
        Self {
            chain: ChainPolicy::CompleteIfGiven,
            max_nodes: 10,
            blocked_nodes: Vec::new(),
            ads_txt: AdsTxtPolicy::IfKnown,
            seller_domain: None,
        }
    }
}

/// Complete is a chain that says so and names every seller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChainPolicy {
    Any,
    /// A request may leave the chain out, but an incomplete one hides somebody.
    #[default]
    CompleteIfGiven,
    /// There must be one.
    Complete,
}

/// What the lists that the bidder is given (`ADS_TXT_FILE`, `APP_ADS_TXT_FILE`) must say of the sellers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdsTxtPolicy {
    Ignored,
    /// Of a publisher in the lists, each seller is among those it names; of others nothing is known, and they are bought.
    #[default]
    IfKnown,
    /// Only publishers in the lists are bought.
    Required,
}

/// How `${AUCTION_PRICE}` arrives in notices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum PriceForm {
    #[default]
    Plain,
    /// Decimal text in base64, `${AUCTION_PRICE:B64}`.
    Base64,
    /// Encrypted with the exchange's keys by the scheme that Google published (HMAC-SHA1 pad, four bytes of integrity); the
    /// bidder's settings hold the keys under this name, they are not stored here.
    Encrypted {
        key_name: String,
        #[serde(default, skip_serializing_if = "PriceUnit::is_default")]
        unit: PriceUnit,
        /// The exchange encrypts where the macro is `${AUCTION_PRICE:SUFFIX}`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        suffix: Option<String>,
    },
}

/// What an encrypted price counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceUnit {
    /// Micros for one impression, as Google and OpenX have it: 1,000 is a CPM of 1.
    #[default]
    CpiMicros,
    CpmMicros,
}

impl PriceUnit {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How users of the exchange are matched with ours, at `/sync/{exchange}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UserSync {
    /// Where browsers are sent with our id in the place of `{UID}`; `{GDPR}`, `{GDPR_CONSENT}`, `{US_PRIVACY}`, `{GPP}` and
    /// `{GPP_SID}` pass on what the exchange said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect_url: Option<String>,
    /// The exchange may say its own id of the user (`?uid=…`), which then stands for ours.
    pub accepts_ids: bool,
}

/// The longest an exchange may wait between win and billing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BillingWindows {
    pub web: i64,
    pub app: i64,
    pub interstitial: i64,
}

impl Default for BillingWindows {
    fn default() -> Self {
        Self {
            web: 60_000,
            app: 600_000,
            interstitial: 3_600_000,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretHeader {
    /// Lower case.
    pub name: String,
    /// Hex SHA-256 of the value; the value itself is never stored.
    pub sha256: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exchange {
    pub id: ExchangeId,
    #[serde(flatten)]
    pub spec: ExchangeSpec,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

deserialize_flat!(Exchange {
    spec: ExchangeSpec,
    id: ExchangeId,
    created_at: Timestamp,
    updated_at: Timestamp
});

impl ExchangeSpec {
    /// Units of `to` per unit of `from`, billionths; `None` where a rate is missing.
    #[must_use]
    pub fn rate_e9(&self, from: Currency, to: Currency) -> Option<i64> {
        if from == to {
            return Some(crate::money::RATE_ONE_E9);
        }
        let usd_rate = |currency: Currency| {
            if currency == Currency::USD {
                Some(crate::money::RATE_ONE_E9)
            } else {
                self.usd_rates_e9.get(&currency).copied().filter(|rate| *rate > 0)
            }
        };
        let product = i128::from(usd_rate(from)?) * i128::from(crate::money::RATE_ONE_E9);
        i64::try_from(product / i128::from(usd_rate(to)?))
            .ok()
            .filter(|rate| *rate > 0)
    }
}

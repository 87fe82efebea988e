//! Sealed tokens: what the URL of a notice or an event carries.
//!
//! Whoever sees a URL may call it, and markup is public. So a token is encrypted and authenticated
//! (AES-256-GCM-SIV, RFC 8452) under a key of its kind: it shows neither price nor user, cannot be altered, and one made
//! for a pixel opens nothing else. It holds only what its kind needs, and it expires. The notices of one bid are sealed once
//! for all three, and each has a proof of its own (HMAC-SHA256), so that who was told of a loss cannot bill.

mod click;
pub(crate) mod layout;
mod sealer;
#[cfg(test)]
mod tests;
pub(crate) mod wire;

pub(crate) use click::Click;
pub(crate) use sealer::{Sealed, TokenSealer};

use bidding_engine::Market;
use domain::currency::Currency;
use domain::event::Dimensions;
use domain::exchange::{Billing, PriceForm};
use domain::id::{AdvertiserId, BidId, BidderId, CampaignId, CreativeId};
use domain::money::Terms;
use domain::period::Day;
use storage::spend_ledger::Reservation;
use storage::user_states::CounterKey;

/// How long after its expiry by the exchange's rules a notice is still taken: clocks differ, queues drain.
const SLACK_MS: i64 = 5 * 60 * 1_000;
/// People look at pages and click long after an ad was bought.
const CREATIVE_EVENT_LIFE_MS: i64 = 24 * 60 * 60 * 1_000;
/// No billing is waited for longer, whatever an exchange is set to.
pub(crate) const LONGEST_BILLING_WINDOW_MS: i64 = 24 * 60 * 60 * 1_000;
/// From a bid's time on, when no token of it is valid any more: what remembers settled bids must outlive this.
pub(crate) const LONGEST_LIFE_MS: i64 = LONGEST_BILLING_WINDOW_MS + SLACK_MS;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TokenKind {
    Win,
    Billing,
    Loss,
    Impression,
    Click,
    Video,
    /// On the landing page's URL: what happens there is due to this click.
    Conversion,
}

impl TokenKind {
    pub(crate) fn envelope(self) -> Envelope {
        match self {
            Self::Win | Self::Billing | Self::Loss => Envelope::Notices,
            Self::Impression => Envelope::Impression,
            Self::Click => Envelope::Click,
            Self::Video => Envelope::Video,
            Self::Conversion => Envelope::Conversion,
        }
    }

    /// Which of [`PROOFS`] it has, if it shares its envelope.
    fn proof(self) -> Option<usize> {
        PROOFS.iter().position(|(kind, _)| *kind == self)
    }
}

/// With the labels under which their keys are derived, as [`Envelope::label`].
const PROOFS: [(TokenKind, &str); 3] = [
    (TokenKind::Win, "proof of a win"),
    (TokenKind::Billing, "proof of a billing"),
    (TokenKind::Loss, "proof of a loss"),
];

/// What is sealed together, under one key. What the exchange is told is no secret between its notices; markup is kept short,
/// and each of its URLs has an envelope of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Envelope {
    Notices,
    Impression,
    Click,
    Video,
    Conversion,
}

impl Envelope {
    const ALL: [Self; 5] = [
        Self::Notices,
        Self::Impression,
        Self::Click,
        Self::Video,
        Self::Conversion,
    ];

    /// Under which its key is derived; changing one makes every token out there worthless.
    fn label(self) -> &'static str {
        match self {
            Self::Notices => "notices",
            Self::Impression => "impression",
            Self::Click => "click",
            Self::Video => "video",
            Self::Conversion => "conversion",
        }
    }
}

/// Everything a notice needs to know about its bid. What an envelope leaves out comes back as its default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BidToken {
    pub(crate) bid_id: BidId,
    /// Unix milliseconds: when the request arrived.
    pub(crate) bid_at_ms: i64,
    pub(crate) campaign_id: CampaignId,
    pub(crate) creative_id: CreativeId,
    pub(crate) creative_version: i64,
    /// The campaign's day that pays.
    pub(crate) day: Day,
    /// Whose lease the reservation was taken from.
    pub(crate) bidder_id: BidderId,
    /// What was bid, CPM micros of `bid_currency`.
    pub(crate) price_cpm_micros: i64,
    pub(crate) bid_currency: Currency,
    /// The campaign's: that of `reserved_nanos` and of the charge.
    pub(crate) currency: Currency,
    pub(crate) terms: Terms,
    pub(crate) reserved_nanos: i64,
    /// T2: how long after the win the exchange may bill.
    pub(crate) billing_window_ms: i64,
    pub(crate) user_key: Option<String>,
    pub(crate) dimensions: Dimensions,
    /// Which event says that money is owed.
    pub(crate) billing: Billing,
    pub(crate) price_form: PriceForm,
    /// Where the bid met its rivals; for notices, since the price is learned from what came of it.
    pub(crate) market: Option<Market>,
    /// To count when the creative is shown.
    pub(crate) counters: Vec<CounterKey>,
    /// Where a click leads.
    pub(crate) landing_url: String,
    /// OpenRTB 2.6, 3.2.1 `test`: answered like any other, never spends.
    pub(crate) test: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadToken {
    /// Not ours, altered, cut off, or sealed for another kind of notice.
    #[error("the token is not one that was sealed for this")]
    Forged,
    #[error("the token has expired")]
    Expired,
}

impl BidToken {
    /// When its billing is taken at the latest, Unix milliseconds.
    #[must_use]
    pub(crate) fn billable_until_ms(&self) -> i64 {
        let window_ms = self.billing_window_ms.clamp(0, LONGEST_BILLING_WINDOW_MS);
        self.bid_at_ms.saturating_add(window_ms).saturating_add(SLACK_MS)
    }

    fn expires_at_ms(&self, kind: TokenKind) -> i64 {
        match kind {
            TokenKind::Win | TokenKind::Billing | TokenKind::Loss => self.billable_until_ms(),
            TokenKind::Impression | TokenKind::Click | TokenKind::Video => {
                self.bid_at_ms.saturating_add(CREATIVE_EVENT_LIFE_MS)
            }
            // The click says how long it counts, and ends sooner.
            TokenKind::Conversion => i64::MAX,
        }
    }

    /// The reservation as the ledger knows it.
    #[must_use]
    pub(crate) fn reservation(&self) -> Reservation {
        Reservation {
            bid_id: self.bid_id,
            advertiser_id: AdvertiserId(self.dimensions.advertiser.clone()),
            campaign_id: self.campaign_id.clone(),
            day: self.day.clone(),
            bidder_id: self.bidder_id.clone(),
            reserved_nanos: self.reserved_nanos,
            billing_window_ms: self.billing_window_ms.clamp(0, LONGEST_BILLING_WINDOW_MS),
        }
    }
}

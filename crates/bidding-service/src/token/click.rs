//! What the landing page of a click gets in `adp_click`, to say later what the click has led to.

use super::wire::{Garbled, Reader, Writer};
use super::{BidToken, Envelope, layout};
use domain::currency::Currency;
use domain::id::BidId;

/// Times are Unix milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Click {
    /// Without anything of price or user.
    pub(crate) bid: BidToken,
    pub(crate) clicked_at_ms: i64,
    /// The end of the advertiser's look-back, as it was when the click came.
    pub(crate) counts_until_ms: i64,
    /// The campaign's; `None` when the campaign was not known any more.
    pub(crate) currency: Option<Currency>,
}

impl Click {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        layout::write(Envelope::Conversion, &self.bid, out);
        let mut out = Writer(out);
        out.signed(self.clicked_at_ms);
        out.signed(self.counts_until_ms);
        out.text(self.currency.as_ref().map_or("", Currency::as_str));
    }

    pub(super) fn read(bid_id: BidId, bytes: &[u8]) -> Result<Self, Garbled> {
        let mut from = Reader(bytes);
        let click = Self {
            bid: layout::read_from(Envelope::Conversion, bid_id, &mut from)?,
            clicked_at_ms: from.signed()?,
            counts_until_ms: from.signed()?,
            currency: match from.text()? {
                "" => None,
                code => Some(code.parse().map_err(|_| Garbled)?),
            },
        };
        if from.0.is_empty() {
            Ok(click)
        } else {
            Err(Garbled)
        }
    }
}

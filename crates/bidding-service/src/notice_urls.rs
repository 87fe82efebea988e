//! The URLs of a bid, in the pieces that make them up. The exchange replaces `${...}` as plain text, so macros are
//! never percent-encoded (OpenRTB 2.6, 4.4).

use crate::token::{BidToken, TokenKind, TokenSealer};
use bumpalo::Bump;
use domain::exchange::{Billing, PriceForm};

/// Builds URLs for one bid; every text lies in the arena or in the service's own settings.
///
/// The token does not: it owns memory, which an arena never gives back.
#[derive(Clone, Copy)]
pub(crate) struct NoticeUrls<'a, 't> {
    pub(crate) base: &'a str,
    pub(crate) sealer: &'a TokenSealer,
    pub(crate) token: &'t BidToken,
    pub(crate) arena: &'a Bump,
}

impl<'a> NoticeUrls<'a, '_> {
    pub(crate) fn win(&self) -> &'a [&'a str] {
        self.pieces(&[
            self.base,
            "/notice/win?t=",
            self.seal(TokenKind::Win),
            self.minimum_macro(),
            "&p=",
            self.price_macro(),
        ])
    }

    /// `None` where the pixel bills.
    pub(crate) fn billing(&self) -> &'a [&'a str] {
        if self.token.billing == Billing::Pixel {
            return &[];
        }
        self.pieces(&[
            self.base,
            "/notice/billing?t=",
            self.seal(TokenKind::Billing),
            self.minimum_macro(),
            "&p=",
            self.price_macro(),
        ])
    }

    pub(crate) fn loss(&self) -> &'a [&'a str] {
        self.pieces(&[
            self.base,
            "/notice/loss?t=",
            self.seal(TokenKind::Loss),
            "&r=${AUCTION_LOSS}",
            self.minimum_macro(),
        ])
    }

    /// Carries the price only where the pixel bills: markup is public.
    pub(crate) fn impression(&self) -> &'a str {
        let price: [&str; 2] = match self.token.billing {
            Billing::Pixel => ["&p=", self.price_macro()],
            Billing::Notice => ["", ""],
        };
        let token = self.seal(TokenKind::Impression);
        self.joined(&[self.base, "/event/impression?t=", token, price[0], price[1]])
    }

    pub(crate) fn click(&self) -> &'a str {
        self.joined(&[self.base, "/event/click?t=", self.seal(TokenKind::Click)])
    }

    /// The token of every video event of the bid.
    pub(crate) fn video_token(&self) -> &'a str {
        self.seal(TokenKind::Video)
    }

    fn minimum_macro(&self) -> &'static str {
        match &self.token.price_form {
            PriceForm::Base64 => "&m=${AUCTION_MIN_TO_WIN:B64}",
            PriceForm::Plain | PriceForm::Encrypted { .. } => "&m=${AUCTION_MIN_TO_WIN}",
        }
    }

    fn price_macro(&self) -> &'a str {
        match &self.token.price_form {
            PriceForm::Base64 => "${AUCTION_PRICE:B64}",
            PriceForm::Encrypted {
                suffix: Some(suffix), ..
            } => self.joined(&["${AUCTION_PRICE:", suffix, "}"]),
            // Most exchanges that encrypt put the encrypted price in the place of the plain macro.
            PriceForm::Plain | PriceForm::Encrypted { suffix: None, .. } => "${AUCTION_PRICE}",
        }
    }

    fn seal(&self, kind: TokenKind) -> &'a str {
        let mut text = String::with_capacity(768);
        self.sealer.seal(kind, self.token, &mut text);
        self.arena.alloc_str(&text)
    }

    fn pieces(&self, pieces: &[&'a str]) -> &'a [&'a str] {
        self.arena.alloc_slice_copy(pieces)
    }

    fn joined(&self, pieces: &[&str]) -> &'a str {
        let mut text = bumpalo::collections::String::with_capacity_in(
            pieces.iter().map(|piece| piece.len()).sum(),
            self.arena,
        );
        for piece in pieces {
            text.push_str(piece);
        }
        text.into_bump_str()
    }
}

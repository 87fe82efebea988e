//! The URLs of a bid, in the pieces that make them up. The exchange replaces `${...}` as plain text, so macros are
//! never percent-encoded (OpenRTB 2.6, 4.4).

use crate::token::{BidToken, Envelope, Sealed, TokenKind, TokenSealer};
use bumpalo::Bump;
use domain::exchange::{Billing, PriceForm};

/// Builds URLs for one bid; every text lies in the arena or in the service's own settings.
///
/// The token does not: it owns memory, which an arena never gives back.
#[derive(Clone, Copy)]
pub(crate) struct NoticeUrls<'a, 't> {
    pub(crate) base: &'a str,
    pub(crate) token: &'t BidToken,
    pub(crate) arena: &'a Bump,
    sealer: &'a TokenSealer,
    notices: Sealed<'a>,
}

impl<'a, 't> NoticeUrls<'a, 't> {
    pub(crate) fn new(base: &'a str, sealer: &'a TokenSealer, token: &'t BidToken, arena: &'a Bump) -> Self {
        Self {
            base,
            token,
            arena,
            sealer,
            notices: sealer.seal_in(arena, Envelope::Notices, token),
        }
    }

    pub(crate) fn win(&self) -> &'a [&'a str] {
        self.with_price("/notice/win?t=", TokenKind::Win)
    }

    /// Nothing where the pixel bills.
    pub(crate) fn billing(&self) -> &'a [&'a str] {
        if self.token.billing == Billing::Pixel {
            return &[];
        }
        self.with_price("/notice/billing?t=", TokenKind::Billing)
    }

    fn with_price(&self, path: &'static str, kind: TokenKind) -> &'a [&'a str] {
        let [envelope, proof] = self.sealer.token_in(self.arena, kind, self.notices);
        self.pieces(&[
            self.base,
            path,
            envelope,
            proof,
            self.minimum_macro(),
            "&p=",
            self.price_macro(),
        ])
    }

    pub(crate) fn loss(&self) -> &'a [&'a str] {
        let [envelope, proof] = self.sealer.token_in(self.arena, TokenKind::Loss, self.notices);
        self.pieces(&[
            self.base,
            "/notice/loss?t=",
            envelope,
            proof,
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
        let token = self.sealed_alone(TokenKind::Impression);
        self.joined(&[self.base, "/event/impression?t=", token, price[0], price[1]])
    }

    pub(crate) fn click(&self) -> &'a str {
        let token = self.sealed_alone(TokenKind::Click);
        self.joined(&[self.base, "/event/click?t=", token])
    }

    /// The token of every video event of the bid.
    pub(crate) fn video_token(&self) -> &'a str {
        self.sealed_alone(TokenKind::Video)
    }

    fn sealed_alone(&self, kind: TokenKind) -> &'a str {
        let sealed = self.sealer.seal_in(self.arena, kind.envelope(), self.token);
        self.sealer.token_in(self.arena, kind, sealed)[0]
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

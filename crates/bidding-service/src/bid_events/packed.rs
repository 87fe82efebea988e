//! The dimensions of a bid in one piece of memory, on their way from the thread that bids to the task that counts: twelve
//! texts would be given back one by one, each by another thread than it was taken by, and hashed one by one.

use crate::token::wire::{Reader, Writer};
use domain::event::Dimensions;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Packed(Box<[u8]>);

impl Packed {
    pub(super) fn of(dimensions: &Dimensions) -> Self {
        let texts = [
            &dimensions.advertiser,
            &dimensions.campaign,
            &dimensions.creative,
            &dimensions.exchange,
            &dimensions.deal,
            &dimensions.country,
            &dimensions.device,
            &dimensions.os,
            &dimensions.format,
            &dimensions.size,
            &dimensions.placement,
            &dimensions.site_or_bundle,
        ];
        // Each with its length before it, which of most is one byte.
        let mut bytes = Vec::with_capacity(texts.iter().map(|text| text.len() + 1).sum());
        let mut out = Writer(&mut bytes);
        for text in texts {
            out.text(text);
        }
        Self(bytes.into())
    }

    pub(super) fn dimensions(&self) -> Dimensions {
        let mut from = Reader(&self.0);
        // Written by ourselves: never garbled.
        let mut text = || from.text().unwrap_or_default().to_owned();
        Dimensions {
            advertiser: text(),
            campaign: text(),
            creative: text(),
            exchange: text(),
            deal: text(),
            country: text(),
            device: text(),
            os: text(),
            format: text(),
            size: text(),
            placement: text(),
            site_or_bundle: text(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_comes_out_where_it_went_in() {
        let number = std::cell::Cell::new(0);
        let word = || {
            number.set(number.get() + 1);
            "x".repeat(number.get() * 20)
        };
        let dimensions = Dimensions {
            advertiser: word(),
            campaign: word(),
            creative: word(),
            exchange: word(),
            deal: word(),
            country: word(),
            device: word(),
            os: word(),
            format: word(),
            size: word(),
            placement: word(),
            site_or_bundle: word(),
        };
        assert_eq!(Packed::of(&dimensions).dimensions(), dimensions);
        assert_eq!(
            Packed::of(&Dimensions::default()).dimensions(),
            Dimensions::default()
        );
    }
}

//! What an exchange writes in the place of `${AUCTION_PRICE}` (OpenRTB 2.6, 4.4).

use crate::price_keys::PriceKeys;
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use domain::exchange::PriceForm;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notified {
    /// CPM micros of the bid's currency.
    Price(i64),
    /// Empty, left as the macro, encrypted with keys that are not ours, or no number: the price of the bid stands.
    Unreadable,
    /// The exchange tries its URLs: no event.
    Audit,
}

impl Notified {
    pub(super) fn cpm_micros(self) -> Option<i64> {
        match self {
            Self::Price(micros) => Some(micros),
            Self::Unreadable | Self::Audit => None,
        }
    }

    /// As [`Notified::read`], with the keys of exchanges that encrypt.
    pub(super) fn read_with(keys: &PriceKeys, form: &PriceForm, text: &str) -> Self {
        match form {
            PriceForm::Encrypted { key_name, unit, .. } => keys
                .decrypt(key_name, *unit, text)
                .map_or_else(|| Self::read(form, text), Self::Price),
            PriceForm::Plain | PriceForm::Base64 => Self::read(form, text),
        }
    }

    pub(super) fn read(form: &PriceForm, text: &str) -> Self {
        let decoded = match form {
            PriceForm::Base64 => decode_base64(text),
            PriceForm::Plain | PriceForm::Encrypted { .. } => None,
        };
        let plain = decoded.as_deref().unwrap_or(text).trim();
        if plain == "AUDIT" {
            return Self::Audit;
        }
        if matches!(form, PriceForm::Encrypted { .. }) {
            return Self::Unreadable;
        }
        decimal_to_micros(plain).map_or(Self::Unreadable, Self::Price)
    }
}

/// `${AUCTION_MIN_TO_WIN}`, plain or in base64, in CPM micros; `None` when the exchange does not say it.
pub(super) fn minimum_cpm_micros(text: &str) -> Option<i64> {
    let micros = |text: &str| decimal_to_micros(text.trim());
    // Base64 of a decimal begins with a letter, so that the two cannot be mistaken for each other.
    micros(text)
        .or_else(|| micros(&decode_base64(text)?))
        .filter(|micros| *micros > 0)
}

/// Either alphabet, with padding or without: exchanges differ.
fn decode_base64(text: &str) -> Option<String> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    [&alphabet::URL_SAFE, &alphabet::STANDARD]
        .into_iter()
        .find_map(|alphabet| GeneralPurpose::new(alphabet, config).decode(text).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok())
}

/// A decimal number, not negative, in millionths: exactly, rounded half up; `i64::MAX` when it is beyond that.
pub(super) fn decimal_to_micros(text: &str) -> Option<i64> {
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?.clamp(-1_000, 1_000)),
        None => (text, 0),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    if digits().next().is_none() || !digits().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Digits of millionths come first; the next one decides the rounding.
    let kept = i64::try_from(whole.len()).ok()? + 6 + i64::from(exponent);
    let mut micros = 0_i64;
    for place in 0..kept.max(0) {
        let digit = usize::try_from(place).ok().and_then(|place| digits().nth(place));
        if micros > i64::MAX / 10 - 1 {
            return Some(i64::MAX);
        }
        micros = micros * 10 + digit.map_or(0, |digit| i64::from(digit - b'0'));
    }
    let next = usize::try_from(kept).ok().and_then(|place| digits().nth(place));
    Some(micros + i64::from(next.is_some_and(|digit| digit >= b'5')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(text: &str) -> Notified {
        Notified::read(&PriceForm::Plain, text)
    }

    #[test]
    fn a_plain_price_is_read_exactly_and_rounded_half_up() {
        assert_eq!(plain("1.25"), Notified::Price(1_250_000));
        assert_eq!(plain("0"), Notified::Price(0));
        assert_eq!(plain(".5"), Notified::Price(500_000));
        assert_eq!(plain("0.0000005"), Notified::Price(1));
        assert_eq!(plain("0.00000049999999999999999999"), Notified::Price(0));
        assert_eq!(plain("1.5E-3"), Notified::Price(1_500));
        assert_eq!(plain("9e-8"), Notified::Price(0));
        assert_eq!(plain("5e-7"), Notified::Price(1));
        assert_eq!(plain("2e1"), Notified::Price(20_000_000));
        assert_eq!(plain("99999999999999999999"), Notified::Price(i64::MAX));
    }

    #[test]
    fn what_is_no_price_is_unreadable() {
        for text in [
            "",
            ".",
            "-1",
            "${AUCTION_PRICE}",
            "1.2.3",
            "1,5",
            "NaN",
            "e5",
            "1e",
            "0x10",
        ] {
            assert_eq!(plain(text), Notified::Unreadable, "{text}");
        }
    }

    #[test]
    fn a_price_in_base64_comes_in_either_alphabet_padded_or_not() {
        for text in ["MS4yNQ==", "MS4yNQ"] {
            assert_eq!(
                Notified::read(&PriceForm::Base64, text),
                Notified::Price(1_250_000)
            );
        }
    }

    #[test]
    fn the_minimum_to_win_is_read_plain_or_in_base64_and_often_is_not_there() {
        for text in ["1.25", "MS4yNQ==", " 1.25"] {
            assert_eq!(minimum_cpm_micros(text), Some(1_250_000), "{text}");
        }
        for text in [
            "",
            "0",
            "-1",
            "${AUCTION_MIN_TO_WIN}",
            "${AUCTION_MIN_TO_WIN:B64}",
            "AUDIT",
            "QVVESVQ=",
        ] {
            assert_eq!(minimum_cpm_micros(text), None, "{text}");
        }
    }

    #[test]
    fn an_audit_is_one_in_every_form() {
        let encrypted = PriceForm::Encrypted {
            key_name: "k".to_owned(),
            unit: domain::exchange::PriceUnit::CpiMicros,
            suffix: None,
        };
        assert_eq!(plain("AUDIT"), Notified::Audit);
        assert_eq!(Notified::read(&PriceForm::Base64, "QVVESVQ="), Notified::Audit);
        assert_eq!(Notified::read(&PriceForm::Base64, "AUDIT"), Notified::Audit);
        assert_eq!(Notified::read(&encrypted, "AUDIT"), Notified::Audit);
        assert_eq!(Notified::read(&encrypted, "1.25"), Notified::Unreadable);
    }

    proptest! {
        #[test]
        fn micros_written_as_a_decimal_read_back(micros in 0..i64::MAX / 100) {
            let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
            prop_assert_eq!(plain(&text), Notified::Price(micros));
        }

        #[test]
        fn no_text_panics(text in ".{0,60}", number in "[0-9.eE+-]{0,40}") {
            for form in [PriceForm::Plain, PriceForm::Base64] {
                let _ = Notified::read(&form, &text);
                let _ = Notified::read(&form, &number);
            }
        }
    }
}

//! Keys of exchanges that encrypt prices, and the scheme they use: Google's, published as "Decrypt Price Confirmations" of
//! Authorized Buyers, which others took over.
//!
//! base64url( 16 bytes of initialization vector | price XOR pad | 4 bytes of integrity ), where the pad is the head of
//! HMAC-SHA1(encryption key, vector) and the integrity that of HMAC-SHA1(integrity key, price | vector). The price is a 64-bit
//! number of micros, big-endian.

use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{DecodeError, Engine};
use domain::exchange::PriceUnit;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use subtle::ConstantTimeEq;

const VECTOR_BYTES: usize = 16;
const PRICE_BYTES: usize = 8;
const INTEGRITY_BYTES: usize = 4;
const MESSAGE_BYTES: usize = VECTOR_BYTES + PRICE_BYTES + INTEGRITY_BYTES;
/// Of a key; exchanges give 32.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 16..=64;

/// Of all exchanges, by the names that their settings use. A name may come twice while an exchange replaces its keys.
#[derive(Clone, Default)]
pub struct PriceKeys(Vec<KeyPair>);

#[derive(Clone)]
struct KeyPair {
    name: String,
    encryption: Hmac<Sha1>,
    integrity: Hmac<Sha1>,
}

/// What is wrong with a setting, without a word of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected name:encryption key:integrity key, the keys 16 to 64 bytes in base64, several separated by commas"
)]
pub(crate) struct NotKeys;

impl std::fmt::Debug for PriceKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|pair| &pair.name))
            .finish()
    }
}

impl PriceKeys {
    /// `name:encryption:integrity,…`.
    pub(crate) fn parse(text: &str) -> Result<Self, NotKeys> {
        let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| {
            let mut parts = pair.split(':');
            let name = parts.next().unwrap_or_default();
            let mut key = || hmac_of(parts.next()?);
            let (encryption, integrity) = (key().ok_or(NotKeys)?, key().ok_or(NotKeys)?);
            if parts.next().is_some() || domain::validation::syntax::key_name(name).is_err() {
                return Err(NotKeys);
            }
            Ok(KeyPair {
                name: name.to_owned(),
                encryption,
                integrity,
            })
        });
        pairs.collect::<Result<_, _>>().map(Self)
    }

    /// CPM micros. `None`: there are no such keys, or it was not encrypted with them.
    pub(crate) fn decrypt(&self, name: &str, unit: PriceUnit, text: &str) -> Option<i64> {
        let message: [u8; MESSAGE_BYTES] = decode(text.trim()).ok()?.try_into().ok()?;
        let pairs = self.0.iter().filter(|pair| pair.name == name);
        let price = pairs.filter_map(|pair| pair.open(&message)).next()?;
        let micros = match unit {
            PriceUnit::CpiMicros => price.saturating_mul(1_000),
            PriceUnit::CpmMicros => price,
        };
        // The charge is cut to the bid anyway.
        Some(i64::try_from(micros).unwrap_or(i64::MAX))
    }
}

impl KeyPair {
    fn open(&self, message: &[u8; MESSAGE_BYTES]) -> Option<u64> {
        let (vector, rest) = message.split_at(VECTOR_BYTES);
        let (sealed, integrity) = rest.split_at(PRICE_BYTES);
        let pad = self
            .encryption
            .clone()
            .chain_update(vector)
            .finalize()
            .into_bytes();
        let mut price = [0; PRICE_BYTES];
        for (byte, (sealed, pad)) in price.iter_mut().zip(sealed.iter().zip(pad)) {
            *byte = sealed ^ pad;
        }
        let proof = self.integrity.clone().chain_update(price).chain_update(vector);
        let proof = proof.finalize().into_bytes();
        let is_proven: bool = proof[..INTEGRITY_BYTES].ct_eq(integrity).into();
        is_proven.then(|| u64::from_be_bytes(price))
    }
}

fn hmac_of(key: &str) -> Option<Hmac<Sha1>> {
    let key = decode(key).ok().filter(|key| KEY_BYTES.contains(&key.len()))?;
    Hmac::new_from_slice(&key).ok()
}

/// Either alphabet, with padding or without.
fn decode(text: &str) -> Result<Vec<u8>, DecodeError> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let web_safe = GeneralPurpose::new(&alphabet::URL_SAFE, config).decode(text);
    web_safe.or_else(|_| GeneralPurpose::new(&alphabet::STANDARD, config).decode(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Of Google's sample code.
    const SAMPLE_KEYS: &str =
        "google:skU7Ax_NL5pPAFyKdkfZjZz2-VhIN8bjj1rVFOaJ_5o=:arO23ykdNqUQ5LEoQ0FVmPkBd7xB5CO89PDZlSjpFxo=";

    fn decrypt(text: &str) -> Option<i64> {
        let keys = PriceKeys::parse(SAMPLE_KEYS).unwrap();
        keys.decrypt("google", PriceUnit::CpmMicros, text)
    }

    #[test]
    fn the_published_examples_are_read() {
        for (text, price) in [
            ("YWJjMTIzZGVmNDU2Z2hpN7fhCuPemCce_6msaw", 100),
            ("YWJjMTIzZGVmNDU2Z2hpN7fhCuPemCAWJRxOgA", 1_900),
            ("YWJjMTIzZGVmNDU2Z2hpN7fhCuPemC32prpWWw", 2_700),
        ] {
            assert_eq!(decrypt(text), Some(price), "{text}");
        }
        let padded = decrypt("YWJjMTIzZGVmNDU2Z2hpN7fhCuPemCce/6msaw==");
        assert_eq!(padded, Some(100));
    }

    #[test]
    fn a_price_for_one_impression_is_a_thousandth_of_the_cpm() {
        let keys = PriceKeys::parse(SAMPLE_KEYS).unwrap();
        let text = "YWJjMTIzZGVmNDU2Z2hpN7fhCuPemCAWJRxOgA";
        assert_eq!(
            keys.decrypt("google", PriceUnit::CpiMicros, text),
            Some(1_900_000)
        );
    }

    #[test]
    fn an_altered_price_another_key_and_anything_else_is_none() {
        for text in [
            "YWJjMTIzZGVmNDU2Z2hpN7fhCuPemCAWJRxOlA",
            "ZWJjMTIzZGVmNDU2Z2hpN7fhCuPemCAWJRxOgA",
            "YWJjMTIzZGVmNDU2Z2hpN7fhCuPemCAWJRxO",
            "",
            "1.25",
            "${AUCTION_PRICE}",
        ] {
            assert_eq!(decrypt(text), None, "{text}");
        }
        let text = "YWJjMTIzZGVmNDU2Z2hpN7fhCuPemCce_6msaw";
        let other = PriceKeys::parse(&format!("google:{0}:{0}", "A".repeat(43))).unwrap();
        assert_eq!(other.decrypt("google", PriceUnit::CpmMicros, text), None);
        let keys = PriceKeys::parse(SAMPLE_KEYS).unwrap();
        assert_eq!(keys.decrypt("openx", PriceUnit::CpmMicros, text), None);
    }

    #[test]
    fn old_and_new_keys_of_a_name_both_open() {
        let both = format!("google:{0}:{0}, {SAMPLE_KEYS}", "A".repeat(43));
        let keys = PriceKeys::parse(&both).unwrap();
        let text = "YWJjMTIzZGVmNDU2Z2hpN7fhCuPemCce_6msaw";
        assert_eq!(keys.decrypt("google", PriceUnit::CpmMicros, text), Some(100));
        let shown = format!("{keys:?}");
        assert_eq!(shown, r#"["google", "google"]"#);
    }

    #[test]
    fn keys_that_cannot_be_read_are_refused() {
        let short = "A".repeat(20);
        let long = "A".repeat(43);
        for text in [
            "google".to_owned(),
            format!("google:{long}"),
            format!("google:{long}:{short}"),
            format!(":{long}:{long}"),
            format!("google:{long}:{long}:{long}"),
            format!("google:{long}:***"),
        ] {
            assert!(PriceKeys::parse(&text).is_err(), "{text}");
        }
        assert!(PriceKeys::parse("").is_ok());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,60}", bytes in prop::collection::vec(any::<u8>(), 28)) {
            let _ = decrypt(&text);
            let _ = decrypt(&base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes));
        }
    }
}

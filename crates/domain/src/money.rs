//! What an impression costs, in integers.
//!
//! Prices are CPM *micros* of a currency; a CPM price in micros is, digit for digit, the price of one
//! impression in *nanos*. The ledger counts nanos of the campaign's currency. Intermediate products
//! are `i128`; a result that does not fit `i64` is an error, never a wrap.

use serde::{Deserialize, Serialize};

/// One unit, in billionths: the currency rate of a bid in the campaign's own currency.
pub const RATE_ONE_E9: i64 = 1_000_000_000;
/// One unit, in millionths: the quantity multiplier of an ordinary impression (OpenRTB 2.6, 3.2.4 `qty`).
pub const MULTIPLIER_ONE_MICROS: i64 = 1_000_000;
/// Nanos in one micro.
pub const NANOS_PER_MICRO: i64 = 1_000;

const ONE_PPM: u64 = 1_000_000;
const PPM: i128 = ONE_PPM as i128;
/// Denominator of price x rate x multiplier x (1 + fee).
const DENOMINATOR: i128 = 1_000_000_000 * 1_000_000 * PPM;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("amount does not fit in 64 bits of nanos")]
pub struct AmountOverflow;

/// Everything besides the price that turns a CPM into a charge; fixed when the bid is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Campaign currency per unit of the bid's currency, billionths.
    pub rate_e9: i64,
    /// Impressions that one display counts for (DOOH), millionths.
    pub multiplier_micros: i64,
    /// The platform's fee on top of the media cost, parts per million.
    pub fee_ppm: i64,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            rate_e9: RATE_ONE_E9,
            multiplier_micros: MULTIPLIER_ONE_MICROS,
            fee_ppm: 0,
        }
    }
}

/// What one billed impression comes to. `charge_nanos == media_cost_nanos + fee_nanos`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    pub media_cost_nanos: i64,
    pub fee_nanos: i64,
    pub charge_nanos: i64,
}

impl Terms {
    fn numerator(&self, price_cpm_micros: i64) -> Result<i128, AmountOverflow> {
        i128::from(price_cpm_micros.max(0))
            .checked_mul(i128::from(self.rate_e9.max(0)))
            .and_then(|n| n.checked_mul(i128::from(self.multiplier_micros.max(0))))
            .and_then(|n| n.checked_mul(PPM + i128::from(self.fee_ppm.max(0))))
            .ok_or(AmountOverflow)
    }

    /// Nanos to set aside for a bid at this price: rounded up, so that no charge can exceed it.
    #[inline]
    pub fn reservation_nanos(&self, price_cpm_micros: i64) -> Result<i64, AmountOverflow> {
        if let Some(nanos) = self.reservation_in_one_currency(price_cpm_micros) {
            return Ok(nanos);
        }
        let numerator = self.numerator(price_cpm_micros)?;
        let whole = numerator / DENOMINATOR + i128::from(numerator % DENOMINATOR != 0);
        i64::try_from(whole).map_err(|_| AmountOverflow)
    }

    /// The same without 128 bits, where rate and multiplier are 1 and the product fits.
    #[inline]
    fn reservation_in_one_currency(&self, price_cpm_micros: i64) -> Option<i64> {
        let (price, fee) = (price_cpm_micros.max(0), self.fee_ppm.max(0));
        if self.rate_e9 != RATE_ONE_E9 || self.multiplier_micros != MULTIPLIER_ONE_MICROS {
            return None;
        }
        let one_and_fee_ppm = u64::try_from(fee).ok()? + ONE_PPM;
        let product = u64::try_from(price).ok()?.checked_mul(one_and_fee_ppm)?;
        i64::try_from(product.div_ceil(ONE_PPM)).ok()
    }

    /// Nanos owed when the impression cleared at this price: rounded half up, never above the reservation.
    pub fn charge(&self, price_cpm_micros: i64, reserved_nanos: i64) -> Result<Charge, AmountOverflow> {
        let total = half_up(self.numerator(price_cpm_micros)?)?.min(reserved_nanos);
        let media = half_up(Self { fee_ppm: 0, ..*self }.numerator(price_cpm_micros)?)?.min(total);
        Ok(Charge {
            media_cost_nanos: media,
            fee_nanos: total - media,
            charge_nanos: total,
        })
    }
}

fn half_up(numerator: i128) -> Result<i64, AmountOverflow> {
    i64::try_from(numerator.checked_add(DENOMINATOR / 2).ok_or(AmountOverflow)? / DENOMINATOR)
        .map_err(|_| AmountOverflow)
}

/// A price in another currency; `None` when it does not fit. Rounds up: used for floors and bounds.
#[must_use]
pub fn convert_up(amount: i64, rate_e9: i64) -> Option<i64> {
    let product = i128::from(amount).checked_mul(i128::from(rate_e9))?;
    let unit = i128::from(RATE_ONE_E9);
    i64::try_from(product.div_euclid(unit) + i128::from(product.rem_euclid(unit) != 0)).ok()
}

/// As [`convert_up`], rounded down: used for what may be offered at most.
#[must_use]
#[inline]
pub fn convert_down(amount: i64, rate_e9: i64) -> Option<i64> {
    if rate_e9 == RATE_ONE_E9 {
        return Some(amount);
    }
    let product = i128::from(amount).checked_mul(i128::from(rate_e9))?;
    i64::try_from(product.div_euclid(i128::from(RATE_ONE_E9))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_cpm_in_micros_is_the_price_of_one_impression_in_nanos() {
        assert_eq!(Terms::default().reservation_nanos(2_500_000), Ok(2_500_000));
    }

    #[test]
    fn a_fee_is_part_of_the_charge_and_shown_apart() {
        let terms = Terms {
            fee_ppm: 100_000,
            ..Terms::default()
        };
        let charge = terms.charge(1_000_005, i64::MAX).unwrap();
        assert_eq!(
            charge,
            Charge {
                media_cost_nanos: 1_000_005,
                fee_nanos: 100_001,
                charge_nanos: 1_100_006
            }
        );
    }

    #[test]
    fn an_amount_too_large_is_an_error() {
        let terms = Terms {
            rate_e9: i64::MAX,
            multiplier_micros: i64::MAX,
            fee_ppm: 0,
        };
        assert_eq!(terms.reservation_nanos(i64::MAX), Err(AmountOverflow));
    }

    proptest! {
        #[test]
        fn the_short_way_to_a_reservation_gives_the_same(
            price in prop_oneof![0..=20_000_000_i64, any::<i64>()],
            fee_ppm in prop_oneof![Just(0), 0..=1_000_000_i64, any::<i64>()],
        ) {
            let terms = Terms { fee_ppm, ..Terms::default() };
            if let Some(short) = terms.reservation_in_one_currency(price) {
                let numerator = terms.numerator(price).unwrap();
                prop_assert_eq!(i128::from(short), (numerator + DENOMINATOR - 1) / DENOMINATOR);
            }
        }

        #[test]
        fn a_charge_never_exceeds_the_reservation_of_a_higher_bid(
            bid in 0..10_000_000_000_i64, discount in 0..10_000_000_000_i64,
            rate_e9 in 1..5_000_000_000_i64, multiplier_micros in 1..50_000_000_i64, fee_ppm in 0..1_000_000_i64,
        ) {
            let terms = Terms { rate_e9, multiplier_micros, fee_ppm };
            if let Ok(reserved) = terms.reservation_nanos(bid) {
                let charge = terms.charge((bid - discount).max(0), i64::MAX).unwrap();
                prop_assert!(charge.charge_nanos <= reserved);
                prop_assert!(charge.fee_nanos >= 0 && charge.media_cost_nanos >= 0);
                prop_assert_eq!(charge.media_cost_nanos + charge.fee_nanos, charge.charge_nanos);
            }
        }
    }
}

//! Prices in steps of 3 to 6 %: sixteen to a doubling, exact in integers.

/// A step of the scale, from 0 to [`PriceLevel::COUNT`] less one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PriceLevel(u16);

/// Steps to a doubling: two to the power of this.
const STEP_BITS: u32 = 4;
const STEPS: u16 = 1 << STEP_BITS;
/// The first step is 1,024 CPM micros: nobody sells for less than a tenth of a cent a thousand.
const FIRST_BITS: u32 = 10;
/// The last doubling begins at 2 to the power of this: half a million units a thousand, which is enough in rupiah.
const LAST_BITS: u32 = 39;

impl PriceLevel {
    pub const COUNT: usize = ((LAST_BITS - FIRST_BITS + 1) as usize) << STEP_BITS;
    pub const FIRST: Self = Self(0);
    pub const LAST: Self = Self(Self::COUNT as u16 - 1);

    /// The highest step at or below the price; the first for what is cheaper still.
    #[must_use]
    pub fn at_or_below(cpm_micros: i64) -> Self {
        let Some(price) = u64::try_from(cpm_micros)
            .ok()
            .filter(|price| *price >= 1 << FIRST_BITS)
        else {
            return Self::FIRST;
        };
        let bits = price.ilog2();
        if bits > LAST_BITS {
            return Self::LAST;
        }
        let within = (price >> (bits - STEP_BITS)) as u16 & (STEPS - 1);
        Self((bits - FIRST_BITS) as u16 * STEPS + within)
    }

    /// The lowest step at or above the price; `None` above the last.
    #[must_use]
    pub fn at_or_above(cpm_micros: i64) -> Option<Self> {
        let below = Self::at_or_below(cpm_micros);
        if below.cpm_micros() >= cpm_micros {
            Some(below)
        } else {
            Self::at(usize::from(below.0) + 1)
        }
    }

    #[must_use]
    pub fn at(position: usize) -> Option<Self> {
        let position = u16::try_from(position).ok()?;
        (position <= Self::LAST.0).then_some(Self(position))
    }

    #[must_use]
    pub fn position(self) -> usize {
        usize::from(self.0)
    }

    #[must_use]
    pub fn cpm_micros(self) -> i64 {
        let (doubling, within) = (u32::from(self.0 / STEPS), i64::from(self.0 % STEPS));
        (i64::from(STEPS) + within) << (FIRST_BITS - STEP_BITS + doubling)
    }

    /// Within the scale.
    #[must_use]
    pub fn up(self, steps: u16) -> Self {
        Self(self.0.saturating_add(steps).min(Self::LAST.0))
    }

    /// Within the scale.
    #[must_use]
    pub fn down(self, steps: u16) -> Self {
        Self(self.0.saturating_sub(steps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_step_is_its_own_level_and_3_to_7_percent_above_the_one_before() {
        let all: Vec<PriceLevel> = (0..PriceLevel::COUNT).filter_map(PriceLevel::at).collect();
        assert_eq!(all.len(), PriceLevel::COUNT);
        for level in &all {
            assert_eq!(PriceLevel::at_or_below(level.cpm_micros()), *level);
            assert_eq!(PriceLevel::at_or_above(level.cpm_micros()), Some(*level));
        }
        for two in all.windows(2) {
            let (lower, higher) = (two[0].cpm_micros(), two[1].cpm_micros());
            assert!(
                lower * 103 < higher * 100 && higher * 100 < lower * 107,
                "{lower} {higher}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_price_lies_between_its_two_levels(bits in 0..63_u32, random in any::<i64>()) {
            let price = random.rem_euclid(1 << bits);
            let below = PriceLevel::at_or_below(price);
            prop_assert!(below == PriceLevel::FIRST || below.cpm_micros() <= price);
            match PriceLevel::at_or_above(price) {
                Some(above) => prop_assert!(price <= above.cpm_micros()),
                None => prop_assert!(price > PriceLevel::LAST.cpm_micros()),
            }
        }
    }
}

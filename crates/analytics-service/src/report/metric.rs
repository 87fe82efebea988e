//! What a report can show, each computed in integers from the stored totals.

use storage::report_store::Totals;

const NANOS_PER_MICRO: i128 = domain::money::NANOS_PER_MICRO as i128;
const MILLION: i128 = 1_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metric {
    Bids,
    Wins,
    Losses,
    Impressions,
    Clicks,
    VideoStarts,
    VideoCompletes,
    Conversions,
    ConversionValueMicros,
    SpendMicros,
    SpendNanos,
    MediaCostMicros,
    OverDeliveryNanos,
    /// Clicks per impression.
    Ctr,
    /// Wins per bid.
    WinRate,
    /// What a thousand impressions cost the campaign.
    EcpmMicros,
}

/// One figure of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Figure {
    Whole(i64),
    /// Millionths.
    Ratio(i64),
    /// Nothing to divide by.
    Undefined,
}

impl Metric {
    pub(super) const ALL: [Self; 16] = [
        Self::Bids,
        Self::Wins,
        Self::Losses,
        Self::Impressions,
        Self::Clicks,
        Self::VideoStarts,
        Self::VideoCompletes,
        Self::Conversions,
        Self::ConversionValueMicros,
        Self::SpendMicros,
        Self::SpendNanos,
        Self::MediaCostMicros,
        Self::OverDeliveryNanos,
        Self::Ctr,
        Self::WinRate,
        Self::EcpmMicros,
    ];

    /// What a report shows unless asked for something else.
    pub(super) const DEFAULT: [Self; 5] = [
        Self::Bids,
        Self::Wins,
        Self::Impressions,
        Self::Clicks,
        Self::SpendMicros,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bids => "bids",
            Self::Wins => "wins",
            Self::Losses => "losses",
            Self::Impressions => "impressions",
            Self::Clicks => "clicks",
            Self::VideoStarts => "video_starts",
            Self::VideoCompletes => "video_completes",
            Self::Conversions => "conversions",
            Self::ConversionValueMicros => "conversion_value_micros",
            Self::SpendMicros => "spend_micros",
            Self::SpendNanos => "spend_nanos",
            Self::MediaCostMicros => "media_cost_micros",
            Self::OverDeliveryNanos => "over_delivery_nanos",
            Self::Ctr => "ctr",
            Self::WinRate => "win_rate",
            Self::EcpmMicros => "ecpm_micros",
        }
    }

    pub(super) fn of(self, totals: &Totals) -> Figure {
        match self {
            Self::Bids => Figure::Whole(totals.bids),
            Self::Wins => Figure::Whole(totals.wins),
            Self::Losses => Figure::Whole(totals.losses),
            Self::Impressions => Figure::Whole(totals.impressions),
            Self::Clicks => Figure::Whole(totals.clicks),
            Self::VideoStarts => Figure::Whole(totals.video_starts),
            Self::VideoCompletes => Figure::Whole(totals.video_completes),
            Self::Conversions => Figure::Whole(totals.conversions),
            Self::ConversionValueMicros => Figure::Whole(totals.conversion_value_micros),
            Self::SpendMicros => Figure::Whole(micros(totals.spend_nanos)),
            Self::SpendNanos => Figure::Whole(totals.spend_nanos),
            Self::MediaCostMicros => Figure::Whole(micros(totals.media_cost_nanos)),
            Self::OverDeliveryNanos => Figure::Whole(totals.over_delivery_nanos),
            Self::Ctr => ratio(totals.clicks, totals.impressions),
            Self::WinRate => ratio(totals.wins, totals.bids),
            // Nanos for one impression are, digit for digit, micros for a thousand.
            Self::EcpmMicros => quotient(totals.spend_nanos.into(), totals.impressions)
                .map_or(Figure::Undefined, Figure::Whole),
        }
    }
}

/// Nanos as micros, rounded half up.
pub(crate) fn micros(nanos: i64) -> i64 {
    half_up(nanos.into(), NANOS_PER_MICRO)
}

fn ratio(numerator: i64, denominator: i64) -> Figure {
    quotient(i128::from(numerator) * MILLION, denominator).map_or(Figure::Undefined, Figure::Ratio)
}

fn quotient(numerator: i128, denominator: i64) -> Option<i64> {
    (denominator > 0).then(|| half_up(numerator, denominator.into()))
}

/// A quotient beyond 64 bits is shown as the largest: no sane totals come to it.
fn half_up(numerator: i128, denominator: i128) -> i64 {
    let rounded = (2 * numerator + denominator).div_euclid(2 * denominator);
    i64::try_from(rounded).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_rounds_half_up_from_nanos() {
        assert_eq!([499, 500, 1_499, 1_500].map(micros), [0, 1, 1, 2]);
        assert_eq!(micros(i64::MAX), i64::MAX / 1_000 + 1);
    }

    #[test]
    fn ratios_have_six_decimals_and_need_a_denominator() {
        let totals = Totals {
            clicks: 2,
            impressions: 3,
            spend_nanos: 5,
            ..Totals::default()
        };
        assert_eq!(Metric::Ctr.of(&totals), Figure::Ratio(666_667));
        assert_eq!(Metric::EcpmMicros.of(&totals), Figure::Whole(2));
        assert_eq!(Metric::WinRate.of(&totals), Figure::Undefined);
    }

    #[test]
    fn every_metric_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = Metric::ALL.iter().map(|metric| metric.name()).collect();
        assert_eq!(names.len(), Metric::ALL.len());
    }
}

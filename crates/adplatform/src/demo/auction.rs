//! The exchange's side of one bid request: rivals, winner, clearing price.

use serde_json::Value;

/// AdCOM "Loss Reason Codes": lost to a higher bid.
pub(super) const LOST_TO_HIGHER_BID: i64 = 102;
/// AdCOM "Loss Reason Codes": below the auction floor.
pub(super) const BELOW_FLOOR: i64 = 100;
/// What the winner of a second-price auction pays above the next bid.
const INCREMENT_MICROS: i64 = 10_000;

/// What the exchange remembers of a request that it sent.
pub(super) struct Terms {
    pub request_id: String,
    pub first_price: bool,
    pub tmax_ms: u64,
    /// Floor of each imp, CPM micros of USD.
    floors: Vec<(String, i64)>,
}

impl Terms {
    /// Reads them back from the request that is about to be sent.
    pub(super) fn of(body: &[u8]) -> anyhow::Result<Self> {
        let request: Value = serde_json::from_slice(body)?;
        let imps = request["imp"].as_array().cloned().unwrap_or_default();
        Ok(Self {
            request_id: request["id"].as_str().unwrap_or_default().to_owned(),
            first_price: request["at"] == 1,
            tmax_ms: request["tmax"].as_u64().unwrap_or(100),
            floors: imps
                .iter()
                .map(|imp| {
                    let floor = imp["bidfloor"].as_f64().unwrap_or(0.0);
                    (
                        imp["id"].as_str().unwrap_or_default().to_owned(),
                        (floor * 1e6).round() as i64,
                    )
                })
                .collect(),
        })
    }

    fn floor_micros(&self, imp_id: &str) -> Option<i64> {
        self.floors
            .iter()
            .find(|(id, _)| id == imp_id)
            .map(|(_, floor)| *floor)
    }
}

/// How an auction ended for one bid of ours. Prices are CPM micros of USD.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Won {
        clearing_micros: i64,
    },
    Lost {
        reason: i64,
        min_to_win_micros: i64,
    },
    /// The answer named an imp that was not asked about.
    Nonsense,
}

/// Rivals bid too, most of the time a little above the floor.
pub(super) fn decide(terms: &Terms, imp_id: &str, price_micros: i64, random: &mut fastrand::Rng) -> Outcome {
    let Some(floor) = terms.floor_micros(imp_id) else {
        return Outcome::Nonsense;
    };
    if price_micros < floor {
        return Outcome::Lost {
            reason: BELOW_FLOOR,
            min_to_win_micros: floor,
        };
    }
    let rivals = random.usize(0..5);
    let best_rival = (0..rivals)
        .map(|_| floor + ((random.f64() * 4.4).exp() * 110_000.0) as i64)
        .max()
        .unwrap_or(floor);
    if best_rival >= price_micros {
        return Outcome::Lost {
            reason: LOST_TO_HIGHER_BID,
            min_to_win_micros: best_rival.saturating_add(INCREMENT_MICROS),
        };
    }
    let clearing_micros = if terms.first_price {
        price_micros
    } else {
        best_rival.saturating_add(INCREMENT_MICROS).min(price_micros)
    };
    Outcome::Won { clearing_micros }
}

/// The decimal text of an amount in micros, exact.
pub(super) fn decimal(micros: i64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(at: i64) -> Terms {
        Terms::of(format!(r#"{{"id":"r","at":{at},"imp":[{{"id":"1","bidfloor":0.5}}]}}"#).as_bytes())
            .unwrap()
    }

    #[test]
    fn a_first_price_winner_pays_its_bid_and_a_second_price_one_no_more() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..200 {
            if let Outcome::Won { clearing_micros } = decide(&terms(1), "1", 2_000_000, &mut random) {
                assert_eq!(clearing_micros, 2_000_000);
            }
            if let Outcome::Won { clearing_micros } = decide(&terms(2), "1", 2_000_000, &mut random) {
                assert!((500_000..=2_000_000).contains(&clearing_micros));
            }
        }
    }

    #[test]
    fn a_bid_below_the_floor_loses_and_one_for_an_unknown_imp_is_nonsense() {
        let mut random = fastrand::Rng::with_seed(3);
        assert_eq!(
            decide(&terms(1), "1", 499_999, &mut random),
            Outcome::Lost {
                reason: BELOW_FLOOR,
                min_to_win_micros: 500_000
            }
        );
        assert_eq!(decide(&terms(1), "2", 1, &mut random), Outcome::Nonsense);
    }

    #[test]
    fn amounts_are_written_exactly() {
        assert_eq!(decimal(1_250_001), "1.250001");
        assert_eq!(decimal(7), "0.000007");
    }
}

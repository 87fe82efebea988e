//! An exchange: who wins, what it clears at, when its notices come, how often, and which never do.

use crate::token::BidToken;
use std::collections::BTreeMap;

pub(super) const STEP_MS: i64 = 250;
pub(super) const WIN_NOTICE_DELAY_MS: i64 = 3_000;
pub(super) const BILLING_WINDOW_MS: i64 = 8_000;

#[derive(Clone, Debug)]
pub(super) enum Notice {
    Win(BidToken, i64),
    Billing(BidToken, Option<i64>),
    Loss(BidToken),
}

impl Notice {
    pub(super) fn token(&self) -> &BidToken {
        match self {
            Self::Win(token, _) | Self::Billing(token, _) | Self::Loss(token) => token,
        }
    }
}

/// Notices on their way, by their time of arrival.
#[derive(Default)]
pub(super) struct Market {
    /// Keeps its own rules: notices in time and once. Otherwise they are lost, late, and repeated.
    pub(super) is_orderly: bool,
    pub(super) due: BTreeMap<i64, Vec<Notice>>,
    /// Everything it ever sent, for the replay.
    pub(super) sent: Vec<Notice>,
}

impl Market {
    pub(super) fn auction(&mut self, token: BidToken, dice: &mut fastrand::Rng) {
        let at_ms = token.bid_at_ms;
        let in_time = WIN_NOTICE_DELAY_MS - STEP_MS;
        if dice.u8(..100) < 55 {
            self.send(at_ms + dice.i64(50..in_time), Notice::Loss(token), dice);
            return;
        }
        let cleared = dice.i64(1..=token.price_cpm_micros);
        let slack = if self.is_orderly {
            in_time
        } else {
            2 * WIN_NOTICE_DELAY_MS
        };
        let won_ms = at_ms + dice.i64(50..slack);
        self.send(won_ms, Notice::Win(token.clone(), cleared), dice);
        if dice.u8(..100) < 85 {
            let price = (dice.u8(..100) < 90).then_some(cleared);
            let (from, to) = if self.is_orderly {
                (won_ms + STEP_MS, won_ms + BILLING_WINDOW_MS - 2 * STEP_MS)
            } else {
                (at_ms + 50, won_ms + 2 * BILLING_WINDOW_MS)
            };
            self.send(dice.i64(from..to), Notice::Billing(token, price), dice);
        }
    }

    fn send(&mut self, at_ms: i64, notice: Notice, dice: &mut fastrand::Rng) {
        let copies = match (self.is_orderly, dice.u8(..100)) {
            (true, _) | (false, 0..70) => 1,
            (false, 70..78) => 0,
            (false, _) => 2,
        };
        for _ in 0..copies {
            let later = if copies > 1 { dice.i64(0..5_000) } else { 0 };
            self.again(at_ms + later, notice.clone());
        }
        if copies > 0 {
            self.sent.push(notice);
        }
    }

    /// Delivers it then: a repeat of one that was not acknowledged.
    pub(super) fn again(&mut self, at_ms: i64, notice: Notice) {
        self.due.entry(at_ms).or_default().push(notice);
    }

    pub(super) fn arrivals(&mut self, now_ms: i64) -> Vec<Notice> {
        let later = self.due.split_off(&(now_ms + 1));
        std::mem::replace(&mut self.due, later)
            .into_values()
            .flatten()
            .collect()
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.due.is_empty()
    }
}

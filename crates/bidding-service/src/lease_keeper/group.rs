//! The campaigns of one group of the ledger: those that every heartbeat looks at, and those that sleep.
//!
//! Of a sleeping one a heartbeat reads how many opportunities its cell counted, and after the answer moves the cell's end.

use super::Held;
use super::sleep::{Forgotten, Sleep};
use super::standing::Standing;
use super::sums::Sums;
use bidding_engine::Now;
use std::collections::HashSet;
use std::sync::Arc;

#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) standing: Standing,
    pub(super) awake: Vec<Arc<Held>>,
    asleep: Vec<Sleeper>,
}

#[derive(Debug)]
struct Sleeper {
    held: Arc<Held>,
    sleep: Sleep,
}

impl Group {
    /// New accounts, and those that somebody has woken.
    pub(super) fn take_in(&mut self, called: Vec<Arc<Held>>) {
        let woken: HashSet<_> = called.iter().map(Arc::as_ptr).collect();
        self.asleep
            .retain(|sleeper| !woken.contains(&Arc::as_ptr(&sleeper.held)));
        self.awake.extend(called);
    }

    /// One that is awake goes behind `end`, which moves down before it; where it sleeps, somebody else has called it.
    pub(super) fn move_behind(&mut self, held: &Arc<Held>, end: &mut usize) {
        let position = self.awake.iter().position(|awake| Arc::ptr_eq(awake, held));
        if let Some(position) = position.filter(|position| position < end) {
            *end -= 1;
            self.awake.swap(position, *end);
        }
    }

    /// Wakes who saw an opportunity, and of those who are due as many as there is `room` for.
    pub(super) fn wake(&mut self, now: Now, room: &mut usize) {
        self.wake_where(|held, sleep| {
            if sleep.saw_opportunity(&held.cell) {
                return true;
            }
            let is_next = *room > 0 && sleep.is_due(now);
            *room -= usize::from(is_next);
            is_next
        });
    }

    pub(super) fn wake_all(&mut self) {
        self.wake_where(|_, _| true);
    }

    fn wake_where(&mut self, mut is_to_wake: impl FnMut(&Held, &Sleep) -> bool) {
        let awake = &mut self.awake;
        self.asleep.retain(|Sleeper { held, sleep }| {
            // One that was faster has called it: the next heartbeat takes it in.
            let wakes = is_to_wake(held, sleep) && held.account().wake();
            if wakes {
                awake.push(held.clone());
            }
            !wakes
        });
    }

    /// Wakes one whose lease may have been lost without anybody knowing.
    pub(super) fn wake_witness(&mut self) -> Option<Arc<Held>> {
        let position = self
            .asleep
            .iter()
            .position(|sleeper| sleeper.sleep.holds_a_lease() && sleeper.held.account().wake())?;
        let held = self.asleep.remove(position).held;
        self.awake.push(held.clone());
        Some(held)
    }

    pub(super) fn puts_to_sleep(&mut self, held: Arc<Held>, sleep: Sleep) {
        self.asleep.push(Sleeper { held, sleep });
    }

    /// Lets the sleeping bid on, but for those whose lease is of an earlier memory of the ledger than `epoch`.
    pub(super) fn rest_on(&mut self, sent: Now, epoch: i64) {
        let awake = &mut self.awake;
        self.asleep.retain_mut(|Sleeper { held, sleep }| {
            let Err(Forgotten) = sleep.rest_on(&held.cell, sent, epoch) else {
                return true;
            };
            let mut account = held.account();
            account.unrest();
            let wakes = account.wake();
            drop(account);
            if wakes {
                awake.push(held.clone());
            }
            !wakes
        });
    }

    /// Of the sleeping.
    pub(super) fn sums(&self) -> Sums {
        let each = self.asleep.iter().map(|sleeper| sleeper.sleep.sums);
        each.fold(Sums::default(), Sums::and)
    }

    #[cfg(test)]
    pub(super) fn sleeping(&self) -> usize {
        self.asleep.len()
    }
}

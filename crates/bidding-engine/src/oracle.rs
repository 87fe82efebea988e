//! The reference that tests compare [`crate::bid`] with: the same conditions and rules, without index,
//! bounds or early end. It asks every campaign for every slot of every imp, and allocates as it likes.
//! Never on the bid path.

use crate::bid::{open, outcome};
use crate::campaign::CompiledCampaign;
use crate::conditions::{CAMPAIGN, CREATIVE, Condition, SLOT, failing, value_cpm_micros};
use crate::facts::Facts;
use crate::offer::{History, Offer, Slot, goes_on, read_slots};
use crate::rotation::rotate;
use crate::search::{Pending, clashes, decide, remember};
use crate::{Decision, ExchangeState, Leases, NoBidReason, Now, Outcome, Snapshot, UserView};
use bumpalo::Bump;
use openrtb::BidRequest;
use std::collections::HashSet;

/// What [`crate::bid`] would have to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub outcome: Outcome,
    pub decisions: Vec<Decision>,
    /// As [`crate::Scratch::reasons`].
    pub reasons: Vec<Option<NoBidReason>>,
}

/// As [`crate::bid`], reservations included: give it lease cells of its own.
#[must_use]
pub fn bid(
    snapshot: &Snapshot,
    exchange: &ExchangeState,
    leases: &Leases,
    user: &UserView<'_>,
    now: Now,
    request: &BidRequest<'_>,
) -> Verdict {
    let mut facts = Facts::default();
    let arena = Bump::new();
    let ask = match open(snapshot, exchange, user, now, request, &mut facts) {
        Ok(ask) => ask,
        Err(reason) => {
            return Verdict {
                outcome: Outcome::NoBid(reason),
                decisions: Vec::new(),
                reasons: vec![Some(reason); request.imp.len()],
            };
        }
    };
    let mut history = History::default();
    let mut counted = HashSet::new();
    let mut decisions = Vec::new();
    let mut reasons = Vec::new();
    for (position, imp) in request.imp.iter().enumerate() {
        let mut slots = Vec::new();
        read_slots(&ask, imp, &mut slots);
        for round in 0.. {
            let offer = Offer::new(&ask, position, imp, &slots, &history, &arena);
            let (won, reason) = decide_imp(snapshot, leases, &offer, &mut counted);
            if round == 0 {
                reasons.push(reason.filter(|_| won.is_empty()));
            }
            remember(snapshot, imp, &won, &mut history);
            let goes_on = goes_on(imp, &won, &mut slots);
            decisions.extend(won);
            if !goes_on {
                break;
            }
        }
    }
    Verdict {
        outcome: outcome(&decisions, &reasons),
        decisions,
        reasons,
    }
}

fn decide_imp(
    snapshot: &Snapshot,
    leases: &Leases,
    offer: &Offer<'_>,
    counted: &mut HashSet<usize>,
) -> (Vec<Decision>, Option<NoBidReason>) {
    let mut furthest = NoBidReason::NoActiveCampaign;
    let mut eligible = Vec::new();
    for (number, campaign) in snapshot.numbered() {
        match fitting_creatives(campaign, offer) {
            Ok(fitting) => eligible.extend(pending(number, campaign, &fitting, offer, &mut furthest)),
            Err(reason) => furthest = furthest.max(reason),
        }
    }
    eligible.sort_unstable_by(|one, other| other.cmp(one));
    let mut won = Vec::new();
    let mut won_slots = HashSet::new();
    for candidate in eligible {
        if won_slots.contains(&candidate.slot) {
            continue;
        }
        if let Some(reason) = clashes(snapshot, offer, &won, &candidate) {
            furthest = furthest.max(reason);
            continue;
        }
        match decide(
            snapshot,
            leases,
            offer,
            &candidate,
            counted.insert(candidate.campaign),
        ) {
            Ok(decision) => {
                won_slots.insert(candidate.slot);
                won.push(decision);
            }
            Err(reason) => furthest = furthest.max(reason),
        }
    }
    (won, Some(furthest))
}

/// The creatives that fit the imp, or the condition that leaves none.
fn fitting_creatives(campaign: &CompiledCampaign, offer: &Offer<'_>) -> Result<Vec<usize>, NoBidReason> {
    let own = CAMPAIGN
        .iter()
        .filter(|Condition(_, holds, ..)| !holds(campaign, offer));
    if let Some(reason) = failing(campaign, offer)
        .chain(own.map(|Condition(reason, ..)| *reason))
        .next()
    {
        return Err(reason);
    }
    let mut fitting = Vec::new();
    let mut furthest = NoBidReason::Format;
    for (position, creative) in campaign.creatives.iter().enumerate() {
        match CREATIVE
            .iter()
            .find(|Condition(_, holds, ..)| !holds(campaign, creative, offer))
        {
            Some(Condition(reason, ..)) => furthest = furthest.max(*reason),
            None => fitting.push(position),
        }
    }
    if fitting.is_empty() {
        Err(furthest)
    } else {
        Ok(fitting)
    }
}

fn pending(
    number: usize,
    campaign: &CompiledCampaign,
    fitting: &[usize],
    offer: &Offer<'_>,
    furthest: &mut NoBidReason,
) -> Vec<Pending> {
    let tie = offer.tie(campaign.hash);
    let mut found = Vec::new();
    for (position, slot) in offer
        .slots
        .iter()
        .enumerate()
        .filter(|(_, slot)| slot.suits(campaign) && !slot.filled.is_closed)
    {
        let in_slot: Vec<usize> = fitting
            .iter()
            .copied()
            .filter(|creative| fits_slot(campaign, *creative, offer, slot, furthest))
            .collect();
        let creative = rotate(&campaign.creatives, &in_slot, tie);
        if let Some((creative, value_cpm_micros)) = creative.zip(value_cpm_micros(campaign, offer.ask)) {
            found.push(Pending {
                value_cpm_micros,
                tie,
                campaign: number,
                creative,
                slot: position,
            });
        }
    }
    found
}

fn fits_slot(
    campaign: &CompiledCampaign,
    creative: usize,
    offer: &Offer<'_>,
    slot: &Slot,
    furthest: &mut NoBidReason,
) -> bool {
    let creative = &campaign.creatives[creative];
    let failing = SLOT
        .iter()
        .find(|Condition(_, holds, ..)| !holds(campaign, creative, offer, slot));
    failing
        .inspect(|Condition(reason, ..)| *furthest = (*furthest).max(*reason))
        .is_none()
}

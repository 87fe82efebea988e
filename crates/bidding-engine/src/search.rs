//! The search for the winners of one imp: candidates of the index in falling order of their bound,
//! conditions as far as they hold, the best first to the lease, an end as soon as nobody better can come.

use crate::bits::{BLOCK_NUMBERS, Block, EMPTY_BLOCK};
use crate::campaign::CompiledCampaign;
use crate::conditions::{
    campaign_fails, card_passes, creative_fails, day, has_fitting_size, slot_fails, value_cpm_micros,
};
use crate::creative::CompiledCreative;
use crate::index::Plan;
use crate::offer::{Floor, History, Offer, pod};
use crate::rotation::rotate;
use crate::scratch::Buffers;
use crate::shading::price;
use crate::{Decision, Leases, NoBidReason, Snapshot};
use openrtb::request::Imp;
use std::cmp::Ordering;

/// A campaign that passed every condition in a slot and has not been to its lease yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) value_cpm_micros: i64,
    pub(crate) tie: u64,
    pub(crate) campaign: usize,
    /// Position in the campaign's compiled creatives.
    pub(crate) creative: usize,
    /// Position in the offer's slots.
    pub(crate) slot: usize,
}

impl Pending {
    /// Whose turn is first compares as greater: the higher value, the higher hash; of one campaign the
    /// open auction, then the deals in their order.
    fn rank(&self) -> impl Ord {
        use std::cmp::Reverse;
        (
            self.value_cpm_micros,
            self.tie,
            Reverse(self.campaign),
            Reverse(self.slot),
        )
    }
}

impl Ord for Pending {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Pending {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Whom the index has found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    number: usize,
    bound_usd_micros: i64,
    /// Where its card shows that it passes every condition. Of its other creatives nothing is noted: the lease's answer is
    /// a later reason than any of theirs.
    passes: Option<Pending>,
}

impl Candidate {
    fn new(number: usize) -> Self {
        Self {
            number,
            bound_usd_micros: 0,
            passes: None,
        }
    }
}

/// How many candidates are called up at once: at first few, since one of them may win.
const FIRST_CALLED_UP: usize = 4;
const CALLED_UP: usize = 32;
/// Where nobody is pending the bound of one block in so many is compared with the floor: looking it up costs a miss.
const LOOKED_UP_EVERY: usize = 8;

/// How far a search has come.
struct Way {
    /// The next one.
    block: usize,
    /// Those of the one before it who have not been called up.
    left: Block,
    /// Candidates to be found at once.
    wanted: usize,
}

pub(crate) struct Search<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) leases: &'a Leases,
    pub(crate) offer: &'a Offer<'a>,
    pub(crate) plan: &'a Plan<'a>,
    pub(crate) buffers: &'a mut Buffers,
    pub(crate) out: &'a mut Vec<Decision>,
    /// Of those in `out`, of other imps and of earlier rounds of this one.
    pub(crate) decisions_before: usize,
    /// The latest condition at which anybody dropped out.
    pub(crate) furthest: NoBidReason,
    /// A campaign's turn can come twice in the request.
    pub(crate) comes_again: bool,
}

impl Search<'_> {
    /// Appends the imp's winners to `out`; returns why there is none.
    pub(crate) fn run(mut self) -> Option<NoBidReason> {
        self.buffers.pending.clear();
        // A deal that nobody wants is as good as won. Where that is all, the search goes on to find the reason.
        let index = self.snapshot.index();
        let slots = self.offer.slots.iter();
        let is_unwanted = slots.map(|slot| slot.deal.is_some() && !index.knows_deal(slot.deal_hashes));
        self.buffers.is_won.clear();
        self.buffers.is_won.extend(is_unwanted);
        if self.is_decided() {
            self.buffers.is_won.fill(false);
        }
        for (slot, is_won) in self.offer.slots.iter().zip(&mut self.buffers.is_won) {
            *is_won |= slot.filled.is_closed;
        }

        let mut way = Way {
            block: 0,
            left: EMPTY_BLOCK,
            wanted: FIRST_CALLED_UP,
        };
        let mut is_anybody_found = false;
        'search: while self.call_up(&mut way) {
            is_anybody_found = true;
            for at in 0..self.buffers.candidates.len() {
                let Candidate {
                    number,
                    bound_usd_micros,
                    passes,
                } = self.buffers.candidates[at];
                if self.is_decided_from(bound_usd_micros) {
                    break 'search;
                }
                match passes {
                    Some(pending) if self.buffers.is_won[pending.slot] => {}
                    Some(pending) => self.buffers.pending.push(pending),
                    None => self.appraise(number),
                }
            }
        }
        self.settle_all();
        if self.out.len() > self.decisions_before {
            return None;
        }
        // Whoever the index finds drops out later than all that it does not.
        if !is_anybody_found {
            self.drop_out(self.plan.reason());
        }
        Some(self.furthest)
    }

    /// Whether nobody can win any more who is worth no more than this.
    fn is_decided_from(&mut self, bound_usd_micros: i64) -> bool {
        if self.buffers.pending.is_empty() && self.furthest < NoBidReason::Floor {
            return self.is_decided();
        }
        let ask = self.offer.ask;
        let bound_cpm_micros = ask.exchange.bound_in(ask.currency, bound_usd_micros);
        self.settle_above(bound_cpm_micros);
        self.is_decided() || self.is_below_every_floor(bound_cpm_micros)
    }

    /// Nobody worth so little reaches a floor, and that somebody has failed one is known already, so that there is no
    /// later reason to be found either.
    fn is_below_every_floor(&self, bound_cpm_micros: i64) -> bool {
        self.furthest >= NoBidReason::Floor
            && self
                .offer
                .slots
                .iter()
                .zip(&self.buffers.is_won)
                .all(|(slot, is_won)| {
                    *is_won
                        || matches!(slot.floor, Floor::Flat { cpm_micros } if bound_cpm_micros < cpm_micros)
                })
    }

    /// Finds the next candidates and looks at their cards. False: there is nobody left who can win.
    fn call_up(&mut self, way: &mut Way) -> bool {
        self.buffers.candidates.clear();
        while self.buffers.candidates.len() < way.wanted {
            if let Some(number) = way.left.take_first() {
                let number = (way.block - 1) * BLOCK_NUMBERS + number;
                self.buffers.candidates.push(Candidate::new(number));
                continue;
            }
            if way.block >= self.plan.blocks() {
                break;
            }
            // Only while everybody found so far has had his turn.
            let is_time = !self.buffers.pending.is_empty() || way.block.is_multiple_of(LOOKED_UP_EVERY);
            if self.buffers.candidates.is_empty()
                && is_time
                && self.is_decided_from(self.snapshot.bound_usd_micros(way.block * BLOCK_NUMBERS))
            {
                return false;
            }
            way.left = self.plan.find(way.block);
            way.block += 1;
        }
        way.wanted = CALLED_UP;
        self.look_at_cards();
        self.fetch();
        !self.buffers.candidates.is_empty()
    }

    fn look_at_cards(&mut self) {
        let Self {
            snapshot,
            offer,
            buffers,
            ..
        } = self;
        let cards = &snapshot.cards;
        let numbers = buffers.candidates.iter().map(|candidate| candidate.number);
        // A word of each, so that the processor fetches them all at once and not one after the other.
        let words = numbers.filter_map(|number| cards.get(number));
        std::hint::black_box(words.fold(0, |all, card| all | card.may_fail));
        let open = offer.slots.first().filter(|slot| slot.deal.is_none());
        for candidate in &mut buffers.candidates {
            let Some(card) = cards.get(candidate.number) else {
                continue;
            };
            candidate.bound_usd_micros = card.bound_usd_micros;
            if open.is_some_and(|open| card_passes(card, offer, open)) {
                candidate.passes = Some(Pending {
                    value_cpm_micros: card.max_cpm_micros,
                    tie: offer.tie(card.hash),
                    campaign: candidate.number,
                    creative: 0,
                    slot: 0,
                });
            }
        }
    }

    /// Reads a word of each of the first places that the candidates' turns will read.
    fn fetch(&self) {
        let candidates = self.buffers.candidates.iter();
        let asked = candidates
            .clone()
            .filter(|candidate| candidate.passes.is_none())
            .filter_map(|candidate| self.snapshot.compiled(candidate.number));
        let heads = asked.clone().map(|campaign| campaign.may_fail);
        std::hint::black_box(heads.fold(0, |all, word| all | word));
        let creatives = asked.filter_map(|campaign| campaign.creatives.first());
        let creatives = creatives.map(|creative| creative.may_fail);
        std::hint::black_box(creatives.fold(0, |all, word| all | word));
        let cells = candidates.filter_map(|candidate| self.leases.cells.get(candidate.number));
        std::hint::black_box(cells.fold(0, |all, cell| all | cell.bids_total()));
    }

    /// Without a slot nothing can be won, and the search looks for the reason alone.
    fn is_decided(&self) -> bool {
        let is_won = &self.buffers.is_won;
        !is_won.is_empty() && is_won.iter().all(|is_won| *is_won)
    }

    fn drop_out(&mut self, reason: NoBidReason) {
        self.furthest = self.furthest.max(reason);
    }

    /// Adds the campaign to those pending, once for each slot it may win.
    fn appraise(&mut self, number: usize) {
        let Some(campaign) = self.snapshot.compiled(number) else {
            return;
        };
        let offer = self.offer;
        if !offer.size_words_say_all && !has_fitting_size(campaign, offer) {
            return self.drop_out(NoBidReason::NoFittingSize);
        }
        if let Some(reason) = campaign_fails(campaign, offer) {
            return self.drop_out(reason);
        }
        self.buffers.fitting.clear();
        for (position, creative) in campaign.creatives.iter().enumerate() {
            match creative_fails(campaign, creative, offer) {
                Some(reason) => self.drop_out(reason),
                None => self.buffers.fitting.push(position),
            }
        }
        let Some(value_cpm_micros) = value_cpm_micros(campaign, offer.ask) else {
            return;
        };
        if self.buffers.fitting.is_empty() {
            return;
        }
        let tie = offer.tie(campaign.hash);
        for slot in 0..offer.slots.len() {
            if let Some(creative) = self.creative_for(campaign, slot, tie) {
                self.buffers.pending.push(Pending {
                    value_cpm_micros,
                    tie,
                    campaign: number,
                    creative,
                    slot,
                });
            }
        }
    }

    /// The one whose turn it is among the creatives that fit the slot.
    fn creative_for(&mut self, campaign: &CompiledCampaign, slot: usize, tie: u64) -> Option<usize> {
        let wanted = self.offer.slots.get(slot).filter(|slot| slot.suits(campaign))?;
        if self.buffers.is_won[slot] {
            return None;
        }
        self.buffers.fitting_slot.clear();
        for at in 0..self.buffers.fitting.len() {
            let position = self.buffers.fitting[at];
            let creative = &campaign.creatives[position];
            match slot_fails(campaign, creative, self.offer, wanted) {
                Some(reason) => self.drop_out(reason),
                None => self.buffers.fitting_slot.push(position),
            }
        }
        rotate(&campaign.creatives, &self.buffers.fitting_slot, tie)
    }

    fn settle_above(&mut self, bound_cpm_micros: i64) {
        while let Some(first) = self.buffers.pending.peek() {
            if first.value_cpm_micros <= bound_cpm_micros {
                return;
            }
            self.settle_first();
        }
    }

    fn settle_all(&mut self) {
        while !self.buffers.pending.is_empty() && !self.is_decided() {
            self.settle_first();
        }
    }

    fn settle_first(&mut self) {
        let Some(first) = self.buffers.pending.pop() else {
            return;
        };
        if self.buffers.is_won[first.slot] {
            return;
        }
        let won = &self.out[self.decisions_before..];
        if let Some(reason) = clashes(self.snapshot, self.offer, won, &first) {
            return self.drop_out(reason);
        }
        let is_first = !self.comes_again || self.buffers.counted.mark(first.campaign);
        match decide(self.snapshot, self.leases, self.offer, &first, is_first) {
            Ok(decision) => {
                self.buffers.is_won[first.slot] = true;
                self.out.push(decision);
            }
            Err(reason) => self.drop_out(reason),
        }
    }
}

/// Takes the price from the lease and makes the bid. Counts the opportunity for `is_first` only; under
/// `test: 1` the lease is neither asked nor told.
pub(crate) fn decide(
    snapshot: &Snapshot,
    leases: &Leases,
    offer: &Offer<'_>,
    pending: &Pending,
    is_first: bool,
) -> Result<Decision, NoBidReason> {
    let slot = offer.slots.get(pending.slot).ok_or(NoBidReason::Deal)?;
    let ask = offer.ask;
    let card = snapshot
        .cards
        .get(pending.campaign)
        .ok_or(NoBidReason::NoActiveCampaign)?;
    let cell = leases.cells.get(pending.campaign).map(|cell| &**cell);
    let test = ask.request.test;
    if let Some(cell) = cell.filter(|_| !test) {
        if is_first {
            cell.count_opportunity();
        }
        // Most of those that are withheld are so whatever the price: it need not be known. The keeper knows what a bid
        // of a plain price takes at most.
        if card.has_plain_price && slot.has_plain_price && card.currency == ask.currency {
            cell.may_bid(ask.now)?;
        }
    }
    let campaign = snapshot
        .compiled(pending.campaign)
        .ok_or(NoBidReason::NoActiveCampaign)?;
    let creative = campaign
        .creatives
        .get(pending.creative)
        .ok_or(NoBidReason::CreativeFormat)?;
    let day = day(campaign, ask.now.unix_ms).ok_or(NoBidReason::OutOfFlight)?;
    let priced = price(snapshot, campaign, creative, offer, slot, cell);
    let (quote, market) = priced.ok_or(NoBidReason::Price)?;
    if !test {
        let cell = cell.ok_or(NoBidReason::NoLease)?;
        if slot.is_guaranteed(offer) {
            cell.reserve_guaranteed(quote.reservation_nanos, ask.now)?;
        } else {
            cell.reserve(quote.reservation_nanos, ask.now)?;
        }
    }
    Ok(Decision {
        imp: offer.position,
        deal: slot.deal,
        campaign: pending.campaign,
        creative: creative.position as usize,
        day,
        format: creative.format,
        width: creative.traits.width.map(i64::from),
        height: creative.traits.height.map(i64::from),
        duration_ms: creative.traits.duration_ms.map(i64::from),
        auction_type: slot.auction_type(offer),
        market,
        price_cpm_micros: quote.price_cpm_micros,
        bid_currency: ask.currency,
        terms: quote.terms,
        reserved_nanos: if test { 0 } else { quote.reservation_nanos },
        test,
    })
}

/// Why the creative may not be in the same pod as those that won the imp's other slots: a deal and the open auction do
/// not exclude each other, and the exchange may take both. A campaign does not get in its own way: its bids on one imp
/// count as one.
pub(crate) fn clashes(
    snapshot: &Snapshot,
    offer: &Offer<'_>,
    won: &[Decision],
    pending: &Pending,
) -> Option<NoBidReason> {
    let mut others = won
        .iter()
        .filter(|decision| decision.campaign != pending.campaign)
        .peekable();
    others.peek()?;
    let campaign = snapshot.compiled(pending.campaign)?;
    let creative = campaign.creatives.get(pending.creative)?;
    let imp = offer.imp;
    let own_pod = pod(imp, creative.format)?;
    others
        .filter(|decision| pod(imp, decision.format) == Some(own_pod))
        .filter_map(|decision| {
            let other = snapshot.compiled(decision.campaign)?;
            if other.advertiser == campaign.advertiser {
                return Some(NoBidReason::AdvertiserRepeated);
            }
            let shown = creative_of(other, decision)?;
            let is_shown = |top| {
                shown
                    .traits
                    .category_words
                    .iter()
                    .any(|category| category.top == top)
            };
            let is_repeated = creative
                .traits
                .category_words
                .iter()
                .any(|category| is_shown(category.top));
            is_repeated.then_some(NoBidReason::PodCategory)
        })
        .next()
}

fn creative_of<'a>(campaign: &'a CompiledCampaign, decision: &Decision) -> Option<&'a CompiledCreative> {
    let mut creatives = campaign.creatives.iter();
    creatives.find(|creative| creative.position as usize == decision.creative)
}

/// Remembers what an imp's decisions exclude from the imps after it.
pub(crate) fn remember(snapshot: &Snapshot, imp: &Imp<'_>, decisions: &[Decision], history: &mut History) {
    for decision in decisions {
        let Some(campaign) = snapshot.compiled(decision.campaign) else {
            continue;
        };
        if !history.advertisers.contains(&campaign.advertiser) {
            history.advertisers.push(campaign.advertiser);
        }
        let creative = creative_of(campaign, decision);
        if let Some((pod, creative)) = pod(imp, decision.format).zip(creative) {
            history.pod_categories.extend(
                creative
                    .traits
                    .category_words
                    .iter()
                    .map(|category| (pod, category.top)),
            );
        }
    }
}

//! Laws of [`SpendLedger`].
#![expect(clippy::unwrap_used, reason = "test code: a law that fails panics")]

mod leases;
mod rebuilding;
mod settlement;
mod together;

use super::run_laws;
use crate::SpendLedger;
use crate::spend_ledger::{Balance, BalancesOf, BidRef, Billing, Grant, LeaseRequest, Reservation};
use async_trait::async_trait;
use domain::id::{AdvertiserId, BidId, BidderId, CampaignId};
use domain::period::{Day, Limits};
pub use leases::*;
pub use rebuilding::*;
pub use settlement::*;
pub use together::*;

/// A fresh, empty ledger and its clock.
#[async_trait]
pub trait LedgerHarness: Send + Sync {
    fn ledger(&self) -> &dyn SpendLedger;

    /// The ledger's clock, Unix milliseconds.
    fn now_ms(&self) -> i64;

    /// Moves the ledger's clock forward.
    async fn advance(&self, ms: i64);

    /// The adapter's own books: panics unless each account's leased amount is the sum of its leases and its
    /// pending amount the sum of its pending wins.
    async fn audit(&self);

    /// Whether what this ledger has written outlives the machine it was written on.
    fn outlives_its_machine(&self) -> bool {
        true
    }

    /// Takes from the ledger what a failing server may take, so that its groups must be rebuilt. A ledger that can lose
    /// nothing keeps this, and runs no law of [`rebuilding`].
    async fn lose(&self, _loss: Loss) {
        unreachable!("a ledger that loses nothing runs no law of rebuilding");
    }
}

/// What a failing server takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The books are as they were, but nobody can know that.
    Trust,
    /// Everything.
    Books,
}

/// The leases of a law end this long after their renewal.
const HOLD_MS: i64 = 8_000;
/// A pending win of a law ends this long after the win (T2).
const BILLING_WINDOW_MS: i64 = 60_000;

pub async fn all<F: AsyncFn() -> Box<dyn LedgerHarness>>(fresh: F) {
    run_laws!(fresh;
        a_lease_never_exceeds_free,
        a_lease_grows_by_whole_bids,
        a_lease_draws_on_day_and_lifetime,
        days_share_the_lifetime,
        an_account_without_a_limit_does_not_bound,
        a_smaller_wish_gives_the_rest_back,
        a_lease_ends_with_its_hold_and_its_sequence_goes_on,
        a_renewed_lease_lives_on,
        a_renewal_that_was_overtaken_changes_nothing,
        the_limits_of_the_highest_version_win,
        a_cut_limit_stops_growth_and_takes_nothing_away,
        grants_tell_who_else_holds_a_lease_and_what_was_seen,
        grants_come_in_the_order_of_their_requests,
        a_win_moves_the_lease_to_pending,
        a_win_without_a_lease_is_backed_by_free,
        a_win_that_nothing_backs_is_unbacked,
        a_win_counts_once,
        a_bill_releases_what_the_win_held_beyond_the_charge,
        a_bid_is_charged_once_in_any_order,
        a_charge_is_cut_to_the_reservation,
        an_unbilled_win_returns_to_free,
        a_bill_after_the_window_comes_from_free,
        a_bill_without_a_win_comes_from_free_before_the_lease,
        a_bill_takes_from_the_lease_when_nothing_is_free,
        what_cannot_be_charged_in_full_is_over_delivery,
        an_unknown_campaign_has_nothing_free,
        a_verdict_stays_in_the_outbox_until_appended,
        a_verdict_is_safe_only_while_the_outbox_has_it,
        balances_read_by_campaign_and_in_pages,
        forgotten_days_and_bids_are_gone_and_lifetimes_stay,
        notices_at_the_same_time_settle_each_bid_once,
        notices_of_several_bidders_at_the_same_time_draw_on_their_own_leases,
        a_notice_that_fails_changes_nothing_and_takes_no_other_with_it,
    );
}

/// Laws of ledgers whose servers may forget.
pub async fn rebuilding<F: AsyncFn() -> Box<dyn LedgerHarness>>(fresh: F) {
    run_laws!(fresh;
        a_group_not_trusted_refuses_until_rebuilt,
        a_group_waits_until_old_leases_have_ended,
        a_claim_is_one_bidder_s_until_it_lapses,
        kept_books_are_completed_by_facts_and_lose_their_leases,
        a_fact_that_takes_a_sum_out_of_its_range_is_refused_and_no_other,
        lost_books_are_restored_from_checkpoint_and_facts,
        facts_applied_twice_change_nothing,
        a_half_done_rebuild_begins_again_for_another,
        the_outbox_outlives_lost_trust,
        a_restored_win_charges_no_more_than_the_limit,
        sequences_go_on_across_a_rebuild,
        a_fact_is_of_its_own_group,
    );
}

type Harness = Box<dyn LedgerHarness>;

fn limits(daily_nanos: i64, total_nanos: i64) -> Limits {
    Limits {
        daily_nanos: Some(daily_nanos),
        total_nanos: Some(total_nanos),
    }
}

/// Of every campaign of the laws, so that they are of one group.
fn advertiser() -> AdvertiserId {
    AdvertiserId::from("adv_laws")
}

fn group(harness: &dyn LedgerHarness) -> u32 {
    harness.ledger().group_of(&advertiser())
}

fn bid_ref(bid: u128) -> BidRef {
    BidRef {
        advertiser_id: advertiser(),
        bid_id: BidId(bid),
    }
}

/// The day that holds the instant the laws begin at, or the `n`th after it.
fn day(harness: &dyn LedgerHarness, n: u8) -> Day {
    const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
    let start_ms = harness.now_ms().div_euclid(DAY_MS) * DAY_MS + i64::from(n) * DAY_MS;
    Day {
        date: format!("2027-01-{:02}", 15 + n),
        start_ms,
        end_ms: start_ms + DAY_MS,
    }
}

/// Bids of 10; limits far above what a law wants unless it says otherwise.
fn request(harness: &dyn LedgerHarness, campaign: &str, wanted_nanos: i64) -> LeaseRequest {
    LeaseRequest {
        advertiser_id: advertiser(),
        campaign_id: CampaignId::from(campaign),
        generation: 1,
        revision: 1,
        day: day(harness, 0),
        limits: limits(1_000, 10_000),
        wanted_nanos,
        bid_nanos: 10,
        opportunities: 0,
        bids: 0,
        renewal: 0,
    }
}

async fn renew(harness: &dyn LedgerHarness, bidder: &str, request: LeaseRequest) -> Grant {
    let grants = harness
        .ledger()
        .renew(group(harness), &BidderId::from(bidder), HOLD_MS, &[request])
        .await
        .unwrap();
    harness.audit().await;
    grants.into_iter().next().unwrap()
}

fn reservation(harness: &dyn LedgerHarness, bid: u128, reserved_nanos: i64) -> Reservation {
    Reservation {
        bid_id: BidId(bid),
        advertiser_id: advertiser(),
        campaign_id: CampaignId::from("c"),
        day: day(harness, 0),
        bidder_id: BidderId::from("b1"),
        reserved_nanos,
        billing_window_ms: BILLING_WINDOW_MS,
    }
}

fn billing(harness: &dyn LedgerHarness, bid: u128, reserved_nanos: i64, charge_nanos: i64) -> Billing {
    Billing {
        reservation: reservation(harness, bid, reserved_nanos),
        charge_nanos,
        context: format!("{{\"bid\":{bid}}}"),
    }
}

/// (spent, pending, leased) of the campaign's lifetime, which every law's day must equal while it uses one.
async fn amounts(harness: &dyn LedgerHarness) -> (i64, i64, i64) {
    harness.audit().await;
    let accounts = balances(harness, "c").await;
    let of = |balance: &Balance| {
        let account = balance.account;
        (account.spent_nanos, account.pending_nanos, account.leased_nanos)
    };
    assert_eq!(accounts.len(), 2, "a lifetime and a day");
    assert_eq!(of(&accounts[0]), of(&accounts[1]), "lifetime and day");
    of(&accounts[0])
}

/// Lifetime first, then days.
async fn balances(harness: &dyn LedgerHarness, campaign: &str) -> Vec<Balance> {
    harness
        .ledger()
        .balances(BalancesOf::Campaigns(&[(
            advertiser(),
            CampaignId::from(campaign),
        )]))
        .await
        .unwrap()
}

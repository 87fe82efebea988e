//! One storm at a time over a platform that trades: what is measured during it, and what must hold after it.

use crate::editor::Editor;
use adplatform_tests::deployment::Deployment;
use adplatform_tests::eventually;
use adplatform_tests::fixtures::{Campaign, USD};
use adplatform_tests::service::Service;
use adplatform_tests::trader::{CLEARED_NANOS, Trader};
use reqwest::StatusCode;
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A bid's whole budget, by the client's clock.
const BUDGET: Duration = Duration::from_millis(100);
/// On a machine that is busy with all the servers besides, and under a build for debugging, a probe of a server that does
/// nothing takes its time too: what it took then is not the bid's, up to this.
const LONGEST_EXCUSE: Duration = Duration::from_millis(100);
/// Micros a day: fifty impressions at what they clear at.
const SMALL_BUDGET_MICROS: i64 = 50_000;
/// To one user an hour, half of what a user is offered.
const CAP: u32 = 8;

pub(crate) struct Weather {
    pub(crate) deployment: Deployment,
    trader: Trader,
    editor: Editor,
    small: Campaign,
    capped: Campaign,
}

impl Weather {
    /// A campaign with money for everything, one that is soon spent, one that known users alone are shown, and not too often,
    /// and an advertiser who never rests.
    pub(crate) async fn fair() -> Option<Self> {
        let deployment = Deployment::start().await?;
        let platform = &deployment.platform;
        let plenty = platform.live_campaign(2 * USD, 1_000 * USD).await;
        let small = platform.live_campaign(3 * USD, SMALL_BUDGET_MICROS).await;
        let caps = json!({"frequency_caps": [{"impressions": CAP, "window": "hour"}]});
        let capped = platform.live_campaign_with(5 * USD / 2, 1_000 * USD, caps).await;
        let editor = Editor::start(platform, &plenty.advertiser_id);
        let trader = Trader::start(deployment.bidder_urls(), 4, Duration::from_millis(40));
        let mut weather = Self {
            deployment,
            trader,
            editor,
            small,
            capped,
        };
        weather.bids_again("trading has begun").await;
        weather.known_users_are_bid_for("trading has begun").await;
        Some(weather)
    }

    /// What was measured since the last call: bids inside their budget, unless a bidder itself was away.
    pub(crate) fn passed(&self, storm: &str) {
        let (answers, p99, probe_p99) = self.trader.seen.take_p99();
        let errors = self.trader.seen.errors.swap(0, Ordering::Relaxed);
        let bids = self.trader.seen.bids.load(Ordering::Relaxed);
        println!(
            "{storm}: {answers} answers, p99 {p99:?} (probes {probe_p99:?}), {errors} errors, {bids} bids so far"
        );
        assert!(answers > 0, "{storm}: nothing was answered");
        assert!(
            p99 <= BUDGET + probe_p99.min(LONGEST_EXCUSE),
            "{storm}: p99 of {answers} answers is {p99:?}, of probes {probe_p99:?}"
        );
    }

    /// As [`Weather::passed`], and no offer went without an answer.
    pub(crate) fn passed_with_every_bidder_up(&mut self, storm: &str) {
        let errors = self.trader.seen.errors.load(Ordering::Relaxed);
        let last_error = self.trader.seen.last_error();
        assert!(
            errors == 0,
            "{storm}: {errors} offers without an answer, the last: {last_error}\n{}",
            self.bidders_said()
        );
        self.passed(storm);
    }

    fn bidders_said(&mut self) -> String {
        let words = self.deployment.bidders.iter_mut().map(Service::last_words);
        words.collect::<Vec<_>>().join("\n\n")
    }

    /// Waits for a hundred more bids.
    pub(crate) async fn bids_again(&mut self, after: &str) {
        let seen = self.trader.seen.clone();
        let bids = || seen.bids.load(Ordering::Relaxed);
        let begun = bids();
        let patience = Duration::from_secs(60);
        let more = tokio::time::timeout(patience, async {
            while bids() < begun + 100 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        let came = more.await.is_ok();
        assert!(
            came,
            "no bids after {patience:?}: {after}: {}",
            self.bidders_said()
        );
    }

    /// Waits until the campaign with a cap bids again.
    pub(crate) async fn known_users_are_bid_for(&mut self, after: &str) {
        let begun = self.capped_bids();
        eventually(&format!("the campaign with a cap bids: {after}"), || async {
            (self.capped_bids() > begun + 10).then_some(())
        })
        .await;
    }

    /// Of a user of whom nobody can say what was shown before, the campaign with a cap is left out, and no other.
    pub(crate) async fn caps_withhold_bids(&mut self, after: &str) {
        // What was read before is answered by then.
        self.bids_again(after).await;
        let begun = self.capped_bids();
        self.bids_again(after).await;
        assert_eq!(
            self.capped_bids(),
            begun,
            "{after}: bids of the campaign with a cap"
        );
    }

    fn capped_bids(&self) -> u64 {
        self.trader.seen.bids_of(&self.capped.id)
    }

    /// Waits until more billings are acknowledged than were under way, whatever is away.
    pub(crate) async fn is_paid_again(&self, after: &str) {
        let begun = self.trader.seen.billed();
        eventually(&format!("billings are acknowledged: {after}"), || async {
            (self.trader.seen.billed() > begun + 20).then_some(())
        })
        .await;
    }

    /// What it acknowledged is in its spool alone.
    pub(crate) async fn kill_a_bidder_with_a_spool(&mut self) {
        let client = self.deployment.platform.client.clone();
        let bidders = &mut self.deployment.bidders;
        let number = eventually("a bidder keeps notices in its spool", || async {
            for (number, bidder) in bidders.iter().enumerate() {
                if bidder.metric(&client, "spool_records").await? > 0.0 {
                    return Some(number);
                }
            }
            None
        })
        .await;
        bidders[number].kill_9();
        bidders[number].start();
    }

    /// Waits until a change is acknowledged again.
    pub(crate) async fn takes_changes_again(&self, after: &str) {
        let acknowledged = || self.editor.changes.acknowledged.lock().unwrap().len();
        let begun = acknowledged();
        eventually(&format!("changes are taken: {after}"), || async {
            (acknowledged() > begun + 3).then_some(())
        })
        .await;
    }

    /// Waits until a change is answered with 503 and a time to come back.
    pub(crate) async fn puts_changes_off(&self, since: &str) {
        let put_off = || self.editor.changes.put_off.load(Ordering::Relaxed);
        let begun = put_off();
        eventually(&format!("changes are put off: {since}"), || async {
            (put_off() > begun).then_some(())
        })
        .await;
    }

    /// The end: every change is there, every win and billing counted once, no budget exceeded, all books agree.
    pub(crate) async fn settle(self) {
        let Self {
            deployment,
            trader,
            editor,
            small,
            capped,
        } = self;
        let seen = trader.finish().await;
        let changes = editor.finish().await;
        assert_eq!(*changes.unexpected.lock().unwrap(), Vec::<String>::new());
        let platform = &deployment.platform;
        let acknowledged = std::mem::take(&mut *changes.acknowledged.lock().unwrap());
        println!(
            "{} changes, {} billings acknowledged",
            acknowledged.len(),
            seen.billed()
        );
        for id in &acknowledged {
            let url = format!("{}/campaigns/{id}", platform.campaigns);
            let read = platform.client.get(url).bearer_auth(&platform.key).send();
            assert_eq!(
                read.await.unwrap().status(),
                StatusCode::OK,
                "campaign {id} is lost"
            );
        }
        let metrics = format!("{}/metrics", deployment.campaigns.metrics_url());
        eventually("every change has left the outbox", || async {
            let text = platform
                .client
                .get(&metrics)
                .send()
                .await
                .ok()?
                .text()
                .await
                .ok()?;
            text.lines().any(|line| line == "outbox_pending 0").then_some(())
        })
        .await;
        assert_eq!(seen.unacknowledged.load(Ordering::Relaxed), 0);
        for bidder in &deployment.bidders {
            eventually("the spools are empty", || async {
                let records = bidder.metric(&platform.client, "spool_records").await?;
                (records == 0.0).then_some(())
            })
            .await;
        }
        let owed = seen.billed() * CLEARED_NANOS;
        let totals = eventually("the report has every billing", || async {
            let totals = platform
                .report_totals("wins,spend_nanos,over_delivery_nanos")
                .await;
            let counted = totals["spend_nanos"].as_i64()? + totals["over_delivery_nanos"].as_i64()?;
            assert!(counted <= owed, "{counted} nanos of {owed} owed: counted twice");
            (counted == owed && totals["wins"].as_i64()? >= seen.won()).then_some(totals)
        })
        .await;
        println!("{totals}");
        assert_eq!(totals["wins"], seen.won(), "wins acknowledged, and in the report");
        assert_eq!(totals["over_delivery_nanos"], 0);
        let (agrees, said) = deployment.adplatform(&["reconcile"]);
        assert!(agrees, "{said}");
        let spent = format!("/analytics/campaigns/{}/delivery", small.id);
        println!("{}", platform.get(&spent).await);
        assert!(seen.billed_of(&small.id) > 0, "{} never bid", small.id);
        assert!(
            seen.billed_of(&small.id) * CLEARED_NANOS <= SMALL_BUDGET_MICROS * 1_000,
            "{} billings of {}",
            seen.billed_of(&small.id),
            small.id
        );
        let shown = seen.shown_of(&capped.id);
        let all: u32 = shown.iter().sum();
        let beyond: u32 = shown.iter().map(|times| times.saturating_sub(CAP)).sum();
        println!(
            "{} users were shown {all}, {beyond} beyond their cap",
            shown.len()
        );
        // Of what is shown at once nobody knows of the others, nor of what was counted in the moment before a loss.
        assert!(beyond * 10 < all, "{beyond} of {all} beyond the cap: {shown:?}");
    }
}

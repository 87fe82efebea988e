//! Learns what first-price bids are worth, off the bid path: bids are counted by an atomic addition, notices come by a
//! bounded queue, and once a second a new table of prices replaces the one that the engine looks into.
//!
//! Every replica learns from the notices of its own bids that reach it. Which replica a notice reaches does not depend on
//! the price that was bid, so each sees its chance to win at every price scaled by the same share, and the price of the
//! highest surplus is the same. It learns the slower the more replicas there are: of N, each makes an Nth of the bids and
//! sees an Nth of their notices. Nothing is kept over a restart: every market begins at nine tenths of the value.

mod curve;
mod learner;
mod market;

pub(crate) use learner::{Learner, Notice};
pub(crate) use market::Fate;

use crate::token::BidToken;
use bidding_engine::{LearnedPrices, Market, PriceTable};
use domain::id::BidderId;
use platform::Shutdown;
use prometheus::IntCounter;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

/// Notices of two seconds at 30,000 a second. What finds it full is dropped: a lesson lost, no money.
const QUEUE: usize = 65_536;
const EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
enum News {
    Met(Market),
    Noticed(Notice),
}

/// What bids and notices tell the learner by.
#[derive(Clone, Debug)]
pub(crate) struct Shading {
    prices: LearnedPrices,
    bidder_id: BidderId,
    queue: mpsc::Sender<News>,
    dropped: IntCounter,
}

impl Shading {
    /// Starts the learner. `dropped` counts the notices it had no room for.
    pub(crate) fn start(bidder_id: BidderId, dropped: IntCounter, shutdown: &Shutdown) -> Self {
        let (queue, news) = mpsc::channel(QUEUE);
        let prices = LearnedPrices::default();
        let stop = shutdown.background().clone();
        let learning = learn(news, prices.clone());
        shutdown.spawn("price learner", async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = learning => {}
            }
        });
        Self {
            prices,
            bidder_id,
            queue,
            dropped,
        }
    }

    /// What the engine looks into.
    pub(crate) fn prices(&self) -> LearnedPrices {
        self.prices.clone()
    }

    /// The bid is on its way. On the bid path: it waits for nothing.
    pub(crate) fn bid_made(&self, market: Market, price_cpm_micros: i64) {
        match self.prices.table().market(market) {
            Some(prices) => prices.bids.count(price_cpm_micros),
            // Until the next table is out, that is for a second.
            None => drop(self.queue.try_send(News::Met(market))),
        }
    }

    /// A genuine notice. `minimum_cpm_micros`: the least that would have won, where the exchange says so.
    pub(crate) fn noticed(&self, token: &BidToken, fate: Fate, minimum_cpm_micros: Option<i64>) {
        let Some(market) = token.market.filter(|_| !token.test) else {
            return;
        };
        let notice = Notice {
            bid_id: token.bid_id,
            market,
            price_cpm_micros: token.price_cpm_micros,
            fate,
            minimum_cpm_micros,
            is_own: token.bidder_id == self.bidder_id,
        };
        if self.queue.try_send(News::Noticed(notice)).is_err() {
            self.dropped.inc();
        }
    }
}

async fn learn(mut news: mpsc::Receiver<News>, prices: LearnedPrices) {
    let mut learner = Learner::default();
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stepped_at = Instant::now();
    loop {
        tokio::select! {
            told = news.recv() => match told {
                Some(News::Met(market)) => learner.meet(market),
                Some(News::Noticed(notice)) => learner.notice(&notice),
                None => return,
            },
            _ = ticks.tick() => {
                let elapsed_s = stepped_at.elapsed().as_secs_f64();
                stepped_at = Instant::now();
                // Some tens of microseconds for each market: not on a thread that bids wait for.
                let step = tokio::task::spawn_blocking(move || {
                    let table = learner.step(elapsed_s);
                    (learner, table)
                });
                let (next, table) = step.await.unwrap_or_else(|error| {
                    tracing::error!(%error, "learned prices are lost, beginning anew");
                    (Learner::default(), PriceTable::default())
                });
                learner = next;
                prices.publish(table);
            }
        }
    }
}

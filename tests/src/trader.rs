//! An exchange that trades with a bidder under load: offers at a steady pace, and sends every win and billing notice
//! again until it is acknowledged, as exchanges do.

use crate::fixtures::{banner_request, notice};
use reqwest::{Client, StatusCode};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Longer than any fault of a test: what is not acknowledged by then never will be.
const NOTICE_PATIENCE: Duration = Duration::from_secs(180);
const NOTICE_PAUSE: Duration = Duration::from_millis(250);
/// What every bid clears at, CPM of one dollar: 1,000,000 nanos an impression.
const CLEARED: &str = "1";
pub const CLEARED_NANOS: i64 = 1_000_000;

/// What one exchange saw.
#[derive(Default)]
pub struct Seen {
    pub answers: AtomicU64,
    pub bids: AtomicU64,
    /// Offers without an answer, or with one that is neither 200 nor 204.
    pub errors: AtomicU64,
    last_error: Mutex<String>,
    latencies: Mutex<Vec<Duration>>,
    /// Of a probe after each offer, which does nothing: what this machine and the network cost just then.
    probes: Mutex<Vec<Duration>>,
    /// Acknowledged billings by campaign.
    billed: Mutex<BTreeMap<String, i64>>,
    /// Billings that were sent and never acknowledged.
    pub unacknowledged: AtomicU64,
    notices_in_flight: AtomicU64,
}

impl Seen {
    fn failed(&self, why: String) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        *self.last_error.lock().unwrap() = why;
    }

    pub fn last_error(&self) -> String {
        self.last_error.lock().unwrap().clone()
    }

    /// Acknowledged billings of all campaigns.
    pub fn billed(&self) -> i64 {
        self.billed.lock().unwrap().values().sum()
    }

    pub fn billed_of(&self, campaign_id: &str) -> i64 {
        self.billed.lock().unwrap().get(campaign_id).copied().unwrap_or(0)
    }

    /// Of the answers since the last call: how many, the time that 99 % of them took at most, and the same of the probes.
    pub fn take_p99(&self) -> (usize, Duration, Duration) {
        let (answers, p99) = take_p99(&self.latencies);
        (answers, p99, take_p99(&self.probes).1)
    }
}

fn take_p99(latencies: &Mutex<Vec<Duration>>) -> (usize, Duration) {
    let mut latencies = std::mem::take(&mut *latencies.lock().unwrap());
    latencies.sort_unstable();
    let p99 = latencies.get(latencies.len() * 99 / 100).copied();
    (latencies.len(), p99.unwrap_or_default())
}

/// A trading exchange; ends when told to.
pub struct Trader {
    pub seen: Arc<Seen>,
    stop: Arc<AtomicBool>,
    workers: JoinSet<()>,
}

impl Trader {
    /// Offers to the bidders in turn, `workers` at a time, each every `every`.
    pub fn start(bidders: Vec<String>, workers: usize, every: Duration) -> Self {
        let seen = Arc::new(Seen::default());
        let stop = Arc::new(AtomicBool::new(false));
        let mut set = JoinSet::new();
        for number in 0..workers {
            let worker = Worker {
                client: Client::builder().timeout(Duration::from_secs(5)).build().unwrap(),
                bidders: bidders.clone(),
                seen: seen.clone(),
            };
            set.spawn(worker.run(number, every, stop.clone()));
        }
        Self {
            seen,
            stop,
            workers: set,
        }
    }

    /// Ends the offers and waits until every notice is acknowledged or given up.
    pub async fn finish(mut self) -> Arc<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.workers.join_next().await {
            ended.unwrap();
        }
        while self.seen.notices_in_flight.load(Ordering::Acquire) > 0 {
            tokio::time::sleep(NOTICE_PAUSE).await;
        }
        self.seen.clone()
    }
}

#[derive(Clone)]
struct Worker {
    client: Client,
    bidders: Vec<String>,
    seen: Arc<Seen>,
}

impl Worker {
    async fn run(self, number: usize, every: Duration, stop: Arc<AtomicBool>) {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut offers = number;
        while !stop.load(Ordering::Relaxed) {
            ticks.tick().await;
            offers += 1;
            self.offer(offers).await;
            self.probe(offers).await;
        }
    }

    async fn offer(&self, offers: usize) {
        let bidder = &self.bidders[offers % self.bidders.len()];
        let offer = self
            .client
            .post(format!("{bidder}/openrtb2/bid"))
            .body(banner_request(&format!("r{offers}")).to_string());
        let began = Instant::now();
        let answer = match offer.send().await {
            Ok(answer) => answer,
            Err(error) => return self.seen.failed(error.to_string()),
        };
        self.seen.latencies.lock().unwrap().push(began.elapsed());
        self.seen.answers.fetch_add(1, Ordering::Relaxed);
        match answer.status() {
            StatusCode::OK => {
                if let Ok(response) = answer.json::<Value>().await {
                    self.win(&response, offers);
                }
            }
            StatusCode::NO_CONTENT => {}
            status => self
                .seen
                .failed(format!("a bid request is answered with {status}")),
        }
    }

    async fn probe(&self, offers: usize) {
        let bidder = &self.bidders[offers % self.bidders.len()];
        let began = Instant::now();
        if self.client.get(format!("{bidder}/health")).send().await.is_ok() {
            self.seen.probes.lock().unwrap().push(began.elapsed());
        }
    }

    /// Every bid wins. Its notices go to any bidder.
    fn win(&self, response: &Value, offers: usize) {
        let bids = response["seatbid"].as_array().into_iter().flatten();
        for bid in bids.flat_map(|seat| seat["bid"].as_array().into_iter().flatten()) {
            self.seen.bids.fetch_add(1, Ordering::Relaxed);
            self.seen.notices_in_flight.fetch_add(1, Ordering::Release);
            let (worker, bid) = (self.clone(), bid.clone());
            tokio::spawn(async move {
                worker.notify(&bid, offers).await;
                worker.seen.notices_in_flight.fetch_sub(1, Ordering::Release);
            });
        }
    }

    async fn notify(&self, bid: &Value, offers: usize) {
        let campaign_id = bid["cid"].as_str().unwrap();
        self.until_acknowledged(&notice(bid, "nurl", CLEARED), offers + 1)
            .await;
        if self
            .until_acknowledged(&notice(bid, "burl", CLEARED), offers + 2)
            .await
        {
            let mut billed = self.seen.billed.lock().unwrap();
            *billed.entry(campaign_id.to_owned()).or_default() += 1;
        } else {
            self.seen.unacknowledged.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn until_acknowledged(&self, url: &str, attempt: usize) -> bool {
        let path = url.split_once("/notice/").unwrap().1;
        let give_up = Instant::now() + NOTICE_PATIENCE;
        for attempt in attempt.. {
            let bidder = &self.bidders[attempt % self.bidders.len()];
            let answer = self.client.get(format!("{bidder}/notice/{path}")).send().await;
            if answer.is_ok_and(|answer| answer.status() == StatusCode::OK) {
                return true;
            }
            if Instant::now() > give_up {
                return false;
            }
            tokio::time::sleep(NOTICE_PAUSE).await;
        }
        false
    }
}

//! An exchange that trades with a bidder under load: offers at a steady pace, and sends every win and billing notice
//! again until it is acknowledged, as exchanges do. Some of its users are known; their browsers call the creative's pixel.

use crate::fixtures::{banner_request, notice};
use crate::markup;
use crate::program::command;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Longer than any fault of a test: what is not acknowledged by then never will be.
const NOTICE_PATIENCE: Duration = Duration::from_secs(180);
const NOTICE_PAUSE: Duration = Duration::from_millis(250);
/// What every bid clears at, CPM of one dollar: 1,000,000 nanos an impression.
const CLEARED: &str = "1";
pub const CLEARED_NANOS: i64 = 1_000_000;
/// Of fewer than a thousand answers, so many may be slow: one in a hundred of some hundreds would be chance.
const FEW: usize = 10;
/// So many users take turns with each other, and then come others.
const USERS: usize = 50;
/// Of each user, by each worker.
const TURNS: usize = 4;

/// What one exchange saw.
#[derive(Default)]
pub struct Seen {
    pub answers: AtomicU64,
    pub bids: AtomicU64,
    /// By campaign.
    bids_of: Mutex<BTreeMap<String, u64>>,
    /// Offers without an answer, or with one that is neither 200 nor 204.
    pub errors: AtomicU64,
    last_error: Mutex<String>,
    latencies: Mutex<Vec<Duration>>,
    /// Of a probe after each offer, of a server that does nothing: what this machine cost just then.
    probes: Mutex<Vec<Duration>>,
    won: AtomicI64,
    /// Acknowledged billings by campaign.
    billed: Mutex<BTreeMap<String, i64>>,
    /// Acknowledged impressions by campaign and known user.
    shown: Mutex<BTreeMap<(String, String), u32>>,
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

    /// Acknowledged wins.
    pub fn won(&self) -> i64 {
        self.won.load(Ordering::Relaxed)
    }

    /// Acknowledged billings of all campaigns.
    pub fn billed(&self) -> i64 {
        self.billed.lock().unwrap().values().sum()
    }

    pub fn billed_of(&self, campaign_id: &str) -> i64 {
        self.billed.lock().unwrap().get(campaign_id).copied().unwrap_or(0)
    }

    pub fn bids_of(&self, campaign_id: &str) -> u64 {
        self.bids_of
            .lock()
            .unwrap()
            .get(campaign_id)
            .copied()
            .unwrap_or(0)
    }

    /// What each known user was shown of the campaign.
    pub fn shown_of(&self, campaign_id: &str) -> Vec<u32> {
        let shown = self.shown.lock().unwrap();
        let of_it = shown.iter().filter(|((campaign, _), _)| campaign == campaign_id);
        of_it.map(|(_, impressions)| *impressions).collect()
    }

    /// Of the answers since the last call: how many, the time that 99 % of them (or all but ten) took at most, and the same of
    /// the probes.
    pub fn take_p99(&self) -> (usize, Duration, Duration) {
        let (answers, p99) = take_p99(&self.latencies);
        (answers, p99, take_p99(&self.probes).1)
    }
}

fn take_p99(latencies: &Mutex<Vec<Duration>>) -> (usize, Duration) {
    let mut latencies = std::mem::take(&mut *latencies.lock().unwrap());
    latencies.sort_unstable();
    let slowest = (latencies.len() / 100).max(FEW);
    assert!(
        latencies.len() > 10 * FEW,
        "only {} were measured",
        latencies.len()
    );
    let p99 = latencies.iter().rev().nth(slowest).copied();
    (latencies.len(), p99.unwrap_or_default())
}

/// A trading exchange; ends when told to.
pub struct Trader {
    pub seen: Arc<Seen>,
    stop: Arc<AtomicBool>,
    workers: JoinSet<()>,
    probed: IdleServer,
}

impl Trader {
    /// Offers to the bidders in turn, `workers` at a time, each every `every`.
    pub fn start(bidders: Vec<String>, workers: usize, every: Duration) -> Self {
        let probed = IdleServer::start();
        let seen = Arc::new(Seen::default());
        let stop = Arc::new(AtomicBool::new(false));
        let mut set = JoinSet::new();
        for number in 0..workers {
            let worker = Worker {
                client: Client::builder().timeout(Duration::from_secs(5)).build().unwrap(),
                bidders: bidders.clone(),
                probe_url: probed.url.clone(),
                seen: seen.clone(),
            };
            set.spawn(worker.run(number, every, stop.clone()));
        }
        Self {
            seen,
            stop,
            workers: set,
            probed,
        }
    }

    /// Ends the offers and waits until every notice is acknowledged or given up.
    pub async fn finish(mut self) -> Arc<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.workers.join_next().await {
            ended.unwrap();
        }
        drop(self.probed);
        while self.seen.notices_in_flight.load(Ordering::Acquire) > 0 {
            tokio::time::sleep(NOTICE_PAUSE).await;
        }
        self.seen.clone()
    }
}

/// Not a bidder: what a bidder lacks is its own fault.
struct IdleServer {
    process: Child,
    url: String,
}

impl IdleServer {
    fn start() -> Self {
        let mut process = command("idle-server")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        let mut said = BufReader::new(process.stdout.take().unwrap());
        said.read_line(&mut url).unwrap();
        let url = url.trim_end().to_owned();
        Self { process, url }
    }
}

impl Drop for IdleServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Of every second offer.
fn user_of(offers: usize) -> Option<String> {
    let turn = offers / 2;
    let user = turn / (USERS * TURNS) * USERS + turn % USERS;
    offers.is_multiple_of(2).then(|| format!("u{user}"))
}

#[derive(Clone)]
struct Worker {
    client: Client,
    bidders: Vec<String>,
    probe_url: String,
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
            self.probe().await;
        }
    }

    async fn offer(&self, offers: usize) {
        // Not the offer's own number: else each bidder would have all of the known users or none.
        let bidder = &self.bidders[offers / 2 % self.bidders.len()];
        let mut request = banner_request(&format!("r{offers}"));
        if let Some(user) = user_of(offers) {
            request["user"]["buyeruid"] = user.into();
        }
        let offer = self
            .client
            .post(format!("{bidder}/openrtb2/bid"))
            .body(request.to_string());
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

    async fn probe(&self) {
        let began = Instant::now();
        if self.client.get(&self.probe_url).send().await.is_ok() {
            self.seen.probes.lock().unwrap().push(began.elapsed());
        }
    }

    /// Every bid wins. Its notices go to any bidder.
    fn win(&self, response: &Value, offers: usize) {
        let bids = response["seatbid"].as_array().into_iter().flatten();
        for bid in bids.flat_map(|seat| seat["bid"].as_array().into_iter().flatten()) {
            self.seen.bids.fetch_add(1, Ordering::Relaxed);
            let campaign_id = bid["cid"].as_str().unwrap().to_owned();
            *self.seen.bids_of.lock().unwrap().entry(campaign_id).or_default() += 1;
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
        if self
            .until_acknowledged(&notice(bid, "nurl", CLEARED), offers + 1)
            .await
        {
            self.seen.won.fetch_add(1, Ordering::Relaxed);
        }
        if self
            .until_acknowledged(&notice(bid, "burl", CLEARED), offers + 2)
            .await
        {
            let mut billed = self.seen.billed.lock().unwrap();
            *billed.entry(campaign_id.to_owned()).or_default() += 1;
        } else {
            self.seen.unacknowledged.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(user) = user_of(offers) {
            self.show(bid, user, offers).await;
        }
    }

    async fn show(&self, bid: &Value, user: String, offers: usize) {
        let pixel = markup::url(bid["adm"].as_str().unwrap(), "/event/impression");
        if self.until_acknowledged(&pixel, offers + 1).await {
            let campaign_id = bid["cid"].as_str().unwrap().to_owned();
            let mut shown = self.seen.shown.lock().unwrap();
            *shown.entry((campaign_id, user)).or_default() += 1;
        }
    }

    async fn until_acknowledged(&self, url: &str, attempt: usize) -> bool {
        let path = url.splitn(4, '/').nth(3).unwrap();
        let give_up = Instant::now() + NOTICE_PATIENCE;
        for attempt in attempt.. {
            let bidder = &self.bidders[attempt % self.bidders.len()];
            let answer = self.client.get(format!("{bidder}/{path}")).send().await;
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

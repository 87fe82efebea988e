//! The exchange of the demo: sends requests at a constant rate over HTTP, holds the auctions, sends the notices.

use super::auction::{Terms, decide};
use super::notices::{Notifier, Received};
use super::tally::Tally;
use crate::load::connection::{Connection, Target};
use crate::load::schedule::{self, Due};
use crate::traffic::Traffic;
use bumpalo::Bump;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Keep-alive connections to the bidder.
const CONNECTIONS: usize = 32;
/// Notices that no one answers are given up after this long, and counted.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct Exchange {
    pub bid_url: String,
    pub rate_per_second: f64,
    pub duration: Duration,
    pub seed: u64,
}

impl Exchange {
    /// Trades until the duration is over or `stop` is cancelled, and until the last notice has been answered.
    pub(super) async fn trade(self, tally: Arc<Tally>, stop: CancellationToken) -> anyhow::Result<()> {
        let target = Target::parse(&self.bid_url)?;
        let due = Arc::new(Mutex::new(schedule::start(self.rate_per_second, self.duration)));
        let notifier = Notifier {
            client: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .timeout(NOTICE_TIMEOUT)
                .build()?,
            tally,
            tasks: TaskTracker::new(),
        };
        let traffic = Arc::new(Mutex::new(Traffic::new(self.seed)));
        let workers: Vec<_> = (0..CONNECTIONS)
            .map(|number| {
                let worker = Worker {
                    connection: Connection::new(target.clone()),
                    notifier: notifier.clone(),
                    random: fastrand::Rng::with_seed(self.seed.wrapping_add(number as u64 + 1)),
                    arena: Bump::new(),
                };
                tokio::spawn(worker.run(due.clone(), traffic.clone(), stop.clone()))
            })
            .collect();
        for worker in workers {
            worker.await?;
        }
        notifier.tasks.close();
        notifier.tasks.wait().await;
        Ok(())
    }
}

struct Worker {
    connection: Connection,
    notifier: Notifier,
    random: fastrand::Rng,
    arena: Bump,
}

impl Worker {
    async fn run(
        mut self,
        due: Arc<Mutex<tokio::sync::mpsc::UnboundedReceiver<Due>>>,
        traffic: Arc<Mutex<Traffic>>,
        stop: CancellationToken,
    ) {
        loop {
            let next = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                next = async { due.lock().await.recv().await } => next,
            };
            let Some(due) = next else { return };
            let body = Bytes::from(traffic.lock().await.next_request());
            self.offer(due, body).await;
        }
    }

    async fn offer(&mut self, due: Due, body: Bytes) {
        let tally = self.notifier.tally.clone();
        let terms = match Terms::of(&body) {
            Ok(terms) => terms,
            Err(error) => return tally.error(format!("our own request is bad: {error}")),
        };
        match self.connection.post(body).await {
            Ok((status, answer)) => {
                tally.answered(status, due.at.elapsed(), terms.tmax_ms);
                match status {
                    200 => self.hold_auction(&terms, &answer),
                    204 if answer.is_empty() => {
                        tally.no_bids.fetch_add(1, Ordering::Relaxed);
                    }
                    _ => tally.error(format!("bid request answered with {status}")),
                }
            }
            Err(error) => tally.error(format!("bid request not answered: {error}")),
        }
    }

    fn hold_auction(&mut self, terms: &Terms, answer: &[u8]) {
        self.arena.reset();
        let tally = &self.notifier.tally;
        let response = match openrtb::read_response(answer, &self.arena) {
            Ok(response) if response.id == terms.request_id => response,
            Ok(_) => return tally.error("the answer's id is not the request's".to_owned()),
            Err(error) => return tally.error(format!("the answer is malformed: {error}")),
        };
        for bid in response.seatbid.iter().flat_map(|seat| seat.bid) {
            tally.bids.fetch_add(1, Ordering::Relaxed);
            let outcome = decide(terms, bid.impid, bid.price_micros, &mut self.random);
            if matches!(outcome, super::auction::Outcome::Won { .. }) {
                tally.wins.fetch_add(1, Ordering::Relaxed);
            }
            let received = Received {
                bid_id: bid.id.to_owned(),
                imp_id: bid.impid.to_owned(),
                nurl: bid.nurl.concat(),
                burl: bid.burl.concat(),
                lurl: bid.lurl.concat(),
                adm: bid.adm.concat(),
            };
            self.notifier
                .follow_up(terms, received, &outcome, &mut self.random);
        }
    }
}

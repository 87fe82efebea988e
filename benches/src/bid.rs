//! `bid`: server CPU time per bid request, against a bare endpoint that answers with as many bytes.
//!
//! Active campaigns of a realistic spread, about 300 of which fit the load's request; the best 30 of those are withheld by
//! pacing or by the request's block list. Nine requests of ten can be bid on, the floor of the tenth is beyond everybody.

use crate::figure::Figure;
use crate::server::Server;
use crate::spread::{Spread, Withheld};
use crate::{Conditions, campaigns, load, load_request, turns};
use anyhow::Context;
use domain::serving::ServingCampaign;
use jiff::Timestamp;
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Different requests, sent in turn.
const REQUESTS: usize = 10_000;
const ELIGIBLE: usize = 300;
const WITHHELD: usize = 30;

pub(crate) fn run(conditions: Conditions) -> anyhow::Result<Vec<Figure>> {
    let prepared = prepare(conditions)?;
    let bidder = Server::bidding(prepared.data_dir())?;
    load::warm_up(&bidder, conditions, prepared.requests())?;
    let answer_bytes = bidder.answer_bytes(&load_request::biddable(0))?;
    let bare = Server::bare(answer_bytes)?;
    eprintln!(
        "bid: {} campaigns, bids of {answer_bytes} bytes",
        conditions.campaigns
    );
    let servers = (&bidder, &bare);
    let figure = turns::cpu_us_per_request("bid", servers, conditions, prepared.requests())?;
    Ok(vec![figure])
}

/// A store of campaigns and a file of requests.
pub(crate) struct Prepared {
    data: TempDir,
    requests: PathBuf,
}

impl Prepared {
    pub(crate) fn data_dir(&self) -> &Path {
        self.data.path()
    }

    pub(crate) fn requests(&self) -> &Path {
        &self.requests
    }
}

/// Makes the campaigns by their number.
pub(crate) fn spread(
    conditions: Conditions,
) -> anyhow::Result<impl Fn(usize) -> anyhow::Result<ServingCampaign>> {
    let spread = Spread {
        campaigns: conditions.campaigns,
        eligible: ELIGIBLE.min(conditions.campaigns),
        withheld: WITHHELD,
        reasons: &[Withheld::Paced, Withheld::Blocked],
    };
    let template = Spread::template(Timestamp::now())?;
    Ok(move |number| Ok(spread.campaign(number, &template)))
}

pub(crate) fn prepare(conditions: Conditions) -> anyhow::Result<Prepared> {
    let data = tempfile::tempdir()?;
    campaigns::store_of(data.path(), conditions.campaigns, spread(conditions)?)?;
    let requests = data.path().join("requests.jsonl");
    write_requests(&requests)?;
    Ok(Prepared { data, requests })
}

/// A file of the load's requests, one a line.
pub(crate) fn write_requests(path: &Path) -> anyhow::Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    for number in 0..REQUESTS {
        let request = match number % 10 {
            9 => load_request::beyond_everybody(number),
            _ => load_request::biddable(number),
        };
        file.write_all(&request)?;
        file.write_all(b"\n")?;
    }
    file.flush().context("cannot write the requests")
}

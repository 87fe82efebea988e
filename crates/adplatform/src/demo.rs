//! `adplatform demo`: the whole platform in one process on a fresh store, trading with an exchange over HTTP before one's eyes.

mod api;
mod auction;
mod catalogue;
mod exchange;
mod notices;
mod table;
mod tally;
mod verdict;

use crate::house::{House, HouseOptions};
use crate::output::print_line;
use anyhow::Context;
use api::Api;
use catalogue::Running;
use exchange::Exchange;
use jiff::Timestamp;
use serde_json::Value;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::spend_ledger::BalancesOf;
use table::{CampaignLine, Table, campaign_table};
use tally::{Tally, now};
use tokio_util::sync::CancellationToken;
use verdict::{Books, Verdict};

#[derive(clap::Args, Debug)]
pub(crate) struct DemoArgs {
    /// How long to trade, such as 60s; until Ctrl-C on a terminal, 60s elsewhere
    #[arg(long, value_parser = crate::duration::parse)]
    duration: Option<Duration>,
    /// Bid requests a second
    #[arg(long, default_value_t = 500.0)]
    rate: f64,
    /// Seed of the exchange: the same seed offers the same impressions
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print one JSON object as the last line of stdout
    #[arg(long)]
    json: bool,
}

/// Longest demo that is not told when to end; a day.
const UNTIL_CTRL_C: Duration = Duration::from_secs(24 * 60 * 60);
/// Reports are at most 5 s behind the events; a slow machine gets some more.
const REPORT_PATIENCE: Duration = Duration::from_secs(20);

/// Trades, compares the books, and returns whether every check held.
pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<bool> {
    anyhow::ensure!(
        args.rate > 0.0 && args.rate <= 100_000.0,
        "--rate must be above 0 and at most 100000"
    );
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let begin = Instant::now();
    let house = House::start(HouseOptions::on_free_ports(folder.path().to_owned())).await?;
    let stop = stop_on_signals()?;
    let traded = trade(&args, &house, begin, &stop).await;
    house.stop("the demo is over");
    let ended = house.finished().await;
    let verdict = traded?;
    if args.json {
        print_line(serde_json::to_string(&verdict)?)?;
    } else {
        print_line(format_args!("\n{verdict}"))?;
    }
    Ok(verdict.holds() && ended == platform::shutdown::Ended::Clean)
}

async fn trade(
    args: &DemoArgs,
    house: &House,
    begin: Instant,
    stop: &CancellationToken,
) -> anyhow::Result<Verdict> {
    let api = Api::new(house.api_url(), house.admin_key.clone())?;
    house.ready().await?;
    let campaigns = catalogue::create(&api, Timestamp::now())
        .await
        .context("creating the advertisers")?;
    eprintln!(
        "{} campaigns created over {}\nbids from {}\nmetrics at {}\n",
        campaigns.len(),
        house.api_url(),
        house.bid_url(),
        house.metrics_url()
    );
    let until_told = if std::io::stdout().is_terminal() {
        UNTIL_CTRL_C
    } else {
        Duration::from_secs(60)
    };
    let duration = args.duration.unwrap_or(until_told);
    let tally = Arc::new(Tally::default());
    let exchange = Exchange {
        bid_url: house.bid_url(),
        rate_per_second: args.rate,
        duration,
        seed: args.seed,
    };
    let mut trading = tokio::spawn(exchange.trade(tally.clone(), stop.clone()));
    eprintln!(
        "trading after {:.1} s; Ctrl-C ends it and shows the books",
        begin.elapsed().as_secs_f64()
    );

    let start = Instant::now();
    let mut table = Table::new();
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.tick().await;
    loop {
        tokio::select! {
            ended = &mut trading => break ended??,
            _ = second.tick() => {
                let lines = campaign_lines(&api, &campaigns).await.unwrap_or_default();
                table.tick(start.elapsed(), &tally, &lines);
            }
        }
    }
    close_books(house, &api, &campaigns, &tally).await
}

/// Waits until the report has caught up with the ledger, shows it, and compares.
async fn close_books(
    house: &House,
    api: &Api,
    campaigns: &[Running],
    tally: &Tally,
) -> anyhow::Result<Verdict> {
    let give_up = Instant::now() + REPORT_PATIENCE;
    let books = loop {
        let books = read_books(house, api).await?;
        let caught_up = books.report_nanos == books.ledger_nanos
            && books.report_bids.unsigned_abs() == now(&tally.bids)
            && books.report_wins.unsigned_abs() == now(&tally.wins);
        if caught_up || Instant::now() > give_up {
            break books;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    eprintln!("\nthe report, from {}/analytics/report:", house.api_url());
    eprint!("{}", campaign_table(&campaign_lines(api, campaigns).await?));
    if let Some(error) = tally.last_error() {
        eprintln!("the last error was: {error}");
    }
    Ok(Verdict::new(tally, books))
}

async fn read_books(house: &House, api: &Api) -> anyhow::Result<Books> {
    let report = api
        .get(&report_query("total", "", "spend_nanos,wins,bids")?)
        .await?;
    let mut books = Books {
        report_nanos: total(&report, "spend_nanos"),
        report_wins: total(&report, "wins"),
        report_bids: total(&report, "bids"),
        within_budget: true,
        ..Books::default()
    };
    for balance in house
        .stores
        .ledger
        .balances(BalancesOf::All {
            after: None,
            limit: 10_000,
        })
        .await?
    {
        books.within_budget &= balance.account.limit_nanos.is_none_or(|limit| {
            balance.account.spent_nanos + balance.account.pending_nanos + balance.account.leased_nanos
                <= limit
        });
        if balance.day.is_some() {
            books.ledger_nanos += balance.account.spent_nanos;
            books.over_delivery_nanos += balance.over_delivery_nanos;
        }
    }
    Ok(books)
}

/// Around now, wide enough for a demo that runs over midnight.
fn report_query(granularity: &str, dimensions: &str, metrics: &str) -> anyhow::Result<String> {
    let today = Timestamp::now().as_second().div_euclid(86_400) * 86_400;
    let (from, to) = (
        Timestamp::from_second(today - 2 * 86_400)?,
        Timestamp::from_second(today + 2 * 86_400)?,
    );
    let dimensions = if dimensions.is_empty() {
        String::new()
    } else {
        format!("&dimensions={dimensions}")
    };
    Ok(format!(
        "/analytics/report?from={from}&to={to}&granularity={granularity}{dimensions}&metrics={metrics}"
    ))
}

fn total(report: &Value, metric: &str) -> i64 {
    report["totals"][metric].as_i64().unwrap_or_default()
}

/// One line a campaign: the report beside the plan.
async fn campaign_lines(api: &Api, campaigns: &[Running]) -> anyhow::Result<Vec<CampaignLine>> {
    let report = api
        .get(&report_query("total", "campaign", "bids,wins,spend_micros")?)
        .await?;
    let rows = report["rows"].as_array().cloned().unwrap_or_default();
    let mut lines = Vec::with_capacity(campaigns.len());
    for campaign in campaigns {
        let row = rows.iter().find(|row| row["campaign"] == campaign.id.as_str());
        let metric = |name: &str| row.and_then(|row| row[name].as_i64()).unwrap_or_default();
        let delivery = api
            .get(&format!("/analytics/campaigns/{}/delivery", campaign.id))
            .await?;
        lines.push(CampaignLine {
            name: campaign.name.clone(),
            bids: metric("bids"),
            wins: metric("wins"),
            spend_micros: metric("spend_micros"),
            daily_micros: campaign.daily_micros,
            plan_micros: delivery["today"]["planned_so_far_micros"]
                .as_i64()
                .filter(|_| campaign.is_even),
        });
    }
    Ok(lines)
}

fn stop_on_signals() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stopped.cancel();
    });
    Ok(stop)
}

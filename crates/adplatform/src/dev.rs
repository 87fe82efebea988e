//! `adplatform dev`: the platform alone, until it is told to stop. Without settings, on embedded storage.

use crate::house::{House, HouseOptions};
use crate::output::print_line;
use platform::shutdown::Ended;
use platform::{ProcessSettings, SettingHelp};
use std::collections::BTreeSet;
use std::net::SocketAddr;

#[derive(clap::Args, Debug)]
pub(crate) struct DevArgs {
    /// Campaign API
    #[arg(long, default_value = "127.0.0.1:8080")]
    campaign_addr: SocketAddr,
    /// Bid requests, notices, events
    #[arg(long, default_value = "127.0.0.1:8081")]
    bidding_addr: SocketAddr,
    /// Reports
    #[arg(long, default_value = "127.0.0.1:8082")]
    analytics_addr: SocketAddr,
    /// Metrics and probes
    #[arg(long, default_value = "127.0.0.1:9090")]
    metrics_addr: SocketAddr,
}

/// The settings of every part, as its `--help` tells them; but for addresses, which have flags.
pub(crate) fn settings_help() -> String {
    let parts = [
        &[ProcessSettings::HELP][..],
        campaign_service::Config::HELP,
        bidding_service::Config::HELP,
        analytics_service::Config::HELP,
    ];
    let mut seen = BTreeSet::from(["HTTP_ADDR", "METRICS_ADDR"]);
    let settings: Vec<&SettingHelp> = parts
        .into_iter()
        .flatten()
        .copied()
        .flatten()
        .filter(|(name, _)| seen.insert(name))
        .collect();
    let width = settings.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut help = "Settings, from the environment or from the file that CONFIG_FILE names:\n".to_owned();
    for (name, meaning) in settings {
        help.push_str(&format!("  {name:width$}  {meaning}\n"));
    }
    help
}

pub(crate) async fn run(args: DevArgs) -> anyhow::Result<Ended> {
    let house = House::start(HouseOptions {
        campaign_addr: args.campaign_addr,
        bidding_addr: args.bidding_addr,
        analytics_addr: args.analytics_addr,
        metrics_addr: args.metrics_addr,
        overrides: Vec::new(),
    })
    .await?;
    house.listen_for_signals()?;
    house.ready().await?;
    print_line(greeting(&house))?;
    Ok(house.finished().await)
}

fn greeting(house: &House) -> String {
    let (api, bid, key) = (house.api_url(), house.bid_url(), &house.admin_key);
    format!(
        r#"adplatform is running; Ctrl-C ends it

  campaigns  {api}
  bidding    {bidding}
  analytics  {analytics}
  metrics    {metrics}
  key        {key}

try

  curl -s {api}/advertisers -H 'authorization: Bearer {key}' -H 'content-type: application/json' -d '{{"name":"Alder Outdoor"}}'
  curl -s -i {bid} -H 'content-type: application/json' -d '{{"id":"1","imp":[{{"id":"1","banner":{{"w":300,"h":250}}}}]}}'
  curl -s '{api}/analytics/report?dimensions=campaign' -H 'authorization: Bearer {key}'
"#,
        bidding = house.bidding_url(),
        analytics = house.analytics_url(),
        metrics = house.metrics_url(),
    )
}

//! `adplatform restored`: after the campaign store was restored to an earlier instant.
//!
//! A restored store hands out revisions that bidders have seen already, so they would take its changes for old ones, and
//! go on serving what was created after the instant and nobody can stop any more. So the store gets a new generation,
//! everything in it is published again, and what the topics hold beyond it is withdrawn. Nothing is appended here: the
//! relay publishes each object as the store has it, and a tombstone for what it lacks.
//!
//! What the topics know better than the store is the only copy of what was lost. `--keep` writes it down first.
//!
//! Safe to run again: another generation, everything published once more.

use crate::output::print_line;
use crate::{topic, wiring};
use anyhow::Context;
use domain::campaign::Campaign;
use domain::creative::CreativeStatus;
use domain::serving::{ServingCampaign, ServingExchange};
use domain::targeting::AllowBlock;
use platform::config::{Backend, Backends};
use platform::{Clock, Settings};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use storage::campaign_store::{Announcement, Kind, Write};
use storage::event_log::Topic;
use storage::{CampaignStore, EventLog, StorageError};

/// Announcements of one transaction.
const AT_ONCE: usize = 500;

#[derive(clap::Args, Debug)]
pub(crate) struct RestoredArgs {
    /// Where to add the records that the store lacks or has otherwise, one of JSON a line
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
}

pub(crate) async fn run(args: &RestoredArgs) -> anyhow::Result<()> {
    let mut settings = Settings::from_process();
    let backends = Backends::read(&mut settings, &[Backend::Database, Backend::Kafka]);
    settings.finish()?;
    let clock = Clock::system();
    let stores = wiring::published(&backends, &clock).await?;
    let (store, log) = (&*stores.store, &*stores.log);

    let campaigns = Live::read(log, Topic::Campaigns).await?;
    let exchanges = Live::read(log, Topic::Exchanges).await?;
    let mut differences = Vec::new();
    for (id, value) in &campaigns.values {
        differences.extend(campaign(store, id, value).await?.map(|what| (what, id, value)));
    }
    for (id, value) in &exchanges.values {
        differences.extend(exchange(store, id, value).await?.map(|what| (what, id, value)));
    }
    // Before anything is withdrawn: the topic holds the only copy.
    if let Some(path) = &args.keep {
        keep(path, differences.iter().map(|(.., value)| *value))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let past = campaigns.generation.max(exchanges.generation);
    let generation = store.begin_generation(past, clock.unix_ms()).await?;
    // What the store has is announced already; twice does no harm, and an archived one is withdrawn too.
    let of_topics = campaigns.values.keys().cloned().map(Announcement::Campaign);
    let of_topics = of_topics.chain(exchanges.values.keys().cloned().map(Announcement::Exchange));
    announce(store, of_topics.collect(), clock.unix_ms()).await?;

    for (what, id, _) in &differences {
        print_line(format_args!("{id}  {}", what.told()))?;
    }
    let count = |wanted: Difference| differences.iter().filter(|(what, ..)| *what == wanted).count();
    print_line(format_args!(
        "generation {generation}: everything is published again; of {} objects in the topics {} are withdrawn, {} went \
         back to an earlier state, {} could not be read",
        campaigns.values.len() + exchanges.values.len(),
        count(Difference::Lost),
        count(Difference::Changed),
        count(Difference::Unreadable),
    ))?;
    Ok(())
}

/// Of each key that the topic holds the last value, and the highest generation of all.
struct Live {
    values: BTreeMap<String, Vec<u8>>,
    generation: i64,
}

#[derive(Deserialize)]
struct Head {
    generation: i64,
    revision: i64,
}

impl Live {
    async fn read(log: &dyn EventLog, topic: Topic) -> anyhow::Result<Self> {
        let mut live = Self {
            values: BTreeMap::new(),
            generation: 0,
        };
        let mut versions: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        topic::each_record(log, topic, |_, record| {
            let Some(value) = record.value else {
                live.values.remove(&record.key);
                return;
            };
            // As bidders do: a late repeat of an older record does not count.
            if let Ok(head) = serde_json::from_slice::<Head>(&value) {
                live.generation = live.generation.max(head.generation);
                let version = (head.generation, head.revision);
                let newest = versions.entry(record.key.clone()).or_insert(version);
                if version < *newest {
                    return;
                }
                *newest = version;
            }
            live.values.insert(record.key, value);
        })
        .await?;
        Ok(live)
    }
}

/// How a record of the topic differs from what the store has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Difference {
    Lost,
    Changed,
    Unreadable,
}

impl Difference {
    fn told(self) -> &'static str {
        match self {
            Self::Lost => "withdrawn: the store does not know it",
            Self::Changed => "back to an earlier state",
            Self::Unreadable => "its record cannot be read and is replaced by what the store has",
        }
    }
}

async fn campaign(
    store: &dyn CampaignStore,
    id: &str,
    value: &[u8],
) -> Result<Option<Difference>, StorageError> {
    let Some(bundle) = store.bundle(id).await? else {
        return Ok(Some(Difference::Lost));
    };
    Ok(differs(value, |record: &ServingCampaign| {
        let active = bundle
            .creatives
            .iter()
            .filter(|creative| creative.spec.status == CreativeStatus::Active);
        told_alike(&record.campaign) == told_alike(&bundle.campaign)
            && record.advertiser.status == bundle.advertiser.spec.status
            && record.creatives.iter().eq(active)
    }))
}

/// Without what is published otherwise than it is stored: deals and audiences.
fn told_alike(campaign: &Campaign) -> Campaign {
    let mut campaign = campaign.clone();
    let targeting = &mut campaign.spec.targeting;
    targeting.deals.clear();
    targeting.audiences = AllowBlock::default();
    campaign
}

async fn exchange(
    store: &dyn CampaignStore,
    id: &str,
    value: &[u8],
) -> Result<Option<Difference>, StorageError> {
    let Some(document) = store.get(Kind::Exchange, id).await? else {
        return Ok(Some(Difference::Lost));
    };
    let stored = serde_json::from_value(document.body)?;
    Ok(differs(value, |record: &ServingExchange| {
        record.exchange == stored
    }))
}

fn differs<R: DeserializeOwned>(value: &[u8], is_stored: impl FnOnce(&R) -> bool) -> Option<Difference> {
    match serde_json::from_slice(value) {
        Ok(record) => (!is_stored(&record)).then_some(Difference::Changed),
        Err(_) => Some(Difference::Unreadable),
    }
}

fn keep<'a>(path: &Path, values: impl Iterator<Item = &'a Vec<u8>>) -> std::io::Result<()> {
    let mut file = File::options().create(true).append(true).open(path)?;
    for value in values {
        file.write_all(&[value, b"\n".as_slice()].concat())?;
    }
    file.flush()
}

async fn announce(
    store: &dyn CampaignStore,
    announcements: Vec<Announcement>,
    now_ms: i64,
) -> Result<(), StorageError> {
    for some in announcements.chunks(AT_ONCE) {
        let write = Write {
            changes: Vec::new(),
            announcements: some.to_vec(),
            actor: "system".to_owned(),
            now_ms,
            idempotency: None,
            traceparent: None,
        };
        store.write(write).await?;
    }
    Ok(())
}

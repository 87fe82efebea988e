//! `adplatform migrate` and `adplatform topics`: what backends need before the services do, as jobs.
//!
//! Both are safe to run again and by several at once, and wait for a server that is not there yet. What they say is for a
//! person, or lines of the log where `LOG_FORMAT=json` asks for them, as images do.

use crate::output::print_line;
use crate::{duration, wiring};
use anyhow::Context;
use platform::config::{Backend, Backends};
use platform::{Clock, Settings};
use std::future::Future;
use std::time::{Duration, Instant};
use storage::StorageError;

const PAUSE: Duration = Duration::from_secs(1);

/// How a job says what it did.
#[derive(Clone, Copy)]
pub(crate) enum Told {
    ToAPerson,
    InTheLog,
}

#[derive(clap::Args, Debug)]
pub(crate) struct MigrateArgs {
    /// How long to wait for the database to answer
    #[arg(long, value_parser = duration::parse, default_value = "60s")]
    patience: Duration,
}

#[derive(clap::Args, Debug)]
pub(crate) struct TopicsArgs {
    /// Copies of each topic that is made; 3 for a cluster of three brokers or more
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    replication_factor: u32,
    /// Copies that must have a record before it is acknowledged; by default one less than there are
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    min_insync_replicas: Option<u32>,
    /// How long to wait for Kafka to answer
    #[arg(long, value_parser = duration::parse, default_value = "60s")]
    patience: Duration,
}

/// Brings the schema of the database up to date.
pub(crate) async fn migrate(args: &MigrateArgs, told: Told) -> anyhow::Result<()> {
    let backends = read(&[Backend::Database])?;
    let schema = wiring::Schema::of(&backends)?;
    let clock = Clock::system();
    patiently(told, "the database", args.patience, || schema.migrate(&clock)).await?;
    told.say(&format!("the schema of {} is up to date", schema.name()))
}

/// Makes the topics of the platform in Kafka.
pub(crate) async fn topics(args: &TopicsArgs, told: Told) -> anyhow::Result<()> {
    let backends = read(&[Backend::Kafka])?;
    let Some(topics) = wiring::kafka_log(&backends)? else {
        return told.say(&format!(
            "KAFKA_BROKERS is not set: the log is embedded in {} and needs no topics",
            backends.embedded_url
        ));
    };
    let min_insync = args
        .min_insync_replicas
        .unwrap_or(args.replication_factor.saturating_sub(1).max(1));
    let lines = patiently(told, "kafka", args.patience, || async {
        Ok(topics.create(args.replication_factor, min_insync).await)
    })
    .await?;
    lines.iter().try_for_each(|line| told.say(line))
}

impl Told {
    fn say(self, outcome: &str) -> anyhow::Result<()> {
        match self {
            Self::ToAPerson => print_line(outcome)?,
            Self::InTheLog => tracing::info!(outcome, "prepared"),
        }
        Ok(())
    }

    fn waits_for(self, server: &str, error: &StorageError) {
        match self {
            Self::ToAPerson => eprintln!("waiting for {server}: {error}"),
            Self::InTheLog => tracing::warn!(server, %error, "waiting for a server"),
        }
    }
}

fn read(needed: &[Backend]) -> anyhow::Result<Backends> {
    let mut settings = Settings::from_process();
    let backends = Backends::read(&mut settings, needed);
    settings.finish()?;
    Ok(backends)
}

/// Repeats what is safe to repeat while the server is away, and tells once that it waits.
async fn patiently<T, Trying>(
    told: Told,
    server: &str,
    patience: Duration,
    mut work: impl FnMut() -> Trying,
) -> anyhow::Result<T>
where
    Trying: Future<Output = anyhow::Result<Result<T, StorageError>>>,
{
    let give_up = Instant::now() + patience;
    let mut is_told = false;
    loop {
        let error = match work().await? {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if !matches!(error, StorageError::Unavailable(_)) {
            return Err(error.into());
        }
        if Instant::now() >= give_up {
            let seconds = patience.as_secs();
            return Err(error).with_context(|| format!("{server} did not answer within {seconds} s"));
        }
        if !is_told {
            told.waits_for(server, &error);
            is_told = true;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

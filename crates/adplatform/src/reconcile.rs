//! `adplatform reconcile`: ledger, spend events and rollups of a platform, campaign by campaign and day by day.
//!
//! The three are written at different moments by different parts; where they disagree, money was lost or
//! doubled on the way. Every difference is said in nanos of the campaign's currency.
//!
//! A topic may begin after a day of the ledger did: Kafka keeps `spend` for 35 days, and one that was made anew begins
//! with what came since. Such a day agrees where ledger and rollups do, since the rollups were made from events that
//! are gone by now; its line says so.

use crate::topic;
use anyhow::Context;
use domain::event::SpendEvent;
use domain::period::Day;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use storage::event_log::Topic;
use storage::report_store::{Dimension, ReportQuery};
use storage::spend_ledger::{Balance, BalancesOf};
use storage::{EventLog, ReportStore, SpendLedger};

/// Records or rows read at once.
const PAGE: u32 = 5_000;
/// Verdicts that wait for the topic; more than this would be hours without Kafka.
const OUTBOX: u32 = 1_000_000;

/// What each of the three says of one campaign's day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    pub campaign_id: String,
    pub date: String,
    /// `None`: the ledger has forgotten the day (it keeps days until no notice can come any more).
    pub ledger: Option<Amounts>,
    pub events: Amounts,
    /// `None` where the ledger has forgotten the day, since it alone knows where the day begins.
    pub rollups: Option<Amounts>,
    /// Settled, on its way to the topic.
    pub outbox: Amounts,
    /// The day began before the oldest event that the topic still holds.
    pub topic_begins_later: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amounts {
    pub charged_nanos: i64,
    pub over_delivery_nanos: i64,
}

impl Amounts {
    fn add(&mut self, charged_nanos: i64, over_delivery_nanos: i64) {
        self.charged_nanos = self.charged_nanos.saturating_add(charged_nanos);
        self.over_delivery_nanos = self.over_delivery_nanos.saturating_add(over_delivery_nanos);
    }

    fn plus(self, other: Self) -> Self {
        let mut sum = self;
        sum.add(other.charged_nanos, other.over_delivery_nanos);
        sum
    }
}

impl Line {
    /// Whether all that is known agrees; what is still in the outbox counts as an event.
    #[must_use]
    pub(crate) fn agrees(&self) -> bool {
        self.all_agree() || self.agrees_but_for_the_topic()
    }

    fn all_agree(&self) -> bool {
        self.ledger
            .is_none_or(|ledger| ledger == self.events.plus(self.outbox))
            && self.rollups.is_none_or(|rollups| rollups == self.events)
    }

    /// Ledger and rollups are one, and the topic lacks what came before its beginning.
    fn agrees_but_for_the_topic(&self) -> bool {
        let (Some(ledger), Some(rollups)) = (self.ledger, self.rollups) else {
            return false;
        };
        self.topic_begins_later
            && ledger == rollups.plus(self.outbox)
            && self.events.charged_nanos <= rollups.charged_nanos
            && self.events.over_delivery_nanos <= rollups.over_delivery_nanos
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |amounts: Option<Amounts>| {
            amounts.map_or("-".to_owned(), |amounts| match amounts.over_delivery_nanos {
                0 => amounts.charged_nanos.to_string(),
                over => format!("{} (+{over} over)", amounts.charged_nanos),
            })
        };
        write!(
            f,
            "{} {}  ledger {:>16}  events {:>16}  rollups {:>16}",
            self.campaign_id,
            self.date,
            shown(self.ledger),
            shown(Some(self.events)),
            shown(self.rollups)
        )?;
        if self.outbox != Amounts::default() {
            write!(f, "  outbox {}", shown(Some(self.outbox)))?;
        }
        if !self.all_agree() && self.agrees_but_for_the_topic() {
            return write!(
                f,
                "\n    agrees: topic spend begins after this day did, and holds the rest of it"
            );
        }
        if let Some(ledger) = self.ledger {
            let counted = self.events.plus(self.outbox);
            if ledger != counted {
                write!(
                    f,
                    "\n    ledger - events = {} nanos",
                    ledger.charged_nanos - counted.charged_nanos
                )?;
                let over = ledger.over_delivery_nanos - counted.over_delivery_nanos;
                if over != 0 {
                    write!(f, ", over-delivery {over} nanos")?;
                }
            }
        }
        if let Some(rollups) = self.rollups
            && rollups != self.events
        {
            write!(
                f,
                "\n    events - rollups = {} nanos",
                self.events.charged_nanos - rollups.charged_nanos
            )?;
        }
        Ok(())
    }
}

/// What the three say.
pub(crate) struct Compared {
    /// For each campaign's day that any of them knows.
    pub lines: Vec<Line>,
    /// Records of topic `spend` that were left out, as the reports leave them out.
    pub unreadable: Vec<String>,
}

/// Reads all three.
pub(crate) async fn compare(
    ledger: &dyn SpendLedger,
    log: &dyn EventLog,
    reports: &dyn ReportStore,
) -> anyhow::Result<Compared> {
    let mut lines: BTreeMap<(String, String), Line> = BTreeMap::new();
    let mut line = |campaign: &str, date: &str, change: &mut dyn FnMut(&mut Line)| {
        let key = (campaign.to_owned(), date.to_owned());
        let line = lines.entry(key).or_insert_with(|| Line {
            campaign_id: campaign.to_owned(),
            date: date.to_owned(),
            ..Line::default()
        });
        change(line);
    };
    let days = ledger_days(ledger).await.context("reading the ledger")?;
    for (balance, day) in &days {
        line(balance.campaign_id.as_str(), &day.date, &mut |line| {
            line.ledger = Some(Amounts {
                charged_nanos: balance.account.spent_nanos,
                over_delivery_nanos: balance.over_delivery_nanos,
            });
            line.rollups = Some(Amounts::default());
        });
    }
    let mut in_topic = HashSet::new();
    let mut topic_begins_ms = i64::MAX;
    let Spend { events, unreadable } = Spend::read(log).await.context("reading topic spend")?;
    for event in events {
        topic_begins_ms = topic_begins_ms.min(event.at_ms);
        in_topic.insert(event.bid_id);
        line(event.campaign_id.as_str(), &event.day, &mut |line| {
            line.events.add(event.charge_nanos, event.over_delivery_nanos);
        });
    }
    for settled in ledger
        .outbox(i64::MAX, OUTBOX)
        .await
        .context("reading the ledger's outbox")?
    {
        // A verdict leaves the outbox a little after its event has come to the topic.
        if in_topic.contains(&settled.bid_id) {
            continue;
        }
        line(settled.campaign_id.as_str(), &settled.date, &mut |line| {
            line.outbox.add(settled.charge_nanos, settled.over_delivery_nanos);
        });
    }
    for (balance, day) in days.iter().filter(|(_, day)| day.start_ms < topic_begins_ms) {
        line(balance.campaign_id.as_str(), &day.date, &mut |line| {
            line.topic_begins_later = true
        });
    }
    let spans: BTreeSet<(i64, i64, &str)> = days
        .iter()
        .map(|(_, day)| (day.start_ms, day.end_ms, day.date.as_str()))
        .collect();
    for (start_ms, end_ms, date) in spans {
        for (campaign, amounts) in rollups(reports, start_ms, end_ms)
            .await
            .context("reading the rollups")?
        {
            let same_day = |(balance, day): &(Balance, Day)| {
                balance.campaign_id.as_str() == campaign && (day.start_ms, day.end_ms) == (start_ms, end_ms)
            };
            // Campaigns of other zones have days of their own that overlap this one.
            if days.iter().any(same_day) {
                line(&campaign, date, &mut |line| line.rollups = Some(amounts));
            }
        }
    }
    Ok(Compared {
        lines: lines.into_values().collect(),
        unreadable,
    })
}

async fn ledger_days(ledger: &dyn SpendLedger) -> anyhow::Result<Vec<(Balance, Day)>> {
    let mut days = Vec::new();
    let mut after = None;
    loop {
        let page = ledger
            .balances(BalancesOf::All {
                after: after.clone(),
                limit: PAGE,
            })
            .await?;
        let Some(last) = page.last() else {
            return Ok(days);
        };
        let date = last.day.as_ref().map(|day| day.date.clone()).unwrap_or_default();
        after = Some((last.campaign_id.clone(), date));
        days.extend(page.into_iter().filter_map(|balance| {
            let day = balance.day.clone()?;
            Some((balance, day))
        }));
    }
}

/// Topic `spend`, as the reports read it.
#[derive(Default)]
struct Spend {
    /// Each settlement once, however often the topic holds it.
    events: Vec<SpendEvent>,
    /// Where a record is that nobody can read, and why.
    unreadable: Vec<String>,
}

impl Spend {
    async fn read(log: &dyn EventLog) -> anyhow::Result<Self> {
        let mut spend = Self::default();
        let mut seen = HashSet::new();
        topic::each_record(log, Topic::Spend, |partition, record| {
            match SpendEvent::read(record.value.as_deref()) {
                Ok(event) if seen.insert(event.event_id.clone()) => spend.events.push(event),
                Ok(_) => {}
                Err(why) => spend.unreadable.push(format!(
                    "topic spend, partition {partition}, record {}: {why}",
                    record.offset
                )),
            }
        })
        .await?;
        Ok(spend)
    }
}

async fn rollups(
    reports: &dyn ReportStore,
    start_ms: i64,
    end_ms: i64,
) -> anyhow::Result<Vec<(String, Amounts)>> {
    let mut found = Vec::new();
    let mut query = ReportQuery {
        buckets: vec![(start_ms, end_ms)],
        dimensions: vec![Dimension::Campaign],
        filters: Vec::new(),
        offset: 0,
        limit: PAGE,
    };
    loop {
        let rows = reports.query(&query).await?;
        let last = (rows.len() as u64) < u64::from(PAGE);
        found.extend(rows.into_iter().map(|row| {
            let amounts = Amounts {
                charged_nanos: row.totals.spend_nanos,
                over_delivery_nanos: row.totals.over_delivery_nanos,
            };
            (row.values.concat(), amounts)
        }));
        if last {
            return Ok(found);
        }
        query.offset += PAGE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amounts(charged_nanos: i64) -> Amounts {
        Amounts {
            charged_nanos,
            over_delivery_nanos: 0,
        }
    }

    fn line(ledger: i64, events: i64, rollups: i64) -> Line {
        Line {
            ledger: Some(amounts(ledger)),
            events: amounts(events),
            rollups: Some(amounts(rollups)),
            ..Line::default()
        }
    }

    #[test]
    fn what_the_topic_lacks_is_explained_by_its_beginning_alone() {
        let mut short = line(90, 60, 90);
        assert!(!short.agrees());
        short.topic_begins_later = true;
        assert!(short.agrees());
        assert!(short.to_string().contains("topic spend begins after"), "{short}");
    }

    #[test]
    fn a_late_topic_explains_neither_lost_rollups_nor_more_events_than_money() {
        for (ledger, events, rollups) in [(90, 60, 80), (90, 100, 90), (80, 60, 90)] {
            let mut wrong = line(ledger, events, rollups);
            wrong.topic_begins_later = true;
            assert!(!wrong.agrees(), "{wrong}");
        }
    }

    #[test]
    fn the_outbox_counts_as_events() {
        let mut on_its_way = line(90, 60, 60);
        on_its_way.outbox = amounts(30);
        assert!(on_its_way.agrees());
        on_its_way.outbox = amounts(20);
        assert!(!on_its_way.agrees() && on_its_way.to_string().contains("10 nanos"));
    }
}

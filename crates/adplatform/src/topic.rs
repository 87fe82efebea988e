//! A topic read from its beginning to where it ends now.

use std::time::Duration;
use storage::EventLog;
use storage::event_log::{Record, Topic};

/// Records read at once.
const PAGE: u32 = 5_000;

/// `take` is told the partition.
pub(crate) async fn each_record(
    log: &dyn EventLog,
    topic: Topic,
    mut take: impl FnMut(u32, Record),
) -> anyhow::Result<()> {
    for partition in 0..log.partitions(topic).await? {
        let end = log.end_offset(topic, partition).await?;
        let mut next = 0;
        while next < end {
            let batch = log.read(topic, partition, next, PAGE, Duration::ZERO).await?;
            anyhow::ensure!(
                batch.next_offset > next,
                "topic {} ends before its end offset {end}",
                topic.name()
            );
            next = batch.next_offset;
            for record in batch.records {
                take(partition, record);
            }
        }
    }
    Ok(())
}

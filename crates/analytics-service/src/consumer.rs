//! Follows the event topics into the rollups, together with the other replicas of the service.
//!
//! One task reads each partition that this member of the group holds and folds what it reads; one task gathers what they
//! have folded and applies it, with the offsets behind it, in one transaction, which holds only where every stored
//! offset is still the one that was read from. So a restart goes on where the rollups stand, and of two readers of one
//! partition one is told of a conflict and goes on from the other's offset: nothing is lost, nothing counted twice.
//!
//! | where | what |
//! |---|---|
//! | `member` | which partitions are ours, as replicas come and go |
//! | `reader` | reads and folds one partition |
//! | `segment`, `applier` | what readers hand over; gathers and applies it |
//! | `piecewise` | finds what the store cannot take, and sets it aside |
//! | `checkpoints` | publishes what campaigns have spent |
//! | `progress` | lag and freshness |
//! | `upkeep` | forgets what is old |

mod applier;
mod checkpoints;
mod member;
mod piecewise;
mod progress;
mod reader;
mod retry;
mod segment;
mod upkeep;

use crate::metrics::Metrics;
use crate::ports::Ports;
use applier::Applier;
use checkpoints::Checkpoints;
use member::Member;
use platform::Process;
use progress::Held;
use retry::Stopped;
use segment::Room;
use std::sync::Arc;
use upkeep::Upkeep;

/// Starts reading in the background.
pub(crate) fn start(ports: &Ports, metrics: &Metrics, process: &Process) {
    let shutdown = &process.shutdown;
    let stop = shutdown.background();
    let held = Arc::new(Held::default());
    let (publishing, publishes) = tokio::sync::watch::channel(false);
    let (segments, folded) = tokio::sync::mpsc::unbounded_channel();
    let member = Member {
        ports: ports.clone(),
        metrics: metrics.clone(),
        clock: process.clock.clone(),
        shutdown: shutdown.clone(),
        store_reached: process.readiness.latch("report store reached"),
        offsets_loaded: process.readiness.latch("offsets loaded"),
        held: held.clone(),
        publishing,
        segments,
        room: Room::default(),
        known: Arc::default(),
    };
    let applier = Applier {
        folded,
        reports: ports.reports.clone(),
        events: ports.events.clone(),
        clock: process.clock.clone(),
        traces: process.traces.of(crate::SERVICE),
        stop: stop.clone(),
        refused_in_a_row: 0,
    };
    let checkpoints = Checkpoints {
        reports: ports.reports.clone(),
        events: ports.events.clone(),
        clock: process.clock.clone(),
        published: metrics.checkpoints_published.clone(),
        publishes,
        stop: stop.clone(),
    };
    let upkeep = Upkeep {
        reports: ports.reports.clone(),
        events: ports.events.clone(),
        clock: process.clock.clone(),
        stop: stop.clone(),
    };
    // Stopped while waiting for a store: there is nothing to undo.
    shutdown.spawn("member of the readers' group", async move {
        let _: Result<(), Stopped> = member.run().await;
    });
    shutdown.spawn("applying events", async move {
        let _: Result<(), Stopped> = applier.run().await;
    });
    shutdown.spawn("ledger checkpoints", async move {
        let _: Result<(), Stopped> = checkpoints.run().await;
    });
    shutdown.spawn("upkeep of events", async move {
        let _: Result<(), Stopped> = upkeep.run().await;
    });
    let lag = progress::watch(
        held,
        ports.events.clone(),
        metrics.clone(),
        process.clock.clone(),
        stop.clone(),
    );
    shutdown.spawn("lag of event readers", lag);
}

//! The one thread that appends. Whatever waits when it looks is written and synced together.

use super::Shared;
use super::folder::{self, Folder, SegmentName};
use super::index::Segment;
use super::segment::{self, Spooled};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

const SEGMENT_BYTES: u64 = 4 << 20;
const SYNCED_TOGETHER: usize = 1_024;

pub(super) struct Append {
    pub(super) record: Spooled,
    pub(super) answer: oneshot::Sender<Result<(), String>>,
}

pub(super) enum Command {
    Append(Append),
    /// Answered when the segment being written is sealed.
    Seal(oneshot::Sender<()>),
}

struct Writer {
    shared: Arc<Shared>,
    next_sequence: u64,
    open: Option<Open>,
    is_failing: bool,
}

/// The segment being written.
struct Open {
    file: File,
    path: PathBuf,
    nonce: u64,
    bytes: u64,
}

/// Ends when nobody can send commands any more.
pub(super) fn start(
    shared: Arc<Shared>,
    next_sequence: u64,
    commands: Receiver<Command>,
) -> io::Result<JoinHandle<()>> {
    let writer = Writer {
        shared,
        next_sequence,
        open: None,
        is_failing: false,
    };
    std::thread::Builder::new()
        .name("spool".to_owned())
        .spawn(move || writer.run(&commands))
}

impl Writer {
    fn run(mut self, commands: &Receiver<Command>) {
        while let Ok(first) = commands.recv() {
            let mut appends = Vec::new();
            let mut seals = Vec::new();
            let waiting = std::iter::from_fn(|| commands.try_recv().ok());
            for command in std::iter::once(first).chain(waiting.take(SYNCED_TOGETHER)) {
                match command {
                    Command::Append(append) => appends.push(append),
                    Command::Seal(answer) => seals.push(answer),
                }
            }
            if !appends.is_empty() {
                self.append(appends);
            }
            if !seals.is_empty() {
                self.seal();
            }
            for answer in seals {
                let _ = answer.send(());
            }
        }
        self.seal();
    }

    fn append(&mut self, appends: Vec<Append>) {
        let written = self.write(&appends);
        match &written {
            Ok(()) if self.is_failing => tracing::info!("the spool is written again"),
            Err(error) if !self.is_failing => tracing::error!(%error, "the spool cannot be written"),
            _ => {}
        }
        self.is_failing = written.is_err();
        let answer = written.map_err(|error| error.to_string());
        for append in appends {
            // Nobody waits any more: the record is kept all the same.
            let _ = append.answer.send(answer.clone());
        }
    }

    fn write(&mut self, appends: &[Append]) -> io::Result<()> {
        let reserved: u64 = appends
            .iter()
            .map(|append| (segment::HEADER_BYTES + append.record.payload.len()) as u64)
            .sum();
        let written = self.write_and_sync(appends);
        if written.is_err() {
            self.shared.release(reserved);
            // What reached the disk of it is unknown: later records go elsewhere.
            self.abandon();
        }
        if self.open.as_ref().is_some_and(|open| open.bytes >= SEGMENT_BYTES) {
            self.seal();
        }
        written
    }

    fn write_and_sync(&mut self, appends: &[Append]) -> io::Result<()> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin()?,
        };
        let mut bytes = Vec::new();
        for Append { record, .. } in appends {
            let offset = open.bytes + bytes.len() as u64;
            segment::write(
                open.nonce,
                offset,
                record.arrived_at_ms,
                &record.payload,
                &mut bytes,
            );
        }
        let synced = open.file.write_all(&bytes).and_then(|()| open.file.sync_data());
        if synced.is_ok() {
            open.bytes += bytes.len() as u64;
            self.enter(&open, appends);
        }
        self.open = Some(open);
        synced
    }

    fn begin(&mut self) -> io::Result<Open> {
        let name = SegmentName {
            sequence: self.next_sequence,
            nonce: fastrand::u64(..),
        };
        self.next_sequence += 1;
        let folder = &self.shared.own.path;
        let path = name.path(folder);
        let file = folder::private().create_new(true).open(&path)?;
        Folder::sync(folder)?;
        let segment = Segment {
            nonce: name.nonce,
            records: 0,
            bytes: 0,
            oldest_arrival_ms: i64::MAX,
            is_sealed: false,
        };
        self.shared.index().put(path.clone(), segment);
        Ok(Open {
            file,
            path,
            nonce: name.nonce,
            bytes: 0,
        })
    }

    fn enter(&self, open: &Open, appends: &[Append]) {
        let mut index = self.shared.index();
        if index.records() == 0 {
            tracing::warn!(folder = %self.shared.own.path.display(), "notices go to the spool: no store takes them");
        }
        if let Some(segment) = index.segment(&open.path) {
            segment.records += appends.len() as u64;
            segment.bytes = open.bytes;
            let oldest_ms = appends.iter().map(|append| append.record.arrived_at_ms).min();
            segment.oldest_arrival_ms = segment.oldest_arrival_ms.min(oldest_ms.unwrap_or(i64::MAX));
        }
        self.shared.publish(&index);
    }

    fn abandon(&mut self) {
        if let Some(open) = &self.open {
            // At best the half-written part goes; if not, it reads as a torn tail.
            let _ = open.file.set_len(open.bytes);
        }
        self.seal();
    }

    fn seal(&mut self) {
        let Some(open) = self.open.take() else { return };
        if open.bytes == 0 {
            remove_empty(&self.shared, &open.path);
        } else if let Some(segment) = self.shared.index().segment(&open.path) {
            segment.is_sealed = true;
        }
    }
}

fn remove_empty(shared: &Shared, path: &Path) {
    let _ = std::fs::remove_file(path);
    shared.index().remove(path);
}

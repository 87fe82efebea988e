//! Which segments there are, what is in them, and how they are read and made smaller.

use super::Shared;
use super::folder::{self, Folder};
use super::segment::{self, Contents, Spooled};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// By path.
#[derive(Debug, Default)]
pub(super) struct Index(BTreeMap<PathBuf, Segment>);

#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) nonce: u64,
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) oldest_arrival_ms: i64,
    pub(super) is_sealed: bool,
}

impl Index {
    pub(super) fn records(&self) -> u64 {
        self.0.values().map(|segment| segment.records).sum()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.0.values().map(|segment| segment.bytes).sum()
    }

    pub(super) fn oldest_arrival_ms(&self) -> Option<i64> {
        let filled = self.0.values().filter(|segment| segment.records > 0);
        filled.map(|segment| segment.oldest_arrival_ms).min()
    }

    pub(super) fn sealed(&self) -> Vec<PathBuf> {
        let mut sealed: Vec<(i64, &PathBuf)> = self
            .0
            .iter()
            .filter(|(_, segment)| segment.is_sealed)
            .map(|(path, segment)| (segment.oldest_arrival_ms, path))
            .collect();
        sealed.sort_unstable();
        sealed.into_iter().map(|(_, path)| path.clone()).collect()
    }

    pub(super) fn put(&mut self, path: PathBuf, segment: Segment) {
        self.0.insert(path, segment);
    }

    pub(super) fn segment(&mut self, path: &Path) -> Option<&mut Segment> {
        self.0.get_mut(path)
    }

    pub(super) fn remove(&mut self, path: &Path) {
        self.0.remove(path);
    }

    fn has_any_below(&self, folder: &Path) -> bool {
        self.0.keys().any(|path| path.starts_with(folder))
    }
}

impl Segment {
    fn of(nonce: u64, bytes: u64, records: &[Spooled]) -> Self {
        Self {
            nonce,
            records: records.len() as u64,
            bytes,
            oldest_arrival_ms: records
                .iter()
                .map(|record| record.arrived_at_ms)
                .min()
                .unwrap_or(0),
            is_sealed: true,
        }
    }
}

impl Shared {
    /// Enters what stands in a folder that is now ours. Returns the last sequence found.
    pub(super) fn take_over(&self, folder: &Folder) -> io::Result<u64> {
        let mut last_sequence = 0;
        let mut found = 0;
        for (name, path) in folder.segments()? {
            last_sequence = last_sequence.max(name.sequence);
            let bytes = fs::read(&path)?;
            let Contents { records, .. } = segment::read(name.nonce, &bytes);
            found += records.len();
            let entry = Segment::of(name.nonce, bytes.len() as u64, &records);
            self.used_bytes
                .fetch_add(entry.bytes, std::sync::atomic::Ordering::AcqRel);
            self.index().put(path, entry);
        }
        if found > 0 {
            tracing::warn!(records = found, folder = %folder.path.display(), "replaying what another process left");
        }
        self.publish(&self.index());
        Ok(last_sequence)
    }

    pub(super) fn adopt(&self) -> io::Result<usize> {
        let mut adopted = 0;
        for path in folder::with_segments(&self.root)? {
            let is_ours = path == self.own.path || self.adopted().iter().any(|of| of.path == path);
            if is_ours {
                continue;
            }
            if let Some(folder) = Folder::lock(&path)? {
                self.take_over(&folder)?;
                self.adopted().push(folder);
                adopted += 1;
            }
        }
        Ok(adopted)
    }

    pub(super) fn load(&self, path: &Path) -> io::Result<Vec<Spooled>> {
        let Some(nonce) = self.index().segment(path).map(|segment| segment.nonce) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let bytes = fs::read(path)?;
        let mut contents = segment::read(nonce, &bytes);
        if !contents.damaged.is_empty() {
            self.set_damage_aside(path, &bytes, &contents)?;
            self.rewrite(path, &contents.records)?;
        }
        contents.records.sort_by_key(|record| record.arrived_at_ms);
        Ok(contents.records)
    }

    pub(super) fn leave(&self, path: &Path, left: &[Spooled]) -> io::Result<()> {
        let records = self.index().segment(path).map(|segment| segment.records);
        if records == Some(left.len() as u64) {
            return Ok(());
        }
        self.rewrite(path, left)
    }

    fn rewrite(&self, path: &Path, left: &[Spooled]) -> io::Result<()> {
        let Some(before) = self.index().segment(path).cloned() else {
            return Ok(());
        };
        let mut bytes = Vec::new();
        for record in left {
            let offset = bytes.len() as u64;
            segment::write(
                before.nonce,
                offset,
                record.arrived_at_ms,
                &record.payload,
                &mut bytes,
            );
        }
        if left.is_empty() {
            // Should it be there again after a lost power, its records are only replayed once more.
            fs::remove_file(path)?;
        } else {
            replace(path, &bytes)?;
        }
        let mut index = self.index();
        if left.is_empty() {
            index.remove(path);
        } else {
            index.put(
                path.to_owned(),
                Segment::of(before.nonce, bytes.len() as u64, left),
            );
        }
        self.publish(&index);
        self.release(before.bytes.saturating_sub(bytes.len() as u64));
        self.adopted().retain(|folder| index.has_any_below(&folder.path));
        Ok(())
    }
}

/// At no instant is there less than the whole file, the old or the new.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = folder::unfinished(path);
    let mut file = folder::private().create(true).truncate(true).open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    path.parent().map_or(Ok(()), Folder::sync)
}

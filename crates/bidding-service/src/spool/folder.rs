//! Who owns which folder. Every process of a machine that shares a `SPOOL_DIR` locks a numbered folder below it, and
//! the lock ends with the process: so the next one takes over what a dead one left.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// More processes on one machine than anyone starts.
const MOST_FOLDERS: u32 = 1_000;
const LOCK: &str = "lock";
const SEGMENT: &str = "spool";
/// A segment half rewritten.
const UNFINISHED: &str = "tmp";

/// A folder that is this process's until the value is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    _lock: File,
}

/// Names `{sequence}-{nonce}.spool`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SegmentName {
    pub(super) sequence: u64,
    pub(super) nonce: u64,
}

impl Folder {
    /// The first folder below `root` that nobody holds.
    pub(super) fn claim(root: &Path) -> io::Result<Self> {
        make_folder(root)?;
        for number in 0..MOST_FOLDERS {
            if let Some(folder) = Self::lock(&root.join(number.to_string()))? {
                return Ok(folder);
            }
        }
        Err(io::Error::other("every folder is held by another process"))
    }

    /// `None`: another process holds it.
    pub(super) fn lock(path: &Path) -> io::Result<Option<Self>> {
        make_folder(path)?;
        let mut options = private();
        let lock = options.create(true).truncate(false).open(path.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self {
                path: path.to_owned(),
                _lock: lock,
            })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Oldest first. Removes what a rewriting process left unfinished.
    pub(super) fn segments(&self) -> io::Result<Vec<(SegmentName, PathBuf)>> {
        let mut segments = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            if path.extension().is_some_and(|of| of == UNFINISHED) {
                fs::remove_file(&path)?;
            } else if let Some(name) = SegmentName::of(&path) {
                segments.push((name, path));
            }
        }
        segments.sort_unstable();
        Ok(segments)
    }

    /// Makes entries of the folder survive a lost power.
    pub(super) fn sync(path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

/// Folders below `root` that hold segments, whoever owns them.
pub(super) fn with_segments(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        let is_numbered = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit));
        if !is_numbered || !path.is_dir() {
            continue;
        }
        let mut entries = fs::read_dir(&path)?;
        if entries.any(|entry| entry.is_ok_and(|entry| SegmentName::of(&entry.path()).is_some())) {
            folders.push(path);
        }
    }
    folders.sort_unstable();
    Ok(folders)
}

impl SegmentName {
    fn of(path: &Path) -> Option<Self> {
        if path.extension()? != SEGMENT {
            return None;
        }
        let (sequence, nonce) = path.file_stem()?.to_str()?.split_once('-')?;
        Some(Self {
            sequence: sequence.parse().ok()?,
            nonce: u64::from_str_radix(nonce, 16).ok()?,
        })
    }

    pub(super) fn path(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{:012}-{:016x}.{SEGMENT}", self.sequence, self.nonce))
    }
}

/// The file in which a segment is written anew, before it takes its place.
pub(super) fn unfinished(segment: &Path) -> PathBuf {
    segment.with_extension(UNFINISHED)
}

/// What is inside names users and prices: nobody else's.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

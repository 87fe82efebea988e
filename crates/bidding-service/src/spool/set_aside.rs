//! What cannot be read or never be applied: one line of JSON each, beside the segments, for a person to look at.

use super::Shared;
use super::folder::{self, Folder};
use super::segment::Contents;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use std::io::{self, Write};
use std::path::Path;

const FILE: &str = "set_aside.ndjson";
/// Beyond this nobody has looked for a long time: what comes then stays in its segment.
const MAX_BYTES: u64 = 64 << 20;

#[derive(Serialize)]
struct Line<'a> {
    at_ms: i64,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    /// Where the payload is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

impl Shared {
    /// Returns once it is on the disk. `at_ms`: its arrival, 0 where that is not known.
    pub(super) fn set_aside(
        &self,
        folder: &Path,
        at_ms: i64,
        reason: &str,
        payload: &[u8],
    ) -> io::Result<()> {
        let text = std::str::from_utf8(payload).ok();
        let line = Line {
            at_ms,
            reason,
            payload: text,
            payload_base64: text.is_none().then(|| STANDARD.encode(payload)),
        };
        let mut line = serde_json::to_vec(&line)?;
        line.push(b'\n');
        let path = folder.join(FILE);
        let is_new = !path.exists();
        let mut file = folder::private().append(true).create(true).open(&path)?;
        if file.metadata()?.len() > MAX_BYTES {
            return Err(io::Error::other(format!("{} is full", path.display())));
        }
        file.write_all(&line)?;
        file.sync_all()?;
        if is_new {
            Folder::sync(folder)?;
        }
        self.metrics.set_aside.inc();
        Ok(())
    }

    /// The unreadable parts of a segment.
    pub(super) fn set_damage_aside(
        &self,
        segment: &Path,
        bytes: &[u8],
        contents: &Contents,
    ) -> io::Result<()> {
        let folder = segment.parent().unwrap_or(Path::new("."));
        for damage in &contents.damaged {
            let range = damage.range.clone();
            let reason = if damage.is_tail {
                "torn tail"
            } else {
                "corrupt record"
            };
            tracing::error!(
                reason,
                segment = %segment.display(),
                offset = range.start,
                bytes = range.len(),
                "a part of the spool cannot be read and is set aside"
            );
            self.set_aside(folder, 0, reason, bytes.get(range).unwrap_or_default())?;
        }
        Ok(())
    }
}

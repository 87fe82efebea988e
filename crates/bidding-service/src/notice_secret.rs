//! The key of a laptop: made at the first start, kept in `DATA_DIR`, so that the URLs of yesterday's bids still work.

use crate::config::NoticeKey;
use anyhow::Context;
use platform::Secret;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const FILE: &str = "notice_secret";
const KID: &str = "dev";

/// The key in `data_dir`, made if it is not there yet.
pub(crate) fn load_or_create(data_dir: &Path) -> anyhow::Result<NoticeKey> {
    let path = data_dir.join(FILE);
    let context = || format!("the development key {}", path.display());
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => create(data_dir, &path).with_context(context)?,
        read => read.with_context(context)?,
    };
    let key = text.trim();
    anyhow::ensure!(
        key.len() >= crate::config::NOTICE_KEY_MIN_BYTES,
        "{} is too short for a key: remove it",
        path.display()
    );
    Ok(NoticeKey {
        kid: KID.to_owned(),
        key: Secret::new(key),
    })
}

/// Written aside and linked into place, so that of two processes starting at once both use the first one's.
fn create(data_dir: &Path, path: &Path) -> std::io::Result<String> {
    fs::create_dir_all(data_dir)?;
    let mut random = [0; 32];
    fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
    let key: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let aside = data_dir.join(format!("{FILE}.{}", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&aside)?;
    file.write_all(key.as_bytes())?;
    file.sync_all()?;
    let linked = fs::hard_link(&aside, path);
    fs::remove_file(&aside)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => {
            tracing::warn!(path = %path.display(), "NOTICE_SECRET is not set: using a key made for this folder");
            fs::read_to_string(path)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_key_survives_a_restart_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let first = load_or_create(&data_dir).unwrap();
        assert_eq!(load_or_create(&data_dir).unwrap().key, first.key);
        let mode = fs::metadata(data_dir.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_key_cut_short_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "abc").unwrap();
        assert!(load_or_create(folder.path()).is_err());
    }
}

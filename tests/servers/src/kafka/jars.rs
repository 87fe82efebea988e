//! Kafka's programs: jars that Maven brings once, kept between runs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const VERSION: &str = "4.1.0";
const OLDEST_JAVA: u32 = 17;

pub(super) struct Jars {
    folder: PathBuf,
}

impl Jars {
    /// Of the version in `TEST_KAFKA_VERSION`, such as 3.9.1. The error says what is missing.
    pub(super) fn get() -> Result<Self, String> {
        match java_version() {
            None => return Err("Java is not installed".to_owned()),
            Some(version) if version < OLDEST_JAVA => {
                return Err(format!("Java {version} is older than {OLDEST_JAVA}"));
            }
            Some(_) => {}
        }
        let version = std::env::var("TEST_KAFKA_VERSION").unwrap_or_else(|_| VERSION.to_owned());
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let kept = project.join("../../target/kafka");
        let folder = kept.join(&version);
        if !folder.join("complete").exists() {
            fetch(&project.join("kafka/pom.xml"), &version, &kept, &folder)?;
        }
        Ok(Self { folder })
    }

    pub(super) fn class_path(&self) -> String {
        format!("{}/*", self.folder.display())
    }
}

/// One test process after the other: Maven's own folder is not made for two at once. Into a folder beside it first, since it
/// may be interrupted.
fn fetch(pom: &Path, version: &str, kept: &Path, folder: &Path) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{}: {error}", kept.display());
    std::fs::create_dir_all(kept).map_err(told)?;
    let turn = File::create(kept.join("lock")).map_err(told)?;
    turn.lock().map_err(told)?;
    if folder.join("complete").exists() {
        return Ok(());
    }
    let coming = tempfile::tempdir_in(kept).map_err(told)?;
    let fetched = Command::new("mvn")
        .args(["-q", "-B", "-f"])
        .arg(pom)
        .arg(format!("-Dkafka.version={version}"))
        .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
        .arg(format!("-DoutputDirectory={}", coming.path().display()))
        .stdin(Stdio::null())
        .output()
        .map_err(|_| "Maven (mvn), which brings Kafka, is not installed".to_owned())?;
    if !fetched.status.success() {
        let output = String::from_utf8_lossy(&fetched.stdout);
        let first = output
            .lines()
            .find(|line| line.contains("ERROR"))
            .unwrap_or_default();
        return Err(format!("Maven could not bring Kafka {version}: {first}"));
    }
    std::fs::write(coming.path().join("complete"), "").map_err(told)?;
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(told)?;
    }
    std::fs::rename(coming.keep(), folder).map_err(told)
}

fn java_version() -> Option<u32> {
    let asked = Command::new("java").arg("-version").output().ok()?;
    let text = String::from_utf8_lossy(&asked.stderr).into_owned();
    // As in `openjdk version "17.0.15" 2025-04-15`.
    let version = text.split('"').nth(1)?;
    version.split(['.', '-', '+']).next()?.parse().ok()
}

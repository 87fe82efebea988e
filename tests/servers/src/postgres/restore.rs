//! A base backup, an archive of the WAL, and the way back to an instant.

use super::Server;
use std::path::PathBuf;

impl Server {
    /// Ships each segment of its WAL to a folder, at least every `seconds` while anything is written.
    pub async fn start_with_archive(seconds: u32) -> Option<Self> {
        let mut server = Self::initialized()?;
        let archive = server.archive();
        std::fs::create_dir(&archive).unwrap();
        server.account.own(&archive);
        let to = archive.display();
        server.settings = vec![
            "archive_mode=on".to_owned(),
            // A segment appears whole or not at all.
            format!("archive_command=test ! -f {to}/%f && cp %p {to}/%f.part && mv {to}/%f.part {to}/%f"),
            format!("archive_timeout={seconds}"),
        ];
        server.resume().await;
        Some(server)
    }

    /// Where [`Server::restore`] begins.
    pub fn back_up(&self) {
        let from = format!("--dbname={}", self.url("postgres"));
        let folder = self.backup();
        self.make_data_in(
            "pg_basebackup",
            &[&from, "--checkpoint=fast", "--no-sync"],
            &folder,
        );
    }

    /// Its machine is gone, and its disk with it; backup and archive are elsewhere.
    pub fn lose(&mut self) {
        self.stop();
        std::fs::remove_dir_all(self.data()).unwrap();
    }

    /// From the backup through the archive up to `instant`, at the same address; returns once it takes writes.
    pub async fn restore(&mut self, instant: &str) {
        std::fs::rename(self.backup(), self.data()).unwrap();
        std::fs::write(self.data().join("recovery.signal"), "").unwrap();
        self.settings.extend([
            format!("restore_command=cp {}/%f %p", self.archive().display()),
            // Names of zones, `Z` among them, are not known yet when the server reads this.
            format!("recovery_target_time={}", instant.replace('Z', "+00")),
            "recovery_target_action=promote".to_owned(),
            // Its standbys are gone too.
            "synchronous_standby_names=".to_owned(),
        ]);
        self.resume().await;
        self.execute(
            "postgres",
            "DO $$ BEGIN WHILE pg_is_in_recovery() LOOP PERFORM pg_sleep(0.05); END LOOP; END $$",
        )
        .await;
    }

    fn archive(&self) -> PathBuf {
        self.folder.path().join("archive")
    }

    fn backup(&self) -> PathBuf {
        self.folder.path().join("backup")
    }
}

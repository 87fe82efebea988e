//! Certificates for servers under test, made by `openssl`: an authority of our own, and a server's certificate for
//! 127.0.0.1 and `localhost`.

#![expect(clippy::unwrap_used, reason = "without certificates there is no test")]

use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// PEM files in a temporary folder.
pub struct Certificates {
    folder: TempDir,
}

impl Certificates {
    /// Panics where `openssl` is not installed.
    #[expect(
        clippy::new_without_default,
        reason = "it writes files, and differs each time"
    )]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = Self { folder };
        let key = [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ];
        let files = ["-keyout", "ca.key", "-out", "ca.crt"];
        let authority = ["req", "-x509", "-days", "2", "-subj", "/CN=test authority"];
        made.openssl(&[&authority[..], &key, &files].concat());
        let files = ["-keyout", "server.key", "-out", "server.crt"];
        let signed = ["-CA", "ca.crt", "-CAkey", "ca.key"];
        let names = [
            "-addext",
            "subjectAltName=IP:127.0.0.1,DNS:localhost",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ];
        let server = ["req", "-x509", "-days", "2", "-subj", "/CN=localhost"];
        made.openssl(&[&server[..], &signed, &key, &names, &files].concat());
        made
    }

    /// Who signed the server's: what a client trusts.
    pub fn authority(&self) -> PathBuf {
        self.path("ca.crt")
    }

    pub fn certificate(&self) -> PathBuf {
        self.path("server.crt")
    }

    /// The key of the server's certificate, readable by its owner alone.
    pub fn key(&self) -> PathBuf {
        self.path("server.key")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(Path::new(name))
    }

    fn openssl(&self, arguments: &[&str]) {
        let mut command = Command::new("openssl");
        let made = command
            .current_dir(self.folder.path())
            .args(arguments)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
}

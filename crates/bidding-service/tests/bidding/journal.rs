//! What the log says while a test runs.

use std::io::Write;
use std::sync::{Arc, Mutex};
use tracing::subscriber::DefaultGuard;

/// Everything logged on the thread that made it, for as long as it lives.
pub(crate) struct Journal {
    text: Arc<Mutex<Vec<u8>>>,
    _guard: DefaultGuard,
}

struct Pen(Arc<Mutex<Vec<u8>>>);

impl Write for Pen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Journal {
    pub(crate) fn open() -> Self {
        let text: Arc<Mutex<Vec<u8>>> = Arc::default();
        let pen = Arc::clone(&text);
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || Pen(pen.clone()))
            .finish();
        Self {
            text,
            _guard: tracing::subscriber::set_default(subscriber),
        }
    }

    /// Lines of this level that hold the words.
    pub(crate) fn count(&self, level: &str, words: &str) -> usize {
        let text = self.text.lock().unwrap();
        let text = String::from_utf8_lossy(&text);
        let is_meant = |line: &&str| line.contains(level) && line.contains(words);
        text.lines().filter(is_meant).count()
    }
}

//! What is logged while a test runs.

use std::cell::RefCell;
use std::io::{self, Write};
use std::marker::PhantomData;
use std::sync::Once;

thread_local! {
    static WRITTEN: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Everything logged on the thread that opened it, for as long as it lives: a line each, as JSON.
///
/// There is one subscriber for all threads. With one for each, whether a line is wanted would be decided, for good, by the
/// first thread to come to it, and that may be another test's without any.
pub struct Journal {
    /// It stays on its thread.
    _thread: PhantomData<*const ()>,
}

struct Pen;

impl Write for Pen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A thread that is ending may have none any more.
        let written =
            WRITTEN.try_with(|written| written.borrow_mut().as_mut().map(|written| written.write(bytes)));
        written.ok().flatten().unwrap_or(Ok(bytes.len()))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Journal {
    /// # Panics
    ///
    /// Where the thread has one open already, or the process a subscriber of another kind.
    pub fn open() -> Self {
        static SUBSCRIBED: Once = Once::new();
        SUBSCRIBED.call_once(|| {
            tracing_subscriber::fmt()
                .json()
                .flatten_event(true)
                .with_writer(|| Pen)
                .init();
        });
        let before = WRITTEN.replace(Some(Vec::new()));
        assert!(before.is_none(), "a journal is open on this thread");
        Self { _thread: PhantomData }
    }

    /// Each line so far.
    pub fn lines(&self) -> Vec<String> {
        WRITTEN.with_borrow(|written| {
            let written = written.as_deref().unwrap_or_default();
            String::from_utf8_lossy(written)
                .lines()
                .map(str::to_owned)
                .collect()
        })
    }

    /// Lines of this level that hold the words.
    pub fn count(&self, level: &str, words: &str) -> usize {
        let is_meant = |line: &&String| line.contains(level) && line.contains(words);
        self.lines().iter().filter(is_meant).count()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        WRITTEN.take();
    }
}

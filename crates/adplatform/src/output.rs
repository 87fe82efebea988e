//! What commands say on standard output.

use std::fmt::Display;
use std::io::{ErrorKind, Write};

/// One line. Whoever closes the pipe early, `head` say, wants no more of it.
pub(crate) fn print_line(line: impl Display) -> std::io::Result<()> {
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

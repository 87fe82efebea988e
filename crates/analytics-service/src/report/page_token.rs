//! Where the next page of a report goes on. Opaque to clients; it holds nothing to hide, and no right: what a caller
//! may see is decided anew for each page.

use super::span::Span;
use std::fmt;
use std::str::FromStr;

/// The rows to skip, and the span: a report up to "now" keeps its end from page to page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageToken {
    pub(super) offset: u32,
    pub(super) span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotAToken;

impl fmt::Display for PageToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:x}-{:x}-{:x}",
            self.offset, self.span.start_ms, self.span.end_ms
        )
    }
}

impl FromStr for PageToken {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        let mut parts = text.split('-');
        let mut part = || i64::from_str_radix(parts.next()?, 16).ok();
        let (Some(offset), Some(start_ms), Some(end_ms)) = (part(), part(), part()) else {
            return Err(NotAToken);
        };
        let offset = u32::try_from(offset).map_err(|_| NotAToken)?;
        let span = Span { start_ms, end_ms };
        if parts.next().is_some() || Span::aligned(start_ms, end_ms) != Ok(span) {
            return Err(NotAToken);
        }
        Ok(Self { offset, span })
    }
}

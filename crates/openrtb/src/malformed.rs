use thiserror::Error;

/// Why a body is no bid request: each is a 400 without a body, and there is no other reason for one.
///
/// | kind | rule |
/// |---|---|
/// | `NotUtf8`, `Syntax`, `NotAnObject` | 2.3: a request is a JSON object; RFC 8259 makes that UTF-8 |
/// | `TooDeep` | ours: more than [`crate::DEPTH_LIMIT`] objects and arrays inside each other |
/// | `MissingId` | 3.2.1: the response has to echo it |
/// | `NoImp` | 3.2.1: at least one |
/// | `MissingImpId` | 3.2.4: a bid has to name its imp exactly |
/// | `DuplicateImpId` | 3.2.4: unique within the request |
/// | `NegativeSize` | 3.2.6, 3.2.7, 3.2.10, 3.2.18: a width, height or ratio of a banner, format, video or screen |
/// | `SeveralInventories` | 3.2.1: at most one of `site`, `app`, `dooh` |
///
/// Everything else that is unknown, of another type or out of range is read as absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum Malformed {
    #[error("body is not utf-8")]
    NotUtf8,
    #[error("body is not json: unexpected byte or end at offset {offset}")]
    Syntax { offset: usize },
    #[error("body is json, but not an object")]
    NotAnObject,
    #[error("body is nested too deeply")]
    TooDeep,
    #[error("id is missing")]
    MissingId,
    #[error("imp is missing or empty")]
    NoImp,
    #[error("imp.id is missing")]
    MissingImpId,
    #[error("imp.id is not unique")]
    DuplicateImpId,
    /// Holds the path of the field, without indices.
    #[error("{0} is negative")]
    NegativeSize(&'static str),
    #[error("more than one of site, app and dooh")]
    SeveralInventories,
}

//! Redis' errors in the words of the ports.

use redis::{ErrorKind, RedisError, ServerErrorKind};
use storage::StorageError;

/// Answers of a server that is there and cannot do it now. They stand at the beginning of the error or, from inside a
/// script of Redis 6, somewhere in it.
const NOT_NOW: [&str; 17] = [
    "OOM ",
    "READONLY ",
    "MISCONF ",
    "NOREPLICAS ",
    "TRYAGAIN ",
    "CLUSTERDOWN ",
    "MASTERDOWN ",
    "LOADING ",
    "BUSY ",
    "NOAUTH ",
    "WRONGPASS ",
    "NOPERM ",
    // A master became a replica while somebody waited for a replica of its.
    "UNBLOCKED ",
    // A script met a key that is on its way to another node, as Redis 6 and 7.2 say it, and as 7.4 and Valkey 8 do.
    "non local key",
    "rehashing of the slot",
    "a slot not served",
    "the cluster is down",
];

pub(crate) fn unavailable(why: impl std::fmt::Display) -> StorageError {
    StorageError::Unavailable(format!("redis: {why}"))
}

const REBUILDING: &str = "the ledger is being rebuilt";

pub(crate) fn rebuilding() -> StorageError {
    StorageError::Unavailable(REBUILDING.to_owned())
}

pub(crate) fn is_rebuilding(error: &StorageError) -> bool {
    matches!(error, StorageError::Unavailable(why) if why == REBUILDING)
}

pub(crate) fn corrupt(why: &str) -> StorageError {
    StorageError::Corrupt(format!("redis: {why}"))
}

pub(crate) fn storage_error(error: &RedisError) -> StorageError {
    let text = error.to_string();
    let is_about_now = match error.kind() {
        ErrorKind::Server(ServerErrorKind::ResponseError | ServerErrorKind::ExecAbort)
        | ErrorKind::Extension => {
            let code = error.code().map(|code| format!("{code} ")).unwrap_or_default();
            NOT_NOW.iter().any(|known| *known == code || text.contains(known))
        }
        ErrorKind::Parse
        | ErrorKind::UnexpectedReturnType
        | ErrorKind::Server(ServerErrorKind::CrossSlot) => false,
        _ => true,
    };
    if is_about_now {
        unavailable(text)
    } else {
        corrupt(&text)
    }
}

/// The connection may be dead, or of a server that is no longer who it was.
pub(crate) fn breaks_connection(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_timeout()
        || error.is_connection_dropped()
        || error.is_unrecoverable_error()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_unavailable_and_what_may_not_is_corrupt() {
        let extension =
            |code: &str, detail: &str| redis::make_extension_error(code.to_owned(), Some(detail.to_owned()));
        for error in [
            extension("OOM", "command not allowed when used memory > 'maxmemory'."),
            extension(
                "ERR",
                "Error running script: @user_script: 40: -OOM command not allowed",
            ),
            extension(
                "ERR",
                "Script attempted to access a non local key in a cluster node",
            ),
            extension(
                "ERR",
                "Unable to execute command 'exists' in script because undeclared keys were accessed during rehashing of \
                 the slot script: 1f0",
            ),
            extension("ERR", "Script attempted to access a slot not served"),
            extension("CLUSTERDOWN", "the cluster is down"),
            extension(
                "UNBLOCKED",
                "force unblock from blocking operation, instance state changed (master -> replica?)",
            ),
            RedisError::from(std::io::Error::other("gone")),
        ] {
            assert!(
                matches!(storage_error(&error), StorageError::Unavailable(_)),
                "{error:?}"
            );
        }
        let wrong = extension(
            "WRONGTYPE",
            "Operation against a key holding the wrong kind of value",
        );
        assert!(matches!(storage_error(&wrong), StorageError::Corrupt(_)));
    }
}

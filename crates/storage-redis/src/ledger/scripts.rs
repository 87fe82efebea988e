//! The ledger's scripts: one for each operation, and what they share before each.

use crate::router::Script;

pub(super) struct Scripts {
    pub(super) renew: Script,
    pub(super) win: Script,
    pub(super) bill: Script,
    pub(super) touch: Script,
    pub(super) outbox: Script,
    pub(super) appended: Script,
    pub(super) balances: Script,
    pub(super) forget: Script,
    pub(super) claim: Script,
    pub(super) restore: Script,
    pub(super) rebuilt: Script,
}

macro_rules! with_books {
    ($file:literal) => {
        Script::new(concat!(include_str!("scripts/books.lua"), include_str!($file)))
    };
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            renew: with_books!("scripts/renew.lua"),
            win: with_books!("scripts/win.lua"),
            bill: with_books!("scripts/bill.lua"),
            touch: Script::new(include_str!("scripts/touch.lua")),
            outbox: Script::new(include_str!("scripts/outbox.lua")),
            appended: Script::new(include_str!("scripts/appended.lua")),
            balances: with_books!("scripts/balances.lua"),
            forget: with_books!("scripts/forget.lua"),
            claim: with_books!("scripts/claim.lua"),
            restore: with_books!("scripts/restore.lua"),
            rebuilt: with_books!("scripts/rebuilt.lua"),
        }
    }
}

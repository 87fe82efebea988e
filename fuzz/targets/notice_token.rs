//! Tokens of notices and events. Any text is refused or opened; any fields that can be read are the same after they were
//! sealed, and none of what was sealed opens once a character of it is another.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use service::token::{BadToken, TokenKind, TokenSealer, layout};

/// The token's own files alone: the service takes minutes to build.
#[path = "../../crates/bidding-service/src"]
#[allow(dead_code, unused_imports, reason = "the service uses the rest")]
mod service {
    pub(crate) mod token;
}

const KINDS: [TokenKind; 7] = [
    TokenKind::Win,
    TokenKind::Billing,
    TokenKind::Loss,
    TokenKind::Impression,
    TokenKind::Click,
    TokenKind::Video,
    TokenKind::Conversion,
];

static SEALER: LazyLock<TokenSealer> =
    LazyLock::new(|| TokenSealer::new(&[("k1", [7_u8; 32]), ("k0", [8_u8; 32])]).unwrap());

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (kind, position, bytes) = input;
    let kind = KINDS[usize::from(kind) % KINDS.len()];
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert_eq!(SEALER.open(kind, 0, text), Err(BadToken::Forged));
        assert!(SEALER.open_click(0, text).is_err());
    }
    let bid_id = domain::id::BidId(u128::from(position));
    let Ok(fields) = layout::read(kind.envelope(), bid_id, bytes) else {
        return;
    };
    let arena = bumpalo::Bump::new();
    let sealed = SEALER.seal_in(&arena, kind.envelope(), &fields);
    let mut text = SEALER.token_in(&arena, kind, sealed).concat();
    // Expired by a clock that stands at its latest.
    let opened = SEALER.open(kind, i64::MIN, &text);
    assert!(opened.is_err() || opened.as_ref() == Ok(&fields), "{opened:?} {fields:?}");
    assert_ne!(opened, Err(BadToken::Forged));
    let position = usize::from(position) % text.len();
    let other = if text.as_bytes()[position] == b'A' { "B" } else { "A" };
    text.replace_range(position..=position, other);
    assert_eq!(SEALER.open(kind, i64::MIN, &text), Err(BadToken::Forged));
});

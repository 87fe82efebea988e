//! Any bytes as a bid request: refused with a reason or read, never a panic; what was read obeys the rules of `Malformed`.
#![no_main]

use bumpalo::Bump;
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;

fuzz_target!(|body: &[u8]| {
    let arena = Bump::new();
    let Ok(request) = openrtb::read_request(body, &arena) else {
        return;
    };
    assert!(!request.imp.is_empty(), "a request without imps is malformed");
    let ids: BTreeSet<&str> = request.imp.iter().map(|imp| imp.id).collect();
    assert_eq!(ids.len(), request.imp.len(), "two imps with one id are malformed");
});

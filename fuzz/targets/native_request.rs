//! Any text as the string in `imp.native.request`.
#![no_main]

use bumpalo::Bump;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let arena = Bump::new();
    // Refused or read; the assets are what the engine's conditions look at.
    if let Ok(request) = openrtb::native::read_request(text, &arena) {
        for asset in request.assets {
            std::hint::black_box(asset);
        }
    }
});

//! Any bytes as a bid response; what can be read is written so that it reads the same.
#![no_main]

use bumpalo::Bump;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let arena = Bump::new();
    let Ok(response) = openrtb::read_response(body, &arena) else {
        return;
    };
    let mut written = Vec::new();
    openrtb::write_response(&response, &mut written);
    let again = openrtb::read_response(&written, &arena).expect("what we write can be read");
    let mut rewritten = Vec::new();
    openrtb::write_response(&again, &mut rewritten);
    assert_eq!(written, rewritten);
});

//! Files of crawlers, data centres and sellers: whatever is in them is a list or refused by its line, and can be asked.
#![no_main]

use bidding_engine::{AdsTxt, Crawlers, Networks};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    // The last line asks, those before are the list.
    let (list, question) = text.rsplit_once('\n').unwrap_or((text, text));
    if let Ok(crawlers) = Crawlers::parse(list) {
        let _ = crawlers.names(question);
        assert!(!crawlers.is_empty());
    }
    if let Ok(networks) = Networks::parse(list) {
        if let Ok(address) = question.trim().parse() {
            let _ = networks.contains(address);
        }
        assert!(!networks.is_empty());
    }
    for parse in [AdsTxt::sites, AdsTxt::apps] {
        assert!(parse(list).is_ok_and(|sellers| !sellers.is_empty()) || parse(list).is_err());
    }
});

//! The engine by operations: campaigns come, change and go, requests of any kind are sent, and at each one the search must
//! decide as the linear reference. The operations are those of the engine's own law, drawn from the fuzzer's bytes.
#![no_main]

#[path = "../../crates/bidding-engine/tests/engine/law.rs"]
mod law;
#[path = "../../crates/bidding-engine/tests/engine/world.rs"]
mod world;

use libfuzzer_sys::{Corpus, fuzz_target};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let random = TestRng::from_seed(RngAlgorithm::PassThrough, bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let Ok(history) = law::history().new_tree(&mut runner) else {
        return Corpus::Reject;
    };
    law::decide_alike(history.current());
    Corpus::Keep
});

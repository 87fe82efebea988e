//! The engine by operations: campaigns come, change and go, requests of any kind are sent, and at each one the search must
//! decide as the linear reference. The operations are those of the engine's own law, drawn from a seed that the
//! fuzzer's bytes give.
#![no_main]

#[allow(dead_code, reason = "the tests of the engine use the rest")]
#[path = "../../crates/bidding-engine/tests/engine/drawn.rs"]
mod drawn;
#[allow(dead_code, reason = "the tests of the engine use the rest")]
#[path = "../../crates/bidding-engine/tests/engine/law.rs"]
mod law;
#[allow(dead_code, reason = "the tests of the engine use the rest")]
#[path = "../../crates/bidding-engine/tests/engine/world.rs"]
mod world;

use libfuzzer_sys::{Corpus, fuzz_target};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// A seed of the generator: proptest draws histories of sound shape from it. Handing it the bytes themselves is no use, since it
/// splits them until they run out, and then some draws never end.
fn seed_from(bytes: &[u8]) -> [u8; 32] {
    let mut seed = [0_u8; 32];
    for (at, byte) in bytes.iter().enumerate() {
        seed[at % 32] = seed[at % 32].wrapping_mul(31).wrapping_add(*byte);
    }
    seed
}

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed_from(bytes));
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let Ok(history) = law::history().new_tree(&mut runner) else {
        return Corpus::Reject;
    };
    law::decide_alike(history.current());
    Corpus::Keep
});

//! Random numbers that repeat: `SplitMix64` (Steele, Lea, Flood, OOPSLA 2014).

#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// 0 to `below - 1`.
    pub(super) fn roll(&mut self, below: u64) -> u64 {
        self.next() % below
    }

    pub(super) fn nanos(&mut self, below: i64) -> i64 {
        i64::try_from(self.roll(below.unsigned_abs())).expect("less than an i64")
    }
}

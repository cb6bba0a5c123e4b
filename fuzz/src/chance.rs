//! A world's chance: the fuzzer's bytes first, and numbers when there are no more of them.

/// Takes no more bytes for a number than its bound needs.
#[derive(Clone, Debug)]
pub(crate) struct Chance {
    bytes: Vec<u8>,
    at: usize,
    state: u64,
}

impl Chance {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.to_vec(),
            at: 0,
            state: 0,
        }
    }

    /// Whether there are bytes still.
    pub(crate) fn is_left(&self) -> bool {
        self.at < self.bytes.len()
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let bound = bound.max(1);
        if !self.is_left() {
            return self.next() % bound;
        }
        let bits = u64::BITS - (bound - 1).leading_zeros();
        let mut drawn = 0_u64;
        for _ in 0..bits.div_ceil(u8::BITS) {
            let byte = self.bytes.get(self.at).copied().unwrap_or(0);
            self.at += 1;
            drawn = drawn << u8::BITS | u64::from(byte);
        }
        drawn % bound
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

//! Chance from a seed.

use alloc::string::String;

/// SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below the length of a list; 0 for an empty one.
    pub(crate) fn below(&mut self, len: usize) -> usize {
        // What is cut off is less than the length.
        (self.next() % (len as u64).max(1)) as usize
    }

    /// A name that nobody had before, in all likelihood.
    pub(crate) fn name(&mut self, len: usize) -> String {
        const LETTERS: &[u8; 62] =
            b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let letters = (0..len).map(|_| char::from(LETTERS[self.below(LETTERS.len())]));
        letters.collect()
    }
}

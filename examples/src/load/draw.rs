//! Who is next: users drawn from a seed, the same ones for the same seed.

/// `SplitMix64` (Steele, Lea and Flood, 2014).
#[derive(Clone, Debug)]
pub(crate) struct Draw {
    state: u64,
    users: u64,
    hot: u64,
}

impl Draw {
    /// The draws of one worker.
    pub(crate) fn new(seed: u64, worker: u64, users: usize, hot: u64) -> Self {
        let mut mixed = Self {
            state: seed,
            users: users as u64,
            hot,
        };
        // Far from the other workers' beginnings, which are a step or two apart.
        mixed.state = mixed.next() ^ worker.wrapping_mul(0xd605_bbb5_8c8a_bbfd);
        mixed
    }

    /// The next user's number.
    pub(crate) fn user(&mut self) -> usize {
        if self.hot > 0 && self.below(100) < self.hot {
            return 0;
        }
        usize::try_from(self.below(self.users)).expect("below a usize")
    }

    fn below(&mut self, end: u64) -> u64 {
        // By multiplication; the unevenness of 1 in 2^64 / end is of no account here.
        u64::try_from((u128::from(self.next()) * u128::from(end)) >> 64).expect("below end")
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::Draw;

    #[test]
    fn a_seed_says_who_is_drawn() {
        let drawn = |seed, worker| {
            let mut draw = Draw::new(seed, worker, 1_000, 0);
            (0..8).map(|_| draw.user()).collect::<Vec<_>>()
        };
        assert_eq!(drawn(7, 0), drawn(7, 0));
        assert_ne!(drawn(7, 0), drawn(7, 1));
        assert_ne!(drawn(7, 0), drawn(8, 0));
    }

    #[test]
    fn all_are_drawn_and_the_hot_one_as_often_as_asked() {
        let count = |hot| {
            let mut draw = Draw::new(1, 0, 10, hot);
            let mut counts = [0_u32; 10];
            (0..10_000).for_each(|_| counts[draw.user()] += 1);
            counts
        };
        assert!(count(0).iter().all(|times| (800..1_200).contains(times)));
        let hot = count(50);
        assert!((5_200..5_800).contains(&hot[0]), "{hot:?}");
        assert_eq!(count(100)[0], 10_000);
    }
}

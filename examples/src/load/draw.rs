//! Who is next: keys drawn from a seed, the same ones for the same seed.

use std::sync::Arc;

/// Which keys there are, and how they are drawn.
#[derive(Clone, Debug)]
pub struct Pick {
    /// How many.
    pub keys: usize,
    skew: Skew,
    /// For each key how often it or one before it is drawn, of 1 in all.
    upto: Arc<[f64]>,
}

/// How unevenly keys are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Skew {
    /// Each as often as any other.
    Even,
    /// The first one so many times of a hundred, the others evenly.
    Hot(u64),
    /// The n-th one as often as 1/n to this power (Zipf); at 1 the first is drawn twice as often as
    /// the second.
    Zipf(f64),
}

impl Pick {
    /// Of so many keys, at least one.
    pub fn new(keys: usize, skew: Skew) -> Self {
        let upto = match skew {
            Skew::Even | Skew::Hot(_) => Arc::default(),
            Skew::Zipf(power) => zipf(keys, power),
        };
        Self { keys, skew, upto }
    }
}

#[allow(clippy::cast_precision_loss, reason = "there are fewer than 2^52 keys")]
fn zipf(keys: usize, power: f64) -> Arc<[f64]> {
    let mut sum = 0.0;
    let sums = (1..=keys).map(|rank| {
        sum += (rank as f64).powf(-power);
        sum
    });
    let sums: Vec<f64> = sums.collect();
    sums.iter().map(|upto| upto / sum).collect()
}

/// `SplitMix64` (Steele, Lea and Flood, 2014).
#[derive(Clone, Debug)]
pub struct Draw {
    state: u64,
    pick: Pick,
}

impl Draw {
    /// The draws of one worker.
    pub fn new(seed: u64, worker: u64, pick: &Pick) -> Self {
        let mut mixed = Self {
            state: seed,
            pick: pick.clone(),
        };
        // Far from the other workers' beginnings, which are a step or two apart.
        mixed.state = mixed.next() ^ worker.wrapping_mul(0xd605_bbb5_8c8a_bbfd);
        mixed
    }

    /// The next key's number.
    ///
    /// # Panics
    ///
    /// Never: it is below a `usize`.
    #[allow(clippy::cast_precision_loss, reason = "53 bits are drawn")]
    pub fn key(&mut self) -> usize {
        match self.pick.skew {
            Skew::Hot(times) => {
                if self.below(100) < times {
                    return 0;
                }
            }
            Skew::Even => {}
            Skew::Zipf(_) => {
                let drawn = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
                let rank = self.pick.upto.partition_point(|upto| *upto <= drawn);
                return rank.min(self.pick.keys - 1);
            }
        }
        usize::try_from(self.below(self.pick.keys as u64)).expect("below a usize")
    }

    /// A number below the end, each as often as any other; 0 when there is none.
    ///
    /// # Panics
    ///
    /// Never: it is below a `u64`.
    pub fn below(&mut self, end: u64) -> u64 {
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
    use super::{Draw, Pick, Skew};

    #[test]
    fn a_seed_says_who_is_drawn() {
        let drawn = |seed, worker| {
            let mut draw = Draw::new(seed, worker, &Pick::new(1_000, Skew::Even));
            (0..8).map(|_| draw.key()).collect::<Vec<_>>()
        };
        assert_eq!(drawn(7, 0), drawn(7, 0));
        assert_ne!(drawn(7, 0), drawn(7, 1));
        assert_ne!(drawn(7, 0), drawn(8, 0));
    }

    #[test]
    fn all_are_drawn_and_the_hot_one_as_often_as_asked() {
        let count = |skew| {
            let mut draw = Draw::new(1, 0, &Pick::new(10, skew));
            let mut counts = [0_u32; 10];
            (0..10_000).for_each(|_| counts[draw.key()] += 1);
            counts
        };
        assert!(
            count(Skew::Even)
                .iter()
                .all(|times| (800..1_200).contains(times))
        );
        let hot = count(Skew::Hot(50));
        assert!((5_200..5_800).contains(&hot[0]), "{hot:?}");
        assert_eq!(count(Skew::Hot(100))[0], 10_000);
        let zipf = count(Skew::Zipf(1.0));
        // 1, 1/2, … 1/10 of a sum of 2.929.
        assert!((3_300..3_530).contains(&zipf[0]), "{zipf:?}");
        assert!((280..400).contains(&zipf[9]), "{zipf:?}");
        assert!(
            count(Skew::Zipf(0.0))
                .iter()
                .all(|times| (800..1_200).contains(times))
        );
    }
}

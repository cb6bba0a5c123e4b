//! Randomness by name: removing one draw leaves all others as they were.

use siphasher::sip128::SipHasher24;

/// Named dice: a draw depends on (key, purpose, ordinal) only.
///
/// The key is fresh for each incarnation of a node (from the operating system in production, from
/// the seed in simulation) and is written to the flight recorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dice {
    key: u128,
}

/// What a draw is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
#[non_exhaustive]
pub enum Purpose {
    /// When an attempt is sent again: how long to wait.
    RetryJitter = 1,
    /// The identity of a commit.
    CommitId = 2,
    /// The identity of a claim.
    ClaimId = 3,
    /// The identity of an atomic batch.
    BatchId = 4,
    /// The random bits of a command id.
    CommandId = 5,
    /// The identity and the hash key of a layout.
    Layout = 6,
    /// The identity of a kind's record.
    KindId = 7,
    /// The name of a snapshot's body.
    SnapshotTag = 8,
    /// The identity of one run of a node.
    Incarnation = 9,
    /// What an actor's code draws.
    Handler = 10,
    /// The secret by which keys are found.
    Keys = 11,
    /// A choice of the simulator.
    World = 64,
}

impl Dice {
    /// Dice under a key.
    pub const fn new(key: u128) -> Self {
        Self { key }
    }

    /// Dice of their own for a part of the node (a shard, a lane), so that parts do not share draws.
    pub fn fork(self, part: u64) -> Self {
        Self {
            key: self.draw(0, part),
        }
    }

    /// 128 random bits.
    pub fn roll128(self, purpose: Purpose, ordinal: u64) -> u128 {
        self.draw(purpose as u8, ordinal)
    }

    /// 64 random bits.
    pub fn roll(self, purpose: Purpose, ordinal: u64) -> u64 {
        let [.., a, b, c, d, e, f, g, h] = self.draw(purpose as u8, ordinal).to_le_bytes();
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub fn below(self, purpose: Purpose, ordinal: u64, bound: u64) -> u64 {
        let wide = u128::from(self.roll(purpose, ordinal)) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    fn draw(self, purpose: u8, ordinal: u64) -> u128 {
        let [a, b, c, d, e, f, g, h] = ordinal.to_le_bytes();
        let hasher = SipHasher24::new_with_key(&self.key.to_le_bytes());
        hasher.hash(&[purpose, a, b, c, d, e, f, g, h]).as_u128()
    }
}

#[cfg(test)]
mod tests {
    use super::{Dice, Purpose};

    #[test]
    fn draws_depend_on_key_purpose_and_ordinal_only() {
        let dice = Dice::new(7);
        let draw = dice.roll128(Purpose::ClaimId, 3);
        assert_eq!(draw, Dice::new(7).roll128(Purpose::ClaimId, 3));
        assert_ne!(draw, dice.roll128(Purpose::ClaimId, 4));
        assert_ne!(draw, dice.roll128(Purpose::CommitId, 3));
        assert_ne!(draw, Dice::new(8).roll128(Purpose::ClaimId, 3));
        assert_ne!(draw, dice.fork(0).roll128(Purpose::ClaimId, 3));
    }

    #[test]
    fn below_stays_below() {
        let dice = Dice::new(1);
        assert_eq!(dice.below(Purpose::RetryJitter, 0, 0), 0);
        assert!((0..1_000).all(|n| dice.below(Purpose::RetryJitter, n, 10) < 10));
        assert!((0..10).all(|v| (0..1_000).any(|n| dice.below(Purpose::RetryJitter, n, 10) == v)));
    }
}

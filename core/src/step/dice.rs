//! Randomness by name: removing one draw leaves all others as they were.

/// Named dice: a draw depends on (key, purpose, ordinal) only.
///
/// The key is fresh for each incarnation of a node (from the operating system in production, from
/// the seed in simulation) and is written to the flight recorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
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
    /// When a consumer hands an event over again: how long to wait.
    HandlerRetry = 12,
    /// The name of a consumer at the store.
    ConsumerName = 13,
    /// One run of a consumer.
    ConsumerRun = 14,
    /// The identity of an event of the bus.
    PublicationId = 15,
    /// When a node acts on what it knows of a group of consumers: how long it waits.
    Group = 16,
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

    /// SipHash-2-4 with 128 bits of the purpose and the ordinal, nine bytes: two words, the length at the
    /// end of the latter. Simulations draw more often than they do anything else.
    fn draw(self, purpose: u8, ordinal: u64) -> u128 {
        let [a, b, c, d, e, f, g, h, rest @ ..] = self.key.to_le_bytes();
        let k0 = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let k1 = u64::from_le_bytes(rest);
        let words = [u64::from(purpose) | ordinal << 8, 9 << 56 | ordinal >> 56];
        let mut state = Sip([
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ]);
        for word in words {
            state.0[3] ^= word;
            state.round();
            state.round();
            state.0[0] ^= word;
        }
        state.0[2] ^= 0xee;
        let low = state.half();
        state.0[1] ^= 0xdd;
        let high = state.half();
        u128::from(low) | u128::from(high) << 64
    }
}

/// The state of SipHash (Aumasson and Bernstein, 2012).
struct Sip([u64; 4]);

impl Sip {
    #[inline]
    fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.0;
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        self.0 = [a, b, c, d];
    }

    /// Half of the hash.
    #[inline]
    fn half(&mut self) -> u64 {
        for _ in 0..4 {
            self.round();
        }
        let [a, b, c, d] = self.0;
        a ^ b ^ c ^ d
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
    fn a_draw_is_the_hash_of_its_name() {
        use siphasher::sip128::SipHasher24;
        for n in 0..1_000_u64 {
            let key = u128::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
            let ordinal = n.wrapping_mul(0xD1B5_4A32_D192_ED03);
            let [a, b, c, d, e, f, g, h] = ordinal.to_le_bytes();
            let hasher = SipHasher24::new_with_key(&key.to_le_bytes());
            let purpose = Purpose::World as u8;
            let hash = hasher.hash(&[purpose, a, b, c, d, e, f, g, h]).as_u128();
            assert_eq!(Dice::new(key).roll128(Purpose::World, ordinal), hash);
        }
    }

    #[test]
    fn below_stays_below() {
        let dice = Dice::new(1);
        assert_eq!(dice.below(Purpose::RetryJitter, 0, 0), 0);
        assert!((0..1_000).all(|n| dice.below(Purpose::RetryJitter, n, 10) < 10));
        assert!((0..10).all(|v| (0..1_000).any(|n| dice.below(Purpose::RetryJitter, n, 10) == v)));
    }
}

//! The shard map: which node is to own a place, by weighted rendezvous hashing (HRW).
//!
//! Each member draws a ticket for a place out of both names alone, and the best one owns it. So all
//! nodes that know the same members agree, whatever their order and whatever the platform: there is
//! integer arithmetic only. Who joins takes from each of the others, who leaves gives to each of
//! them, and no place moves between two that stay.

use super::Place;
use crate::format::TakeOver;
use crate::name::NodeName;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::hash::Hasher;
use siphasher::sip::SipHasher24;
use siphasher::sip128::{Hasher128, SipHasher24 as SipHasher128};

/// Which node of a set is to own a place.
///
/// ```
/// use tenure_core::format::TakeOver;
/// use tenure_core::id::ShardId;
/// use tenure_core::name::NodeName;
/// use tenure_core::shard::{Place, ShardMap};
///
/// let [ada, bea] = ["ada", "bea"].map(|name| NodeName::new(name).unwrap());
/// let map = ShardMap::new([(ada, 100), (bea, 100)]);
/// let place = Place { class: TakeOver::Fenced, shard: ShardId(7) };
/// assert!(map.owner(place).is_some());
/// assert_eq!(map.rank(place, 2).len(), 2);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct ShardMap {
    members: Vec<Member>,
    /// All have one weight, so the draws alone decide.
    even: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
struct Member {
    name: NodeName,
    weight: u16,
    /// What its draws are made of.
    key: u128,
}

/// How good a member's ticket for a place is; the least one owns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
struct Ticket {
    /// −ln(u) ÷ weight, in units that all members share, for a draw u between 0 and 1: the least of
    /// such numbers is a member's with the chance of its weight in the sum of all.
    cost: u64,
    /// The draw's complement; for one weight it falls as the cost does, but never ties.
    tie: u64,
}

/// Bits behind the point in [`neg_log2`]: with six before it and a shift by 24 a cost fits 64 bits.
const FRACTION_BITS: u32 = 32;
const COST_SHIFT: u32 = 24;

impl ShardMap {
    /// A map over members with their weights. Weight 0 owns nothing; a name that comes twice counts
    /// once, with its last weight.
    pub fn new(members: impl IntoIterator<Item = (NodeName, u16)>) -> Self {
        let members: BTreeMap<NodeName, u16> = members.into_iter().collect();
        let members = members.into_iter().filter(|(_, weight)| *weight > 0);
        let members: Vec<_> = members
            .map(|(name, weight)| Member {
                key: key_of(&name),
                name,
                weight,
            })
            .collect();
        let even = members.windows(2).all(|two| two[0].weight == two[1].weight);
        Self { members, even }
    }

    /// Who is to own a place; `None` when nobody can.
    pub fn owner(&self, place: Place) -> Option<&NodeName> {
        self.owner_of(&bytes_of(place))
    }

    /// The same of whatever else is owned: its bytes begin otherwise than those of places, which begin
    /// with their class.
    pub(crate) fn owner_of(&self, bytes: &[u8]) -> Option<&NodeName> {
        let draws = self
            .members
            .iter()
            .map(|member| (member, draw(member, bytes)));
        let best = match self.even {
            // The cost falls as the draw rises, and equal costs go by the draw.
            true => draws.max_by_key(|(member, draw)| (*draw, core::cmp::Reverse(&member.name))),
            false => {
                draws.min_by_key(|(member, draw)| (ticket(member, *draw), member.name.clone()))
            }
        };
        best.map(|(member, _)| &member.name)
    }

    /// The `count` best for a place, the owner first: who comes next when it is gone.
    pub fn rank(&self, place: Place, count: usize) -> Vec<&NodeName> {
        let bytes = bytes_of(place);
        let mut ranked: Vec<_> = self
            .members
            .iter()
            .map(|member| (ticket(member, draw(member, &bytes)), &member.name))
            .collect();
        ranked.sort_unstable();
        ranked.truncate(count);
        ranked.into_iter().map(|(_, name)| name).collect()
    }

    /// Whether nobody can own anything.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

/// SipHash-2-4 with 128 bits of a node's name, under a key that is part of the protocol.
fn key_of(name: &NodeName) -> u128 {
    let mut hasher = SipHasher128::new_with_key(b"tenure shard map");
    hasher.write(name.as_str().as_bytes());
    hasher.finish128().as_u128()
}

/// A place as it is drawn for.
fn bytes_of(place: Place) -> [u8; 3] {
    let class = match place.class {
        TakeOver::Fenced => b'f',
        TakeOver::Leased => b'l',
    };
    let [high, low] = place.shard.0.to_be_bytes();
    [class, high, low]
}

/// A member's draw for what is to be owned: SipHash-2-4 of its bytes under the member's key.
fn draw(member: &Member, bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher24::new_with_key(&member.key.to_be_bytes());
    hasher.write(bytes);
    hasher.finish()
}

fn ticket(member: &Member, draw: u64) -> Ticket {
    Ticket {
        cost: (neg_log2(draw) << COST_SHIFT) / u64::from(member.weight),
        tie: !draw,
    }
}

/// −log2((draw + 1) ÷ 2^64), with [`FRACTION_BITS`] bits behind the point, rounded up. It falls as
/// the draw rises.
fn neg_log2(draw: u64) -> u64 {
    let Some(number) = draw.checked_add(1) else {
        return 0;
    };
    let whole = 63 - number.leading_zeros();
    // The number as 1 to 2, with 63 bits behind the point; each squaring gives one bit of its
    // logarithm.
    let mut mantissa = number << number.leading_zeros();
    let mut log = u64::from(whole);
    for _ in 0..FRACTION_BITS {
        let square = u128::from(mantissa) * u128::from(mantissa);
        let bit = square >> 127;
        // Below 2^128, and 2^126 or more: as a number of 64 bits again.
        mantissa = (square >> (63 + bit)) as u64;
        log = log << 1 | bit as u64;
    }
    (64 << FRACTION_BITS) - log
}

#[cfg(test)]
mod tests {
    use super::{FRACTION_BITS, neg_log2};

    #[test]
    fn the_logarithm_is_right_to_its_last_bits_and_falls() {
        let unit = f64::from(2_u32).powi(i32::try_from(FRACTION_BITS).unwrap());
        let mut before = u64::MAX;
        let draws = (0..64).flat_map(|bits| {
            let top = 1_u64 << bits;
            [top - 1, top, top | top >> 1, top | (top - 1)]
        });
        for draw in draws {
            let got = neg_log2(draw);
            let wanted = 64.0 - (draw as f64 + 1.0).log2();
            let off = (got as f64 / unit - wanted).abs();
            assert!(off < 1e-8, "{draw}: {got}, {wanted}");
            assert!(got <= before, "{draw}");
            before = got;
        }
        assert_eq!(neg_log2(u64::MAX), 0);
        assert_eq!(neg_log2(0), 64 << FRACTION_BITS);
    }
}

//! The user's state of an entity: a register whose digest pins the whole history behind it.

use bytes::{BufMut, Bytes, BytesMut};
use tenure_core::id::{Ticket, Version};

/// An entity's state. Two histories with equal digests are the same history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The version of the last event.
    pub version: Version,
    /// The sum of all amounts.
    pub sum: i64,
    /// A hash over all events in order.
    pub digest: u64,
}

/// What an event says: who asked for it, and on which state it was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Added {
    /// The ticket of its command.
    pub ticket: Ticket,
    /// Which event of its command it is.
    pub index: u64,
    /// What it adds.
    pub amount: i64,
    /// The digest of the state that its command was decided on.
    pub seen: u64,
}

impl State {
    /// The state after an event.
    #[must_use]
    pub fn after(self, version: Version, event: &Added) -> Self {
        let mut digest = self.digest ^ 0x9e37_79b9_7f4a_7c15;
        for part in [
            version.0,
            event.ticket.0,
            event.index,
            event.amount.cast_unsigned(),
        ] {
            digest = (digest ^ part)
                .wrapping_mul(0xff51_afd7_ed55_8ccd)
                .rotate_left(31);
        }
        Self {
            version,
            sum: self.sum.wrapping_add(event.amount),
            digest,
        }
    }

    /// The bytes of a snapshot.
    pub(crate) fn encode(self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(24);
        bytes.put_u64(self.version.0);
        bytes.put_i64(self.sum);
        bytes.put_u64(self.digest);
        bytes.freeze()
    }

    /// The state in a snapshot.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let [version, sum, digest] = words(bytes)?;
        Some(Self {
            version: Version(version),
            sum: sum.cast_signed(),
            digest,
        })
    }
}

impl Added {
    /// The bytes of the event in plain words, followed by `padding` more.
    pub(super) fn words(&self, padding: usize) -> Bytes {
        let mut bytes = BytesMut::with_capacity(32 + padding);
        bytes.put_u64(self.ticket.0);
        bytes.put_u64(self.index);
        bytes.put_i64(self.amount);
        bytes.put_u64(self.seen);
        bytes.put_bytes(0, padding);
        bytes.freeze()
    }

    /// The event in plain words.
    pub(super) fn of_words(data: &[u8]) -> Option<Self> {
        let [ticket, index, amount, seen] = words(data.get(..32)?)?;
        Some(Self {
            ticket: Ticket(ticket),
            index,
            amount: amount.cast_signed(),
            seen,
        })
    }
}

fn words<const N: usize>(bytes: &[u8]) -> Option<[u64; N]> {
    if bytes.len() != N * 8 {
        return None;
    }
    let mut words = [0; N];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_be_bytes(chunk.try_into().ok()?);
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::{Added, State};
    use tenure_core::id::{Ticket, Version};

    #[test]
    fn the_digest_tells_orders_apart() {
        let event = |ticket, amount| Added {
            ticket: Ticket(ticket),
            index: 0,
            amount,
            seen: 0,
        };
        let (a, b) = (event(1, 5), event(2, 7));
        let ab = State::default().after(Version(1), &a).after(Version(2), &b);
        let ba = State::default().after(Version(1), &b).after(Version(2), &a);
        assert_eq!(ab.sum, ba.sum);
        assert_ne!(ab.digest, ba.digest);
        assert_eq!(State::decode(&ab.encode()), Some(ab));
    }
}

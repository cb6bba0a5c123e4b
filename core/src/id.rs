//! Identities, positions and counts: each a type of its own.

use core::fmt;
use serde::{Deserialize, Serialize};

/// A position in a stream, given by the store. [`Sequence::NONE`] (0) is the place before the first
/// message, and stands for "no message" in expectations.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Sequence(pub u64);

/// The version of an entity: that of its last event. [`Version::ABSENT`] (0) is before the first.
/// With serde it is a plain number.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version(pub u64);

/// Milliseconds since the Unix epoch on some node's wall clock. For ids, stamps and reminders;
/// never for leases.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct WallTime(pub u64);

/// One of the shards of a namespace.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct ShardId(pub u16);

/// One of the event streams of a namespace.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Partition(pub u16);

/// One of the parts of a group of consumers: the events of some of the shards.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct GroupPart(pub u16);

/// An operation that a machine asked for; its answer carries the same id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct OpId(pub u64);

/// A caller's request, named by the driver; its reply carries the same ticket.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Ticket(pub u64);

/// One stay of an entity in a shard's memory, which the host of user state shares: its place among
/// those there in the low half, and the how manieth it is in the high one. So it is not used again
/// after the entity was forgotten.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Slot(pub u64);

macro_rules! number {
    ($($name:ident $mark:literal),* $(,)?) => { $(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($mark, "{}"), self.0)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    )* };
}
number!(
    Sequence "#", Version "v", WallTime "ms", ShardId "shard", Partition "stream", GroupPart "part", OpId "op",
    Ticket "t", Slot "slot",
);

impl Sequence {
    /// Before the first message; "must not exist" in an expectation.
    pub const NONE: Self = Self(0);

    /// Whether this names a message.
    pub const fn is_some(self) -> bool {
        self.0 != 0
    }
}

impl Version {
    /// The entity has no event.
    pub const ABSENT: Self = Self(0);

    /// The version after this one.
    ///
    /// # Panics
    ///
    /// At `u64::MAX`, which no entity reaches by counting.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("a version below u64::MAX"))
    }

    /// The version that many events after this one; `None` when there is no such: an import may
    /// have used the last one.
    #[must_use]
    pub fn after(self, events: usize) -> Option<Self> {
        let events = u64::try_from(events).ok()?;
        self.0.checked_add(events).map(Self)
    }
}

macro_rules! bits128 {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
        pub struct $name(pub u128);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }
    )* };
}
bits128!(
    /// One commit of one entity; drawn anew for each decision, the same over all its attempts.
    CommitId,
    /// One claim of a shard; drawn anew for each attempt.
    ClaimId,
    /// One attempt at an atomic batch.
    BatchId,
    /// One layout record: the shards and streams of a namespace.
    LayoutId,
    /// One kind record: how a kind of entity is written.
    KindId,
    /// The body of one snapshot.
    SnapshotTag,
    /// One run of one node.
    Incarnation,
    /// One event of the bus; the same over all attempts at publishing it.
    PublicationId,
    /// One export of a namespace.
    ExportId,
);

/// A command, named by its caller: 48 bits of milliseconds since the Unix epoch, then random bits,
/// in the layout of UUID version 7 (RFC 9562).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct CommandId(pub u128);

impl CommandId {
    /// An id of the given time with the given random bits.
    pub const fn new(time: WallTime, random: u128) -> Self {
        const VERSION_7: u128 = 0x7 << 76;
        const VARIANT: u128 = 0b10 << 62;
        const RANDOM: u128 = !((0xFFFF_FFFF_FFFF_u128 << 80) | (0xF << 76) | (0b11 << 62));
        let stamp = (time.0 as u128 & 0xFFFF_FFFF_FFFF) << 80;
        Self(stamp | VERSION_7 | VARIANT | (random & RANDOM))
    }

    /// The id that a UUID of version 7 is: its bits as they are. Its first 48 bits are its time, in
    /// milliseconds since the Unix epoch.
    ///
    /// ```
    /// use tenure_core::id::{CommandId, WallTime};
    ///
    /// // With the crate uuid: CommandId::from_uuid(Uuid::now_v7().as_u128())
    /// let id = CommandId::from_uuid(0x017f_22e2_79b0_7cc3_98c4_dc0c_0c07_398f)?;
    /// assert_eq!(id.time(), WallTime(1_645_557_742_000));
    /// # Ok::<_, tenure_core::id::NotVersion7>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When it is of another version: the others have no such time in them, and an entity forgets
    /// ids by their time (S19).
    pub const fn from_uuid(uuid: u128) -> Result<Self, NotVersion7> {
        let (version, variant) = (uuid >> 76 & 0xF, uuid >> 62 & 0b11);
        if version == 7 && variant == 0b10 {
            Ok(Self(uuid))
        } else {
            Err(NotVersion7 { uuid })
        }
    }

    /// When the id was made, on its maker's wall clock.
    pub const fn time(self) -> WallTime {
        WallTime((self.0 >> 80) as u64)
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.0;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            n >> 96,
            n >> 80 & 0xFFFF,
            n >> 64 & 0xFFFF,
            n >> 48 & 0xFFFF,
            n & 0xFFFF_FFFF_FFFF
        )
    }
}

impl fmt::Debug for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a command id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[error("a command id is 32 hexadecimal digits, with or without the hyphens of a UUID")]
pub struct NotACommandId;

impl core::str::FromStr for CommandId {
    type Err = NotACommandId;

    fn from_str(text: &str) -> Result<Self, NotACommandId> {
        let mut bits = 0_u128;
        let mut digits = 0;
        for c in text.chars().filter(|c| *c != '-') {
            let digit = c.to_digit(16).ok_or(NotACommandId)?;
            digits += 1;
            if digits > 32 {
                return Err(NotACommandId);
            }
            bits = bits << 4 | u128::from(digit);
        }
        if digits == 32 {
            Ok(Self(bits))
        } else {
            Err(NotACommandId)
        }
    }
}

/// The bits are not those of a UUID of version 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct NotVersion7 {
    uuid: u128,
}

impl fmt::Display for NotVersion7 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = CommandId(self.uuid);
        match self.uuid >> 62 & 0b11 {
            0b10 => write!(f, "{shown} is a UUID of version {}", self.uuid >> 76 & 0xF)?,
            _ => write!(f, "{shown} is not a UUID of RFC 9562")?,
        }
        f.write_str(", and a command id is one of version 7, which has its time in it; make it with `Uuid::now_v7`, or take the node's `command_id`")
    }
}

impl core::error::Error for NotVersion7 {}

/// A shard's fencing token: the sequence of its ownership record, with the claim's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Epoch {
    /// The stream sequence of the ownership record.
    pub sequence: Sequence,
    /// The 128 random bits in that record; a lost tail can give the same sequence twice, not these.
    pub claim: ClaimId,
}

#[cfg(test)]
mod tests {
    use super::{CommandId, NotVersion7, WallTime};
    use alloc::string::ToString;

    #[test]
    fn only_a_uuid_of_version_7_is_a_command_id() {
        let made = CommandId::new(WallTime(0xFFFF_FFFF_FFFF), 0);
        assert_eq!(CommandId::from_uuid(made.0), Ok(made));
        for version in (0..16).filter(|version| *version != 7) {
            let other = made.0 & !(0xF << 76) | version << 76;
            let refused = CommandId::from_uuid(other).unwrap_err().to_string();
            assert!(refused.contains(&version.to_string()), "{refused}");
        }
        for variant in [0b00, 0b01, 0b11] {
            let other = made.0 & !(0b11 << 62) | variant << 62;
            assert_eq!(
                CommandId::from_uuid(other),
                Err(NotVersion7 { uuid: other })
            );
        }
        let random = CommandId::from_uuid(0x9b0c_a3f2_7f4e_4e2a_9d8e_3d1c_77d1_1a42);
        assert_eq!(
            random.unwrap_err().to_string(),
            "9b0ca3f2-7f4e-4e2a-9d8e-3d1c77d11a42 is a UUID of version 4, and a command id is one of version 7, which has its time in it; make it with `Uuid::now_v7`, or take the node's `command_id`"
        );
    }

    #[test]
    fn a_command_id_is_a_uuid_version_7() {
        let id = CommandId::new(WallTime(0x0123_4567_89ab), u128::MAX);
        assert_eq!(id.to_string(), "01234567-89ab-7fff-bfff-ffffffffffff");
        assert_eq!(id.time(), WallTime(0x0123_4567_89ab));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("0123".parse::<CommandId>().is_err());
        assert!(
            "x1234567-89ab-7fff-bfff-ffffffffffff"
                .parse::<CommandId>()
                .is_err()
        );
        assert!(
            "012345678-89ab-7fff-bfff-ffffffffffff"
                .parse::<CommandId>()
                .is_err()
        );
    }
}

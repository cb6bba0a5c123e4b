//! A commit: one JetStream message with 1 to n commands of one entity (S4).

use super::fields::{BITS128_LEN, COMMAND_LEN_MAX, Fields, HEAD_MAX, map_len_max};
use super::later::{self, Later};
use super::metadata::{self, Metadata, MetadataRecord};
use super::reader::Reader;
use super::steps::Steps;
use super::{FormatError, Unknown};
use crate::id::{
    ClaimId, CommandId, CommitId, Epoch, KindId, LayoutId, Sequence, SnapshotTag, Version, WallTime,
};
use crate::name::EntityId;
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;

/// One commit of one entity, as stored on `<ns>.ev.<shard>.<kind>.<id>`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Commit {
    /// The same over all attempts at storing it.
    pub id: CommitId,
    /// The layout it was written under.
    pub layout: LayoutId,
    /// The kind record it was written under.
    pub kind: KindId,
    /// The entity; must fit the subject.
    pub entity: EntityId,
    /// Owned mode: the epoch it was decided in.
    pub epoch: Option<Epoch>,
    /// When it was decided, on the writer's wall clock.
    pub time: WallTime,
    /// The entity's version before this commit.
    pub before: Version,
    /// The version of its last event; `before` when it has none.
    pub last: Version,
    /// Where the entity's earlier commits are since its snapshot, newest first, at most
    /// `chain_max`. When more exist, the oldest listed one lists on (S12).
    pub earlier: Arc<Vec<Sequence>>,
    /// The current snapshot.
    pub snapshot: Option<SnapshotRef>,
    /// The latest time of a command id that the entity forgot; an unknown id at or below it is
    /// refused (S19).
    pub horizon: WallTime,
    /// Its commands that have an id.
    pub commands: Vec<CommandRecord>,
    /// Its events, by rising version.
    pub events: Vec<EventRecord>,
    /// The entity was deleted by this commit, which has the place of all before it; `commands` holds, after
    /// its own, the ids that it remembers, without outcomes.
    pub tombstone: bool,
    /// What its commands said of themselves, for those that said anything, in their order.
    pub metadata: Vec<MetadataRecord>,
    /// The timers that it arms and cancels, and the messages that are sent because it was stored;
    /// `None` when there are none. A tombstone cancels all timers that were armed before.
    pub later: Option<Box<Later>>,
    /// Fields of a newer writer.
    pub unknown: Unknown,
}

/// A command that took effect in a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct CommandRecord {
    /// Its caller's id.
    pub id: CommandId,
    /// The version of its last event; the version before it when it stored none.
    pub version: Version,
    /// Its encoded reply.
    pub outcome: Bytes,
}

impl CommandRecord {
    /// An upper bound for the length of one without an outcome, in bytes.
    pub(crate) const LEN_MAX: usize = COMMAND_LEN_MAX;
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct EventRecord {
    /// The entity's version after it. Rises strictly; gaps are legal.
    pub version: Version,
    /// Its stable type name.
    pub name: Cow<'static, str>,
    /// The version of its type.
    pub schema: u16,
    /// Its encoded value.
    pub data: Bytes,
}

/// Which snapshot is current, and what it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct SnapshotRef {
    /// The entity's version in it.
    pub version: Version,
    /// The last commit that it covers.
    pub sequence: Sequence,
    /// The rest of its name.
    pub tag: SnapshotTag,
    /// SipHash-2-4-64 of its stored bytes under the layout's key.
    pub hash: u64,
}

const FORMAT: &str = "commit";

/// The key of the timers that a commit arms; those that it cancels and its messages follow.
const LATER_KEY: u32 = 16;

/// A buffer that grew beyond this for a large commit is not kept for the small ones after it.
const BUFFER_BYTES_MAX: usize = 16 * 1_024;

impl Commit {
    /// The highest version of the format that this program writes and reads. With messages that go on it is
    /// 2, since a reader that passes over their ids sends them under others; without them it is 1.
    pub const FORMAT_VERSION: u64 = 2;

    /// An upper bound for the length of [`encode`](Self::encode), in bytes.
    pub fn encoded_len_max(&self) -> usize {
        let outcomes: usize = self
            .commands
            .iter()
            .map(|command| command.outcome.len())
            .sum();
        let events: usize = self
            .events
            .iter()
            .map(|event| event.name.len() + event.data.len())
            .sum();
        let metadata = self.metadata.iter();
        let metadata: usize = metadata.map(MetadataRecord::encoded_len_max).sum();
        let metadata = match self.metadata.is_empty() {
            true => 0,
            false => 1 + HEAD_MAX + metadata,
        };
        map_len_max(14, &self.unknown)
            + 3 * BITS128_LEN
            + (HEAD_MAX + self.entity.as_str().len())
            + (1 + HEAD_MAX + BITS128_LEN)
            + 4 * HEAD_MAX
            + (1 + self.earlier.len()) * HEAD_MAX
            + (1 + 3 * HEAD_MAX + BITS128_LEN)
            + (HEAD_MAX + self.commands.len() * COMMAND_LEN_MAX + outcomes)
            + (HEAD_MAX + self.events.len() * (1 + 4 * HEAD_MAX) + events)
            + 1
            + metadata
            + self
                .later
                .as_ref()
                .map_or(0, |later| later.encoded_len_max())
    }

    /// The commit of its entity before this one, as it says itself; [`Sequence::NONE`] for the first.
    pub fn predecessor(&self) -> Sequence {
        let listed = self.earlier.first().copied();
        listed
            .or(self.snapshot.map(|snapshot| snapshot.sequence))
            .unwrap_or(Sequence::NONE)
    }

    /// What the command of an event said of itself; `None` when it said nothing. Events are counted
    /// from 0.
    pub fn metadata_of(&self, event: usize) -> Option<&Arc<Metadata>> {
        let records = self.metadata.iter();
        let mut of = records.filter(|record| {
            (record.first..record.first.saturating_add(record.events)).contains(&event)
        });
        of.next().map(|record| &record.metadata)
    }

    /// The commit's bytes; the same commit has the same bytes everywhere.
    ///
    /// # Panics
    ///
    /// When `earlier` does not strictly fall.
    pub fn encode(&self) -> Bytes {
        self.encode_with(&mut Vec::with_capacity(self.encoded_len_max()), None)
    }

    /// The same as [`encode`](Self::encode), written first into a buffer that is used
    /// again. `steps` are those of `earlier`, if they are there already.
    ///
    /// # Panics
    ///
    /// When `earlier` does not strictly fall.
    pub(crate) fn encode_with(&self, buffer: &mut Vec<u8>, steps: Option<&Steps>) -> Bytes {
        let out = core::mem::take(buffer);
        let carries = self.later.as_ref().is_some_and(|it| !it.carried.is_empty());
        let version = if carries { 2 } else { 1 };
        let mut fields = Fields::within(version, &self.unknown, out);
        fields.key(1).bits128(self.id.0);
        fields.key(2).bits128(self.layout.0);
        fields.key(3).bits128(self.kind.0);
        fields.key(4).text(self.entity.as_str());
        if let Some(epoch) = &self.epoch {
            fields
                .key(5)
                .array(2)
                .uint(epoch.sequence.0)
                .bits128(epoch.claim.0);
        }
        fields.key(6).uint(self.time.0);
        fields.key(7).uint(self.before.0);
        fields.key(8).uint(self.last.0);
        if let Some(first) = self.earlier.first() {
            let mut values = fields.key(9);
            match steps {
                Some(steps) => {
                    let values = values.array(self.earlier.len()).uint(first.0);
                    values.encoded(steps.as_bytes());
                }
                None => values.falling(&self.earlier, |sequence| sequence.0),
            }
        }
        if let Some(snapshot) = &self.snapshot {
            fields.key(10).snapshot(snapshot);
        }
        if self.horizon != WallTime::default() {
            fields.key(11).uint(self.horizon.0);
        }
        if !self.commands.is_empty() {
            let mut values = fields.key(12);
            values.array(self.commands.len());
            for command in &self.commands {
                values.command(command.id, command.version, &command.outcome);
            }
        }
        if !self.events.is_empty() {
            let mut values = fields.key(13);
            values.array(self.events.len());
            for event in &self.events {
                let values = values.array(4).uint(event.version.0).text(&event.name);
                values.uint(u64::from(event.schema)).bytes(&event.data);
            }
        }
        if self.tombstone {
            fields.key(14).yes();
        }
        if !self.metadata.is_empty() {
            let mut values = fields.key(15);
            values.array(self.metadata.len());
            for record in &self.metadata {
                record.write(&mut values);
            }
        }
        if let Some(later) = &self.later {
            later.write(LATER_KEY, &mut fields);
        }
        *buffer = fields.end();
        // As long as it is and no longer: it stays in memory with its message.
        let bytes = Bytes::copy_from_slice(buffer);
        if buffer.capacity() > BUFFER_BYTES_MAX {
            *buffer = Vec::new();
        }
        bytes
    }

    /// Reads a commit; outcomes, events and unknown fields share the memory of `bytes`.
    ///
    /// # Errors
    ///
    /// When the bytes are no commit of this version, or one that contradicts itself: events rise
    /// strictly above `before`, `last` is the last event's version (`before` without events),
    /// `earlier` strictly falls, metadata is of commands and events that are there, each timer is
    /// named once, and messages go on in a tombstone alone, each with an id of its own.
    pub fn decode(bytes: &Bytes) -> Result<Self, FormatError> {
        let mut reader = Reader::open_up_to(FORMAT, Self::FORMAT_VERSION, bytes)?;
        let r = &mut reader;
        let (mut id, mut layout, mut kind, mut entity, mut epoch) = (None, None, None, None, None);
        let (mut time, mut before, mut last, mut snapshot) = (None, None, None, None);
        let mut earlier = Vec::new();
        let mut horizon = WallTime::default();
        let mut commands = Vec::new();
        let mut events = Vec::new();
        let mut tombstone = false;
        let mut metadata = Vec::new();
        let mut later = Later::default();
        let mut unknown = Unknown::default();
        while let Some(key) = r.key()? {
            match key {
                1 => id = Some(CommitId(r.bits128("id")?)),
                2 => layout = Some(LayoutId(r.bits128("layout")?)),
                3 => kind = Some(KindId(r.bits128("kind")?)),
                4 => entity = Some(r.entity()?),
                5 => epoch = Some(read_epoch(r)?),
                6 => time = Some(WallTime(r.uint("time")?)),
                7 => before = Some(Version(r.uint("version before")?)),
                8 => last = Some(Version(r.uint("last version")?)),
                9 => earlier = read_earlier(r)?,
                10 => snapshot = Some(r.snapshot("snapshot")?),
                11 => horizon = WallTime(r.uint("horizon")?),
                12 => commands = r.commands(command)?,
                13 => events = read_events(r)?,
                14 => tombstone = r.yes("tombstone")?,
                15 => metadata = read_metadata(r)?,
                16 => later.armed = later::read_timers(r)?,
                17 => later.cancelled = Later::read_cancelled(r)?,
                18 => later.sends = Later::read_sends(r)?,
                19 => later.leased = r.yes("class")?,
                20 => later.carried = Later::read_carried(r)?,
                other => r.keep(other, &mut unknown)?,
            }
        }
        let commit = Self {
            id: r.need("id", id)?,
            layout: r.need("layout", layout)?,
            kind: r.need("kind", kind)?,
            entity: r.need("entity", entity)?,
            epoch,
            time: r.need("time", time)?,
            before: r.need("version before", before)?,
            last: r.need("last version", last)?,
            earlier: earlier.into(),
            snapshot,
            horizon,
            commands,
            events,
            tombstone,
            metadata,
            later: (!later.is_empty() || later.leased).then(|| Box::new(later)),
            unknown,
        };
        let mut version = commit.before;
        for event in &commit.events {
            r.holds(event.version > version, "its events do not rise in version")?;
            version = event.version;
        }
        r.holds(
            commit.last == version,
            "its last version is not that of its last event",
        )?;
        let (commands, events) = (commit.commands.len(), commit.events.len());
        r.holds(
            metadata::fits(&commit.metadata, commands, events),
            "its metadata is of commands or events that it has not",
        )?;
        let sound = commit.later.as_ref().is_none_or(|later| later.is_sound());
        r.holds(sound, "it names a timer twice")?;
        let there = commit
            .later
            .as_ref()
            .is_none_or(|later| later.has_carried(commit.tombstone));
        r.holds(
            there,
            "its ids of messages that go on are not those of some",
        )?;
        Ok(commit)
    }
}

fn read_epoch(r: &mut Reader<'_>) -> Result<Epoch, FormatError> {
    r.tuple("epoch", 2)?;
    Ok(Epoch {
        sequence: Sequence(r.uint("epoch")?),
        claim: ClaimId(r.bits128("epoch")?),
    })
}

fn read_earlier(r: &mut Reader<'_>) -> Result<Vec<Sequence>, FormatError> {
    const FIELD: &str = "list of earlier commits";
    let items = r.array(FIELD, 1)?;
    let mut earlier = Vec::with_capacity(items);
    let mut newer = None;
    for _ in 0..items {
        let number = r.uint(FIELD)?;
        let sequence = match newer {
            None => Some(number),
            Some(_) if number == 0 => None,
            Some(newer) => u64::checked_sub(newer, number),
        };
        let Some(sequence) = sequence.filter(|sequence| *sequence > 0) else {
            return Err(r.damaged(FIELD, "its sequences must fall and stay above 0"));
        };
        newer = Some(sequence);
        earlier.push(Sequence(sequence));
    }
    Ok(earlier)
}

fn command(id: CommandId, version: Version, outcome: Bytes) -> CommandRecord {
    CommandRecord {
        id,
        version,
        outcome,
    }
}

fn read_events(r: &mut Reader<'_>) -> Result<Vec<EventRecord>, FormatError> {
    const FIELD: &str = "events";
    let items = r.array(FIELD, 5)?;
    let mut events = Vec::with_capacity(items);
    for _ in 0..items {
        r.tuple(FIELD, 4)?;
        events.push(EventRecord {
            version: Version(r.uint(FIELD)?),
            name: r.text(FIELD)?.into(),
            schema: r.number(FIELD)?,
            data: r.bytes(FIELD)?,
        });
    }
    Ok(events)
}

fn read_metadata(r: &mut Reader<'_>) -> Result<Vec<MetadataRecord>, FormatError> {
    let items = r.array("metadata", metadata::RECORD_LEN_MIN)?;
    let mut records = Vec::with_capacity(items);
    for _ in 0..items {
        records.push(MetadataRecord::read(r)?);
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::{CommandRecord, Commit, EventRecord, SnapshotRef};
    use crate::format::{
        Codec, FormatError, Intent, Later, MessageRecord, Metadata, MetadataRecord, Timer, Unknown,
    };
    use crate::id::{
        ClaimId, CommandId, CommitId, Epoch, KindId, LayoutId, Sequence, SnapshotTag, Version,
        WallTime,
    };
    use crate::name::{EntityId, KindName, TimerName};
    use alloc::boxed::Box;
    use alloc::string::ToString;
    use alloc::sync::Arc;
    use alloc::vec;
    use alloc::vec::Vec;
    use bytes::Bytes;

    fn commit() -> Commit {
        Commit {
            id: CommitId(1),
            layout: LayoutId(2),
            kind: KindId(3),
            entity: EntityId::new("alice").unwrap(),
            epoch: Some(Epoch {
                sequence: Sequence(9),
                claim: ClaimId(4),
            }),
            time: WallTime(1_000),
            before: Version(4),
            last: Version(7),
            earlier: vec![Sequence(300), Sequence(299), Sequence(12)].into(),
            snapshot: Some(SnapshotRef {
                version: Version(2),
                sequence: Sequence(11),
                tag: SnapshotTag(5),
                hash: 6,
            }),
            horizon: WallTime(500),
            commands: vec![CommandRecord {
                id: CommandId(7),
                version: Version(7),
                outcome: Bytes::from_static(b"ok"),
            }],
            events: vec![event(5), event(7)],
            tombstone: true,
            metadata: vec![metadata(0, 1, "order-17"), metadata(1, 1, "ünïcode")],
            later: Some(Box::new(later())),
            unknown: Unknown(vec![(30, Bytes::from_static(b"\x82\x01\x60"))]),
        }
    }

    fn metadata(first: usize, events: usize, correlation: &str) -> MetadataRecord {
        let said = Metadata::new()
            .correlation(correlation)
            .header("user", "Zoë");
        MetadataRecord {
            command: (first == 1).then_some(0),
            first,
            events,
            metadata: Arc::new(said),
        }
    }

    fn later() -> Later {
        let message = |name: &'static str| MessageRecord {
            name: name.into(),
            schema: 2,
            data: Bytes::from_static(b"\xa0"),
        };
        let timer = |name, due, period_ms| Timer {
            name: TimerName::new(name).unwrap(),
            due: WallTime(due),
            period_ms,
            message: message("remind"),
        };
        let intent = |metadata| Intent {
            kind: KindName::new("payment").unwrap(),
            entity: EntityId::new("p-7").unwrap(),
            codec: Codec::Json,
            message: message("pay"),
            metadata,
        };
        let said = Metadata::new().correlation("order-17");
        Later {
            armed: vec![timer("due", 2_000, 0), timer("tick", 3_000, 1_000)],
            cancelled: vec![TimerName::new("old").unwrap()],
            sends: vec![intent(None), intent(Some(Arc::new(said)))],
            carried: vec![CommandId(8)],
            leased: true,
        }
    }

    fn event(version: u64) -> EventRecord {
        EventRecord {
            version: Version(version),
            name: "deposited".into(),
            schema: 1,
            data: Bytes::from_static(b"\xa0"),
        }
    }

    #[test]
    fn it_comes_back_as_it_was() {
        let commit = commit();
        let bytes = commit.encode();
        assert!(bytes.len() <= commit.encoded_len_max());
        assert_eq!(Commit::decode(&bytes), Ok(commit));
    }

    #[test]
    fn every_cut_and_every_tail_is_an_error() {
        let bytes = commit().encode();
        for len in 0..bytes.len() {
            assert!(
                Commit::decode(&bytes.slice(..len)).is_err(),
                "cut to {len} bytes"
            );
        }
        let longer: Vec<u8> = bytes.iter().copied().chain([0]).collect();
        let error = Commit::decode(&Bytes::from(longer)).unwrap_err();
        assert!(error.to_string().contains("bytes follow it"), "{error}");
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let twice = Later {
            cancelled: vec![TimerName::new("tick").unwrap()],
            ..later()
        };
        let one_id = Later {
            carried: vec![CommandId(8), CommandId(8)],
            ..later()
        };
        let nowhere = Later {
            sends: Vec::new(),
            ..later()
        };
        let wrong = [
            Commit {
                tombstone: false,
                ..commit()
            },
            Commit {
                later: Some(Box::new(one_id)),
                ..commit()
            },
            Commit {
                later: Some(Box::new(nowhere)),
                ..commit()
            },
            Commit {
                last: Version(8),
                ..commit()
            },
            Commit {
                later: Some(Box::new(twice)),
                ..commit()
            },
            Commit {
                before: Version(5),
                ..commit()
            },
            Commit {
                events: vec![event(7), event(7)],
                ..commit()
            },
            Commit {
                events: Vec::new(),
                metadata: Vec::new(),
                ..commit()
            },
            Commit {
                metadata: vec![metadata(1, 2, "two events, and one is left")],
                ..commit()
            },
        ];
        for commit in wrong {
            let error = Commit::decode(&commit.encode()).unwrap_err();
            assert!(
                matches!(
                    error,
                    FormatError::Contradiction {
                        format: "commit",
                        ..
                    }
                ),
                "{error}"
            );
        }
        let empty = Commit {
            events: Vec::new(),
            last: Version(4),
            metadata: vec![metadata(0, 0, "of a command that was recorded")],
            ..commit()
        };
        assert_eq!(Commit::decode(&empty.encode()), Ok(empty));
    }
}

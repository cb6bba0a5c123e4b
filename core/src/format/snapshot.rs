//! A snapshot's body: immutable, current only because a commit names it (S20).

use super::fields::{
    BITS128_LEN, COMMAND_LEN_MAX, Fields, HEAD_MAX, SNAPSHOT_REF_LEN_MAX, map_len_max,
};
use super::later::{self, Timer};
use super::reader::Reader;
use super::{FormatError, SnapshotRef, Unknown};
use crate::id::{CommandId, KindId, LayoutId, Sequence, Version, WallTime};
use crate::name::EntityId;
use alloc::vec::Vec;
use bytes::Bytes;

/// The state of an entity at one version.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Snapshot {
    /// The layout it was written under.
    pub layout: LayoutId,
    /// The kind record it was written under.
    pub kind: KindId,
    /// The entity.
    pub entity: EntityId,
    /// The entity's version in it.
    pub version: Version,
    /// The last commit that it covers.
    pub sequence: Sequence,
    /// The horizon at that commit (S19).
    pub horizon: WallTime,
    /// The command ids that the entity remembered, oldest first, each with its encoded reply and
    /// the version it led to.
    pub commands: Vec<(CommandId, Version, Bytes)>,
    /// The version of the state's type.
    pub schema: u16,
    /// The encoded state.
    pub state: Bytes,
    /// The snapshots before this one that were kept when it was taken, newest first. Whoever goes
    /// on from this one knows by them which to delete.
    pub older: Vec<SnapshotRef>,
    /// The timers that were armed at that commit, by rising name.
    pub timers: Vec<Timer>,
    /// Fields of a newer writer.
    pub unknown: Unknown,
}

const FORMAT: &str = "snapshot";

impl Snapshot {
    /// The version of the format that this program writes and reads.
    pub const FORMAT_VERSION: u64 = 1;

    /// An upper bound for the length of [`encode`](Self::encode), in bytes.
    pub fn encoded_len_max(&self) -> usize {
        let outcomes: usize = self
            .commands
            .iter()
            .map(|(_, _, outcome)| outcome.len())
            .sum();
        map_len_max(10, &self.unknown)
            + 2 * BITS128_LEN
            + (HEAD_MAX + self.entity.as_str().len())
            + 4 * HEAD_MAX
            + (HEAD_MAX + self.commands.len() * COMMAND_LEN_MAX + outcomes)
            + (HEAD_MAX + self.state.len())
            + (HEAD_MAX + self.older.len() * SNAPSHOT_REF_LEN_MAX)
            + (1 + later::timers_len_max(&self.timers))
    }

    /// The snapshot's bytes.
    pub fn encode(&self) -> Bytes {
        let mut fields = Fields::new(Self::FORMAT_VERSION, &self.unknown, self.encoded_len_max());
        fields.key(1).bits128(self.layout.0);
        fields.key(2).bits128(self.kind.0);
        fields.key(3).text(self.entity.as_str());
        fields.key(4).uint(self.version.0);
        fields.key(5).uint(self.sequence.0);
        if self.horizon != WallTime::default() {
            fields.key(6).uint(self.horizon.0);
        }
        if !self.commands.is_empty() {
            let mut values = fields.key(7);
            values.array(self.commands.len());
            for (id, version, outcome) in &self.commands {
                values.command(*id, *version, outcome);
            }
        }
        fields.key(8).uint(u64::from(self.schema));
        fields.key(9).bytes(&self.state);
        if !self.older.is_empty() {
            let mut values = fields.key(10);
            values.array(self.older.len());
            for named in &self.older {
                values.snapshot(named);
            }
        }
        if !self.timers.is_empty() {
            later::write_timers(&self.timers, &mut fields.key(11));
        }
        fields.finish()
    }

    /// Reads a snapshot; outcomes, state and unknown fields share the memory of `bytes`.
    ///
    /// # Errors
    ///
    /// When the bytes are no snapshot of this version.
    pub fn decode(bytes: &Bytes) -> Result<Self, FormatError> {
        let mut reader = Reader::open(FORMAT, Self::FORMAT_VERSION, bytes)?;
        let r = &mut reader;
        let (mut layout, mut kind, mut entity, mut version) = (None, None, None, None);
        let (mut sequence, mut schema, mut state) = (None, None, None);
        let mut horizon = WallTime::default();
        let (mut commands, mut older) = (Vec::new(), Vec::new());
        let mut timers = Vec::new();
        let mut unknown = Unknown::default();
        while let Some(key) = r.key()? {
            match key {
                1 => layout = Some(LayoutId(r.bits128("layout")?)),
                2 => kind = Some(KindId(r.bits128("kind")?)),
                3 => entity = Some(r.entity()?),
                4 => version = Some(Version(r.uint("version")?)),
                5 => sequence = Some(Sequence(r.uint("sequence")?)),
                6 => horizon = WallTime(r.uint("horizon")?),
                7 => commands = r.commands(|id, version, outcome| (id, version, outcome))?,
                8 => schema = Some(r.number("schema")?),
                9 => state = Some(r.bytes("state")?),
                10 => older = read_older(r)?,
                11 => timers = later::read_timers(r)?,
                other => r.keep(other, &mut unknown)?,
            }
        }
        Ok(Self {
            layout: r.need("layout", layout)?,
            kind: r.need("kind", kind)?,
            entity: r.need("entity", entity)?,
            version: r.need("version", version)?,
            sequence: r.need("sequence", sequence)?,
            horizon,
            commands,
            schema: r.need("schema", schema)?,
            state: r.need("state", state)?,
            older,
            timers,
            unknown,
        })
    }
}

fn read_older(r: &mut Reader<'_>) -> Result<Vec<SnapshotRef>, FormatError> {
    const FIELD: &str = "older";
    let items = r.array(FIELD, 1 + BITS128_LEN + 3)?;
    (0..items).map(|_| r.snapshot(FIELD)).collect()
}

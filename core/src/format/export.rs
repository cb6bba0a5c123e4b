//! The records of an export's file: what was exported, what its shards have left to do, its commits, and
//! the sum of it.
//!
//! A file is a header, the agendas of shards, commits and an end, in this order. These are the bytes of
//! each record; JSON lines say the same in other words. What a commit was in its namespace alone is not in
//! it: its epoch, the sequences of earlier commits, snapshots, and the ids of layout and kind.

use super::fields::{BITS128_LEN, Fields, HEAD_MAX, Values, map_len_max};
use super::reader::Reader;
use super::{
    Commit, FormatError, IntentPlace, KindRecord, Layout, Receiver, ShelvedReceiver, TakeOver,
    Unknown,
};
use crate::id::{ExportId, KindId, LayoutId, Partition, Sequence, ShardId, WallTime};
use crate::name::{EntityId, KindName, Namespace};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;
use core::hash::Hasher;
use siphasher::sip128::{Hasher128, SipHasher24};

/// One record of an export's file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExportRecord {
    /// What was exported; the first record.
    Header(Box<ExportHeader>),
    /// What a shard has left to do; before all commits.
    Agenda(ExportedAgenda),
    /// A commit, after the earlier ones of its entity.
    Commit(Box<ExportedCommit>),
    /// The sum of all; the last record.
    End(ExportTotals),
}

/// What was exported, and up to where.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct ExportHeader {
    /// Names this export; drawn at its beginning.
    pub export: ExportId,
    /// The namespace.
    pub namespace: Namespace,
    /// When it was begun, on the wall clock of who exported.
    pub begun: WallTime,
    /// The layout of the namespace.
    pub layout: Layout,
    /// The records of its kinds.
    pub kinds: Vec<KindRecord>,
    /// What of it is exported.
    pub selection: Selection,
    /// The last sequence of each event stream, by its number: what came later is not in the file.
    pub ends: Vec<Sequence>,
}

/// What of a namespace is exported: the kinds and entities that are named, or all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Selection {
    /// All entities of these kinds.
    pub kinds: Vec<KindName>,
    /// These entities.
    pub entities: Vec<(KindName, EntityId)>,
}

/// What a shard has left to do: which messages of its commits are not done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct ExportedAgenda {
    /// The class of the shard.
    pub class: TakeOver,
    /// The shard.
    pub shard: ShardId,
    /// Of commits up to here, in the exported stream, all is done that is not listed; of later ones nothing
    /// is known to be done.
    pub watermark: Sequence,
    /// Messages that are not done.
    pub undone: Vec<IntentPlace>,
    /// Messages that could not be delivered as things were, each with the reason.
    pub failed: Vec<(IntentPlace, String)>,
    /// Receivers that were away: messages to them are not done either, of commits after the one that
    /// stands with each.
    pub shelved: Vec<ShelvedReceiver>,
}

/// A commit as it leaves its namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct ExportedCommit {
    /// The kind of its entity.
    pub kind: KindName,
    /// The commit, without what belongs to its namespace alone.
    pub commit: Commit,
    /// The event stream that it was in.
    pub stream: Partition,
    /// Where it was there.
    pub sequence: Sequence,
    /// Where the commit of the entity before it was; [`Sequence::NONE`] for the first.
    pub after: Sequence,
}

/// How much there is, and its hash.
///
/// The hash is the sum of the SipHash-2-4 (128 bits, key 0) of each commit, so it does not depend on the
/// order of entities. It finds mistakes; it is no signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct ExportTotals {
    /// Commits.
    pub commits: u64,
    /// Events.
    pub events: u64,
    /// Entities: commits that follow no other.
    pub entities: u64,
    /// Commands with an id.
    pub commands: u64,
    /// The sum of the commits' hashes.
    pub hash: u128,
}

const FORMAT: &str = "export";

/// The layout and the kind of a commit that is in no namespace.
const NO_LAYOUT: LayoutId = LayoutId(0);
const NO_KIND: KindId = KindId(0);

const HEADER: u64 = 0;
const AGENDA: u64 = 1;
const COMMIT: u64 = 2;
const END: u64 = 3;

impl Selection {
    /// Whether it is all of the namespace.
    pub fn is_all(&self) -> bool {
        self.kinds.is_empty() && self.entities.is_empty()
    }

    /// Whether an entity is in it.
    pub fn takes(&self, kind: &KindName, entity: &EntityId) -> bool {
        let mut entities = self.entities.iter();
        self.is_all()
            || self.kinds.contains(kind)
            || entities.any(|(of, id)| of == kind && id == entity)
    }
}

impl ExportedCommit {
    /// A stored commit without what belongs to its namespace alone.
    pub fn new(kind: KindName, (stream, sequence): (Partition, Sequence), stored: Commit) -> Self {
        // What was before a tombstone is gone.
        let after = match stored.tombstone {
            true => Sequence::NONE,
            false => stored.predecessor(),
        };
        Self {
            kind,
            commit: Commit {
                layout: NO_LAYOUT,
                kind: NO_KIND,
                epoch: None,
                earlier: Arc::default(),
                snapshot: None,
                ..stored
            },
            stream,
            sequence,
            after,
        }
    }

    /// What makes it the same commit in every namespace: SipHash-2-4 with 128 bits under the key 0, of the
    /// kind's name, a byte 0 and the commit's bytes.
    pub fn hash(&self) -> u128 {
        let mut hasher = SipHasher24::new();
        hasher.write(self.kind.as_str().as_bytes());
        hasher.write_u8(0);
        hasher.write(&self.commit.encode());
        hasher.finish128().as_u128()
    }

    /// Whether nothing of it belongs to a namespace.
    fn is_plain(&self) -> bool {
        let commit = &self.commit;
        commit.layout == NO_LAYOUT
            && commit.kind == NO_KIND
            && commit.epoch.is_none()
            && commit.earlier.is_empty()
            && commit.snapshot.is_none()
    }
}

impl ExportTotals {
    /// Counts one more commit.
    pub fn add(&mut self, exported: &ExportedCommit) {
        self.commits += 1;
        self.events += exported.commit.events.len() as u64;
        self.entities += u64::from(!exported.after.is_some());
        self.commands += exported.commit.commands.len() as u64;
        self.hash = self.hash.wrapping_add(exported.hash());
    }
}

impl ExportRecord {
    /// The version of the format that this program writes and reads.
    pub const FORMAT_VERSION: u64 = 1;

    /// The record's bytes.
    pub fn encode(&self) -> Bytes {
        let unknown = Unknown::default();
        let begin = |what: u64, fields: usize, values: usize| {
            let len_max = map_len_max(1 + fields, &unknown) + HEAD_MAX + values;
            let mut fields = Fields::new(Self::FORMAT_VERSION, &unknown, len_max);
            fields.key(1).uint(what);
            fields
        };
        match self {
            Self::Header(header) => {
                let mut fields = begin(HEADER, 7, 2 * BITS128_LEN);
                header.write(&mut fields);
                fields.finish()
            }
            Self::Agenda(agenda) => {
                let places = agenda.undone.len() + agenda.failed.len();
                let mut fields = begin(AGENDA, 5, (5 + 3 * places) * HEAD_MAX);
                agenda.write(&mut fields);
                fields.finish()
            }
            Self::Commit(exported) => {
                let commit = exported.commit.encode();
                let mut fields = begin(COMMIT, 5, commit.len() + 5 * HEAD_MAX);
                fields.key(2).text(exported.kind.as_str());
                fields.key(3).bytes(&commit);
                fields.key(4).uint(u64::from(exported.stream.0));
                fields.key(5).uint(exported.sequence.0);
                if exported.after.is_some() {
                    fields.key(6).uint(exported.after.0);
                }
                fields.finish()
            }
            Self::End(totals) => {
                let mut fields = begin(END, 5, 4 * HEAD_MAX + BITS128_LEN);
                fields.key(2).uint(totals.commits);
                fields.key(3).uint(totals.events);
                fields.key(4).uint(totals.entities);
                fields.key(5).uint(totals.commands);
                fields.key(6).bits128(totals.hash);
                fields.finish()
            }
        }
    }

    /// Reads a record.
    ///
    /// # Errors
    ///
    /// When the bytes are no record of this version, or a commit in it is none or belongs to a namespace.
    /// A field that this program does not know is refused as well: nothing of an export may be lost.
    pub fn decode(bytes: &Bytes) -> Result<Self, FormatError> {
        let mut reader = Reader::open(FORMAT, Self::FORMAT_VERSION, bytes)?;
        let r = &mut reader;
        let what = match r.key()? {
            Some(1) => r.uint(RECORD)?,
            Some(_) | None => return Err(r.damaged(RECORD, "it does not say what it is")),
        };
        match what {
            HEADER => ExportHeader::read(r).map(|header| Self::Header(Box::new(header))),
            AGENDA => ExportedAgenda::read(r).map(Self::Agenda),
            COMMIT => ExportedCommit::read(r).map(|commit| Self::Commit(Box::new(commit))),
            END => ExportTotals::read(r).map(Self::End),
            _ => Err(r.damaged(RECORD, "this program does not know what it is")),
        }
    }
}

const RECORD: &str = "record";
const UNKNOWN: &str = "it is of a newer program, use that one";

impl ExportHeader {
    fn write(&self, fields: &mut Fields<'_>) {
        fields.key(2).bits128(self.export.0);
        fields.key(3).text(self.namespace.as_str());
        fields.key(4).uint(self.begun.0);
        fields.key(5).bytes(&self.layout.encode());
        let mut values = fields.key(6);
        values.array(self.kinds.len());
        for kind in &self.kinds {
            values.bytes(&kind.encode());
        }
        if !self.selection.kinds.is_empty() {
            let mut values = fields.key(7);
            values.array(self.selection.kinds.len());
            for kind in &self.selection.kinds {
                values.text(kind.as_str());
            }
        }
        if !self.selection.entities.is_empty() {
            let mut values = fields.key(8);
            values.array(self.selection.entities.len());
            for (kind, entity) in &self.selection.entities {
                values.array(2).text(kind.as_str()).text(entity.as_str());
            }
        }
        let mut values = fields.key(9);
        values.array(self.ends.len());
        for end in &self.ends {
            values.uint(end.0);
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, FormatError> {
        let (mut export, mut namespace, mut begun) = (None, None, None);
        let (mut layout, mut kinds, mut ends) = (None, None, None);
        let mut selection = Selection::default();
        while let Some(key) = r.key()? {
            match key {
                2 => export = Some(ExportId(r.bits128("export")?)),
                3 => namespace = Some(r.namespace()?),
                4 => begun = Some(WallTime(r.uint("begin")?)),
                5 => layout = Some(Layout::decode(&r.bytes("layout")?)?),
                6 => {
                    let items = r.array(KINDS, 1)?;
                    let read = (0..items).map(|_| KindRecord::decode(&r.bytes(KINDS)?));
                    kinds = Some(read.collect::<Result<Vec<_>, FormatError>>()?);
                }
                7 => {
                    let items = r.array(SELECTION, 1)?;
                    let read = (0..items).map(|_| read_kind(SELECTION, r));
                    selection.kinds = read.collect::<Result<_, FormatError>>()?;
                }
                8 => {
                    for _ in 0..r.array(SELECTION, 3)? {
                        r.tuple(SELECTION, 2)?;
                        let kind = read_kind(SELECTION, r)?;
                        selection.entities.push((kind, r.entity()?));
                    }
                }
                9 => {
                    let items = r.array(ENDS, 1)?;
                    let read = (0..items).map(|_| r.uint(ENDS).map(Sequence));
                    ends = Some(read.collect::<Result<Vec<_>, FormatError>>()?);
                }
                _ => return Err(r.damaged(RECORD, UNKNOWN)),
            }
        }
        let header = Self {
            export: r.need("export", export)?,
            namespace: r.need("namespace", namespace)?,
            begun: r.need("begin", begun)?,
            layout: r.need("layout", layout)?,
            kinds: r.need(KINDS, kinds)?,
            selection,
            ends: r.need(ENDS, ends)?,
        };
        let whole = header.ends.len() == usize::from(header.layout.streams);
        r.holds(whole, "it has not one end for each event stream")?;
        Ok(header)
    }
}

const KINDS: &str = "kinds";
const SELECTION: &str = "selection";
const ENDS: &str = "ends";

impl ExportedAgenda {
    fn write(&self, fields: &mut Fields<'_>) {
        fields.key(2).uint(match self.class {
            TakeOver::Fenced => 0,
            TakeOver::Leased => 1,
        });
        fields.key(3).uint(u64::from(self.shard.0));
        fields.key(4).uint(self.watermark.0);
        if !self.undone.is_empty() {
            let mut values = fields.key(5);
            values.array(self.undone.len());
            for place in &self.undone {
                write_place(*place, values.array(2));
            }
        }
        if !self.failed.is_empty() {
            let mut values = fields.key(6);
            values.array(self.failed.len());
            for (place, cause) in &self.failed {
                write_place(*place, values.array(3));
                values.text(cause);
            }
        }
        if !self.shelved.is_empty() {
            let mut values = fields.key(7);
            values.array(self.shelved.len());
            for shelved in &self.shelved {
                let values = values.array(2).bits128(shelved.receiver.0);
                values.uint(shelved.after.0);
            }
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, FormatError> {
        let (mut class, mut shard, mut watermark) = (None, None, None);
        let (mut undone, mut failed, mut shelved) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(key) = r.key()? {
            match key {
                2 => class = Some(r.choice("class", [TakeOver::Fenced, TakeOver::Leased])?),
                3 => shard = Some(ShardId(r.number("shard")?)),
                4 => watermark = Some(Sequence(r.uint("watermark")?)),
                5 => {
                    for _ in 0..r.array(PLACES, 3)? {
                        r.tuple(PLACES, 2)?;
                        undone.push(read_place(r)?);
                    }
                }
                6 => {
                    for _ in 0..r.array(PLACES, 4)? {
                        r.tuple(PLACES, 3)?;
                        failed.push((read_place(r)?, r.text(PLACES)?));
                    }
                }
                7 => {
                    for _ in 0..r.array(PLACES, 3)? {
                        r.tuple(PLACES, 2)?;
                        shelved.push(ShelvedReceiver {
                            receiver: Receiver(r.bits128(PLACES)?),
                            after: Sequence(r.uint(PLACES)?),
                        });
                    }
                }
                _ => return Err(r.damaged(RECORD, UNKNOWN)),
            }
        }
        Ok(Self {
            class: r.need("class", class)?,
            shard: r.need("shard", shard)?,
            watermark: r.need("watermark", watermark)?,
            undone,
            failed,
            shelved,
        })
    }
}

const PLACES: &str = "messages";

fn write_place(place: IntentPlace, values: &mut Values<'_>) {
    values.uint(place.sequence.0).uint(u64::from(place.index));
}

fn read_place(r: &mut Reader<'_>) -> Result<IntentPlace, FormatError> {
    Ok(IntentPlace {
        sequence: Sequence(r.uint(PLACES)?),
        index: r.number(PLACES)?,
    })
}

impl ExportedCommit {
    fn read(r: &mut Reader<'_>) -> Result<Self, FormatError> {
        let (mut kind, mut commit, mut stream, mut sequence) = (None, None, None, None);
        let mut after = Sequence::NONE;
        while let Some(key) = r.key()? {
            match key {
                2 => kind = Some(read_kind("kind", r)?),
                3 => commit = Some(Commit::decode(&r.bytes("commit")?)?),
                4 => stream = Some(Partition(r.number("stream")?)),
                5 => sequence = Some(Sequence(r.uint("sequence")?)),
                6 => after = Sequence(r.uint("predecessor")?),
                _ => return Err(r.damaged(RECORD, UNKNOWN)),
            }
        }
        let exported = Self {
            kind: r.need("kind", kind)?,
            commit: r.need("commit", commit)?,
            stream: r.need("stream", stream)?,
            sequence: r.need("sequence", sequence)?,
            after,
        };
        r.holds(exported.is_plain(), "a commit belongs to a namespace")?;
        let rises = exported.after < exported.sequence;
        r.holds(rises, "a commit is before the one that it follows")?;
        Ok(exported)
    }
}

impl ExportTotals {
    fn read(r: &mut Reader<'_>) -> Result<Self, FormatError> {
        let mut totals = Self::default();
        let mut hash = None;
        while let Some(key) = r.key()? {
            match key {
                2 => totals.commits = r.uint("commits")?,
                3 => totals.events = r.uint("events")?,
                4 => totals.entities = r.uint("entities")?,
                5 => totals.commands = r.uint("commands")?,
                6 => hash = Some(r.bits128("hash")?),
                _ => return Err(r.damaged(RECORD, UNKNOWN)),
            }
        }
        totals.hash = r.need("hash", hash)?;
        Ok(totals)
    }
}

fn read_kind(field: &'static str, r: &mut Reader<'_>) -> Result<KindName, FormatError> {
    let name = r.str(field)?;
    KindName::new(name).map_err(|_| r.damaged(field, "it cannot name a kind"))
}

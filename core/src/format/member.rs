//! A node's membership record: who has the name, what it says of itself, and whether it lives (S16).

use super::fields::{BITS128_LEN, Fields, HEAD_MAX, Values, map_len_max};
use super::reader::Reader;
use super::{FormatError, FrameVersions, TakeOver, Unknown};
use crate::id::{Incarnation, Sequence};
use crate::lease::Terms;
use crate::name::{ConsumerName, KindName};
use crate::node::{About, Role};
use crate::step::Span;
use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

/// A node's membership record, as stored on `<ns>.mem.<node>`: each heartbeat replaces the one before
/// it by CAS. It has a time to live, for cleaning up alone; that it is gone proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Member {
    /// The run that has the name, or had it.
    pub incarnation: Incarnation,
    /// What it is doing.
    pub state: MemberState,
    /// How many heartbeats the run had sent before this one.
    pub beats: u64,
    /// The terms by which it counts its lease.
    pub terms: Terms,
    /// What it says of itself.
    pub about: About,
    /// Earlier runs of the name whose lease may not be over yet. A run that had the name before this
    /// one and is not among them is over.
    pub replaced: Vec<Replaced>,
    /// The highest sequence that it was acknowledged of each event stream, by its number (S13).
    pub marks: Vec<Sequence>,
    /// Fields of a newer writer.
    pub unknown: Unknown,
}

/// What the run of a membership record is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum MemberState {
    /// It serves.
    Up,
    /// It hands over what it owns, and takes nothing more.
    Draining,
    /// It has left by itself, and acts no more.
    Left,
    /// Its lease is over, as another run found out: the record is its tombstone.
    Over {
        /// Who found out.
        by: Incarnation,
    },
}

/// A run that was replaced under its own name before its lease was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Replaced {
    /// The run.
    pub incarnation: Incarnation,
    /// Its last record, which the next run replaced by CAS.
    pub revision: Sequence,
    /// By which terms it counts its lease.
    pub terms: Terms,
}

const FORMAT: &str = "membership record";

/// The longest stored terms, in bytes.
const TERMS_LEN_MAX: usize = 4 * HEAD_MAX;

/// A state without its details, as it is numbered.
#[derive(Clone, Copy)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
enum Stored {
    Up,
    Draining,
    Left,
    Over,
}

impl Stored {
    const ALL: [Self; 4] = [Self::Up, Self::Draining, Self::Left, Self::Over];
}

impl MemberState {
    /// Whether the run may act still.
    pub fn lives(self) -> bool {
        match self {
            Self::Up | Self::Draining => true,
            Self::Left | Self::Over { .. } => false,
        }
    }
}

impl Member {
    /// The version of the format that this program writes and reads.
    pub const FORMAT_VERSION: u64 = 1;

    /// An upper bound for the length of [`encode`](Self::encode), in bytes.
    pub fn encoded_len_max(&self) -> usize {
        let about = &self.about;
        let labels = about.labels.iter();
        let labels: usize = labels.map(|(k, v)| 2 * HEAD_MAX + k.len() + v.len()).sum();
        let zone = about.zone.as_ref().map_or(0, String::len);
        let kinds = about.kinds.iter().flatten();
        let kinds: usize = kinds.map(|kind| HEAD_MAX + kind.as_str().len()).sum();
        let groups = about.groups.iter();
        let groups: usize = groups.map(|group| HEAD_MAX + group.as_str().len()).sum();
        let replaced = self.replaced.len() * (2 * HEAD_MAX + BITS128_LEN + TERMS_LEN_MAX);
        map_len_max(17, &self.unknown)
            + 2 * BITS128_LEN
            + TERMS_LEN_MAX
            + 14 * HEAD_MAX
            + labels
            + zone
            + kinds
            + groups
            + about.classes.len()
            + 3 * HEAD_MAX
            + about.program.len()
            + replaced
            + self.marks.len() * HEAD_MAX
    }

    /// The record's bytes.
    pub fn encode(&self) -> Bytes {
        let about = &self.about;
        let mut fields = Fields::new(Self::FORMAT_VERSION, &self.unknown, self.encoded_len_max());
        fields.key(1).bits128(self.incarnation.0);
        fields.key(2).uint(match self.state {
            MemberState::Up => Stored::Up as u64,
            MemberState::Draining => Stored::Draining as u64,
            MemberState::Left => Stored::Left as u64,
            MemberState::Over { .. } => Stored::Over as u64,
        });
        if let MemberState::Over { by } = self.state {
            fields.key(3).bits128(by.0);
        }
        fields.key(4).uint(self.beats);
        write_terms(&mut fields.key(5), &self.terms);
        fields.key(6).uint(match about.role {
            Role::Owner => 0,
            Role::Client => 1,
        });
        let mut labels = fields.key(7);
        labels.map(about.labels.len());
        for (name, value) in &about.labels {
            labels.text(name).text(value);
        }
        if let Some(zone) = &about.zone {
            fields.key(8).text(zone);
        }
        fields.key(9).uint(u64::from(about.weight));
        let mut classes = fields.key(10);
        classes.array(about.classes.len());
        for class in &about.classes {
            classes.uint(match class {
                TakeOver::Fenced => 0,
                TakeOver::Leased => 1,
            });
        }
        fields.key(11).uint(u64::from(about.lanes));
        let mut frames = fields.key(12);
        frames.array(2).uint(u64::from(about.frames.min));
        frames.uint(u64::from(about.frames.max));
        fields.key(13).text(&about.program);
        if !self.replaced.is_empty() {
            let mut values = fields.key(14);
            values.array(self.replaced.len());
            for replaced in &self.replaced {
                values.array(3).bits128(replaced.incarnation.0);
                values.uint(replaced.revision.0);
                write_terms(&mut values, &replaced.terms);
            }
        }
        let mut marks = fields.key(15);
        marks.array(self.marks.len());
        for mark in &self.marks {
            marks.uint(mark.0);
        }
        if let Some(kinds) = &about.kinds {
            let mut values = fields.key(16);
            values.array(kinds.len());
            for kind in kinds {
                values.text(kind.as_str());
            }
        }
        if !about.groups.is_empty() {
            let mut values = fields.key(17);
            values.array(about.groups.len());
            for group in &about.groups {
                values.text(group.as_str());
            }
        }
        fields.finish()
    }

    /// Reads a membership record.
    ///
    /// # Errors
    ///
    /// When the bytes are no membership record of this version, or have a state, role or class that
    /// this program does not know.
    pub fn decode(bytes: &Bytes) -> Result<Self, FormatError> {
        let mut reader = Reader::open(FORMAT, Self::FORMAT_VERSION, bytes)?;
        let r = &mut reader;
        let (mut incarnation, mut state, mut by, mut beats) = (None, None, None, None);
        let (mut terms, mut role, mut labels, mut zone) = (None, None, None, None);
        let (mut weight, mut classes, mut lanes, mut frames) = (None, None, None, None);
        let (mut program, mut replaced, mut marks) = (None, Vec::new(), None);
        let (mut kinds, mut groups) = (None, BTreeSet::new());
        let mut unknown = Unknown::default();
        while let Some(key) = r.key()? {
            match key {
                1 => incarnation = Some(Incarnation(r.bits128("incarnation")?)),
                2 => state = Some(r.choice("state", Stored::ALL)?),
                3 => by = Some(Incarnation(r.bits128("finder")?)),
                4 => beats = Some(r.uint("beats")?),
                5 => terms = Some(read_terms(r)?),
                6 => role = Some(r.choice("role", [Role::Owner, Role::Client])?),
                7 => labels = Some(read_labels(r)?),
                8 => zone = Some(r.text("zone")?),
                9 => weight = Some(r.number("weight")?),
                10 => classes = Some(read_classes(r)?),
                11 => lanes = Some(r.number("number of lanes")?),
                12 => frames = Some(read_frames(r)?),
                13 => program = Some(r.text("program")?),
                14 => replaced = read_replaced(r)?,
                15 => marks = Some(read_marks(r)?),
                16 => kinds = Some(read_kinds(r)?),
                17 => groups = read_groups(r)?,
                other => r.keep(other, &mut unknown)?,
            }
        }
        let state = match (r.need("state", state)?, by) {
            (Stored::Over, by) => MemberState::Over {
                by: r.need("finder", by)?,
            },
            (Stored::Up, None) => MemberState::Up,
            (Stored::Draining, None) => MemberState::Draining,
            (Stored::Left, None) => MemberState::Left,
            (Stored::Up | Stored::Draining | Stored::Left, Some(_)) => {
                return Err(r.damaged("finder", "only a tombstone has one"));
            }
        };
        Ok(Self {
            incarnation: r.need("incarnation", incarnation)?,
            state,
            beats: r.need("beats", beats)?,
            terms: r.need("terms", terms)?,
            about: About {
                role: r.need("role", role)?,
                labels: r.need("labels", labels)?,
                zone,
                weight: r.need("weight", weight)?,
                classes: r.need("classes", classes)?,
                kinds,
                groups,
                lanes: r.need("number of lanes", lanes)?,
                frames: r.need("frame versions", frames)?,
                program: r.need("program", program)?,
            },
            replaced,
            marks: r.need("marks", marks)?,
            unknown,
        })
    }
}

fn write_terms(values: &mut Values<'_>, terms: &Terms) {
    values
        .array(3)
        .uint(terms.ttl.as_nanos())
        .uint(u64::from(terms.drift_ppm))
        .uint(terms.margin.as_nanos());
}

fn read_terms(r: &mut Reader<'_>) -> Result<Terms, FormatError> {
    const FIELD: &str = "terms";
    r.tuple(FIELD, 3)?;
    Ok(Terms {
        ttl: Span::from_nanos(r.uint(FIELD)?),
        drift_ppm: r.number(FIELD)?,
        margin: Span::from_nanos(r.uint(FIELD)?),
    })
}

fn read_labels(r: &mut Reader<'_>) -> Result<BTreeMap<String, String>, FormatError> {
    let pairs = r.texts("labels")?;
    let count = pairs.len();
    let rising = pairs.is_sorted_by(|one, next| one.0 < next.0);
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let labels: BTreeMap<_, _> = pairs.into_iter().map(owned).collect();
    r.holds(
        rising && labels.len() == count,
        "its labels do not rise by name",
    )?;
    Ok(labels)
}

fn read_classes(r: &mut Reader<'_>) -> Result<BTreeSet<TakeOver>, FormatError> {
    const FIELD: &str = "classes";
    let count = r.array(FIELD, 1)?;
    let mut classes = BTreeSet::new();
    for _ in 0..count {
        let class = r.choice(FIELD, [TakeOver::Fenced, TakeOver::Leased])?;
        let rises = classes.last().is_none_or(|last| *last < class);
        r.holds(rises, "its classes do not rise")?;
        classes.insert(class);
    }
    Ok(classes)
}

fn read_kinds(r: &mut Reader<'_>) -> Result<BTreeSet<KindName>, FormatError> {
    const FIELD: &str = "kinds";
    let count = r.array(FIELD, 1)?;
    let mut kinds = BTreeSet::new();
    for _ in 0..count {
        let name: String = r.text(FIELD)?;
        let Ok(kind) = KindName::new(&name) else {
            return Err(r.damaged(FIELD, "one of them is no name of a kind"));
        };
        let rises = kinds.last().is_none_or(|last| *last < kind);
        r.holds(rises, "its kinds do not rise")?;
        kinds.insert(kind);
    }
    Ok(kinds)
}

fn read_groups(r: &mut Reader<'_>) -> Result<BTreeSet<ConsumerName>, FormatError> {
    const FIELD: &str = "groups";
    let count = r.array(FIELD, 1)?;
    let mut groups = BTreeSet::new();
    for _ in 0..count {
        let name: String = r.text(FIELD)?;
        let Ok(group) = ConsumerName::new(&name) else {
            return Err(r.damaged(FIELD, "one of them is no name of a group"));
        };
        let rises = groups.last().is_none_or(|last| *last < group);
        r.holds(rises, "its groups do not rise")?;
        groups.insert(group);
    }
    r.holds(
        count > 0,
        "it lists no group, which is written by leaving the list out",
    )?;
    Ok(groups)
}

fn read_frames(r: &mut Reader<'_>) -> Result<FrameVersions, FormatError> {
    const FIELD: &str = "frame versions";
    r.tuple(FIELD, 2)?;
    let (min, max) = (r.number(FIELD)?, r.number(FIELD)?);
    r.holds(min <= max, "its oldest frame version is above its newest")?;
    Ok(FrameVersions::new(min, max))
}

fn read_replaced(r: &mut Reader<'_>) -> Result<Vec<Replaced>, FormatError> {
    const FIELD: &str = "replaced runs";
    let count = r.array(FIELD, 2 + BITS128_LEN)?;
    let mut replaced = Vec::with_capacity(count);
    for _ in 0..count {
        r.tuple(FIELD, 3)?;
        replaced.push(Replaced {
            incarnation: Incarnation(r.bits128(FIELD)?),
            revision: Sequence(r.uint(FIELD)?),
            terms: read_terms(r)?,
        });
    }
    r.holds(
        count > 0,
        "it lists no replaced run, which is written by leaving the list out",
    )?;
    Ok(replaced)
}

fn read_marks(r: &mut Reader<'_>) -> Result<Vec<Sequence>, FormatError> {
    const FIELD: &str = "marks";
    let count = r.array(FIELD, 1)?;
    let mut marks = Vec::with_capacity(count);
    for _ in 0..count {
        marks.push(Sequence(r.uint(FIELD)?));
    }
    Ok(marks)
}

//! What a commit leaves to be done later: timers that it arms and cancels, and messages to other
//! entities (S4, S18).

use super::fields::{BITS128_LEN, Fields, HEAD_MAX, Values};
use super::metadata::Metadata;
use super::reader::Reader;
use super::{Codec, FormatError};
use crate::id::{CommandId, WallTime};
use crate::name::{EntityId, KindName, TimerName};
use alloc::borrow::Cow;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;

/// Timers and messages of one decision, or of all decisions of one commit.
///
/// In a decision the cancellations come before what is armed: whoever cancels a name and arms it again
/// has it armed. In a commit no name is in both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Later {
    /// Timers that are armed; one of a name takes the place of an armed one of that name.
    pub armed: Vec<Timer>,
    /// Timers that are armed no more. One that is not armed may be named as well.
    pub cancelled: Vec<TimerName>,
    /// Messages to entities.
    pub sends: Vec<Intent>,
    /// In a tombstone: the ids of the first of them, which the entity sent before it and which go on under
    /// those.
    pub carried: Vec<CommandId>,
    /// The kind of the entity is of the leased class, so the owner of its shard in that class fires and
    /// sends; the log itself says so.
    pub leased: bool,
}

/// A timer of an entity (a reminder): a message to the entity itself that comes when it is due.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Timer {
    /// Its name; an entity has one timer of a name.
    pub name: TimerName,
    /// When it is due, on the wall clock of whoever owns the entity's shard then.
    pub due: WallTime,
    /// Every how many milliseconds it comes again; 0 for once. Periods that were missed are not made
    /// up for.
    pub period_ms: u64,
    /// What comes, in the codec of the entity's kind.
    pub message: MessageRecord,
}

/// A message to an entity that is sent because its commit was stored: once it is acknowledged, as a
/// command, until the entity has committed or rejected it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Intent {
    /// The kind of the receiver.
    pub kind: KindName,
    /// The receiver.
    pub entity: EntityId,
    /// How the message is encoded.
    pub codec: Codec,
    /// The message.
    pub message: MessageRecord,
    /// What it says of itself beside its content.
    pub metadata: Option<Arc<Metadata>>,
}

/// An encoded message and the type that it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct MessageRecord {
    /// The stable name of its type.
    pub name: Cow<'static, str>,
    /// The version of its type.
    pub schema: u16,
    /// Its encoded value.
    pub data: Bytes,
}

/// What a stored timer is made of.
const TIMER_PARTS: usize = 6;
/// What a stored intent is made of.
const INTENT_PARTS: usize = 7;

impl Later {
    /// Whether nothing is left to be done.
    pub fn is_empty(&self) -> bool {
        let Self {
            armed,
            cancelled,
            sends,
            carried,
            leased: _,
        } = self;
        armed.is_empty() && cancelled.is_empty() && sends.is_empty() && carried.is_empty()
    }

    /// Puts what the next decision of a commit wants after this.
    pub fn extend(&mut self, next: Self) {
        for name in next.cancelled {
            self.armed.retain(|timer| timer.name != name);
            if !self.cancelled.contains(&name) {
                self.cancelled.push(name);
            }
        }
        for timer in next.armed {
            self.cancelled.retain(|name| *name != timer.name);
            self.armed.retain(|armed| armed.name != timer.name);
            self.armed.push(timer);
        }
        self.sends.extend(next.sends);
    }

    /// Has messages that were sent before go on, under their ids.
    pub(crate) fn carry(&mut self, sent: Vec<(CommandId, Intent)>) {
        let (ids, sends): (Vec<_>, Vec<_>) = sent.into_iter().unzip();
        self.carried.splice(..0, ids);
        self.sends.splice(..0, sends);
    }

    /// An upper bound for its fields, in bytes.
    pub(super) fn encoded_len_max(&self) -> usize {
        let names = self.cancelled.iter().map(|name| name.as_str().len());
        let intents = self.sends.iter().map(Intent::encoded_len_max);
        4 * (1 + HEAD_MAX)
            + 2
            + self.carried.len() * BITS128_LEN
            + timers_len_max(&self.armed)
            + self.cancelled.len() * HEAD_MAX
            + names.sum::<usize>()
            + intents.sum::<usize>()
    }

    /// Writes its fields, under the keys from `first` on.
    pub(super) fn write(&self, first: u32, fields: &mut Fields<'_>) {
        if !self.armed.is_empty() {
            write_timers(&self.armed, &mut fields.key(first));
        }
        if !self.cancelled.is_empty() {
            let mut values = fields.key(first + 1);
            values.array(self.cancelled.len());
            for name in &self.cancelled {
                values.text(name.as_str());
            }
        }
        if !self.sends.is_empty() {
            let mut values = fields.key(first + 2);
            values.array(self.sends.len());
            for intent in &self.sends {
                intent.write(&mut values);
            }
        }
        if self.leased {
            fields.key(first + 3).yes();
        }
        if !self.carried.is_empty() {
            let mut values = fields.key(first + 4);
            values.array(self.carried.len());
            for id in &self.carried {
                values.bits128(id.0);
            }
        }
    }

    pub(super) fn read_cancelled(r: &mut Reader<'_>) -> Result<Vec<TimerName>, FormatError> {
        let items = r.array(TIMERS, 2)?;
        (0..items).map(|_| timer_name(r)).collect()
    }

    pub(super) fn read_sends(r: &mut Reader<'_>) -> Result<Vec<Intent>, FormatError> {
        let items = r.array(SENDS, 1 + INTENT_PARTS)?;
        (0..items).map(|_| Intent::read(r)).collect()
    }

    pub(super) fn read_carried(r: &mut Reader<'_>) -> Result<Vec<CommandId>, FormatError> {
        let items = r.array(CARRIED, 1)?;
        (0..items)
            .map(|_| Ok(CommandId(r.bits128(CARRIED)?)))
            .collect()
    }

    /// Whether each message that goes on is there, under an id of its own, and in a tombstone.
    pub(crate) fn has_carried(&self, tombstone: bool) -> bool {
        let mut ids = self.carried.clone();
        ids.sort_unstable();
        (tombstone || ids.is_empty())
            && ids.len() <= self.sends.len()
            && ids.windows(2).all(|pair| pair.first() != pair.last())
    }

    /// Whether each name is there once.
    pub(super) fn is_sound(&self) -> bool {
        let armed = self.armed.iter().map(|timer| &timer.name);
        let mut names: Vec<_> = armed.chain(&self.cancelled).collect();
        names.sort_unstable();
        names.windows(2).all(|pair| pair.first() != pair.last())
    }
}

const TIMERS: &str = "timers";
const SENDS: &str = "messages";
const CARRIED: &str = "ids of messages";

/// An upper bound for armed timers, in bytes.
pub(super) fn timers_len_max(timers: &[Timer]) -> usize {
    let each = timers.iter().map(|timer| {
        1 + TIMER_PARTS * HEAD_MAX + timer.name.as_str().len() + timer.message.texts_len()
    });
    HEAD_MAX + each.sum::<usize>()
}

/// Writes armed timers, as commits and snapshots have them.
pub(super) fn write_timers(timers: &[Timer], values: &mut Values<'_>) {
    values.array(timers.len());
    for timer in timers {
        let values = values.array(TIMER_PARTS).text(timer.name.as_str());
        timer
            .message
            .write(values.uint(timer.due.0).uint(timer.period_ms));
    }
}

/// Reads what [`write_timers`] wrote.
pub(super) fn read_timers(r: &mut Reader<'_>) -> Result<Vec<Timer>, FormatError> {
    let items = r.array(TIMERS, 1 + TIMER_PARTS)?;
    let mut timers = Vec::with_capacity(items);
    for _ in 0..items {
        r.tuple(TIMERS, TIMER_PARTS)?;
        timers.push(Timer {
            name: timer_name(r)?,
            due: WallTime(r.uint(TIMERS)?),
            period_ms: r.uint(TIMERS)?,
            message: MessageRecord::read(TIMERS, r)?,
        });
    }
    Ok(timers)
}

fn timer_name(r: &mut Reader<'_>) -> Result<TimerName, FormatError> {
    let name = r.str(TIMERS)?;
    TimerName::new(name).map_err(|_| r.damaged(TIMERS, "a name has 1 to 128 bytes"))
}

impl MessageRecord {
    fn texts_len(&self) -> usize {
        self.name.len() + self.data.len()
    }

    fn write(&self, values: &mut Values<'_>) {
        let values = values.text(&self.name).uint(u64::from(self.schema));
        values.bytes(&self.data);
    }

    fn read(field: &'static str, r: &mut Reader<'_>) -> Result<Self, FormatError> {
        Ok(Self {
            name: r.text(field)?.into(),
            schema: r.number(field)?,
            data: r.bytes(field)?,
        })
    }
}

impl Intent {
    pub(crate) fn encoded_len_max(&self) -> usize {
        let texts = self.kind.as_str().len() + self.entity.as_str().len();
        let metadata = self.metadata.as_ref();
        1 + INTENT_PARTS * HEAD_MAX
            + texts
            + self.message.texts_len()
            + metadata.map_or(1, |metadata| 1 + HEAD_MAX + metadata.encoded_len_max())
    }

    fn write(&self, values: &mut Values<'_>) {
        let json = u64::from(self.codec == Codec::Json);
        let values = values.array(INTENT_PARTS).text(self.kind.as_str());
        let values = values.text(self.entity.as_str()).uint(json);
        self.message.write(values);
        // None or one.
        values.array(usize::from(self.metadata.is_some()));
        if let Some(metadata) = &self.metadata {
            metadata.write(values);
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, FormatError> {
        r.tuple(SENDS, INTENT_PARTS)?;
        let kind = KindName::new(r.str(SENDS)?);
        let kind = kind.map_err(|_| r.damaged(SENDS, "its kind cannot be one"))?;
        Ok(Self {
            kind,
            entity: r.entity()?,
            codec: r.choice(SENDS, [Codec::Cbor, Codec::Json])?,
            message: MessageRecord::read(SENDS, r)?,
            metadata: match r.array(SENDS, 1)? {
                0 => None,
                1 => Some(Arc::new(Metadata::read(r)?)),
                _ => return Err(r.damaged(SENDS, "its metadata is one or none")),
            },
        })
    }
}

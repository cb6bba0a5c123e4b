//! A dead letter: an event that a consumer did not get handled, and why.

use super::fields::{BITS128_LEN, Fields, HEAD_MAX, map_len_max};
use super::reader::Reader;
use super::{EventPlace, FormatError, Unknown};
use crate::id::{LayoutId, Partition, Sequence, Version, WallTime};
use crate::name::{ConsumerName, EntityId, KindName};
use alloc::string::String;
use bytes::Bytes;
use core::fmt;

/// Why an event was not handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Cause {
    /// The handler failed, or panicked.
    Handler,
    /// It could not be decoded.
    Undecodable,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handler => "the handler failed",
            Self::Undecodable => "the event cannot be decoded",
        })
    }
}

/// An event that a consumer put aside, as stored on `<ns>.dlq.<consumer>.<stream>.<sequence>.<index>`.
/// The event itself stays in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct DeadLetter {
    /// The layout that its place is of.
    pub layout: LayoutId,
    /// The consumer.
    pub consumer: ConsumerName,
    /// Where the event is.
    pub place: EventPlace,
    /// The kind of its entity.
    pub kind: KindName,
    /// Its entity.
    pub entity: EntityId,
    /// Its version; [`Version::ABSENT`] when its commit cannot be read.
    pub version: Version,
    /// Its stored type name; empty when its commit cannot be read.
    pub event: String,
    /// Why it was put aside.
    pub cause: Cause,
    /// The error's text.
    pub text: String,
    /// How often it was tried.
    pub tries: u32,
    /// When it was put aside, on the consumer's wall clock.
    pub time: WallTime,
    /// The life of the consumer in which it was.
    pub generation: u64,
    /// Fields of a newer writer.
    pub unknown: Unknown,
}

const FORMAT: &str = "dead letter";
const PLACE: &str = "place";

impl DeadLetter {
    /// The version of the format that this program writes and reads.
    pub const FORMAT_VERSION: u64 = 1;

    /// The longest text of an error that is stored, in bytes.
    pub const TEXT_BYTES_MAX: usize = 4_096;

    /// An upper bound for the length of [`encode`](Self::encode), in bytes.
    pub fn encoded_len_max(&self) -> usize {
        let texts = self.consumer.as_str().len()
            + self.kind.as_str().len()
            + self.entity.as_str().len()
            + self.event.len()
            + self.text.len();
        map_len_max(12, &self.unknown) + BITS128_LEN + 1 + 13 * HEAD_MAX + texts
    }

    /// The letter's bytes.
    pub fn encode(&self) -> Bytes {
        let mut fields = Fields::new(Self::FORMAT_VERSION, &self.unknown, self.encoded_len_max());
        fields.key(1).bits128(self.layout.0);
        fields.key(2).text(self.consumer.as_str());
        let place = &self.place;
        let mut values = fields.key(3);
        let values = values.array(3).uint(u64::from(place.partition.0));
        values.uint(place.sequence.0).uint(u64::from(place.index));
        fields.key(4).text(self.kind.as_str());
        fields.key(5).text(self.entity.as_str());
        fields.key(6).uint(self.version.0);
        fields.key(7).text(&self.event);
        fields.key(8).uint(match self.cause {
            Cause::Handler => 0,
            Cause::Undecodable => 1,
        });
        fields.key(9).text(&self.text);
        fields.key(10).uint(u64::from(self.tries));
        fields.key(11).uint(self.time.0);
        fields.key(12).uint(self.generation);
        fields.finish()
    }

    /// Reads a dead letter.
    ///
    /// # Errors
    ///
    /// When the bytes are no dead letter of this version.
    pub fn decode(bytes: &Bytes) -> Result<Self, FormatError> {
        let mut reader = Reader::open(FORMAT, Self::FORMAT_VERSION, bytes)?;
        let r = &mut reader;
        let (mut layout, mut consumer, mut place, mut kind) = (None, None, None, None);
        let (mut entity, mut version, mut event, mut cause) = (None, None, None, None);
        let (mut text, mut tries, mut time, mut generation) = (None, None, None, None);
        let mut unknown = Unknown::default();
        while let Some(key) = r.key()? {
            match key {
                1 => layout = Some(LayoutId(r.bits128("layout")?)),
                2 => consumer = Some(r.consumer()?),
                3 => {
                    r.tuple(PLACE, 3)?;
                    place = Some(EventPlace {
                        partition: Partition(r.number(PLACE)?),
                        sequence: Sequence(r.uint(PLACE)?),
                        index: r.number(PLACE)?,
                    });
                }
                4 => {
                    let name = KindName::new(r.str("kind")?);
                    kind = Some(name.map_err(|_| r.damaged("kind", "it cannot be one"))?);
                }
                5 => entity = Some(r.entity()?),
                6 => version = Some(Version(r.uint("version")?)),
                7 => event = Some(r.text("event")?),
                8 => cause = Some(r.choice("cause", [Cause::Handler, Cause::Undecodable])?),
                9 => text = Some(r.text("text")?),
                10 => tries = Some(r.number("tries")?),
                11 => time = Some(WallTime(r.uint("time")?)),
                12 => generation = Some(r.uint("generation")?),
                other => r.keep(other, &mut unknown)?,
            }
        }
        Ok(Self {
            layout: r.need("layout", layout)?,
            consumer: r.need("consumer", consumer)?,
            place: r.need(PLACE, place)?,
            kind: r.need("kind", kind)?,
            entity: r.need("entity", entity)?,
            version: r.need("version", version)?,
            event: r.need("event", event)?,
            cause: r.need("cause", cause)?,
            text: r.need("text", text)?,
            tries: r.need("tries", tries)?,
            time: r.need("time", time)?,
            generation: r.need("generation", generation)?,
            unknown,
        })
    }
}

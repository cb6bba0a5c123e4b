//! What a request to another node says: whom it is for, what it asks, and through whom it came.

use super::fields::{BITS128_LEN, Fields, HEAD_MAX, map_len_max};
use super::reader::Reader;
use super::{Codec, FormatError, Metadata, TakeOver, Unknown};
use crate::id::{CommandId, Sequence, ShardId, Version};
use crate::log::{Expected, Freshness};
use crate::name::EntityId;
use crate::shard::Place;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;

/// A request to another node. Its texts are where it was read from or made from: neither writing nor
/// reading one takes memory, but for what it mostly has not (metadata, a chain).
///
/// ```
/// use tenure_core::format::{Call, CallTarget, Codec, TakeOver};
/// use tenure_core::id::ShardId;
/// use tenure_core::shard::Place;
///
/// let target = CallTarget::Actor {
///     place: Place { class: TakeOver::Leased, shard: ShardId(7) },
///     kind: "counter",
///     key: "page-1",
/// };
/// let call = Call::new(target, "increment", 1, b"\x01".as_slice().into());
/// let bytes = call.encode();
/// assert_eq!(Call::decode(&bytes)?, call);
/// # Ok::<_, tenure_core::format::FormatError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// Whom it is for.
    pub target: CallTarget<'a>,
    /// The stable name of the message.
    pub message: &'a str,
    /// The version of the message's type.
    pub schema: u16,
    /// How the body and the reply are encoded.
    pub codec: Codec,
    /// The message.
    pub body: Bytes,
    /// The command's id: what has one may be sent again after it may have run.
    pub id: Option<CommandId>,
    /// What version a command must meet.
    pub expected: Expected,
    /// It only reads, and what answers must be so new; `None`: it may change something.
    pub freshness: Option<Freshness>,
    /// How far the sender knows the stream to reach: what is answered takes in at least that (S13).
    pub at_least: Sequence,
    /// What a command says of itself; stored with its events.
    pub metadata: Option<Arc<Metadata>>,
    /// Through whose turns it came, the first asker first: who is in it is waiting for its answer.
    pub chain: Vec<Hop<'a>>,
}

/// Whom a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallTarget<'a> {
    /// An entity.
    Entity {
        /// Where its sender takes it to be.
        place: Place,
        /// Its kind.
        kind: &'a str,
        /// Its id.
        id: &'a str,
    },
    /// An actor.
    Actor {
        /// Where its sender takes it to be.
        place: Place,
        /// Its kind.
        kind: &'a str,
        /// Its key.
        key: &'a str,
    },
    /// An actor that belongs to the node itself.
    Resident {
        /// Its kind.
        kind: &'a str,
        /// Its key.
        key: &'a str,
    },
    /// The owner of a shard.
    Shard(Place),
    /// The node itself.
    Node,
}

/// One turn through which a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hop<'a> {
    /// The kind of the entity or actor whose turn it was.
    pub kind: &'a str,
    /// Its id or key.
    pub key: &'a str,
}

const FORMAT: &str = "call";

impl<'a> Call<'a> {
    /// The version of the format that this program writes and reads.
    pub const FORMAT_VERSION: u64 = 1;

    /// The longest chain: a request that came through more turns is refused before it is sent.
    pub const CHAIN_MAX: usize = 64;

    /// A request without an id, in CBOR, that expects nothing.
    pub fn new(target: CallTarget<'a>, message: &'a str, schema: u16, body: Bytes) -> Self {
        Self {
            target,
            message,
            schema,
            codec: Codec::Cbor,
            body,
            id: None,
            expected: Expected::Any,
            freshness: None,
            at_least: Sequence::NONE,
            metadata: None,
            chain: Vec::new(),
        }
    }

    /// An upper bound for the length of [`encode`](Self::encode), in bytes.
    pub fn encoded_len_max(&self) -> usize {
        let chain = self.chain.iter();
        let chain: usize = chain
            .map(|hop| 2 * HEAD_MAX + hop.kind.len() + hop.key.len())
            .sum();
        let metadata = self.metadata.as_ref();
        map_len_max(11, &Unknown(Vec::new()))
            + 12 * HEAD_MAX
            + BITS128_LEN
            + self.target.texts_len()
            + self.message.len()
            + self.body.len()
            + metadata.map_or(0, |metadata| metadata.encoded_len_max())
            + chain
    }

    /// The request's bytes.
    pub fn encode(&self) -> Bytes {
        Bytes::from(self.write(Vec::with_capacity(self.encoded_len_max())))
    }

    /// Appends the request's bytes.
    pub(super) fn write(&self, out: Vec<u8>) -> Vec<u8> {
        const NONE: &Unknown = &Unknown(Vec::new());
        let mut fields = Fields::after(Self::FORMAT_VERSION, NONE, out);
        self.target.write(&mut fields);
        fields.key(2).text(self.message);
        fields.key(3).uint(u64::from(self.schema));
        if self.codec == Codec::Json {
            fields.key(4).yes();
        }
        fields.key(5).bytes(&self.body);
        if let Some(id) = self.id {
            fields.key(6).bits128(id.0);
        }
        match self.expected {
            Expected::Any => {}
            Expected::Exactly(version) => {
                fields.key(7).uint(version.0);
            }
            Expected::Present => {
                fields.key(8).yes();
            }
        }
        if let Some(freshness) = self.freshness {
            fields.key(9).uint(match freshness {
                Freshness::Local => 0,
                Freshness::Leased => 1,
                Freshness::Linearizable => 2,
            });
        }
        if self.at_least.is_some() {
            fields.key(10).uint(self.at_least.0);
        }
        if let Some(metadata) = &self.metadata {
            metadata.write(&mut fields.key(11));
        }
        if !self.chain.is_empty() {
            let mut values = fields.key(12);
            values.array(2 * self.chain.len());
            for hop in &self.chain {
                values.text(hop.kind).text(hop.key);
            }
        }
        fields.end()
    }

    /// Reads a request; its body shares the memory of `bytes`. Fields of a newer writer are passed
    /// over.
    ///
    /// # Errors
    ///
    /// When the bytes are no request of this version.
    pub fn decode(bytes: &'a Bytes) -> Result<Self, FormatError> {
        let mut reader = Reader::open(FORMAT, Self::FORMAT_VERSION, bytes)?;
        let r = &mut reader;
        let (mut target, mut message, mut schema, mut body) = (None, None, None, None);
        let mut call = Call::new(CallTarget::Node, "", 0, Bytes::new());
        while let Some(key) = r.key()? {
            match key {
                1 => target = Some(CallTarget::read(r)?),
                2 => message = Some(r.str("message")?),
                3 => schema = Some(r.number("version of the message")?),
                4 => {
                    r.yes("codec")?;
                    call.codec = Codec::Json;
                }
                5 => body = Some(r.bytes("body")?),
                6 => call.id = Some(CommandId(r.bits128("command id")?)),
                7 => call.expected = Expected::Exactly(Version(r.uint("expected version")?)),
                8 => {
                    r.yes("expected presence")?;
                    let none = call.expected == Expected::Any;
                    r.holds(none, "it expects a version and any version")?;
                    call.expected = Expected::Present;
                }
                9 => {
                    let all = [Freshness::Local, Freshness::Leased, Freshness::Linearizable];
                    call.freshness = Some(r.choice("freshness", all)?);
                }
                10 => call.at_least = Sequence(r.uint("least sequence")?),
                11 => call.metadata = Some(Arc::new(Metadata::read(r)?)),
                12 => call.chain = chain(r)?,
                _ => r.skip()?,
            }
        }
        call.target = r.need("target", target)?;
        call.message = r.need("message", message)?;
        call.schema = r.need("version of the message", schema)?;
        call.body = r.need("body", body)?;
        Ok(call)
    }
}

fn chain<'a>(r: &mut Reader<'a>) -> Result<Vec<Hop<'a>>, FormatError> {
    const FIELD: &str = "chain";
    let texts = r.array(FIELD, 1)?;
    if texts % 2 != 0 || texts / 2 > Call::CHAIN_MAX {
        return Err(r.damaged(FIELD, "it has half a turn, or too many"));
    }
    let mut hops = Vec::with_capacity(texts / 2);
    for _ in 0..texts / 2 {
        let (kind, key) = (r.str(FIELD)?, r.str(FIELD)?);
        hops.push(Hop { kind, key });
    }
    Ok(hops)
}

impl<'a> CallTarget<'a> {
    /// Where it is, unless it is a node.
    pub fn place(&self) -> Option<Place> {
        match self {
            Self::Entity { place, .. } | Self::Actor { place, .. } | Self::Shard(place) => {
                Some(*place)
            }
            Self::Resident { .. } | Self::Node => None,
        }
    }

    fn texts_len(&self) -> usize {
        match self {
            Self::Entity { kind, id: key, .. }
            | Self::Actor { kind, key, .. }
            | Self::Resident { kind, key } => kind.len() + key.len(),
            Self::Shard(_) | Self::Node => 0,
        }
    }

    fn write(&self, fields: &mut Fields<'_>) {
        let mut values = fields.key(1);
        let (parts, number, place, texts) = match *self {
            Self::Entity { place, kind, id } => (5, 0, Some(place), Some((kind, id))),
            Self::Actor { place, kind, key } => (5, 1, Some(place), Some((kind, key))),
            Self::Shard(place) => (3, 2, Some(place), None),
            Self::Node => (1, 3, None, None),
            Self::Resident { kind, key } => (3, 4, None, Some((kind, key))),
        };
        values.array(parts).uint(number);
        if let Some(Place { class, shard }) = place {
            let class = u64::from(class == TakeOver::Leased);
            values.uint(class).uint(u64::from(shard.0));
        }
        if let Some((kind, key)) = texts {
            values.text(kind).text(key);
        }
    }

    fn read(r: &mut Reader<'a>) -> Result<Self, FormatError> {
        const FIELD: &str = "target";
        let parts = r.array(FIELD, 1)?;
        let number: u8 = if parts == 0 { 255 } else { r.number(FIELD)? };
        match (number, parts) {
            (0 | 1, 5) => {
                let place = read_place(r)?;
                let (kind, key) = read_key(r)?;
                Ok(if number == 0 {
                    Self::Entity {
                        place,
                        kind,
                        id: key,
                    }
                } else {
                    Self::Actor { place, kind, key }
                })
            }
            (2, 3) => read_place(r).map(Self::Shard),
            (3, 1) => Ok(Self::Node),
            (4, 3) => read_key(r).map(|(kind, key)| Self::Resident { kind, key }),
            _ => Err(r.damaged(FIELD, "this program does not know such a target")),
        }
    }
}

fn read_key<'a>(r: &mut Reader<'a>) -> Result<(&'a str, &'a str), FormatError> {
    const FIELD: &str = "target";
    let (kind, key) = (r.str(FIELD)?, r.str(FIELD)?);
    if kind.is_empty() || key.is_empty() || key.len() > EntityId::BYTES_MAX {
        return Err(r.damaged(FIELD, "its kind or key cannot be one"));
    }
    Ok((kind, key))
}

fn read_place(r: &mut Reader<'_>) -> Result<Place, FormatError> {
    Ok(Place {
        class: r.choice("class", [TakeOver::Fenced, TakeOver::Leased])?,
        shard: ShardId(r.number("shard")?),
    })
}

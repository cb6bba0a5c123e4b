//! An event of the bus, as it is sent to who listens and stored for who comes later.

use super::fields::{BITS128_LEN, Fields, HEAD_MAX, map_len_max};
use super::metadata::{Metadata, MetadataRecord};
use super::reader::Reader;
use super::{Commit, EventRecord, FormatError, Unknown};
use crate::id::{CommitId, KindId, LayoutId, PublicationId, Version, WallTime};
use crate::name::EntityId;
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;

/// One event of the bus, as sent on `<ns>.cast.<topic>` or stored on `<ns>.bus.<topic>`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Publication {
    /// The same over all attempts at publishing it.
    pub id: PublicationId,
    /// When it was published, on the publisher's wall clock.
    pub time: WallTime,
    /// The publisher's node, for people.
    pub node: String,
    /// The stable name of the event's type.
    pub name: Cow<'static, str>,
    /// The version of its type.
    pub schema: u16,
    /// Its value, as CBOR.
    pub data: Bytes,
    /// What it says of itself.
    pub metadata: Option<Arc<Metadata>>,
    /// Fields of a newer writer.
    pub unknown: Unknown,
}

const FORMAT: &str = "publication";

impl Publication {
    /// The version of the format that this program writes and reads.
    pub const FORMAT_VERSION: u64 = 1;

    /// An upper bound for the length of [`encode`](Self::encode), in bytes.
    pub fn encoded_len_max(&self) -> usize {
        let metadata = self.metadata.as_ref();
        map_len_max(7, &self.unknown)
            + BITS128_LEN
            + 5 * HEAD_MAX
            + self.node.len()
            + self.name.len()
            + self.data.len()
            + metadata.map_or(0, |metadata| HEAD_MAX + metadata.encoded_len_max())
    }

    /// The publication's bytes.
    pub fn encode(&self) -> Bytes {
        let mut fields = Fields::new(Self::FORMAT_VERSION, &self.unknown, self.encoded_len_max());
        fields.key(1).bits128(self.id.0);
        fields.key(2).uint(self.time.0);
        fields.key(3).text(&self.node);
        fields.key(4).text(&self.name);
        fields.key(5).uint(u64::from(self.schema));
        fields.key(6).bytes(&self.data);
        if let Some(metadata) = &self.metadata {
            metadata.write(&mut fields.key(7));
        }
        fields.finish()
    }

    /// The commit of one event that a consumer is handed it as.
    pub fn into_commit(self, layout: LayoutId, entity: EntityId) -> Commit {
        let version = Version(1);
        let metadata = self.metadata.map(|metadata| MetadataRecord {
            command: None,
            first: 0,
            events: 1,
            metadata,
        });
        Commit {
            id: CommitId(self.id.0),
            layout,
            kind: KindId(0),
            entity,
            epoch: None,
            time: self.time,
            before: Version::ABSENT,
            last: version,
            earlier: Arc::default(),
            snapshot: None,
            horizon: WallTime::default(),
            commands: Vec::new(),
            events: vec![EventRecord {
                version,
                name: self.name,
                schema: self.schema,
                data: self.data,
            }],
            tombstone: false,
            metadata: metadata.into_iter().collect(),
            later: None,
            unknown: Unknown::default(),
        }
    }

    /// Reads a publication; `data` and unknown fields share the memory of `bytes`.
    ///
    /// # Errors
    ///
    /// When the bytes are no publication of this version.
    pub fn decode(bytes: &Bytes) -> Result<Self, FormatError> {
        let mut reader = Reader::open(FORMAT, Self::FORMAT_VERSION, bytes)?;
        let r = &mut reader;
        let (mut id, mut time, mut node, mut name) = (None, None, None, None);
        let (mut schema, mut data, mut metadata) = (None, None, None);
        let mut unknown = Unknown::default();
        while let Some(key) = r.key()? {
            match key {
                1 => id = Some(PublicationId(r.bits128("id")?)),
                2 => time = Some(WallTime(r.uint("time")?)),
                3 => node = Some(r.text("node")?),
                4 => name = Some(r.text("name")?.into()),
                5 => schema = Some(r.number("version of the type")?),
                6 => data = Some(r.bytes("value")?),
                7 => metadata = Some(Arc::new(Metadata::read(r)?)),
                other => r.keep(other, &mut unknown)?,
            }
        }
        Ok(Self {
            id: r.need("id", id)?,
            time: r.need("time", time)?,
            node: r.need("node", node)?,
            name: r.need("name", name)?,
            schema: r.need("version of the type", schema)?,
            data: r.need("value", data)?,
            metadata,
            unknown,
        })
    }
}

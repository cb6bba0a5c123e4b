//! The record of an import: a namespace that is filled from an export belongs to the import alone, until
//! this says that it is done.

use super::fields::{BITS128_LEN, Fields, HEAD_MAX, map_len_max};
use super::reader::Reader;
use super::{FormatError, Unknown};
use crate::id::{ExportId, LayoutId, WallTime};
use crate::name::Namespace;
use bytes::Bytes;

/// Where a namespace came from, as stored on `<ns>.ctl.import`.
///
/// It is stored before the layout that it names, and once more when all is stored and verified.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Import {
    /// The layout that the namespace gets.
    pub layout: LayoutId,
    /// The export that fills it.
    pub export: ExportId,
    /// The namespace that was exported.
    pub source: Namespace,
    /// When the import was begun, on the wall clock of who began it.
    pub begun: WallTime,
    /// When all was stored and verified; until then nobody else opens the namespace.
    pub done: Option<WallTime>,
    /// Fields of a newer writer.
    pub unknown: Unknown,
}

const FORMAT: &str = "import record";

impl Import {
    /// The version of the format that this program writes and reads.
    pub const FORMAT_VERSION: u64 = 1;

    /// An upper bound for the length of [`encode`](Self::encode), in bytes.
    pub fn encoded_len_max(&self) -> usize {
        map_len_max(5, &self.unknown) + 2 * BITS128_LEN + 3 * HEAD_MAX + self.source.as_str().len()
    }

    /// The record's bytes.
    pub fn encode(&self) -> Bytes {
        let mut fields = Fields::new(Self::FORMAT_VERSION, &self.unknown, self.encoded_len_max());
        fields.key(1).bits128(self.layout.0);
        fields.key(2).bits128(self.export.0);
        fields.key(3).text(self.source.as_str());
        fields.key(4).uint(self.begun.0);
        if let Some(done) = self.done {
            fields.key(5).uint(done.0);
        }
        fields.finish()
    }

    /// Reads the record of an import.
    ///
    /// # Errors
    ///
    /// When the bytes are no import record of this version.
    pub fn decode(bytes: &Bytes) -> Result<Self, FormatError> {
        let mut reader = Reader::open(FORMAT, Self::FORMAT_VERSION, bytes)?;
        let r = &mut reader;
        let (mut layout, mut export, mut source) = (None, None, None);
        let (mut begun, mut done) = (None, None);
        let mut unknown = Unknown::default();
        while let Some(key) = r.key()? {
            match key {
                1 => layout = Some(LayoutId(r.bits128("layout")?)),
                2 => export = Some(ExportId(r.bits128("export")?)),
                3 => source = Some(r.namespace()?),
                4 => begun = Some(WallTime(r.uint("begin")?)),
                5 => done = Some(WallTime(r.uint("end")?)),
                other => r.keep(other, &mut unknown)?,
            }
        }
        Ok(Self {
            layout: r.need("layout", layout)?,
            export: r.need("export", export)?,
            source: r.need("source", source)?,
            begun: r.need("begin", begun)?,
            done,
            unknown,
        })
    }
}

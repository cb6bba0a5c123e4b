//! Events: what happened, under names and versions that outlive the code.

use super::CodecError;
use crate::format::Codec;
use crate::id::Version;
use bytes::Bytes;

/// The events of one kind of aggregate, each with a stable name and version.
///
/// Derive it:
///
/// ```
/// # use tenure_core::api::Event;
/// #[derive(Debug, tenure_macros::Event)]
/// # #[event(crate = "tenure_core::api")]
/// enum OrderEvent {
///     #[event(name = "placed", version = 2)]
///     Placed { customer: String, cents: u64 },
///     // As it was before; still readable.
///     #[event(name = "placed", version = 1)]
///     PlacedWithoutPrice { customer: String },
///     #[event(name = "shipped", version = 1)]
///     Shipped,
/// }
/// assert_eq!(OrderEvent::Shipped.name(), "shipped");
/// assert_eq!(OrderEvent::TYPES.len(), 3);
/// ```
///
/// Only an event's own fields are encoded; its name and version stand beside them in the
/// log, so that a renamed Rust type changes nothing that is stored.
///
/// Fields are serde's: a field that the type does not name is ignored, one that is absent is an
/// error unless it is an `Option` or has `#[serde(default)]`. So a field may be added within a
/// version if older builds may ignore it and this one can do without it. Any other change is a new
/// version, and the old one stays a variant, as above, or goes through an
/// [upcaster](super::Upcasters).
pub trait Event: Sized + Send + 'static {
    /// Every (name, version) that [`decode`](Self::decode) knows.
    const TYPES: &'static [(&'static str, u16)];

    /// The event's stable name.
    fn name(&self) -> &'static str;

    /// The version of the event's type.
    fn schema(&self) -> u16;

    /// Encodes the event's fields.
    ///
    /// # Errors
    ///
    /// When a field cannot be encoded.
    fn encode(&self, codec: Codec) -> Result<Bytes, CodecError>;

    /// Decodes an event; `None` when the type has no event of that name and version.
    ///
    /// # Errors
    ///
    /// When the bytes are not what the event's fields expect.
    fn decode(
        name: &str,
        schema: u16,
        codec: Codec,
        data: &[u8],
    ) -> Result<Option<Self>, CodecError>;
}

/// An event as the log holds it: its encoded fields beside its name and version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawEvent {
    /// Its stable type name.
    pub name: String,
    /// The version of its type.
    pub schema: u16,
    /// The entity's version after it; `None` is the next one. Must rise; gaps are legal.
    pub version: Option<Version>,
    /// Its encoded fields.
    pub data: Bytes,
}

impl RawEvent {
    /// An event that gets the next version.
    pub fn new(name: impl Into<String>, schema: u16, data: impl Into<Bytes>) -> Self {
        Self {
            name: name.into(),
            schema,
            version: None,
            data: data.into(),
        }
    }

    /// The same event at a version of its own, as an import has it.
    #[must_use]
    pub fn at(mut self, version: Version) -> Self {
        self.version = Some(version);
        self
    }
}

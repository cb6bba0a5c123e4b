//! Publishing one event.

use super::{Bus, BusError};
use crate::api::{CodecError, Message};
use crate::bus::Topic;
use crate::format::{Codec, Metadata, Publication, Unknown};
use crate::id::{PublicationId, Sequence};
use crate::step::Span;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

/// For how long a durable event is kept that does not say: a week.
pub const KEEP: Duration = Duration::from_secs(7 * 86_400);

/// The longest time for which one is kept: ten years of 365 days.
const KEEP_MAX: Duration = Duration::from_secs(10 * 365 * 86_400);

/// An event that is to be published; it is when this is awaited.
#[must_use = "an event is published when this is awaited"]
pub struct Publish {
    bus: Bus,
    topic: String,
    name: &'static str,
    schema: u16,
    data: Result<Bytes, CodecError>,
    metadata: Option<Metadata>,
    keep: Option<Duration>,
    id: Option<PublicationId>,
    timeout: Option<Duration>,
}

impl std::fmt::Debug for Publish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publish")
            .field("topic", &self.topic)
            .field("name", &self.name)
            .field("keep", &self.keep)
            .finish_non_exhaustive()
    }
}

impl Publish {
    pub(super) fn new<M: Message>(bus: &Bus, topic: &str, event: &M) -> Self {
        Self {
            bus: bus.clone(),
            topic: topic.to_owned(),
            name: M::NAME,
            schema: M::VERSION,
            data: Codec::Cbor.encode(event),
            metadata: None,
            keep: None,
            id: None,
            timeout: None,
        }
    }

    /// Stores it, for [`KEEP`], before it is told to anyone; the await ends when it is stored.
    pub fn durable(self) -> Self {
        self.durable_for(KEEP)
    }

    /// The same for another time, in whole seconds, one at least.
    pub fn durable_for(mut self, keep: Duration) -> Self {
        self.keep = Some(keep);
        self
    }

    /// Its id, in place of a fresh one. A durable event that was published with an id within the last two
    /// minutes is not stored a second time: so one of which nobody knows whether it was is published
    /// again.
    pub fn id(mut self, id: PublicationId) -> Self {
        self.id = Some(id);
        self
    }

    /// What it says of itself: correlation, cause, trace, headers.
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = Some(metadata);
        self
    }

    /// How long a durable event waits for the store; the node's usual timeout when this is not said.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    async fn run(self) -> Result<(PublicationId, Option<Sequence>), BusError> {
        let inner = &self.bus.tenure.inner;
        let handle = &inner.handle;
        let namespace = self.bus.namespace()?.clone();
        let topic = Topic::new(&self.topic)?;
        if let Some(metadata) = &self.metadata {
            let limits = &inner.limits;
            metadata.check(limits.metadata_headers_max, limits.metadata_bytes_max)?;
        }
        let id = self.id.unwrap_or_else(|| handle.publication_id());
        let publication = Publication {
            id,
            time: handle.wall(),
            node: handle.node().to_owned(),
            name: self.name.into(),
            schema: self.schema,
            data: self.data?,
            metadata: self.metadata.map(Arc::new),
            unknown: Unknown::default(),
        };
        let Some(keep) = self.keep else {
            handle.cast(&namespace.cast_subject(&topic), &publication)?;
            return Ok((id, None));
        };
        self.bus.own()?;
        if keep > KEEP_MAX || keep.as_secs() == 0 || keep.subsec_nanos() != 0 {
            return Err(BusError::Keep);
        }
        let keep_s = u32::try_from(keep.as_secs()).map_err(|_| BusError::Keep)?;
        let timeout = self.timeout.map_or(inner.timeout, Span::from);
        let deadline = handle.now() + timeout;
        let stored = handle
            .publish(topic, &publication, keep_s, deadline)
            .await?;
        Ok((id, Some(stored)))
    }
}

impl IntoFuture for Publish {
    /// Its id, and where a durable one is stored.
    type Output = Result<(PublicationId, Option<Sequence>), BusError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Cancel safe: what is dropped may be published all the same.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

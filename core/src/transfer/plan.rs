//! What a transfer works on.

use crate::format::{Import, KindRecord, Layout};
use crate::log::Shape;
use crate::name::{KindName, Namespace};
use crate::port::StreamName;
use crate::step::{Limits, Span};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// An open namespace that is read.
#[derive(Clone, Debug)]
pub struct Source {
    /// The namespace.
    pub namespace: Namespace,
    /// Its layout.
    pub layout: Layout,
    /// The shape of each event stream, by its number.
    pub shapes: Vec<Shape>,
    /// The machines' limits.
    pub limits: Limits,
    /// For how long nothing may go on.
    pub patience: Span,
}

/// What an import fills: a namespace that is open to it alone.
#[derive(Clone, Debug)]
pub struct ImportPlan {
    /// The namespace.
    pub target: Source,
    /// The records of its kinds.
    pub kinds: BTreeMap<KindName, KindRecord>,
    /// The layout of the namespace that was exported.
    pub from: Layout,
    /// The record of the import, as it is stored.
    pub import: Import,
    /// Nothing was imported yet.
    pub fresh: bool,
    /// How many entities are kept in mind; more are looked up when they come again.
    pub entities_max: usize,
    /// How many commits are taken in at most before the first of them is stored.
    pub window_max: usize,
    /// How many bytes of commits are.
    pub window_bytes_max: usize,
}

impl Source {
    pub(super) fn stream(&self, number: usize) -> Option<(StreamName, Shape)> {
        let partition = self.layout.partitions().nth(number)?;
        let shape = self.shapes.get(number)?;
        Some((self.namespace.event_stream(partition), *shape))
    }

    /// The most bytes that a message's body has.
    pub(super) fn bytes_max(&self) -> usize {
        let least = self
            .shapes
            .iter()
            .map(|shape| shape.payload_bytes_max)
            .min();
        least
            .unwrap_or(0)
            .saturating_sub(crate::log::HEADER_BYTES_MAX)
    }
}

//! What lane 0 tells all lanes and handles: whether the namespace is open and the store verified.

use crate::format::Layout;
use crate::id::{Partition, Sequence};
use crate::log::Shape;
use crate::space::SpaceError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The state of the namespace and of the way to its store.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// Rises with each time that the store was verified, so that a change down and up again
    /// between two looks is seen.
    pub(crate) generation: u64,
    /// The layout, from when the namespace was opened on: who looks late finds it here, whatever
    /// became of the connection since.
    pub(crate) layout: Option<Arc<Layout>>,
    pub(crate) state: LinkState,
}

#[derive(Clone, Debug)]
pub(crate) enum LinkState {
    /// The namespace was never open.
    Opening,
    /// Open, connected and verified.
    Up {
        /// Of each event stream, by its number.
        shapes: Arc<[Shape]>,
    },
    /// The connection is gone.
    Down,
    /// The namespace cannot be used.
    Failed(SpaceError),
    /// The machine that opens the namespace halted.
    Halted(String),
}

/// The highest acknowledged sequence of each event stream (S13), over all lanes.
#[derive(Debug, Default)]
pub(crate) struct HighWater {
    streams: Vec<AtomicU64>,
}

impl HighWater {
    pub(crate) fn new(streams: u16) -> Self {
        Self {
            streams: (0..streams).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    pub(crate) fn of(&self, partition: Partition) -> Sequence {
        let mark = self.streams.get(usize::from(partition.0));
        Sequence(mark.map_or(0, |mark| mark.load(Ordering::Relaxed)))
    }

    pub(crate) fn raise(&self, partition: Partition, to: Sequence) {
        if let Some(mark) = self.streams.get(usize::from(partition.0)) {
            mark.fetch_max(to.0, Ordering::Relaxed);
        }
    }

    /// After a lost tail the mark is what the stream has now.
    pub(crate) fn reset(&self, partition: Partition, to: Sequence) {
        if let Some(mark) = self.streams.get(usize::from(partition.0)) {
            mark.store(to.0, Ordering::Relaxed);
        }
    }
}

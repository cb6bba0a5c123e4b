//! What lane 0 tells all lanes and handles: whether the namespace is open and the store verified.

use super::shell::LinkNumber;
use crate::format::Layout;
use crate::id::{Partition, Sequence};
use crate::log::{Shape, mark};
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
        /// The link that was verified.
        link: LinkNumber,
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

    /// Of all streams, by their numbers.
    pub(crate) fn all(&self, streams: u16) -> Vec<Sequence> {
        let marks = self.streams.iter().take(usize::from(streams));
        marks
            .map(|mark| Sequence(mark.load(Ordering::Relaxed)))
            .collect()
    }

    pub(crate) fn raise(&self, partition: Partition, to: Sequence) {
        if let Some(mark) = self.streams.get(usize::from(partition.0)) {
            // Each answer is told by its lane and by its log, and the second raises nothing.
            if mark.load(Ordering::Relaxed) < to.0 {
                mark.fetch_max(to.0, Ordering::Relaxed);
            }
        }
    }

    /// One log found that the stream lost its tail and reaches `now` instead of `was`.
    pub(crate) fn lost_tail(&self, partition: Partition, was: Sequence, now: Sequence) {
        if let Some(mark) = self.streams.get(usize::from(partition.0)) {
            let after = |mark| Some(mark::after_loss(Sequence(mark), was, now).0);
            // It is never told to leave the mark alone, so it does not fail.
            let _ = mark.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: Partition = Partition(0);

    #[test]
    fn a_late_finder_of_a_lost_tail_does_not_lower_what_others_raised() {
        let marks = HighWater::new(1);
        marks.raise(STREAM, Sequence(150));
        marks.lost_tail(STREAM, Sequence(150), Sequence(110));
        assert_eq!(
            marks.of(STREAM),
            Sequence(110),
            "the first finder lowers it"
        );
        marks.raise(STREAM, Sequence(120));
        marks.lost_tail(STREAM, Sequence(140), Sequence(111));
        assert_eq!(marks.of(STREAM), Sequence(120), "a late one does not");
        marks.lost_tail(STREAM, Sequence(140), Sequence(130));
        assert_eq!(marks.of(STREAM), Sequence(130), "but it may know more");
    }
}

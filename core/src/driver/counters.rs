//! What a node counts.

use crate::step::CountingProbe;

/// What a node has counted since its start.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Commands and questions that were taken in.
    pub requests: u64,
    /// Answers that were given.
    pub answers: u64,
    /// Requests to the store.
    pub store_requests: u64,
    /// Requests to the store whose outcome was `Unknown`.
    pub store_unknown: u64,
    /// Stored events that were left out, by the policy for unknown events.
    pub events_skipped: u64,
    /// Commands that were decided again, because others were first.
    pub conflicts: u64,
    /// How often a log found that its stream lost acknowledged messages; each log of the stream
    /// finds it for itself.
    pub lost_tails: u64,
    /// Machines that halted.
    pub halts: u64,
    /// The machines' probes.
    pub probes: CountingProbe,
}

impl Counters {
    /// Adds what another lane counted.
    pub(crate) fn absorb(&mut self, other: &Self) {
        self.requests += other.requests;
        self.answers += other.answers;
        self.store_requests += other.store_requests;
        self.store_unknown += other.store_unknown;
        self.events_skipped += other.events_skipped;
        self.conflicts += other.conflicts;
        self.lost_tails += other.lost_tails;
        self.halts += other.halts;
        self.probes.absorb(&other.probes);
    }
}

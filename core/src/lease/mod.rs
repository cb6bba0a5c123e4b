//! The algebra of one lease (S16): how long its holder may act, and when it is over for others.
//!
//! Two clocks that run at rates that differ by at most ρ see one lease: the holder counts from when
//! it *sent* its last acknowledged heartbeat, the others from when they *received* the revision that
//! has not changed since. The holder's end comes before theirs, whatever the delays.

use crate::step::Span;

/// What all nodes of a namespace agree on about leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long an acknowledged heartbeat holds.
    pub ttl: Span,
    /// By how much a node's clock may run too fast or too slow, in millionths (ρ).
    pub drift_ppm: u32,
    /// What is taken off the holder's time and added to the others', for what a step takes.
    pub margin: Span,
}

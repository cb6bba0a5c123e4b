//! What raises a node's high-water mark of an event stream, and what a lost tail makes of it (S13).
//!
//! The driver and the simulator keep the marks, each in its own way; the rules are here for both.
//! A shard also writes to the stream of snapshots, whose sequences are its own and soon higher.

use crate::id::Sequence;
use crate::port::{StoreDone, StoreReply, StoreRequest, StreamName};
use crate::step::Outcome;

/// Whether the answer to a request counts: it is a write to this event stream.
pub fn counts(events: &StreamName, request: &StoreRequest) -> bool {
    request.writes() && request.stream() == Some(events)
}

/// To where the answer to a request that counts raises the mark; `None` when nothing was
/// acknowledged.
pub fn told(reply: &StoreReply) -> Option<Sequence> {
    match reply {
        Outcome::Done(StoreDone::Published(ack)) => Some(ack.sequence),
        Outcome::Done(
            StoreDone::Latest(_)
            | StoreDone::Message(_)
            | StoreDone::Page(_)
            | StoreDone::Stream(_)
            | StoreDone::Capabilities(_)
            | StoreDone::Consumer(_)
            | StoreDone::Fetched(_)
            | StoreDone::Closed,
        )
        | Outcome::Refused(_)
        | Outcome::Unknown => None,
    }
}

/// The mark after one log found that the stream lost its tail and reaches `now` instead of `was`.
///
/// A mark that other logs moved since is theirs: it may be of the stream as it grew again. One that
/// stands on what was lost all the same is found out by the next log that is told to reach it.
pub fn after_loss(mark: Sequence, was: Sequence, now: Sequence) -> Sequence {
    if mark == was { now } else { mark.max(now) }
}

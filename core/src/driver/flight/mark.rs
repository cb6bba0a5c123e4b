//! What is recorded of an effect: which variant it is, and a number of what is cheap to read of it.

use crate::actor;
use crate::bus;
use crate::consumer;
use crate::log::{self, HistoryEffect, Work};
use crate::node;
use crate::port::{Expect, Publish, Start, StoreRequest};
use crate::route;
use crate::shard;
use crate::space;
use std::hash::{Hash as _, Hasher};
use std::mem::discriminant;

/// So many of a step's effects are recorded; how many more there were is not.
pub(crate) const MARKS_MAX: usize = 200;

/// An effect of a machine. Its mark is in the upper 8 bits the place of its variant, and below a number of
/// its operation or ticket, and for requests to the store of what is expected and how long it is. Payloads
/// are not looked at: each command pays for its marks.
pub(crate) trait Mark {
    /// The names of the variants, in their order.
    const NAMES: &'static [&'static str];

    /// What is recorded of it.
    fn mark(&self) -> u32;
}

/// The marks of a step's effects.
pub(crate) fn marks_of<E: Mark>(effects: &[E]) -> impl Iterator<Item = u32> {
    effects.iter().take(MARKS_MAX).map(Mark::mark)
}

/// Takes the place of a variant out of its discriminant.
struct Place(u64);

impl Hasher for Place {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes.iter().rev() {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_isize(&mut self, place: isize) {
        self.0 = place.unsigned_abs() as u64;
    }
}

fn place<T>(of: &T) -> u64 {
    let mut place = Place(0);
    discriminant(of).hash(&mut place);
    place.finish()
}

/// Numbers as one, in their order.
#[derive(Clone, Copy)]
struct Words(u64);

impl Words {
    fn of(word: u64) -> Self {
        Self(0xcbf2_9ce4_8422_2325).and(word)
    }

    fn and(self, word: u64) -> Self {
        let mixed = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self(mixed.rotate_left(29))
    }

    fn mark<E>(self, effect: &E) -> u32 {
        let number = (self.0 >> 32) as u32 & 0x00FF_FFFF;
        (place(effect) as u32) << 24 | number
    }
}

/// The upper 8 bits of a mark.
pub(super) fn variant(mark: u32) -> usize {
    (mark >> 24) as usize
}

fn request(words: Words, request: &StoreRequest) -> Words {
    let words = words.and(place(request));
    match request {
        StoreRequest::Publish(one) => publish(words, one),
        StoreRequest::Batch { messages, .. } => messages.iter().fold(words, publish),
        StoreRequest::Latest { subjects, .. } => words.and(subjects.len() as u64),
        StoreRequest::Get { sequence, .. } => words.and(sequence.0),
        StoreRequest::Scan { from, .. } => words.and(from.0),
        StoreRequest::CreateStream(_)
        | StoreRequest::StreamInfo { .. }
        | StoreRequest::Capabilities
        | StoreRequest::CloseConsumer { .. } => words,
        StoreRequest::OpenConsumer(settings) => {
            let from = match settings.from {
                Start::Sequence(sequence) => sequence.0,
                Start::Time(time) => time.0,
                Start::New => 0,
            };
            let words = words.and(place(&settings.from)).and(from);
            words.and(settings.filters.len() as u64)
        }
        StoreRequest::Fetch {
            messages_max,
            bytes_max,
            wait,
            ..
        } => {
            let limits = u64::from(*messages_max) << 32 | u64::from(*bytes_max);
            words.and(limits).and(wait.as_nanos())
        }
    }
}

fn publish(words: Words, publish: &Publish) -> Words {
    let expected = match &publish.expect {
        Expect::Nothing => 0,
        Expect::OwnLast(sequence) | Expect::StreamLast(sequence) => sequence.0,
        Expect::Fence(fence) => fence.sequence.0,
    };
    let sizes = (publish.payload.len() as u64) << 32 | publish.subject.len() as u64;
    words
        .and(place(&publish.expect))
        .and(expected)
        .and(sizes)
        .and(place(&publish.rollup))
}

impl Mark for log::Effect {
    const NAMES: &'static [&'static str] = &[
        "Store", "Run", "Reply", "Forget", "AskWall", "Dispatch", "Report", "Note", "Halt",
    ];

    fn mark(&self) -> u32 {
        let words = match self {
            Self::Store { op, request: what } => request(Words::of(op.0), what),
            Self::Run { op, work } => {
                let slot = match work {
                    Work::Fold { slot, .. }
                    | Work::Decide { slot, .. }
                    | Work::Fire { slot, .. }
                    | Work::Answer { slot, .. }
                    | Work::Snapshot { slot, .. } => slot.0,
                };
                Words::of(op.0).and(place(work)).and(slot)
            }
            Self::Reply { ticket, reply } => Words::of(ticket.0).and(place(reply)),
            Self::Forget { slot } => Words::of(slot.0),
            Self::AskWall => Words::of(0),
            Self::Dispatch { op, .. } => Words::of(op.0),
            Self::Report(report) => Words::of(place(report)),
            Self::Note(note) => Words::of(place(note)),
            Self::Halt(reason) => Words::of(place(reason)),
        };
        words.mark(self)
    }
}

impl Mark for HistoryEffect {
    const NAMES: &'static [&'static str] = &["Store", "Done", "Halt"];

    fn mark(&self) -> u32 {
        let words = match self {
            Self::Store { op, request: what } => request(Words::of(op.0), what),
            Self::Done(done) => Words::of(place(done)),
            Self::Halt(reason) => Words::of(place(reason)),
        };
        words.mark(self)
    }
}

impl Mark for consumer::Effect {
    const NAMES: &'static [&'static str] =
        &["Store", "Handle", "Answer", "Notice", "Ended", "Halt"];

    fn mark(&self) -> u32 {
        let words = match self {
            Self::Store { op, request: what } => request(Words::of(op.0), what),
            Self::Handle { op, batch } => Words::of(op.0).and(batch.events.len() as u64),
            Self::Answer { ticket, answer } => Words::of(ticket.0).and(place(answer)),
            Self::Notice(notice) => Words::of(place(notice)),
            Self::Ended { running, .. } => Words::of(u64::from(*running)),
            Self::Halt(reason) => Words::of(place(reason)),
        };
        words.mark(self)
    }
}

impl Mark for bus::Effect {
    const NAMES: &'static [&'static str] = &["Store", "Answer", "Halt"];

    fn mark(&self) -> u32 {
        let words = match self {
            Self::Store { op, request: what } => request(Words::of(op.0), what),
            Self::Answer { ticket, answer } => Words::of(ticket.0).and(u64::from(answer.is_ok())),
            Self::Halt(reason) => Words::of(place(reason)),
        };
        words.mark(self)
    }
}

impl Mark for consumer::group::Effect {
    const NAMES: &'static [&'static str] = &[
        "Store", "Serve", "Look", "Begin", "Pause", "Answer", "End", "Drop", "Notice", "Ended",
        "Halt",
    ];

    fn mark(&self) -> u32 {
        let words = match self {
            Self::Store { op, request: what } => request(Words::of(op.0), what),
            Self::Serve(serves) => Words::of(u64::from(*serves)),
            Self::Look => Words::of(0),
            Self::Begin { share, .. } => Words::of(u64::from(share.part.0)).and(share.at.0),
            Self::Pause { part, by } => Words::of(u64::from(part.0)).and(u64::from(by.is_some())),
            Self::Answer { ticket, told } => Words::of(ticket.0).and(u64::from(told.is_ok())),
            Self::End { part, .. } | Self::Drop { part } => Words::of(u64::from(part.0)),
            Self::Notice(notice) => Words::of(place(notice)),
            Self::Ended { fault } => Words::of(u64::from(fault.is_some())),
            Self::Halt(reason) => Words::of(place(reason)),
        };
        words.mark(self)
    }
}

impl Mark for space::Effect {
    const NAMES: &'static [&'static str] = &[
        "Store",
        "Opened",
        "Verified",
        "KindReady",
        "KindFailed",
        "Failed",
        "Halt",
    ];

    fn mark(&self) -> u32 {
        let words = match self {
            Self::Store { op, request: what } => request(Words::of(op.0), what),
            Self::Opened(opened) | Self::Verified(opened) => Words::of(opened.shapes.len() as u64),
            Self::KindReady { ticket, .. } => Words::of(ticket.0),
            Self::KindFailed { ticket, error } => Words::of(ticket.0).and(place(error)),
            Self::Failed(error) => Words::of(place(error)),
            Self::Halt(reason) => Words::of(place(reason)),
        };
        words.mark(self)
    }
}

impl Mark for node::Effect {
    const NAMES: &'static [&'static str] = &[
        "Store", "Probe", "Joined", "Refused", "Rejoin", "View", "Lease", "Marks", "Left", "Note",
        "Halt",
    ];

    fn mark(&self) -> u32 {
        let words = match self {
            Self::Store { op, request: what } => request(Words::of(op.0), what),
            Self::Probe { to } => Words::of(to.0 as u64),
            Self::Joined | Self::Left => Words::of(0),
            Self::Refused(error) => Words::of(place(error)),
            Self::Rejoin { run, cause } => Words::of(run.0 as u64).and(place(cause)),
            Self::View(view) => Words::of(view.revision),
            Self::Lease(until) => Words::of(until.map_or(0, |until| until.as_nanos())),
            Self::Marks(marks) => marks
                .iter()
                .fold(Words::of(0), |words, mark| words.and(mark.0)),
            Self::Note(note) => Words::of(place(note)),
            Self::Halt(reason) => Words::of(place(reason)),
        };
        words.mark(self)
    }
}

impl Mark for shard::Effect {
    const NAMES: &'static [&'static str] = &[
        "Store",
        "Order",
        "Look",
        "Table",
        "Drained",
        "Abandoned",
        "Note",
        "Halt",
    ];

    fn mark(&self) -> u32 {
        let words = match self {
            Self::Store { op, request: what } => request(Words::of(op.0), what),
            Self::Order {
                place: where_,
                order,
            } => Words::of(u64::from(where_.shard.0))
                .and(place(&where_.class))
                .and(place(order)),
            Self::Look | Self::Drained | Self::Abandoned => Words::of(0),
            Self::Table(table) => Words::of(table.revision),
            Self::Note(note) => Words::of(place(note)),
            Self::Halt(reason) => Words::of(place(reason)),
        };
        words.mark(self)
    }
}

impl Mark for route::Effect {
    const NAMES: &'static [&'static str] = &[
        "Here", "Forward", "Told", "Refused", "Withdraw", "Serve", "Unserve", "Answer", "NotOwner",
        "Decline", "Hint", "Alive", "Halt",
    ];

    fn mark(&self) -> u32 {
        let words = match self {
            Self::Here { ticket, .. } | Self::Unserve { ticket } => Words::of(ticket.0),
            Self::Forward { ticket, op, .. } | Self::Told { ticket, op, .. } => {
                Words::of(ticket.0).and(op.0)
            }
            Self::Refused { ticket, refusal } => Words::of(ticket.0).and(place(refusal)),
            Self::Withdraw { op, .. } | Self::NotOwner { op, .. } => Words::of(op.0),
            Self::Serve { ticket, op, .. } | Self::Answer { ticket, op, .. } => {
                Words::of(ticket.0).and(op.0)
            }
            Self::Decline { op, why, .. } => Words::of(op.0).and(place(why)),
            Self::Hint { of } | Self::Alive { of } => Words::of(of.0 as u64),
            Self::Halt(reason) => Words::of(place(reason)),
        };
        words.mark(self)
    }
}

impl Mark for actor::Effect {
    const NAMES: &'static [&'static str] = &[
        "Activate",
        "Run",
        "Stop",
        "Abort",
        "Cancel",
        "Forget",
        "Reply",
        "Undelivered",
        "Drained",
        "Kept",
        "Stopped",
        "Note",
        "Halt",
    ];

    fn mark(&self) -> u32 {
        let words = match self {
            Self::Activate { slot, op, .. }
            | Self::Abort { slot, op }
            | Self::Cancel { slot, op } => Words::of(slot.0).and(op.0),
            Self::Run {
                slot, op, letter, ..
            } => Words::of(slot.0).and(op.0).and(place(letter)),
            Self::Stop { slot, op, why, .. } => Words::of(slot.0).and(op.0).and(place(why)),
            Self::Forget { slot } => Words::of(slot.0),
            Self::Reply { ticket, answer } => Words::of(ticket.0).and(place(answer)),
            Self::Undelivered { ticket, .. } => Words::of(ticket.0),
            Self::Drained { place: where_ } | Self::Kept { place: where_, .. } => {
                Words::of(u64::from(where_.shard.0))
            }
            Self::Stopped => Words::of(0),
            Self::Note(note) => Words::of(place(note)),
            Self::Halt(reason) => Words::of(place(reason)),
        };
        words.mark(self)
    }
}

#[cfg(test)]
mod tests {
    use super::{Mark, variant};
    use crate::id::{OpId, Slot};
    use crate::log::Effect;
    use crate::port::StoreRequest;
    use crate::step::HaltReason;

    #[test]
    fn a_mark_names_its_variant_and_tells_operations_apart() {
        let store = |op| Effect::Store {
            op: OpId(op),
            request: StoreRequest::Capabilities,
        };
        let named = |effect: &Effect| Effect::NAMES[variant(effect.mark())];
        assert_eq!(named(&store(1)), "Store");
        assert_eq!(named(&Effect::Forget { slot: Slot(1) }), "Forget");
        assert_eq!(named(&Effect::Halt(HaltReason::ClockWentBack)), "Halt");
        assert_eq!(store(1).mark(), store(1).mark());
        assert_ne!(store(1).mark(), store(2).mark());
    }
}

//! What a shard's owner has to do later: timers that are armed and messages that are not done, and the
//! index in which its successor finds them (S18).
//!
//! ```text
//! Off ── owner ─▶ Index ── the record, by proof ─▶ Behind ── all that was stored is taken in ─▶ Live
//!  ▲                                                 ▲                                           │
//!  └── not the owner any more, from anywhere         └── more messages than fit, a lost attempt ─┘
//! ```
//!
//! In `Live` each acknowledged commit is taken in as it comes; in `Behind` the shard's commits are read
//! page by page, and what is acknowledged meanwhile is read with them. The fold of timers is that of the
//! log: the last commit that names a timer says whether it is armed, so reading a part again does no
//! harm.
//!
//! - G1: a timer fires only while this node owns the shard, and not before its wall clock, read for it,
//!   says that it is due.
//! - G2: a firing changes something only while the entity has that timer armed with that due; its commit
//!   clears or re-arms it. So the effect is once, and no attempt is given up while it is armed.
//! - G3: a message is sent only when its commit is known to be stored, and under an id that is the same
//!   for each attempt by any owner.
//! - G4: the watermark of an index is below every commit that may not be taken in, and what is not done
//!   below it is listed, or goes to a receiver that is listed as shelved after a commit before it.
//! - G5: an index is written under the fence, like a commit.
//! - G6: what cannot be delivered holds up only what goes to its receiver, while there is room for the
//!   places of what is not done; each receiver has a share of what is on its way.

mod dispatch;
mod fire;
mod index;
mod intents;
mod lines;
mod sent;
mod shelf;
mod tail;
mod timers;

use crate::id::{OpId, Sequence, WallTime};
use crate::step::{Deadline, Limits, Span, Time};
use alloc::collections::BTreeMap;
use intents::Intents;

pub(super) use fire::{Due, INTERNAL};
pub(super) use sent::{Left, Places, Sent};
pub(crate) use timers::Timers;

/// What is to be done later in one shard.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Agenda {
    stage: Stage,
    timers: Timers,
    intents: Intents,
    /// What is read for a shelved receiver.
    shelf: Option<shelf::Reading>,
    /// Commits up to here are taken in with their messages, as far as they are known by reading.
    settled: Sequence,
    /// The highest commit that was acknowledged while the log was read.
    acked: Sequence,
    /// What the wall clock said, and when it was asked.
    wall: Option<(Time, WallTime)>,
    /// The wall clock was asked.
    asking_wall: bool,
    /// A read or write that failed is tried again then, after so many tries.
    retry: Option<Time>,
    tries: u32,
    written: Written,
    /// The last commit with timers or messages, as far as it is known; `None` until the barrier was read.
    last: Option<Sequence>,
    /// Which stay as an owner this is.
    generation: u64,
    ticket_next: u64,
}

/// How far the log is taken in.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
enum Stage {
    /// This node does not own the shard, or nothing of it has timers or messages.
    #[default]
    Off,
    /// The index is to be read, or is being read.
    Index(Option<OpId>),
    /// Commits after a sequence are to be read, or are being read.
    Behind(Behind),
    /// Each commit is taken in when it is acknowledged.
    Live,
}

/// A part of the log that is read.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
struct Behind {
    /// Commits up to here were read.
    read: Sequence,
    /// The read in flight, and how far the stream was known to reach when it was sent.
    op: Option<(OpId, Sequence)>,
    /// Since when reads end before what must be there.
    short_since: Option<Time>,
    /// The last page had a commit with so many messages, for which there was no room.
    full: Option<usize>,
}

/// What is known of the index in the log.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
struct Written {
    /// The watermark of the last one.
    watermark: Sequence,
    /// Since when it differs from what is to be done.
    stale_since: Option<Time>,
    /// Commits since then.
    commits: u32,
    /// One is on its way; it was made of what was so at this change.
    flying: Option<u64>,
    /// Counts changes.
    changes: u64,
}

/// What a shard has to do later, as far as it is in mind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct LaterCounts {
    /// Timers that are armed.
    pub timers: usize,
    /// Messages that are not done.
    pub undone: usize,
    /// Messages that could not be delivered as things were.
    pub failed: usize,
    /// Receivers that are away, of which later messages are left in the log.
    pub shelved: usize,
}

impl Behind {
    fn after(read: Sequence) -> Self {
        Self {
            read,
            op: None,
            short_since: None,
            full: None,
        }
    }
}

impl Agenda {
    /// This node owns the shard: what its predecessors left is to be read.
    fn begin(&mut self) {
        self.end();
        self.stage = Stage::Index(None);
    }

    /// This node does not own the shard any more: nothing fires and nothing is sent.
    pub(super) fn end(&mut self) {
        *self = Self {
            ticket_next: self.ticket_next,
            generation: self.generation + 1,
            ..Self::default()
        };
    }

    fn is_off(&self) -> bool {
        matches!(self.stage, Stage::Off)
    }

    /// What is in mind.
    pub(super) fn counts(&self) -> LaterCounts {
        LaterCounts {
            timers: self.timers.count(),
            undone: self.intents.undone(),
            failed: self.intents.failed(),
            shelved: self.intents.lines.shelved_count(),
        }
    }

    /// What the index says has changed.
    fn changed(&mut self, now: Time) {
        self.written.changes += 1;
        self.written.stale_since.get_or_insert(now);
    }

    pub(super) fn next_deadline(&self, limits: &Limits, writes: bool) -> Option<Deadline> {
        if self.is_off() {
            return None;
        }
        let index_delay = limits.index_delay;
        // More is due than may fire at once: each that ends lets the next one.
        let fires = self.timers.firing() < limits.firings_max;
        let deadline = |at: Time, timer| Deadline { at, timer };
        let due = self.timer_at(limits.wall_reread).filter(|_| fires);
        let due = due.map(|at| deadline(at, "reminder"));
        let again = self.timers.next_again();
        let again = again.map(|at| deadline(at, "reminder again"));
        let resend = self.intents.next_again();
        let resend = resend.map(|at| deadline(at, "message again"));
        let receiver = self.intents.lines.next_due();
        let receiver = receiver.map(|at| deadline(at, "receiver again"));
        let retry = self.retry.map(|at| deadline(at, "index again"));
        let write = self.written.stale_since.filter(|_| {
            writes && self.written.flying.is_none() && self.retry.is_none() && self.may_write()
        });
        let write = write.map(|since| deadline(since + index_delay, "index"));
        [due, again, resend, receiver, retry, write]
            .into_iter()
            .fold(None, Deadline::earliest)
    }

    /// When the wall clock is to be asked for the timer that is due next.
    fn timer_at(&self, reread: Span) -> Option<Time> {
        if self.asking_wall {
            return None;
        }
        let due = self.timers.next_due()?;
        let (read, wall) = self.wall?;
        let wait = Span::from_millis(due.0.saturating_sub(wall.0)).min(reread);
        Some(read + wait)
    }
}

/// A wait that doubles with each try.
fn backed_off(tries: u32, min: Span, max: Span) -> Span {
    min.saturating_mul(1 << tries.min(20)).min(max)
}

type ByTime<K> = alloc::collections::BTreeSet<(Time, K)>;

/// Takes out of a set what its time has come for.
fn take_due<K: Ord + Clone>(set: &mut ByTime<K>, now: Time) -> alloc::vec::Vec<K> {
    let mut taken = alloc::vec::Vec::new();
    while let Some((at, _)) = set.first()
        && *at <= now
        && let Some((_, key)) = set.pop_first()
    {
        taken.push(key);
    }
    taken
}

type ByOp<T> = BTreeMap<OpId, T>;

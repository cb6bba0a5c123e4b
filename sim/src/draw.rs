//! The world's dice: each choice has a name and a part, and each (name, part) a row of its own, so
//! that leaving one fault out leaves every other draw as it was.

mod rows;

use crate::deviation::{Deviation, Deviations, Fault, Timing};
use rows::Rows;
use tenure_core::{Dice, Purpose, Span};

/// What the world draws for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u64)]
pub(crate) enum What {
    /// The shape of the run: nodes, entities, limits, which faults.
    Plan = 1,
    /// A node's dice key.
    NodeKey,
    /// The order of one step's effects.
    Shuffle,
    /// When an effect is carried out.
    EffectDelay,
    /// How long the host works.
    WorkDelay,
    /// How late a timer fires.
    TimerDelay,
    /// How long a request or an answer travels.
    Travel,
    /// How long a replicated write takes to commit.
    Consensus,
    /// What befalls a request.
    Fate,
    /// How much later a late request arrives.
    Late,
    /// Which passing refusal the store gives.
    Refusal,
    /// Whether a leader's successor hears what it refused.
    Successor,
    /// How far behind a replica is.
    Lag,
    /// Whether the host fails at a snapshot, or its body is absent or damaged.
    Snapshot,
    /// When and where the next crash is, and how long it lasts.
    Crash,
    /// When and where the next pause is, and how long it lasts.
    Pause,
    /// When and where a link goes down, and how long.
    Link,
    /// When the leader changes.
    Leader,
    /// When and where a shard is claimed.
    Claim,
    /// When and how much of a tail is lost.
    Tail,
    /// When and how many bodies of snapshots are lost.
    Bodies,
    /// When a client asks.
    Pace,
    /// What a client asks.
    Ask,
    /// Whether and where a client asks again.
    Again,
    /// The random bits of a command id.
    CommandId,
    /// When a shard is told to make room, as by pressure of others.
    Evict,
    /// How long something takes within a node.
    Within,
    /// What befalls a frame.
    Frame,
    /// What befalls an announcement.
    Announce,
    /// When and how the network parts, and for how long.
    Partition,
    /// When and which node does not reach the store, and for how long.
    Cut,
    /// When the servers elect, and for how long no write is taken.
    Election,
    /// When and which node is suspended, and for how long.
    Suspend,
    /// When and which wall clock is set, and to what.
    WallStep,
    /// When and which node joins.
    Join,
    /// When and which node is drained.
    Drain,
    /// How long a program takes to end, and when it is started again.
    Exit,
    /// How fresh an answer a reader wants.
    Fresh,
    /// How long a node that is drained has for it.
    Abandon,
    /// When and how much of the tail of the membership stream is lost.
    Members,
    /// What a command leaves to be done later.
    Later,
    /// Which ready task runs next.
    Pick,
    /// How long a piece of a task takes.
    Piece,
    /// When and which node is slow, and for how long.
    SlowNode,
    /// When and which node's clock jumps, and how far.
    ClockJump,
    /// When and which node's clock stands still, and for how long.
    ClockFreeze,
    /// When the store's wall clock is set, and to what.
    StoreStep,
    /// When a node's program is started.
    Boot,
    /// Which nodes are well after everything was broken.
    Core,
    /// What a workload or a test of a user draws.
    Test,
    /// When and which ownership record is deleted.
    Record,
    /// When the store is overloaded, and which writes it refuses then.
    Overload,
    /// When and whose record is removed from the membership stream.
    Removed,
    /// When and which node hears nothing of the store, and for how long.
    CutIn,
    /// When and which node's requests do not reach the store, and for how long.
    CutOut,
    /// When and which link is clogged, in which direction, and for how long.
    Clog,
    /// When and whose way to the store dies, and how.
    Dying,
    /// When the consumers of which stream are forgotten.
    Consumers,
    /// Which message of a fetch is lost.
    Delivery,
    /// When and whose connection is half open.
    HalfOpen,
    /// When and which node takes nothing, and for how long.
    SlowReader,
    /// When all connections break.
    ConnectionStorm,
    /// When the servers are started again, and for how long they are gone.
    ServerRestart,
}

/// Rows of draws.
#[derive(Clone, Debug)]
pub(crate) struct Draws {
    rows: Rows,
    /// What may go otherwise, and what did.
    pub(crate) deviations: Deviations,
}

impl What {
    /// The dice that it is one of, when it is about times and orders only.
    const fn timing(self) -> Option<Timing> {
        match self {
            Self::Shuffle | Self::Pick => Some(Timing::Order),
            Self::EffectDelay => Some(Timing::Effect),
            Self::WorkDelay | Self::Piece => Some(Timing::Work),
            Self::TimerDelay => Some(Timing::Timer),
            Self::Travel => Some(Timing::Travel),
            Self::Consensus => Some(Timing::Consensus),
            Self::Within => Some(Timing::Within),
            Self::Plan
            | Self::Record
            | Self::Overload
            | Self::Removed
            | Self::Consumers
            | Self::Delivery
            | Self::HalfOpen
            | Self::SlowReader
            | Self::ConnectionStorm
            | Self::ServerRestart
            | Self::Dying
            | Self::NodeKey
            | Self::Fate
            | Self::Late
            | Self::Refusal
            | Self::Successor
            | Self::Lag
            | Self::Snapshot
            | Self::Crash
            | Self::Pause
            | Self::Link
            | Self::Leader
            | Self::Claim
            | Self::Tail
            | Self::Bodies
            | Self::Pace
            | Self::Ask
            | Self::Again
            | Self::CommandId
            | Self::Evict
            | Self::Frame
            | Self::Announce
            | Self::Partition
            | Self::Cut
            | Self::CutIn
            | Self::CutOut
            | Self::Clog
            | Self::Election
            | Self::Suspend
            | Self::WallStep
            | Self::Join
            | Self::Drain
            | Self::Exit
            | Self::Fresh
            | Self::Abandon
            | Self::Members
            | Self::Later
            | Self::SlowNode
            | Self::ClockJump
            | Self::ClockFreeze
            | Self::StoreStep
            | Self::Boot
            | Self::Core
            | Self::Test => None,
        }
    }
}

impl Draws {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rows: Rows::new(Dice::new(u128::from(seed))),
            deviations: Deviations::default(),
        }
    }

    /// A number below `bound`; 0 when `bound` is 0. One for a time is in the middle while its dice are
    /// not free.
    pub(crate) fn below(&mut self, what: What, part: u64, bound: u64) -> u64 {
        let (dice, ordinal) = self.next(what, part);
        if !self.is_free(what) {
            return bound / 2;
        }
        dice.below(Purpose::World, ordinal, bound)
    }

    /// Leaves a draw out whose number nobody needs: those that follow in its row are the same.
    pub(crate) fn pass(&mut self, what: What, part: u64) {
        self.next(what, part);
        self.is_free(what);
    }

    /// 128 random bits.
    pub(crate) fn bits(&mut self, what: What, part: u64) -> u128 {
        let (dice, ordinal) = self.next(what, part);
        dice.roll128(Purpose::World, ordinal)
    }

    /// True in `per_mille` of 1,000 draws.
    pub(crate) fn chance(&mut self, what: What, part: u64, per_mille: u64) -> bool {
        self.below(what, part, 1_000) < per_mille
    }

    /// Whether a fault comes that does so in `per_mille` of 1,000 draws, and may.
    pub(crate) fn strikes(
        &mut self,
        fault: Fault,
        (what, row): (What, u64),
        per_mille: u64,
    ) -> bool {
        let (dice, number) = self.next(what, row);
        per_mille > 0
            && dice.below(Purpose::World, number, 1_000) < per_mille
            && self
                .deviations
                .happens(Deviation::Fault { fault, row, number })
    }

    fn is_free(&mut self, what: What) -> bool {
        what.timing()
            .is_none_or(|dice| self.deviations.is_free(dice))
    }

    /// A span from `min` up to, not including, `max`.
    pub(crate) fn span(&mut self, what: What, part: u64, min: Span, max: Span) -> Span {
        let width = max.as_nanos().saturating_sub(min.as_nanos());
        min + Span::from_nanos(self.below(what, part, width))
    }

    /// A number from `min` to `max`, both included.
    pub(crate) fn range(&mut self, what: What, part: u64, min: u64, max: u64) -> u64 {
        min + self.below(what, part, max - min + 1)
    }

    /// One of the choices.
    pub(crate) fn pick<T: Copy>(&mut self, what: What, part: u64, choices: &[T]) -> T {
        let index = self.below(what, part, choices.len() as u64);
        choices[usize::try_from(index).expect("an index fits")]
    }

    /// Puts the items in a drawn order; leaves them as they are while the dice for it are not free.
    pub(crate) fn shuffle<T>(&mut self, what: What, part: u64, items: &mut [T]) {
        if items.len() > 1 && !self.is_free(what) {
            return;
        }
        for last in (1..items.len()).rev() {
            let other = self.below(what, part, last as u64 + 1);
            items.swap(last, usize::try_from(other).expect("an index fits"));
        }
    }

    fn next(&mut self, what: What, part: u64) -> (Dice, u64) {
        self.rows.next(what, part)
    }
}

#[cfg(test)]
mod tests {
    use super::{Draws, What};
    use crate::deviation::Fault;

    #[test]
    fn a_row_does_not_shift_another() {
        let mut one = Draws::new(7);
        let mut two = Draws::new(7);
        for _ in 0..10 {
            two.below(What::Fate, 1, 100);
        }
        assert_eq!(one.bits(What::Fate, 2), two.bits(What::Fate, 2));
        assert_eq!(one.bits(What::Late, 1), two.bits(What::Late, 1));
        assert_ne!(one.bits(What::Fate, 1), two.bits(What::Fate, 1));
    }

    #[test]
    fn a_draw_that_is_left_out_counts() {
        let mut one = Draws::new(7);
        let mut two = Draws::new(7);
        one.below(What::TimerDelay, 1, 100);
        two.pass(What::TimerDelay, 1);
        let never = (What::Fate, 1);
        assert!(!one.strikes(Fault::Crash, never, 0) && two.bits(What::Fate, 1) > 0);
        for what in [What::TimerDelay, What::Fate] {
            assert_eq!(one.bits(what, 1), two.bits(what, 1));
        }
        assert_eq!(
            one.deviations.take_happened(),
            two.deviations.take_happened()
        );
    }
}

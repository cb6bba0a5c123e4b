//! Faults that come in a rhythm of their own, in every world that runs the driver: when each kind is
//! due, and whom it befalls. All others befall single requests, frames and announcements, or are of the
//! pure world alone. What each does is its world's.

use crate::apart::{Shape, Way};
use crate::deviation::{Deviation, Fault};
use crate::draw::{Draws, What};
use crate::profile::Faults;
use tenure_core::step::Span;

/// A kind of fault that comes in a rhythm of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Crash,
    Kill,
    Pause,
    Suspend,
    SlowNode,
    LinkDown,
    Cut,
    CutIn,
    CutOut,
    Clog,
    Partition,
    Election,
    LeaderChange,
    LostTail,
    LostMembers,
    LostBodies,
    LostRecord,
    WallStep,
    StoreStep,
    ClockJump,
    ClockFreeze,
    Drain,
    ConsumerLost,
}

/// When a kind of fault is due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rhythm {
    fault: Fault,
    trouble: Trouble,
    what: What,
    /// How long it is between two of it, on average; zero is never.
    mean: Span,
}

/// One time that a fault comes.
#[derive(Debug)]
pub(crate) struct Mishap {
    /// It as it is noted; it is taken back where it meets nobody.
    pub(crate) due: Deviation,
    pub(crate) trouble: Trouble,
    /// The fault's row, and the rows that this time has of its own, so that one less leaves the others
    /// as they are.
    pub(crate) rows: (What, u64),
    /// Whom it befalls, where it befalls a node.
    pub(crate) node: usize,
    /// How the network parts, where it does.
    pub(crate) shape: Option<Shape>,
}

impl Rhythm {
    /// The rhythm of a kind of fault; `None` when it has none.
    pub(crate) fn of(fault: Fault, faults: &Faults) -> Option<Self> {
        let (trouble, what, mean) = match fault {
            Fault::Crash => (Trouble::Crash, What::Crash, faults.crash),
            Fault::Kill => (Trouble::Kill, What::Exit, faults.kill),
            Fault::Pause => (Trouble::Pause, What::Pause, faults.pause),
            Fault::Suspend => (Trouble::Suspend, What::Suspend, faults.suspend),
            Fault::SlowNode => (Trouble::SlowNode, What::SlowNode, faults.slow_node),
            Fault::LinkDown => (Trouble::LinkDown, What::Link, faults.link_down),
            Fault::Cut => (Trouble::Cut, What::Cut, faults.cut),
            Fault::CutIn => (Trouble::CutIn, What::CutIn, faults.cut_in),
            Fault::CutOut => (Trouble::CutOut, What::CutOut, faults.cut_out),
            Fault::Clog => (Trouble::Clog, What::Clog, faults.clog),
            Fault::Partition => (Trouble::Partition, What::Partition, faults.partition),
            Fault::Election => (Trouble::Election, What::Election, faults.election),
            Fault::LeaderChange => (Trouble::LeaderChange, What::Leader, faults.leader_change),
            Fault::LostTail => (Trouble::LostTail, What::Tail, faults.lost_tail),
            Fault::LostMembers => (Trouble::LostMembers, What::Members, faults.lost_members),
            Fault::LostBodies => (Trouble::LostBodies, What::Bodies, faults.lost_bodies),
            Fault::LostRecord => (Trouble::LostRecord, What::Record, faults.lost_record),
            Fault::WallStep => (Trouble::WallStep, What::WallStep, faults.wall_step),
            Fault::StoreStep => (Trouble::StoreStep, What::StoreStep, faults.store_step),
            Fault::ClockJump => (Trouble::ClockJump, What::ClockJump, faults.clock_jump),
            Fault::ClockFreeze => (Trouble::ClockFreeze, What::ClockFreeze, faults.clock_freeze),
            Fault::Drain => (Trouble::Drain, What::Drain, faults.drain),
            Fault::ConsumerLost => (Trouble::ConsumerLost, What::Consumers, faults.consumer_lost),
            Fault::Join
            | Fault::LostRequest
            | Fault::LostAnswer
            | Fault::LateRequest
            | Fault::RequestTwice
            | Fault::Slow
            | Fault::Refusal
            | Fault::Full
            | Fault::StaleRead
            | Fault::OldLeader
            | Fault::SuccessorHears
            | Fault::BadSnapshot
            | Fault::AbsentBody
            | Fault::DamagedBody
            | Fault::LostWithLink
            | Fault::WrongClaim
            | Fault::Pressure
            | Fault::LostFrame
            | Fault::FrameTwice
            | Fault::LateFrame
            | Fault::LostAnnouncement
            | Fault::LateAnnouncement
            | Fault::AnnouncementTwice
            | Fault::LostDelivery
            | Fault::StrayDelivery
            | Fault::HeldAnswer
            | Fault::Overload
            | Fault::SlowWork
            | Fault::RemovedMember
            | Fault::DyingLink
            | Fault::LateLink
            | Fault::GivenUp
            | Fault::Drift
            | Fault::LostMessage
            | Fault::HalfOpen
            | Fault::SlowReader
            | Fault::ConnectionStorm
            | Fault::ServerRestart => return None,
        };
        Some(Self {
            fault,
            trouble,
            what,
            mean,
        })
    }

    /// How long until it is due next; `None`: it never is.
    pub(crate) fn wait(&self, draws: &mut Draws) -> Option<Span> {
        let longest = self.mean.saturating_mul(2);
        (self.mean != Span::ZERO).then(|| draws.span(self.what, 0, Span::ZERO, longest))
    }

    /// It is due: one of so many nodes is drawn, and how the network parts where it does. `None` when it
    /// may not happen.
    pub(crate) fn comes(&self, draws: &mut Draws, nodes: usize) -> Option<Mishap> {
        let due = draws.deviations.due(self.fault);
        let Deviation::Fault { number, .. } = due else {
            unreachable!("a fault that is due is a fault");
        };
        let rows = number << 8;
        let node = draws.below(self.what, rows | 1, nodes as u64);
        let parts = self.trouble == Trouble::Partition;
        let mishap = Mishap {
            due,
            trouble: self.trouble,
            rows: (self.what, rows),
            node: usize::try_from(node).expect("an index fits"),
            shape: parts.then(|| Shape::draw(draws, nodes)),
        };
        draws.deviations.happens(due).then_some(mishap)
    }
}

impl Mishap {
    /// How long it lasts.
    pub(crate) fn length(&self, draws: &mut Draws, least: Span, most: Span) -> Span {
        let (what, rows) = self.rows;
        draws.span(what, rows | 2, least, most)
    }

    /// In which direction a link is clogged.
    pub(crate) fn way(&self, draws: &mut Draws) -> Way {
        let (what, rows) = self.rows;
        draws.pick(what, rows | 3, &[Way::Both, Way::In, Way::Out])
    }

    /// The number of one of so many streams of events.
    pub(crate) fn stream(&self, draws: &mut Draws, streams: u16) -> u16 {
        let (what, rows) = self.rows;
        let stream = draws.below(what, rows | 4, u64::from(streams));
        u16::try_from(stream).expect("a small number")
    }

    /// How many of something are lost, one at least.
    pub(crate) fn lost(&self, draws: &mut Draws, most: u64) -> u64 {
        let (what, rows) = self.rows;
        draws.range(what, rows | 5, 1, most)
    }

    /// By how many milliseconds a wall clock is ahead then.
    pub(crate) fn ahead_ms(&self, draws: &mut Draws) -> u64 {
        let (what, rows) = self.rows;
        draws.range(what, rows | 2, 0, 20_000)
    }
}

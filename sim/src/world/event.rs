//! What can happen next.

use super::network::Letter;
use crate::apart::Way;
use std::fmt;
use tenure_core::format::TakeOver;
use tenure_core::id::{Incarnation, OpId, Ticket};
use tenure_core::log::{self, Dispatch, Reply, Work};
use tenure_core::port::{Heard, StoreReply, StoreRequest};
use tenure_core::route::{self, Address};
use tenure_core::{node, shard};
use tenure_mem::store::ProposalId;

/// One life of one node, and one of its machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) node: usize,
    pub(super) life: u32,
    pub(super) part: Part,
}

/// A machine of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// The log of a shard, by the shard's index in the plan.
    Log(usize),
    /// Its membership.
    Member,
    /// Its part in who owns what.
    Owners,
    /// The routing of a lane.
    Router(u16),
}

/// What a machine takes in.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    Log(log::Input),
    Member(node::Input),
    Owners(shard::Input),
    Router(route::Input),
}

/// What a node does for a machine, a moment after it was told to.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    /// It asks the store.
    Store { op: OpId, request: StoreRequest },
    /// The host works.
    Run { op: OpId, work: Work },
    /// It says what its wall clock shows.
    Wall,
    /// It sends a message of a commit.
    Dispatch { op: OpId, dispatch: Box<Dispatch> },
    /// A caller of a log gets its reply.
    Reply { ticket: Ticket, reply: Reply },
}

/// A request on its way: its number among all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FlightId(pub(super) usize);

impl fmt::Debug for FlightId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "flight{}", self.0)
    }
}

#[derive(Debug)]
pub(super) enum Event {
    /// A node carries out an effect.
    Act {
        place: Place,
        deed: Box<Deed>,
    },
    /// A machine gets an input.
    Deliver {
        place: Place,
        input: Box<Input>,
    },
    /// A machine's deadline passed.
    Tick {
        place: Place,
        at: u64,
    },
    /// A request reaches the store.
    Reach {
        flight: FlightId,
    },
    /// Bytes of a write reach the store for which nobody waits any more.
    Straggle {
        request: Box<StoreRequest>,
    },
    /// A quorum has a proposal.
    Commit {
        proposal: ProposalId,
        flight: Option<FlightId>,
    },
    /// A node hears the store's answer.
    Answer {
        flight: FlightId,
        reply: Box<StoreReply>,
    },
    /// A node's shell gives up waiting for an answer.
    GiveUp {
        flight: FlightId,
    },
    /// A client asks something.
    Ask {
        client: u64,
        number: u64,
    },
    /// A client asks again with the same command id.
    AskAgain {
        ticket: Ticket,
    },
    /// A lane sends what it has gathered for another one.
    Post {
        from: Place,
        to: Address,
    },
    /// A letter reaches the lane that it is for, or nobody.
    Arrive {
        letter: Box<Letter>,
    },
    /// A lane hears that nobody took in its letter.
    Nobody {
        letter: Box<Letter>,
    },
    /// A node hears what a stream announced.
    Announced {
        node: usize,
        heard: Box<Heard>,
    },
    /// Some nodes do not hear each other for a while.
    Partition,
    /// They do again.
    Reunite,
    /// A node does not reach the store for a while, though its link is there.
    CutOff,
    /// It hears nothing of the store for a while.
    CutIn,
    /// Its requests do not reach the store for a while.
    CutOut,
    /// A node hears from the store later and later for a while.
    DyingLink,
    /// It does not reach the store any more, for longer than its lease.
    LinkDies {
        node: usize,
    },
    /// It does again.
    ReachesStore {
        node: usize,
        way: Way,
    },
    /// A node's link holds up what goes over it for a while.
    Clog,
    /// It does not any more.
    Unclog {
        node: usize,
        way: Way,
    },
    /// All that a node does takes long for a while.
    SlowNode,
    /// A slow node goes on with what came in.
    Work {
        node: usize,
        life: u32,
    },
    /// Somebody deletes the latest ownership record of a shard.
    LostRecord,
    /// The servers elect a leader: no write is taken for a while.
    Election,
    /// A node is suspended: it stands still for long, and its link is gone when it goes on.
    Suspend,
    /// A node's wall clock is set.
    WallStep,
    /// The store's wall clock is set.
    StoreStep,
    /// A node's clock shows more at once.
    ClockJump,
    /// A node's clock stands still for a while.
    ClockFreeze,
    /// It goes on.
    Thaw {
        node: usize,
        life: u32,
    },
    /// Another node is started.
    Join,
    /// A node hands over what it owns, and leaves.
    Drain,
    /// A node's program ends.
    Exit {
        place: Place,
    },
    /// A node is killed, or stands still for long, and nothing else happens.
    Kill,
    /// By now what a run owned in a class must be another's.
    TakenOver {
        run: Incarnation,
        class: TakeOver,
    },
    /// By now everything must have converged.
    Converged,
    Crash,
    Restart {
        node: usize,
    },
    Pause,
    Resume {
        node: usize,
    },
    /// A node that was suspended learns that its link is gone.
    FindsLinkGone {
        node: usize,
        life: u32,
    },
    LinkDown,
    LinkUp {
        node: usize,
    },
    LeaderChange,
    Claim,
    LostTail,
    LostBodies,
    LostMembers,
    RemovedMember,
    Overload,
    Corrupt,
    /// Faults end.
    Heal,
    LastClaims,
    LastCommands,
    LastReads,
    /// A node is asked for an entity once more, with a command or a read.
    LastAsk {
        node: usize,
        entity: usize,
        commands: bool,
    },
    End,
}

impl Place {
    /// A row of draws of its own.
    pub(super) fn row(self) -> u64 {
        (self.node as u64) << 40 | u64::from(self.life) << 16 | self.part.number()
    }

    /// Another machine of the same life.
    pub(super) fn beside(self, part: Part) -> Self {
        Self { part, ..self }
    }
}

impl Part {
    /// Tells a node's machines apart.
    pub(super) fn number(self) -> u64 {
        match self {
            Self::Log(shard) => shard as u64,
            Self::Member => 0xFFFF,
            Self::Owners => 0xFFFE,
            Self::Router(lane) => 0xFF00 + u64::from(lane),
        }
    }

    /// A timer fires.
    pub(super) fn tick(self) -> Input {
        match self {
            Self::Log(_) => log::Input::Tick.into(),
            Self::Member => node::Input::Tick.into(),
            Self::Owners => shard::Input::Tick.into(),
            Self::Router(_) => route::Input::Tick.into(),
        }
    }

    /// The store answered.
    pub(super) fn stored(self, op: OpId, reply: StoreReply) -> Input {
        match self {
            Self::Log(_) => log::Input::Stored { op, reply }.into(),
            Self::Member => node::Input::Stored { op, reply }.into(),
            Self::Owners => shard::Input::Stored { op, reply }.into(),
            Self::Router(_) => unreachable!("routing asks nothing of the store"),
        }
    }
}

impl Input {
    /// Whether a timer fired.
    pub(super) fn is_tick(&self) -> bool {
        matches!(
            self,
            Self::Log(log::Input::Tick)
                | Self::Member(node::Input::Tick)
                | Self::Owners(shard::Input::Tick)
                | Self::Router(route::Input::Tick)
        )
    }
}

impl From<log::Input> for Input {
    fn from(input: log::Input) -> Self {
        Self::Log(input)
    }
}

impl From<node::Input> for Input {
    fn from(input: node::Input) -> Self {
        Self::Member(input)
    }
}

impl From<shard::Input> for Input {
    fn from(input: shard::Input) -> Self {
        Self::Owners(input)
    }
}

impl From<route::Input> for Input {
    fn from(input: route::Input) -> Self {
        Self::Router(input)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}.{}/", self.node, self.life)?;
        match self.part {
            Part::Log(shard) => write!(f, "s{shard}"),
            Part::Member => write!(f, "member"),
            Part::Owners => write!(f, "owners"),
            Part::Router(lane) => write!(f, "lane{lane}"),
        }
    }
}

//! What can happen next.

use tenure_core::id::Ticket;
use tenure_core::log::{Effect, Input};
use tenure_core::port::{StoreReply, StoreRequest};
use tenure_mem::store::ProposalId;

/// One life of one node, and one of its shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) node: usize,
    pub(super) life: u32,
    pub(super) shard: usize,
}

/// A request on its way: its number among all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FlightId(pub(super) u64);

#[derive(Debug)]
pub(super) enum Event {
    /// A node carries out an effect.
    Act {
        place: Place,
        effect: Box<Effect>,
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
    /// A node hears the store's answer, or gives up waiting.
    Answer {
        flight: FlightId,
        reply: Box<StoreReply>,
    },
    /// A client asks something.
    Ask {
        client: u64,
    },
    /// A client asks again with the same command id.
    AskAgain {
        ticket: Ticket,
    },
    Crash,
    Restart {
        node: usize,
    },
    Pause,
    Resume {
        node: usize,
    },
    LinkDown,
    LinkUp {
        node: usize,
    },
    LeaderChange,
    Claim,
    LostTail,
    LostBodies,
    Corrupt,
    /// Faults end.
    Heal,
    LastClaims,
    LastCommands,
    LastReads,
    End,
}

impl Place {
    /// A row of draws of its own.
    pub(super) fn part(self) -> u64 {
        (self.node as u64) << 40 | u64::from(self.life) << 16 | self.shard as u64
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "n{}.{}/s{}", self.node, self.life, self.shard)
    }
}

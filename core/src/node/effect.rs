//! What a node's membership wants done.

use super::{ConfigError, View};
use crate::id::{Incarnation, OpId, Sequence};
use crate::name::{KindName, NodeName};
use crate::port::{Refused, StoreRequest};
use crate::step::{HaltReason, Time};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// One effect of `Node`. Order means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Effect {
    /// Ask the store; the answer is `Input::Stored`.
    Store {
        /// Names the answer.
        op: OpId,
        /// What is asked.
        request: StoreRequest,
    },
    /// Ask a node whether it is there (an empty request to its first lane); the answer is
    /// `Input::Alive` or `Input::NoResponders`, or none.
    Probe {
        /// The run of the node.
        to: Incarnation,
    },
    /// The name is this node's: it is a member.
    Joined,
    /// It is no member and will not be.
    Refused(JoinError),
    /// This run is over, and the node is to act as another one: its machines and lanes are told that,
    /// then comes `Input::Renewed`, and it joins again.
    Rejoin {
        /// The run from now on.
        run: Incarnation,
        /// Why the former one is no member.
        cause: JoinError,
    },
    /// Who is in the cluster now.
    View(Arc<View>),
    /// Until when this node may act as the holder of its lease; `None`: not now. A later one replaces
    /// it; one that passes is over at once (S16), whether or not another effect says so.
    Lease(Option<Time>),
    /// The highest sequences that any node was acknowledged, by event stream, as the records say at
    /// the first list after a connect: a stream that is shorter has lost its tail (S13).
    Marks(Vec<Sequence>),
    /// It has left: its record says so, or could not be made to before the deadline.
    Left,
    /// Something that operators want to know.
    Note(Note),
    /// The machine found its own state wrong; stop stepping it and let its lease lapse.
    Halt(HaltReason),
}

/// Why a node is not a member, and never will be under this name and incarnation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum JoinError {
    /// Another node of the name lives.
    #[error(
        "a node named {name} is in this namespace already (run {incarnation}); stop it, or give this one another name"
    )]
    NameTaken {
        /// The name.
        name: NodeName,
        /// The run that has it.
        incarnation: Incarnation,
    },
    /// The nodes of the namespace were started with other terms of leases.
    #[error(
        "this node's lease terms ({here}) are not those of the namespace's other nodes ({there}); start all with the same"
    )]
    OtherTerms {
        /// What this node was started with.
        here: String,
        /// What the others have.
        there: String,
    },
    /// Another node took the name while this one was silent for longer than its lease.
    #[error(
        "another run of the name {name} took this node's place (run {incarnation}); this one has stopped owning anything"
    )]
    Replaced {
        /// The name.
        name: NodeName,
        /// The run that has it now.
        incarnation: Incarnation,
    },
    /// This node was silent for longer than its lease, and the others have taken that for its end.
    /// What was over once never comes back: a claim that rests on it may still be on its way.
    #[error(
        "this run of node {name} ({incarnation}) was silent for longer than its lease, and the others took its place; only another run of it can join: start it again, or let it rejoin"
    )]
    Expired {
        /// The name.
        name: NodeName,
        /// This run.
        incarnation: Incarnation,
    },
    /// There are as many nodes as there may be.
    #[error("the namespace has {members_max} nodes already (members_max); stop one")]
    Full {
        /// How many there may be.
        members_max: usize,
    },
    /// A membership record cannot be read by this build.
    #[error("the record of node {name} cannot be read: {cause}")]
    Unreadable {
        /// The name.
        name: NodeName,
        /// What the decoder said.
        cause: String,
    },
    /// The store refuses for good.
    #[error("the membership stream refuses this node's record: {0}")]
    Store(Refused),
}

/// Something that operators want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Note {
    /// This node is no member yet; the text says what it waits for.
    NotYetMember(String),
    /// The record of a node cannot be read by this build: it was written by a newer one. Until it
    /// goes nothing is taken for over because no record names it.
    Unreadable(NodeName),
    /// A node that has joined meanwhile was started with other terms of leases. Each record is judged
    /// by its own terms, so nothing breaks; one of the two should be started anew.
    OtherTerms(NodeName),
    /// A node that joined, and owns shards, serves other kinds than this one: what is asked of a kind
    /// is refused at an owner that does not serve it. Between two programs of other age it is so until
    /// the older one has gone.
    OtherKinds {
        /// Its name.
        name: NodeName,
        /// What this node serves and that one does not.
        lacks: Vec<KindName>,
        /// What that node serves and this one does not, where this one owns shards too.
        beyond: Vec<KindName>,
    },
    /// There are more members than one list holds (`members_max`): until some go nothing is taken for
    /// over because no record names it.
    TooManyMembers,
    /// The membership stream lost its tail: what it acknowledged is gone, and with it the ground of
    /// the leased class (P3).
    LostTail,
    /// What the node was to say of itself cannot be said; it says what it said before.
    NotTaken(ConfigError),
    /// A node joined, or is heard of for the first time.
    Joined(NodeName, Incarnation),
    /// A node left by itself.
    Left(NodeName, Incarnation),
    /// A node looks gone.
    Hinted(NodeName, Incarnation),
    /// A node that looked gone is there.
    Back(NodeName, Incarnation),
    /// A node's lease is over.
    Over(NodeName, Incarnation),
    /// So many nodes look gone at once that the network is suspect: no hint counts (S15).
    NetworkSuspect,
    /// This node's own lease ended before it could renew it.
    LeaseLost,
    /// This node's clock stood still or jumped for longer than the margin allows: every lease is
    /// dropped before anything is answered.
    ClockGap,
}

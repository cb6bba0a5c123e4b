//! A group of consumers: a fixed number of partitions, each of them run by one node of a cluster at a
//! time (H14).
//!
//! `Group` is the machine of one node's part in one group. A partition has the events of some of the
//! shards; it belongs to the leased class (S14). Its one record, on `<ns>.grp.<group>.<partition>`, says
//! who owns it and up to where it was handled: a claim replaces that record by CAS and takes its positions
//! over, so the former owner's next checkpoint, which expects its own last record, is refused (P6).
//! Whoever runs the group says so in its membership record; rendezvous hashing over them decides who
//! owns what, and their leases when somebody else may.
//!
//! ```text
//!        its own by the map, and free ─▶ Claiming ─ stored ─▶ Held ── another's by the map, settled; or
//!  No ──┤                                    ▲                  │      it leaves ─▶ Ending ─▶ Releasing ─▶ No
//!        its record names this run ──────────┘                  │
//!            (another's by the map: Releasing)                  └── the lease is over ─▶ Ending ─▶ No
//! ```
//!
//! # Invariants
//!
//! - Q1: a consumer of a partition acts only between a claim of this run that was acknowledged and the end
//!   of it, and only while the node holds its lease (P3).
//! - Q2: the record of a run that may act is replaced by that run's node alone: it is free when it names
//!   nobody, or a run that is over; a hint is not enough (S14).
//! - Q3: a record is written in the place of the one that it continues, whose positions it takes over: so
//!   positions do not go back within a life, and nothing of a former owner is stored after it (P6).
//! - Q4: a partition is released only when nothing of it acts here any more.
//! - Q5: nothing is moved for a set of candidates that has not settled, unless its node leaves.
//! - Q6: a group's definition and its number of partitions are those of its first start, for good.
//! - Q7: what a group is told is one record, replaced by CAS. A rewind begins the group's next life: each
//!   partition comes to that life once, by the claim that begins it at the life's start; a claim within a life
//!   takes the positions over (Q3).
//! - Q8: a partition that is claimed or held by a node which has read that the group is paused hands nothing
//!   over.

mod judge;
mod machine;
mod naming;
mod order_record;
mod records;
mod spot;
mod told;

pub use machine::Group;

use super::{Definition, Fault, Share, StallReason, Start};
use crate::format::{Layout, Position};
use crate::id::{GroupPart, Incarnation, OpId, Sequence, ShardId, Ticket, WallTime};
use crate::name::NodeName;
use crate::node::View;
use crate::port::{Refused, StoreReply, StoreRequest};
use crate::space::SpaceWish;
use crate::step::{HaltReason, Time};
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// What a node's part in a group is made with.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct GroupConfig {
    /// The namespace as it was opened, for the settings of the consumers' stream.
    pub wish: SpaceWish,
    /// Its layout.
    pub layout: Layout,
    /// The node's name.
    pub node: NodeName,
    /// This run of it.
    pub incarnation: Incarnation,
    /// What the group reads, by its name.
    pub definition: Definition,
    /// How many partitions it has, at least 1.
    pub partitions: u16,
}

/// One input of a [`Group`].
#[allow(
    clippy::large_enum_variant,
    reason = "an input lives for one step; answers are the largest and the most"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Input {
    /// A deadline passed.
    Tick {
        /// The node's wall clock.
        wall: WallTime,
    },
    /// The store is reachable and its namespace verified, for the first time or again.
    Up,
    /// The namespace cannot be used any more, for good: nothing of the group acts from this step on.
    Unusable(Box<Fault>),
    /// Who is in the cluster.
    View(Arc<View>),
    /// Until when this node may act; `None`: not now. At its end everything is dropped.
    Lease(Option<Time>),
    /// The node acts as another run of itself from now on: what the former one owned is dropped.
    Run(Incarnation),
    /// The store answered.
    Stored {
        /// The request's operation.
        op: OpId,
        /// Its answer.
        reply: StoreReply,
        /// The node's wall clock.
        wall: WallTime,
    },
    /// A partition's consumer ended by itself: it stands, and nothing of it acts.
    Faulted {
        /// Which one.
        part: GroupPart,
        /// Whether its record is another's, or is gone ([`Fault::loses_partition`]): then the partition goes on
        /// from what stands there.
        lost: bool,
    },
    /// A partition's consumer that was to end has, and nothing of it acts any more.
    Ended {
        /// Which one.
        part: GroupPart,
    },
    /// Tell the group something, on all nodes; the answer is `Effect::Answer`.
    Order {
        /// Names the answer.
        ticket: Ticket,
        /// What it is told.
        order: GroupOrder,
    },
    /// Hand everything over, and end.
    Leave {
        /// Until when handlers may end what they have.
        until: Time,
        /// Whether it ends then without having released what it owns, since its node leaves.
        gives_up: bool,
    },
}

/// One effect of a [`Group`]. Order means nothing.
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
    /// The others are to know whether this node takes partitions of the group: in its membership
    /// record.
    Serve(bool),
    /// A record names a run that the view does not know: list the members again.
    Look,
    /// Run the consumer of a partition, for the shards of it.
    Begin {
        /// The partition and its record.
        share: Box<Share>,
        /// Its shards; empty for all of them.
        shards: BTreeSet<ShardId>,
        /// Where it begins when its record has no positions.
        start: Start,
        /// Who has the group paused: it begins with nothing then.
        paused: Option<String>,
    },
    /// Have the consumer of a partition hand over nothing, or go on.
    Pause {
        /// Which one.
        part: GroupPart,
        /// Who wants it, for people; `None`: go on.
        by: Option<String>,
    },
    /// The answer to an order.
    Answer {
        /// Whose.
        ticket: Ticket,
        /// The life that the group is in, once the order is stored: each node follows when it reads it.
        told: Result<u64, GroupOrderRefusal>,
    },
    /// Have a partition's consumer end; the answer is `Input::Ended`.
    End {
        /// Which one.
        part: GroupPart,
        /// Until when its handlers may end what they have.
        until: Time,
    },
    /// Have nothing of a partition act any more, in this step; the answer is `Input::Ended`.
    Drop {
        /// Which one.
        part: GroupPart,
    },
    /// Something that people want to know.
    Notice(Notice),
    /// The machine is at its end: nothing of the group acts on this node.
    Ended {
        /// Why, when it was not told to leave.
        fault: Option<Box<Fault>>,
    },
    /// The machine found its own state wrong; stop stepping it.
    Halt(HaltReason),
}

/// What a group is told as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum GroupOrder {
    /// Nothing is handed over by any node, until it is resumed.
    Pause {
        /// Who wants it, for people.
        by: String,
    },
    /// Go on.
    Resume,
    /// All partitions go on from another place, in the group's next life.
    Rewind(Start),
}

/// Why a group was not told something; it goes on as before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum GroupOrderRefusal {
    /// It is not known yet whether the group is what it is to be.
    #[error("the group starts: order it when it has")]
    Starting,
    /// This node takes no part in it any more. What was being stored may be.
    #[error(
        "this node has left the group: order it on another, and look whether it was told already"
    )]
    Stopped,
    /// Too many orders wait.
    #[error("too many orders of the group wait: order again later")]
    TooMany,
    /// There is not one place for each event stream.
    #[error(
        "the namespace has {expected} event streams, and {found} positions were given: give one for each"
    )]
    Streams {
        /// How many streams there are.
        expected: u16,
        /// How many positions there were.
        found: usize,
    },
    /// A stream ends before the place.
    #[error("event stream {} ends at {}, before {}: give a place that is there", .0.stream, .0.last, .0.wanted)]
    PastEnd(Place),
    /// The store did not tell in time what became of it, and the record that stands there now does not say.
    #[error(
        "what became of the order is not known, and much was ordered since: look at the group's status, and order it again if it is still wanted"
    )]
    Forgotten,
    /// What the group was told before cannot be read by this build.
    #[error("what the group was told cannot be read ({0}): order it with the build that wrote it")]
    Unreadable(String),
    /// The store refuses.
    #[error("the store does not take it: {0}")]
    Store(Refused),
}

/// A place in a stream that ends before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Place {
    /// The event stream's number.
    pub stream: u16,
    /// The place.
    pub wanted: Position,
    /// Where the stream ends.
    pub last: Sequence,
}

/// Something that people want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Notice {
    /// The group is what it is to be, and this node takes part.
    Joined {
        /// Whether this start gave the name to it.
        made: bool,
    },
    /// A partition is this node's.
    Claimed {
        /// Which one.
        part: GroupPart,
        /// The run of a node whose it was, and that is over.
        from: Option<Incarnation>,
    },
    /// A partition is handed over.
    HandingOver {
        /// Which one.
        part: GroupPart,
        /// To which node, if there is one.
        to: Option<NodeName>,
    },
    /// A partition is nobody's now.
    Released {
        /// Which one.
        part: GroupPart,
    },
    /// A partition's record was replaced by another run.
    Lost {
        /// Which one.
        part: GroupPart,
    },
    /// The lease is over, and with it what this node had.
    LeaseOver {
        /// How many partitions it dropped.
        parts: usize,
    },
    /// A node told the group something.
    Told {
        /// What.
        order: GroupOrder,
    },
    /// What the group was told last is not in the stream any more: what is there counts.
    OrdersLost,
    /// What the group was told cannot be read by this build: nothing is claimed.
    OrdersUnreadable {
        /// What is wrong with it.
        cause: String,
    },
    /// A partition's record cannot be read by this build: it is left alone.
    Unreadable {
        /// Which one.
        part: GroupPart,
        /// What is wrong with it.
        cause: String,
    },
}

/// How a node's part in a group stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct GroupStatus {
    /// What it does.
    pub state: GroupState,
    /// The nodes that take partitions, as far as this one knows.
    pub members: Vec<NodeName>,
    /// Each partition, by its number.
    pub partitions: Vec<PartStatus>,
    /// Who has the group paused, as far as this node has read.
    pub paused: Option<String>,
    /// The how manieth life of the group it is, as far as this node has read.
    pub life: u64,
    /// What it waits for at this moment, while it starts.
    pub waits_for: Option<StallReason>,
}

/// What a node's part in a group does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum GroupState {
    /// It finds out whether the group is what it is to be.
    Starting,
    /// It takes part.
    Running,
    /// It hands over what it has.
    Leaving,
    /// It has ended.
    Over,
}

/// One partition as a node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct PartStatus {
    /// Which node its record named when it was read last; `None`: nobody, as far as is known.
    pub owner: Option<String>,
    /// Whether its consumer runs on this node.
    pub held: bool,
    /// Who is to own it.
    pub best: Option<NodeName>,
}

/// The most partitions that a group can have: one request reads the records of all of them.
pub const PARTITIONS_MAX: u16 = 256;

/// The partition of a shard.
pub fn part_of(shard: ShardId, partitions: u16) -> GroupPart {
    GroupPart(shard.0 % partitions.max(1))
}

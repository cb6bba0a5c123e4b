//! Membership: one node's own place in the cluster, and its view of the others.
//!
//! `Node` is the machine of one run of a node. It takes its name by CAS on its record's subject
//! ([`member_subject`](crate::name::Namespace::member_subject)), keeps its lease by writing that
//! record again (S16), watches the records of the others, and tells who lives ([`View`]). It never
//! decides by a marker or a missing message: a lease is over when the same revision was seen
//! unchanged for long enough on this node's own clock *and* a tombstone on it is acknowledged.
//!
//! A node of a lone program has no such machine; the log then claims what it uses.

mod ask;
mod bury;
mod effect;
mod hint;
mod input;
mod join;
mod list;
mod machine;
mod own;
mod probe;
mod roster;
mod view;

pub use effect::{Effect, JoinError, Note};
pub use input::Input;
pub use machine::Node;
pub use view::{Peer, PeerState, Role, Standing, View};

use crate::format::{FrameVersions, TakeOver};
use crate::id::Incarnation;
use crate::lease::Terms;
use crate::name::{Namespace, NodeName};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;

/// What a node is, and what it says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    /// The namespace.
    pub namespace: Namespace,
    /// The node's name.
    pub name: NodeName,
    /// This run of it.
    pub incarnation: Incarnation,
    /// What the namespace's nodes agree on about leases.
    pub terms: Terms,
    /// What it says of itself.
    pub about: About,
}

/// What a node says of itself to the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Whether it may own shards.
    pub role: Role,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
    /// Where it stands, such as a rack or a data centre.
    pub zone: Option<String>,
    /// Its share of the shards beside the others' weights; 100 is the usual one, 0 owns nothing.
    pub weight: u16,
    /// The classes whose shards it may own: those of which its program has a kind or an actor.
    pub classes: BTreeSet<TakeOver>,
    /// How many lanes it listens on; a shard's requests go to lane `shard mod lanes`.
    pub lanes: u16,
    /// The versions of frames that it reads and writes.
    pub frames: FrameVersions,
    /// The version of the program, for people.
    pub program: String,
}

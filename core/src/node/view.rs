//! Who is in the cluster, as one node sees it.

use super::About;
use crate::format::TakeOver;
use crate::id::Incarnation;
use crate::name::NodeName;
use alloc::collections::BTreeMap;

/// Who is in the cluster, as one node sees it. A new one has a higher revision, or a list more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct View {
    /// Rises with each change of who is there and how; not with `listed` alone.
    pub revision: u64,
    /// How many lists of the membership stream were taken in since this node's start. Each counts only
    /// when it is whole, and has a heartbeat of this node that was sent after the list before it was
    /// taken in: so it has everything that was acknowledged until then (S11). Whoever meets a
    /// run that this view does not know looks at this number: two more lists later, the second of
    /// them was asked for after the run was met, so it would have had it.
    pub listed: u64,
    /// The nodes whose lease is not over, by name; this node too once it has joined.
    pub peers: BTreeMap<NodeName, Peer>,
    /// Runs that are no peers any more: replaced under their own name ([`Standing::Hinted`]) while
    /// their lease may not be over yet; left, replaced or silent for good ([`Standing::Over`]). Of
    /// the latter only the youngest are kept; an older one is unknown again.
    pub lingering: BTreeMap<Incarnation, Standing>,
}

/// One node of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Peer {
    /// Its run.
    pub incarnation: Incarnation,
    /// What it says of itself.
    pub about: About,
    /// What it is doing.
    pub state: PeerState,
    /// Whether it lives, as far as this node can tell.
    pub standing: Standing,
}

impl Peer {
    /// Whether it may own shards of a class, as far as this view tells: it serves them, lives and does not
    /// drain.
    pub(crate) fn may_own(&self, class: TakeOver) -> bool {
        self.about.role == Role::Owner
            && self.about.classes.contains(&class)
            && self.state == PeerState::Up
            && self.standing == Standing::Living
    }
}

/// What a node may do in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Role {
    /// It owns shards.
    Owner,
    /// It asks, and owns nothing.
    Client,
}

/// What a node is doing, as its record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum PeerState {
    /// It serves.
    Up,
    /// It hands over what it owns, and takes nothing more.
    Draining,
}

/// Whether a run of a node lives, as far as another one can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Standing {
    /// Nothing speaks against it.
    Living,
    /// It looks gone (S15): what is fenced may be taken over, what is leased not.
    Hinted,
    /// Its lease is over, proven by a tombstone (S16): everything may be taken over.
    Over,
}

impl View {
    /// Whether a run of a node lives. `None`: this view does not know it. It is over then only when
    /// [`listed`](Self::listed) has risen by two since the run was met, in a record of ownership
    /// perhaps; a run that was replaced under its own name stays in `lingering` until it is over.
    pub fn standing(&self, incarnation: Incarnation) -> Option<Standing> {
        let peer = self.peers.values().find(|p| p.incarnation == incarnation);
        peer.map(|peer| peer.standing)
            .or_else(|| self.lingering.get(&incarnation).copied())
    }

    /// The node of a run, when it is in the view.
    pub fn peer_of(&self, incarnation: Incarnation) -> Option<(&NodeName, &Peer)> {
        self.peers
            .iter()
            .find(|(_, peer)| peer.incarnation == incarnation)
    }
}

//! A node's part in a cluster: what its lanes share, and what each of them keeps for it.
//!
//! Lane 0 has the machines of membership and ownership. It tells all lanes who is in the cluster,
//! where each shard is and until when this node may act, by a watch channel; orders go to the lane of
//! the shard, and reports come back. Each lane has the routing of its own shards, a subject on which
//! it listens, and the frames that it sends at the end of a turn.

mod actor;
mod call;
mod courier;
mod machine;
mod net;
mod post;
pub(crate) mod wire;

pub(crate) use actor::{ActorAsk, WatchAsk, place_in, place_of};
pub(crate) use call::{Asking, AskingActor, Incoming, Outcome, Returned, Wanted};
pub(crate) use courier::{Carried, Courier, Local, Routed, Unrouted};
pub(crate) use machine::MachineSeat;
pub(crate) use net::{Along, Held, Net, NetEvent, Requested, Serving, Source};
pub(crate) use wire::info_call;

use crate::api::Serving as ServingKind;
use crate::driver::actors::host::ActorEntry;
use crate::driver::effects::EffectHost;
use crate::driver::group::GroupWish;
use crate::format::Layout;
use crate::id::Incarnation;
use crate::name::{EntityId, KindName};
use crate::node::{JoinError, NodeConfig, View};
use crate::route::{Repeat, Target};
use crate::shard::{Order, Place, Report, Table};
use crate::step::Time;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// What lanes noticed of other nodes that waits for lane 0; what is more is not told.
pub(crate) const TIDINGS_MAX: usize = 1_024;

/// What requests for one entity or actor have in common, so that they stay in their order.
pub(crate) fn order_key(kind: &KindName, key: &EntityId) -> u64 {
    // FNV-1a of words instead of bytes, whose upper half comes down after each.
    let and = |hash: u64, word: u64| {
        let hash = (hash ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        hash ^ hash >> 32
    };
    let mut hash = 0xCBF2_9CE4_8422_2325;
    for text in [kind.as_str(), key.as_str()] {
        let (words, rest) = text.as_bytes().as_chunks::<8>();
        for word in words {
            hash = and(hash, u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        // With its length none of two texts is the other with zeros after it.
        hash = and(and(hash, u64::from_le_bytes(last)), text.len() as u64);
    }
    hash
}

/// A request of a caller of this node for whoever owns a place, or for a node.
pub(crate) struct AskRequest {
    pub(crate) target: Target,
    /// Requests of one target with the same number stay in their order.
    pub(crate) key: u64,
    pub(crate) deadline: Time,
    /// Whether it may be sent again after it may have run.
    pub(crate) repeat: Repeat,
    /// Whether its caller waits for an answer.
    pub(crate) answered: bool,
    pub(crate) ask: Box<dyn Routed>,
}

/// What lane 0 tells everyone of the cluster.
#[derive(Clone, Debug)]
pub(crate) struct Membership {
    pub(crate) state: MemberState,
    pub(crate) view: Arc<View>,
    pub(crate) table: Arc<Table>,
    /// Until when this node may act as the holder of its lease.
    pub(crate) lease: Option<Time>,
    /// This run of the node.
    pub(crate) run: Incarnation,
    /// How often it became another run, after the others had taken it for over.
    pub(crate) rejoins: u64,
}

/// This node's own standing in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MemberState {
    /// It is taking its name.
    Joining,
    /// The others took it for over, and it takes its name again as another run.
    Rejoining(JoinError),
    /// It is a member.
    Joined,
    /// It hands over what it owns.
    Draining,
    /// It owns nothing any more, and is a member still.
    Drained,
    /// It has left.
    Left,
    /// It is no member, and will not be.
    Refused(JoinError),
    /// The machine of its membership or of its ownership halted.
    Halted(String),
}

impl MemberState {
    /// Whether it takes its name still.
    pub(crate) fn is_on_its_way(&self) -> bool {
        match self {
            Self::Joining | Self::Rejoining(_) => true,
            Self::Joined
            | Self::Draining
            | Self::Drained
            | Self::Left
            | Self::Refused(_)
            | Self::Halted(_) => false,
        }
    }

    /// Whether it stays so.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Joining | Self::Rejoining(_) | Self::Joined | Self::Draining | Self::Drained => {
                false
            }
            Self::Left | Self::Refused(_) | Self::Halted(_) => true,
        }
    }
}

impl Membership {
    pub(crate) fn new(run: Incarnation) -> Self {
        Self {
            state: MemberState::Joining,
            view: Arc::default(),
            table: Arc::default(),
            lease: None,
            run,
            rejoins: 0,
        }
    }
}

/// The kinds that this node serves.
#[derive(Default)]
pub(crate) struct Registry {
    pub(crate) kinds: BTreeMap<KindName, Arc<dyn ServingKind>>,
    pub(crate) actors: BTreeMap<KindName, Arc<ActorEntry>>,
    /// The code of effects, by what they are dispatched as the kind of.
    pub(crate) effects: BTreeMap<KindName, Arc<dyn EffectHost>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = self.kinds.keys().chain(self.actors.keys());
        f.debug_set().entries(kinds).finish()
    }
}

/// What a lane becomes part of a cluster with.
pub(crate) struct Enrol {
    pub(crate) registry: Arc<Registry>,
    pub(crate) membership: watch::Receiver<Membership>,
    /// What lane 0 directs. At most two orders are under way for a place, so that it holds as many as
    /// there are places.
    pub(crate) directions: mpsc::UnboundedReceiver<Direction>,
    /// To lane 0; of each place as many as there are orders and changes of its epoch.
    pub(crate) reports: mpsc::UnboundedSender<(Place, Report)>,
    /// To lane 0, as far as there is room.
    pub(crate) tidings: mpsc::Sender<Tiding>,
    /// To lane 0; of each group a few.
    pub(crate) group_wishes: mpsc::UnboundedSender<GroupWish>,
    /// Lane 0 only.
    pub(crate) lead: Option<Enrolment>,
    /// How many lanes the node has.
    pub(crate) lanes: u16,
    /// Told when the lane listens.
    pub(crate) listening: oneshot::Sender<()>,
}

/// What lane 0 leads the node in a cluster with.
pub(crate) struct Enrolment {
    pub(crate) config: NodeConfig,
    pub(crate) layout: Arc<Layout>,
    pub(crate) membership: watch::Sender<Membership>,
    /// To each lane, in order.
    pub(crate) directions: Vec<mpsc::UnboundedSender<Direction>>,
    pub(crate) reports: mpsc::UnboundedReceiver<(Place, Report)>,
    pub(crate) tidings: mpsc::Receiver<Tiding>,
    pub(crate) group_wishes: mpsc::UnboundedReceiver<GroupWish>,
}

/// What lane 0 directs another lane, or itself, to do. They are carried out in their order.
pub(crate) enum Direction {
    /// An order for the log of a place.
    Order(Place, Order),
    /// Say that you turn.
    Beat(u64),
    /// Act as another run of the node, and say when that is so.
    Run(Incarnation, oneshot::Sender<()>),
}

/// What a lane noticed of another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tiding {
    /// Nobody listened at one of its addresses.
    NoResponders(Incarnation),
    /// A frame of it came.
    Alive(Incarnation),
}

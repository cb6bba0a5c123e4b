//! Machines as they were at one moment: where a run of recorded inputs can begin.

use crate::bus::Publisher;
use crate::consumer::Consumer;
use crate::consumer::group::Group;
use crate::log::{History, Shard};
use crate::node::Node;
use crate::route::{Router, RouterConfig};
use crate::shard::Owners;
use crate::space::Space;
use crate::step::{Dice, Limits};
use serde::{Deserialize, Serialize};

/// Of a log with more entities in memory than this no beginning is kept: it takes too long.
const ENTITIES_MAX: usize = 1_024;

/// Of a consumer that holds more commits than this none is kept after its first.
const CONSUMER_COMMITS_MAX: u64 = 64;

/// Of what holds more publications than this none is kept after its first.
const PUBLICATIONS_MAX: usize = 64;

/// About the bytes of a machine, and of an entity in it.
const MACHINE_BYTES: usize = 2_048;
const ENTITY_BYTES: usize = 1_024;

/// A machine before its next input, and its dice.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Began {
    /// The dice that its steps draw from.
    pub dice: Dice,
    /// The machine.
    pub state: State,
}

/// A machine as it was at one moment.
///
/// Routing and actors are kept as they are made, before their first input, and at no later moment: what
/// they hold goes by places in lists of which a copy cannot be written down.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum State {
    /// A shard's log.
    Log(Box<Shard>),
    /// The namespace's machine.
    Space(Box<Space>),
    /// A reader of history.
    History(Box<History>),
    /// A consumer.
    Consumer(Box<Consumer>),
    /// What stores what is published.
    Bus(Box<Publisher>),
    /// A node's part in a group of consumers.
    Group(Box<Group>),
    /// The node's membership.
    Node(Box<Node>),
    /// The node's ownership.
    Owners(Box<Owners>),
    /// A lane's routing without any request.
    Router(Box<(RouterConfig, Limits)>),
    /// The actors of one of so many lanes, without any.
    Actors(Box<(Limits, usize, usize)>),
}

impl State {
    /// About how many bytes it holds.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Log(log) => MACHINE_BYTES + ENTITY_BYTES * log.entities_held(),
            Self::Space(_)
            | Self::History(_)
            | Self::Consumer(_)
            | Self::Bus(_)
            | Self::Group(_)
            | Self::Node(_)
            | Self::Owners(_)
            | Self::Router(_)
            | Self::Actors(_) => MACHINE_BYTES,
        }
    }
}

/// A machine whose steps can be done again.
pub(crate) trait Recall {
    /// It as it is, if it can be kept; `first`: before its first input.
    fn recall(&self, first: bool) -> Option<State>;
}

impl Recall for Shard {
    fn recall(&self, _: bool) -> Option<State> {
        let small = self.entities_held() <= ENTITIES_MAX;
        small.then(|| State::Log(Box::new(self.clone())))
    }
}

impl Recall for Space {
    fn recall(&self, _: bool) -> Option<State> {
        Some(State::Space(Box::new(self.clone())))
    }
}

impl Recall for History {
    fn recall(&self, first: bool) -> Option<State> {
        // It lives for one page.
        first.then(|| State::History(Box::new(self.clone())))
    }
}

impl Recall for Consumer {
    fn recall(&self, first: bool) -> Option<State> {
        // What it has fetched and not handled is a large part of a log.
        let small = first || self.held() <= CONSUMER_COMMITS_MAX;
        small.then(|| State::Consumer(Box::new(self.clone())))
    }
}

impl Recall for Publisher {
    fn recall(&self, first: bool) -> Option<State> {
        // What waits for the store may be much.
        let small = first || self.held() <= PUBLICATIONS_MAX;
        small.then(|| State::Bus(Box::new(self.clone())))
    }
}

impl Recall for Group {
    fn recall(&self, _: bool) -> Option<State> {
        Some(State::Group(Box::new(self.clone())))
    }
}

impl Recall for Node {
    fn recall(&self, _: bool) -> Option<State> {
        Some(State::Node(Box::new(self.clone())))
    }
}

impl Recall for Owners {
    fn recall(&self, _: bool) -> Option<State> {
        Some(State::Owners(Box::new(self.clone())))
    }
}

impl Recall for Router {
    fn recall(&self, first: bool) -> Option<State> {
        first.then(|| State::Router(Box::new(self.born())))
    }
}

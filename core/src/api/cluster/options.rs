//! What a node is in its cluster.

use crate::format::{FrameVersions, TakeOver};
use crate::lease::Terms;
use crate::name::{KindName, NameError, NodeName};
use crate::node::{About, Role};
use crate::step::Span;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The classes and the kinds that a node serves.
pub(crate) type Served = (BTreeSet<TakeOver>, BTreeSet<KindName>);

/// How a node is part of the cluster of its namespace.
///
/// All nodes of a namespace that are started so are one cluster: each owns some of the shards, and
/// what one of them is asked goes to the owner. Every one is to be started with the same
/// [terms](Self::terms).
///
/// ```
/// use tenure_core::api::Cluster;
///
/// let owner = Cluster::named("node-a").zone("eu-1").label("disk", "fast").weight(200);
/// let client = Cluster::named("gateway-1").client();
/// ```
#[derive(Clone, Debug)]
#[must_use = "it is what a node is started with"]
pub struct Cluster {
    name: Option<String>,
    role: Role,
    labels: BTreeMap<String, String>,
    zone: Option<String>,
    weight: u16,
    program: String,
    terms: Option<Terms>,
    pub(crate) rejoin: bool,
    pub(crate) settle: Option<Span>,
}

impl Cluster {
    /// Under a name that no other living node of the namespace has: 1 to 64 characters of `a-z`,
    /// `A-Z`, `0-9`, `-` and `_`. A node that is started again under its name takes its own place,
    /// as soon as the run before it is known to be gone.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: Some(name.into()),
            ..Self::unnamed()
        }
    }

    /// Under a name that is drawn, for nodes that come and go.
    pub fn unnamed() -> Self {
        Self {
            name: None,
            role: Role::Owner,
            labels: BTreeMap::new(),
            zone: None,
            weight: 100,
            program: String::new(),
            terms: None,
            rejoin: true,
            settle: None,
        }
    }

    /// It asks, and owns nothing.
    pub fn client(mut self) -> Self {
        self.role = Role::Client;
        self
    }

    /// A label that the other nodes see.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// Where it stands, such as a rack or a data centre.
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.zone = Some(zone.into());
        self
    }

    /// Its share of the shards beside the others' weights; 100 when it is not set, 0 owns nothing.
    pub fn weight(mut self, weight: u16) -> Self {
        self.weight = weight;
        self
    }

    /// The version of the program, for people.
    pub fn program(mut self, version: impl Into<String>) -> Self {
        self.program = version.into();
        self
    }

    /// What the namespace's nodes agree on about leases. When it is not set they are
    /// [`Terms::cluster`], or [`Terms::single`] on a single server or in memory.
    pub fn terms(mut self, terms: Terms) -> Self {
        self.terms = Some(terms);
        self
    }

    /// Whether the node joins again by itself when the others took it for over, because it was silent
    /// for longer than its lease: suspended, or without a way to the store. It does unless this says
    /// no. It owns nothing then until it is a member again: its actors have stopped, and whoever asked
    /// it waits for the shards' next owners. With `false` it stays out of the cluster, and its view
    /// says why ([`ClusterView::refused`](crate::api::ClusterView::refused)); as it does in any case
    /// when another process has its name by then.
    pub fn rejoin(mut self, rejoin: bool) -> Self {
        self.rejoin = rejoin;
        self
    }

    /// How long a node that came or went is waited for before shards are moved because of it; the
    /// limits' `settle`, 1 s, when it is not set. Shards of nodes that are gone do not wait for it.
    pub fn settle(mut self, settle: Duration) -> Self {
        self.settle = Some(settle.into());
        self
    }

    /// The node's name; a drawn one when it has none.
    pub(crate) fn name(&self, drawn: u128) -> Result<NodeName, NameError> {
        match &self.name {
            Some(name) => NodeName::new(name),
            None => NodeName::new(&format!("node-{:016x}", drawn >> 64)),
        }
    }

    /// What it says of itself.
    pub(crate) fn about(&self, lanes: usize, (classes, kinds): Served) -> About {
        About {
            role: self.role,
            labels: self.labels.clone(),
            zone: self.zone.clone(),
            weight: self.weight,
            classes,
            kinds: Some(kinds),
            groups: BTreeSet::new(),
            lanes: u16::try_from(lanes).unwrap_or(u16::MAX),
            program: self.program.clone(),
            frames: FrameVersions::THIS,
        }
    }

    /// What it agrees on with the others.
    pub(crate) fn terms_on(&self, replicated: bool) -> Terms {
        self.terms.unwrap_or(if replicated {
            Terms::cluster()
        } else {
            Terms::single()
        })
    }
}

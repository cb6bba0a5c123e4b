//! The cluster at one moment, as one node sees it.

use crate::driver::cluster::{MemberState, Membership};
use crate::format::TakeOver;
use crate::id::{Epoch, Incarnation, ShardId};
use crate::name::{ConsumerName, KindName};
use crate::node::{JoinError, Peer, PeerState, Role, Standing, View};
use crate::shard::{Place, ShardMap};
use crate::step::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The cluster at one moment, as one node sees it; it may be old.
#[derive(Clone)]
pub struct ClusterView {
    pub(super) membership: Membership,
    pub(super) shards: u16,
}

/// One node of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeView<'a> {
    /// Its name.
    pub name: &'a str,
    /// This run of it.
    pub run: Incarnation,
    /// Where it stands.
    pub zone: Option<&'a str>,
    /// Its labels.
    pub labels: &'a BTreeMap<String, String>,
    /// Its share of the shards.
    pub weight: u16,
    /// The version of its program.
    pub program: &'a str,
    /// The kinds of entities and actors that it serves; `None` when its program is too old to say.
    /// What is asked of a kind is refused where the shard's owner does not serve it, so all that own
    /// shards should serve the same.
    pub kinds: Option<&'a BTreeSet<KindName>>,
    /// The groups of consumers of which it takes partitions.
    pub groups: &'a BTreeSet<ConsumerName>,
    /// Whether it only asks.
    pub client: bool,
    /// Whether it hands over what it owns.
    pub draining: bool,
    /// Whether it lives, as far as is known.
    pub standing: Standing,
}

impl ClusterView {
    /// Rises with each change of who is there and how.
    pub fn revision(&self) -> u64 {
        self.membership.view.revision
    }

    /// The nodes, by name; of one whose lease is over there is none.
    pub fn nodes(&self) -> impl Iterator<Item = NodeView<'_>> {
        let peers = self.membership.view.peers.iter();
        peers.map(|(name, peer)| NodeView::new(name.as_str(), peer))
    }

    /// One node.
    pub fn node(&self, name: &str) -> Option<NodeView<'_>> {
        self.nodes().find(|node| node.name == name)
    }

    /// Who owns a shard, as far as is known, and under which epoch.
    pub fn owner(&self, place: Place) -> Option<(NodeView<'_>, Epoch)> {
        let row = self.membership.table.rows.get(&place)?;
        let (name, peer) = self.membership.view.peer_of(row.owner)?;
        Some((NodeView::new(name.as_str(), peer), row.epoch))
    }

    /// The same of one shard of a class.
    ///
    /// ```
    /// # use tenure_core::{api::ClusterView, format::TakeOver, id::ShardId};
    /// # fn example(view: &ClusterView) {
    /// for (n, class) in [(7, TakeOver::Fenced), (7, TakeOver::Leased)] {
    ///     let owner = view.owner_of(class, ShardId(n));
    ///     println!("shard {n} of {class:?}: {:?}", owner.map(|(node, epoch)| (node.name, epoch)));
    /// }
    /// # }
    /// ```
    pub fn owner_of(&self, class: TakeOver, shard: ShardId) -> Option<(NodeView<'_>, Epoch)> {
        self.owner(Place { class, shard })
    }

    /// Who is to own a shard by the members and weights of this view, the best first and at most `count`
    /// of them: the second comes to own it when the first one is gone. Who owns it at this moment is
    /// [`owner`](Self::owner): what moves takes its time.
    ///
    /// ```
    /// # use tenure_core::{api::ClusterView, format::TakeOver, id::ShardId, shard::Place};
    /// # fn example(view: &ClusterView) {
    /// let place = Place { class: TakeOver::Fenced, shard: ShardId(7) };
    /// if let [first, next] = view.ranked(place, 2)[..] {
    ///     println!("{} owns it, or is going to; {} is its stand-in", first.name, next.name);
    /// }
    /// # }
    /// ```
    pub fn ranked(&self, place: Place, count: usize) -> Vec<NodeView<'_>> {
        let peers = &self.membership.view.peers;
        let able = peers.iter().filter(|(_, peer)| peer.may_own(place.class));
        let map = ShardMap::new(able.map(|(name, peer)| (name.clone(), peer.about.weight)));
        let ranked = map.rank(place, count);
        let known = ranked
            .into_iter()
            .filter_map(|name| peers.get_key_value(name));
        known
            .map(|(name, peer)| NodeView::new(name.as_str(), peer))
            .collect()
    }

    /// How many shards of a class each node owns; nodes that own none are not among them.
    pub fn owned(&self, class: TakeOver) -> BTreeMap<&str, usize> {
        let mut owned = BTreeMap::new();
        for shard in (0..self.shards).map(ShardId) {
            if let Some((node, _)) = self.owner_of(class, shard) {
                *owned.entry(node.name).or_insert(0) += 1;
            }
        }
        owned
    }

    /// Whether every shard of a class has an owner that is in the cluster.
    pub fn is_served(&self, class: TakeOver) -> bool {
        self.owned(class).values().sum::<usize>() == usize::from(self.shards)
    }

    /// Why this node is no member any more, when it was refused after it had joined: another run took
    /// its name, or it was silent for longer than its lease and may not
    /// [rejoin](crate::api::Cluster::rejoin). It owns nothing then, and is to be started again.
    pub fn refused(&self) -> Option<&JoinError> {
        match &self.membership.state {
            MemberState::Refused(error) => Some(error),
            MemberState::Joining
            | MemberState::Rejoining(_)
            | MemberState::Joined
            | MemberState::Draining
            | MemberState::Drained
            | MemberState::Left
            | MemberState::Halted(_) => None,
        }
    }

    /// Until when this node may act for leased shards that it owns, on its own clock (S16); `None`: it may
    /// not.
    pub fn lease(&self) -> Option<Time> {
        self.membership.lease
    }

    /// What this node itself is in the cluster, in one word.
    pub fn state(&self) -> &'static str {
        match &self.membership.state {
            MemberState::Joining => "joining",
            MemberState::Rejoining(_) => "rejoining",
            MemberState::Joined => "joined",
            MemberState::Draining => "draining",
            MemberState::Drained => "drained",
            MemberState::Left => "left",
            MemberState::Refused(_) => "refused",
            MemberState::Halted(_) => "halted",
        }
    }

    /// How often this node was taken for over by the others and joined again as another run.
    pub fn rejoins(&self) -> u64 {
        self.membership.rejoins
    }

    /// Why this node is no member any more, and what to do, or why it joins again; `None` while it is a
    /// member, and when it left by itself.
    pub fn cause(&self) -> Option<String> {
        match &self.membership.state {
            MemberState::Rejoining(error) | MemberState::Refused(error) => Some(error.to_string()),
            MemberState::Halted(reason) => Some(reason.clone()),
            MemberState::Joining
            | MemberState::Joined
            | MemberState::Draining
            | MemberState::Drained
            | MemberState::Left => None,
        }
    }
}

impl fmt::Debug for ClusterView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let View {
            revision, peers, ..
        } = &*self.membership.view;
        let standing = peers.iter().map(|(name, peer)| (name, peer.standing));
        f.debug_struct("ClusterView")
            .field("state", &self.state())
            .field("revision", revision)
            .field("nodes", &standing.collect::<BTreeMap<_, _>>())
            .field("fenced", &self.owned(TakeOver::Fenced))
            .field("leased", &self.owned(TakeOver::Leased))
            .finish()
    }
}

impl<'a> NodeView<'a> {
    fn new(name: &'a str, peer: &'a Peer) -> Self {
        Self {
            name,
            run: peer.incarnation,
            zone: peer.about.zone.as_deref(),
            labels: &peer.about.labels,
            weight: peer.about.weight,
            program: &peer.about.program,
            kinds: peer.about.kinds.as_ref(),
            groups: &peer.about.groups,
            client: peer.about.role == Role::Client,
            draining: peer.state == PeerState::Draining,
            standing: peer.standing,
        }
    }
}

//! How a lane becomes part of a cluster, and how it leaves it.

use super::Lane;
use crate::api::{INFO_CODEC, NodeChange, NodeInfo};
use crate::driver::cluster::{Enrol, MemberState, Net, Unrouted};
use crate::driver::counters::Counters;
use crate::driver::shell::Shell;
use crate::format::{Answered, Denial};
use crate::id::Incarnation;
use crate::node::ConfigError;
use crate::step::{Span, Time};
use crate::{log, node, route, shard};

/// How much of the time that a stopping node has is for leaving after it handed over what it owns: a
/// quarter.
const LEAVE_SHARE: u64 = 4;

impl<S: Shell> Lane<S> {
    /// Becomes part of a cluster.
    pub(super) fn enrol(&mut self, enrol: Enrol) {
        let (net, listening) = Net::new(
            enrol,
            &self.shell,
            &self.facts,
            (self.index, self.run, self.now),
            self.dice,
        );
        self.net = Some(Box::new(net));
        if self.shapes.is_some() {
            self.net_up();
        }
        self.membership_changed();
        // Who started the node may have given up.
        let _ = listening.send(());
    }

    /// The store is connected and verified.
    pub(super) fn net_up(&mut self) {
        let bytes_max = self.payload_bytes_max();
        let Some(net) = &mut self.net else { return };
        net.post.payload_bytes_max(bytes_max);
        self.route(route::Input::Up);
        self.member(node::Input::Up);
        self.own(shard::Input::Up);
    }

    /// The lane acts as another run of the node: what it holds of the former one goes in this step
    /// (S17), and it listens at the new address.
    pub(super) fn become_run(&mut self, run: Incarnation) {
        self.run = run;
        let payload_bytes_max = self.payload_bytes_max();
        let Some(net) = &mut self.net else { return };
        net.become_run(run, &self.shell, &self.facts, payload_bytes_max);
        self.feed_all(self.now, |seat| {
            seat.is_ruled().then_some(log::Input::Run(run))
        });
        self.route(route::Input::Run(run));
        self.groups_run(run);
    }

    /// The largest message that all streams take now, in bytes.
    fn payload_bytes_max(&self) -> usize {
        let shapes = self.shapes.iter().flat_map(|shapes| shapes.iter());
        let bytes_max = shapes.map(|shape| shape.payload_bytes_max).min();
        bytes_max.unwrap_or(0)
    }

    /// The connection is gone.
    pub(super) fn net_down(&mut self) {
        if self.net.is_some() {
            self.route(route::Input::Down);
            self.member(node::Input::Down);
            self.own(shard::Input::Down);
        }
    }

    /// Says something else of the node from now on; `None` when it is no member any more.
    pub(super) fn describe(&mut self, change: NodeChange) -> Option<Result<(), ConfigError>> {
        let lead = self.net.as_ref().and_then(|net| net.lead.as_ref());
        let lead = lead.filter(|lead| !lead.state().state.is_final())?;
        let node = lead.node.machine();
        let about = change.of(node.about().clone());
        if let Err(error) = node.may_say(&about) {
            return Some(Err(error));
        }
        self.member(node::Input::About(about));
        Some(Ok(()))
    }

    /// Hands over what the node owns, and takes nothing more.
    pub(super) fn drain(&mut self) {
        let Some(lead) = self.net.as_mut().and_then(|net| net.lead.as_mut()) else {
            return;
        };
        if lead.is_draining {
            return;
        }
        lead.is_draining = true;
        lead.say(|state| match state {
            MemberState::Joined => Some(MemberState::Draining),
            MemberState::Joining
            | MemberState::Rejoining(_)
            | MemberState::Draining
            | MemberState::Drained
            | MemberState::Left
            | MemberState::Refused(_)
            | MemberState::Halted(_) => None,
        });
        self.member(node::Input::Drain);
        self.own(shard::Input::Drain);
    }

    /// Everything that was owned is handed over.
    pub(super) fn drained(&mut self) {
        let Some(lead) = self.net.as_mut().and_then(|net| net.lead.as_mut()) else {
            return;
        };
        lead.is_drained = true;
        lead.say(|state| match state {
            MemberState::Draining => Some(MemberState::Drained),
            MemberState::Joining
            | MemberState::Rejoining(_)
            | MemberState::Joined
            | MemberState::Drained
            | MemberState::Left
            | MemberState::Refused(_)
            | MemberState::Halted(_) => None,
        });
        if self.stop_at.is_some() {
            self.leave();
        }
    }

    /// The node stops, at the latest at a time: in a cluster it first hands over what it owns, and
    /// then leaves.
    pub(super) fn begin_leave(&mut self, stop_at: Time) {
        let left = stop_at.since(self.now).as_nanos();
        let draining = Span::from_nanos(left - left / LEAVE_SHARE);
        self.leave_at = Some(self.now + draining);
        let lead = self.net.as_ref().and_then(|net| net.lead.as_ref());
        let is_drained = lead.is_some_and(|lead| lead.state().state == MemberState::Drained);
        self.drain();
        if is_drained {
            self.leave();
        }
    }

    /// When there is no time left to hand over more, the rest is dropped; the node leaves when all of
    /// it has ended. If something has not by the end, it never says that it left: its lease lapses.
    pub(super) fn leave_in_time(&mut self) {
        if self.leave_at.take_if(|at| *at <= self.now).is_some() {
            self.own(shard::Input::Abandon);
        }
    }

    /// The node leaves, as soon as none of its groups acts any more.
    pub(super) fn leave(&mut self) {
        self.leave_at = None;
        let Some(lead) = self.net.as_mut().and_then(|net| net.lead.as_mut()) else {
            return;
        };
        lead.is_leaving = true;
        if lead.groups.is_empty() {
            self.member(node::Input::Leave);
        }
    }

    /// Whether the node is on its way out of its cluster, so that this lane serves on.
    pub(super) fn is_leaving(&self) -> bool {
        let Some(net) = &self.net else { return false };
        self.stop_at.is_some() && !net.membership.borrow().state.is_final()
    }

    /// Whether nobody waits for anything of the cluster on this lane.
    pub(super) fn net_is_idle(&self) -> bool {
        self.net.as_ref().is_none_or(|net| {
            net.asks.iter().all(|(_, held)| !held.ask.is_work()) && net.due.is_empty()
        })
    }

    /// Tells everyone who waits for other nodes that this one ends.
    pub(super) fn end_net(&mut self) {
        let Some(net) = &mut self.net else { return };
        for (_, held) in net.asks.take_all() {
            held.ask.unrouted(if held.sent {
                Unrouted::Cut
            } else {
                Unrouted::Stopped
            });
        }
    }

    /// What this lane adds to the node's counters.
    pub(super) fn count_cluster(&self, counters: &mut Counters) {
        let Some(net) = &self.net else { return };
        counters.asks_waiting = net.asks.len() as u64;
        let seats = self.seats.values();
        counters.shards_owned = seats
            .filter(|seat| seat.is_ruled() && seat.epoch().is_some())
            .count() as u64;
        if net.lead.is_some() {
            counters.members = net.membership.borrow().view.peers.len() as u64;
        }
    }

    /// What this node says of itself.
    pub(super) fn node_info(&self) -> Answered {
        let Some(net) = &self.net else {
            return Answered::Refused(Denial::Stopping);
        };
        let here = net.here.incarnation;
        let membership = net.membership.borrow();
        let info = NodeInfo::of(&membership, here, &self.facts.node);
        match INFO_CODEC.encode(&info) {
            Ok(bytes) => Answered::done(bytes),
            Err(cause) => Answered::Refused(Denial::Reply {
                cause: cause.to_string(),
            }),
        }
    }
}

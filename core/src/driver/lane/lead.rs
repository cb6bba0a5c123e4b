//! What lane 0 leads its node with: its membership, and its part in owning shards.

use super::{Env, Lane, Who};
use crate::driver::cluster::{Direction, MemberState, NetEvent, Tiding};
use crate::driver::group::GroupWish;
use crate::driver::recorder::{Recorded, Recorder};
use crate::driver::shell::Shell;
use crate::id::OpId;
use crate::node::{self, About};
use crate::port::{Refused, StoreRequest};
use crate::route::Address;
use crate::shard;
use crate::step::{Outcome, Time};
use std::collections::BTreeSet;
use std::sync::Arc;

impl<S: Shell> Lane<S> {
    /// Something came that concerns lane 0 alone.
    pub(super) fn lead_event(&mut self, event: NetEvent) {
        match event {
            NetEvent::Reported(place, report) => {
                self.own(shard::Input::Report { place, report });
            }
            NetEvent::Tiding(Tiding::NoResponders(of)) => {
                self.counters.hints += 1;
                self.member(node::Input::NoResponders { of });
            }
            NetEvent::Tiding(Tiding::Alive(of)) => self.member(node::Input::Alive { of }),
            NetEvent::GroupWish(wish) => self.group_wished(wish),
            NetEvent::MemberHeard(heard) => self.member(node::Input::Heard(heard)),
            NetEvent::OwnerHeard(heard) => self.own(shard::Input::Heard(heard)),
            NetEvent::Renewed => self.member(node::Input::Renewed),
            NetEvent::Delivered(_) | NetEvent::Directed(_) | NetEvent::Changed => {}
        }
    }

    /// A group of one of the lanes wants something of the node's membership.
    fn group_wished(&mut self, wish: GroupWish) {
        let Some(lead) = self.net.as_mut().and_then(|net| net.lead.as_mut()) else {
            return;
        };
        match wish {
            GroupWish::Serve(name, serves) => drop(lead.groups.insert(name, serves)),
            GroupWish::Gone(name) => drop(lead.groups.remove(&name)),
            GroupWish::Look => return self.member(node::Input::Look),
        }
        let serves = lead.groups.iter().filter(|(_, serves)| **serves);
        let serves: BTreeSet<_> = serves.map(|(name, _)| name.clone()).collect();
        let about = lead.node.machine().about();
        let leaves = lead.is_leaving;
        if about.groups != serves {
            let groups = serves;
            let about = About {
                groups,
                ..about.clone()
            };
            self.member(node::Input::About(about));
        }
        if leaves {
            self.leave();
        }
    }

    /// Membership is looked at: how far this node knows the streams to reach goes with its next
    /// heartbeat (S13).
    pub(super) fn member_tick(&mut self) {
        let streams = self.layout.as_ref().map_or(0, |layout| layout.streams);
        let marks = self.facts.high_water.all(streams);
        self.member(node::Input::Marks(marks));
        self.member(node::Input::Tick);
    }

    /// Steps the machine of membership.
    pub(super) fn member(&mut self, input: node::Input) {
        let now = self.now;
        let Some(lead) = self.net.as_mut().and_then(|net| net.lead.as_mut()) else {
            return;
        };
        let mut wanted = std::mem::take(&mut lead.node_wants);
        lead.node
            .feed(&mut env!(self, now), input, record_node, &mut wanted);
        let halted = lead.node.halted().map(str::to_owned);
        for effect in wanted.drain(..) {
            self.member_effect(effect);
        }
        let mut withheld = Vec::new();
        if let Some(lead) = self.net.as_mut().and_then(|net| net.lead.as_mut()) {
            lead.node_wants = wanted;
            std::mem::swap(&mut lead.withheld, &mut withheld);
        }
        if let Some(reason) = halted {
            self.end_membership(reason);
        }
        self.after(Who::Node);
        for op in withheld {
            let reply = Outcome::Refused(Refused::NotConnected);
            self.member(node::Input::Stored { op, reply });
        }
    }

    /// Begins a request of the membership. Nothing is written while a lane does not turn: a node of
    /// which a part hangs does not look alive (M2).
    fn member_store(&mut self, op: OpId, request: StoreRequest) {
        let writes = matches!(request, StoreRequest::Publish(_));
        if !writes || self.lanes_turn() {
            return self.stores.push((Who::Node, op, request));
        }
        if let Some(lead) = self.net.as_mut().and_then(|net| net.lead.as_mut()) {
            lead.withheld.push(op);
        }
    }

    /// Whether the other lanes answered in time what they were asked last; they are asked again.
    fn lanes_turn(&mut self) -> bool {
        let now = self.now;
        let Some(lead) = self.net.as_mut().and_then(|net| net.lead.as_mut()) else {
            return false;
        };
        if !self.facts.pulse.all_answered(lead.beat) {
            let turn = now.since(lead.beat_at) <= lead.patience;
            if !turn {
                tracing::warn!(node = self.facts.node, "lane_hangs");
            }
            return turn;
        }
        lead.beat += 1;
        lead.beat_at = now;
        let asked = Direction::Beat;
        let mut lanes = lead.directions.iter().enumerate().skip(1);
        let ended = lanes.find(|(_, lane)| lane.send(asked(lead.beat)).is_err());
        match ended.map(|(lane, _)| lane) {
            // While the node stops its lanes end.
            Some(lane) if self.stop_at.is_none() => {
                self.end_membership(format!("lane {lane} has ended"));
                false
            }
            Some(_) | None => true,
        }
    }

    /// The node is no member any more, since something of it halted: nothing of it acts, and its
    /// lease is not renewed.
    pub(super) fn end_membership(&mut self, reason: String) {
        let now = self.now;
        let Some(lead) = self.net.as_mut().and_then(|net| net.lead.as_mut()) else {
            return;
        };
        if std::mem::replace(&mut lead.is_over, true) {
            return;
        }
        if lead.node.halted().is_none() {
            lead.node.halt(&mut env!(self, now), reason.clone());
        }
        lead.membership
            .send_modify(|membership| membership.lease = None);
        lead.set_state(MemberState::Halted(reason));
        self.facts.lease.tell(None);
        self.own(shard::Input::Lease(None));
        // Of the fenced class too: others take it over as soon as the lease has lapsed.
        self.own(shard::Input::Abandon);
    }

    fn member_effect(&mut self, effect: node::Effect) {
        let Some(net) = &mut self.net else { return };
        let Some(lead) = &mut net.lead else { return };
        match effect {
            node::Effect::Store { op, request } => self.member_store(op, request),
            node::Effect::Probe { to } => {
                lead.pings += 1;
                let (op, to) = (OpId(lead.pings), to);
                let first = Address {
                    incarnation: to,
                    lane: 0,
                };
                net.post.ping(first, op);
            }
            node::Effect::Joined => {
                tracing::info!(node = self.facts.node, "node_joined");
                lead.set_state(match (lead.is_draining, lead.is_drained) {
                    (true, true) => MemberState::Drained,
                    (true, false) => MemberState::Draining,
                    (false, _) => MemberState::Joined,
                });
            }
            node::Effect::Refused(error) => {
                tracing::warn!(%error, "node_refused");
                lead.set_state(MemberState::Refused(error));
            }
            node::Effect::Rejoin { run, cause } => {
                tracing::warn!(%cause, %run, "node_rejoins");
                self.counters.rejoins += 1;
                lead.is_drained = false;
                lead.rejoin(run, cause);
                // It orders what was owned to be dropped, before the lanes become the new run.
                self.own(shard::Input::Run(run));
                if let Some(lead) = self.net.as_mut().and_then(|net| net.lead.as_mut()) {
                    lead.direct_run(run);
                }
            }
            node::Effect::View(view) => {
                lead.membership
                    .send_modify(|membership| membership.view = Arc::clone(&view));
                self.own(shard::Input::View(view));
            }
            node::Effect::Lease(lease) => {
                self.facts.lease.tell(lease);
                lead.membership
                    .send_modify(|membership| membership.lease = lease);
                self.own(shard::Input::Lease(lease));
            }
            node::Effect::Left => {
                tracing::info!(node = self.facts.node, "node_left");
                lead.set_state(MemberState::Left);
            }
            node::Effect::Marks(marks) => {
                for (stream, mark) in (0..).zip(marks) {
                    self.facts
                        .high_water
                        .raise(crate::id::Partition(stream), mark);
                }
            }
            node::Effect::Note(note) => self.member_note(&note),
            node::Effect::Halt(reason) => {
                let reason = reason.to_string();
                self.end_membership(reason);
            }
        }
    }

    fn member_note(&mut self, note: &node::Note) {
        use node::Note;
        match note {
            Note::Joined(name, run) => tracing::info!(node = %name, %run, "member_joined"),
            Note::Left(name, run) => tracing::info!(node = %name, %run, "member_left"),
            Note::Hinted(name, run) => tracing::warn!(node = %name, %run, "member_hinted"),
            Note::Back(name, run) => tracing::info!(node = %name, %run, "member_back"),
            Note::Over(name, run) => tracing::warn!(node = %name, %run, "member_over"),
            Note::NetworkSuspect => tracing::warn!("network_suspect"),
            Note::LeaseLost => tracing::warn!("lease_lost"),
            Note::ClockGap => tracing::warn!("clock_gap"),
            Note::NotYetMember(why) => tracing::warn!(why, "not_yet_member"),
            Note::Unreadable(name) => tracing::warn!(node = %name, "member_unreadable"),
            Note::OtherTerms(name) => tracing::warn!(node = %name, "member_other_terms"),
            Note::OtherKinds {
                name,
                lacks,
                beyond,
            } => tracing::warn!(node = %name, ?lacks, ?beyond, "member_other_kinds"),
            Note::NotTaken(error) => tracing::warn!(%error, "about_not_taken"),
            Note::TooManyMembers => tracing::warn!("too_many_members"),
            Note::LostTail => {
                self.counters.lost_tails += 1;
                tracing::warn!("members_lost_tail");
            }
        }
    }

    /// Steps the machine of ownership.
    pub(super) fn own(&mut self, input: shard::Input) {
        let now = self.now;
        let Some(lead) = self.net.as_mut().and_then(|net| net.lead.as_mut()) else {
            return;
        };
        let mut wanted = std::mem::take(&mut lead.owners_want);
        lead.owners
            .feed(&mut env!(self, now), input, record_owners, &mut wanted);
        let halted = lead.owners.halted().map(str::to_owned);
        for effect in wanted.drain(..) {
            self.own_effect(effect);
        }
        if let Some(lead) = self.net.as_mut().and_then(|net| net.lead.as_mut()) {
            lead.owners_want = wanted;
        }
        if let Some(reason) = halted {
            self.end_membership(reason);
        }
        self.after(Who::Owners);
    }

    fn own_effect(&mut self, effect: shard::Effect) {
        let now = self.now;
        let Some(lead) = self.net.as_mut().and_then(|net| net.lead.as_mut()) else {
            return;
        };
        match effect {
            shard::Effect::Store { op, request } => self.stores.push((Who::Owners, op, request)),
            shard::Effect::Order { place, order } => {
                let lane = usize::from(place.shard.0) % lead.directions.len();
                if let Some(directions) = lead.directions.get(lane) {
                    // Without its lane the node is at its end.
                    let _ = directions.send(Direction::Order(place, order));
                }
            }
            shard::Effect::Table(table) => {
                lead.membership
                    .send_modify(|membership| membership.table = table);
            }
            shard::Effect::Look => self.member(node::Input::Look),
            shard::Effect::Drained => {
                tracing::info!(node = self.facts.node, "node_drained");
                self.drained();
            }
            shard::Effect::Abandoned => self.leave(),
            shard::Effect::Note(note) => self.own_note(&note),
            shard::Effect::Halt(reason) => {
                let reason = reason.to_string();
                lead.owners.halt(&mut env!(self, now), reason.clone());
                self.end_membership(reason);
            }
        }
    }

    fn own_note(&mut self, note: &shard::Note) {
        use shard::Note;
        match note {
            Note::TakingOver { place, from, hint } => {
                self.counters.take_overs += 1;
                tracing::warn!(?place, %from, hint, "shard_taken_over");
            }
            Note::HandingOver { place, to } => {
                self.counters.hand_overs += 1;
                tracing::info!(?place, %to, "shard_handed_over");
            }
            Note::Kept { place, after } => {
                tracing::warn!(?place, ?after, "shard_kept_for_now");
            }
            Note::Adopted { place } => {
                self.counters.adopted += 1;
                tracing::info!(?place, "shard_adopted");
            }
            Note::LeaseOver { places } => {
                self.counters.lease_losses += 1;
                tracing::warn!(places, "lease_over");
            }
            Note::Failed { place, cause } => {
                tracing::warn!(?place, cause, "shard_order_failed");
            }
            Note::Unreadable { place, cause } => {
                tracing::warn!(?place, cause, "shard_record_unreadable");
            }
        }
    }
}

fn record_node(recorder: &mut Recorder<Who>, now: Time, input: &node::Input) {
    recorder.push(now, Who::Node, Recorded::Node(Box::new(input.clone())));
}

fn record_owners(recorder: &mut Recorder<Who>, now: Time, input: &shard::Input) {
    recorder.push(now, Who::Owners, Recorded::Owners(Box::new(input.clone())));
}

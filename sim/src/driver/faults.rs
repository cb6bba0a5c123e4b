//! Faults that befall nodes, clocks and the store as a whole, by name. Each kind has its own rhythm,
//! which no other kind disturbs.

use super::event::Event;
use super::world::{Home, State};
use crate::apart::Shape;
use crate::deviation::{Deviation, Fault};
use crate::draw::What;
use crate::profile::Faults;
use crate::world::{Kind, Lane};
use tenure_core::id::{Partition, Sequence};
use tenure_core::step::Span;
use tenure_core::{Probe as _, reached};

impl State {
    /// The first fault of each kind with a rhythm.
    pub(super) fn schedule_faults(&mut self) {
        for fault in Fault::ALL {
            self.next_fault(fault);
        }
    }

    fn next_fault(&mut self, fault: Fault) {
        let Some((what, mean)) = rhythm(fault, &self.plan.faults) else {
            return;
        };
        if mean == Span::ZERO || self.healed {
            return;
        }
        let wait = self.draws.span(what, 0, Span::ZERO, mean.saturating_mul(2));
        self.at(wait, Event::Befall(fault));
    }

    /// A fault of a rhythm of its own.
    pub(super) fn befall(&mut self, fault: Fault) {
        let Some((what, _)) = rhythm(fault, &self.plan.faults) else {
            return;
        };
        if self.healed {
            return;
        }
        let due = self.draws.deviations.due(fault);
        let Deviation::Fault { number, .. } = due else {
            unreachable!("a fault that is due is a fault");
        };
        // Each time has rows of its own, so that one less leaves the others as they are.
        let rows = number << 8;
        let node = self.draws.below(what, rows | 1, self.nodes.len() as u64);
        let node = usize::try_from(node).expect("an index fits");
        let parts = fault == Fault::Partition;
        let shape = parts.then(|| Shape::draw(&mut self.draws, self.nodes.len()));
        if self.draws.deviations.happens(due)
            && let Some(story) = self.befalls(fault, (what, rows), node, shape)
        {
            self.trace.note(6, &[fault as u64, node as u64]);
            self.tell(Lane::Node(node), Kind::Fault, || {
                format!("FAULT {fault}: n{node} {story}")
            });
        }
        self.next_fault(fault);
    }

    /// What a fault does; `None` when there is nobody whom it befalls.
    fn befalls(
        &mut self,
        fault: Fault,
        (what, rows): (What, u64),
        node: usize,
        shape: Option<Shape>,
    ) -> Option<String> {
        let ttl = self.plan.terms.ttl;
        let mut length = |least, most| self.draws.span(what, rows | 2, least, most);
        match fault {
            Fault::Crash => {
                let wait = length(Span::from_millis(1), Span::from_millis(1_500));
                self.home_of(node)?;
                reached!(self, "fault: crash");
                self.dies(node);
                self.at(wait, Event::Boot(node));
                Some("is killed".into())
            }
            Fault::Kill => {
                let wait = length(ttl, ttl.saturating_mul(3));
                self.home_of(node)?;
                reached!(self, "fault: kill");
                self.dies(node);
                self.at(wait, Event::Boot(node));
                Some("is killed for longer than its lease".into())
            }
            Fault::Pause => {
                let length = length(Span::from_millis(1), ttl.saturating_mul(2));
                self.home_of(node)?;
                reached!(self, "fault: pause");
                self.stand_still(node, length);
                Some(format!("stands still for {length}"))
            }
            Fault::Suspend => {
                let length = length(ttl, ttl.saturating_mul(3));
                self.home_of(node)?;
                reached!(self, "fault: suspend");
                self.nodes[node].suspended = true;
                self.stand_still(node, length);
                Some(format!("is suspended for {length}"))
            }
            Fault::SlowNode => {
                let length = length(Span::from_millis(100), ttl.saturating_mul(2));
                reached!(self, "fault: slow node");
                self.nodes[node].slow_until = self.now + length.as_nanos();
                Some(format!("is slow for {length}"))
            }
            Fault::LinkDown => {
                let wait = length(Span::from_millis(1), Span::from_millis(1_000));
                let home = self.home_of(node)?;
                reached!(self, "fault: link down");
                self.unlink(home);
                self.at(wait, Event::LinkUp(home));
                Some("loses its link".into())
            }
            Fault::Cut => {
                let wait = length(Span::from_millis(10), ttl.saturating_mul(2));
                reached!(self, "fault: cut from the store");
                self.network.apart.cut.insert(node);
                self.at(wait, Event::Reaches(node));
                Some(format!("does not reach the store for {wait}"))
            }
            Fault::Partition => {
                let wait = length(Span::from_millis(50), ttl.saturating_mul(2));
                let shape = shape?;
                reached!(self, "fault: partition");
                self.network.apart.part(&shape);
                self.at(wait, Event::Reunite);
                Some(format!("and others are parted: {shape}"))
            }
            Fault::Election => {
                let length = length(Span::from_secs(4), Span::from_secs(8));
                reached!(self, "fault: election");
                self.wire.electing_until = self.now + length.as_nanos();
                Some(format!("sees the servers elect for {length}"))
            }
            Fault::LeaderChange => {
                let stream = self.some_stream(what, rows);
                reached!(self, "fault: leader change");
                self.store.drop_proposals_of(&stream);
                Some(format!("sees another leader of {stream}"))
            }
            Fault::LostTail => {
                let stream = self.some_stream(what, rows);
                reached!(self, "fault: lost tail");
                Some(self.lose((what, rows), &stream, 12))
            }
            Fault::LostMembers => {
                let stream = self.namespace.member_stream().as_str().to_owned();
                reached!(self, "fault: the membership stream loses its tail");
                Some(self.lose((what, rows), &stream, 40))
            }
            Fault::LostBodies => {
                let stream = self.namespace.snapshot_stream();
                let lost = self.draws.range(what, rows | 5, 1, 6);
                reached!(self, "fault: lost bodies");
                let keep_up_to = Sequence(self.store.last(&stream).0.saturating_sub(lost));
                self.store.lose_tail(&stream, keep_up_to);
                Some(format!("sees {stream} end at {keep_up_to:?}"))
            }
            Fault::WallStep => {
                let ahead_ms = self.draws.range(what, rows | 2, 0, 20_000);
                reached!(self, "fault: a wall clock is set");
                self.nodes[node].skew_ms = ahead_ms;
                Some(format!("has its wall clock set {ahead_ms} ms ahead"))
            }
            Fault::StoreStep => {
                let ahead_ms = self.draws.range(what, rows | 2, 0, 20_000);
                reached!(self, "fault: the store's wall clock is set");
                self.store_skew_ms = ahead_ms;
                Some(format!("sees the store's wall clock {ahead_ms} ms ahead"))
            }
            Fault::ClockJump => {
                let by = length(Span::from_millis(10), ttl.saturating_mul(2));
                self.home_of(node)?;
                reached!(self, "fault: a clock jumps");
                let now = self.now;
                self.nodes[node].clock.jump(now, by);
                Some(format!("has its clock jump by {by}"))
            }
            Fault::ClockFreeze => {
                let length = length(Span::from_millis(10), ttl.saturating_mul(2));
                let home = self.home_of(node)?;
                reached!(self, "fault: a clock stands still");
                let now = self.now;
                self.nodes[node].clock.freeze(now, true);
                self.at(length, Event::Thaw(home));
                Some(format!("has its clock stand still for {length}"))
            }
            Fault::Drain | Fault::Join => {
                let wait = length(Span::from_millis(200), Span::from_millis(3_000));
                let home = self.home_of(node)?;
                let tenure = self.nodes[node].tenure.clone()?;
                reached!(self, "fault: a node is drained");
                let world = self.world.clone();
                self.spawn(
                    home,
                    Box::pin(async move {
                        tenure.stop().await;
                        drop(tenure);
                        if let Some(world) = world.upgrade() {
                            let mut state = world.state();
                            if state.lives(home) {
                                state.dies(home.node);
                                state.at(wait, Event::Boot(home.node));
                            }
                        }
                    }),
                );
                Some("is stopped".into())
            }
            // They befall single requests and frames, or belong to the pure world.
            Fault::LostRequest
            | Fault::LostAnswer
            | Fault::LateRequest
            | Fault::RequestTwice
            | Fault::Slow
            | Fault::Refusal
            | Fault::Full
            | Fault::StaleRead
            | Fault::OldLeader
            | Fault::SuccessorHears
            | Fault::BadSnapshot
            | Fault::AbsentBody
            | Fault::DamagedBody
            | Fault::LostWithLink
            | Fault::WrongClaim
            | Fault::Pressure
            | Fault::LostFrame
            | Fault::FrameTwice
            | Fault::LateFrame
            | Fault::LostAnnouncement
            | Fault::LateAnnouncement
            | Fault::AnnouncementTwice
            | Fault::LostDelivery
            | Fault::StrayDelivery => None,
        }
    }

    fn some_stream(&mut self, what: What, rows: u64) -> String {
        let stream = self
            .draws
            .below(what, rows | 4, u64::from(self.plan.streams));
        let stream = u16::try_from(stream).expect("a small number");
        let stream = self.namespace.event_stream(Partition(stream));
        stream.as_str().to_owned()
    }

    /// A stream comes back without its end: every link goes down before and up after (S13).
    fn lose(&mut self, (what, rows): (What, u64), stream: &str, lost_max: u64) -> String {
        let lost = self.draws.range(what, rows | 5, 1, lost_max);
        let keep_up_to = Sequence(self.store.last(stream).0.saturating_sub(lost).max(1));
        let homes: Vec<Home> = (0..self.nodes.len())
            .filter_map(|node| self.home_of(node))
            .collect();
        for home in &homes {
            self.unlink(*home);
        }
        self.drop_flights();
        self.store.lose_tail(stream, keep_up_to);
        for home in homes {
            let (least, most) = (Span::from_millis(1), Span::from_millis(50));
            let wait = self.draws.span(what, rows | 6, least, most);
            self.at(wait, Event::LinkUp(home));
        }
        format!("sees {stream} end at {keep_up_to:?}")
    }

    /// The network is whole again; who is cut off for good stays so.
    pub(super) fn reunite(&mut self) {
        if !self.healed {
            self.network.apart.reunite();
        }
    }

    /// A node reaches the store again, unless it is cut off for good.
    pub(super) fn reaches(&mut self, node: usize) {
        if !self.healed {
            self.network.apart.cut.remove(&node);
        }
    }

    pub(super) fn thaw(&mut self, home: Home) {
        let now = self.now;
        if let Some(node) = self.node_mut(home) {
            node.clock.freeze(now, false);
        }
    }

    /// No fault comes any more, and what was broken is well again, but for the nodes that are to stay
    /// as they are: dead, or cut off for good. Gives those that are well.
    pub(super) fn heal(&mut self, all: bool) -> Vec<usize> {
        self.healed = true;
        let nodes = self.nodes.len();
        let mut order: Vec<usize> = (0..nodes).collect();
        self.draws.shuffle(What::Core, 1, &mut order);
        let core = match all {
            true => nodes,
            false => {
                let core = self.draws.range(What::Core, 2, 1, nodes as u64);
                usize::try_from(core).expect("a small number")
            }
        };
        let (core, rest) = order.split_at(core);
        let (mut core, rest) = (core.to_vec(), rest.to_vec());
        core.sort_unstable();
        let now = self.now;
        self.tell(Lane::World, Kind::Note, || {
            format!("HEALS: {core:?} are well, {rest:?} never")
        });
        self.network.apart.reunite();
        self.wire.electing_until = 0;
        for node in &rest {
            self.nodes[*node].given_up = true;
            if self.draws.chance(What::Core, 3, 500) {
                // Dead for good, or where nobody hears of it.
                if self.home_of(*node).is_some() {
                    self.dies(*node);
                }
            } else {
                self.network.apart.cut.insert(*node);
                for other in 0..nodes {
                    self.network.apart.silent.insert((*node, other));
                    self.network.apart.silent.insert((other, *node));
                }
            }
        }
        for node in &core {
            self.nodes[*node].slow_until = 0;
            self.nodes[*node].suspended = false;
            match self.home_of(*node) {
                Some(home) => {
                    self.nodes[*node].busy_until = now;
                    self.thaw(home);
                    self.link_up(home);
                }
                None => self.boot(*node),
            }
        }
        core
    }
}

/// The row of a fault with a rhythm of its own, and how long it is between two of it, on average.
pub(crate) fn rhythm(fault: Fault, faults: &Faults) -> Option<(What, Span)> {
    match fault {
        Fault::Crash => Some((What::Crash, faults.crash)),
        Fault::Pause => Some((What::Pause, faults.pause)),
        Fault::LinkDown => Some((What::Link, faults.link_down)),
        Fault::LeaderChange => Some((What::Leader, faults.leader_change)),
        Fault::LostTail => Some((What::Tail, faults.lost_tail)),
        Fault::LostBodies => Some((What::Bodies, faults.lost_bodies)),
        Fault::LostMembers => Some((What::Members, faults.lost_members)),
        Fault::Partition => Some((What::Partition, faults.partition)),
        Fault::Cut => Some((What::Cut, faults.cut)),
        Fault::Election => Some((What::Election, faults.election)),
        Fault::Suspend => Some((What::Suspend, faults.suspend)),
        Fault::WallStep => Some((What::WallStep, faults.wall_step)),
        Fault::Join => Some((What::Join, faults.join)),
        Fault::Drain => Some((What::Drain, faults.drain)),
        Fault::Kill => Some((What::Exit, faults.kill)),
        Fault::SlowNode => Some((What::SlowNode, faults.slow_node)),
        Fault::ClockJump => Some((What::ClockJump, faults.clock_jump)),
        Fault::ClockFreeze => Some((What::ClockFreeze, faults.clock_freeze)),
        Fault::StoreStep => Some((What::StoreStep, faults.store_step)),
        Fault::LostRequest
        | Fault::LostAnswer
        | Fault::LateRequest
        | Fault::RequestTwice
        | Fault::Slow
        | Fault::Refusal
        | Fault::Full
        | Fault::StaleRead
        | Fault::OldLeader
        | Fault::SuccessorHears
        | Fault::BadSnapshot
        | Fault::AbsentBody
        | Fault::DamagedBody
        | Fault::LostWithLink
        | Fault::WrongClaim
        | Fault::Pressure
        | Fault::LostFrame
        | Fault::FrameTwice
        | Fault::LateFrame
        | Fault::LostAnnouncement
        | Fault::LateAnnouncement
        | Fault::AnnouncementTwice
        | Fault::LostDelivery
        | Fault::StrayDelivery => None,
    }
}

//! Faults of a cluster, by name: the network parts, nodes do not reach the store, servers elect,
//! nodes are suspended, wall clocks are set.

use super::World;
use super::bars::Sort;
use super::event::Event;
use super::story::{Kind, Lane};
use crate::apart::{Shape, Way};
use crate::deviation::Fault;
use crate::draw::What;
use crate::oracle::Violation;
use tenure_core::{Probe as _, Span, reached};

impl World {
    pub(super) fn schedule_cluster_faults(&mut self) {
        let faults = self.plan.faults;
        self.next_fault(What::Partition, faults.partition, Event::Partition);
        self.next_fault(What::Cut, faults.cut, Event::CutOff);
        self.next_fault(What::Dying, faults.dying_link, Event::DyingLink);
        self.next_fault(What::Election, faults.election, Event::Election);
        self.next_fault(What::Suspend, faults.suspend, Event::Suspend);
        self.next_fault(What::WallStep, faults.wall_step, Event::WallStep);
        self.next_fault(What::StoreStep, faults.store_step, Event::StoreStep);
        self.next_fault(What::ClockJump, faults.clock_jump, Event::ClockJump);
        self.next_fault(What::ClockFreeze, faults.clock_freeze, Event::ClockFreeze);
        self.next_fault(What::Removed, faults.removed_member, Event::RemovedMember);
        self.next_fault(What::Join, faults.join, Event::Join);
        self.next_fault(What::Drain, faults.drain, Event::Drain);
        if faults.kill != Span::ZERO {
            self.at(self.plan.calm_from(), Event::Kill);
        }
    }

    pub(super) fn ttl(&self) -> Span {
        let cluster = self.plan.cluster.as_ref().expect("a plan of a cluster");
        cluster.terms.ttl
    }

    /// Some nodes do not hear each other for a while.
    pub(super) fn part(&mut self) {
        if self.healed {
            return;
        }
        let nodes = self.nodes.len();
        let shape = Shape::draw(&mut self.draws, nodes);
        let longest = self.ttl().saturating_mul(2);
        let length = self
            .draws
            .span(What::Partition, 103, Span::from_millis(50), longest);
        self.at(length, Event::Reunite);
        let due = self.due(Fault::Partition);
        if !self.happens(due) {
            return;
        }
        self.network.apart.part(&shape);
        reached!(self, "fault: partition");
        for node in (0..nodes).filter(|node| shape.has(*node)) {
            self.lasts(Lane::Node(node), Sort::Fault, "parted", Some(length));
        }
        self.tell(Lane::World, Kind::Fault, || {
            format!("THE NETWORK PARTS: {shape}")
        });
    }

    pub(super) fn reunite(&mut self) {
        if self.healed {
            return;
        }
        self.tell(Lane::World, Kind::Note, || "the network is whole".into());
        self.network.apart.reunite();
        self.next_fault(
            What::Partition,
            self.plan.faults.partition,
            Event::Partition,
        );
    }

    /// A node's requests to the store are lost for a while, and it hears nothing from there.
    pub(super) fn cut_from_store(&mut self) {
        if self.healed {
            return;
        }
        let due = self.due(Fault::Cut);
        let node = self.some_node(What::Cut);
        let longest = self.ttl().saturating_mul(2);
        let length = self
            .draws
            .span(What::Cut, 2, Span::from_millis(10), longest);
        if self.happens(due) {
            reached!(self, "fault: cut from the store");
            self.tell(Lane::Node(node), Kind::Fault, || {
                format!("n{node} does not reach the store")
            });
            self.network.apart.cut(node, Way::Both);
            self.lasts(
                Lane::Node(node),
                Sort::Fault,
                "cut from the store",
                Some(length),
            );
            let way = Way::Both;
            self.at(length, Event::ReachesStore { node, way });
        }
        self.next_fault(What::Cut, self.plan.faults.cut, Event::CutOff);
    }

    /// A node hears from the store when it has nearly given up waiting, for a while; after that nothing.
    /// What it heard last is old then, and true: a lease counts from when it was asked for (S16).
    pub(super) fn link_is_dying(&mut self) {
        if self.healed {
            return;
        }
        let due = self.due(Fault::DyingLink);
        let node = self.some_node(What::Dying);
        let (beat, ttl) = (Span::from_nanos(self.ttl().as_nanos() / 8), self.ttl());
        let length = self.draws.span(What::Dying, 2, beat, ttl);
        if self.happens(due) {
            reached!(self, "fault: a dying link");
            self.tell(Lane::Node(node), Kind::Fault, || {
                format!("n{node} hears from the store later and later")
            });
            self.lasts(Lane::Node(node), Sort::Fault, "dying link", Some(length));
            self.network.apart.dying.insert(node);
            self.at(length, Event::LinkDies { node });
        }
        self.next_fault(What::Dying, self.plan.faults.dying_link, Event::DyingLink);
    }

    pub(super) fn link_dies(&mut self, node: usize) {
        if self.healed || !self.network.apart.dying.remove(&node) {
            return;
        }
        self.tell(Lane::Node(node), Kind::Fault, || {
            format!("n{node} does not reach the store")
        });
        self.network.apart.cut(node, Way::Both);
        let ttl = self.ttl();
        let length = self.draws.span(What::Dying, 3, ttl, ttl.saturating_mul(3));
        let lane = Lane::Node(node);
        self.lasts(lane, Sort::Fault, "cut from the store", Some(length));
        let way = Way::Both;
        self.at(length, Event::ReachesStore { node, way });
    }

    /// How long an answer takes to a node whose link dies, beside its way.
    pub(super) fn dying(&mut self, node: usize) -> Span {
        if !self.network.apart.dying.contains(&node) {
            return Span::ZERO;
        }
        let timeout = self.plan.limits.store_timeout;
        let half = Span::from_nanos(timeout.as_nanos() / 2);
        self.draws
            .span(What::Dying, 1 << 32 | node as u64, half, timeout)
    }

    /// A node is cut off from the store in one direction alone: it hears nothing of what it is answered, or
    /// what it asks does not get there.
    pub(super) fn cut_one_way(&mut self, way: Way) {
        if self.healed {
            return;
        }
        let faults = &self.plan.faults;
        let (fault, what, mean, next, story) = match way {
            Way::In => {
                let story = "hears nothing of the store";
                (
                    Fault::CutIn,
                    What::CutIn,
                    faults.cut_in,
                    Event::CutIn,
                    story,
                )
            }
            Way::Out | Way::Both => {
                let story = "hears the store, and does not reach it";
                (
                    Fault::CutOut,
                    What::CutOut,
                    faults.cut_out,
                    Event::CutOut,
                    story,
                )
            }
        };
        let due = self.due(fault);
        let node = self.some_node(what);
        let longest = self.long();
        let length = self.draws.span(what, 2, Span::from_millis(10), longest);
        if self.nodes[node].alive && self.happens(due) {
            match way {
                Way::In => {
                    reached!(self, "fault: nothing is heard of the store");
                }
                Way::Out | Way::Both => {
                    reached!(self, "fault: requests do not reach the store");
                }
            }
            self.tell(Lane::Node(node), Kind::Fault, || format!("n{node} {story}"));
            self.network.apart.cut(node, way);
            self.lasts(Lane::Node(node), Sort::Fault, story, Some(length));
            self.at(length, Event::ReachesStore { node, way });
        }
        self.next_fault(what, mean, next);
    }

    pub(super) fn reaches_store(&mut self, node: usize, way: Way) {
        if self.healed {
            return;
        }
        self.tell(Lane::Node(node), Kind::Note, || match way {
            Way::In => format!("n{node} hears the store"),
            Way::Out | Way::Both => format!("n{node} reaches the store"),
        });
        self.network.apart.mend(node, way);
    }

    /// How long a node may be in trouble: longer than its lease, where it has one.
    pub(super) fn long(&self) -> Span {
        let cluster = self.plan.cluster.as_ref();
        cluster.map_or(Span::from_secs(3), |it| it.terms.ttl.saturating_mul(2))
    }

    /// The servers elect a leader: no write is taken for 4 to 8 seconds.
    pub(super) fn elect(&mut self) {
        if self.healed {
            return;
        }
        let due = self.due(Fault::Election);
        let length = self
            .draws
            .span(What::Election, 1, Span::from_secs(4), Span::from_secs(8));
        if self.happens(due) {
            reached!(self, "fault: election");
            self.tell(Lane::Store, Kind::Fault, || {
                format!("the servers elect for {length}")
            });
            self.lasts(Lane::Store, Sort::Fault, "election", Some(length));
            self.network.election_until = self.now + length.as_nanos();
        }
        self.next_fault(What::Election, self.plan.faults.election, Event::Election);
    }

    /// Somebody with raw rights removes a node's record from the membership stream.
    pub(super) fn remove_member(&mut self) {
        if self.healed {
            return;
        }
        let due = self.due(Fault::RemovedMember);
        let node = self.some_node(What::Removed);
        let (stream, name) = (self.namespace.member_stream(), self.name_of(node));
        let subject = self.namespace.member_subject(&name);
        let last = self.store.last_of(&stream, &subject);
        let last = last.map(|message| message.sequence);
        if let Some(sequence) = last
            && self.is_known_to_all(node)
            && self.happens(due)
        {
            let until = self.now + self.ttl().saturating_mul(4).as_nanos();
            self.removed = Some((node, until));
            reached!(self, "fault: a node's record is removed");
            self.tell(Lane::Store, Kind::Fault, || {
                format!("the record of n{node} at {sequence:?} is removed")
            });
            self.store.delete(&stream, sequence);
        }
        let mean = self.plan.faults.removed_member;
        self.next_fault(What::Removed, mean, Event::RemovedMember);
    }

    /// Whether each node that runs has seen a node's run: whoever has not learns nothing of it from a
    /// list that lacks it, and P3 rests on the bucket's keeping what it acknowledged.
    fn is_known_to_all(&self, node: usize) -> bool {
        let Some(seats) = &self.nodes[node].seats else {
            return false;
        };
        let run = seats.incarnation;
        let others = self.nodes.iter().filter_map(|other| other.seats.as_ref());
        let mut others = others.filter(|other| other.incarnation != run);
        self.removed.is_none_or(|(_, until)| until <= self.now)
            && others.all(|other| other.member.machine.view().peer_of(run).is_some())
    }

    /// Whether a record that was removed is not there again, and its node may act: nobody starts then.
    pub(super) fn lacks_member(&self) -> bool {
        let Some((node, until)) = self.removed else {
            return false;
        };
        let subject = self.namespace.member_subject(&self.name_of(node));
        let stream = self.namespace.member_stream();
        self.now < until && self.store.last_of(&stream, &subject).is_none()
    }

    /// Whether no write is taken now.
    pub(super) fn is_electing(&self) -> bool {
        self.now < self.network.election_until
    }

    /// A node is suspended: it stands still for longer than its lease, while its clock counts, and
    /// finds its link gone when it goes on.
    pub(super) fn suspend(&mut self) {
        if self.healed {
            return;
        }
        let due = self.due(Fault::Suspend);
        let node = self.some_node(What::Suspend);
        if self.nodes[node].running() && self.happens(due) {
            reached!(self, "fault: suspend");
            let ttl = self.ttl();
            let length = self
                .draws
                .span(What::Suspend, 2, ttl, ttl.saturating_mul(3));
            self.tell(Lane::Node(node), Kind::Fault, || {
                format!("n{node} is SUSPENDED for {length}")
            });
            self.suspended.insert(node);
            self.stop(node, length);
        }
        self.next_fault(What::Suspend, self.plan.faults.suspend, Event::Suspend);
    }

    /// A node that was suspended and went on with what it had read finds its link gone.
    pub(super) fn finds_link_gone(&mut self, node: usize, life: u32) -> Result<(), Violation> {
        let it = &self.nodes[node];
        if self.healed || it.life != life || !it.running() || !it.linked {
            return Ok(());
        }
        self.wakes_up(node)
    }

    /// A node that was suspended finds its link gone.
    pub(super) fn wakes_up(&mut self, node: usize) -> Result<(), Violation> {
        self.unlink(node)?;
        let (least, most) = (Span::from_millis(1), Span::from_millis(500));
        let wait = self.draws.span(What::Suspend, 3, least, most);
        self.at(wait, Event::LinkUp { node });
        Ok(())
    }

    /// A wall clock is set, which nothing but command ids goes by.
    pub(super) fn step_wall(&mut self) {
        if self.healed {
            return;
        }
        let due = self.due(Fault::WallStep);
        let node = self.some_node(What::WallStep);
        let ahead_ms = self.draws.range(What::WallStep, 2, 0, 20_000);
        if self.happens(due) {
            reached!(self, "fault: a wall clock is set");
            self.tell(Lane::Node(node), Kind::Fault, || {
                format!("the wall clock of n{node} is set")
            });
            self.skew_ms[node] = ahead_ms;
        }
        self.next_fault(What::WallStep, self.plan.faults.wall_step, Event::WallStep);
    }

    /// The store's wall clock is set: forward, or back to where it was at least.
    pub(super) fn step_store_wall(&mut self) {
        if self.healed {
            return;
        }
        let due = self.due(Fault::StoreStep);
        let ahead_ms = self.draws.range(What::StoreStep, 2, 0, 20_000);
        if self.happens(due) {
            reached!(self, "fault: the store's wall clock is set");
            self.tell(Lane::Store, Kind::Fault, || {
                format!("the store's wall clock is set {ahead_ms} ms ahead")
            });
            self.store_skew_ms = ahead_ms;
        }
        self.next_fault(
            What::StoreStep,
            self.plan.faults.store_step,
            Event::StoreStep,
        );
    }

    pub(super) fn heal_network(&mut self) {
        self.network.apart.reunite();
        self.network.election_until = 0;
        self.wire.overloaded_until = 0;
        // Those who are still asleep wake up with their links.
        self.suspended.clear();
    }
}

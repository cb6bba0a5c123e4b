//! Faults that befall nodes and the store as a whole, by name. Each kind has its own rhythm, which
//! no other kind disturbs.

use super::World;
use super::bars::Sort;
use super::event::{Event, Part, Place};
use super::story::{Kind, Lane};
use crate::deviation::Fault;
use crate::draw::What;
use crate::oracle::{Happened, Seen, Violation};
use tenure_core::format::WriteMode;
use tenure_core::id::Sequence;
use tenure_core::log::Input;
use tenure_core::{Probe as _, Span, reached};

impl World {
    /// The first fault of each kind, and the end of all.
    pub(super) fn schedule_faults(&mut self) {
        self.next_fault(What::Crash, self.plan.faults.crash, Event::Crash);
        self.next_fault(What::Pause, self.plan.faults.pause, Event::Pause);
        self.next_fault(What::Link, self.plan.faults.link_down, Event::LinkDown);
        self.next_fault(
            What::Leader,
            self.plan.faults.leader_change,
            Event::LeaderChange,
        );
        self.next_fault(What::Tail, self.plan.faults.lost_tail, Event::LostTail);
        self.next_fault(
            What::Bodies,
            self.plan.faults.lost_bodies,
            Event::LostBodies,
        );
        self.next_fault(
            What::Members,
            self.plan.faults.lost_members,
            Event::LostMembers,
        );
        self.next_fault(What::Overload, self.plan.faults.overload, Event::Overload);
        let faults = self.plan.faults;
        self.next_fault(What::SlowNode, faults.slow_node, Event::SlowNode);
        self.next_fault(What::CutIn, faults.cut_in, Event::CutIn);
        self.next_fault(What::CutOut, faults.cut_out, Event::CutOut);
        self.next_fault(What::Clog, faults.clog, Event::Clog);
        self.next_fault(What::Record, faults.lost_record, Event::LostRecord);
        if self.plan.cluster.is_some() {
            self.schedule_cluster_faults();
        } else if self.plan.shards.contains(&WriteMode::Owned) {
            self.at(Span::from_millis(20), Event::Claim);
        }
        self.at(self.plan.active(), Event::Heal);
    }

    pub(super) fn next_fault(&mut self, what: What, mean: Span, event: Event) {
        if mean == Span::ZERO || self.healed {
            return;
        }
        let wait = self.draws.span(what, 0, Span::ZERO, mean.saturating_mul(2));
        self.at(wait, event);
    }

    pub(super) fn some_node(&mut self, what: What) -> usize {
        let node = self.draws.below(what, 1, self.nodes.len() as u64);
        usize::try_from(node).expect("an index fits")
    }

    pub(super) fn crash(&mut self) -> Result<(), Violation> {
        if self.healed {
            return Ok(());
        }
        let due = self.due(Fault::Crash);
        let node = self.some_node(What::Crash);
        if self.nodes[node].alive && self.happens(due) {
            reached!(self, "fault: crash");
            self.tell(Lane::Node(node), Kind::Fault, || format!("n{node} CRASHES"));
            self.dies(node)?;
            let wait = self.draws.span(
                What::Crash,
                2,
                Span::from_millis(1),
                Span::from_millis(1_500),
            );
            self.at(wait, Event::Restart { node });
        }
        self.next_fault(What::Crash, self.plan.faults.crash, Event::Crash);
        Ok(())
    }

    /// Nothing is left of a node's present life.
    pub(super) fn dies(&mut self, node: usize) -> Result<(), Violation> {
        self.ends(Lane::Node(node), |_| true);
        self.lasts(Lane::Node(node), Sort::Fault, "gone", None);
        let dead = &mut self.nodes[node];
        dead.alive = false;
        dead.stopped_until = None;
        dead.waiting.clear();
        let place = (node, dead.life);
        dead.shards.clear();
        if let Some(seats) = dead.seats.take() {
            self.lives.life(seats.incarnation).ended = Some(self.now);
        }
        self.history.lose(place);
        self.callers_lost(place);
        self.cut_off(node);
        self.judge(Seen::Cluster(Happened::Gone { node: place }))
    }

    pub(super) fn restart(&mut self, node: usize) -> Result<(), Violation> {
        if !self.nodes[node].alive && !self.given_up.contains(&node) {
            if self.lacks_member() {
                if !self.healed {
                    self.at(Span::from_millis(50), Event::Restart { node });
                    return Ok(());
                }
                self.members_lost = true;
                self.leased_void = true;
            }
            self.tell(Lane::Node(node), Kind::Note, || format!("n{node} starts"));
            self.ends(Lane::Node(node), |sort| sort == Sort::Fault);
            self.revive(node);
        }
        Ok(())
    }

    pub(super) fn pause(&mut self) {
        if self.healed {
            return;
        }
        let due = self.due(Fault::Pause);
        let node = self.some_node(What::Pause);
        if self.nodes[node].running() && self.happens(due) {
            reached!(self, "fault: pause");
            let length = self
                .draws
                .span(What::Pause, 2, Span::from_millis(1), self.long());
            self.tell(Lane::Node(node), Kind::Fault, || {
                format!("n{node} PAUSES for {length}")
            });
            self.stop(node, length);
        }
        self.next_fault(What::Pause, self.plan.faults.pause, Event::Pause);
    }

    /// A node takes no step for a while; its clock runs on.
    pub(super) fn stop(&mut self, node: usize, length: Span) {
        let until = self.now + length.as_nanos();
        self.lasts(Lane::Node(node), Sort::Fault, "stands still", Some(length));
        let stopped = &mut self.nodes[node];
        stopped.stopped_until = Some(until);
        let place = (node, stopped.life);
        if let Some(seats) = &mut stopped.seats {
            for begun in seats.begun.values_mut() {
                begun.limit += length.as_nanos();
            }
        }
        self.history.stop(place, length.as_nanos());
        self.at(length, Event::Resume { node });
    }

    pub(super) fn resume(&mut self, node: usize) -> Result<(), Violation> {
        let Some(until) = self.nodes[node].stopped_until else {
            return Ok(());
        };
        if self.now < until {
            return Ok(());
        }
        self.tell(Lane::Node(node), Kind::Note, || format!("n{node} goes on"));
        self.nodes[node].stopped_until = None;
        // What came before a link went is read before its end, unless the end is told at once.
        let gone = self.suspended.remove(&node) && self.nodes[node].linked;
        let at_once = gone && self.draws.chance(What::Suspend, 4, 500);
        if at_once {
            self.wakes_up(node)?;
        }
        let mut waiting: Vec<_> = self.nodes[node].waiting.drain(..).collect();
        // What came in while it stood still is found in any order, and may keep its host from its timers.
        self.draws.shuffle(What::Pause, 3, &mut waiting);
        let busy = self.draws.chance(What::Pause, 4, 500);
        let moment = Span::from_millis(5);
        for (place, input) in waiting {
            if busy && input.is_tick() {
                let wait = self.draws.span(What::Pause, 5, Span::ZERO, moment);
                self.deliver_after(wait, place, input);
            } else {
                self.deliver(place, input)?;
            }
        }
        if gone && !at_once {
            let life = self.nodes[node].life;
            let wait = self.draws.span(What::Suspend, 5, Span::ZERO, moment);
            self.at(wait, Event::FindsLinkGone { node, life });
        }
        Ok(())
    }

    pub(super) fn link_down(&mut self) -> Result<(), Violation> {
        if self.healed {
            return Ok(());
        }
        let due = self.due(Fault::LinkDown);
        let node = self.some_node(What::Link);
        if self.nodes[node].running() && self.nodes[node].linked && self.happens(due) {
            reached!(self, "fault: link down");
            self.unlink(node)?;
            let wait = self.draws.span(
                What::Link,
                2,
                Span::from_millis(1),
                Span::from_millis(1_000),
            );
            self.at(wait, Event::LinkUp { node });
        }
        self.next_fault(What::Link, self.plan.faults.link_down, Event::LinkDown);
        Ok(())
    }

    pub(super) fn unlink(&mut self, node: usize) -> Result<(), Violation> {
        self.tell(Lane::Node(node), Kind::Fault, || {
            format!("n{node} loses its link")
        });
        self.nodes[node].linked = false;
        self.lasts(Lane::Node(node), Sort::Fault, "no link", None);
        self.cut_off(node);
        self.each_shard(node, &Input::Down)?;
        self.each_seat(node, false)
    }

    pub(super) fn link_up(&mut self, node: usize) -> Result<(), Violation> {
        if !self.nodes[node].alive || self.nodes[node].linked {
            return Ok(());
        }
        self.tell(Lane::Node(node), Kind::Note, || {
            format!("n{node} has its link")
        });
        self.nodes[node].linked = true;
        self.ends(Lane::Node(node), |sort| sort == Sort::Fault);
        let up = Input::Up(self.shape());
        self.each_shard(node, &up)?;
        self.each_seat(node, true)
    }

    fn each_shard(&mut self, node: usize, input: &Input) -> Result<(), Violation> {
        let life = self.nodes[node].life;
        for shard in 0..self.plan.shards.len() {
            let part = Part::Log(shard);
            self.deliver(Place { node, life, part }, input.clone())?;
        }
        Ok(())
    }

    pub(super) fn leader_change(&mut self) {
        if self.healed {
            return;
        }
        let due = self.due(Fault::LeaderChange);
        let stream = self.draws.below(What::Leader, 1, self.streams.len() as u64);
        let stream = usize::try_from(stream).expect("an index fits");
        if self.happens(due) {
            reached!(self, "fault: leader change");
            self.store.drop_proposals_of(&self.streams[stream]);
            self.tell(Lane::Store, Kind::Fault, || "the leader changes".into());
        }
        self.next_fault(
            What::Leader,
            self.plan.faults.leader_change,
            Event::LeaderChange,
        );
    }

    /// The store refuses most writes for a while.
    pub(super) fn overload(&mut self) {
        if self.healed {
            return;
        }
        let due = self.due(Fault::Overload);
        let (least, most) = (Span::from_millis(20), Span::from_millis(1_500));
        let length = self.draws.span(What::Overload, 1 << 32, least, most);
        if self.happens(due) {
            reached!(self, "fault: overload");
            self.tell(Lane::Store, Kind::Fault, || {
                format!("the store is overloaded for {length}")
            });
            self.lasts(Lane::Store, Sort::Fault, "overload", Some(length));
            self.wire.overloaded_until = self.now + length.as_nanos();
        }
        self.next_fault(What::Overload, self.plan.faults.overload, Event::Overload);
    }

    /// A node claims a shard, whoever holds it: on a hint that may be wrong (S14).
    pub(super) fn claim_somewhere(&mut self) -> Result<(), Violation> {
        if self.healed {
            return Ok(());
        }
        let owned: Vec<_> = (0..self.plan.shards.len())
            .filter(|shard| self.plan.shards[*shard] == WriteMode::Owned)
            .collect();
        // Shards without an owner come first, or nothing would happen in them.
        let free: Vec<_> = owned
            .iter()
            .copied()
            .filter(|shard| !self.held(*shard))
            .collect();
        let shards = if free.is_empty() { &owned } else { &free };
        let shard = self.draws.pick(What::Claim, 1, shards);
        let node = self.some_node(What::Claim);
        let life = self.nodes[node].life;
        // One without an owner has to be somebody's; that is no fault.
        let due = self.due(Fault::WrongClaim);
        if self.nodes[node].alive && (!free.is_empty() || self.happens(due)) {
            self.tell(Lane::Node(node), Kind::Note, || {
                format!("n{node} shall claim s{shard}")
            });
            let part = Part::Log(shard);
            self.deliver(Place { node, life, part }, Input::Claim)?;
        }
        let mean = if free.is_empty() {
            self.plan.faults.claim
        } else {
            Span::from_millis(100)
        };
        self.next_fault(What::Claim, mean, Event::Claim);
        Ok(())
    }

    fn held(&self, shard: usize) -> bool {
        self.owners[shard]
            .is_some_and(|(node, life)| self.nodes[node].alive && self.nodes[node].life == life)
    }

    /// The store comes back without its end: every link goes down before and up after (S13).
    pub(super) fn lose_tail(&mut self) -> Result<(), Violation> {
        if self.healed {
            return Ok(());
        }
        let stream = self.draws.below(What::Tail, 1, self.streams.len() as u64);
        let stream = self.streams[usize::try_from(stream).expect("an index fits")].clone();
        let lost = self.draws.range(What::Tail, 1, 1, 12);
        let last = self.store.last(&stream).0;
        let keep_up_to = Sequence(last.saturating_sub(lost).max(1));
        self.next_fault(What::Tail, self.plan.faults.lost_tail, Event::LostTail);
        let due = self.due(Fault::LostTail);
        if !self.happens(due) {
            return Ok(());
        }
        reached!(self, "fault: lost tail");
        for node in 0..self.nodes.len() {
            if self.nodes[node].alive && self.nodes[node].linked {
                self.unlink(node)?;
            }
        }
        self.drop_flights();
        self.tell(Lane::Store, Kind::Fault, || {
            format!("{stream} comes back with {keep_up_to:?} as its last")
        });
        self.store.lose_tail(&stream, keep_up_to);
        self.ledger.cut(&stream, keep_up_to);
        self.history.void();
        self.tail_lost = true;
        self.judge(Seen::LostTail {
            stream: &stream,
            keep_up_to,
        })?;
        for node in 0..self.nodes.len() {
            // Now and then the others have written over what was lost by then.
            let row = (What::Tail, 3 << 8 | node as u64);
            let longest = match self.strikes(Fault::LateLink, row, 300) {
                true => Span::from_millis(1_500),
                false => Span::from_millis(50),
            };
            let wait = self
                .draws
                .span(What::Tail, 2, Span::from_millis(1), longest);
            self.at(wait, Event::LinkUp { node });
        }
        Ok(())
    }

    /// The membership stream comes back without its end: every link goes down before and up after.
    pub(super) fn lose_members(&mut self) -> Result<(), Violation> {
        if self.healed {
            return Ok(());
        }
        self.next_fault(
            What::Members,
            self.plan.faults.lost_members,
            Event::LostMembers,
        );
        let due = self.due(Fault::LostMembers);
        if !self.happens(due) {
            return Ok(());
        }
        reached!(self, "fault: the membership stream loses its tail");
        let stream = self.namespace.member_stream();
        let lost = self.draws.range(What::Members, 1, 1, 40);
        let keep_up_to = Sequence(self.store.last(&stream).0.saturating_sub(lost).max(1));
        for node in 0..self.nodes.len() {
            // What comes to a node that stands still is found in any order: Up and Down are not.
            if self.nodes[node].running() && self.nodes[node].linked {
                self.unlink(node)?;
            }
        }
        self.drop_flights();
        self.tell(Lane::Store, Kind::Fault, || {
            format!("{stream} comes back with {keep_up_to:?} as its last")
        });
        self.store.lose_tail(&stream, keep_up_to);
        self.members_lost = true;
        self.leased_void = true;
        for node in 0..self.nodes.len() {
            let wait = self.draws.span(
                What::Members,
                2,
                Span::from_millis(1),
                Span::from_millis(50),
            );
            self.at(wait, Event::LinkUp { node });
        }
        Ok(())
    }

    /// The stream of snapshots comes back without its end.
    pub(super) fn lose_bodies(&mut self) {
        if self.healed {
            return;
        }
        self.next_fault(
            What::Bodies,
            self.plan.faults.lost_bodies,
            Event::LostBodies,
        );
        let due = self.due(Fault::LostBodies);
        let lost = self.draws.range(What::Bodies, 1, 1, 6);
        if !self.happens(due) {
            return;
        }
        reached!(self, "fault: lost bodies");
        let stream = self.snapshots.clone();
        let keep_up_to = Sequence(self.store.last(&stream).0.saturating_sub(lost));
        self.tell(Lane::Store, Kind::Fault, || {
            format!("{stream} comes back with {keep_up_to:?} as its last")
        });
        self.store.lose_tail(&stream, keep_up_to);
    }
}

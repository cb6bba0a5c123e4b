//! Monotonic clocks that break the bound which leases rest on: they jump, or stand still while their
//! node runs (S16). Nothing is promised of the leased class from then on, nor of when what was asked
//! meanwhile is answered; all else is.

use super::World;
use super::bars::Sort;
use super::event::{Event, Part, Place};
use super::story::{Kind, Lane};
use crate::deviation::Fault;
use crate::draw::What;
use tenure_core::{Probe as _, Span, reached};

/// The least by which a clock is wrong: more than its drift makes of it.
const LEAST: Span = Span::from_millis(10);

impl World {
    /// A node's clock shows more at once.
    pub(super) fn clock_jumps(&mut self) {
        if self.healed {
            return;
        }
        let due = self.due(Fault::ClockJump);
        let node = self.some_node(What::ClockJump);
        let longest = self.ttl().saturating_mul(2);
        let by = self.draws.span(What::ClockJump, 2, LEAST, longest);
        if self.nodes[node].running() && self.happens(due) {
            reached!(self, "fault: a clock jumps");
            self.tell(Lane::Node(node), Kind::Fault, || {
                format!("the clock of n{node} JUMPS by {by}")
            });
            self.nodes[node].clock.jump(self.now, by);
            self.clock_lied(node);
        }
        self.next_fault(
            What::ClockJump,
            self.plan.faults.clock_jump,
            Event::ClockJump,
        );
    }

    /// A node's clock stands still for a while.
    pub(super) fn clock_stops(&mut self) {
        if self.healed {
            return;
        }
        let due = self.due(Fault::ClockFreeze);
        let node = self.some_node(What::ClockFreeze);
        let longest = self.ttl().saturating_mul(2);
        let length = self.draws.span(What::ClockFreeze, 2, LEAST, longest);
        if self.nodes[node].running() && self.happens(due) {
            reached!(self, "fault: a clock stands still");
            self.tell(Lane::Node(node), Kind::Fault, || {
                format!("the clock of n{node} STANDS STILL for {length}")
            });
            self.lasts(
                Lane::Node(node),
                Sort::Fault,
                "clock stands still",
                Some(length),
            );
            self.nodes[node].clock.freeze(self.now, true);
            self.clock_lied(node);
            let life = self.nodes[node].life;
            self.at(length, Event::Thaw { node, life });
        }
        self.next_fault(
            What::ClockFreeze,
            self.plan.faults.clock_freeze,
            Event::ClockFreeze,
        );
    }

    /// A node's clock goes on.
    pub(super) fn thaw(&mut self, node: usize, life: u32) {
        let thawed = &mut self.nodes[node];
        if thawed.alive && thawed.life == life && thawed.clock.is_frozen() {
            thawed.clock.freeze(self.now, false);
            self.clock_lied(node);
        }
    }

    /// Every clock goes on.
    pub(super) fn thaw_all(&mut self) {
        for node in 0..self.nodes.len() {
            let life = self.nodes[node].life;
            self.thaw(node, life);
        }
    }

    /// Whether a question of now may be answered at any time.
    pub(super) fn is_untimed(&self) -> bool {
        self.nodes.iter().any(|node| node.clock.is_frozen())
    }

    fn clock_lied(&mut self, node: usize) {
        self.leased_void = true;
        self.history.untime();
        let life = self.nodes[node].life;
        let mut parts: Vec<Part> = (0..self.plan.shards.len()).map(Part::Log).collect();
        if let Some(seats) = &self.nodes[node].seats {
            parts.extend([Part::Member, Part::Owners]);
            parts.extend((0..seats.lanes()).map(Part::Router));
        }
        for part in parts {
            self.wake(Place { node, life, part });
        }
    }
}

//! Nodes that join, are drained, leave and end, and the machines that they have besides their logs.

use super::World;
use super::event::{Event, Part, Place};
use super::story::{Kind, Lane};
use crate::deviation::Fault;
use crate::draw::What;
use crate::oracle::Violation;
use tenure_core::{Probe as _, Span, node, reached, route, shard};

impl World {
    /// A node is a member from now on.
    pub(super) fn joined(&mut self, place: Place) {
        let run = self.nodes[place.node].seats().incarnation;
        let now = self.now;
        self.lives.life(run).joined.get_or_insert(now);
    }

    /// Whether a node is not meant to run: it never joined, or it left.
    pub(super) fn is_away(&self, node: usize) -> bool {
        self.away.contains(&node)
    }

    /// Whether a node was told to leave, and lives yet.
    pub(super) fn is_leaving(&self, node: usize) -> bool {
        let node = &self.nodes[node];
        node.alive && node.seats.as_ref().is_some_and(|seats| seats.draining)
    }

    /// A node's program ends. One that left stays away; another is started again.
    pub(super) fn exit(&mut self, place: Place) -> Result<(), Violation> {
        if !self.living(place) {
            return Ok(());
        }
        let node = place.node;
        self.tell(Lane::Node(node), Kind::Note, || format!("n{node} ends"));
        let draining = self.nodes[node].seats().draining;
        self.dies(node)?;
        if draining {
            self.away.insert(node);
            return Ok(());
        }
        let row = node as u64;
        let wait = self.draws.span(
            What::Exit,
            row,
            Span::from_millis(1),
            Span::from_millis(1_000),
        );
        self.at(wait, Event::Restart { node });
        Ok(())
    }

    /// Another node is started.
    pub(super) fn join(&mut self) -> Result<(), Violation> {
        if self.healed {
            return Ok(());
        }
        let due = self.due(Fault::Join);
        let away: Vec<_> = self.away.iter().copied().collect();
        if !away.is_empty() && self.happens(due) {
            let node = self.draws.pick(What::Join, 1, &away);
            reached!(self, "fault: another node joins");
            self.away.remove(&node);
            self.restart(node)?;
        }
        self.next_fault(What::Join, self.plan.faults.join, Event::Join);
        Ok(())
    }

    /// A node hands over what it owns, and leaves; at least two others stay.
    pub(super) fn drain(&mut self) -> Result<(), Violation> {
        if self.healed {
            return Ok(());
        }
        let due = self.due(Fault::Drain);
        let node = self.some_node(What::Drain);
        let stay = |node: &usize| self.nodes[*node].alive && !self.is_leaving(*node);
        let staying = (0..self.nodes.len()).filter(stay).count();
        if stay(&node) && staying > 2 && self.happens(due) {
            reached!(self, "fault: a node is drained");
            self.tell(Lane::Node(node), Kind::Note, || {
                format!("n{node} is to leave")
            });
            let life = self.nodes[node].life;
            let part = Part::Owners;
            let place = Place { node, life, part };
            let now = self.now;
            let seats = self.nodes[node].seats_mut();
            seats.draining = true;
            let run = seats.incarnation;
            self.lives.life(run).drains = Some(now);
            self.post_within(place, shard::Input::Drain);
            self.post_within(place.beside(Part::Member), node::Input::Drain);
            let (least, most) = (Span::from_millis(10), Span::from_secs(5));
            let time = self.draws.span(What::Abandon, place.row(), least, most);
            self.deliver_after(time, place, shard::Input::Abandon);
        }
        self.next_fault(What::Drain, self.plan.faults.drain, Event::Drain);
        Ok(())
    }

    /// A node's link is there, or gone.
    pub(super) fn each_seat(&mut self, node: usize, up: bool) -> Result<(), Violation> {
        let Some(seats) = &self.nodes[node].seats else {
            return Ok(());
        };
        let lanes = seats.lanes();
        let life = self.nodes[node].life;
        let part = Part::Member;
        let place = Place { node, life, part };
        let (member, owners) = if up {
            (node::Input::Up, shard::Input::Up)
        } else {
            (node::Input::Down, shard::Input::Down)
        };
        self.deliver(place, member)?;
        self.deliver(place.beside(Part::Owners), owners)?;
        for lane in 0..lanes {
            let input = if up {
                route::Input::Up
            } else {
                route::Input::Down
            };
            self.deliver(place.beside(Part::Router(lane)), input)?;
        }
        Ok(())
    }
}

//! A link that is clogged: what a node sends over it, what it is sent, or both waits for a while, and
//! comes late and in its order. Nothing is lost.

use super::World;
use super::bars::Sort;
use super::event::Event;
use super::story::{Kind, Lane};
use crate::apart::Way;
use crate::deviation::Fault;
use crate::draw::What;
use tenure_core::{Probe as _, Span, reached};

impl World {
    /// A node's link is clogged for a while.
    pub(super) fn clog(&mut self) {
        if self.healed {
            return;
        }
        let due = self.due(Fault::Clog);
        let node = self.some_node(What::Clog);
        let (least, most) = (Span::from_millis(10), Span::from_millis(1_000));
        let length = self.draws.span(What::Clog, 2, least, most);
        let ways = [Way::Both, Way::In, Way::Out];
        let way = self.draws.pick(What::Clog, 3, &ways);
        let there = &self.nodes[node];
        if there.alive && there.linked && self.happens(due) {
            reached!(self, "fault: a link is clogged");
            self.tell(Lane::Node(node), Kind::Fault, || {
                format!("the link of n{node} is CLOGGED ({way:?}) for {length}")
            });
            self.lasts(Lane::Node(node), Sort::Fault, "clogged", Some(length));
            self.network.clogs.begin(node, way);
            self.at(length, Event::Unclog { node, way });
        }
        self.next_fault(What::Clog, self.plan.faults.clog, Event::Clog);
    }

    /// What happens, unless it waits at a link that is clogged.
    pub(super) fn held_up(&mut self, event: Event) -> Option<Event> {
        let node = |run| self.lives.of(run).0;
        let (one, two) = if let Event::Reach { flight } = &event {
            ((self.asker(*flight), Way::Out), None)
        } else if let Event::Answer { flight, .. } = &event {
            ((self.asker(*flight), Way::In), None)
        } else if let Event::Arrive { letter } = &event {
            let from = (node(letter.from.incarnation), Way::Out);
            (from, Some((node(letter.to.incarnation), Way::In)))
        } else if let Event::Nobody { letter } = &event {
            ((node(letter.from.incarnation), Way::In), None)
        } else if let Event::Announced { node, .. } = &event {
            ((*node, Way::In), None)
        } else {
            return Some(event);
        };
        let cause = self.event;
        for (node, way) in std::iter::once(one).chain(two) {
            if let Some(waiting) = self.network.clogs.link(node, way) {
                waiting.push_back((cause, event));
                reached!(self, "fault: something waits at a link that is clogged");
                return None;
            }
        }
        Some(event)
    }

    /// A node's link is free again: what waited comes, in its order.
    pub(super) fn unclog(&mut self, node: usize, way: Way) {
        let present = self.event;
        for (cause, event) in self.network.clogs.end(node, way) {
            self.event = cause;
            self.at(Span::ZERO, event);
        }
        self.event = present;
    }

    /// Every link is free.
    pub(super) fn unclog_all(&mut self) {
        for node in self.network.clogs.nodes() {
            self.unclog(node, Way::Both);
        }
    }
}

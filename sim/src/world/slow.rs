//! A node that is slow: each of its steps takes its time, and what comes in meanwhile waits in its order.
//! What it is asked then is answered at any time.

use super::World;
use super::bars::Sort;
use super::event::{Event, Input, Place};
use super::story::{Kind, Lane};
use crate::deviation::Fault;
use crate::draw::What;
use crate::oracle::Violation;
use std::collections::VecDeque;
use tenure_core::{Probe as _, Span, reached};

/// How fast a node works.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Until when each of its steps takes long, in true nanoseconds.
    slow_until: u64,
    /// Until when it is busy with its last step.
    busy_until: u64,
    /// What came in while it was busy.
    waiting: VecDeque<(Place, Input)>,
}

impl Pace {
    /// Whether what comes in does not find it idle and fast.
    pub(super) fn is_slow(&self, now: u64) -> bool {
        self.slow_until > now || !self.waiting.is_empty()
    }
}

impl World {
    /// All that a node does takes long for a while.
    pub(super) fn slow_down(&mut self) {
        if self.healed {
            return;
        }
        let due = self.due(Fault::SlowNode);
        let node = self.some_node(What::SlowNode);
        let longest = self.long();
        let least = Span::from_millis(100);
        let length = self.draws.span(What::SlowNode, 2, least, longest);
        if self.nodes[node].running() && self.happens(due) {
            reached!(self, "fault: slow node");
            self.tell(Lane::Node(node), Kind::Fault, || {
                format!("n{node} is SLOW for {length}")
            });
            self.lasts(Lane::Node(node), Sort::Fault, "slow", Some(length));
            self.nodes[node].pace.slow_until = self.now + length.as_nanos();
            self.history.untime_of((node, self.nodes[node].life));
        }
        self.next_fault(What::SlowNode, self.plan.faults.slow_node, Event::SlowNode);
    }

    /// An input of a slow node waits for its turn. A timer that waits already fires once.
    pub(super) fn queues(&mut self, place: Place, input: Input) {
        let now = self.now;
        let pace = &mut self.nodes[place.node].pace;
        let same = |(of, waits): &(Place, Input)| *of == place && waits.is_tick();
        if input.is_tick() && pace.waiting.iter().any(same) {
            return;
        }
        pace.waiting.push_back((place, input));
        if pace.waiting.len() == 1 {
            let wait = Span::from_nanos(pace.busy_until.saturating_sub(now));
            let Place { node, life, .. } = place;
            self.at(wait, Event::Work { node, life });
        }
    }

    /// A slow node takes the next input in.
    pub(super) fn work_on(&mut self, node: usize, life: u32) -> Result<(), Violation> {
        let now = self.now;
        let there = &mut self.nodes[node];
        if !there.alive || there.life != life || there.pace.waiting.is_empty() {
            return Ok(());
        }
        if let Some(until) = there.stopped_until {
            let wait = Span::from_nanos(until.saturating_sub(now) + 1);
            self.at(wait, Event::Work { node, life });
            return Ok(());
        }
        if there.pace.slow_until > now {
            let (least, most) = (Span::from_micros(100), Span::from_millis(2));
            let takes = self.draws.span(What::Piece, node as u64, least, most);
            self.nodes[node].pace.busy_until = now + takes.as_nanos();
        }
        let pace = &mut self.nodes[node].pace;
        let wait = Span::from_nanos(pace.busy_until.saturating_sub(now));
        let next = pace.waiting.pop_front();
        if !pace.waiting.is_empty() {
            self.at(wait, Event::Work { node, life });
        }
        match next {
            Some((place, input)) => self.step(place, input),
            None => Ok(()),
        }
    }

    /// No node is slow any more: what waits is taken in at once.
    pub(super) fn speed_up(&mut self) -> Result<(), Violation> {
        for node in 0..self.nodes.len() {
            let pace = std::mem::take(&mut self.nodes[node].pace);
            for (place, input) in pace.waiting {
                self.deliver(place, input)?;
            }
        }
        Ok(())
    }
}

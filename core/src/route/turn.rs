//! Who is asked changes: tables, views and links come and go, and what waits goes out in its order.

use super::ask::Way;
use super::router::{Router, State};
use super::way::Behind;
use super::{Effect, Lost, Refusal, Repeat, Target};
use crate::id::Incarnation;
use crate::node::View;
use crate::reached;
use crate::shard::{Row, Table};
use crate::step::{Cx, Effects, Time};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

impl Router {
    /// Where a request for a target goes, as far as is known.
    pub(super) fn destination(&self, target: Target) -> Way {
        let me = self.config.incarnation;
        let node = match target {
            Target::Node(node) => node,
            Target::Place(_) => match self.owner_of(target) {
                Some(row) => row.owner,
                None => return Way::Nobody,
            },
        };
        if node == me {
            return Way::Here;
        }
        match (self.nodes.of(node), target) {
            (Some(peer), _) if peer.speaks => Way::Node(node),
            (Some(_), _) => Way::Never(Refusal::NoCommonVersion(node)),
            (None, Target::Node(_)) if self.nodes.are_known() => Way::Never(Refusal::NoNode(node)),
            // A shard is going to be taken over, or the view is older than its owner.
            (None, Target::Place(_) | Target::Node(_)) => Way::Nobody,
        }
    }

    /// Who owns a place, as far as is known.
    pub(super) fn owner_of(&self, target: Target) -> Option<Row> {
        self.ways.of(target).owner(|run| self.is_there(run))
    }

    /// Whether a run is this one, or in the view.
    fn is_there(&self, run: Incarnation) -> bool {
        run == self.config.incarnation || self.nodes.of(run).is_some()
    }

    /// What waits for a target goes out as far as it may.
    pub(super) fn flush(&mut self, target: Target, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        while let Some((ticket, slot)) = self.ways.of(target).queue.first_key_value() {
            let (ticket, slot) = (*ticket, *slot);
            if self.asks[slot as usize].deadline <= cx.now {
                self.refuse(slot, Refusal::Deadline, cx, out);
                continue;
            }
            let to = match self.destination(target) {
                Way::Nobody => {
                    self.ways.of_mut(target).ownerless.get_or_insert(cx.now);
                    break;
                }
                Way::Never(refusal) => {
                    self.refuse(slot, refusal, cx, out);
                    continue;
                }
                Way::Here => self.config.incarnation,
                Way::Node(node) => node,
            };
            let here = to == self.config.incarnation;
            let way = self.ways.of_mut(target);
            if way.is_parked(cx.now) || (!here && way.is_probed()) {
                break;
            }
            way.retry_at = None;
            if way.denials == 0 {
                way.ownerless = None;
            }
            if !here {
                let in_flight_max = self.limits.forwards_in_flight_max;
                let peer = self.nodes.of_mut(to).filter(|_| self.up);
                let Some(peer) = peer.filter(|peer| !peer.is_quiet(cx.now)) else {
                    break;
                };
                if peer.in_flight >= in_flight_max {
                    peer.wanted = true;
                    break;
                }
            }
            self.turn_to(target, to, cx);
            let key = self.asks[slot as usize].key;
            let way = self.ways.of_mut(target);
            if way.is_behind(key) {
                way.queue.remove(&ticket);
                if let Some(behind) = &mut way.behind {
                    behind.held.insert((key, ticket), slot);
                }
                continue;
            }
            if here {
                let doubt = self.asks[slot as usize].doubt;
                self.end(slot);
                out.push(Effect::Here { ticket, doubt });
                continue;
            }
            way.queue.remove(&ticket);
            self.waiting -= 1;
            if !way.has_waiting() {
                self.held.remove(&target);
            }
            self.forward(slot, to, cx, out);
        }
        self.set_alarm(target);
    }

    /// Requests of a target go to another node from now on: what is on its way is to come back first
    /// (R4).
    fn turn_to(&mut self, target: Target, to: Incarnation, cx: &mut Cx<'_>) {
        let way = self.ways.of_mut(target);
        if way.to == Some(to) {
            return;
        }
        way.to = Some(to);
        way.turn = way.turn.wrapping_add(1);
        way.release_all();
        let mut sent: BTreeMap<u64, u32> = BTreeMap::new();
        for slot in self.sent.iter(&way.sent) {
            *sent.entry(self.asks[slot as usize].key).or_default() += 1;
        }
        if !sent.is_empty() {
            way.behind = Some(Box::new(Behind {
                sent,
                held: BTreeMap::new(),
                until: cx.now + self.limits.redirect_patience,
            }));
        }
    }

    /// When something ends for a target: a wait, or its requests' patience.
    fn set_alarm(&mut self, target: Target) {
        let patience = self.limits.no_owner_patience;
        let way = self.ways.of(target);
        let mut at = way.behind.as_ref().map(|behind| behind.until);
        let mut earlier = |time: Time| at = Some(at.map_or(time, |at| at.min(time)));
        if way.has_waiting() {
            way.retry_at.into_iter().for_each(&mut earlier);
            if let Some(ownerless) = way.ownerless {
                let since = way.waiting().map(|slot| self.asks[slot as usize].since);
                let oldest = since.min();
                oldest
                    .into_iter()
                    .for_each(|since| earlier(since.max(ownerless) + patience));
            }
        }
        if way.alarm == at {
            return;
        }
        let way = self.ways.of_mut(target);
        if let Some(before) = core::mem::replace(&mut way.alarm, at) {
            self.alarms.remove(&(before, target));
        }
        if let Some(at) = at {
            self.alarms.insert((at, target));
        }
        self.ways.forget(target);
    }

    /// A wait of a target is over.
    pub(super) fn alarm(&mut self, target: Target, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        let now = cx.now;
        let way = self.ways.of_mut(target);
        if way.retry_at.is_some_and(|at| at <= now) {
            way.retry_at = None;
        }
        if way
            .behind
            .as_ref()
            .is_some_and(|behind| behind.until <= now)
        {
            reached!(cx, "a former owner did not answer");
            way.release_all();
            let turn = way.turn;
            let sent: Vec<u32> = self.sent.iter(&way.sent).collect();
            for slot in sent {
                let ask = &self.asks[slot as usize];
                if ask.turn != turn && ask.repeat != Repeat::Never {
                    self.again(slot, Some(Lost::Deadline), cx);
                }
            }
        }
        if let Some(ownerless) = self.ways.of(target).ownerless {
            let patience = self.limits.no_owner_patience;
            let waiting: Vec<u32> = self.ways.of(target).waiting().collect();
            for slot in waiting {
                let since = self.asks[slot as usize].since.max(ownerless);
                if since + patience <= now {
                    let why = match target {
                        Target::Place(place) => Refusal::NoOwner(place),
                        Target::Node(node) => Refusal::NoNode(node),
                    };
                    self.refuse(slot, why, cx, out);
                }
            }
        }
        self.flush(target, cx, out);
    }

    pub(super) fn table(&mut self, table: &Table, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        if self
            .table_revision
            .is_some_and(|last| last >= table.revision)
        {
            return;
        }
        self.table_revision = Some(table.revision);
        for place in table.rows.keys() {
            self.ways.of_mut(Target::Place(*place));
        }
        let places: Vec<_> = self.ways.places().collect();
        for place in places {
            let target = Target::Place(place);
            let row = table.rows.get(&place).copied();
            if self.ways.of(target).row != row {
                self.ways.of_mut(target).changed(row);
                self.follow(target, cx, out);
            }
        }
    }

    /// What is on its way goes to a former owner now, perhaps: what of it may be sent again will be,
    /// after its patience.
    fn follow(&mut self, target: Target, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        if !self.ways.of(target).sent.is_empty() {
            match self.destination(target) {
                Way::Here => self.turn_to(target, self.config.incarnation, cx),
                Way::Node(node) => self.turn_to(target, node, cx),
                Way::Nobody | Way::Never(_) => {}
            }
        }
        self.flush(target, cx, out);
    }

    pub(super) fn view(&mut self, view: &View, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        let Some(gone) = self.nodes.see(view) else {
            return;
        };
        let nodes = &self.nodes;
        self.serves.forget(|run| nodes.of(run).is_some(), cx.now);
        for node in gone {
            self.lost(Lost::Gone(node), Some(node), cx, out);
        }
        let places: Vec<_> = self.ways.places().collect();
        for place in places {
            self.follow(Target::Place(place), cx, out);
        }
        self.flush_all(cx, out);
    }

    pub(super) fn down(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        self.up = false;
        self.lost(Lost::Disconnected, None, cx, out);
        self.flush_all(cx, out);
    }

    /// The node is another run from now on. What the former one had on its way is lost as with a link;
    /// what it served has nobody who would hear its answer.
    pub(super) fn become_run(
        &mut self,
        run: Incarnation,
        cx: &mut Cx<'_>,
        out: &mut Effects<Effect>,
    ) {
        reached!(cx, "routing goes on as another run");
        self.config.incarnation = run;
        self.serves.end_all(out);
        self.lost(Lost::Disconnected, None, cx, out);
        let places: Vec<_> = self.ways.places().collect();
        for place in places {
            self.follow(Target::Place(place), cx, out);
        }
        self.flush_all(cx, out);
    }

    /// The answers of what is on its way to a node, or to any, will not come: what may be sent again
    /// waits for that, the others end (H13).
    fn lost(
        &mut self,
        lost: Lost,
        to: Option<Incarnation>,
        cx: &mut Cx<'_>,
        out: &mut Effects<Effect>,
    ) {
        let there = |state: State| match state {
            State::Sent { to: node, .. } => to.is_none_or(|to| to == node),
            State::Waiting => false,
        };
        let sent = self.asks.iter().filter(|(_, ask)| there(ask.state));
        let sent: Vec<u32> = sent.map(|(slot, _)| slot as u32).collect();
        for slot in sent {
            if self.asks[slot as usize].repeat == Repeat::Never {
                self.refuse(slot, Refusal::Unknown(lost), cx, out);
            } else {
                self.again(slot, Some(lost), cx);
            }
        }
    }
}

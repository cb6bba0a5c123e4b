//! The lives of nodes: a program is started, killed, stands still, loses its link.

use super::event::Event;
use super::shell::SimShell;
use super::world::{Home, State};
use crate::clock::Clock;
use crate::draw::What;
use crate::world::Kind;
use tenure_core::api::Tenure;
use tenure_core::driver::Inbound;
use tenure_core::step::Span;

/// How long a node that goes on takes at least to find its link gone, and to connect again.
pub(super) const CONNECTING: Span = Span::from_millis(1);

/// What bars of a node are called.
const DOWN: &str = "down";
const CUT: &str = "no link";

impl State {
    /// A node's program is started, unless it runs.
    pub(super) fn boot(&mut self, node: usize) {
        if self.nodes[node].alive || self.nodes[node].given_up {
            return;
        }
        let Some(world) = self.world.upgrade() else {
            return;
        };
        let (now, drift_ppm) = (self.now, self.plan.drift_ppm[node]);
        let clock = Clock::start(&mut self.draws, &self.plan.faults, (node, now), drift_ppm);
        let row = node as u64;
        let submits = self.draws.chance(What::Boot, row << 8 | 1, 500);
        let reborn = &mut self.nodes[node];
        reborn.life += 1;
        reborn.alive = true;
        reborn.linked = true;
        reborn.link.0 += 1;
        reborn.suspended = false;
        reborn.clock = clock;
        (reborn.busy_until, reborn.still_until) = (now, now);
        let home = Home {
            node,
            life: reborn.life,
        };
        self.trace.note(5, &[row, u64::from(home.life)]);
        self.tell(home, Kind::Note, || format!("{home} starts"));
        self.trace.ends(home.into(), DOWN, now);
        self.trace.ends(home.into(), CUT, now);
        let shell = SimShell::new(world, home, submits, self.plan.limits.store_timeout);
        let work = (self.program)(shell);
        self.spawn(home, work);
    }

    /// A node's program is up.
    pub(super) fn up(&mut self, home: Home, tenure: Tenure) {
        self.tell(home, Kind::Note, || format!("{home} is up"));
        match self.node_mut(home) {
            Some(node) => node.tenure = Some(tenure),
            None => self.trash(tenure),
        }
    }

    /// Nothing is left of a node's present life.
    pub(super) fn dies(&mut self, node: usize) {
        let home = Home {
            node,
            life: self.nodes[node].life,
        };
        let dead = &mut self.nodes[node];
        dead.alive = false;
        let left = (
            dead.tenure.take(),
            std::mem::take(&mut dead.inboxes),
            std::mem::take(&mut dead.timers),
        );
        self.trash(left);
        self.trace.lasts(home.into(), DOWN, self.now, u64::MAX);
        self.forget_beliefs(home);
        self.cut_off(home);
        self.deaf(home);
        self.died(home);
        if let Some(world) = self.world.upgrade() {
            world.ups.send_modify(|ups| *ups += 1);
        }
    }

    /// A node does nothing for a while; its clock runs on.
    pub(super) fn stand_still(&mut self, node: usize, length: Span) {
        let until = self.now + length.as_nanos();
        let still = &mut self.nodes[node];
        still.busy_until = still.busy_until.max(until);
        still.still_until = still.still_until.max(until);
        still.stood_still.push(self.now..until);
        let home = Home {
            node,
            life: still.life,
        };
        self.trace
            .lasts(home.into(), "stands still", self.now, until);
        self.at(length, Event::Resume(home));
    }

    /// A node that stood still goes on: after a suspension its link is gone.
    pub(super) fn resume(&mut self, home: Home) {
        let Some(node) = self.node_mut(home) else {
            return;
        };
        if !std::mem::take(&mut node.suspended) {
            return;
        }
        self.unlink(home);
        let (least, most) = (Span::from_millis(1), Span::from_millis(500));
        let wait = self.draws.span(What::Suspend, 3, least, most);
        self.at(wait, Event::LinkUp(home));
    }

    /// A node loses its link.
    pub(super) fn unlink(&mut self, home: Home) {
        let Some(node) = self.node_mut(home) else {
            return;
        };
        if !std::mem::replace(&mut node.linked, false) {
            return;
        }
        tell(&mut node.inboxes, &Inbound::Disconnected);
        self.tell(home, Kind::Note, || format!("{home} loses its link"));
        self.trace.lasts(home.into(), CUT, self.now, u64::MAX);
        self.cut_off(home);
    }

    /// A node has its link again. One that stands still connects to nobody: it does when it has gone on.
    pub(super) fn link_up(&mut self, home: Home) {
        let (now, capabilities) = (self.now, self.store.config().capabilities.clone());
        let Some(node) = self.node_mut(home) else {
            return;
        };
        if let still @ 1.. = node.still_until.saturating_sub(now) {
            let wait = Span::from_nanos(still) + CONNECTING;
            return self.at(wait, Event::LinkUp(home));
        }
        if std::mem::replace(&mut node.linked, true) {
            return;
        }
        node.link.0 += 1;
        let link = node.link;
        tell(&mut node.inboxes, &Inbound::Connected(capabilities, link));
        self.hears_again(home);
        self.tell(home, Kind::Note, || format!("{home} has its link"));
        self.trace.ends(home.into(), CUT, self.now);
    }

    /// The present life of a node, if it lives.
    pub(super) fn home_of(&self, node: usize) -> Option<Home> {
        let life = self.nodes[node].life;
        self.nodes[node].alive.then_some(Home { node, life })
    }
}

fn tell(inboxes: &mut Vec<tokio::sync::mpsc::Sender<Inbound>>, news: &Inbound) {
    inboxes.retain(|inbox| !inbox.is_closed());
    for inbox in inboxes {
        // Whoever takes nothing for so long finds the link's present state in the next news.
        let _ = inbox.try_send(news.clone());
    }
}

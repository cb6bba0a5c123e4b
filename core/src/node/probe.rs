//! Who looks gone (S15), asking those that are idle, and telling the view.

use super::hint::{CONFIRM_EVERY, network_suspect};
use super::machine::{Node, Phase, Turn};
use super::view::{Peer, PeerState, Role, Standing, View};
use super::{Effect, Note};
use crate::id::Incarnation;
use crate::reached;
use crate::step::{Span, Time};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The least time between two questions of one node to idle ones, over all of them.
const BETWEEN_PROBES: Span = Span::from_millis(5);

impl Node {
    /// Nobody listened at a node's address.
    pub(super) fn nobody_listens(&mut self, t: &mut Turn<'_, '_>, of: Incarnation) {
        let now = t.cx.now;
        let Some(link) = self.link else {
            return;
        };
        if self.rival_answers(t, of, false) {
            return;
        }
        let mut runs = self.roster.runs_mut();
        if let Some((_, _, run)) = runs.find(|(_, _, run)| run.incarnation == of) {
            let before = run.suspicion;
            run.suspicion.nobody_listens(now, link);
            if !before.open() && run.suspicion.open() {
                run.probe_at = now + CONFIRM_EVERY;
            }
            self.dirty |= before.open() != run.suspicion.open();
            self.dirty |= before.sure() != run.suspicion.sure();
        }
    }

    /// A node answered.
    pub(super) fn alive(&mut self, t: &mut Turn<'_, '_>, of: Incarnation) {
        if self.rival_answers(t, of, true) {
            return;
        }
        let probe_at = t.cx.now + self.probe_every();
        let mut runs = self.roster.runs_mut();
        if let Some((_, _, run)) = runs.find(|(_, _, run)| run.incarnation == of) {
            self.dirty |= run.suspicion.clear();
            run.probe_at = probe_at;
        }
    }

    fn probe_every(&self) -> Span {
        let others = u64::try_from(self.roster.living()).unwrap_or(u64::MAX);
        self.limits
            .probe_every
            .max(BETWEEN_PROBES.saturating_mul(others))
    }

    /// When the next node is asked whether it is there, or what speaks against one is forgotten.
    pub(super) fn probe_at(&self) -> Option<Time> {
        self.link?;
        if !self.is_member() {
            return None;
        }
        let asks = self.config.about.role == Role::Owner;
        let at = self.roster.runs().filter_map(|(_, _, run)| {
            let idle = asks && run.about.role == Role::Owner;
            let probe = (idle || run.suspicion.open()).then_some(run.probe_at);
            probe.into_iter().chain(run.suspicion.forgotten_at()).min()
        });
        at.min()
    }

    /// Asks those that were not heard of for a while whether they are there.
    pub(super) fn probe_on(&mut self, t: &mut Turn<'_, '_>) {
        let now = t.cx.now;
        if self.probe_at().is_none_or(|at| now < at) {
            return;
        }
        let every = self.probe_every();
        let asks = self.config.about.role == Role::Owner;
        let mut asked = Vec::new();
        let mut dirty = false;
        for (_, _, run) in self.roster.runs_mut() {
            if run.suspicion.forgotten_at().is_some_and(|at| at <= now) {
                dirty |= run.suspicion.clear();
            }
            let suspected = run.suspicion.open() && !run.suspicion.sure();
            let idle = asks && run.about.role == Role::Owner;
            if run.probe_at <= now && (suspected || idle || run.suspicion.open()) {
                run.probe_at = now + if suspected { CONFIRM_EVERY } else { every };
                asked.push(run.incarnation);
            }
        }
        self.dirty |= dirty;
        // Not all at one moment, from now on.
        for to in asked {
            t.out.push(Effect::Probe { to });
        }
    }

    /// Tells who is there, when that changed.
    pub(super) fn tell_view(&mut self, t: &mut Turn<'_, '_>) {
        if !core::mem::take(&mut self.dirty) {
            return;
        }
        match self.phase {
            Phase::Member | Phase::Leaving { .. } => {}
            Phase::Renewing
            | Phase::Looking
            | Phase::Contending(_)
            | Phase::Taking
            | Phase::Ended
            | Phase::Halted => return,
        }
        self.doubt_network(t);
        let mut view = self.roster.view();
        let me = Peer {
            incarnation: self.config.incarnation,
            about: self.config.about.clone(),
            state: match self.draining {
                true => PeerState::Draining,
                false => PeerState::Up,
            },
            standing: Standing::Living,
        };
        view.peers.insert(self.config.name.clone(), me);
        view.listed = self.lists.counted;
        let before = &self.view;
        let changed = view.peers != before.peers || view.lingering != before.lingering;
        view.revision = before.revision + u64::from(changed);
        self.note_standings(t, &view);
        if changed || view.listed != self.view.listed {
            self.view = Arc::new(view);
            t.out.push(Effect::View(Arc::clone(&self.view)));
        }
    }

    /// So many look gone that it is rather the network: then none does, and each is to be found gone
    /// anew when the others are back (S15).
    fn doubt_network(&mut self, t: &mut Turn<'_, '_>) {
        let (gone, others) = self.roster.looks_gone();
        let sure = self.roster.runs().any(|(_, _, run)| run.suspicion.sure());
        let suspect = network_suspect(gone, others) && (sure || self.suspect);
        if suspect && !self.suspect {
            reached!(t.cx, "node: the network is suspect");
            t.note(Note::NetworkSuspect);
        }
        let was = core::mem::replace(&mut self.suspect, suspect);
        if was != suspect || (suspect && sure) {
            for (_, _, run) in self.roster.runs_mut() {
                run.suspicion.restart(t.cx.now);
            }
        }
    }

    /// What changed of who looks gone.
    fn note_standings(&self, t: &mut Turn<'_, '_>, view: &View) {
        for (name, peer) in &view.peers {
            let before = self.view.peers.get(name);
            let before = before.filter(|before| before.incarnation == peer.incarnation);
            let before = before.map_or(Standing::Living, |before| before.standing);
            match (before, peer.standing) {
                (Standing::Living, Standing::Hinted) => {
                    reached!(t.cx, "node: a node looks gone");
                    t.note(Note::Hinted(name.clone(), peer.incarnation));
                }
                (Standing::Hinted, Standing::Living) => {
                    t.note(Note::Back(name.clone(), peer.incarnation));
                }
                (Standing::Living | Standing::Over, Standing::Living)
                | (Standing::Hinted | Standing::Over, Standing::Hinted)
                | (_, Standing::Over) => {}
            }
        }
    }
}

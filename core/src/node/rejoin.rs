//! Another run of the same node, after the others took this one for over (M5, S17).

use super::Effect;
use super::effect::JoinError;
use super::machine::{Node, Phase, Turn};
use super::own::Own;
use super::roster::Lingers;
use crate::id::Incarnation;
use crate::reached;
use crate::step::Purpose;
use alloc::sync::Arc;

impl Node {
    /// This run is over for good, and nobody else has the name: the node becomes another run. It takes
    /// the name when all that acted as the former one was told (`Input::Renewed`). What it knows of
    /// the others stays; what it had in flight about its own record counts no more.
    pub(super) fn become_another(&mut self, t: &mut Turn<'_, '_>, cause: JoinError) {
        let now = t.cx.now;
        reached!(t.cx, "node: it becomes another run");
        self.holder.end(now);
        self.roster.linger(self.config.incarnation, Lingers::Over);
        // The first run's number is drawn by whoever starts the node, as the ordinal 0.
        self.renewals += 1;
        let run = Incarnation(t.cx.dice.roll128(Purpose::Incarnation, self.renewals));
        self.config.incarnation = run;
        self.own = Own::new(now);
        self.asks.renew();
        self.lists.renewed(now);
        self.replaced.clear();
        self.succeeds = None;
        self.said.clear();
        self.phase = Phase::Renewing;
        self.lose_sight_of_itself(t);
        t.out.push(Effect::Rejoin { run, cause });
    }

    /// The view is without this node until it is a member again.
    fn lose_sight_of_itself(&mut self, t: &mut Turn<'_, '_>) {
        let mut view = self.roster.view();
        view.listed = self.lists.counted;
        view.revision = self.view.revision + 1;
        self.view = Arc::new(view);
        t.out.push(Effect::View(Arc::clone(&self.view)));
    }

    /// Everything of the node acts as this run: it joins.
    pub(super) fn renewed(&mut self, t: &mut Turn<'_, '_>) {
        if let Phase::Renewing = self.phase {
            self.phase = Phase::Looking;
            self.lists.due = t.cx.now;
        }
    }
}

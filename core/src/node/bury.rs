//! Ending the leases of the silent: a tombstone by CAS on exactly the revision that was seen unchanged
//! for long enough (S16, M4, M6).

use super::ask::Ask;
use super::machine::{Node, Turn};
use super::own::{TOMBSTONE_TTL_S, ttl_s};
use super::roster::Run;
use crate::format::{Member, MemberState, Unknown};
use crate::id::{Incarnation, OpId, Sequence};
use crate::name::NodeName;
use crate::port::{Expect, Publish, Refused, Rollup, StoreDone, StoreReply, StoreRequest};
use crate::reached;
use crate::step::{HaltReason, Outcome, Span, Time};
use alloc::vec::Vec;

/// How long before a tombstone that was refused or lost is tried again.
const AGAIN: Span = Span::from_secs(1);

impl Node {
    /// When the next node's time is over, or its tombstone is written. Who holds no lease itself
    /// buries nobody: its silence may have the same cause as theirs.
    pub(super) fn bury_at(&self) -> Option<Time> {
        if !self.buries() {
            return None;
        }
        let mine = self.config.terms;
        let steady = self.roster.steady;
        let runs = self.roster.runs();
        let runs = runs.filter(|(name, _, _)| !self.asks.buries(name));
        let at = runs.map(|(_, watch, run)| {
            let over_at = watch.over_after(steady, &mine.widest(run.terms));
            run.bury_at.map_or(over_at, |at| at.max(over_at))
        });
        at.min()
    }

    fn buries(&self) -> bool {
        self.is_member() && self.link.is_some() && self.holder.until().is_some()
    }

    /// Writes the tombstones that are due. Of several nodes one is first, by chance.
    pub(super) fn bury_on(&mut self, t: &mut Turn<'_, '_>) {
        let now = t.cx.now;
        if self.bury_at().is_none_or(|at| now < at) {
            return;
        }
        let (mine, steady) = (self.config.terms, self.roster.steady);
        let over = |watch: &crate::lease::Watch, terms| {
            watch.over_after(steady, &mine.widest(terms)) <= now
        };
        let runs = self.roster.runs();
        let over: Vec<NodeName> = runs
            .filter(|(_, watch, run)| over(watch, run.terms))
            .map(|(name, _, _)| name.clone())
            .collect();
        for name in over {
            let half = Span::from_nanos(mine.margin.as_nanos() / 2);
            let by_chance = now + self.roll(t, half);
            let Some(known) = self.roster.known.get_mut(&name) else {
                continue;
            };
            let Some(run) = &mut known.run else {
                continue;
            };
            let at = *run.bury_at.get_or_insert(by_chance);
            if at <= now && !self.asks.buries(&name) {
                self.bury(t, &name);
            }
        }
    }

    fn bury(&mut self, t: &mut Turn<'_, '_>, name: &NodeName) {
        let Some(known) = self.roster.known.get(name) else {
            return;
        };
        let Some(run) = &known.run else {
            return;
        };
        let revision = known.watch.revision();
        let tombstone = run.tombstone(self.config.incarnation);
        let expect = match run.absent {
            true => Sequence::NONE,
            false => revision,
        };
        let publish = Publish {
            stream: self.config.namespace.member_stream(),
            subject: self.config.namespace.member_subject(name),
            expect: Expect::OwnLast(expect),
            rollup: Rollup::No,
            dedup: None,
            ttl_s: Some(ttl_s(run.terms.ttl, TOMBSTONE_TTL_S)),
            payload: tombstone.encode(),
        };
        let name = name.clone();
        self.store(
            t,
            Ask::Bury { name, revision },
            StoreRequest::Publish(publish),
        );
    }

    /// The store answered a tombstone.
    pub(super) fn on_bury(
        &mut self,
        t: &mut Turn<'_, '_>,
        op: OpId,
        name: &NodeName,
        revision: Sequence,
        reply: StoreReply,
    ) {
        let now = t.cx.now;
        match reply {
            Outcome::Done(StoreDone::Published(ack)) => {
                reached!(t.cx, "node: a tombstone");
                self.roster.mark = self.roster.mark.max(ack.sequence);
                self.buried(t, name, revision, ack.sequence);
            }
            Outcome::Done(_) => self.halt(t, HaltReason::WrongAnswer(op)),
            Outcome::Refused(Refused::WrongLast { actual }) => {
                // It lives after all, or another node was first.
                reached!(t.cx, "node: a tombstone was refused");
                self.bury_later(name, now);
                if let Some(known) = self.roster.known.get_mut(name)
                    && let Some(run) = &mut known.run
                {
                    run.absent = actual == Some(Sequence::NONE);
                }
                self.look_at(name);
            }
            Outcome::Refused(_) => {
                reached!(t.cx, "node: a tombstone was refused for now");
                self.bury_later(name, now);
            }
            Outcome::Unknown => {
                reached!(t.cx, "node: a tombstone's outcome is unknown");
                self.bury_later(name, now);
                self.look_at(name);
            }
        }
    }

    fn bury_later(&mut self, name: &NodeName, now: Time) {
        if let Some(known) = self.roster.known.get_mut(name)
            && let Some(run) = &mut known.run
        {
            run.bury_at = Some(now + AGAIN);
        }
    }

    /// The tombstone stands: the run that had that revision is over.
    fn buried(
        &mut self,
        t: &mut Turn<'_, '_>,
        name: &NodeName,
        revision: Sequence,
        sequence: Sequence,
    ) {
        let Some(known) = self.roster.known.get(name) else {
            return;
        };
        let Some(run) = known
            .run
            .as_ref()
            .filter(|_| known.watch.revision() == revision)
        else {
            return;
        };
        let tombstone = run.tombstone(self.config.incarnation);
        self.observe(t, name, sequence, tombstone);
    }
}

impl Run {
    /// The record that says that it is over.
    fn tombstone(&self, by: Incarnation) -> Member {
        Member {
            incarnation: self.incarnation,
            state: MemberState::Over { by },
            beats: self.beats,
            terms: self.terms,
            about: self.about.clone(),
            replaced: Vec::new(),
            marks: self.marks.clone(),
            unknown: Unknown::default(),
        }
    }
}

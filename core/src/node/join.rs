//! Taking the name: free at once, after another run of it left or is over, or after one that does not
//! live (M3).

use super::hint::{CONFIRM_EVERY, LINK_AGE_MIN, Suspicion};
use super::machine::{Node, Phase, Turn};
use super::roster::Lingers;
use super::{Effect, JoinError, Note};
use crate::format::{Member, MemberState, Replaced};
use crate::id::{Incarnation, Sequence};
use crate::lease::{Terms, Watch};
use crate::reached;
use crate::step::{Span, Time};
use alloc::format;
use alloc::vec::Vec;

/// How many earlier runs of a name may wait for the end of their leases at once; a further run waits
/// for its predecessor's end before it takes the name.
pub(super) const REPLACED_MAX: usize = 16;

/// So many newer heartbeats show that a run lives. The first may have been on its way when it died,
/// or unknown to the replica that was asked.
const RENEWALS_MIN: u32 = 2;

/// Another run that has the name.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Rival {
    incarnation: Incarnation,
    watch: Watch,
    terms: Terms,
    replaced: Vec<Replaced>,
    renewals: u32,
    pub(super) suspicion: Suspicion,
    probe_at: Time,
}

impl Node {
    /// The members are listed: takes the name, or finds out who has it.
    pub(super) fn choose(&mut self, t: &mut Turn<'_, '_>, own: Option<(Sequence, Member)>) {
        let now = t.cx.now;
        let mine = self.config.terms;
        if let Some(other) = self.roster.other_terms(mine) {
            if other.renewed {
                let (here, there) = (format!("{mine}"), format!("{}", other.terms));
                return self.refuse(t, JoinError::OtherTerms { here, there });
            }
            if now < other.watch.over_at(&mine.widest(other.terms)) {
                let text = format!(
                    "it is seen whether node {} lives, whose terms differ",
                    other.name
                );
                return self.say(t, text);
            }
        }
        let members_max = self.limits.members_max;
        if self.roster.living() >= members_max {
            return self.refuse(t, JoinError::Full { members_max });
        }
        match own {
            None => self.take(now, Sequence::NONE, None),
            Some((sequence, member)) => self.found(t, sequence, &member),
        }
    }

    /// Lists the members again, and decides anew.
    pub(super) fn look_again(&mut self, t: &mut Turn<'_, '_>) {
        self.phase = Phase::Looking;
        let delay = self.delay(t, self.own.tries);
        self.own.tries = self.own.tries.saturating_add(1);
        self.lists.due = t.cx.now + delay;
    }

    /// The name is free where its record ends: writes this node's.
    fn take(&mut self, now: Time, expect: Sequence, of: Option<Incarnation>) {
        self.phase = Phase::Taking;
        self.own.replace(expect, of, now);
    }

    /// Another run's record has the name.
    pub(super) fn contend(&mut self, t: &mut Turn<'_, '_>, sequence: Sequence, member: &Member) {
        let now = t.cx.now;
        match self.own.doubted {
            // The run whose record was to be replaced wrote it again, or has its tombstone: what was
            // sent was not stored, and never will be. Where it is as it was, the next attempt tells.
            Some(of) if of == Some(member.incarnation) && sequence > self.own.expect => {
                self.own.doubted = None;
            }
            Some(of) if of == Some(member.incarnation) => {}
            Some(_) => {
                // It may have been stored and replaced: then this run was a member for others, and is
                // over for them by now or soon (M5).
                reached!(t.cx, "node: a join may have been replaced");
                let (name, incarnation) = (self.config.name.clone(), member.incarnation);
                return self.refuse(t, JoinError::Replaced { name, incarnation });
            }
            None => {}
        }
        match member.state {
            MemberState::Up | MemberState::Draining => {}
            // All its predecessors' leases ended before its own.
            MemberState::Over { .. } => {
                self.replaced.clear();
                self.succeeds = Some(member.incarnation);
                return self.take(now, sequence, Some(member.incarnation));
            }
            MemberState::Left => {
                self.replaced = self.counted_from_now(&member.replaced, now);
                self.succeeds = Some(member.incarnation);
                return self.take(now, sequence, Some(member.incarnation));
            }
        }
        let renewed = match &mut self.phase {
            Phase::Contending(rival) if rival.incarnation == member.incarnation => {
                if !rival.watch.seen(sequence, now) {
                    return;
                }
                rival.suspicion.clear();
                rival.replaced.clone_from(&member.replaced);
                rival.renewals += 1;
                rival.renewals >= RENEWALS_MIN
            }
            Phase::Renewing
            | Phase::Looking
            | Phase::Contending(_)
            | Phase::Taking
            | Phase::Member
            | Phase::Leaving { .. }
            | Phase::Ended
            | Phase::Halted => {
                self.phase = Phase::Contending(Rival {
                    incarnation: member.incarnation,
                    watch: Watch::new(sequence, now),
                    terms: member.terms,
                    replaced: member.replaced.clone(),
                    renewals: 0,
                    suspicion: Suspicion::default(),
                    probe_at: now,
                });
                let name = &self.config.name;
                let text = format!("it is seen whether the other run of {name} lives");
                self.say(t, text);
                false
            }
        };
        if renewed {
            reached!(t.cx, "node: the name is taken, as heartbeats show");
            self.name_taken(t, member.incarnation);
        }
    }

    fn name_taken(&mut self, t: &mut Turn<'_, '_>, incarnation: Incarnation) {
        let name = self.config.name.clone();
        self.refuse(t, JoinError::NameTaken { name, incarnation });
    }

    /// The run that has the name answered, or nobody listened at its address. Whether it was about
    /// that run.
    pub(super) fn rival_answers(
        &mut self,
        t: &mut Turn<'_, '_>,
        of: Incarnation,
        listens: bool,
    ) -> bool {
        let Phase::Contending(rival) = &mut self.phase else {
            return false;
        };
        if rival.incarnation != of {
            return false;
        }
        if listens {
            reached!(t.cx, "node: the name is taken, as its holder says");
            self.name_taken(t, of);
        } else if let Some(link) = self.link {
            rival.suspicion.nobody_listens(t.cx.now, link);
        }
        true
    }

    /// Takes the name from a run that does not live, or asks it again.
    pub(super) fn contend_on(&mut self, t: &mut Turn<'_, '_>) {
        let now = t.cx.now;
        let mine = self.config.terms;
        let Phase::Contending(rival) = &mut self.phase else {
            return;
        };
        let incarnation = rival.incarnation;
        let revision = rival.watch.revision();
        let over_at = rival.watch.over_at(&mine.widest(rival.terms));
        if over_at <= now {
            reached!(t.cx, "node: the name is taken after its lease");
            self.replaced.clear();
            self.succeeds = Some(incarnation);
            return self.take(now, revision, Some(incarnation));
        }
        // Who wrote a tombstone on this run would go by its terms alone, not by those of earlier ones.
        let alike = rival.terms == mine;
        if rival.suspicion.sure() && alike && rival.replaced.len() < REPLACED_MAX {
            reached!(t.cx, "node: a quick restart");
            let earlier = core::mem::take(&mut rival.replaced);
            let replaced = Replaced {
                incarnation,
                revision,
                terms: rival.terms,
            };
            self.replaced = self.counted_from_now(&earlier, now);
            self.replaced.push((replaced, over_at));
            self.succeeds = None;
            return self.take(now, revision, Some(incarnation));
        }
        if self.link.is_some() && rival.probe_at <= now {
            rival.probe_at = now + CONFIRM_EVERY;
            t.out.push(Effect::Probe { to: incarnation });
        }
    }

    /// When something is to be done about the run that has the name.
    pub(super) fn contend_at(&self) -> Option<Time> {
        let Phase::Contending(rival) = &self.phase else {
            return None;
        };
        let over_at = rival.watch.over_at(&self.config.terms.widest(rival.terms));
        // Before the connection is old enough nothing counts but a sign of life.
        debug_assert!(
            CONFIRM_EVERY < LINK_AGE_MIN,
            "it is asked while it is too young"
        );
        let probe_at = self.link.map(|_| rival.probe_at);
        Some(probe_at.map_or(over_at, |at| at.min(over_at)))
    }

    /// Runs whose last heartbeat this node did not see count from when it hears of them.
    fn counted_from_now(&self, replaced: &[Replaced], now: Time) -> Vec<(Replaced, Time)> {
        let over_at = |terms| now + self.config.terms.widest(terms).watch();
        replaced.iter().map(|r| (*r, over_at(r.terms))).collect()
    }

    /// The record is stored: the name is this node's.
    pub(super) fn joined(&mut self, t: &mut Turn<'_, '_>) {
        self.phase = Phase::Member;
        self.dirty = true;
        for (replaced, over_at) in &self.replaced {
            self.roster
                .linger(replaced.incarnation, Lingers::Until(*over_at));
        }
        if let Some(over) = self.succeeds.take() {
            self.roster.linger(over, Lingers::Over);
        }
        self.lists.joined(t.cx.now);
        t.out.push(Effect::Joined);
        let (name, incarnation) = (self.config.name.clone(), self.config.incarnation);
        t.note(Note::Joined(name, incarnation));
    }

    /// Ends the wait for leases that are over.
    pub(super) fn linger_on(&mut self, t: &mut Turn<'_, '_>) {
        let now = t.cx.now;
        self.replaced.retain(|(_, over_at)| now < *over_at);
        self.dirty |= self.roster.linger_on(now);
    }

    pub(super) fn linger_at(&self) -> Option<Time> {
        self.roster.linger_at()
    }

    /// How often the members are listed while the name is not taken.
    pub(super) fn look_every(&self) -> Span {
        self.config.terms.beat_every()
    }
}

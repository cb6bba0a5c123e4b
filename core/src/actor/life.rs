//! How activations begin, rest, fail, begin anew and end.

use super::activation::{Activation, After, Phase};
use super::links::Queue;
use super::mail::failed;
use super::{Effect, Ended, Note, Order, Refusal, Scheduler, Why};
use crate::id::OpId;
use crate::log::KindIndex;
use crate::name::EntityId;
use crate::shard::Place;
use crate::step::{Cx, Effects, Purpose, Span};
use crate::{reached, sometimes};
use alloc::string::{String, ToString};

impl Scheduler {
    /// A key gets an activation, which is to be made.
    pub(super) fn settle_key(&mut self, key: (KindIndex, EntityId), place: Option<Place>) -> u32 {
        let serial = self.serial();
        let index = self.activations.insert(Activation {
            key: key.1.clone(),
            kind: key.0,
            place,
            phase: Phase::Failed(self.now),
            leaving: None,
            stuck: false,
            serial,
            since: self.now,
            mailbox: Queue::default(),
            extra: None,
        });
        let index = u32::try_from(index).expect("fewer activations than 2^32");
        if let Some(place) = place {
            let members = self.members.entry(place).or_default();
            self.by_place.push(members, index);
        }
        self.index.insert(key.0, key.1, index);
        index
    }

    pub(super) fn activate(&mut self, cx: &mut Cx<'_>, index: u32, out: &mut Effects<Effect>) {
        let op = self.op();
        let activation = self.at(index);
        activation.since = cx.now;
        if let Some(extra) = activation.extra.as_deref_mut() {
            extra.alarm = None;
        }
        out.push(Effect::Activate {
            slot: activation.slot(index),
            op,
            kind: activation.kind,
            key: activation.key.clone(),
            place: activation.place,
        });
        self.enter(index, Phase::Activating(op));
    }

    /// Room for one more: the one that rests longest goes, when there are too many.
    pub(super) fn make_room(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) -> bool {
        // Those that are on their way out take memory too.
        if self.activations.len() > self.activations_max + self.activations_max / 8 {
            return false;
        }
        if self.activations.len() - self.going < self.activations_max {
            return true;
        }
        let oldest = self.kinds.iter().filter_map(|kind| kind.rest.first());
        let oldest = oldest.min_by_key(|index| self.peek(*index).since);
        if let Some(index) = oldest {
            reached!(cx, "actor: the one that rests longest makes room");
            self.passivate(cx, index, out);
        }
        oldest.is_some()
    }

    /// Stops one that is at rest.
    fn passivate(&mut self, cx: &mut Cx<'_>, index: u32, out: &mut Effects<Effect>) {
        match self.peek(index).phase {
            Phase::Resting => {
                let kind = self.peek(index).kind;
                out.push(Effect::Note(Note::Passivated(kind)));
                self.begin_stop(cx, index, Why::Idle, out);
            }
            Phase::Spent
            | Phase::Activating(_)
            | Phase::Armed
            | Phase::Ready
            | Phase::Paused
            | Phase::Running(..)
            | Phase::Stopping(_)
            | Phase::Aborting(..)
            | Phase::Backoff(_)
            | Phase::Failed(_) => self.remove(index, out),
        }
    }

    /// Stops those that rested for long, some at a time.
    pub(super) fn passivate_idle(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        let mut left = self.limits.actor_turns_max;
        for kind in 0..self.kinds.len() {
            let Some(idle_after) = self.kinds[kind].config.idle_after else {
                continue;
            };
            while let Some(index) = self.kinds[kind].rest.first()
                && self.peek(index).since + idle_after <= cx.now
                && left > 0
            {
                self.passivate(cx, index, out);
                left -= 1;
            }
        }
    }

    /// Finds what takes longer than its kind's patience.
    pub(super) fn find_stuck(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        for kind in 0..self.kinds.len() {
            let patience = self.kinds[kind].config.patience;
            while let Some(index) = self.kinds[kind].running.first()
                && self.peek(index).since + patience <= cx.now
            {
                self.stuck(cx, index, out);
            }
        }
    }

    pub(super) fn begin_stop(
        &mut self,
        cx: &mut Cx<'_>,
        index: u32,
        why: Why,
        out: &mut Effects<Effect>,
    ) {
        let op = self.op();
        let activation = self.at(index);
        activation.since = cx.now;
        activation.leaving = Some(why);
        out.push(Effect::Stop {
            slot: activation.slot(index),
            op,
            kind: activation.kind,
            key: activation.key.clone(),
            place: activation.place,
            why,
        });
        self.enter(index, Phase::Stopping(op));
    }

    pub(super) fn abort(&mut self, index: u32, op: OpId, after: After, out: &mut Effects<Effect>) {
        let slot = self.peek(index).slot(index);
        out.push(Effect::Abort { slot, op });
        self.enter(index, Phase::Aborting(op, after));
    }

    /// What an activation does next, when nothing of it runs.
    pub(super) fn settle(&mut self, cx: &mut Cx<'_>, index: u32, out: &mut Effects<Effect>) {
        let window = self.config(self.peek(index).kind).restart_window;
        let paused = self.is_paused(index);
        let activation = self.at(index);
        let mail = !activation.mailbox.is_empty();
        match activation.leaving {
            Some(why) if !mail => self.begin_stop(cx, index, why, out),
            Some(_) => self.enter(index, Phase::Ready),
            None if paused => self.enter(index, Phase::Paused),
            None if mail => self.enter(index, Phase::Ready),
            None if activation.is_armed() => self.enter(index, Phase::Armed),
            None => {
                if let Some(extra) = activation.extra.as_deref_mut()
                    && cx.now.since(extra.failed_since) > window
                {
                    extra.failures = 0;
                }
                activation.slim();
                self.enter(index, Phase::Resting);
            }
        }
    }

    /// Looks again at one to which something came, or from which something was taken.
    pub(super) fn wake(&mut self, cx: &mut Cx<'_>, index: u32, out: &mut Effects<Effect>) {
        match self.peek(index).phase {
            Phase::Resting | Phase::Armed | Phase::Ready | Phase::Paused => {
                self.settle(cx, index, out);
            }
            Phase::Activating(_)
            | Phase::Running(..)
            | Phase::Stopping(_)
            | Phase::Aborting(..)
            | Phase::Backoff(_)
            | Phase::Failed(_)
            | Phase::Spent => {}
        }
    }

    /// An actor was made.
    pub(super) fn activated(
        &mut self,
        cx: &mut Cx<'_>,
        index: u32,
        orders: alloc::vec::Vec<Order>,
        out: &mut Effects<Effect>,
    ) {
        let activation = self.at(index);
        activation.since = cx.now;
        if let Some(extra) = activation.extra.as_deref_mut() {
            extra.cause = None;
        }
        let kind = activation.kind;
        out.push(Effect::Note(Note::Activated(kind)));
        self.obey(cx, index, orders);
        self.settle(cx, index, out);
    }

    /// An actor could not be made: who waits is told, and it is not tried again for a while.
    pub(super) fn not_made(
        &mut self,
        cx: &mut Cx<'_>,
        index: u32,
        cause: String,
        out: &mut Effects<Effect>,
    ) {
        reached!(cx, "actor: an actor cannot be made");
        let (kind, key) = self.names(index);
        let note = Note::InitFailed {
            kind,
            key,
            cause: cause.clone(),
        };
        out.push(Effect::Note(note));
        self.count_failure(cx, index);
        let delay = self.delay(cx, index);
        self.fail_until(cx, index, cause, delay, out);
    }

    /// The state cannot be gone on with: the actor begins anew after a wait, or has failed.
    pub(super) fn restart(
        &mut self,
        cx: &mut Cx<'_>,
        index: u32,
        cause: String,
        out: &mut Effects<Effect>,
    ) {
        let failures = self.count_failure(cx, index);
        let config = self.config(self.peek(index).kind);
        let (restarts_max, longest) = (config.restarts_max, config.restart_delay_max);
        if self.peek(index).leaving.is_some() {
            return self.end(index, &Ended::Failed(cause), out);
        }
        let (kind, key) = self.names(index);
        if failures > restarts_max {
            reached!(cx, "actor: it fails too often");
            out.push(Effect::Note(Note::Failed { kind, key }));
            return self.fail_until(cx, index, cause, longest, out);
        }
        let after = self.delay(cx, index);
        out.push(Effect::Note(Note::Restarts { kind, key, after }));
        self.forget(index, out);
        self.renew(index);
        self.at(index).extra().cause = Some(cause);
        self.alarm(index, cx.now + after);
        self.enter(index, Phase::Backoff(cx.now + after));
    }

    /// Refuses who waits and who comes, for a while.
    fn fail_until(
        &mut self,
        cx: &mut Cx<'_>,
        index: u32,
        cause: String,
        delay: Span,
        out: &mut Effects<Effect>,
    ) {
        let until = cx.now + delay;
        self.forget(index, out);
        self.tell_watchers(index, &Ended::Failed(cause.clone()), out);
        self.at(index).extra().cause = Some(cause);
        let refusal = failed(self.peek(index), until, cx.now);
        self.refuse_mail(index, &refusal, out);
        if self.peek(index).leaving.is_some() {
            return self.remove(index, out);
        }
        self.renew(index);
        self.alarm(index, until);
        self.enter(index, Phase::Failed(until));
    }

    /// Counts a failure within its kind's window; tells how many there are.
    fn count_failure(&mut self, cx: &mut Cx<'_>, index: u32) -> u32 {
        let window = self.config(self.peek(index).kind).restart_window;
        let extra = self.at(index).extra();
        if extra.failures == 0 || cx.now.since(extra.failed_since) > window {
            extra.failures = 0;
            extra.failed_since = cx.now;
        }
        extra.failures += 1;
        extra.failures
    }

    /// How long to wait after so many failures: half of it by dice, so that many do not come at once.
    fn delay(&mut self, cx: &mut Cx<'_>, index: u32) -> Span {
        let ordinal = self.op().0;
        let config = self.config(self.peek(index).kind);
        let (least, most) = (config.restart_delay_min, config.restart_delay_max);
        let failures = self.at(index).extra().failures;
        let doubled = 1_u64 << failures.saturating_sub(1).min(32);
        let full = least.saturating_mul(doubled).min(most).as_nanos();
        let drawn = cx.dice.below(Purpose::RetryJitter, ordinal, full / 2);
        Span::from_nanos(full - drawn)
    }

    /// The host drops the state of this stay.
    pub(super) fn forget(&self, index: u32, out: &mut Effects<Effect>) {
        let slot = self.peek(index).slot(index);
        out.push(Effect::Forget { slot });
    }

    /// The next stay of a key: what was the state's own is gone. A wish to leave goes with it, but not
    /// what has everything of its place or its node leave: the new stay only runs what was taken.
    fn renew(&mut self, index: u32) {
        let serial = self.serial();
        let now = self.now;
        let leaving = self.must_leave(self.peek(index).place);
        let activation = self.at(index);
        activation.serial = serial;
        activation.since = now;
        activation.leaving = leaving;
        if let Some(extra) = activation.extra.as_deref_mut() {
            extra.timers.clear();
            extra.alarm = None;
            extra.background = 0;
        }
        self.drop_own_mail(index);
    }

    /// An activation ends, unless messages for its key came meanwhile: then it begins anew.
    pub(super) fn end(&mut self, index: u32, ended: &Ended, out: &mut Effects<Effect>) {
        self.forget(index, out);
        self.tell_watchers(index, ended, out);
        self.drop_own_mail(index);
        if matches!(ended, Ended::Failed(_)) {
            let refusal = Refusal::Failed {
                cause: match ended {
                    Ended::Failed(cause) => cause.clone(),
                    Ended::Absent | Ended::Stopped | Ended::Lost => String::new(),
                },
                retry_after: Span::ZERO,
            };
            self.refuse_mail(index, &refusal, out);
        }
        self.remove(index, out);
    }

    /// Lets go of a key.
    pub(super) fn remove(&mut self, index: u32, out: &mut Effects<Effect>) {
        self.leave_queue(index);
        let activation = self.activations.remove(index as usize);
        self.index.remove(activation.kind, activation.key, index);
        if let Some(place) = activation.place {
            if let Some(members) = self.members.get_mut(&place) {
                self.by_place.remove(members, index);
                if members.is_empty() {
                    self.members.remove(&place);
                }
            }
            self.drained(place, out);
        }
        self.all_stopped(out);
    }

    /// Nothing of an activation runs any more, and its state is not wanted.
    pub(super) fn ended(
        &mut self,
        cx: &mut Cx<'_>,
        index: u32,
        ended: &Ended,
        out: &mut Effects<Effect>,
    ) {
        self.drop_own_mail(index);
        let comes_back = !self.peek(index).mailbox.is_empty();
        sometimes!(cx, comes_back, "actor: a message came while it stopped");
        if !comes_back {
            return self.end(index, ended, out);
        }
        self.forget(index, out);
        self.tell_watchers(index, ended, out);
        self.renew(index);
        self.activate(cx, index, out);
    }

    pub(super) fn names(&self, index: u32) -> (crate::name::KindName, EntityId) {
        let activation = self.peek(index);
        let kind = self.config(activation.kind).name.clone();
        (kind, activation.key.clone())
    }

    pub(super) fn dropped_cause() -> String {
        "its turn was dropped".to_string()
    }
}

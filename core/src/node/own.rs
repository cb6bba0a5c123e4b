//! This node's own record: written by CAS, again and again (S16, M1, M2).

use super::ask::{Ask, Proof};
use super::machine::{Node, Phase, Turn};
use super::{Effect, JoinError, Note};
use crate::format::{Member, MemberState, Unknown};
use crate::id::{Incarnation, OpId, Sequence};
use crate::port::{Expect, Publish, Refused, Rollup, Source, StoreDone, StoreReply, StoreRequest};
use crate::step::{HaltReason, Outcome, Span, Time};
use crate::{reached, sometimes};
use alloc::format;
use alloc::string::ToString;
use alloc::vec;

/// How long a record is kept at least: cleaning up is no hurry, and a record that is gone after an
/// outage would end a run that could go on.
const RECORD_TTL_S: u32 = 86_400;

/// How long a tombstone, or the record of a node that left, is kept at least.
pub(super) const TOMBSTONE_TTL_S: u32 = 600;

/// What is known of this node's own record.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Own {
    /// Where its subject is expected to end.
    pub(super) expect: Sequence,
    /// Something else stands there, and is to be read.
    in_the_way: Option<InTheWay>,
    /// The request that is waited for, and until when.
    busy: Option<(OpId, Time)>,
    /// It is a write.
    busy_writes: bool,
    /// A write was sent under this expectation whose end is not known.
    doubtful: bool,
    /// Whose record is expected there.
    of: Option<Incarnation>,
    /// While joining a write was sent whose end is not known; over whose record, if over one.
    pub(super) doubted: Option<Option<Incarnation>>,
    /// A write was sent.
    written: bool,
    beats: u64,
    /// When the next request is sent, if none is waited for.
    pub(super) due: Time,
    pub(super) tries: u32,
    /// Since when the subject looks shorter than it was.
    low_since: Option<Time>,
    /// When the last acknowledgement came.
    acknowledged: Option<Time>,
}

/// What stands in the way of a write.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
enum InTheWay {
    /// The record at this sequence.
    At(Sequence),
    /// The store did not say which.
    Untold,
}

impl Own {
    pub(super) fn new(now: Time) -> Self {
        Self {
            expect: Sequence::NONE,
            in_the_way: None,
            busy: None,
            busy_writes: false,
            doubtful: false,
            of: None,
            doubted: None,
            written: false,
            beats: 0,
            due: now,
            tries: 0,
            low_since: None,
            acknowledged: None,
        }
    }

    /// The next write replaces the record at this sequence, which is of this run.
    pub(super) fn replace(&mut self, expect: Sequence, of: Option<Incarnation>, now: Time) {
        self.expect = expect;
        self.of = of;
        self.in_the_way = None;
        self.doubtful = false;
        self.low_since = None;
        self.due = now;
    }

    /// The end of the last write is not known.
    fn doubt(&mut self) {
        self.doubtful = true;
        self.doubted.get_or_insert(self.of);
    }

    /// Whether an answer is waited for.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.is_some()
    }

    /// The next write is sent now, unless one is waited for, or the one before it was refused: it has
    /// its own time then, whoever is in a hurry.
    pub(super) fn hurry(&mut self, now: Time) {
        if self.busy.is_none() && self.tries == 0 {
            self.due = self.due.min(now);
        }
    }

    /// The record at this sequence is to be read.
    pub(super) fn read(&mut self, sequence: Sequence, now: Time) {
        self.in_the_way = Some(InTheWay::At(sequence));
        self.due = now;
    }
}

impl Node {
    /// Sends the next write, or reads what stands in its way.
    pub(super) fn own_on(&mut self, t: &mut Turn<'_, '_>) {
        let now = t.cx.now;
        if let Phase::Leaving { until } = self.phase
            && until <= now
        {
            reached!(t.cx, "node: it left without having said so");
            return self.left(t);
        }
        if self.own_at().is_none_or(|at| now < at) {
            return;
        }
        if let Some((_, until)) = self.own.busy {
            debug_assert!(until <= now, "it is waited for until its time is over");
            // Its answer counts if it comes after all, but is not waited for.
            reached!(t.cx, "node: an answer is late");
            self.own.busy = None;
            if self.own.busy_writes {
                self.own.doubt();
            }
        }
        match self.own.in_the_way {
            Some(in_the_way) => self.read_own(t, in_the_way),
            None => self.write_own(t),
        }
    }

    /// When something is to be done about the own record.
    pub(super) fn own_at(&self) -> Option<Time> {
        self.link?;
        let wanted = match self.phase {
            Phase::Looking | Phase::Contending(_) => self.own.in_the_way.is_some(),
            Phase::Taking | Phase::Member | Phase::Leaving { .. } => true,
            Phase::Renewing | Phase::Ended | Phase::Halted => false,
        };
        let at = self.own.busy.map_or(self.own.due, |(_, until)| until);
        wanted.then_some(at)
    }

    fn read_own(&mut self, t: &mut Turn<'_, '_>, in_the_way: InTheWay) {
        let stream = self.config.namespace.member_stream();
        let request = match in_the_way {
            InTheWay::At(sequence) => StoreRequest::Get {
                stream,
                sequence,
                source: Source::Leader,
            },
            InTheWay::Untold => StoreRequest::Latest {
                stream,
                subjects: vec![self.config.namespace.member_subject(&self.config.name)],
            },
        };
        let op = self.store(t, Ask::Rival, request);
        self.own.busy_writes = false;
        self.own.busy = Some((op, t.cx.now + self.patience()));
    }

    fn write_own(&mut self, t: &mut Turn<'_, '_>) {
        let now = t.cx.now;
        let state = match self.phase {
            Phase::Leaving { .. } => MemberState::Left,
            Phase::Renewing
            | Phase::Looking
            | Phase::Contending(_)
            | Phase::Taking
            | Phase::Member
            | Phase::Ended
            | Phase::Halted
                if self.draining =>
            {
                MemberState::Draining
            }
            Phase::Renewing
            | Phase::Looking
            | Phase::Contending(_)
            | Phase::Taking
            | Phase::Member
            | Phase::Ended
            | Phase::Halted => MemberState::Up,
        };
        let left = state == MemberState::Left;
        let member = self.record(state);
        let (ttl, least) = (
            self.config.terms.ttl,
            if left { TOMBSTONE_TTL_S } else { RECORD_TTL_S },
        );
        let publish = Publish {
            stream: self.config.namespace.member_stream(),
            subject: self.config.namespace.member_subject(&self.config.name),
            expect: Expect::OwnLast(self.own.expect),
            rollup: Rollup::No,
            dedup: None,
            ttl_s: Some(ttl_s(ttl, least)),
            payload: member.encode(),
        };
        let mark = self.roster.mark;
        let sent = now;
        let op = self.store(
            t,
            Ask::Own { sent, left, mark },
            StoreRequest::Publish(publish),
        );
        self.own.busy = Some((op, now + self.patience()));
        self.own.busy_writes = true;
        self.own.beats += 1;
        self.own.written = true;
        let every = self.config.terms.beat_every();
        let early = self.roll(t, Span::from_nanos(every.as_nanos() / 10));
        self.own.due = now + Span::from_nanos(every.as_nanos() - early.as_nanos());
    }

    /// What this node says of itself.
    fn record(&self, state: MemberState) -> Member {
        Member {
            incarnation: self.config.incarnation,
            state,
            beats: self.own.beats,
            terms: self.config.terms,
            about: self.config.about.clone(),
            replaced: self
                .replaced
                .iter()
                .map(|(replaced, _)| *replaced)
                .collect(),
            marks: self.marks.clone(),
            unknown: Unknown::default(),
        }
    }

    /// How long an answer is waited for before the next attempt.
    pub(super) fn patience(&self) -> Span {
        self.config.terms.beat_every().saturating_mul(2)
    }

    /// The store answered a write of the own record.
    pub(super) fn on_own(
        &mut self,
        t: &mut Turn<'_, '_>,
        op: OpId,
        (sent, left, mark): (Time, bool, Sequence),
        reply: StoreReply,
    ) {
        let awaited = self.own.busy.is_some_and(|(busy, _)| busy == op);
        if awaited {
            self.own.busy = None;
        }
        match reply {
            Outcome::Done(StoreDone::Published(ack)) => {
                if ack.sequence <= mark {
                    self.lost_tail(t);
                }
                self.own_stored(t, sent, left, ack.sequence);
            }
            Outcome::Done(_) => self.halt(t, HaltReason::WrongAnswer(op)),
            Outcome::Refused(_) | Outcome::Unknown if !awaited => {}
            Outcome::Refused(Refused::WrongLast { actual }) => self.overtaken(t, actual),
            Outcome::Refused(refused) if self.joins() && is_final(&refused) => {
                reached!(t.cx, "node: a join was refused for good");
                self.refuse(t, JoinError::Store(refused));
            }
            Outcome::Refused(refused) => {
                reached!(t.cx, "node: a heartbeat was refused for now");
                // A replicated stream's refusal need not be the last word (S10).
                if !refused.settles(true) {
                    self.own.doubt();
                }
                self.say(t, format!("the store does not take its record: {refused}"));
                self.own_later(t);
            }
            Outcome::Unknown => {
                reached!(t.cx, "node: a heartbeat's outcome is unknown");
                self.own.doubt();
                self.say(t, "the store does not answer".to_string());
                self.own_later(t);
            }
        }
    }

    fn own_stored(&mut self, t: &mut Turn<'_, '_>, sent: Time, left: bool, sequence: Sequence) {
        let now = t.cx.now;
        self.roster.mark = self.roster.mark.max(sequence);
        if sequence > self.own.expect {
            self.own.expect = sequence;
            self.own.in_the_way = None;
            self.own.doubtful = false;
            self.own.low_since = None;
            self.own.tries = 0;
        }
        let half = Span::from_nanos(self.config.terms.ttl.as_nanos() / 2);
        let silent = |at: Time| now.since(at) > half;
        if self.own.acknowledged.is_none_or(silent) {
            // The store took no heartbeats, so the others' silence speaks against nobody (M6).
            self.roster.steady = now;
        }
        self.own.acknowledged = Some(now);
        if left {
            return self.left(t);
        }
        if self.joins() {
            self.joined(t);
        }
        if self.is_member() {
            self.holder.acknowledged(sent);
            let revision = self.own.expect;
            self.list_if_due(t, Proof { sent, revision });
        } else {
            self.own.due = now;
        }
    }

    /// Another message stands where the own record was expected to end.
    fn overtaken(&mut self, t: &mut Turn<'_, '_>, actual: Option<Sequence>) {
        let now = t.cx.now;
        let Some(actual) = actual else {
            self.own.in_the_way = Some(InTheWay::Untold);
            return self.own_later(t);
        };
        if actual == self.own.expect {
            // An earlier attempt's acknowledgement came meanwhile.
            self.own.due = now;
            return;
        }
        if actual > self.own.expect {
            if !self.own.doubtful && self.holder.end(now) {
                // It is none of this node's attempts (S16).
                reached!(t.cx, "node: another revision ended the lease");
                t.note(Note::LeaseLost);
            }
            return self.own.read(actual, now);
        }
        // An old leader, or a record that is gone (S10).
        reached!(t.cx, "node: a heartbeat was refused from old state");
        if self.joins() {
            return self.look_again(t);
        }
        let since = *self.own.low_since.get_or_insert(now);
        let half = Span::from_nanos(self.config.terms.ttl.as_nanos() / 2);
        if now.since(since) < half {
            return self.own_later(t);
        }
        match actual.is_some() {
            true => self.own.read(actual, now),
            false => self.expired(t),
        }
    }

    /// What stands in the way was read.
    pub(super) fn on_rival(&mut self, t: &mut Turn<'_, '_>, op: OpId, reply: StoreReply) {
        if self.own.busy.is_none_or(|(busy, _)| busy != op) {
            return;
        }
        self.own.busy = None;
        let message = match reply {
            Outcome::Done(StoreDone::Message(message)) => message,
            Outcome::Done(StoreDone::Latest(proof)) => match proof.messages.into_iter().next() {
                Some(message) => message,
                None => return self.halt(t, HaltReason::WrongAnswer(op)),
            },
            Outcome::Done(_) => return self.halt(t, HaltReason::WrongAnswer(op)),
            Outcome::Refused(Refused::NotFound) => {
                reached!(t.cx, "node: the record in a join's way is absent");
                // It was replaced meanwhile, or an old leader does not know it: the next write's own
                // check says what stands there now.
                self.own.in_the_way = None;
                return self.own_later(t);
            }
            Outcome::Refused(_) | Outcome::Unknown => {
                reached!(t.cx, "node: the record in a join's way is not told");
                return self.own_later(t);
            }
        };
        self.own.in_the_way = None;
        self.own.tries = 0;
        match Member::decode(&message.payload) {
            Ok(member) => self.found(t, message.sequence, &member),
            Err(error) => {
                let (name, cause) = (self.config.name.clone(), error.to_string());
                self.refuse(t, JoinError::Unreadable { name, cause });
            }
        }
    }

    /// This is the record of this node's name.
    pub(super) fn found(&mut self, t: &mut Turn<'_, '_>, sequence: Sequence, member: &Member) {
        let now = t.cx.now;
        if member.incarnation != self.config.incarnation {
            return match self.phase {
                Phase::Looking | Phase::Contending(_) | Phase::Taking => {
                    self.contend(t, sequence, member);
                }
                Phase::Member => {
                    let (name, incarnation) = (self.config.name.clone(), member.incarnation);
                    reached!(t.cx, "node: another run took the name");
                    self.refuse(t, JoinError::Replaced { name, incarnation });
                }
                Phase::Leaving { .. } => self.left(t),
                Phase::Renewing | Phase::Ended | Phase::Halted => {}
            };
        }
        match member.state {
            MemberState::Over { .. } => return self.expired(t),
            MemberState::Left => return self.left(t),
            MemberState::Up | MemberState::Draining => {}
        }
        // An attempt of unknown end was stored; it extends nothing (T3), and the next one does.
        sometimes!(t.cx, self.joins(), "node: an unknown join was stored");
        self.own
            .replace(sequence, Some(self.config.incarnation), now);
        if self.joins() {
            self.joined(t);
        }
    }

    fn expired(&mut self, t: &mut Turn<'_, '_>) {
        if matches!(self.phase, Phase::Leaving { .. }) {
            return self.left(t);
        }
        reached!(t.cx, "node: this run was taken for over");
        let (name, incarnation) = (self.config.name.clone(), self.config.incarnation);
        let cause = JoinError::Expired { name, incarnation };
        match self.config.rejoin {
            true => self.become_another(t, cause),
            false => self.refuse(t, cause),
        }
    }

    /// The membership stream is shorter than it was.
    fn lost_tail(&mut self, t: &mut Turn<'_, '_>) {
        self.own.expect = Sequence::NONE;
        self.members_lost_tail(t);
    }

    /// What is known of the others' revisions is of a stream that is no more.
    pub(super) fn members_lost_tail(&mut self, t: &mut Turn<'_, '_>) {
        reached!(t.cx, "node: the membership stream lost its tail");
        t.note(Note::LostTail);
        self.roster.forget_revisions(t.cx.now);
        self.lists.look(t.cx.now);
    }

    fn own_later(&mut self, t: &mut Turn<'_, '_>) {
        let delay = self.delay(t, self.own.tries);
        self.own.tries = self.own.tries.saturating_add(1);
        self.own.due = t.cx.now + delay;
    }

    /// Ends the membership.
    pub(super) fn leave(&mut self, t: &mut Turn<'_, '_>) {
        let now = t.cx.now;
        self.holder.end(now);
        match self.phase {
            Phase::Renewing | Phase::Looking | Phase::Contending(_) | Phase::Taking
                if !self.own.written =>
            {
                self.left(t);
            }
            Phase::Renewing
            | Phase::Looking
            | Phase::Contending(_)
            | Phase::Taking
            | Phase::Member => {
                self.phase = Phase::Leaving {
                    until: now + self.limits.leave_timeout,
                };
                self.own.due = now;
            }
            Phase::Leaving { .. } | Phase::Ended | Phase::Halted => {}
        }
    }

    fn left(&mut self, t: &mut Turn<'_, '_>) {
        self.holder.end(t.cx.now);
        self.phase = Phase::Ended;
        t.out.push(Effect::Left);
    }

    /// Says why this node is no member yet, once for each reason.
    pub(super) fn say(&mut self, t: &mut Turn<'_, '_>, text: alloc::string::String) {
        if self.joins() && self.said != text {
            t.note(Note::NotYetMember(text.clone()));
            self.said = text;
        }
    }
}

/// The time to live of a record in whole seconds: four times the lease, or the least.
pub(super) fn ttl_s(lease: Span, least: u32) -> u32 {
    let lease_s = lease.as_millis().div_ceil(1_000).saturating_mul(4);
    u32::try_from(lease_s).unwrap_or(u32::MAX).max(least)
}

/// Whether a write that was refused so would always be.
fn is_final(refused: &Refused) -> bool {
    match refused {
        Refused::Denied(_)
        | Refused::BadRequest(_)
        | Refused::TooLarge
        | Refused::WrongStream
        | Refused::TtlDisabled
        | Refused::TtlInvalid
        | Refused::RollupDisabled
        | Refused::Forbidden
        | Refused::NoJetStream => true,
        Refused::WrongLast { .. }
        | Refused::InProcess
        | Refused::DuplicateInProcess
        | Refused::DuplicateInBatch
        | Refused::TooManyBatches
        | Refused::BatchIncomplete
        | Refused::BatchTooLarge
        | Refused::BatchDisabled
        | Refused::Overloaded
        | Refused::NoResponders
        | Refused::NotConnected
        | Refused::NoStream
        | Refused::NoConsumer
        | Refused::StreamExists
        | Refused::SubjectOverlap
        | Refused::NotFound
        | Refused::NoSpace
        | Refused::Other { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::Own;
    use crate::step::Time;

    #[test]
    fn a_write_after_a_refused_one_has_its_own_time_whoever_is_in_a_hurry() {
        let mut own = Own::new(Time::from_nanos(9));
        own.hurry(Time::from_nanos(2));
        assert_eq!(own.due, Time::from_nanos(2));
        own.tries = 1;
        own.due = Time::from_nanos(9);
        // It is asked in each step, and a driver whose lanes hang refuses within one (M2).
        own.hurry(Time::from_nanos(3));
        assert_eq!(own.due, Time::from_nanos(9));
    }
}

//! The machine: prove the head, find the place, then scan forward, follow the lists backward, or
//! gather what a state is made of.

use super::backward::Linked;
use super::chain::{Chain, LinkState, Then};
use super::deleted::Missed;
use super::forward::Scan;
use super::seek::{Goal, Seek};
use super::state::Recall;
use super::{
    Cursor, HistoryAsk, HistoryEffect, HistoryInput, HistoryPage, HistoryRefusal, LoggedCommit,
    PAGE_COMMITS_MAX,
};
use crate::format::{Commit, SnapshotRef};
use crate::id::{OpId, Sequence, Version};
use crate::log::Damage;
use crate::port::{Message, Proof, Refused, StoreDone, StoreReply, StoreRequest};
use crate::step::{
    Cx, Deadline, Effects, HaltReason, Limits, Machine, Outcome, Purpose, Span, Time,
};
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

/// Reads one page of one entity's history. Step it with a `Tick` first.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct History {
    pub(super) ask: HistoryAsk,
    pub(super) limits: Limits,
    /// The version of the entity's last commit, once that was looked at.
    pub(super) last: Option<Version>,
    /// The snapshot that it names; those before it may have been deleted for good.
    pub(super) current: Option<SnapshotRef>,
    state: State,
    ops: u64,
    /// Operations up to this one are not waited for any more.
    left: u64,
    tries: u32,
}

#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum State {
    /// One request is to be sent at `at`.
    Wanted {
        at: Time,
        plan: Plan,
    },
    /// One request is under way.
    Asked {
        op: OpId,
        plan: Plan,
    },
    /// Several commits are being fetched.
    Chain {
        chain: Chain,
        then: Then,
    },
    Over,
}

/// What one request is for.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Plan {
    /// The entity's last commit, with proof.
    Head(Goal),
    /// Commits after one, up to the head.
    Scan(Scan),
    /// The body of a snapshot.
    Body(Box<Recall>, SnapshotRef),
    /// The entity's first commit: whether it was deleted since.
    First(Box<Missed>),
}

/// What a step comes to, when it is not over.
pub(super) enum Next {
    State(State),
    Done(Result<HistoryPage, HistoryRefusal>),
    Halt(HaltReason),
}

impl History {
    /// A reader of one page.
    ///
    /// # Panics
    ///
    /// When `commits_max` is not 1 to [`PAGE_COMMITS_MAX`].
    pub fn new(ask: HistoryAsk, limits: Limits) -> Self {
        assert!(
            (1..=PAGE_COMMITS_MAX).contains(&ask.commits_max),
            "a page has 1 to 256 commits"
        );
        let mut this = Self {
            ask,
            limits,
            last: None,
            current: None,
            state: State::Over,
            ops: 0,
            left: 0,
            tries: 0,
        };
        let begin = |plan| State::Wanted {
            at: Time::ZERO,
            plan,
        };
        this.state = match this.ask.cursor.clone() {
            Cursor::Oldest => begin(Plan::Head(Goal::Forward)),
            Cursor::Newest => begin(Plan::Head(Goal::Backward)),
            Cursor::State(_) => begin(Plan::Head(Goal::State)),
            Cursor::After {
                head,
                sequence,
                version,
            } => begin(Plan::Scan(Scan {
                head,
                sequence,
                version: Some(version),
                short_since: None,
            })),
            Cursor::Before { listed, version } => this.backward_on(listed, version),
        };
        this
    }

    fn tick(&mut self, cx: &Cx<'_>, out: &mut Effects<HistoryEffect>) {
        if cx.now >= self.ask.deadline {
            return self.done(Err(HistoryRefusal::Deadline), out);
        }
        match core::mem::replace(&mut self.state, State::Over) {
            State::Wanted { at, plan } if at <= cx.now => {
                let op = self.next_op();
                match self.request(&plan) {
                    Some(request) => out.push(HistoryEffect::Store { op, request }),
                    None => out.push(HistoryEffect::Halt(HaltReason::Broken(
                        "a snapshot is read where its bodies are known",
                    ))),
                }
                self.state = State::Asked { op, plan };
            }
            State::Chain { mut chain, then } => {
                self.ask_links(cx.now, &mut chain, out);
                self.state = State::Chain { chain, then };
            }
            waiting @ (State::Wanted { .. } | State::Asked { .. }) => self.state = waiting,
            State::Over => {}
        }
    }

    fn ask_links(&mut self, now: Time, chain: &mut Chain, out: &mut Effects<HistoryEffect>) {
        for link in &mut chain.links {
            if let LinkState::Wanted {
                at,
                source,
                absent_since,
            } = link.state
                && at <= now
            {
                let op = self.next_op();
                out.push(HistoryEffect::Store {
                    op,
                    request: StoreRequest::Get {
                        stream: self.ask.stream.clone(),
                        sequence: link.sequence,
                        source,
                    },
                });
                link.state = LinkState::Asked {
                    op,
                    source,
                    absent_since,
                };
            }
        }
    }

    fn request(&self, plan: &Plan) -> Option<StoreRequest> {
        match plan {
            Plan::Head(_) => Some(StoreRequest::Latest {
                stream: self.ask.stream.clone(),
                subjects: vec![self.ask.anchor.clone(), self.ask.subject.clone()],
            }),
            Plan::Scan(scan) => Some(self.scan_request(scan)),
            Plan::Body(recall, named) => self.body_request(recall, named),
            Plan::First(_) => Some(self.first_request()),
        }
    }

    fn stored(
        &mut self,
        cx: &mut Cx<'_>,
        op: OpId,
        reply: StoreReply,
        out: &mut Effects<HistoryEffect>,
    ) {
        if op.0 <= self.left {
            return;
        }
        let next = match core::mem::replace(&mut self.state, State::Over) {
            State::Asked { op: asked, plan } if asked == op => self.planned(cx, op, plan, reply),
            State::Chain { mut chain, then } => match self.linked(cx, op, &mut chain, reply) {
                Linked::On => self.fetched(cx, chain, then),
                Linked::Absent(sequence) => {
                    self.left = self.ops;
                    self.missed(cx, sequence, chain, then)
                }
                Linked::End(next) => next,
            },
            // An answer that comes after the end is of no use to anyone.
            State::Over => return,
            State::Wanted { .. } | State::Asked { .. } => Next::Halt(HaltReason::UnknownOp(op)),
        };
        match next {
            Next::State(state) => {
                self.state = state;
                self.tick(cx, out);
            }
            Next::Done(result) => self.done(result, out),
            Next::Halt(reason) => out.push(HistoryEffect::Halt(reason)),
        }
    }

    fn planned(&mut self, cx: &mut Cx<'_>, op: OpId, plan: Plan, reply: StoreReply) -> Next {
        let reply = match reply {
            Outcome::Done(done) => Ok(done),
            Outcome::Refused(refused) => Err(Some(refused)),
            // A read that got no answer is asked again.
            Outcome::Unknown => Err(None),
        };
        match (reply, plan) {
            (Ok(StoreDone::Latest(proof)), Plan::Head(goal)) => self.proven(cx, &proof, goal),
            (Ok(StoreDone::Latest(proof)), Plan::Body(recall, named)) => {
                match proof.messages.first() {
                    Some(message) => self.embodied(cx, *recall, named, &message.payload),
                    None => self.bodiless(cx, *recall, named),
                }
            }
            (Ok(StoreDone::Page(page)), Plan::Scan(scan)) => self.scanned(cx, &page, scan),
            (Ok(StoreDone::Page(page)), Plan::First(missed)) => self.first(cx, &page, *missed),
            (Ok(_), Plan::Head(_) | Plan::Scan(_) | Plan::Body(..) | Plan::First(_)) => {
                Next::Halt(HaltReason::WrongAnswer(op))
            }
            // The anchor is there always: this replica is behind.
            (Err(Some(Refused::NotFound)), plan @ Plan::Head(_)) => self.again(cx, plan),
            (Err(Some(Refused::NotFound)), Plan::Body(recall, named)) => {
                self.bodiless(cx, *recall, named)
            }
            (Err(Some(refused)), plan) if refused.passes() => {
                crate::reached!(cx, "history: a read was refused for now");
                self.again(cx, plan)
            }
            (Err(Some(_)), Plan::Body(recall, named)) => self.useless(cx, *recall, named),
            (Err(Some(refused)), Plan::Head(_) | Plan::Scan(_) | Plan::First(_)) => {
                crate::reached!(cx, "history: a read was refused for good");
                Next::Done(Err(HistoryRefusal::Store(refused)))
            }
            (Err(None), plan) => {
                crate::reached!(cx, "history: a read is not answered");
                self.again(cx, plan)
            }
        }
    }

    fn proven(&mut self, cx: &mut Cx<'_>, proof: &Proof, goal: Goal) -> Next {
        let anchored = proof.messages.iter().any(|m| m.subject == self.ask.anchor);
        if !anchored || proof.up_to < self.ask.at_least {
            crate::reached!(cx, "history: a replica that is behind is asked again");
            return self.again(cx, Plan::Head(goal));
        }
        let head = proof
            .messages
            .iter()
            .find(|m| m.subject == self.ask.subject);
        let Some(head) = head else {
            self.last = Some(Version::ABSENT);
            return Next::Done(Ok(self.page(Vec::new(), None)));
        };
        let lower = self.ask.range.lower;
        match (goal, lower.only_sequence()) {
            (Goal::Forward, _) if lower.is_none() => {
                return self.scan(cx.now, head.sequence, Sequence::NONE, Some(Version::ABSENT));
            }
            (Goal::Forward, Some(first)) if first > head.sequence => {
                return Next::Done(Ok(self.page(Vec::new(), None)));
            }
            (Goal::Forward, Some(first)) => {
                let before = Sequence(first.0.saturating_sub(1));
                return self.scan(cx.now, head.sequence, before, None);
            }
            (Goal::Forward | Goal::Backward | Goal::State, _) => {}
        }
        let head = match self.decode(head) {
            Ok(head) => head,
            Err(damage) => return Next::Done(Err(HistoryRefusal::Damaged(damage))),
        };
        self.last = Some(head.commit.last);
        self.current = head.commit.snapshot;
        let reached = self.ask.range.reaches(goal.end(), &head);
        let seek = Seek {
            goal,
            head: head.sequence,
            found: reached.then(|| head.clone()),
            snapshots: head.commit.snapshot.into_iter().collect(),
            after: head,
            misses: 0,
        };
        if reached {
            self.sought(cx, seek)
        } else {
            self.seek(cx, seek)
        }
    }

    /// Goes on from the place that was found.
    pub(super) fn sought(&mut self, cx: &mut Cx<'_>, seek: Seek) -> Next {
        let Seek {
            goal,
            head,
            found,
            snapshots,
            ..
        } = seek;
        match (goal, found) {
            (Goal::Forward, None) => self.scan(cx.now, head, Sequence::NONE, Some(Version::ABSENT)),
            (Goal::Forward, Some(logged)) if self.ask.range.is_below(&logged) => {
                self.scan(cx.now, head, logged.sequence, Some(logged.commit.last))
            }
            (Goal::Forward, Some(logged)) => {
                let before = Sequence(logged.sequence.0 - 1);
                self.scan(cx.now, head, before, Some(logged.commit.before))
            }
            (Goal::Backward | Goal::State, None) => Next::Done(Ok(self.page(Vec::new(), None))),
            (Goal::Backward, Some(logged)) => self.backward_from(cx, logged),
            (Goal::State, Some(logged)) => {
                let bodies = match &self.ask.cursor {
                    Cursor::State(bodies) => bodies.clone(),
                    Cursor::Oldest
                    | Cursor::Newest
                    | Cursor::After { .. }
                    | Cursor::Before { .. } => None,
                };
                self.recall(cx, Recall::new(bodies, logged, snapshots))
            }
        }
    }

    pub(super) fn decode(&self, message: &Message) -> Result<LoggedCommit, Damage> {
        let commit = Commit::decode(&message.payload)
            .map_err(|error| self.damage(message.sequence, error.to_string()))?;
        let fits = message.subject == self.ask.subject
            && commit.entity == self.ask.entity
            && commit.kind == self.ask.kind;
        if !fits {
            let what = "it is a commit of another entity or kind".into();
            return Err(self.damage(message.sequence, what));
        }
        let named = commit.snapshot.map(|named| named.sequence);
        let latest = commit.earlier.first().copied().max(named);
        if latest.is_some_and(|sequence| sequence >= message.sequence) {
            let what = "it lists a commit that is not before it".into();
            return Err(self.damage(message.sequence, what));
        }
        Ok(LoggedCommit {
            sequence: message.sequence,
            stored: message.stored,
            commit,
        })
    }

    pub(super) fn damage(&self, sequence: Sequence, what: String) -> Damage {
        Damage {
            stream: self.ask.stream.to_string(),
            sequence,
            what,
        }
    }

    pub(super) fn again(&mut self, cx: &mut Cx<'_>, plan: Plan) -> Next {
        let at = cx.now + self.delay(cx);
        Next::State(State::Wanted { at, plan })
    }

    /// The wait before a repetition: it doubles, and is half jitter.
    pub(super) fn delay(&mut self, cx: &Cx<'_>) -> Span {
        let doubled = self
            .limits
            .retry_delay_min
            .saturating_mul(1 << self.tries.min(16));
        self.tries += 1;
        let delay = doubled.min(self.limits.retry_delay_max).as_nanos();
        let ordinal = self.ops << 16 | u64::from(self.tries);
        let jitter = cx.dice.below(Purpose::RetryJitter, ordinal, delay / 2 + 1);
        Span::from_nanos(delay / 2 + jitter)
    }

    fn next_op(&mut self) -> OpId {
        self.ops += 1;
        OpId(self.ops)
    }

    fn done(
        &mut self,
        result: Result<HistoryPage, HistoryRefusal>,
        out: &mut Effects<HistoryEffect>,
    ) {
        self.state = State::Over;
        out.push(HistoryEffect::Done(result));
    }
}

impl Machine for History {
    type Input = HistoryInput;
    type Effect = HistoryEffect;

    fn step(&mut self, cx: &mut Cx<'_>, input: HistoryInput, out: &mut Effects<HistoryEffect>) {
        match input {
            HistoryInput::Tick => match self.state {
                State::Over => {}
                State::Wanted { .. } | State::Asked { .. } | State::Chain { .. } => {
                    self.tick(cx, out);
                }
            },
            HistoryInput::Stored { op, reply } => self.stored(cx, op, reply, out),
        }
    }

    fn next_deadline(&self) -> Option<Deadline> {
        let give_up = Deadline {
            at: self.ask.deadline,
            timer: "give_up",
        };
        let ask = |at| Deadline {
            at,
            timer: "ask_again",
        };
        match &self.state {
            State::Wanted { at, .. } => Some(give_up.min(ask(*at))),
            State::Asked { .. } => Some(give_up),
            State::Chain { chain, .. } => {
                Deadline::earliest(Some(give_up), chain.next_at().map(ask))
            }
            State::Over => None,
        }
    }
}

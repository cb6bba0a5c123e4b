//! The machine: prove the head, then scan forward or follow the chain backward.

use super::chain::{Chain, LinkState, before};
use super::{
    Cursor, HistoryAsk, HistoryEffect, HistoryInput, HistoryPage, HistoryRefusal, PAGE_COMMITS_MAX,
};
use crate::format::Commit;
use crate::id::{OpId, Sequence, Version};
use crate::log::{Damage, StoredCommit};
use crate::port::{Message, Page, Proof, Refused, StoreDone, StoreReply, StoreRequest};
use crate::step::{
    Cx, Deadline, Effects, HaltReason, Limits, Machine, Outcome, Purpose, Span, Time,
};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

/// Reads one page of one entity's history. Step it with a `Tick` first.
#[derive(Clone, Debug)]
pub struct History {
    pub(super) ask: HistoryAsk,
    pub(super) limits: Limits,
    state: State,
    ops: u64,
    tries: u32,
}

#[derive(Clone, Debug)]
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
    /// Several commits are being fetched after those that are here, newest first.
    Chain {
        read: Vec<StoredCommit>,
        version: Option<Version>,
        chain: Chain,
    },
    Over,
}

/// What one request is for.
#[derive(Clone, Debug)]
pub(super) enum Plan {
    /// The entity's last commit, with proof.
    Head { forward: bool },
    /// Commits after `sequence`, up to `head`.
    Scan {
        head: Sequence,
        sequence: Sequence,
        version: Version,
        /// Since when the answers end before the head.
        short_since: Option<Time>,
    },
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
        let begin = |plan| State::Wanted {
            at: Time::ZERO,
            plan,
        };
        let state = match &ask.cursor {
            Cursor::Oldest => begin(Plan::Head { forward: true }),
            Cursor::Newest => begin(Plan::Head { forward: false }),
            Cursor::After {
                head,
                sequence,
                version,
            } => begin(Plan::Scan {
                head: *head,
                sequence: *sequence,
                version: *version,
                short_since: None,
            }),
            Cursor::Before { listed, version } => State::Chain {
                read: Vec::new(),
                version: Some(*version),
                chain: Chain::new(listed.clone(), ask.commits_max as usize, Time::ZERO),
            },
        };
        Self {
            ask,
            limits,
            state,
            ops: 0,
            tries: 0,
        }
    }

    fn tick(&mut self, cx: &Cx<'_>, out: &mut Effects<HistoryEffect>) {
        if cx.now >= self.ask.deadline {
            return self.done(Err(HistoryRefusal::Deadline), out);
        }
        match core::mem::replace(&mut self.state, State::Over) {
            State::Wanted { at, plan } if at <= cx.now => {
                let op = self.next_op();
                let request = self.request(&plan);
                out.push(HistoryEffect::Store { op, request });
                self.state = State::Asked { op, plan };
            }
            State::Chain {
                read,
                version,
                mut chain,
            } => {
                self.ask_links(cx.now, &mut chain, out);
                self.state = State::Chain {
                    read,
                    version,
                    chain,
                };
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

    fn request(&self, plan: &Plan) -> StoreRequest {
        match plan {
            Plan::Head { .. } => StoreRequest::Latest {
                stream: self.ask.stream.clone(),
                subjects: vec![self.ask.anchor.clone(), self.ask.subject.clone()],
            },
            Plan::Scan { sequence, .. } => StoreRequest::Scan {
                stream: self.ask.stream.clone(),
                filter: self.ask.subject.clone(),
                from: Sequence(sequence.0 + 1),
                messages_max: self.ask.commits_max,
            },
        }
    }

    fn stored(
        &mut self,
        cx: &mut Cx<'_>,
        op: OpId,
        reply: StoreReply,
        out: &mut Effects<HistoryEffect>,
    ) {
        let next = match core::mem::replace(&mut self.state, State::Over) {
            State::Asked { op: asked, plan } if asked == op => self.planned(cx, op, plan, reply),
            State::Chain {
                read,
                version,
                mut chain,
            } => match self.linked(cx, op, &mut chain, reply) {
                Ok(()) => self.chained(read, version, chain),
                Err(next) => next,
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
            (Ok(StoreDone::Latest(proof)), Plan::Head { forward }) => {
                self.proven(cx, &proof, forward)
            }
            (
                Ok(StoreDone::Page(page)),
                Plan::Scan {
                    head,
                    sequence,
                    version,
                    short_since,
                },
            ) => self.scanned(cx, &page, head, (sequence, version), short_since),
            (Ok(_), Plan::Head { .. } | Plan::Scan { .. }) => {
                Next::Halt(HaltReason::WrongAnswer(op))
            }
            // The anchor is there always: this replica is behind.
            (Err(Some(Refused::NotFound)), plan @ Plan::Head { .. }) => self.again(cx, plan),
            (Err(Some(refused)), plan) if refused.passes() => self.again(cx, plan),
            (Err(Some(refused)), Plan::Head { .. } | Plan::Scan { .. }) => {
                Next::Done(Err(HistoryRefusal::Store(refused)))
            }
            (Err(None), plan) => self.again(cx, plan),
        }
    }

    fn proven(&mut self, cx: &mut Cx<'_>, proof: &Proof, forward: bool) -> Next {
        let anchored = proof.messages.iter().any(|m| m.subject == self.ask.anchor);
        if !anchored || proof.up_to < self.ask.at_least {
            crate::reached!(cx, "history: a replica that is behind is asked again");
            return self.again(cx, Plan::Head { forward });
        }
        let head = proof
            .messages
            .iter()
            .find(|m| m.subject == self.ask.subject);
        let Some(head) = head else {
            return Next::Done(Ok(HistoryPage {
                commits: Vec::new(),
                next: None,
            }));
        };
        if forward {
            return Next::State(State::Wanted {
                at: cx.now,
                plan: Plan::Scan {
                    head: head.sequence,
                    sequence: Sequence::NONE,
                    version: Version::ABSENT,
                    short_since: None,
                },
            });
        }
        match self.decode(head) {
            Ok(stored) => {
                let room = self.ask.commits_max as usize - 1;
                let chain = Chain::new(before(&stored.commit), room, cx.now);
                let version = Some(stored.commit.before);
                self.chained(vec![stored], version, chain)
            }
            Err(damage) => Next::Done(Err(HistoryRefusal::Damaged(damage))),
        }
    }

    /// Takes in a page of the subject, which counts up to the proven head.
    fn scanned(
        &mut self,
        cx: &mut Cx<'_>,
        page: &Page,
        head: Sequence,
        (mut sequence, mut version): (Sequence, Version),
        short_since: Option<Time>,
    ) -> Next {
        let mut commits = Vec::new();
        for message in page.messages.iter().filter(|m| m.sequence <= head) {
            let stored = match self.decode(message) {
                Ok(stored) => stored,
                Err(damage) => return Next::Done(Err(HistoryRefusal::Damaged(damage))),
            };
            if stored.commit.before != version {
                let what = format!(
                    "it follows version {}, the commit before it ends at {version}",
                    stored.commit.before
                );
                let damage = self.damage(stored.sequence, what);
                return Next::Done(Err(HistoryRefusal::Damaged(damage)));
            }
            (sequence, version) = (stored.sequence, stored.commit.last);
            commits.push(stored);
        }
        if sequence < head && commits.is_empty() {
            crate::reached!(
                cx,
                "history: a scan that ends before the head is asked again"
            );
            let since = short_since.unwrap_or(cx.now);
            if cx.now.since(since) > self.limits.absent_patience {
                let damage = self.damage(head, "no replica has the commits up to it".into());
                return Next::Done(Err(HistoryRefusal::Damaged(damage)));
            }
            return self.again(
                cx,
                Plan::Scan {
                    head,
                    sequence,
                    version,
                    short_since: Some(since),
                },
            );
        }
        let next = (sequence < head).then_some(Cursor::After {
            head,
            sequence,
            version,
        });
        Next::Done(Ok(HistoryPage { commits, next }))
    }

    pub(super) fn decode(&self, message: &Message) -> Result<StoredCommit, Damage> {
        let commit = Commit::decode(&message.payload)
            .map_err(|error| self.damage(message.sequence, error.to_string()))?;
        let fits = message.subject == self.ask.subject
            && commit.entity == self.ask.entity
            && commit.kind == self.ask.kind;
        if !fits {
            let what = "it is a commit of another entity or kind".into();
            return Err(self.damage(message.sequence, what));
        }
        Ok(StoredCommit {
            sequence: message.sequence,
            commit,
        })
    }

    pub(super) fn damage(&self, sequence: Sequence, what: String) -> Damage {
        Damage {
            stream: self.ask.stream.clone().into(),
            sequence,
            what,
        }
    }

    fn again(&mut self, cx: &mut Cx<'_>, plan: Plan) -> Next {
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

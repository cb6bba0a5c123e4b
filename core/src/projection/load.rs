//! One load: the mark, and the parts of the state when it is in several (J4).

use super::{LOOKS_MAX, Next, StateFault};
use crate::consumer::may_pass;
use crate::format::{LayoutKey, Mark, StateAt};
use crate::id::Sequence;
use crate::name::{ConsumerName, Namespace};
use crate::port::{Message, Refused, StoreDone, StoreReply, StoreRequest, Subject};
use crate::step::Outcome;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};

/// Parts that are read in one request: a part may be as large as a message can be.
const PARTS_AT_ONCE: u32 = 4;

/// How often a state is read whose parts are not all there: a replica may lag, and another node may put a
/// newer state in its place meanwhile.
const TRIES: u32 = 40;

/// Loads the state of a projection.
#[derive(Clone, Debug)]
pub struct Load {
    ns: Namespace,
    projection: ConsumerName,
    key: LayoutKey,
    /// The mark is all that is wanted: it is to be replaced, whatever it is.
    mark_alone: bool,
    /// How often a mark that is not there is looked for again.
    looks: u32,
    tries: u32,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    /// Whether the stream is there: the first consumer makes it.
    Stream,
    Mark,
    /// The parts of a mark; those that are no part of it.
    Parts {
        at: Sequence,
        mark: Box<Mark>,
        from: Sequence,
        parts: BTreeMap<Subject, Bytes>,
        others: Vec<Subject>,
    },
}

/// What was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Where its mark is in the consumers' stream: what the next one replaces.
    pub at: Sequence,
    /// The mark.
    pub mark: Mark,
    /// The state.
    pub state: Option<Bytes>,
    /// Parts that no mark names any more (J3).
    pub stale: Vec<Subject>,
}

impl Load {
    /// A load under the layout's key; `mark_alone`: of the mark without the state.
    pub fn new(ns: Namespace, projection: ConsumerName, key: LayoutKey, mark_alone: bool) -> Self {
        Self {
            ns,
            projection,
            key,
            mark_alone,
            looks: 0,
            tries: 0,
            stage: Stage::Stream,
        }
    }

    /// The mark is known to be there, or to have been: a replica that lags does not say that it is not.
    #[must_use]
    pub fn of_known(mut self) -> Self {
        self.looks = LOOKS_MAX;
        self
    }

    /// What is asked next.
    pub fn request(&self) -> StoreRequest {
        let stream = self.ns.consumer_stream();
        match &self.stage {
            Stage::Stream => StoreRequest::StreamInfo { stream },
            Stage::Mark => StoreRequest::Latest {
                stream,
                subjects: vec![self.ns.mark_subject(&self.projection)],
            },
            Stage::Parts { from, .. } => StoreRequest::Scan {
                stream,
                filter: self.ns.state_parts_filter(&self.projection),
                from: *from,
                messages_max: PARTS_AT_ONCE,
            },
        }
    }

    /// Takes the answer in. Done with `None`: there is no state.
    pub fn answered(&mut self, reply: StoreReply) -> Next<Option<Loaded>> {
        match reply {
            Outcome::Done(StoreDone::Stream(_)) if matches!(self.stage, Stage::Stream) => {
                self.stage = Stage::Mark;
                Next::Ask
            }
            Outcome::Refused(Refused::NoStream) if matches!(self.stage, Stage::Stream) => {
                Next::Done(None)
            }
            Outcome::Done(StoreDone::Latest(proof)) if matches!(self.stage, Stage::Mark) => {
                self.marked(proof.messages.into_iter().next())
            }
            Outcome::Done(StoreDone::Page(page)) => self.parted(page.messages, page.more),
            Outcome::Done(_) => Next::Fail(self.misfit()),
            Outcome::Refused(Refused::NotFound) if matches!(self.stage, Stage::Mark) => {
                self.marked(None)
            }
            Outcome::Refused(Refused::NotFound) if matches!(self.stage, Stage::Parts { .. }) => {
                self.parted(Vec::new(), false)
            }
            Outcome::Refused(refused) if may_pass(&refused) => Next::Wait,
            Outcome::Refused(refused) => Next::Fail(StateFault::Store {
                projection: self.projection.clone(),
                what: "read the state",
                refused,
            }),
            Outcome::Unknown => Next::Wait,
        }
    }

    fn marked(&mut self, message: Option<Message>) -> Next<Option<Loaded>> {
        let Some(message) = message else {
            let looks = self.looks.checked_sub(1);
            return looks.map_or(Next::Done(None), |looks| {
                self.looks = looks;
                Next::Wait
            });
        };
        if message.payload.is_empty() {
            // The projection was forgotten; what says so goes by itself, soon.
            return Next::Wait;
        }
        let mark = match Mark::decode(&message.payload) {
            Ok(mark) => mark,
            Err(error) => {
                let projection = self.projection.clone();
                return Next::Fail(StateFault::Format { projection, error });
            }
        };
        let at = message.sequence;
        if self.mark_alone {
            return Next::Done(Some(Loaded {
                at,
                mark,
                state: None,
                stale: Vec::new(),
            }));
        }
        match &mark.state {
            Some(state) if state.whole.is_none() => {
                self.stage = Stage::Parts {
                    at,
                    mark: Box::new(mark),
                    from: Sequence(1),
                    parts: BTreeMap::new(),
                    others: Vec::new(),
                };
                Next::Ask
            }
            state => {
                let state = state.as_ref().and_then(|state| state.whole.clone());
                self.loaded(at, mark, state, Vec::new())
            }
        }
    }

    fn parted(&mut self, messages: Vec<Message>, more: bool) -> Next<Option<Loaded>> {
        let Stage::Parts {
            at,
            mark,
            from,
            parts,
            others,
        } = &mut self.stage
        else {
            return Next::Fail(self.misfit());
        };
        let Some(state) = mark.state.clone() else {
            return Next::Fail(self.misfit());
        };
        let named = |n| self.ns.state_part_subject(&self.projection, state.tag, n);
        let named: Vec<Subject> = (0..state.parts).map(named).collect();
        for message in messages {
            *from = Sequence(message.sequence.0 + 1);
            if named.contains(&message.subject) {
                parts.insert(message.subject, message.payload);
            } else if message.sequence < *at && !message.payload.is_empty() {
                // What was put before the mark and is not named by it: whoever put it waits for a mark that
                // is not there any more, and stores none (J3).
                others.push(message.subject);
            }
        }
        if more {
            return Next::Ask;
        }
        let mut whole = BytesMut::new();
        for subject in &named {
            let Some(part) = parts.get(subject) else {
                return self.again(alloc::format!("its part {subject} is gone"));
            };
            whole.extend_from_slice(part);
        }
        let (at, mark, stale) = (*at, Mark::clone(mark), core::mem::take(others));
        self.loaded(at, mark, Some(whole.freeze()), stale)
    }

    fn loaded(
        &mut self,
        at: Sequence,
        mark: Mark,
        state: Option<Bytes>,
        stale: Vec<Subject>,
    ) -> Next<Option<Loaded>> {
        let whole = |at: &StateAt, state: &Bytes| {
            at.bytes == state.len() as u64 && at.hash == self.key.hash(state)
        };
        match (&mark.state, &state) {
            (Some(at), Some(state)) if !whole(at, state) => {
                return self.again("its bytes are not those that were stored".to_string());
            }
            (Some(_) | None, _) => {}
        }
        Next::Done(Some(Loaded {
            at,
            mark,
            state,
            stale,
        }))
    }

    /// It may be a replica that lags, or a state that was replaced while it was read.
    fn again(&mut self, what: String) -> Next<Option<Loaded>> {
        self.tries += 1;
        self.stage = Stage::Mark;
        if self.tries < TRIES {
            return Next::Wait;
        }
        Next::Fail(StateFault::Damaged {
            projection: self.projection.clone(),
            what,
        })
    }

    fn misfit(&self) -> StateFault {
        StateFault::Misfit {
            projection: self.projection.clone(),
        }
    }
}

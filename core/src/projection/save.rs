//! One save: the parts of a large state, the mark by CAS, and the end of what it replaced (J1–J3).

use super::{Next, StateFault};
use crate::consumer::may_pass;
use crate::format::{LayoutKey, Mark, StateAt};
use crate::id::Sequence;
use crate::name::Namespace;
use crate::port::{
    Expect, Message, Publish, Refused, Rollup, StoreDone, StoreReply, StoreRequest, Subject,
};
use crate::step::Outcome;
use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;

/// How long what removes a part stays, in seconds; the part is gone at once.
const GONE_TTL_S: u32 = 60;

/// Saves the state of a projection with its mark.
#[derive(Clone, Debug)]
pub struct Save {
    ns: Namespace,
    mark: Mark,
    parts: Vec<Bytes>,
    /// The record that the mark is to replace.
    over: Sequence,
    /// What that record names.
    replaces: Option<StateAt>,
    stale: VecDeque<Subject>,
    /// The mark may still be stored by an attempt that had no answer.
    doubt: bool,
    /// Why it is given up.
    fault: Option<StateFault>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Part(u32),
    Mark,
    /// What is there; the mark's outcome is in doubt, or another one is in the way.
    Look,
    /// The next stale part goes; the mark is stored, there.
    Clean(Sequence),
    /// The same; the mark is not stored, since a later one is there or the save is given up.
    Leave,
}

/// What a save came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saved {
    /// The mark is stored there, and names this.
    At(Sequence, Option<StateAt>),
    /// One that is at least as late is there; nothing was stored.
    Later,
}

impl Save {
    /// A save over what was loaded or saved last: its place, and the state that it names. `part_bytes_max`
    /// is what one message may take of the state, `tag` is drawn anew for each save, and `stale` are parts
    /// that are to go.
    pub fn new(
        ns: Namespace,
        (mut mark, state): (Mark, Bytes),
        (key, tag): (LayoutKey, u64),
        (over, replaces): (Sequence, Option<StateAt>),
        part_bytes_max: usize,
        stale: Vec<Subject>,
    ) -> Self {
        let part_bytes_max = part_bytes_max.max(1);
        let parts: Vec<Bytes> = if state.len() <= part_bytes_max {
            Vec::new()
        } else {
            let starts = (0..state.len()).step_by(part_bytes_max);
            let part = |at: usize| state.slice(at..state.len().min(at + part_bytes_max));
            starts.map(part).collect()
        };
        mark.state = Some(StateAt {
            bytes: state.len() as u64,
            hash: key.hash(&state),
            parts: u32::try_from(parts.len()).unwrap_or(u32::MAX),
            tag: if parts.is_empty() { 0 } else { tag },
            whole: parts.is_empty().then_some(state),
        });
        Self {
            ns,
            mark,
            stage: if parts.is_empty() {
                Stage::Mark
            } else {
                Stage::Part(0)
            },
            parts,
            over,
            replaces,
            stale: stale.into(),
            doubt: false,
            fault: None,
        }
    }

    /// What is asked next.
    pub fn request(&self) -> StoreRequest {
        let projection = &self.mark.projection;
        match self.stage {
            Stage::Part(n) => {
                let tag = self.mark.state.as_ref().map_or(0, |state| state.tag);
                let subject = self.ns.state_part_subject(projection, tag, n);
                let part = self.parts.get(n as usize).cloned().unwrap_or_default();
                // The same bytes under the same name, so once more does no harm (J2).
                self.publish(subject, Expect::Nothing, None, part)
            }
            Stage::Mark => {
                let subject = self.ns.mark_subject(projection);
                let over = Expect::OwnLast(self.over);
                self.publish(subject, over, None, self.mark.encode())
            }
            Stage::Look => StoreRequest::Latest {
                stream: self.ns.consumer_stream(),
                subjects: vec![self.ns.mark_subject(projection)],
            },
            Stage::Clean(_) | Stage::Leave => {
                let subject = self.stale.front().cloned();
                let subject = subject.unwrap_or_else(|| self.ns.mark_subject(projection));
                self.publish(subject, Expect::Nothing, Some(GONE_TTL_S), Bytes::new())
            }
        }
    }

    fn publish(
        &self,
        subject: Subject,
        expect: Expect,
        ttl_s: Option<u32>,
        payload: Bytes,
    ) -> StoreRequest {
        StoreRequest::Publish(Publish {
            stream: self.ns.consumer_stream(),
            subject,
            expect,
            rollup: Rollup::Subject,
            dedup: None,
            ttl_s,
            payload,
        })
    }

    /// Takes the answer in.
    pub fn answered(&mut self, reply: StoreReply) -> Next<Saved> {
        match (self.stage, reply) {
            (Stage::Clean(_) | Stage::Leave, _) => {
                // What stays is found by the next load.
                self.stale.pop_front();
                self.cleaned()
            }
            (Stage::Part(n), Outcome::Done(StoreDone::Published(_))) => {
                let next = n + 1;
                self.stage = match self.parts.get(next as usize) {
                    Some(_) => Stage::Part(next),
                    None => Stage::Mark,
                };
                Next::Ask
            }
            (Stage::Mark, Outcome::Done(StoreDone::Published(ack))) => self.saved(ack.sequence),
            (Stage::Mark, Outcome::Refused(Refused::WrongLast { .. })) => {
                self.stage = Stage::Look;
                Next::Ask
            }
            (Stage::Mark, Outcome::Unknown) => {
                self.doubt = true;
                self.stage = Stage::Look;
                Next::Wait
            }
            (Stage::Look, Outcome::Done(StoreDone::Latest(proof))) => {
                self.looked(proof.messages.into_iter().next())
            }
            (Stage::Look, Outcome::Refused(Refused::NotFound)) => self.looked(None),
            (Stage::Part(_) | Stage::Look, Outcome::Unknown) => Next::Wait,
            (_, Outcome::Refused(refused)) if may_pass(&refused) => Next::Wait,
            (_, Outcome::Refused(refused)) => self.give_up(StateFault::Store {
                projection: self.mark.projection.clone(),
                what: "store the state",
                refused,
            }),
            (Stage::Part(_) | Stage::Mark | Stage::Look, Outcome::Done(_)) => {
                self.give_up(StateFault::Misfit {
                    projection: self.mark.projection.clone(),
                })
            }
        }
    }

    /// What stands where the mark was to go.
    fn looked(&mut self, message: Option<Message>) -> Next<Saved> {
        self.stage = Stage::Mark;
        let Some(message) = message else {
            // Gone, or a replica that lags: the condition is the leader's.
            if self.over.is_some() {
                self.over = Sequence::NONE;
                self.replaces = None;
            }
            return Next::Wait;
        };
        if message.sequence == self.over {
            // It may be stored later still: the same bytes on the same condition are stored once.
            return Next::Wait;
        }
        if message.sequence < self.over {
            self.stage = Stage::Look;
            return Next::Wait;
        }
        let found = Mark::decode(&message.payload);
        if found.as_ref() == Ok(&self.mark) {
            return self.saved(message.sequence);
        }
        // Something else is in the place that the mark was to have.
        self.doubt = false;
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                let projection = self.mark.projection.clone();
                return self.give_up(StateFault::Format { projection, error });
            }
        };
        if let Some(fault) = fault_of(&self.mark, &found) {
            return self.give_up(fault);
        }
        if !self.mark.is_after(&found) {
            // Nobody will ever name the parts that were put for this one (J3).
            let state = self.mark.state.take();
            self.forget(state);
            self.stage = Stage::Leave;
            return self.cleaned();
        }
        self.over = message.sequence;
        self.replaces = found.state;
        self.put_anew();
        Next::Ask
    }

    /// What was put for it goes, unless the mark that names it may still be stored (J3).
    fn give_up(&mut self, fault: StateFault) -> Next<Saved> {
        let put = match self.stage {
            Stage::Part(n) => n.saturating_add(1),
            Stage::Mark | Stage::Look | Stage::Clean(_) | Stage::Leave => u32::MAX,
        };
        if !self.doubt
            && let Some(state) = self.mark.state.take()
        {
            let parts = state.parts.min(put);
            self.forget(Some(StateAt { parts, ..state }));
        }
        self.fault = Some(fault);
        self.stage = Stage::Leave;
        self.cleaned()
    }

    /// Who finds the parts before the mark that is there now takes them for stale: others take their place
    /// (J3).
    fn put_anew(&mut self) {
        if self.parts.is_empty() {
            return;
        }
        let state = self.mark.state.clone();
        self.forget(state);
        if let Some(state) = &mut self.mark.state {
            state.tag = state.tag.wrapping_add(1);
        }
        self.stage = Stage::Part(0);
    }

    fn saved(&mut self, at: Sequence) -> Next<Saved> {
        let replaced = self.replaces.take();
        self.forget(replaced);
        self.stage = Stage::Clean(at);
        self.cleaned()
    }

    /// The parts of a state are to go.
    fn forget(&mut self, state: Option<StateAt>) {
        if let Some(StateAt { parts, tag, .. }) = state {
            let projection = &self.mark.projection;
            let part = |n| self.ns.state_part_subject(projection, tag, n);
            self.stale.extend((0..parts).map(part));
        }
    }

    fn cleaned(&mut self) -> Next<Saved> {
        match (self.stage, self.stale.is_empty()) {
            (Stage::Clean(at), true) => Next::Done(Saved::At(at, self.mark.state.clone())),
            (Stage::Leave, true) => match self.fault.take() {
                Some(fault) => Next::Fail(fault),
                None => Next::Done(Saved::Later),
            },
            (Stage::Clean(_) | Stage::Leave, false) => Next::Ask,
            (Stage::Part(_) | Stage::Mark | Stage::Look, _) => Next::Ask,
        }
    }
}

/// What speaks against replacing a mark by another one, whichever is later.
fn fault_of(mark: &Mark, found: &Mark) -> Option<StateFault> {
    let projection = mark.projection.clone();
    if found.layout != mark.layout {
        let (expected, found) = (mark.layout, found.layout);
        return Some(StateFault::OtherLayout {
            projection,
            expected,
            found,
        });
    }
    (found.definition != mark.definition && found.version == mark.version).then_some(
        StateFault::OtherDefinition {
            projection,
            wanted: mark.definition,
            found: found.definition,
        },
    )
}

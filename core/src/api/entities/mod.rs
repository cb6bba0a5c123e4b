//! The host of an aggregate: its entities' states in one shard, and the callers who wait.

mod fold;
mod round;
#[cfg(test)]
mod tests;

pub(crate) use fold::{Untold, decode_event, fold_commits, fold_event, tell_event};

use super::contexts::{Said, Scene};
use super::entity::ServedHead;
use super::plans::Plans;
use super::upcast::Steps;
use super::{
    Aggregate, AnswerCx, Ciphered, CodecError, DecideCx, Decision, Decrypted, Messages,
    PayloadPart, UnknownEvents,
};
use crate::driver::host::{Answer, Caller, Host, Turn, caught};
use crate::format::{Codec, Snapshot};
use crate::id::{CommandId, ShardId, Slot, Ticket};
use crate::log::{Base, Decided, Expected, Firing, FoldError, Provisional, StoredCommit, Verdict};
use crate::name::{EntityId, KindName, Namespace};
use crate::slots::Slots;
use crate::table::Table;
use bytes::Bytes;
use round::Round;
use serde::Serialize;
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// What the entities of a kind have in common.
#[derive(Clone, Debug)]
pub(crate) struct KindFacts {
    pub(crate) namespace: Namespace,
    /// The name of this node.
    pub(crate) node: Arc<str>,
    pub(crate) kind: KindName,
    pub(crate) codec: Codec,
    pub(crate) cipher: Ciphered,
    pub(crate) unknown_events: UnknownEvents,
    pub(crate) steps: Steps,
    /// Counts the events that were left out.
    pub(crate) skipped: Arc<AtomicU64>,
}

/// A command of one caller.
pub(crate) trait Job<A: Aggregate>: Send {
    /// Its id.
    fn id(&self) -> CommandId;

    /// What its caller says of it.
    fn said(&self) -> &Said;

    /// Decides it, and keeps the typed reply; may run again.
    fn decide(&mut self, state: &A, cx: &DecideCx<'_>, codec: Codec) -> Draft<A>;

    /// Tells the caller.
    fn finish(self: Box<Self>, answer: Answer);
}

/// What a job came to.
pub(crate) enum Draft<A: Aggregate> {
    Accepted {
        events: Vec<A::Event>,
        outcome: Result<Bytes, CodecError>,
        record: bool,
        delete: bool,
        plans: Option<Box<Plans<A>>>,
    },
    Rejected,
}

impl<A: Aggregate> Draft<A> {
    /// What was decided, as the log takes it; the reply comes back.
    pub(crate) fn accepted<R: Serialize>(decision: Decision<A, R>, codec: Codec) -> (Self, R) {
        let Decision {
            events,
            reply,
            record,
            delete,
            plans,
        } = decision;
        let outcome = codec.encode(&reply);
        let draft = Self::Accepted {
            events,
            outcome,
            record,
            delete,
            plans,
        };
        (draft, reply)
    }

    /// The same, where the typed result stays with its caller.
    pub(crate) fn of<R: Serialize, E>(
        decided: Result<Decision<A, R>, E>,
        codec: Codec,
    ) -> (Self, Result<R, E>) {
        match decided {
            Ok(decision) => {
                let (draft, reply) = Self::accepted(decision, codec);
                (draft, Ok(reply))
            }
            Err(error) => (Self::Rejected, Err(error)),
        }
    }
}

/// A question of one caller.
pub(crate) trait Question<A: Aggregate>: Send {
    /// What its caller says of it.
    fn said(&self) -> &Said;

    /// Answers it from the committed state, and keeps the answer.
    fn answer(&mut self, state: &A, cx: &AnswerCx<'_>);

    /// Tells the caller.
    fn finish(self: Box<Self>, answer: Answer);
}

/// What a caller wants of an aggregate.
pub(crate) enum Ask<A: Aggregate> {
    Job(Box<dyn Job<A>>),
    Question(Box<dyn Question<A>>),
}

impl<A: Aggregate> Ask<A> {
    /// Puts it where a host waits for a caller; see [`Caller::enter`].
    pub(crate) fn enter(self, place: &mut dyn Any) {
        if let Some(place) = place.downcast_mut() {
            *place = Some(self);
        }
    }

    fn tell(self, answer: Answer) {
        match self {
            Self::Job(job) => job.finish(answer),
            Self::Question(question) => question.finish(answer),
        }
    }
}

impl<A: Aggregate> Caller for Ask<A> {
    fn finish(self: Box<Self>, answer: Answer) {
        self.tell(answer);
    }

    fn enter(self: Box<Self>, place: &mut dyn Any) {
        Self::enter(*self, place);
    }
}

/// The states of one kind's entities in one shard.
pub(crate) struct Entities<A: Aggregate> {
    facts: KindFacts,
    shard: ShardId,
    /// The commands that reminders come as; `None` until it is known that there are some.
    messages: Option<Messages<A>>,
    slots: Slots<Entity<A>>,
    callers: Table<Ticket, Ask<A>>,
    panicked: Option<Panicked>,
}

/// Which of the user's code panicked, and with what text.
type Panicked = (&'static str, String);

struct Entity<A> {
    id: EntityId,
    committed: A,
    /// The state after the commands that were decided last, until the machine says what became of
    /// it.
    provisional: Option<A>,
}

impl<A> Entity<A> {
    /// Keeps the state that was decided last, or drops it.
    fn settle(&mut self, provisional: Provisional) {
        match (provisional, self.provisional.take()) {
            (Provisional::Committed, Some(state)) => self.committed = state,
            (Provisional::Committed, None) | (Provisional::Dropped, _) => {}
        }
    }
}

impl<A: Aggregate> Entities<A> {
    pub(crate) fn new(facts: KindFacts, shard: ShardId, messages: Option<Messages<A>>) -> Self {
        Self {
            facts,
            shard,
            messages,
            slots: Slots::default(),
            callers: Table::new(),
            panicked: None,
        }
    }
}

fn scene<'a>(
    facts: &'a KindFacts,
    entity: &'a EntityId,
    (shard, turn): (ShardId, Turn),
) -> Scene<'a> {
    Scene {
        namespace: &facts.namespace,
        kind: &facts.kind,
        entity,
        version: turn.version,
        node: &facts.node,
        shard,
        epoch: turn.epoch,
    }
}

/// The state in a snapshot.
pub(crate) fn restore<A: Aggregate>(
    facts: &KindFacts,
    snapshot: &Snapshot,
) -> Result<A, FoldError> {
    let whose = (&facts.kind, &snapshot.entity);
    let part = PayloadPart::Snapshot;
    let state = match facts.cipher.decrypt(whose, part, &snapshot.state) {
        Ok(Decrypted::Plain(state)) => state,
        Ok(Decrypted::Shredded) => {
            let cause = "its key is gone".to_owned();
            return Err(FoldError::Snapshot { cause });
        }
        Ok(Decrypted::Damaged(cause)) => return Err(FoldError::Snapshot { cause }),
        Err(error) => {
            let cause = error.to_string();
            return Err(FoldError::Snapshot { cause });
        }
    };
    let cause = match caught(|| A::restore(&state, facts.codec)) {
        Ok(Some(Ok(state))) => return Ok(state),
        Ok(Some(Err(error))) => error.to_string(),
        Ok(None) => "this build restores no snapshots of the kind".to_owned(),
        Err(panic) => format!("Aggregate::restore panicked: {panic}"),
    };
    Err(FoldError::Snapshot { cause })
}

impl<A: Aggregate> Host for Entities<A> {
    fn admit(&mut self, ticket: Ticket, caller: Box<dyn Caller>) {
        let mut ask: Option<Ask<A>> = None;
        caller.enter(&mut ask);
        match ask {
            Some(ask) => {
                self.callers.insert(ticket, ask);
            }
            None => unreachable!("a kind has one aggregate type in a process"),
        }
    }

    fn fold(
        &mut self,
        slot: Slot,
        entity: &EntityId,
        base: &Base,
        commits: &[StoredCommit],
    ) -> Result<(), FoldError> {
        // The slot is empty until the fold succeeds: after an error nothing is held.
        let held = self.slots.remove(slot);
        let state = match base {
            Base::Nothing => A::default(),
            Base::Snapshot(snapshot) => restore(&self.facts, snapshot)?,
            Base::Held(provisional) => {
                let mut held = held.expect("the machine folds onto a state that it saw folded");
                held.settle(*provisional);
                held.committed
            }
        };
        let committed = fold_commits(&self.facts, state, commits).inspect_err(|error| {
            if let FoldError::Panicked { cause, .. } = error {
                self.panicked = Some(("evolve", cause.clone()));
            }
        })?;
        self.slots.insert(
            slot,
            Entity {
                id: entity.clone(),
                committed,
                provisional: None,
            },
        );
        Ok(())
    }

    fn decide(&mut self, turn: Turn, commands: &[(Ticket, Expected)]) -> Vec<Decided> {
        let entity = self.slots.get_mut(turn.slot).expect("a folded slot");
        entity.settle(turn.provisional);
        let mut round = Round {
            codec: self.facts.codec,
            scene: scene(&self.facts, &entity.id, (self.shard, turn)),
            cipher: &self.facts.cipher,
            messages: &mut self.messages,
            panicked: &mut self.panicked,
            committed: &entity.committed,
            state: None,
            events: Vec::new(),
        };
        let decided = commands
            .iter()
            .map(|(ticket, expected)| Decided {
                ticket: *ticket,
                verdict: match self.callers.get_mut(ticket) {
                    Some(Ask::Job(job)) => round.decide(job.as_mut(), *expected),
                    Some(Ask::Question(_)) | None => {
                        unreachable!("a command has a job until it is answered")
                    }
                },
            })
            .collect();
        entity.provisional = round.state;
        decided
    }

    fn fire(&mut self, turn: Turn, firing: &Firing) -> Verdict {
        let entity = self.slots.get_mut(turn.slot).expect("a folded slot");
        entity.settle(turn.provisional);
        let (timer, message) = (&firing.timer.name, &firing.timer.message);
        let (kind, codec) = (&self.facts.kind, self.facts.codec);
        let of = (&*message.name, message.schema);
        let messages = self.messages.as_ref();
        let Some(decode) = messages.and_then(|messages| messages.decoder(of)) else {
            return Verdict::Failed(format!(
                "timer {timer} sends {} v{}, which {kind} does not list in this build: name it in Entity::messages as long as timers have it, and serve the kind",
                of.0, of.1
            ));
        };
        let part = PayloadPart::Message(of.0, of.1);
        let data = match self
            .facts
            .cipher
            .decrypt((kind, &entity.id), part, &message.data)
        {
            Ok(Decrypted::Plain(data)) => data,
            // Nobody will ever know what it was.
            Ok(Decrypted::Shredded) => return Verdict::Rejected,
            Ok(Decrypted::Damaged(cause)) => {
                return Verdict::Failed(format!("timer {timer}: {cause}"));
            }
            Err(error) => return Verdict::Failed(format!("timer {timer}: {error}")),
        };
        let said = Said::new(firing.wall, None, None);
        let head = ServedHead::alone(firing.id, said);
        let decoded = caught(|| decode(codec, &data, head));
        let mut job = match decoded.map_err(CodecError::new).and_then(|job| job) {
            Ok(job) => job,
            Err(cause) => {
                return Verdict::Failed(format!(
                    "timer {timer} sends {} v{}, which cannot be decoded: {cause}",
                    of.0, of.1
                ));
            }
        };
        let mut round = Round {
            codec,
            scene: scene(&self.facts, &entity.id, (self.shard, turn)),
            cipher: &self.facts.cipher,
            messages: &mut self.messages,
            panicked: &mut self.panicked,
            committed: &entity.committed,
            state: None,
            events: Vec::new(),
        };
        let verdict = round.decide(job.as_mut(), Expected::Any);
        entity.provisional = round.state;
        verdict
    }

    fn answer(&mut self, turn: Turn, tickets: &[Ticket]) {
        let entity = self.slots.get_mut(turn.slot).expect("a folded slot");
        entity.settle(turn.provisional);
        let scene = scene(&self.facts, &entity.id, (self.shard, turn));
        for ticket in tickets {
            if let Some(Ask::Question(question)) = self.callers.get_mut(ticket) {
                let said = question.said().clone();
                let said = &said;
                question.answer(&entity.committed, &AnswerCx { scene, said });
            }
        }
    }

    fn snapshot(&mut self, slot: Slot, provisional: Provisional) -> Result<Bytes, String> {
        let entity = self.slots.get_mut(slot).expect("a folded slot");
        entity.settle(provisional);
        match caught(|| entity.committed.snapshot(self.facts.codec)) {
            Ok(Some(Ok(bytes))) => {
                let whose = (&self.facts.kind, &entity.id);
                let cipher = &self.facts.cipher;
                let stored = cipher.encrypt(whose, PayloadPart::Snapshot, bytes);
                stored.map_err(|error| error.to_string())
            }
            Ok(Some(Err(error))) => Err(error.to_string()),
            Ok(None) => Err("Aggregate::snapshot makes none of this state".to_owned()),
            Err(panic) => {
                let told = format!("Aggregate::snapshot panicked: {panic}");
                self.panicked = Some(("snapshot", panic));
                Err(told)
            }
        }
    }

    fn forget(&mut self, slot: Slot) {
        self.slots.remove(slot);
    }

    fn finish(&mut self, ticket: Ticket, answer: Answer) {
        if let Some(ask) = self.callers.remove(&ticket) {
            ask.tell(answer);
        }
    }

    fn take_panic(&mut self) -> Option<(String, String)> {
        let (code, text) = self.panicked.take()?;
        Some((format!("{code} of {}", self.facts.kind), text))
    }

    fn finish_all(&mut self, answer: &Answer) {
        while let Some((_, ask)) = self.callers.pop_first() {
            ask.tell(answer.clone());
        }
    }
}

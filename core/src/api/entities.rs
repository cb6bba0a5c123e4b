//! The host of an aggregate: its entities' states in one shard, and the callers who wait.

use super::{Aggregate, CodecError, DecideCx, Event, UnknownEvents};
use crate::driver::host::{Answer, Caller, Host, caught};
use crate::format::{Codec, EventRecord, Snapshot};
use crate::id::{CommandId, Slot, Ticket, Version, WallTime};
use crate::log::{Base, Decided, Expected, FoldError, NewEvent, StoredCommit, Verdict};
use crate::name::{EntityId, KindName, Namespace};
use bytes::Bytes;
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the entities of a kind have in common.
#[derive(Clone, Debug)]
pub(crate) struct KindFacts {
    pub(crate) namespace: Namespace,
    pub(crate) kind: KindName,
    pub(crate) codec: Codec,
    pub(crate) unknown_events: UnknownEvents,
    /// Counts the events that were left out.
    pub(crate) skipped: Arc<AtomicU64>,
}

/// A command of one caller.
pub(crate) trait Job<A: Aggregate>: Send {
    /// Its id.
    fn id(&self) -> CommandId;

    /// When it arrived.
    fn time(&self) -> WallTime;

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
    },
    Rejected,
}

/// A question of one caller.
pub(crate) trait Question<A: Aggregate>: Send {
    /// Answers it from the committed state, and keeps the answer.
    fn answer(&mut self, state: &A, version: Version);

    /// Tells the caller.
    fn finish(self: Box<Self>, answer: Answer);
}

/// What a caller wants of an aggregate.
pub(crate) enum Ask<A: Aggregate> {
    Job(Box<dyn Job<A>>),
    Question(Box<dyn Question<A>>),
}

impl<A: Aggregate> Caller for Ask<A> {
    fn finish(self: Box<Self>, answer: Answer) {
        match *self {
            Self::Job(job) => job.finish(answer),
            Self::Question(question) => question.finish(answer),
        }
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

/// The states of one kind's entities in one shard.
pub(crate) struct Entities<A: Aggregate> {
    facts: KindFacts,
    slots: BTreeMap<Slot, Entity<A>>,
    callers: BTreeMap<Ticket, Ask<A>>,
}

struct Entity<A> {
    id: EntityId,
    committed: A,
    /// The state after the commands that are being committed.
    provisional: Option<A>,
}

impl<A: Aggregate> Entities<A> {
    pub(crate) fn new(facts: KindFacts) -> Self {
        Self {
            facts,
            slots: BTreeMap::new(),
            callers: BTreeMap::new(),
        }
    }

    fn restore(&self, snapshot: &Snapshot) -> Result<A, FoldError> {
        let cause = match caught(|| A::restore(&snapshot.state, self.facts.codec)) {
            Ok(Some(Ok(state))) => return Ok(state),
            Ok(Some(Err(error))) => error.to_string(),
            Ok(None) => "this build restores no snapshots of the kind".to_owned(),
            Err(panic) => panic,
        };
        Err(FoldError::Snapshot { cause })
    }
}

impl<A: Aggregate> Host for Entities<A> {
    fn admit(&mut self, ticket: Ticket, caller: Box<dyn Caller>) {
        match caller.into_any().downcast::<Ask<A>>() {
            Ok(ask) => {
                self.callers.insert(ticket, *ask);
            }
            Err(_) => unreachable!("a kind has one aggregate type in a process"),
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
        let held = self.slots.remove(&slot);
        let state = match base {
            Base::Nothing => A::default(),
            Base::Snapshot(snapshot) => self.restore(snapshot)?,
            Base::Held => {
                held.expect("the machine folds onto a state that it saw folded")
                    .committed
            }
        };
        let committed = fold_commits(&self.facts, state, commits)?;
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

    fn decide(
        &mut self,
        slot: Slot,
        version: Version,
        commands: &[(Ticket, Expected)],
    ) -> Vec<Decided> {
        let entity = self.slots.get_mut(&slot).expect("a folded slot");
        let mut round = Round {
            facts: &self.facts,
            committed: &entity.committed,
            id: &entity.id,
            version,
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

    fn settle(&mut self, slot: Slot, keep: bool) {
        if let Some(entity) = self.slots.get_mut(&slot) {
            match entity.provisional.take() {
                Some(state) if keep => entity.committed = state,
                Some(_) | None => {}
            }
        }
    }

    fn answer(&mut self, slot: Slot, version: Version, tickets: &[Ticket]) {
        let entity = self.slots.get(&slot).expect("a folded slot");
        for ticket in tickets {
            if let Some(Ask::Question(question)) = self.callers.get_mut(ticket) {
                question.answer(&entity.committed, version);
            }
        }
    }

    fn snapshot(&mut self, slot: Slot) -> Option<Bytes> {
        let state = &self.slots.get(&slot)?.committed;
        match caught(|| state.snapshot(self.facts.codec)) {
            Ok(Some(Ok(bytes))) => Some(bytes),
            Ok(None) => None,
            Ok(Some(Err(error))) => {
                tracing::warn!(kind = %self.facts.kind, %error, "snapshot_not_encoded");
                None
            }
            Err(panic) => {
                tracing::warn!(kind = %self.facts.kind, error = panic, "snapshot_not_encoded");
                None
            }
        }
    }

    fn forget(&mut self, slot: Slot) {
        self.slots.remove(&slot);
    }

    fn finish(&mut self, ticket: Ticket, answer: Answer) {
        if let Some(ask) = self.callers.remove(&ticket) {
            Box::new(ask).finish(answer);
        }
    }

    fn finish_all(&mut self, answer: &Answer) {
        while let Some((_, ask)) = self.callers.pop_first() {
            Box::new(ask).finish(answer.clone());
        }
    }
}

/// Commands of one entity, decided one after another.
struct Round<'a, A: Aggregate> {
    facts: &'a KindFacts,
    committed: &'a A,
    id: &'a EntityId,
    version: Version,
    /// The state after the events so far; `None` while there are none.
    state: Option<A>,
    /// The events so far, to rebuild the state when `evolve` panics half way.
    events: Vec<A::Event>,
}

impl<A: Aggregate> Round<'_, A> {
    fn decide(&mut self, job: &mut dyn Job<A>, expected: Expected) -> Verdict {
        let met = match expected {
            Expected::Any => true,
            Expected::Exactly(version) => version == self.version,
            Expected::Present => self.version != Version::ABSENT,
        };
        if !met {
            return Verdict::Conflict(self.version);
        }
        let cx = DecideCx {
            namespace: &self.facts.namespace,
            kind: &self.facts.kind,
            entity: self.id,
            version: self.version,
            time: job.time(),
            command: job.id(),
        };
        let state = self.state.as_ref().unwrap_or(self.committed);
        match caught(|| job.decide(state, &cx, self.facts.codec)) {
            Ok(Draft::Rejected) => Verdict::Rejected,
            Ok(Draft::Accepted {
                events,
                outcome,
                record,
            }) => self
                .accept(events, outcome, record)
                .unwrap_or_else(Verdict::Failed),
            Err(panic) => Verdict::Failed(format!("decide panicked: {panic}")),
        }
    }

    fn accept(
        &mut self,
        events: Vec<A::Event>,
        outcome: Result<Bytes, CodecError>,
        record: bool,
    ) -> Result<Verdict, String> {
        let outcome = outcome.map_err(|e| format!("the reply cannot be encoded: {e}"))?;
        let encoded = events
            .iter()
            .map(|event| encode_event(event, self.facts.codec))
            .collect::<Result<Vec<_>, _>>()?;
        let version = self.version.after(events.len());
        let version = version.ok_or("no version is left above the entity's last one")?;
        self.evolve(&events)?;
        self.version = version;
        self.events.extend(events);
        Ok(Verdict::Accepted {
            events: encoded,
            outcome,
            record,
        })
    }

    fn evolve(&mut self, events: &[A::Event]) -> Result<(), String> {
        if events.is_empty() {
            return Ok(());
        }
        let (before, committed) = (self.state.take(), self.committed);
        let evolved = caught(|| {
            let mut state = before.unwrap_or_else(|| committed.clone());
            for event in events {
                state.evolve(event);
            }
            state
        });
        match evolved {
            Ok(state) => {
                self.state = Some(state);
                Ok(())
            }
            Err(panic) => {
                self.rebuild();
                Err(format!("evolve panicked: {panic}"))
            }
        }
    }

    /// The state after the events so far, which `evolve` took before.
    fn rebuild(&mut self) {
        if self.events.is_empty() {
            return;
        }
        let mut state = self.committed.clone();
        for event in &self.events {
            state.evolve(event);
        }
        self.state = Some(state);
    }
}

fn encode_event<E: Event>(event: &E, codec: Codec) -> Result<NewEvent, String> {
    let data = caught(|| event.encode(codec))
        .and_then(|encoded| encoded.map_err(|e| e.to_string()))
        .map_err(|cause| format!("event {:?} cannot be encoded: {cause}", event.name()))?;
    Ok(NewEvent {
        version: None,
        name: event.name().to_owned(),
        schema: event.schema(),
        data,
    })
}

/// Folds stored commits, oldest first, onto a state. A tombstone resets it.
pub(crate) fn fold_commits<A: Aggregate>(
    facts: &KindFacts,
    mut state: A,
    commits: &[StoredCommit],
) -> Result<A, FoldError> {
    for stored in commits {
        for record in &stored.commit.events {
            state = fold_event(facts, state, record)?;
        }
        if stored.commit.tombstone {
            state = A::default();
        }
    }
    Ok(state)
}

/// Folds one stored event onto a state.
pub(crate) fn fold_event<A: Aggregate>(
    facts: &KindFacts,
    mut state: A,
    record: &EventRecord,
) -> Result<A, FoldError> {
    let Some(event) = decode_event::<A::Event>(facts, record)? else {
        return Ok(state);
    };
    caught(|| {
        state.evolve(&event);
        state
    })
    .map_err(|cause| FoldError::Panicked {
        version: record.version,
        cause,
    })
}

/// Decodes a stored event; `None` when the policy leaves it out.
pub(crate) fn decode_event<E: Event>(
    facts: &KindFacts,
    record: &EventRecord,
) -> Result<Option<E>, FoldError> {
    let decoded = caught(|| E::decode(&record.name, record.schema, facts.codec, &record.data))
        .and_then(|decoded| decoded.map_err(|e| e.to_string()));
    match (decoded, facts.unknown_events) {
        (Ok(Some(event)), _) => Ok(Some(event)),
        (Ok(None), UnknownEvents::Skip) => {
            facts.skipped.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                kind = %facts.kind,
                event = record.name,
                schema = record.schema,
                version = record.version.0,
                "event_skipped"
            );
            Ok(None)
        }
        (Ok(None), UnknownEvents::Fail) => Err(FoldError::UnknownEvent {
            name: record.name.clone(),
            schema: record.schema,
            version: record.version,
        }),
        (Err(cause), _) => Err(FoldError::Undecodable {
            name: record.name.clone(),
            schema: record.schema,
            version: record.version,
            cause,
        }),
    }
}

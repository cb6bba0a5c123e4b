//! The machine itself: its state, and one step routed to the concern that it is about.

use super::entity::{Caller, Command, Draft, Entity, Phase, Pledge, Reader, Stage, Taking, Why};
use super::owned::{Fence, Flight, Owned};
use super::{
    Effect, Input, KindConfig, KindIndex, Note, Ran, Read, Refusal, Reply, Shape, ShardConfig,
    Submit, Work,
};
use crate::format::{SnapshotRef, WriteMode};
use crate::id::{Epoch, OpId, Sequence, Slot, Ticket};
use crate::name::EntityId;
use crate::port::{StoreReply, StoreRequest, Subject};
use crate::step::{Cx, Deadline, Effects, HaltReason, Limits, Machine, Purpose, Span, Time};
use crate::{reached, sometimes};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

/// The event log of one (class, shard) on one node.
#[derive(Clone, Debug)]
pub struct Shard {
    pub(super) config: ShardConfig,
    pub(super) limits: Limits,
    pub(super) names: Names,
    /// The store's shape as it was read last.
    pub(super) shape: Shape,
    /// Whether the store is connected.
    pub(super) up: bool,
    pub(super) kinds: Vec<KindConfig>,
    pub(super) entities: BTreeMap<Slot, Entity>,
    index: BTreeMap<(KindIndex, EntityId), Slot>,
    /// Entities that may be forgotten, least recently used first.
    resting: BTreeSet<(u64, Slot)>,
    /// What each outstanding operation is for.
    pub(super) ops: BTreeMap<OpId, Op>,
    /// Callers without a reply, each with its entity and deadline.
    callers: BTreeMap<Ticket, (Slot, Time)>,
    deadlines: BTreeSet<(Time, Ticket)>,
    /// What is to be done again after a wait.
    pub(super) retries: BTreeSet<(Time, Retry)>,
    /// Entities that wait for the link or for ownership.
    pub(super) parked: BTreeSet<Slot>,
    /// The highest acknowledged sequence of the stream (S13).
    pub(super) high_water: Sequence,
    /// Since when the stream has looked shorter than that.
    pub(super) low_since: Option<Time>,
    pub(super) owned: Owned,
    now: Time,
    op_next: u64,
    slot_next: u64,
    draw_next: u64,
    used_next: u64,
}

/// Subjects and streams of a shard.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) stream: String,
    pub(super) snapshots: String,
    pub(super) anchor: Subject,
    pub(super) own: Subject,
    pub(super) barrier: Subject,
}

impl Names {
    fn new(config: &ShardConfig) -> Self {
        let ShardConfig {
            namespace,
            shard,
            stream,
            class,
            ..
        } = config;
        Self {
            stream: namespace.event_stream(*stream),
            snapshots: namespace.snapshot_stream(),
            anchor: namespace.anchor_subject(*stream),
            own: namespace.ownership_subject(*class, *shard),
            barrier: namespace.barrier_subject(*class, *shard),
        }
    }

    /// The subject whose message makes a read a proof (S11).
    pub(super) fn proof(&self, mode: WriteMode) -> Subject {
        match mode {
            WriteMode::Direct => self.anchor.clone(),
            WriteMode::Owned => self.own.clone(),
        }
    }
}

/// What an outstanding operation is for.
#[derive(Clone, Debug)]
pub(super) enum Op {
    /// The proof-carrying read of a load.
    Latest(Slot),
    /// The read of a snapshot's body.
    Body(Slot),
    /// The read of one listed commit.
    Get(Slot),
    /// The host folds.
    Fold(Slot),
    /// The host decides.
    Decide(Slot),
    /// The host settles.
    Settle(Slot),
    /// The host answers readers.
    Answer(Slot),
    /// The host encodes a snapshot.
    Encode(Slot),
    /// A snapshot's body is being stored.
    Keep(Slot),
    /// A commit is being stored by itself.
    Commit(Slot),
    /// Owned mode: commits and a barrier are being stored, or a barrier alone.
    Flight(Flight),
    /// Owned mode: a claim or seal.
    Claim,
    /// Owned mode: the record that stands in a claim's way.
    Rival,
    /// Its asker does not wait any more.
    Abandoned,
}

/// What is done again after a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Retry {
    Entity(Slot),
    Pump,
    Claim,
}

/// One step: what it may know and where its effects go.
pub(super) struct Turn<'a, 'b> {
    pub(super) cx: &'a mut Cx<'b>,
    pub(super) out: &'a mut Effects<Effect>,
}

impl Turn<'_, '_> {
    /// Answers a caller, unless it was answered before (L6).
    pub(super) fn reply(&mut self, shard: &mut Shard, ticket: Ticket, reply: Reply) {
        if let Some((_, deadline)) = shard.callers.remove(&ticket) {
            shard.deadlines.remove(&(deadline, ticket));
            self.out.push(Effect::Reply { ticket, reply });
        }
    }

    pub(super) fn note(&mut self, note: Note) {
        self.out.push(Effect::Note(note));
    }

    pub(super) fn halt(&mut self, broken: &'static str) {
        self.out.push(Effect::Halt(HaltReason::Broken(broken)));
    }
}

impl Shard {
    /// A shard that knows nothing yet and waits for `Input::Up`.
    pub fn new(config: ShardConfig, limits: Limits) -> Self {
        Self {
            names: Names::new(&config),
            config,
            limits,
            shape: Shape {
                replicated: false,
                payload_bytes_max: 0,
            },
            up: false,
            kinds: Vec::new(),
            entities: BTreeMap::new(),
            index: BTreeMap::new(),
            resting: BTreeSet::new(),
            ops: BTreeMap::new(),
            callers: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            retries: BTreeSet::new(),
            parked: BTreeSet::new(),
            high_water: Sequence::NONE,
            low_since: None,
            owned: Owned::new(&limits),
            now: Time::ZERO,
            op_next: 0,
            slot_next: 0,
            draw_next: 0,
            used_next: 0,
        }
    }

    /// What this shard is.
    pub fn config(&self) -> &ShardConfig {
        &self.config
    }

    /// Owned mode: the epoch in which this node may commit now.
    pub fn epoch(&self) -> Option<Epoch> {
        match &self.owned.fence {
            Fence::Owner(epoch) => Some(*epoch),
            Fence::Unowned | Fence::Claiming(_) => None,
        }
    }

    /// Entities in memory.
    pub fn entities_count(&self) -> usize {
        self.entities.len()
    }

    /// Callers without a reply.
    pub fn callers_count(&self) -> usize {
        self.callers.len()
    }

    /// The highest acknowledged sequence of the stream (S13).
    pub fn high_water(&self) -> Sequence {
        self.high_water
    }

    fn on_up(&mut self, t: &mut Turn<'_, '_>, shape: Shape) {
        sometimes!(t.cx, shape.replicated, "log: the stream is replicated");
        self.shape = shape;
        self.up = true;
        self.unpark(t);
        if self.config.mode == WriteMode::Owned {
            self.claim_on(t);
            self.pump(t);
        }
    }

    /// Lets everyone go on who waited for the link or for ownership.
    pub(super) fn unpark(&mut self, t: &mut Turn<'_, '_>) {
        for slot in core::mem::take(&mut self.parked) {
            self.go_on(t, slot);
        }
    }

    fn on_submit(&mut self, t: &mut Turn<'_, '_>, submit: Submit) {
        let Submit {
            ticket,
            kind,
            entity,
            id,
            expected,
            wall,
            deadline,
        } = submit;
        let ahead_ms = id.map_or(0, |id| id.time().0.saturating_sub(wall.0));
        let ahead_max_ms = self.limits.id_ahead_max_ms;
        let arrived = t.cx.now;
        let Some(slot) = self.admit(t, ticket, kind, entity, deadline) else {
            return;
        };
        if ahead_ms > ahead_max_ms {
            reached!(t.cx, "log: a command id is ahead of the clock");
            let refusal = Refusal::Ahead {
                ahead_ms,
                ahead_max_ms,
            };
            t.reply(self, ticket, Reply::Refused(refusal));
            return self.rest(slot);
        }
        let command = Command {
            ticket,
            id,
            expected,
            wall,
            arrived,
            conflicts: 0,
        };
        self.entity(slot).queue.push_back(Caller::Command(command));
        self.next(t, slot);
    }

    fn on_read(&mut self, t: &mut Turn<'_, '_>, read: Read) {
        let Read {
            ticket,
            kind,
            entity,
            deadline,
        } = read;
        let arrived = t.cx.now;
        let Some(slot) = self.admit(t, ticket, kind, entity, deadline) else {
            return;
        };
        self.entity(slot)
            .queue
            .push_back(Caller::Reader(Reader { ticket, arrived }));
        self.next(t, slot);
    }

    /// Takes a caller in, if there is room; the slot of its entity.
    fn admit(
        &mut self,
        t: &mut Turn<'_, '_>,
        ticket: Ticket,
        kind: KindIndex,
        id: EntityId,
        deadline: Time,
    ) -> Option<Slot> {
        assert!(!self.callers.contains_key(&ticket), "a ticket is in use");
        let name = self
            .kinds
            .get(usize::from(kind.0))
            .map(|kind| kind.record.name.clone());
        let name = name.expect("a kind that was registered");
        let known = self.index.get(&(kind, id.clone())).copied();
        let waiting = known.map_or(0, |slot| self.entity(slot).queue.len());
        let unowned = matches!(self.owned.fence, Fence::Unowned);
        let refusal = if deadline <= t.cx.now {
            Some(Refusal::Deadline)
        } else if self.config.mode == WriteMode::Owned && unowned {
            Some(Refusal::NotOwner)
        } else if self.callers.len() >= self.limits.shard_queue_max
            || waiting >= self.limits.entity_queue_max
        {
            reached!(t.cx, "log: a caller is refused because too many wait");
            Some(Refusal::Overloaded)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            t.out.push(Effect::Reply {
                ticket,
                reply: Reply::Refused(refusal),
            });
            return None;
        }
        let slot = known.unwrap_or_else(|| {
            let slot = Slot(self.slot_next);
            self.slot_next += 1;
            let namespace = &self.config.namespace;
            let subject = namespace.event_subject(self.config.shard, &name, &id);
            self.index.insert((kind, id.clone()), slot);
            self.entities.insert(slot, Entity::new(kind, id, subject));
            slot
        });
        self.callers.insert(ticket, (slot, deadline));
        self.deadlines.insert((deadline, ticket));
        let used = self.entity(slot).used;
        self.resting.remove(&(used, slot));
        Some(slot)
    }

    /// Takes up the next caller of an entity with nothing under way.
    pub(super) fn next(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        let mode = self.config.mode;
        let entity = self.entity(slot);
        if !matches!(entity.phase, Phase::Idle) {
            return;
        }
        let Some(front) = entity.queue.front() else {
            return self.rest(slot);
        };
        let Some(held) = &entity.held else {
            return self.load(t, slot, Why::Open, Sequence::NONE);
        };
        match front {
            Caller::Command(_) => self.decide(t, slot),
            Caller::Reader(reader) if reader.arrived <= held.confirmed => self.answer(t, slot),
            Caller::Reader(_) => match mode {
                WriteMode::Direct => self.load(t, slot, Why::Open, Sequence::NONE),
                WriteMode::Owned => self.pledge_readers(t, slot),
            },
        }
    }

    /// Does again what an entity was waiting to do.
    fn go_on(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        let Some(entity) = self.entities.get(&slot) else {
            return;
        };
        match &entity.phase {
            Phase::Idle => self.next(t, slot),
            Phase::Load(..) => self.load_on(t, slot),
            Phase::Commit(_, Stage::Ready | Stage::Waiting) => self.send(t, slot),
            Phase::Commit(_, Stage::Flying | Stage::Doubtful)
            | Phase::Decide { .. }
            | Phase::Barrier(_)
            | Phase::Settle
            | Phase::Answer { .. }
            | Phase::Encode => {}
        }
    }

    fn answer(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        let entity = self.entity(slot);
        let Some(held) = &entity.held else { return };
        let (version, confirmed) = (held.version, held.confirmed);
        let mut readers = Vec::new();
        while let Some(Caller::Reader(reader)) = entity.queue.front()
            && reader.arrived <= confirmed
        {
            readers.push(reader.clone());
            entity.queue.pop_front();
        }
        let tickets = readers.iter().map(|reader| reader.ticket).collect();
        self.run(
            t,
            Op::Answer(slot),
            Work::Answer {
                slot,
                version,
                tickets,
            },
        );
        self.entity(slot).phase = Phase::Answer { readers };
    }

    fn on_answered(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        let entity = self.entity(slot);
        let version = entity
            .held
            .as_ref()
            .map(|held| held.version)
            .unwrap_or_default();
        let Phase::Answer { readers } = core::mem::replace(&mut entity.phase, Phase::Idle) else {
            return t.halt("the host answered without being asked to");
        };
        for reader in readers {
            t.reply(self, reader.ticket, Reply::Read { version });
        }
        self.next(t, slot);
    }

    fn on_tick(&mut self, t: &mut Turn<'_, '_>) {
        let now = t.cx.now;
        while let Some((at, retry)) = self.retries.first().copied()
            && at <= now
        {
            self.retries.pop_first();
            match retry {
                Retry::Entity(slot) => self.go_on(t, slot),
                Retry::Pump => self.pump(t),
                Retry::Claim => self.claim_on(t),
            }
        }
        while let Some((at, ticket)) = self.deadlines.first().copied()
            && at <= now
        {
            self.deadlines.pop_first();
            self.overdue(t, ticket);
        }
    }

    /// A caller's deadline passed.
    fn overdue(&mut self, t: &mut Turn<'_, '_>, ticket: Ticket) {
        let Some((slot, _)) = self.callers.get(&ticket).copied() else {
            return;
        };
        let entity = self.entity(slot);
        let waits = entity
            .queue
            .iter()
            .position(|caller| caller.ticket() == ticket);
        if let Some(place) = waits {
            entity.queue.remove(place);
            reached!(t.cx, "log: a caller's deadline passed in the queue");
            return t.reply(self, ticket, Reply::Refused(Refusal::Deadline));
        }
        match &mut entity.phase {
            Phase::Load(_, Why::Confirm(members)) | Phase::Barrier(Pledge::Replies(members)) => {
                members.retain(|member| member.command.ticket != ticket);
                t.reply(self, ticket, Reply::Refused(Refusal::Deadline));
            }
            Phase::Load(_, Why::Look(draft)) => {
                draft.part_with(ticket);
                reached!(
                    t.cx,
                    "log: a caller's deadline passed while its commit was looked for"
                );
                t.reply(self, ticket, Reply::Refused(Refusal::Unknown));
            }
            Phase::Commit(draft, stage) => {
                let certain = !draft.doubt && matches!(stage, Stage::Ready | Stage::Waiting);
                if certain {
                    return self.withdraw(t, slot, ticket);
                }
                draft.part_with(ticket);
                let abandoned = draft.is_alone() && *stage == Stage::Waiting;
                reached!(
                    t.cx,
                    "log: a caller's deadline passed while its commit was in doubt"
                );
                t.reply(self, ticket, Reply::Refused(Refusal::Unknown));
                if abandoned {
                    self.forget_held(slot);
                    self.entity(slot).phase = Phase::Idle;
                    self.next(t, slot);
                }
            }
            // The host is at it and will say in a moment.
            Phase::Decide { .. } | Phase::Answer { .. } => {
                let later = t.cx.now + self.limits.retry_delay_min;
                self.callers.insert(ticket, (slot, later));
                self.deadlines.insert((later, ticket));
            }
            Phase::Idle
            | Phase::Load(_, Why::Open)
            | Phase::Barrier(Pledge::Readers)
            | Phase::Settle
            | Phase::Encode => t.halt("a caller waits for an entity that does not know it"),
        }
    }

    /// An entity has nothing to do: it may be forgotten.
    pub(super) fn rest(&mut self, slot: Slot) {
        let used = self.used_next;
        let entity = self.entity(slot);
        if !entity.is_idle() {
            return;
        }
        let before = core::mem::replace(&mut entity.used, used);
        self.used_next += 1;
        self.resting.remove(&(before, slot));
        self.resting.insert((used, slot));
    }

    /// Forgets the least recently used entities beyond the limit.
    fn evict(&mut self, t: &mut Turn<'_, '_>) {
        while self.entities.len() > self.limits.entities_max
            && let Some((_, slot)) = self.resting.pop_first()
        {
            reached!(t.cx, "log: an entity is forgotten to make room");
            if let Some(entity) = self.entities.remove(&slot) {
                self.index.remove(&(entity.kind, entity.id));
            }
            t.out.push(Effect::Forget { slot });
        }
    }

    /// What the host holds for an entity is not to be used again.
    pub(super) fn forget_held(&mut self, slot: Slot) {
        let entity = self.entity(slot);
        entity.held = None;
        if !matches!(entity.snapshot, Taking::Storing(_)) {
            entity.snapshot = Taking::No;
        }
    }

    /// The stream is known to reach this far.
    pub(super) fn raise_high_water(&mut self, sequence: Sequence) {
        self.high_water = self.high_water.max(sequence);
    }

    /// The stream looks shorter than it was: at once a lost tail where there is one replica, after
    /// a while where an answer may be old (S13).
    pub(super) fn look_low(&mut self, t: &mut Turn<'_, '_>, up_to: Sequence) {
        if up_to >= self.high_water {
            return;
        }
        let now = t.cx.now;
        let since = *self.low_since.get_or_insert(now);
        if !self.shape.replicated || now.since(since) >= self.limits.lost_tail_patience {
            self.lost_tail(t, up_to);
        }
    }

    /// Acknowledged messages are gone: nothing that is held counts any more, the epoch neither
    /// (S13).
    pub(super) fn lost_tail(&mut self, t: &mut Turn<'_, '_>, now: Sequence) {
        self.drop_all(t, now);
        if self.config.mode == WriteMode::Owned {
            self.claim_after_lost_tail(t);
        }
        self.unpark(t);
    }

    /// Begins again with what callers want and nothing else.
    pub(super) fn drop_all(&mut self, t: &mut Turn<'_, '_>, now: Sequence) {
        reached!(t.cx, "log: the stream lost its tail");
        let was = core::mem::replace(&mut self.high_water, Sequence::NONE);
        self.low_since = None;
        t.note(Note::LostTail { was, now });
        let slots: Vec<_> = self.entities.keys().copied().collect();
        for slot in slots {
            self.start_over(t, slot);
        }
    }

    /// Drops what is known of one entity and begins again with what its callers want.
    fn start_over(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        self.abandon_load(slot);
        let entity = self.entity(slot);
        match core::mem::replace(&mut entity.phase, Phase::Idle) {
            Phase::Idle | Phase::Load(_, Why::Open) | Phase::Barrier(Pledge::Readers) => {}
            Phase::Load(_, Why::Confirm(members)) | Phase::Barrier(Pledge::Replies(members)) => {
                self.requeue(slot, members)
            }
            Phase::Load(_, Why::Look(draft)) => self.give_up(t, draft),
            Phase::Commit(draft, stage) => {
                if draft.sent.is_none() {
                    self.requeue(slot, draft.members);
                } else if stage == Stage::Flying {
                    // Its answer still comes, but what it rests on may be gone.
                    let draft = Draft {
                        lost: true,
                        ..draft
                    };
                    self.entity(slot).phase = Phase::Commit(draft, stage);
                } else {
                    self.give_up(t, draft);
                }
            }
            phase @ (Phase::Decide { .. }
            | Phase::Settle
            | Phase::Answer { .. }
            | Phase::Encode) => self.entity(slot).phase = phase,
        }
        self.forget_held(slot);
        self.parked.insert(slot);
    }

    /// Repeats an entity's next request after a wait that grows with each repetition.
    pub(super) fn back_off(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        let tries = self.entity(slot).tries;
        let delay = self.delay(t, tries);
        self.entity(slot).tries = tries.saturating_add(1);
        self.retries.insert((t.cx.now + delay, Retry::Entity(slot)));
    }

    /// A wait that doubles with each try up to a limit, half of it drawn.
    pub(super) fn delay(&mut self, t: &Turn<'_, '_>, tries: u32) -> Span {
        let Limits {
            retry_delay_min,
            retry_delay_max,
            ..
        } = self.limits;
        let full = retry_delay_min
            .saturating_mul(1 << tries.min(20))
            .min(retry_delay_max);
        let half = full.as_nanos() / 2;
        let ordinal = self.draw();
        Span::from_nanos(half + t.cx.dice.below(Purpose::RetryJitter, ordinal, half + 1))
    }

    /// The next ordinal of a draw.
    pub(super) fn draw(&mut self) -> u64 {
        self.draw_next += 1;
        self.draw_next
    }

    /// Whether reads of the log may be sent.
    pub(super) fn may_read(&self) -> bool {
        self.up
            && match self.config.mode {
                WriteMode::Direct => true,
                WriteMode::Owned => matches!(self.owned.fence, Fence::Owner(_)),
            }
    }

    pub(super) fn ask(&mut self, t: &mut Turn<'_, '_>, op: Op, request: StoreRequest) -> OpId {
        let id = self.begin(op);
        t.out.push(Effect::Store { op: id, request });
        id
    }

    pub(super) fn run(&mut self, t: &mut Turn<'_, '_>, op: Op, work: Work) -> OpId {
        let id = self.begin(op);
        t.out.push(Effect::Run { op: id, work });
        id
    }

    fn begin(&mut self, op: Op) -> OpId {
        let id = OpId(self.op_next);
        self.op_next += 1;
        self.ops.insert(id, op);
        id
    }

    /// An entity that is in memory.
    ///
    /// # Panics
    ///
    /// When it is not: slots are only kept for entities that are.
    pub(super) fn entity(&mut self, slot: Slot) -> &mut Entity {
        self.entities
            .get_mut(&slot)
            .expect("a slot of an entity in memory")
    }

    pub(super) fn kind_of(&mut self, slot: Slot) -> KindConfig {
        let kind = self.entity(slot).kind;
        self.kinds[usize::from(kind.0)].clone()
    }

    pub(super) fn snapshot_subject(&mut self, slot: Slot, named: &SnapshotRef) -> Subject {
        let kind = self.kind_of(slot).record.name;
        let id = self.entity(slot).id.clone();
        let ShardConfig {
            namespace, shard, ..
        } = &self.config;
        namespace.snapshot_subject(*shard, &kind, &id, named.version, named.tag)
    }

    fn on_stored(&mut self, t: &mut Turn<'_, '_>, op: OpId, reply: StoreReply) {
        let Some(purpose) = self.ops.remove(&op) else {
            return t.out.push(Effect::Halt(HaltReason::UnknownOp(op)));
        };
        match purpose {
            Op::Latest(slot) => self.on_latest(t, slot, reply),
            Op::Body(slot) => self.on_body(t, slot, reply),
            Op::Get(slot) => self.on_get(t, slot, op, reply),
            Op::Keep(slot) => self.on_snapshot_stored(t, slot, reply),
            Op::Commit(slot) => match self.config.mode {
                WriteMode::Direct => self.on_commit(t, slot, reply),
                WriteMode::Owned => self.on_single(t, slot, reply),
            },
            Op::Flight(flight) => self.on_flight(t, flight, reply),
            Op::Claim => self.on_claim(t, reply),
            Op::Rival => self.on_rival(t, reply),
            Op::Abandoned => {}
            Op::Fold(_) | Op::Decide(_) | Op::Settle(_) | Op::Answer(_) | Op::Encode(_) => {
                t.out.push(Effect::Halt(HaltReason::WrongAnswer(op)));
            }
        }
    }

    fn on_ran(&mut self, t: &mut Turn<'_, '_>, op: OpId, ran: Ran) {
        let Some(purpose) = self.ops.remove(&op) else {
            return t.out.push(Effect::Halt(HaltReason::UnknownOp(op)));
        };
        match (purpose, ran) {
            (Op::Fold(slot), Ran::Folded(folded)) => self.on_folded(t, slot, folded),
            (Op::Decide(slot), Ran::Decided(decided)) => self.on_decided(t, slot, decided),
            (Op::Settle(slot), Ran::Settled) => self.on_settled(t, slot),
            (Op::Answer(slot), Ran::Answered) => self.on_answered(t, slot),
            (Op::Encode(slot), Ran::Snapshotted(state)) => self.on_encoded(t, slot, state),
            (Op::Abandoned, _) => {}
            (
                Op::Latest(_)
                | Op::Body(_)
                | Op::Get(_)
                | Op::Fold(_)
                | Op::Decide(_)
                | Op::Settle(_)
                | Op::Answer(_)
                | Op::Encode(_)
                | Op::Keep(_)
                | Op::Commit(_)
                | Op::Flight(_)
                | Op::Claim
                | Op::Rival,
                _,
            ) => t.out.push(Effect::Halt(HaltReason::WrongAnswer(op))),
        }
    }
}

impl Machine for Shard {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, cx: &mut Cx<'_>, input: Input, out: &mut Effects<Effect>) {
        if cx.now < self.now {
            return out.push(Effect::Halt(HaltReason::ClockWentBack));
        }
        self.now = cx.now;
        let t = &mut Turn { cx, out };
        match input {
            Input::Tick => self.on_tick(t),
            Input::Up(shape) => self.on_up(t, shape),
            Input::Down => self.up = false,
            Input::Kind(kind) => self.kinds.push(kind),
            Input::Claim => self.claim(t),
            Input::Submit(submit) => self.on_submit(t, submit),
            Input::Read(read) => self.on_read(t, read),
            Input::Ran { op, ran } => self.on_ran(t, op, ran),
            Input::Stored { op, reply } => self.on_stored(t, op, reply),
        }
        self.evict(t);
    }

    fn next_deadline(&self) -> Option<Deadline> {
        let deadline = self.deadlines.first();
        let deadline = deadline.map(|(at, _)| Deadline {
            at: *at,
            timer: "caller",
        });
        let retry = self.retries.first().map(|(at, retry)| Deadline {
            at: *at,
            timer: match retry {
                Retry::Entity(_) => "retry",
                Retry::Pump => "retry pump",
                Retry::Claim => "retry claim",
            },
        });
        Deadline::earliest(deadline, retry)
    }
}

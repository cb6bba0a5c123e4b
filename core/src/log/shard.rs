//! The machine itself: its state, and one step routed to the concern that it is about.

use super::agenda::{Agenda, INTERNAL};
use super::entity::{Entity, Moment, Phase, Pledge, Stage, Why};
use super::owned::{Fence, Flight, Owned};
use super::rest::{CacheCounts, Resting, Unnamed};
use super::sweep::Chores;
use super::{
    Effect, Input, KindConfig, KindIndex, LaterCounts, Note, Provisional, Ran, Reply, Shape,
    ShardConfig, Work,
};
use crate::format::{SnapshotRef, WriteMode};
use crate::id::{Epoch, OpId, Sequence, Slot, Ticket};
use crate::name::EntityId;
use crate::port::{StoreReply, StoreRequest, StreamName, Subject};
use crate::slots::{SlotNumbers, Slots};
use crate::sometimes;
use crate::step::{Cx, Deadline, Effects, HaltReason, Limits, Machine, Purpose, Span, Time};
use crate::table::Table;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The event log of one (class, shard) on one node.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Shard {
    pub(super) config: ShardConfig,
    /// Shared by the shards of a lane: each command looks at a dozen of them.
    pub(super) limits: Arc<Limits>,
    pub(super) names: Names,
    /// The store's shape as it was read last.
    pub(super) shape: Shape,
    /// Whether the store is connected.
    pub(super) up: bool,
    pub(super) kinds: Vec<KindConfig>,
    pub(super) entities: Slots<Box<Entity>>,
    pub(super) index: BTreeMap<Named, Slot>,
    /// Entities that may be forgotten.
    pub(super) resting: Resting,
    /// Entities that came to rest in this step and whose kind is not kept in memory.
    pub(super) passing: Vec<Slot>,
    pub(super) unnamed: Unnamed,
    pub(super) cache_counts: CacheCounts,
    /// What each outstanding operation is for.
    pub(super) ops: Table<OpId, Op>,
    /// Callers without a reply, each with its entity and deadline.
    pub(super) callers: Table<Ticket, (Slot, Time)>,
    pub(super) deadlines: Table<(Time, Ticket), ()>,
    /// What is to be done again after a wait.
    pub(super) retries: BTreeSet<(Time, Retry)>,
    /// Entities that wait for the link or for ownership.
    pub(super) parked: BTreeSet<Slot>,
    /// The highest acknowledged sequence of the stream (S13).
    pub(super) high_water: Sequence,
    /// Since when the stream has looked shorter than that.
    pub(super) low_since: Option<Time>,
    /// When the stream was found without its tail last: what callers knew until then of how far it
    /// reaches does not count.
    pub(super) lost: Moment,
    /// How far it was known to reach before it was found so.
    pub(super) lost_up_to: Sequence,
    /// Commands that were decided again.
    pub(super) conflicts: u64,
    pub(super) window: Window,
    pub(super) owned: Owned,
    /// Timers and messages; `None` where nothing has any.
    pub(super) agenda: Option<Box<Agenda>>,
    /// Until when this node may act as the holder of its lease.
    pub(super) lease: Option<Time>,
    /// Bodies of snapshots that are on their way to the store.
    pub(super) bodies_count: usize,
    pub(super) chores: Chores,
    /// What a commit is encoded in; its memory is used again.
    pub(super) encoded: Vec<u8>,
    pub(super) now: Time,
    pub(super) moment: Moment,
    /// When the store was connected last: what was held before is checked before it is used.
    pub(super) linked: Moment,
    /// How far the stream was known to reach then.
    pub(super) linked_above: Sequence,
    op_next: u64,
    pub(super) slot_numbers: SlotNumbers,
    draw_next: u64,
}

/// The name of an entity in a shard. Each command looks its entity up, so what is compared first is a
/// number of the name: the names of the others are not touched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Named {
    number: u64,
    pub(super) kind: KindIndex,
    pub(super) id: EntityId,
}

impl Named {
    pub(super) fn new(kind: KindIndex, id: EntityId) -> Self {
        // FNV-1a; entities whose numbers are the same are told apart by their names.
        let bytes = id.as_str().bytes();
        let number = bytes.fold(0xcbf2_9ce4_8422_2325, |number: u64, byte| {
            (number ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self { number, kind, id }
    }
}

/// Commits that are sent by themselves: how many are in flight, and which come next.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Window {
    /// Entities whose draft may be sent, in order; what is not ready any more is passed over.
    pub(super) ready: VecDeque<Slot>,
    /// Commits that are being stored by themselves.
    pub(super) singles_count: usize,
    pub(super) singles_max: usize,
}

/// Subjects and streams of a shard.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Names {
    pub(super) stream: StreamName,
    pub(super) snapshots: StreamName,
    pub(super) anchor: Subject,
    pub(super) own: Subject,
    pub(super) barrier: Subject,
    pub(super) index: Subject,
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
            index: namespace.index_subject(*class, *shard),
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
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
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
    /// The host answers readers.
    Answer(Slot),
    /// The host encodes a snapshot.
    Encode(Slot),
    /// A snapshot's body is being stored.
    Keep(Slot),
    /// A body that nobody needs any more is being deleted.
    Erase(KindIndex, EntityId),
    /// The bodies of an entity are being listed.
    Sweep(KindIndex, EntityId, Vec<Subject>),
    /// A commit is being stored by itself.
    Commit(Slot),
    /// Owned mode: commits and a barrier are being stored, or a barrier alone.
    Flight(Box<Flight>),
    /// Owned mode: a claim or seal.
    Claim,
    /// Owned mode: the record that stands in a claim's way.
    Rival,
    /// Owned mode: the record that ends the ownership.
    Leave,
    /// The shard's index is being read.
    IndexRead,
    /// Commits of the shard are being read.
    Tail,
    /// The commit of an undone message is being read.
    Wanted,
    /// Messages to a receiver that was away are being read.
    Shelf,
    /// Commits of an entity that is to be deleted are being read.
    Sent(Slot),
    /// The index is being stored by itself, under an epoch, in a stay as an owner.
    Index(Epoch, u64),
    /// Its asker does not wait any more.
    Abandoned,
}

/// What is done again after a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Retry {
    Entity(Slot),
    Deletion(Slot),
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
            if ticket.0 & INTERNAL != 0 {
                return shard.on_fired(self, ticket, &reply);
            }
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
    pub fn new(config: ShardConfig, limits: impl Into<Arc<Limits>>) -> Self {
        let limits = limits.into();
        let singles_max = limits.commits_in_flight_max;
        let owned = config.mode == WriteMode::Owned;
        let agenda = (config.later && owned).then(Box::default);
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
            entities: Slots::default(),
            index: BTreeMap::new(),
            resting: Resting::default(),
            passing: Vec::new(),
            unnamed: Unnamed::default(),
            cache_counts: CacheCounts::default(),
            ops: Table::new(),
            callers: Table::new(),
            deadlines: Table::new(),
            retries: BTreeSet::new(),
            parked: BTreeSet::new(),
            high_water: Sequence::NONE,
            low_since: None,
            lost: Moment::default(),
            lost_up_to: Sequence::NONE,
            conflicts: 0,
            window: Window {
                ready: VecDeque::new(),
                singles_count: 0,
                singles_max,
            },
            owned: Owned::new(),
            agenda,
            lease: None,
            bodies_count: 0,
            chores: Chores::default(),
            encoded: Vec::new(),
            now: Time::ZERO,
            moment: Moment::default(),
            linked: Moment::default(),
            linked_above: Sequence::NONE,
            op_next: 0,
            slot_numbers: SlotNumbers::default(),
            draw_next: 0,
        }
    }

    /// How many entities are in memory.
    pub fn entities_held(&self) -> usize {
        self.entities.len()
    }

    /// What this shard is.
    pub fn config(&self) -> &ShardConfig {
        &self.config
    }

    /// Owned mode: the epoch in which this node may commit now.
    pub fn epoch(&self) -> Option<Epoch> {
        match &self.owned.fence {
            Fence::Owner(epoch) => Some(*epoch),
            Fence::Unowned | Fence::Claiming(_) | Fence::Leaving(_) => None,
        }
    }

    /// The stream that this shard's log is in.
    pub fn stream(&self) -> &StreamName {
        &self.names.stream
    }

    /// Takes the names of its streams from those that others have, which it adds to: each request has
    /// them, and is so of the same text for all shards.
    pub fn share_names(&mut self, shared: &mut BTreeSet<StreamName>) {
        for name in [&mut self.names.stream, &mut self.names.snapshots] {
            match shared.get(name) {
                Some(same) => name.clone_from(same),
                None => {
                    shared.insert(name.clone());
                }
            }
        }
    }

    /// The highest acknowledged sequence of the stream (S13).
    pub fn high_water(&self) -> Sequence {
        self.high_water
    }

    /// What is to be done later, as far as it is in mind.
    pub fn later_counts(&self) -> LaterCounts {
        let agenda = self.agenda.as_deref();
        agenda.map_or(LaterCounts::default(), Agenda::counts)
    }

    /// How many commands were decided again since the start, because others were first.
    pub fn conflicts(&self) -> u64 {
        self.conflicts
    }

    fn on_up(&mut self, t: &mut Turn<'_, '_>, shape: Shape) {
        sometimes!(t.cx, shape.replicated, "log: the stream is replicated");
        self.shape = shape;
        self.up = true;
        self.linked = self.moment;
        self.linked_above = self.high_water;
        self.drop_unnamed(0);
        if self.config.mode == WriteMode::Owned {
            // A stream may come back without its tail: the seal's sequence tells, before anything
            // else is stored under the epoch (S13).
            self.seal(t);
            self.claim_on(t);
            self.depart(t);
        }
        for slot in self.slots() {
            self.check_anew(t, slot);
        }
        self.unpark(t);
    }

    /// Whether what is held of an entity was in the log since the store was connected.
    ///
    /// A stream may have lost its tail and grown again under other writers: its length then tells
    /// nothing, only the commits do (S13, K3).
    pub(super) fn is_checked(&mut self, slot: Slot) -> bool {
        let linked = self.linked;
        let held = self.entity(slot).held.as_ref();
        held.is_some_and(|held| held.checked >= linked)
    }

    /// What rests on the held state of an entity and was not sent begins anew after a reconnect;
    /// a commit in doubt is looked for.
    pub(super) fn check_anew(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        match core::mem::replace(&mut self.entity(slot).phase, Phase::Idle) {
            Phase::Commit(draft, Stage::Ready | Stage::Waiting) if draft.doubt => {
                self.load(t, slot, Why::Look(draft), Sequence::NONE);
            }
            Phase::Commit(draft, Stage::Ready | Stage::Waiting) => {
                self.requeue(slot, draft.members);
                self.next(t, slot);
            }
            Phase::Barrier(Pledge::Replies(members)) => {
                self.requeue(slot, members);
                self.next(t, slot);
            }
            Phase::Barrier(Pledge::Readers) => self.next(t, slot),
            phase @ (Phase::Idle
            | Phase::Load(..)
            | Phase::Decide { .. }
            | Phase::Commit(_, Stage::Flying | Stage::Doubtful)
            | Phase::Answer { .. }
            | Phase::Encode) => self.entity(slot).phase = phase,
        }
    }

    /// Lets everyone go on who waited for the link or for ownership.
    pub(super) fn unpark(&mut self, t: &mut Turn<'_, '_>) {
        for slot in core::mem::take(&mut self.parked) {
            self.go_on(t, slot);
        }
    }

    /// Does again what an entity was waiting to do.
    fn go_on(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        let Some(entity) = self.entities.get(slot) else {
            return;
        };
        match &entity.phase {
            Phase::Idle => self.next(t, slot),
            Phase::Load(..) => self.load_on(t, slot),
            Phase::Commit(_, Stage::Ready | Stage::Waiting) => self.send(t, slot),
            Phase::Commit(_, Stage::Flying | Stage::Doubtful)
            | Phase::Decide { .. }
            | Phase::Barrier(_)
            | Phase::Answer { .. }
            | Phase::Encode => {}
        }
    }

    fn on_tick(&mut self, t: &mut Turn<'_, '_>) {
        let now = t.cx.now;
        while let Some((at, retry)) = self.retries.first().copied()
            && at <= now
        {
            self.retries.pop_first();
            match retry {
                Retry::Entity(slot) => self.go_on(t, slot),
                Retry::Deletion(slot) => self.delete_again(t, slot, at),
                Retry::Pump => self.pump(t),
                Retry::Claim => {
                    self.claim_on(t);
                    self.depart(t);
                }
            }
        }
        while let Some(((at, ticket), ())) = self.deadlines.first()
            && let (at, ticket) = (*at, *ticket)
            && at <= now
        {
            self.deadlines.pop_first();
            self.overdue(t, ticket);
        }
    }

    /// What the host holds for an entity is not to be used again.
    pub(super) fn forget_held(&mut self, slot: Slot) {
        self.drop_body(slot);
        let entity = self.entity(slot);
        entity.held = None;
        entity.provisional = Provisional::Dropped;
        entity.replayed = false;
        entity.swept = false;
        if let Some(deletions) = &mut entity.deletions {
            deletions.begin_anew();
        }
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
        } = *self.limits;
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

    /// An operation whose answer is known by its number alone.
    pub(super) fn new_op(&mut self) -> OpId {
        let id = OpId(self.op_next);
        self.op_next += 1;
        id
    }

    fn begin(&mut self, op: Op) -> OpId {
        let id = self.new_op();
        self.ops.insert(id, op);
        id
    }

    /// The slots of all entities in memory, in the order in which they came.
    pub(super) fn slots(&self) -> Vec<Slot> {
        let all = self.entities.in_order().into_iter();
        all.map(|(slot, _)| slot).collect()
    }

    /// An entity that is in memory.
    ///
    /// # Panics
    ///
    /// When it is not: slots are only kept for entities that are.
    pub(super) fn entity(&mut self, slot: Slot) -> &mut Entity {
        self.entities
            .get_mut(slot)
            .expect("a slot of an entity in memory")
    }

    /// The kind of an entity that is in memory.
    ///
    /// # Panics
    ///
    /// When it is not.
    pub(super) fn kind_of(&self, slot: Slot) -> &KindConfig {
        let entity = self
            .entities
            .get(slot)
            .expect("a slot of an entity in memory");
        &self.kinds[usize::from(entity.kind.0)]
    }

    pub(super) fn snapshot_subject(&self, slot: Slot, named: &SnapshotRef) -> Subject {
        let entity = self
            .entities
            .get(slot)
            .expect("a slot of an entity in memory");
        self.body_subject(entity.kind, &entity.id, named)
    }

    /// The subject of a snapshot's body.
    pub(super) fn body_subject(
        &self,
        kind: KindIndex,
        entity: &EntityId,
        named: &SnapshotRef,
    ) -> Subject {
        let kind = &self.kinds[usize::from(kind.0)].record.name;
        let ShardConfig {
            namespace, shard, ..
        } = &self.config;
        namespace.snapshot_subject(*shard, kind, entity, named.version, named.tag)
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
            Op::Erase(kind, entity) => self.on_erased(t, kind, entity, reply),
            Op::Sweep(kind, entity, kept) => self.on_swept(t, (kind, entity), &kept, reply),
            Op::Commit(slot) => match self.config.mode {
                WriteMode::Direct => self.on_commit(t, slot, reply),
                WriteMode::Owned => self.on_single(t, slot, reply),
            },
            Op::Flight(flight) => self.on_flight(t, *flight, reply),
            Op::Claim => self.on_claim(t, reply),
            Op::Rival => self.on_rival(t, reply),
            Op::Leave => self.on_departed(t, reply),
            Op::IndexRead => self.on_index(t, op, reply),
            Op::Tail => self.on_tail(t, op, reply),
            Op::Wanted => self.on_wanted(t, op, reply),
            Op::Shelf => self.on_shelf(t, op, reply),
            Op::Sent(slot) => self.on_sent(t, slot, op, reply),
            Op::Index(epoch, generation) => {
                self.on_index_stored(t, (epoch, generation), reply);
            }
            Op::Abandoned => {}
            Op::Fold(_) | Op::Decide(_) | Op::Answer(_) | Op::Encode(_) => {
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
            (Op::Answer(slot), Ran::Answered) => self.on_answered(t, slot),
            (Op::Encode(slot), Ran::Snapshotted(state)) => self.on_encoded(t, slot, state),
            (Op::Abandoned, _) => {}
            (
                Op::Latest(_)
                | Op::Body(_)
                | Op::Get(_)
                | Op::Fold(_)
                | Op::Decide(_)
                | Op::Answer(_)
                | Op::Encode(_)
                | Op::Keep(_)
                | Op::Erase(..)
                | Op::Sweep(..)
                | Op::Commit(_)
                | Op::Flight(_)
                | Op::Claim
                | Op::Rival
                | Op::Leave
                | Op::IndexRead
                | Op::Tail
                | Op::Wanted
                | Op::Shelf
                | Op::Sent(_)
                | Op::Index(..),
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
        self.moment.0 += 1;
        let t = &mut Turn { cx, out };
        match input {
            Input::Tick => self.on_tick(t),
            Input::Up(shape) => self.on_up(t, shape),
            Input::Down => self.up = false,
            Input::Kind(kind) => {
                assert!(kind.snapshots.check().is_ok(), "a policy that was checked");
                self.kinds.push(kind);
                self.learn_kind();
            }
            Input::Claim => self.claim(t),
            Input::Order(order) => self.on_order(t, order),
            Input::Run(run) => self.become_run(t, run),
            Input::Lease(lease) => self.lease = lease,
            Input::Evict => self.evict(t),
            Input::Submit(submit) => self.on_submit(t, submit),
            Input::Read(read) => self.on_read(t, read),
            Input::Wall(wall) => self.on_wall(t, wall),
            Input::Dispatched { op, delivery } => self.on_dispatched(t, op, delivery),
            Input::Failed(order) => self.on_failed_order(t, order),
            Input::Ran { op, ran } => self.on_ran(t, op, ran),
            Input::Stored { op, reply } => self.on_stored(t, op, reply),
        }
        if self.owned.leave.is_some() {
            self.leave_on(t);
        }
        if !self.passing.is_empty() {
            self.forget_passing(t);
        }
        self.do_chores(t);
        if self.agenda.is_some() {
            self.do_later(t);
        }
    }

    fn next_deadline(&self) -> Option<Deadline> {
        let deadline = self.deadlines.first();
        let deadline = deadline.map(|((at, _), ())| Deadline {
            at: *at,
            timer: "caller",
        });
        let retry = self.retries.first().map(|(at, retry)| Deadline {
            at: *at,
            timer: match retry {
                Retry::Entity(_) => "retry",
                Retry::Deletion(_) => "deletion",
                Retry::Pump => "retry pump",
                Retry::Claim => "retry claim",
            },
        });
        let callers = Deadline::earliest(deadline, retry);
        match &self.agenda {
            Some(agenda) if self.acts() => {
                let waits = self.owned.flying || self.waits_for_mark();
                let writes = !self.shape.replicated || !waits;
                Deadline::earliest(callers, agenda.next_deadline(&self.limits, writes))
            }
            Some(_) | None => callers,
        }
    }
}

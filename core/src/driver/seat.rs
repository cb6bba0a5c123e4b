//! The seat of one shard's log: its machine, and the hosts of the kinds in it.

use super::counters::Counters;
use super::host::{Answer, Host, KindEntry, Turn, caught};
use super::lane::{Env, Who};
use super::panics::Panics;
use super::recorder::LastBegan;
use super::request::{EntityRequest, What};
use crate::cache::StockAt;
use crate::format::{TakeOver, WriteMode};
use crate::id::{Epoch, KindId, OpId, Sequence, ShardId, Slot, Ticket, Version};
use crate::log::{
    CacheCounts, Decided, Dispatch, Effect, Input, KindIndex, Note, Provisional, Ran, Read,
    Refusal, Reply, Shape, Shard, ShardConfig, Stock, Submit, Verdict, Work,
};
use crate::port::StreamName;
use crate::shard::{Order, Place, Report};
use crate::slots::Slots;
use crate::step::{Cx, Deadline, Dice, Effects, Limits, Machine, Time};
use crate::table::Table;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;

/// Which log a seat is of. Raw kinds have logs of their own, as if another process wrote them.
#[derive(Clone, Copy)]
pub(crate) struct ShardKey {
    pub(crate) mode: WriteMode,
    pub(crate) class: TakeOver,
    pub(crate) raw: bool,
    pub(crate) shard: ShardId,
    /// All of it as one number.
    part: u32,
}

impl ShardKey {
    /// How many combinations of what is beside the shard there are.
    pub(crate) const TABLES: usize = 8;

    /// Which combination it is, and the shard's number.
    #[inline]
    pub(crate) fn place(self) -> (usize, usize) {
        ((self.part >> 16) as usize, usize::from(self.shard.0))
    }

    pub(crate) fn of(kind: &KindEntry, shard: ShardId) -> Self {
        let (mode, class) = (kind.config.record.mode, kind.config.record.class);
        Self::new(mode, class, kind.raw, shard)
    }

    fn new(mode: WriteMode, class: TakeOver, raw: bool, shard: ShardId) -> Self {
        let mode_bit = match mode {
            WriteMode::Direct => 0,
            WriteMode::Owned => 1,
        };
        let class_bit = match class {
            TakeOver::Fenced => 0,
            TakeOver::Leased => 1,
        };
        let raw_bit = u32::from(raw);
        Self {
            mode,
            class,
            raw,
            shard,
            part: raw_bit << 18 | mode_bit << 17 | class_bit << 16 | u32::from(shard.0),
        }
    }

    /// The log whose fence a place is.
    pub(crate) fn of_place(place: Place) -> Self {
        Self::new(WriteMode::Owned, place.class, false, place.shard)
    }

    /// The place whose fence this log has.
    pub(crate) fn fence(self) -> Place {
        Place {
            class: self.class,
            shard: self.shard,
        }
    }

    /// A number of its own, for dice of its own.
    #[inline]
    pub(crate) fn part(self) -> u64 {
        u64::from(self.part)
    }
}

// Compared for each command, so by one number.
impl PartialEq for ShardKey {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.part == other.part
    }
}

impl Eq for ShardKey {}

impl PartialOrd for ShardKey {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ShardKey {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.part.cmp(&other.part)
    }
}

impl fmt::Debug for ShardKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let raw = if self.raw { " raw" } else { "" };
        write!(f, "{:?} {:?} {:?}{raw}", self.shard, self.mode, self.class)
    }
}

/// What a log wants of its lane beside the store.
#[derive(Debug)]
pub(crate) enum Errand {
    /// What the wall clock says.
    Wall,
    /// A message delivered.
    Dispatch(OpId, Box<Dispatch>),
}

/// One shard's log.
pub(crate) struct Seat {
    key: ShardKey,
    /// Where the cache has what it keeps.
    stock_at: StockAt,
    machine: Shard,
    dice: Dice,
    hosts: Vec<Box<dyn Host>>,
    kinds: BTreeMap<KindId, KindIndex>,
    slots: Slots<KindIndex>,
    /// Who waits for an answer, and at which host.
    tickets: Table<Ticket, KindIndex>,
    /// Work of the host that is not done yet.
    works: VecDeque<(OpId, Work)>,
    /// What it came to, or why it panicked, until the machine takes it in.
    ran: VecDeque<(OpId, Result<Ran, String>)>,
    /// Those of hosts are told here.
    panics: Panics,
    /// What the cache was told that the machine keeps.
    told: Stock,
    /// When the lane looks at it at the latest: at its next deadline or before.
    noted: Option<Time>,
    /// What the counters were told.
    counted: CacheCounts,
    /// Another process owns the shard now: it is not taken back.
    superseded: bool,
    /// The node's ownership orders what is claimed; else the log claims what it uses.
    ruled: bool,
    halted: Option<String>,
    /// When the recorder kept the machine last.
    began: Option<LastBegan>,
}

impl Seat {
    /// The seat of a shard; its streams are named as those of the other seats (`names`).
    pub(crate) fn new(
        (key, stock_at): (ShardKey, StockAt),
        config: ShardConfig,
        limits: Arc<Limits>,
        dice: Dice,
        (names, panics): (&mut BTreeSet<StreamName>, Panics),
    ) -> Self {
        let mut machine = Shard::new(config, limits);
        machine.share_names(names);
        Self {
            key,
            stock_at,
            machine,
            dice,
            hosts: Vec::new(),
            kinds: BTreeMap::new(),
            slots: Slots::default(),
            tickets: Table::new(),
            works: VecDeque::new(),
            ran: VecDeque::new(),
            panics,
            told: Stock::default(),
            noted: None,
            counted: CacheCounts::default(),
            superseded: false,
            ruled: false,
            halted: None,
            began: None,
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Deadline> {
        match self.halted {
            Some(_) => None,
            None => self.machine.next_deadline(),
        }
    }

    /// The next deadline, when the lane would look too late for it. Each command has one, and hardly
    /// one is the first of its shard.
    pub(crate) fn deadline_to_note(&mut self) -> Option<Time> {
        let at = self.next_deadline()?.at;
        if self.noted.is_some_and(|noted| noted <= at) {
            return None;
        }
        self.noted = Some(at);
        self.noted
    }

    /// The lane looked, and does so again then.
    pub(crate) fn looked(&mut self, next: Option<Time>) {
        self.noted = next;
    }

    pub(crate) fn key(&self) -> ShardKey {
        self.key
    }

    /// The shape of this shard's stream.
    pub(crate) fn shape(&self, shapes: &[Shape]) -> Option<Shape> {
        shapes
            .get(usize::from(self.machine.config().stream.0))
            .copied()
    }

    /// What the machine keeps, if that changed since it was asked last.
    pub(crate) fn new_stock(&mut self) -> Option<Stock> {
        let stock = match self.halted {
            // Its entities are gone with its callers, as far as anybody can use them.
            Some(_) => Stock::default(),
            None => self.machine.stock(),
        };
        let before = core::mem::replace(&mut self.told, stock);
        (before != stock).then_some(stock)
    }

    /// Adds what its log has to do later.
    pub(crate) fn count_later(&self, counters: &mut Counters) {
        let counts = self.machine.later_counts();
        counters.timers_armed += counts.timers as u64;
        counters.intents_undone += counts.undone as u64;
        counters.intents_kept += counts.failed as u64;
        counters.receivers_shelved += counts.shelved as u64;
    }

    /// Where the cache has what it keeps.
    pub(crate) fn stock_at(&self) -> StockAt {
        self.stock_at
    }

    /// The stream of this shard's log.
    pub(crate) fn stream(&self) -> &StreamName {
        self.machine.stream()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.tickets.is_empty()
    }

    /// The store is there, of this shape. A lone process owns all, and claims the shard; in a cluster
    /// that is ordered.
    pub(crate) fn open(&mut self, env: &mut Env<'_>, shape: Option<Shape>, ruled: bool) {
        self.ruled = ruled;
        if let Some(shape) = shape {
            self.feed(env, Input::Up(shape));
        }
        self.claim(env);
    }

    /// Becomes the shard's owner, unless it is or another process was after it. A claim that the
    /// store refused, because it was full perhaps, is so made again for the next caller.
    fn claim(&mut self, env: &mut Env<'_>) {
        match self.key.mode {
            WriteMode::Owned
                if !self.ruled && !self.superseded && self.machine.epoch().is_none() =>
            {
                self.feed(env, Input::Claim);
            }
            WriteMode::Owned | WriteMode::Direct => {}
        }
    }

    /// The node's ownership orders something of this log.
    pub(crate) fn order(&mut self, env: &mut Env<'_>, order: Order) {
        self.ruled = true;
        if let Some(reason) = &self.halted {
            let cause = reason.clone();
            return env
                .reports
                .push((self.key.fence(), Report::Failed { cause }));
        }
        self.feed(env, Input::Order(order));
    }

    /// The epoch in which this node may commit now.
    pub(crate) fn epoch(&self) -> Option<Epoch> {
        match self.halted {
            Some(_) => None,
            None => self.machine.epoch(),
        }
    }

    /// Whether the node's ownership orders what it claims.
    pub(crate) fn is_ruled(&self) -> bool {
        self.ruled
    }

    /// Whether it acts under the node's lease.
    pub(crate) fn is_leased(&self) -> bool {
        self.key.mode == WriteMode::Owned && self.key.class == TakeOver::Leased
    }

    /// Takes in a caller's request; what its host is to do is left, and is to be
    /// [worked off](Self::work_off). `at_least` is what its node knows of the stream, when that is
    /// another one (S13).
    pub(crate) fn request(
        &mut self,
        env: &mut Env<'_>,
        ticket: Ticket,
        request: EntityRequest,
        at_least: Sequence,
    ) {
        let EntityRequest {
            kind,
            entity,
            deadline,
            what,
            caller,
            ..
        } = request;
        self.work_off(env);
        let kind = self.kind(env, &kind);
        self.claim(env);
        if let Some(reason) = &self.halted {
            env.counters.answers += 1;
            return caller.finish(Answer::Refused(reason.clone()));
        }
        self.host(kind).admit(ticket, caller);
        self.tickets.insert(ticket, kind);
        let known = env.high_water.of(self.machine.config().stream);
        let at_least = at_least.max(known);
        let input = match what {
            What::Command {
                id,
                expected,
                metadata,
                wall,
            } => Input::Submit(Submit {
                ticket,
                kind,
                entity,
                id,
                expected,
                metadata,
                wall,
                at_least,
                deadline,
            }),
            What::Question { freshness } => Input::Read(Read {
                ticket,
                kind,
                entity,
                freshness,
                at_least,
                deadline,
            }),
        };
        self.step(env, input);
    }

    /// Tells every caller that is left.
    pub(crate) fn finish_all(&mut self, env: &mut Env<'_>, answer: &Answer) {
        env.counters.answers += self.tickets.len() as u64;
        self.tickets.clear();
        for host in &mut self.hosts {
            host.finish_all(answer);
        }
    }

    /// Steps the machine, and does the work of the hosts that follows from it. What it has its hosts
    /// do still comes first: its inputs keep their order.
    pub(crate) fn feed(&mut self, env: &mut Env<'_>, input: Input) {
        self.work_off(env);
        self.step(env, input);
        self.work_off(env);
    }

    /// Whether hosts have something to do.
    pub(crate) fn has_work(&self) -> bool {
        !self.works.is_empty()
    }

    /// Does the work of the hosts; what it came to is kept.
    pub(crate) fn run_hosts(&mut self) {
        while let Some((op, work)) = self.works.pop_front() {
            let ran = caught(|| self.work(work));
            if ran.as_ref().is_ok_and(has_failed) {
                let panicked = self.hosts.iter_mut().filter_map(|host| host.take_panic());
                panicked.for_each(|(code, text)| self.panics.add(code, text));
            }
            self.ran.push_back((op, ran));
        }
    }

    /// Does the work of the hosts that is left, and takes in what all of it came to.
    pub(crate) fn work_off(&mut self, env: &mut Env<'_>) {
        loop {
            self.run_hosts();
            match self.ran.pop_front() {
                Some((op, Ok(ran))) => self.step(env, Input::Ran { op, ran }),
                Some((_, Err(panic))) => self.halt(env, format!("the host panicked: {panic}")),
                None => return,
            }
        }
    }

    /// Steps the machine; what its hosts are to do is left.
    fn step(&mut self, env: &mut Env<'_>, input: Input) {
        if self.halted.is_some() {
            return;
        }
        let me = Who::Shard(self.key);
        env.recorder
            .begin((env.now, me), &mut self.began, self.dice, &self.machine);
        env.recorder.push_log(env.now, me, &input);
        let mut cx = Cx {
            now: env.now,
            dice: self.dice,
            probe: &mut *env.probe,
        };
        let (known, conflicts) = (self.machine.high_water(), self.machine.conflicts());
        let stepped = caught(|| self.machine.step(&mut cx, input, env.log_effects));
        if stepped.is_ok() {
            env.recorder.led_to(env.log_effects.as_slice());
        }
        let mut halt = stepped
            .err()
            .map(|panic| format!("a step panicked: {panic}"));
        env.counters.conflicts += self.machine.conflicts() - conflicts;
        let counts = self.machine.cache_counts();
        let before = core::mem::replace(&mut self.counted, counts);
        env.counters.cache_hits += counts.hits - before.hits;
        env.counters.cache_misses += counts.misses - before.misses;
        env.counters.cache_evictions += counts.evictions - before.evictions;
        if self.machine.high_water() > known {
            let stream = self.machine.config().stream;
            env.high_water.raise(stream, self.machine.high_water());
        }
        // What is run needs the environment, so the buffer is set aside meanwhile.
        let mut effects = core::mem::replace(env.log_effects, Effects::new(0));
        let broken = halt.is_some();
        for effect in effects.drain() {
            if !broken {
                halt = halt.or(self.run(env, effect));
            }
        }
        *env.log_effects = effects;
        if let Some(reason) = halt {
            self.halt(env, reason);
        }
    }

    /// Runs one effect; a reason to halt comes back.
    fn run(&mut self, env: &mut Env<'_>, effect: Effect) -> Option<String> {
        match effect {
            Effect::Store { op, request } => env.stores.push((Who::Shard(self.key), op, request)),
            Effect::Run { op, work } => self.works.push_back((op, work)),
            Effect::Reply { ticket, reply } => match self.tickets.remove(&ticket) {
                Some(kind) => {
                    env.counters.answers += 1;
                    if reply == Reply::Refused(Refusal::Overloaded) {
                        env.counters.overloaded += 1;
                    }
                    self.host(kind).finish(ticket, Answer::Reply(reply));
                }
                None => return Some(format!("{ticket:?} was answered twice")),
            },
            Effect::Forget { slot } => {
                if let Some(kind) = self.slots.remove(slot) {
                    self.host(kind).forget(slot);
                }
            }
            Effect::AskWall => env.errands.push((self.key, Errand::Wall)),
            Effect::Dispatch { op, dispatch } => {
                env.errands.push((self.key, Errand::Dispatch(op, dispatch)));
            }
            Effect::Report(report) => {
                let place = self.key.fence();
                env.epochs.hear(place, &report);
                env.reports.push((place, report));
            }
            Effect::Note(note) => self.note(env, &note),
            Effect::Halt(reason) => return Some(reason.to_string()),
        }
        None
    }

    /// Does a piece of work on the users' states.
    fn work(&mut self, work: Work) -> Ran {
        match work {
            Work::Fold {
                slot,
                kind,
                entity,
                base,
                commits,
            } => {
                if let Some(before) = self.slots.insert(slot, kind)
                    && before != kind
                {
                    self.host(before).forget(slot);
                }
                let folded = self.host(kind).fold(slot, &entity, &base, &commits);
                Ran::Folded(folded)
            }
            Work::Decide {
                slot,
                provisional,
                version,
                commands,
            } => {
                let turn = self.turn_of(slot, provisional, version);
                Ran::Decided(self.at(slot).decide(turn, &commands))
            }
            Work::Fire {
                slot,
                provisional,
                version,
                firing,
            } => {
                let turn = self.turn_of(slot, provisional, version);
                let verdict = self.at(slot).fire(turn, &firing);
                let ticket = firing.ticket;
                Ran::Decided(vec![Decided { ticket, verdict }])
            }
            Work::Answer {
                slot,
                provisional,
                version,
                tickets,
            } => {
                let turn = self.turn_of(slot, provisional, version);
                self.at(slot).answer(turn, &tickets);
                Ran::Answered
            }
            Work::Snapshot { slot, provisional } => {
                Ran::Snapshotted(self.at(slot).snapshot(slot, provisional))
            }
        }
    }

    fn note(&mut self, env: &mut Env<'_>, note: &Note) {
        let shard = self.key.shard.0;
        match note {
            Note::LostTail { was, now } => {
                env.counters.lost_tails += 1;
                let stream = self.machine.config().stream;
                env.high_water.lost_tail(stream, *was, *now);
                tracing::warn!(shard, was = was.0, now = now.0, "store_lost_tail");
            }
            Note::SnapshotStored { entity } => {
                env.counters.snapshots_stored += 1;
                tracing::debug!(shard, entity = entity.as_str(), "snapshot_stored");
            }
            Note::SnapshotUsed { entity } => {
                env.counters.snapshots_used += 1;
                tracing::debug!(shard, entity = entity.as_str(), "snapshot_used");
            }
            Note::SnapshotDeleted { entity } => {
                env.counters.snapshots_deleted += 1;
                tracing::debug!(shard, entity = entity.as_str(), "snapshot_deleted");
            }
            Note::SnapshotIgnored { entity, cause } => {
                env.counters.snapshots_ignored += 1;
                tracing::warn!(shard, entity = entity.as_str(), cause, "snapshot_ignored");
            }
            Note::SnapshotFailed { entity, cause } => {
                env.counters.snapshots_failed += 1;
                tracing::warn!(shard, entity = entity.as_str(), cause, "snapshot_failed");
            }
            Note::TimerFired { entity, timer } => {
                env.counters.timers_fired += 1;
                tracing::debug!(
                    shard,
                    entity = entity.as_str(),
                    timer = timer.as_str(),
                    "timer_fired"
                );
            }
            Note::TimerRejected { entity, timer } => {
                env.counters.timers_rejected += 1;
                tracing::warn!(
                    shard,
                    entity = entity.as_str(),
                    timer = timer.as_str(),
                    "timer_rejected"
                );
            }
            Note::TimerFailed {
                entity,
                timer,
                cause,
            } => {
                env.counters.timers_failed += 1;
                let (entity, timer) = (entity.as_str(), timer.as_str());
                tracing::warn!(shard, entity, timer, cause, "timer_failed");
            }
            Note::IntentDone { entity } => {
                env.counters.intents_done += 1;
                tracing::debug!(shard, entity = entity.as_str(), "intent_done");
            }
            Note::IntentRejected { entity, cause } => {
                env.counters.intents_rejected += 1;
                tracing::warn!(shard, entity = entity.as_str(), cause, "intent_rejected");
            }
            Note::IntentFailed { entity, cause } => {
                env.counters.intents_failed += 1;
                tracing::warn!(shard, entity = entity.as_str(), cause, "intent_failed");
            }
            Note::IndexWritten => env.counters.indexes_written += 1,
            Note::IndexFailed { cause } => {
                env.counters.indexes_failed += 1;
                tracing::warn!(shard, cause, "index_failed");
            }
            Note::Claimed(epoch) => {
                tracing::info!(shard, epoch = epoch.sequence.0, claim = %epoch.claim, "shard_claimed");
            }
            Note::Sealed(epoch) => {
                tracing::info!(shard, epoch = epoch.sequence.0, claim = %epoch.claim, "shard_sealed");
            }
            Note::Superseded { was } => {
                self.superseded = true;
                tracing::warn!(shard, epoch = was.sequence.0, claim = %was.claim, "shard_superseded");
            }
        }
    }

    fn halt(&mut self, env: &mut Env<'_>, reason: String) {
        tracing::error!(machine = ?Who::Shard(self.key), reason, "machine_halted");
        env.counters.halts += 1;
        env.recorder.halted(Who::Shard(self.key), &reason);
        self.finish_all(env, &Answer::Halted(reason.clone()));
        self.works.clear();
        self.ran.clear();
        if self.ruled {
            let cause = reason.clone();
            env.reports
                .push((self.key.fence(), Report::Failed { cause }));
        }
        self.halted = Some(reason);
    }

    /// Makes a kind known, because the node serves it.
    pub(crate) fn learn(&mut self, env: &mut Env<'_>, entry: &Arc<KindEntry>) {
        self.kind(env, entry);
    }

    /// The kind's number; a new one is made known to the machine first.
    fn kind(&mut self, env: &mut Env<'_>, entry: &Arc<KindEntry>) -> KindIndex {
        let id = entry.config.record.id;
        if let Some(kind) = self.kinds.get(&id) {
            return *kind;
        }
        let kind = KindIndex(u16::try_from(self.hosts.len()).expect("fewer kinds than 65,536"));
        self.kinds.insert(id, kind);
        self.hosts.push((entry.host)(self.key.shard));
        self.feed(env, Input::Kind(entry.config.clone()));
        kind
    }

    fn host(&mut self, kind: KindIndex) -> &mut dyn Host {
        let host = self.hosts.get_mut(usize::from(kind.0));
        host.expect("a kind that was made known").as_mut()
    }

    fn turn_of(&self, slot: Slot, provisional: Provisional, version: Version) -> Turn {
        Turn {
            slot,
            provisional,
            version,
            epoch: self.epoch(),
        }
    }

    fn at(&mut self, slot: Slot) -> &mut dyn Host {
        let kind = *self.slots.get(slot).expect("a slot that was folded");
        self.host(kind)
    }
}

/// Whether work of a host came to something that a panic of the user's code may have led to.
fn has_failed(ran: &Ran) -> bool {
    match ran {
        Ran::Folded(folded) => folded.is_err(),
        Ran::Decided(decided) => decided
            .iter()
            .any(|one| matches!(one.verdict, Verdict::Failed(_))),
        Ran::Answered => false,
        Ran::Snapshotted(snapshot) => snapshot.is_err(),
    }
}

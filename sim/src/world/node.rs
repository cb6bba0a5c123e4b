//! Nodes: machines, their hosts and their clocks; how inputs reach a machine and how its effects
//! are carried out, in any order and spread over time.

use super::World;
use super::corrupt::Corruption;
use super::event::{Event, Place};
use crate::brief;
use crate::draw::What;
use crate::history::Told;
use crate::host::{Build, Host};
use crate::oracle::{Class, Violation};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tenure_core::cache::Cache;
use tenure_core::format::TakeOver;
use tenure_core::id::{Epoch, Partition, Sequence, ShardId, Slot, Ticket};
use tenure_core::log::{Base, Effect, Input, Note, Reply, Shard, StoredCommit, Work, mark};
use tenure_core::port::Refused;
use tenure_core::{Cx, Dice, Effects, Machine, Outcome, Probe as _, Span, Time, reached};

/// One node in its present life.
pub(super) struct Node {
    pub(super) life: u32,
    pub(super) alive: bool,
    pub(super) linked: bool,
    /// True nanoseconds until which the node stands still.
    pub(super) stopped_until: Option<u64>,
    /// What came in while it stood still.
    pub(super) waiting: VecDeque<(Place, Input)>,
    /// When this life began, in true nanoseconds: the zero of its clock.
    pub(super) born: u64,
    pub(super) shards: Vec<Running>,
    /// How far each stream is known to reach, over all shards (S13).
    pub(super) marks: BTreeMap<Partition, Sequence>,
    /// What its shards keep in memory.
    pub(super) cache: Cache<usize>,
}

/// One shard of a node.
pub(super) struct Running {
    pub(super) machine: Shard,
    pub(super) host: Host,
    pub(super) dice: Dice,
    /// When the next tick is due, in true nanoseconds.
    wake: Option<u64>,
    /// Ticks in a row that came at once.
    spins: u32,
    /// Slots that work is under way for.
    busy: BTreeSet<Slot>,
}

/// More ticks in a row than any machine needs that has somewhere to go.
const SPINS_MAX: u32 = 1_000;

impl Node {
    pub(super) fn clock(&self, now: u64) -> Time {
        Time::from_nanos(now - self.born)
    }

    pub(super) fn running(&self) -> bool {
        self.alive && self.stopped_until.is_none()
    }
}

impl Running {
    pub(super) fn new(machine: Shard, dice: Dice, build: Build) -> Self {
        Self {
            machine,
            host: Host::new(build),
            dice,
            wake: None,
            spins: 0,
            busy: BTreeSet::new(),
        }
    }
}

impl World {
    fn living(&self, place: Place) -> bool {
        let node = &self.nodes[place.node];
        node.alive && node.life == place.life
    }

    /// Gives a machine an input, unless its node is gone; later when it stands still.
    pub(super) fn deliver(&mut self, place: Place, input: Input) -> Result<(), Violation> {
        if !self.living(place) {
            return Ok(());
        }
        if self.nodes[place.node].stopped_until.is_some() {
            self.nodes[place.node].waiting.push_back((place, input));
            return Ok(());
        }
        self.step(place, input)
    }

    /// A timer of the driver fires.
    pub(super) fn tick(&mut self, place: Place, at: u64) -> Result<(), Violation> {
        if !self.living(place) {
            return Ok(());
        }
        let running = &mut self.nodes[place.node].shards[place.shard];
        if running.wake != Some(at) {
            return Ok(());
        }
        running.wake = None;
        self.deliver(place, Input::Tick)
    }

    /// A node heard how far a shard's stream reaches.
    pub(super) fn raise_mark(&mut self, place: Place, to: Sequence) {
        let node = &mut self.nodes[place.node];
        let stream = node.shards[place.shard].machine.config().stream;
        let mark = node.marks.entry(stream).or_default();
        *mark = to.max(*mark);
    }

    fn step(&mut self, place: Place, input: Input) -> Result<(), Violation> {
        self.tell(|| format!("{place} <- {}", brief::input(&input)));
        let node = &mut self.nodes[place.node];
        let now = node.clock(self.now);
        let running = &mut node.shards[place.shard];
        let ticked = matches!(input, Input::Tick);
        let known = running.machine.high_water();
        let mut effects = Effects::new(self.plan.limits.effects_max);
        let mut cx = Cx {
            now,
            dice: running.dice,
            probe: &mut self.probe,
        };
        running.machine.step(&mut cx, input, &mut effects);
        let mut effects: Vec<_> = effects.drain().collect();
        let reaches = running.machine.high_water();
        if reaches > known {
            self.raise_mark(place, reaches);
        }
        let running = &mut self.nodes[place.node].shards[place.shard];
        if ticked && effects.is_empty() {
            running.spins += 1;
            if running.spins > SPINS_MAX {
                return Err(breach(
                    Class::Liveness,
                    format!(
                        "{place} ticks on and on at {:?}",
                        running.machine.next_deadline()
                    ),
                ));
            }
        } else {
            running.spins = 0;
        }
        self.draws
            .shuffle(What::Shuffle, place.part(), &mut effects);
        for effect in effects {
            self.tell(|| format!("{place} -> {}", brief::effect(&effect)));
            self.begin(place, effect)?;
        }
        self.wake(place);
        self.fit(place)
    }

    /// Sees to it that the node keeps no more than it may, and now and then lets a shard make room
    /// for no reason of its own, as if another one were crowded.
    fn fit(&mut self, place: Place) -> Result<(), Violation> {
        let pressure = self.plan.pressure;
        if !self.healed && self.draws.chance(What::Evict, place.part(), pressure) {
            let wait = self
                .draws
                .span(What::Evict, place.part(), Span::ZERO, Span::from_millis(5));
            let input = Box::new(Input::Evict);
            self.at(wait, Event::Deliver { place, input });
        }
        let node = &mut self.nodes[place.node];
        let stock = node.shards[place.shard].machine.stock();
        node.cache.set(place.shard, stock);
        let Some(shard) = node.cache.excess() else {
            return Ok(());
        };
        reached!(self, "world: a node keeps more than it may");
        self.step(Place { shard, ..place }, Input::Evict)
    }

    /// Starts to carry out an effect.
    fn begin(&mut self, place: Place, effect: Effect) -> Result<(), Violation> {
        let part = place.part();
        match effect {
            Effect::Forget { slot } => {
                self.nodes[place.node].shards[place.shard].host.forget(slot);
                Ok(())
            }
            Effect::Halt(reason) => Err(breach(Class::Safety, format!("{place} halts: {reason}"))),
            Effect::Note(note) => {
                self.note(place, &note);
                Ok(())
            }
            // The one owner here claims by itself.
            Effect::Report(_) => Ok(()),
            Effect::Run { op, work } => {
                let running = &mut self.nodes[place.node].shards[place.shard];
                if !running.busy.insert(slot_of(&work)) {
                    return Err(breach(
                        Class::Safety,
                        format!("{place} has two works at once on {:?}", slot_of(&work)),
                    ));
                }
                self.soon(What::EffectDelay, part, place, Effect::Run { op, work });
                Ok(())
            }
            effect @ (Effect::Store { .. } | Effect::Reply { .. }) => {
                self.soon(What::EffectDelay, part, place, effect);
                Ok(())
            }
        }
    }

    fn soon(&mut self, what: What, part: u64, place: Place, effect: Effect) {
        let mute = self.corruption == Some(Corruption::Mute);
        let delay = if mute && matches!(effect, Effect::Reply { .. }) {
            Span::from_secs(5)
        } else if self.draws.chance(what, part, 500) {
            Span::ZERO
        } else {
            self.draws
                .span(what, part, Span::ZERO, Span::from_micros(300))
        };
        let effect = Box::new(effect);
        self.at(delay, Event::Act { place, effect });
    }

    /// Carries out an effect.
    pub(super) fn act(&mut self, place: Place, effect: Effect) -> Result<(), Violation> {
        if !self.living(place) {
            return Ok(());
        }
        if let Some(until) = self.nodes[place.node].stopped_until {
            reached!(self, "world: an effect waits for a paused node");
            let wait = Span::from_nanos(until.saturating_sub(self.now) + 1);
            let effect = Box::new(effect);
            self.at(wait, Event::Act { place, effect });
            return Ok(());
        }
        match effect {
            Effect::Store { op, request } => {
                if self.nodes[place.node].linked {
                    self.send(place, op, request);
                } else {
                    let reply = Outcome::Refused(Refused::NotConnected);
                    let input = Box::new(Input::Stored { op, reply });
                    self.at(Span::from_micros(5), Event::Deliver { place, input });
                }
                Ok(())
            }
            Effect::Run { op, work } => {
                let part = place.part();
                let rate = self.plan.faults.bad_snapshot;
                let readable = self.healed || !self.draws.chance(What::Snapshot, part, rate);
                if Host::meets_older_events(&work) {
                    reached!(self, "world: events of an older build are upcast");
                }
                let running = &mut self.nodes[place.node].shards[place.shard];
                running.busy.remove(&slot_of(&work));
                let loaded = from_snapshot(&work);
                let ran = running
                    .host
                    .work(work, readable)
                    .map_err(|what| breach(Class::Safety, format!("{place}: {what}")))?;
                if let Some((slot, last)) = loaded {
                    self.as_replayed(place, slot, &last)?;
                }
                let delay =
                    self.draws
                        .span(What::WorkDelay, part, Span::ZERO, Span::from_micros(100));
                let input = Box::new(Input::Ran { op, ran });
                self.at(delay, Event::Deliver { place, input });
                Ok(())
            }
            Effect::Reply { ticket, reply } => self.reply(place, ticket, reply),
            Effect::Forget { .. } | Effect::Report(_) | Effect::Note(_) | Effect::Halt(_) => Ok(()),
        }
    }

    /// A state that was loaded from a snapshot is the one that a replay comes to.
    fn as_replayed(&self, place: Place, slot: Slot, last: &StoredCommit) -> Result<(), Violation> {
        let host = &self.nodes[place.node].shards[place.shard].host;
        // It could not be loaded.
        let Some((entity, state)) = host.committed(slot) else {
            return Ok(());
        };
        let entity = self.entities.iter().find(|it| it.id == *entity);
        let subject = entity.map_or("", |it| it.subject.as_str());
        let there = self.ledger.commit_at(subject, last.sequence);
        let Some(placed) = there.filter(|placed| placed.commit.id == last.commit.id) else {
            // It went with a lost tail; the node does not know yet.
            return Ok(());
        };
        if state == placed.after() {
            return Ok(());
        }
        let what = format!(
            "{place} loaded {subject} from a snapshot as {state:?}; a replay up to {:?} comes to \
             {:?}",
            last.sequence,
            placed.after()
        );
        Err(breach(Class::Safety, what))
    }

    fn reply(&mut self, place: Place, ticket: Ticket, reply: Reply) -> Result<(), Violation> {
        let answer = self.nodes[place.node].shards[place.shard]
            .host
            .answer(ticket);
        let at = self.now;
        let open = self
            .history
            .asked(ticket)
            .is_some_and(|asked| asked.told.is_none() && asked.place == (place.node, place.life));
        if !open {
            return Err(breach(
                Class::Safety,
                format!("{place} tells {ticket:?} {reply:?}, who did not wait for it (L6)"),
            ));
        }
        self.told(ticket, Told { at, reply, answer })
    }

    /// Sees to it that the machine's next deadline is kept.
    fn wake(&mut self, place: Place) {
        let node = &mut self.nodes[place.node];
        let running = &mut node.shards[place.shard];
        let Some(deadline) = running.machine.next_deadline() else {
            running.wake = None;
            return;
        };
        let due = (node.born + deadline.at.as_nanos()).max(self.now);
        let late = self.draws.span(
            What::TimerDelay,
            place.part(),
            Span::ZERO,
            Span::from_micros(500),
        );
        let node = &mut self.nodes[place.node];
        let running = &mut node.shards[place.shard];
        // A timer that is set already and not too late stays.
        if running
            .wake
            .is_some_and(|wake| wake >= due && wake - due < 500_000)
        {
            return;
        }
        let at = due + late.as_nanos();
        running.wake = Some(at);
        self.at(Span::from_nanos(at - self.now), Event::Tick { place, at });
    }

    /// A node learnt of its epoch; by then another's may have followed.
    fn owned_by(&mut self, place: Place, epoch: Epoch) {
        let id = ShardId(u16::try_from(place.shard).expect("a small number"));
        let subject = self.namespace.ownership_subject(TakeOver::Fenced, id);
        let current = self.ledger.epoch_before(&subject, Sequence(u64::MAX));
        if current.is_none_or(|current| current.sequence <= epoch.sequence) {
            self.owners[place.shard] = Some((place.node, place.life));
        }
    }

    /// How far the node knows that the stream behind one of its shards reaches.
    pub(super) fn mark(&self, node: usize, shard: usize) -> Sequence {
        let node = &self.nodes[node];
        let stream = node.shards[shard].machine.config().stream;
        node.marks.get(&stream).copied().unwrap_or_default()
    }

    fn note(&mut self, place: Place, note: &Note) {
        match note {
            Note::Claimed(epoch) => {
                reached!(self, "world: a shard changed hands");
                self.owned_by(place, *epoch);
            }
            Note::Sealed(epoch) => {
                reached!(self, "world: an owner sealed its shard");
                self.owned_by(place, *epoch);
            }
            Note::Superseded { .. } => {
                reached!(self, "world: an owner learnt that it was superseded");
            }
            Note::LostTail { was, now } => {
                let node = &mut self.nodes[place.node];
                let stream = node.shards[place.shard].machine.config().stream;
                let mark = node.marks.entry(stream).or_default();
                *mark = mark::after_loss(*mark, *was, *now);
                reached!(self, "world: a node noticed a lost tail");
            }
            Note::SnapshotIgnored { .. } => {
                reached!(self, "world: a snapshot was ignored");
            }
            Note::SnapshotFailed { .. } => {
                reached!(self, "world: a snapshot could not be stored");
            }
            Note::SnapshotStored { .. }
            | Note::SnapshotUsed { .. }
            | Note::SnapshotDeleted { .. } => {}
            _ => {}
        }
    }
}

pub(super) fn breach(class: Class, what: String) -> Violation {
    Violation {
        class,
        oracle: "contract",
        what,
    }
}

/// A work that builds a state from a snapshot: its slot, and the last commit that it takes in. One
/// that names the snapshot is always among them.
fn from_snapshot(work: &Work) -> Option<(Slot, StoredCommit)> {
    match work {
        Work::Fold {
            slot,
            base: Base::Snapshot(_),
            commits,
            ..
        } => Some((*slot, commits.last()?.clone())),
        Work::Fold { .. } | Work::Decide { .. } | Work::Answer { .. } | Work::Snapshot { .. } => {
            None
        }
    }
}

fn slot_of(work: &Work) -> Slot {
    match work {
        Work::Fold { slot, .. }
        | Work::Decide { slot, .. }
        | Work::Answer { slot, .. }
        | Work::Snapshot { slot, .. } => *slot,
    }
}

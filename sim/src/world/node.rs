//! Nodes: machines, their hosts and their clocks; how inputs reach a machine and how its effects
//! are carried out, in any order and spread over time.

use super::World;
use super::cluster::{Seats, run_of};
use super::corrupt::Corruption;
use super::event::{Deed, Event, Input, Part, Place};
use super::seat::Seat;
use super::slow::Pace;
use super::story::Kind;
use crate::brief;
use crate::clock::Clock;
use crate::deviation::Fault;
use crate::draw::What;
use crate::history::Told;
use crate::host::{Answer, Host};
use crate::oracle::{Class, InFlight, Violation};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tenure_core::cache::{Cache, StockAt};
use tenure_core::id::{Epoch, OpId, Partition, Sequence, Slot, Ticket};
use tenure_core::log::{self, Base, Effect, Note, Reply, Shard, StoredCommit, Work, mark};
use tenure_core::port::Refused;
use tenure_core::{Deadline, Dice, Outcome, Probe as _, Span, Time, reached};

/// One node in its present life.
pub(super) struct Node {
    pub(super) life: u32,
    pub(super) alive: bool,
    pub(super) linked: bool,
    /// True nanoseconds until which the node stands still.
    pub(super) stopped_until: Option<u64>,
    /// What came in while it stood still.
    pub(super) waiting: VecDeque<(Place, Input)>,
    /// How fast it works, and what waits for it because it is slow.
    pub(super) pace: Pace,
    pub(super) clock: Clock,
    pub(super) shards: Vec<Running>,
    /// What it has besides as a member of a cluster.
    pub(super) seats: Option<Seats>,
    /// How far each stream is known to reach, over all shards (S13).
    pub(super) marks: BTreeMap<Partition, Sequence>,
    /// What its shards keep in memory.
    pub(super) cache: Cache<usize>,
    /// Where the cache has what each of them keeps.
    pub(super) stocks: Vec<StockAt>,
}

/// One shard of a node.
pub(super) struct Running {
    pub(super) seat: Seat<Shard>,
    pub(super) host: Host,
    /// Slots that work is under way for.
    busy: BTreeSet<Slot>,
    /// Slots that are to be forgotten when that has ended: nobody waits for it any more.
    forgotten: BTreeSet<Slot>,
    in_flight: InFlight,
}

impl Node {
    pub(super) fn clock(&self, now: u64) -> Time {
        self.clock.at(now)
    }

    pub(super) fn running(&self) -> bool {
        self.alive && self.stopped_until.is_none()
    }

    /// When the next tick of a machine is due, in true nanoseconds.
    fn wake_of(&mut self, part: Part) -> &mut Option<u64> {
        match part {
            Part::Log(shard) => &mut self.shards[shard].seat.wake,
            Part::Member => &mut self.seats_mut().member.wake,
            Part::Owners => &mut self.seats_mut().owners.wake,
            Part::Router(lane) => &mut self.seats_mut().routers[usize::from(lane)].wake,
        }
    }

    fn next_deadline(&self, part: Part) -> Option<Deadline> {
        match part {
            Part::Log(shard) => self.shards[shard].seat.next_deadline(),
            Part::Member => self.seats().member.next_deadline(),
            Part::Owners => self.seats().owners.next_deadline(),
            Part::Router(lane) => self.seats().routers[usize::from(lane)].next_deadline(),
        }
    }

    /// What it has as a member of a cluster.
    pub(super) fn seats(&self) -> &Seats {
        self.seats.as_ref().expect("a node of a cluster")
    }

    pub(super) fn seats_mut(&mut self) -> &mut Seats {
        self.seats.as_mut().expect("a node of a cluster")
    }
}

impl Running {
    pub(super) fn new(machine: Shard, dice: Dice, host: Host) -> Self {
        Self {
            seat: Seat::new(machine, dice),
            host,
            busy: BTreeSet::new(),
            forgotten: BTreeSet::new(),
            in_flight: InFlight::default(),
        }
    }
}

impl World {
    pub(super) fn living(&self, place: Place) -> bool {
        let node = &self.nodes[place.node];
        node.alive && node.life == place.life
    }

    /// Gives a machine an input, unless its node is gone; later when it stands still.
    pub(super) fn deliver(
        &mut self,
        place: Place,
        input: impl Into<Input>,
    ) -> Result<(), Violation> {
        if !self.living(place) {
            return Ok(());
        }
        let input = input.into();
        if self.nodes[place.node].stopped_until.is_some() {
            self.nodes[place.node].waiting.push_back((place, input));
            return Ok(());
        }
        if self.nodes[place.node].pace.is_slow(self.now) {
            self.queues(place, input);
            return Ok(());
        }
        self.step(place, input)
    }

    /// A timer of the driver fires.
    pub(super) fn tick(&mut self, place: Place, at: u64) -> Result<(), Violation> {
        if !self.living(place) {
            return Ok(());
        }
        let wake = self.nodes[place.node].wake_of(place.part);
        if *wake != Some(at) {
            return Ok(());
        }
        *wake = None;
        self.deliver(place, place.part.tick())
    }

    /// A node heard how far a shard's stream reaches.
    pub(super) fn raise_mark(&mut self, node: usize, shard: usize, to: Sequence) {
        let node = &mut self.nodes[node];
        let stream = node.shards[shard].seat.machine.config().stream;
        let mark = node.marks.entry(stream).or_default();
        *mark = to.max(*mark);
    }

    pub(super) fn step(&mut self, place: Place, input: Input) -> Result<(), Violation> {
        let Some(input) = self.misheard(place, input) else {
            return Ok(());
        };
        self.tell(place, Kind::Takes, || {
            format!("{place} <- {}", brief::any_input(&input))
        });
        let became = run_of(&input);
        let (before, line) = (self.state_of(place), self.lines().saturating_sub(1));
        let stepped = self.step_part(place, input);
        self.changed(place, before, line);
        stepped?;
        self.took_in(place, became);
        Ok(())
    }

    fn step_part(&mut self, place: Place, input: Input) -> Result<(), Violation> {
        match (place.part, input) {
            (Part::Log(shard), Input::Log(input)) => self.step_log(place, shard, input),
            (Part::Member, Input::Member(input)) => self.step_member(place, input),
            (Part::Owners, Input::Owners(input)) => self.step_owners(place, input),
            (Part::Router(lane), Input::Router(input)) => self.step_router(place, lane, input),
            (part, input) => unreachable!("{input:?} is nothing for {part:?}"),
        }
    }

    fn step_log(&mut self, place: Place, shard: usize, input: log::Input) -> Result<(), Violation> {
        if self.nodes[place.node].seats.is_some() {
            self.holds_by_input(place, shard, &input)?;
        }
        let node = &mut self.nodes[place.node];
        let now = node.clock(self.now);
        let running = &mut node.shards[shard];
        let ticked = matches!(input, log::Input::Tick);
        if let log::Input::Stored { op, .. } = &input {
            running.in_flight.answered(*op);
        }
        let known = running.seat.machine.high_water();
        let epoch = running.seat.machine.epoch();
        let effects_max = self.plan.limits.effects_max;
        let mut effects = running.seat.step(now, &mut self.probe, input, effects_max);
        let reaches = running.seat.machine.high_water();
        running.seat.spins(ticked && effects.is_empty())?;
        self.believes(place, shard, epoch);
        if reaches > known {
            self.raise_mark(place.node, shard, reaches);
        }
        self.draws.shuffle(What::Shuffle, place.row(), &mut effects);
        for effect in effects {
            self.tell(place, Kind::Does, || {
                format!("{place} -> {}", brief::effect(&effect))
            });
            self.answers_by_effect(place, shard, &effect)?;
            self.departs_by_effect(place, shard, &effect)?;
            self.begin(place, shard, effect)?;
        }
        self.wake(place);
        self.fit(place, shard)
    }

    /// Sees to it that the node keeps no more than it may, and now and then lets a shard make room
    /// for no reason of its own, as if another one were crowded.
    fn fit(&mut self, place: Place, shard: usize) -> Result<(), Violation> {
        let pressure = self.plan.pressure;
        let row = place.row();
        if self.strikes(Fault::Pressure, (What::Evict, row), pressure) {
            let wait = self
                .draws
                .span(What::Evict, !row, Span::ZERO, Span::from_millis(5));
            self.deliver_after(wait, place, log::Input::Evict);
        }
        let node = &mut self.nodes[place.node];
        let stock = node.shards[shard].seat.machine.stock();
        node.cache.set(node.stocks[shard], stock);
        let Some(shard) = node.cache.excess() else {
            return Ok(());
        };
        reached!(self, "world: a node keeps more than it may");
        self.step(place.beside(Part::Log(shard)), log::Input::Evict.into())
    }

    /// Gives a machine an input a moment later.
    pub(super) fn deliver_after(&mut self, wait: Span, place: Place, input: impl Into<Input>) {
        let input = Box::new(input.into());
        self.at(wait, Event::Deliver { place, input });
    }

    /// Starts to carry out an effect.
    fn begin(&mut self, place: Place, shard: usize, effect: Effect) -> Result<(), Violation> {
        match effect {
            Effect::Forget { slot } => {
                let running = &mut self.nodes[place.node].shards[shard];
                match running.busy.contains(&slot) {
                    true => {
                        reached!(
                            self,
                            "world: a slot is forgotten while work on it is under way"
                        );
                        running.forgotten.insert(slot);
                    }
                    false => running.host.forget(slot),
                }
                Ok(())
            }
            Effect::Halt(reason) => Err(breach(Class::Safety, format!("{place} halts: {reason}"))),
            Effect::Note(note) => {
                self.note(place, shard, &note);
                Ok(())
            }
            Effect::AskWall => {
                self.soon(place, Deed::Wall);
                Ok(())
            }
            Effect::Dispatch { op, dispatch } => {
                self.soon(place, Deed::Dispatch { op, dispatch });
                Ok(())
            }
            Effect::Report(report) => self.reported(place, shard, report),
            Effect::Run { op, work } => {
                let running = &mut self.nodes[place.node].shards[shard];
                if !running.busy.insert(slot_of(&work)) {
                    return Err(breach(
                        Class::Safety,
                        format!("{place} has two works at once on {:?}", slot_of(&work)),
                    ));
                }
                self.soon(place, Deed::Run { op, work });
                Ok(())
            }
            Effect::Store { op, request } => {
                let (limits, mode) = (&self.plan.limits, self.plan.shards[shard]);
                let way = &mut self.nodes[place.node].shards[shard].in_flight;
                way.leaves(limits, mode, op, &request)
                    .map_err(|what| bound(format!("{place}: {what}")))?;
                self.soon(place, Deed::Store { op, request });
                Ok(())
            }
            Effect::Reply { ticket, reply } => {
                self.soon(place, Deed::Reply { ticket, reply });
                Ok(())
            }
        }
    }

    /// A node does something a moment later.
    pub(super) fn soon(&mut self, place: Place, deed: Deed) {
        let mute = self.corruption == Some(Corruption::Mute);
        let delay = if mute && matches!(deed, Deed::Reply { .. }) {
            Span::from_secs(5)
        } else {
            self.moment(What::EffectDelay, place.row())
        };
        let deed = Box::new(deed);
        self.at(delay, Event::Act { place, deed });
    }

    /// No time, or a little.
    pub(super) fn moment(&mut self, what: What, row: u64) -> Span {
        if self.draws.chance(what, row, 500) {
            return Span::ZERO;
        }
        self.draws
            .span(what, row, Span::ZERO, Span::from_micros(300))
    }

    /// Carries out an effect.
    pub(super) fn act(&mut self, place: Place, deed: Deed) -> Result<(), Violation> {
        if !self.living(place) {
            return Ok(());
        }
        if let Some(until) = self.nodes[place.node].stopped_until {
            reached!(self, "world: an effect waits for a paused node");
            let wait = Span::from_nanos(until.saturating_sub(self.now) + 1);
            let deed = Box::new(deed);
            self.at(wait, Event::Act { place, deed });
            return Ok(());
        }
        match (deed, place.part) {
            (Deed::Store { op, request }, part) => {
                if self.nodes[place.node].linked {
                    self.send(place, op, request);
                } else {
                    let reply = Outcome::Refused(Refused::NotConnected);
                    let input = part.stored(op, reply);
                    self.deliver_after(Span::from_micros(5), place, input);
                }
                Ok(())
            }
            (Deed::Wall, Part::Log(_)) => {
                self.ask_wall(place);
                Ok(())
            }
            (Deed::Dispatch { op, dispatch }, Part::Log(_)) => self.dispatch(place, op, *dispatch),
            (Deed::Run { op, work }, Part::Log(shard)) => self.work(place, shard, op, work),
            (Deed::Reply { ticket, reply }, Part::Log(shard)) => {
                self.reply(place, shard, ticket, reply)
            }
            (deed, part) => unreachable!("{deed:?} is nothing that {part:?} does"),
        }
    }

    /// The host works.
    fn work(&mut self, place: Place, shard: usize, op: OpId, work: Work) -> Result<(), Violation> {
        let row = place.row();
        let rate = self.plan.faults.bad_snapshot;
        let readable = !self.strikes(Fault::BadSnapshot, (What::Snapshot, row), rate);
        if Host::meets_older_events(&work) {
            reached!(self, "world: events of an older build are upcast");
        }
        self.in_time(place, shard, &work)?;
        let running = &mut self.nodes[place.node].shards[shard];
        let slot = slot_of(&work);
        running.busy.remove(&slot);
        let forgotten = running.forgotten.remove(&slot);
        let loaded = from_snapshot(&work);
        let ran = running
            .host
            .work(work, readable)
            .map_err(|what| breach(Class::Safety, format!("{place}: {what}")))?;
        if let Some((slot, last)) = loaded {
            self.as_replayed(place, shard, slot, &last)?;
        }
        if forgotten {
            self.nodes[place.node].shards[shard].host.forget(slot);
        }
        let rate = self.plan.faults.slow_work;
        let slow =
            rate > 0 && self.strikes(Fault::SlowWork, (What::WorkDelay, row | 1 << 63), rate);
        let longest = if slow {
            reached!(self, "fault: slow work");
            // No longer than callers may be told late.
            Span::from_millis(35)
        } else {
            Span::from_micros(100)
        };
        let delay = self.draws.span(What::WorkDelay, row, Span::ZERO, longest);
        self.deliver_after(delay, place, log::Input::Ran { op, ran });
        Ok(())
    }

    /// A state that was loaded from a snapshot is the one that a replay comes to.
    fn as_replayed(
        &self,
        place: Place,
        shard: usize,
        slot: Slot,
        last: &StoredCommit,
    ) -> Result<(), Violation> {
        let host = &self.nodes[place.node].shards[shard].host;
        if self.unfenced.contains(&shard) {
            return Ok(());
        }
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

    fn reply(
        &mut self,
        place: Place,
        shard: usize,
        ticket: Ticket,
        reply: Reply,
    ) -> Result<(), Violation> {
        let host = &mut self.nodes[place.node].shards[shard].host;
        let answer = host.answer(ticket);
        if self.message_ended(ticket, &reply) {
            return Ok(());
        }
        if self.nodes[place.node].seats.is_some() {
            return self.log_replied(place, shard, ticket, reply, answer);
        }
        self.end_of(place, ticket, reply, answer)
    }

    /// A caller gets its one answer.
    pub(super) fn end_of(
        &mut self,
        place: Place,
        ticket: Ticket,
        reply: Reply,
        answer: Option<Answer>,
    ) -> Result<(), Violation> {
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
    pub(super) fn wake(&mut self, place: Place) {
        let node = &mut self.nodes[place.node];
        let Some(deadline) = node.next_deadline(place.part) else {
            *node.wake_of(place.part) = None;
            return;
        };
        let Some(due) = node.clock.when(deadline.at) else {
            // The clock stands still; it is looked at again when it goes on.
            *node.wake_of(place.part) = None;
            return;
        };
        let due = due.max(self.now);
        let wake = *node.wake_of(place.part);
        // A timer that is set already and not too late stays.
        if wake.is_some_and(|wake| wake >= due && wake - due < 500_000) {
            return self.draws.pass(What::TimerDelay, place.row());
        }
        let late = self.draws.span(
            What::TimerDelay,
            place.row(),
            Span::ZERO,
            Span::from_micros(500),
        );
        let at = due + late.as_nanos();
        *self.nodes[place.node].wake_of(place.part) = Some(at);
        self.at(Span::from_nanos(at - self.now), Event::Tick { place, at });
    }

    /// A node learnt of its epoch; by then another's may have followed.
    fn owned_by(&mut self, place: Place, shard: usize, epoch: Epoch) {
        let current = self
            .ledger
            .epoch_before(self.ownership(shard), Sequence(u64::MAX));
        if current.is_none_or(|current| current.sequence <= epoch.sequence) {
            self.owners[shard] = Some((place.node, place.life));
        }
    }

    /// How far the node knows that the stream behind one of its shards reaches.
    pub(super) fn mark(&self, node: usize, shard: usize) -> Sequence {
        let node = &self.nodes[node];
        let stream = node.shards[shard].seat.machine.config().stream;
        node.marks.get(&stream).copied().unwrap_or_default()
    }

    fn note(&mut self, place: Place, shard: usize, note: &Note) {
        match note {
            Note::Claimed(epoch) => {
                reached!(self, "world: a shard changed hands");
                self.owned_by(place, shard, *epoch);
            }
            Note::Sealed(epoch) => {
                reached!(self, "world: an owner sealed its shard");
                self.owned_by(place, shard, *epoch);
            }
            Note::Superseded { .. } => {
                reached!(self, "world: an owner learnt that it was superseded");
            }
            Note::LostTail { was, now } => {
                let node = &mut self.nodes[place.node];
                let stream = node.shards[shard].seat.machine.config().stream;
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
            Note::TimerFired { .. } => {
                reached!(self, "world: a timer fired");
            }
            Note::TimerRejected { .. } => {
                reached!(self, "world: a timer was rejected");
            }
            Note::IntentDone { .. } => {
                reached!(self, "world: a message was delivered");
            }
            Note::IndexWritten => {
                reached!(self, "world: the index of a shard was written");
            }
            Note::SnapshotStored { .. }
            | Note::SnapshotUsed { .. }
            | Note::SnapshotDeleted { .. }
            | Note::TimerFailed { .. }
            | Note::IntentRejected { .. }
            | Note::IntentFailed { .. }
            | Note::IndexFailed { .. } => {}
            _ => {}
        }
    }
}

fn bound(what: String) -> Violation {
    Violation {
        class: Class::Safety,
        oracle: "bounds",
        what,
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
        Work::Fold { .. }
        | Work::Decide { .. }
        | Work::Fire { .. }
        | Work::Answer { .. }
        | Work::Snapshot { .. } => None,
    }
}

fn slot_of(work: &Work) -> Slot {
    match work {
        Work::Fold { slot, .. }
        | Work::Decide { slot, .. }
        | Work::Fire { slot, .. }
        | Work::Answer { slot, .. }
        | Work::Snapshot { slot, .. } => *slot,
    }
}

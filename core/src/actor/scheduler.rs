//! The scheduler: its state, and which part takes in which input.

use super::activation::{Activation, Mail, Phase, Waiting};
use super::alarms::Alarms;
use super::keys::Keys;
use super::links::{Links, Queue};
use super::place::Held;
use super::{Effect, Input, KindConfig};
use crate::id::{Epoch, OpId, Slot, Ticket};
use crate::log::KindIndex;
use crate::name::EntityId;
use crate::places::Places;
use crate::shard::Place;
use crate::step::{Cx, Deadline, Effects, HaltReason, Limits, Machine, Purpose, Time};
use crate::tickets::Tickets;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use slab::Slab;

/// The actors of one lane.
#[derive(Clone, Debug)]
pub struct Scheduler {
    pub(super) limits: Limits,
    pub(super) activations_max: usize,
    pub(super) kinds: Vec<Kind>,
    /// The activation of each key that has one.
    pub(super) index: Keys,
    pub(super) activations: Slab<Activation>,
    /// How many of them are on their way out.
    pub(super) going: usize,
    /// Neighbours among those at rest, that wait for a turn, or that run.
    pub(super) queues: Links,
    /// Those that have mail, in the order of their turns.
    pub(super) ready: Queue,
    /// Neighbours in their places.
    pub(super) by_place: Links,
    pub(super) members: BTreeMap<Place, Queue>,
    pub(super) letters: Slab<Mail>,
    /// Neighbours in their mailboxes.
    pub(super) mail: Links,
    /// Who waits for an answer.
    pub(super) tickets: Tickets<Waiting>,
    pub(super) deadlines: Alarms<Ticket>,
    /// What activations wait for by themselves.
    pub(super) alarms: Alarms<u32>,
    pub(super) places: Places<Held>,
    /// Until when the actors of a place have time to end.
    pub(super) leaving: BTreeSet<(Time, Place)>,
    pub(super) lease: Option<Time>,
    /// Keys that take no turns, and how many they may take all the same.
    pub(super) pauses: BTreeMap<(KindIndex, EntityId), u32>,
    pub(super) now: Time,
    pub(super) stopping: bool,
    ops: u64,
    serials: u32,
    halted: bool,
}

/// A kind, and those of it that rest and run, each in the order of their `since`.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    pub(super) config: KindConfig,
    pub(super) rest: Queue,
    pub(super) running: Queue,
}

/// How many of what there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Keys in memory.
    pub activations: usize,
    /// Of those, at rest.
    pub resting: usize,
    /// Of those, waiting for a turn.
    pub ready: usize,
    /// Messages that wait in mailboxes.
    pub letters: usize,
    /// Callers and watchers who wait.
    pub waiting: usize,
}

impl Scheduler {
    /// The actors of one of `lanes` lanes, without any.
    ///
    /// # Panics
    ///
    /// When there is no such lane.
    pub fn new(limits: Limits, lane: usize, lanes: usize) -> Self {
        assert!(lane < lanes, "a lane of the node");
        let max = limits.activations_max;
        Self {
            limits,
            activations_max: max / lanes + usize::from(lane < max % lanes),
            kinds: Vec::new(),
            index: Keys::default(),
            activations: Slab::new(),
            going: 0,
            queues: Links::default(),
            ready: Queue::default(),
            by_place: Links::default(),
            members: BTreeMap::new(),
            letters: Slab::new(),
            mail: Links::default(),
            tickets: Tickets::default(),
            deadlines: Alarms::new(),
            alarms: Alarms::new(),
            places: Places::default(),
            leaving: BTreeSet::new(),
            lease: None,
            pauses: BTreeMap::new(),
            now: Time::ZERO,
            stopping: false,
            ops: 0,
            serials: 0,
            halted: false,
        }
    }

    /// Whether some have mail and wait for [`Input::Turn`].
    pub fn is_ready(&self) -> bool {
        !self.ready.is_empty() && !self.halted
    }

    /// The epoch under which a place is held, also while it is handed over.
    pub fn epoch(&self, place: Place) -> Option<Epoch> {
        self.places.get(place).and_then(Held::epoch)
    }

    /// Whether an activation of a place is there still, also when the place was lost (A1).
    pub fn lives_in(&self, place: Place) -> bool {
        self.members.contains_key(&place)
    }

    /// How many callers and watchers wait.
    pub fn waiting(&self) -> usize {
        self.tickets.len()
    }

    /// How many of what there are.
    pub fn census(&self) -> Census {
        Census {
            activations: self.activations.len(),
            resting: self.kinds.iter().map(|kind| kind.rest.len()).sum(),
            ready: self.ready.len(),
            letters: self.letters.len(),
            waiting: self.waiting(),
        }
    }

    /// How many effects one step has at most.
    pub fn effects_max(limits: &Limits) -> usize {
        // Each activation is aborted, forgotten and noted, and each letter and ticket is answered.
        let letters = limits.letters_max + limits.stash_max;
        8 * (limits.activations_max + letters) + 1_024
    }

    pub(super) fn op(&mut self) -> OpId {
        self.ops += 1;
        OpId(self.ops)
    }

    pub(super) fn serial(&mut self) -> u32 {
        self.serials = self.serials.wrapping_add(1).max(1);
        self.serials
    }

    pub(super) fn halt(&mut self, reason: HaltReason, out: &mut Effects<Effect>) {
        self.halted = true;
        out.push(Effect::Halt(reason));
    }

    pub(super) fn config(&self, kind: KindIndex) -> &KindConfig {
        let kind = self.kinds.get(usize::from(kind.0));
        &kind.expect("a kind that was made known").config
    }

    pub(super) fn at(&mut self, index: u32) -> &mut Activation {
        let activation = self.activations.get_mut(index as usize);
        activation.expect("an activation that is there")
    }

    pub(super) fn peek(&self, index: u32) -> &Activation {
        let activation = self.activations.get(index as usize);
        activation.expect("an activation that is there")
    }

    /// The activation of a key, if it has one.
    pub(super) fn of_key(&self, kind: KindIndex, key: &EntityId) -> Option<u32> {
        self.index.find(kind, key, |index| {
            let one = self.peek(index);
            one.kind == kind && one.key == *key
        })
    }

    /// The activation of a stay, if it is in memory still.
    pub(super) fn find(&self, slot: Slot) -> Option<u32> {
        let index = u32::try_from(slot.0 & u64::from(u32::MAX)).ok()?;
        let activation = self.activations.get(index as usize)?;
        (activation.slot(index) == slot).then_some(index)
    }

    /// Changes what an activation is doing, and the queue it is in with it.
    pub(super) fn enter(&mut self, index: u32, phase: Phase) {
        let activation = self.at(index);
        if activation.phase == phase {
            return;
        }
        self.leave_queue(index);
        let activation = self.at(index);
        activation.phase = phase;
        activation.stuck = false;
        let kind = activation.kind;
        self.going += usize::from(phase.is_going());
        if let Some(queue) = queue_of(&mut self.kinds, &mut self.ready, kind, phase) {
            self.queues.push(queue, index);
        }
    }

    /// Takes an activation out of the queue that its phase puts it in.
    pub(super) fn leave_queue(&mut self, index: u32) {
        let Activation {
            phase, kind, stuck, ..
        } = *self.peek(index);
        self.going -= usize::from(phase.is_going());
        match queue_of(&mut self.kinds, &mut self.ready, kind, phase) {
            Some(queue) if !stuck => self.queues.remove(queue, index),
            Some(_) | None => {}
        }
    }

    /// Drops the alarms in front that nobody wants any more, so that the next deadline is one.
    fn sweep(&mut self) {
        let tickets = &self.tickets;
        self.deadlines.sweep(tickets.len(), |at, ticket| {
            tickets.get(ticket).is_some_and(|one| one.deadline == at)
        });
        let activations = &self.activations;
        self.alarms.sweep(activations.len(), |at, index| {
            let extra = activations.get(index as usize).map(|one| &one.extra);
            extra.is_some_and(|extra| extra.as_ref().is_some_and(|one| one.alarm == Some(at)))
        });
    }

    fn tick(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        while let Some((at, index)) = self.alarms.pop_due(cx.now) {
            let wanted = self.activations.get(index as usize).is_some_and(|one| {
                let extra = one.extra.as_deref();
                extra.is_some_and(|extra| extra.alarm == Some(at))
            });
            if wanted {
                self.ring(cx, index, out);
            }
        }
        self.keep_late(cx, out);
        self.find_stuck(cx, out);
        self.passivate_idle(cx, out);
    }
}

/// The queue in which an activation of a kind is while it does this.
fn queue_of<'a>(
    kinds: &'a mut [Kind],
    ready: &'a mut Queue,
    kind: KindIndex,
    phase: Phase,
) -> Option<&'a mut Queue> {
    let kind = kinds.get_mut(usize::from(kind.0));
    let kind = kind.expect("a kind that was made known");
    match phase {
        Phase::Ready => Some(ready),
        Phase::Resting | Phase::Spent => Some(&mut kind.rest),
        Phase::Activating(_) | Phase::Running(..) | Phase::Stopping(_) => Some(&mut kind.running),
        Phase::Armed
        | Phase::Paused
        | Phase::Aborting(..)
        | Phase::Backoff(_)
        | Phase::Failed(_) => None,
    }
}

impl Machine for Scheduler {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, cx: &mut Cx<'_>, input: Input, out: &mut Effects<Effect>) {
        if self.halted {
            return;
        }
        if cx.now < self.now {
            return self.halt(HaltReason::ClockWentBack, out);
        }
        self.now = cx.now;
        if self.index.is_new() {
            self.index.keep_secret(cx.dice.roll128(Purpose::Keys, 0));
        }
        // A later end is known before the earlier one counts: a lane that was busy lost nothing by it.
        if let Input::Lease(until) = input {
            self.lease(cx, until, out);
        }
        // What is lost goes first: nothing of it begins to stop only to be aborted by the same step.
        if let Input::Lost { place } = input {
            self.lost(cx, place, out);
        }
        self.lapse(cx, out);
        self.expire(cx, out);
        match input {
            Input::Tick => self.tick(cx, out),
            Input::Turn => self.turns(cx, out),
            Input::Kind(config) => self.kinds.push(Kind {
                config,
                rest: Queue::default(),
                running: Queue::default(),
            }),
            Input::Ask(ask) => self.ask(cx, ask, out),
            Input::Watch(watch) => self.watch(cx, watch, out),
            Input::Withdraw(ticket) => self.withdraw(cx, ticket, out),
            Input::Done {
                slot,
                op,
                ending,
                orders,
                background,
            } => self.done(cx, (slot, op), ending, (orders, background), out),
            Input::Background { slot, background } => self.background(cx, slot, background, out),
            Input::Notice { slot, watch, ended } => self.notice(cx, slot, (watch, ended), out),
            Input::Own { place, epoch } => self.own(cx, place, epoch),
            Input::HandOver { place } => self.hand_over(cx, place, out),
            Input::Lease(_) | Input::Lost { .. } => {}
            Input::Pause { kind, key } => self.pause(cx, (kind, key), out),
            Input::Step { kind, key } => self.allow_one(cx, (kind, key), out),
            Input::Resume { kind, key } => self.resume(cx, &(kind, key), out),
            Input::Stop => self.stop(cx, out),
        }
        self.sweep();
    }

    fn next_deadline(&self) -> Option<Deadline> {
        if self.halted {
            return None;
        }
        let due = |at, timer| Deadline { at, timer };
        let held = !self.places.is_empty();
        let lease = self.lease.filter(|_| held).map(|at| due(at, "lease"));
        let deadline = self.deadlines.first().map(|(at, _)| due(at, "deadline"));
        let alarm = self.alarms.first().map(|(at, _)| due(at, "alarm"));
        let kinds = self.kinds.iter().flat_map(|kind| {
            let since = |queue: &Queue| queue.first().map(|index| self.peek(index).since);
            let idle = kind.config.idle_after.zip(since(&kind.rest));
            let idle = idle.map(|(after, since)| due(since + after, "idle"));
            let running = since(&kind.running);
            let stuck = running.map(|since| due(since + kind.config.patience, "patience"));
            [idle, stuck]
        });
        let leaving = self.leaving.first().map(|(at, _)| due(*at, "hand over"));
        let rest = [lease, deadline, alarm, leaving].into_iter().chain(kinds);
        rest.flatten().min()
    }
}

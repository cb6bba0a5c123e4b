//! The groups of a lane, and the consumers of their partitions.

use super::{Env, Lane, Unusable, Who};
use crate::consumer::group::{Effect, Group, GroupOrder, Input, Notice};
use crate::consumer::{self, Command, Config, Consumer, Fault, Share, Start, Status};
use crate::driver::cluster::MachineSeat;
use crate::driver::consumer::{ConsumerSeat, Ended, Report, Spawn, Told};
use crate::driver::counters::Counters;
use crate::driver::group::{GroupSeat, GroupWish, HeldPart, PartSeat, StartGroup};
use crate::driver::handling::Permission;
use crate::driver::lease::Reading;
use crate::driver::recorder::{Recorded, Recorder};
use crate::driver::request::GroupAnswer;
use crate::driver::shell::Shell;
use crate::id::{GroupPart, Incarnation, ShardId, Ticket};
use crate::name::ConsumerName;
use crate::step::{Span, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::{oneshot, watch};

/// The parts of the lane's dice that its groups, and the consumers of their partitions, draw from.
const GROUP_DICE: u64 = 1 << 35;
const PART_DICE: u64 = 1 << 36;

/// How much of the time that a stopping node has is for what follows when its groups have ended: a
/// quarter.
const LEAVE_SHARE: u64 = 4;

impl<S: Shell> Lane<S> {
    /// This node takes part in a group.
    pub(super) fn group(&mut self, start: StartGroup) {
        let StartGroup {
            mut config,
            pace,
            host,
            told,
            done,
        } = start;
        let name = config.definition.name.clone();
        let (definition, wish) = (config.definition.clone(), config.wish.clone());
        config.incarnation = self.run;
        let failed = self.failed.as_ref().map(Unusable::fault);
        let here = self.groups.values().any(|seat| seat.name == name);
        let runs_here = here.then(|| Fault::RunsHere { name: name.clone() });
        let group = match failed.or(runs_here) {
            Some(fault) => Err(fault),
            None => Group::new(*config, *self.limits),
        };
        let group = match group {
            Ok(group) => group,
            Err(fault) => {
                // A caller that went away needs no answer.
                let _ = done.send(Err(Box::new(fault)));
                return;
            }
        };
        self.tickets += 1;
        let n = self.tickets;
        let dice = self.dice.fork(GROUP_DICE | n);
        let effects_max = self.limits.effects_max;
        let seat = GroupSeat {
            name,
            seat: MachineSeat::new(Who::Group(n), group, dice, effects_max),
            wanted: Vec::new(),
            wish,
            definition,
            pace,
            host,
            told,
            lease: Reading::default(),
            parts: BTreeMap::new(),
            waiting: BTreeMap::new(),
        };
        self.groups.insert(n, seat);
        // A caller that went away needs no answer; it runs without a handle then.
        let _ = done.send(Ok(n));
        self.group_sees_view(n);
        self.group_sees_lease(n);
        if self.shapes.is_some() {
            self.feed_group(n, Input::Up);
        }
        if let Some(at) = self.stop_at {
            self.stop_groups(at);
        }
    }

    /// Steps the machine of a group, and does what it wants.
    pub(super) fn feed_group(&mut self, n: u64, input: Input) {
        self.group_inputs.push_back((n, input));
        // What comes of a step's effects is told when the step is done.
        if std::mem::replace(&mut self.grouping, true) {
            return;
        }
        while let Some((n, input)) = self.group_inputs.pop_front() {
            self.step_group(n, input);
        }
        self.grouping = false;
    }

    fn step_group(&mut self, n: u64, input: Input) {
        let now = self.now;
        let Some(group) = self.groups.get_mut(&n) else {
            return;
        };
        let mut wanted = std::mem::take(&mut group.wanted);
        let record = |recorder: &mut Recorder<Who>, now, input: &Input| {
            let recorded = Recorded::Group(Box::new(input.clone()));
            recorder.push(now, Who::Group(n), recorded);
        };
        group
            .seat
            .feed(&mut env!(self, now), input, record, &mut wanted);
        let halted = group.seat.halted().map(str::to_owned);
        let mut ended = halted.map(Ended::Halted);
        for effect in wanted.drain(..) {
            ended = self.group_effect(n, effect).or(ended);
        }
        if let Some(group) = self.groups.get_mut(&n) {
            group.wanted = wanted;
            group.say(ended.clone());
        }
        match ended {
            Some(Ended::Halted(reason)) => self.group_halted(n, reason),
            Some(Ended::Fault(_) | Ended::Stopped { .. } | Ended::Cut) => {
                if let Some(group) = self.groups.remove(&n) {
                    self.wish_of_group(GroupWish::Gone(group.name));
                }
            }
            None => {}
        }
        self.after(Who::Group(n));
    }

    fn group_effect(&mut self, n: u64, effect: Effect) -> Option<Ended> {
        let group = self.groups.get(&n)?;
        let name = group.name.clone();
        match effect {
            Effect::Store { op, request } => self.stores.push((Who::Group(n), op, request)),
            Effect::Serve(serves) => self.wish_of_group(GroupWish::Serve(name, serves)),
            Effect::Look => self.wish_of_group(GroupWish::Look),
            Effect::Begin {
                share,
                shards,
                start,
                paused,
            } => self.begin_part(n, *share, shards, (start, paused)),
            Effect::Pause { part, by } => self.pause_part(n, part, by),
            Effect::Answer { ticket, told } => {
                let group = self.groups.get_mut(&n);
                if let Some(done) = group.and_then(|group| group.waiting.remove(&ticket)) {
                    // A caller that went away needs no answer.
                    let _ = done.send(told);
                }
            }
            Effect::End { part, until } => self.end_part(n, part, until),
            Effect::Drop { part } => self.drop_part(n, part),
            Effect::Notice(notice) => {
                count(&mut self.counters, &notice);
                note(&name, &notice);
            }
            Effect::Ended { fault: None } => {
                tracing::info!(group = %name, "group_left");
                return Some(Ended::Stopped { running: 0 });
            }
            Effect::Ended { fault: Some(fault) } => {
                tracing::warn!(group = %name, %fault, "group_ended");
                return Some(Ended::Fault(fault));
            }
            Effect::Halt(reason) => {
                let (now, reason) = (self.now, reason.to_string());
                if let Some(group) = self.groups.get_mut(&n) {
                    group.seat.halt(&mut env!(self, now), reason.clone());
                }
                return Some(Ended::Halted(reason));
            }
        }
        None
    }

    /// Nothing of the group acts here any more, and nobody releases what its records say: the node is to
    /// lose its lease.
    fn group_halted(&mut self, n: u64, reason: String) {
        let parts: Vec<GroupPart> = match self.groups.get(&n) {
            Some(group) => group.parts.keys().copied().collect(),
            None => return,
        };
        for part in parts {
            self.drop_part(n, part);
        }
        // Of another lane than the first it is seen by its silence.
        self.end_membership(reason);
    }

    /// Whether the machine of a group found its own state wrong.
    pub(super) fn has_halted_group(&self) -> bool {
        self.groups
            .values()
            .any(|group| group.seat.halted().is_some())
    }

    fn wish_of_group(&mut self, wish: GroupWish) {
        if let Some(net) = &self.net {
            // Without lane 0 the node is at its end.
            let _ = net.group_wishes.send(wish);
        }
    }
}

/// Partitions.
impl<S: Shell> Lane<S> {
    fn begin_part(
        &mut self,
        n: u64,
        share: Share,
        shards: BTreeSet<ShardId>,
        (start, paused): (Start, Option<String>),
    ) {
        let (Some(group), Some(layout)) = (self.groups.get(&n), &self.layout) else {
            return;
        };
        let part = share.part;
        let mut definition = group.definition.clone();
        (definition.filter.shards, definition.start) = (shards, start);
        let config = Config {
            wish: group.wish.clone(),
            layout: (**layout).clone(),
            run: share.record.run,
            node: self.facts.node.clone(),
            definition,
            pace: group.pace,
            reset: None,
        };
        let status = Status::starting(layout.streams);
        let (told, tells) = watch::channel(Told {
            status,
            ended: None,
        });
        self.tickets += 1;
        let number = self.tickets;
        let permission = Permission {
            lease: Arc::clone(&self.facts.lease),
            permit: group.lease.permit,
            clock: Arc::new(self.shell.clone()),
        };
        let name = format!("{}.{part}", group.name);
        let host = Arc::clone(&group.host);
        let machine = match Consumer::of_group(config, share, *self.limits) {
            Ok(machine) => machine,
            Err(fault) => unreachable!("the group was checked: {fault}"),
        };
        let shell = self.shell.clone();
        let spawn: Spawn = Arc::new(move |task| shell.spawn(task));
        let reports = self.consumer_reports.0.clone();
        let dice = self.dice.fork(PART_DICE | number);
        let seat = ConsumerSeat::seated(
            (name, machine),
            *self.limits,
            dice,
            (spawn, reports, self.flight.panics.clone()),
            (host, told, Some(permission)),
        );
        self.consumers.insert(number, seat);
        self.parts.insert(number, (n, part));
        let part_seat = PartSeat {
            held: HeldPart {
                number,
                told: tells,
            },
            runs: true,
            left: BTreeSet::new(),
            ending: false,
        };
        if let Some(group) = self.groups.get_mut(&n) {
            group.parts.insert(part, part_seat);
        }
        if paused.is_some() {
            self.pause_part(n, part, paused);
        }
        if self.shapes.is_some() {
            self.feed_consumer(number, consumer::Input::Up);
        } else {
            self.after(Who::Consumer(number));
        }
    }

    /// Has a partition's consumer hand over nothing, or go on. Nobody waits for its answer: it obeys in
    /// this step.
    fn pause_part(&mut self, n: u64, part: GroupPart, by: Option<String>) {
        let Some(number) = self.part_mut(n, part).map(|seat| seat.held.number) else {
            return;
        };
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let command = match by {
            Some(by) => Command::Pause { ticket, by },
            None => Command::Resume { ticket },
        };
        self.feed_consumer(number, consumer::Input::Order(command));
    }

    fn end_part(&mut self, n: u64, part: GroupPart, until: Time) {
        let Some(seat) = self.part_mut(n, part) else {
            return self.feed_group(n, Input::Ended { part });
        };
        seat.ending = true;
        let (number, runs) = (seat.held.number, seat.runs);
        if runs {
            let stop = Command::Stop { until };
            self.feed_consumer(number, consumer::Input::Order(stop));
        } else {
            self.part_went_on(n, part);
        }
    }

    fn drop_part(&mut self, n: u64, part: GroupPart) {
        let Some(seat) = self.part_mut(n, part) else {
            return self.feed_group(n, Input::Ended { part });
        };
        seat.ending = true;
        let number = seat.held.number;
        if let Some(mut consumer) = self.consumers.remove(&number) {
            consumer.cut();
            self.part_over(number, consumer);
        } else {
            self.part_went_on(n, part);
        }
        self.after(Who::Consumer(number));
    }

    fn part_mut(&mut self, n: u64, part: GroupPart) -> Option<&mut PartSeat> {
        self.groups.get_mut(&n)?.parts.get_mut(&part)
    }

    /// A consumer is over and out of the lane, perhaps that of a partition.
    pub(super) fn part_over(&mut self, number: u64, consumer: ConsumerSeat) {
        let Some((n, part)) = self.parts.get(&number).copied() else {
            return;
        };
        if let Some(seat) = self.part_mut(n, part) {
            seat.runs = false;
            seat.left = consumer.into_running();
        }
        self.part_went_on(n, part);
    }

    /// A handler's task is gone whose consumer is over.
    pub(super) fn part_handled(&mut self, (number, op, _): Report) {
        let Some((n, part)) = self.parts.get(&number).copied() else {
            return;
        };
        if let Some(seat) = self.part_mut(n, part) {
            seat.left.remove(&op);
        }
        self.part_went_on(n, part);
    }

    /// When nothing of a partition acts any more its group is told.
    fn part_went_on(&mut self, n: u64, part: GroupPart) {
        let Some(seat) = self.part_mut(n, part) else {
            return;
        };
        if !seat.is_gone() {
            return;
        }
        let (number, lost, ending) = (seat.held.number, seat.is_lost(), seat.ending);
        self.parts.remove(&number);
        if (ending || lost)
            && let Some(group) = self.groups.get_mut(&n)
        {
            group.parts.remove(&part);
        }
        self.feed_group(
            n,
            match ending {
                true => Input::Ended { part },
                false => Input::Faulted { part, lost },
            },
        );
    }
}

/// What changes around groups.
impl<S: Shell> Lane<S> {
    pub(super) fn all_groups(&self) -> Vec<u64> {
        self.groups.keys().copied().collect()
    }

    pub(super) fn groups_up(&mut self) {
        for n in self.all_groups() {
            self.feed_group(n, Input::Up);
        }
    }

    /// The store will not be there again.
    pub(super) fn groups_end(&mut self, fault: &Fault) {
        for n in self.all_groups() {
            self.feed_group(n, Input::Unusable(Box::new(fault.clone())));
        }
    }

    /// Who is in the cluster, or until when this node may act, changed.
    pub(super) fn groups_see(&mut self, other_view: bool) {
        for n in self.all_groups() {
            if other_view {
                self.group_sees_view(n);
            }
            self.group_sees_lease(n);
        }
    }

    fn group_sees_view(&mut self, n: u64) {
        if let Some(net) = &self.net {
            let view = Arc::clone(&net.membership.borrow().view);
            self.feed_group(n, Input::View(view));
        }
    }

    /// Tells a group of its node's lease. One that was lost meanwhile is told, whatever came after it.
    pub(super) fn group_sees_lease(&mut self, n: u64) {
        let reading = self.facts.lease.read();
        let Some(group) = self.groups.get_mut(&n) else {
            return;
        };
        let before = std::mem::replace(&mut group.lease, reading);
        if before.permit != reading.permit {
            self.feed_group(n, Input::Lease(None));
        }
        if before != reading {
            self.feed_group(n, Input::Lease(reading.until));
        }
    }

    pub(super) fn groups_run(&mut self, run: Incarnation) {
        for n in self.all_groups() {
            self.feed_group(n, Input::Run(run));
        }
    }

    /// The node stops, at the latest at a time.
    pub(super) fn stop_groups(&mut self, at: Time) {
        let left = at.since(self.now).as_nanos();
        let until = self.now + Span::from_nanos(left - left / LEAVE_SHARE);
        for n in self.all_groups() {
            let gives_up = true;
            self.feed_group(n, Input::Leave { until, gives_up });
        }
    }

    /// A group is told something; whoever wants it waits for what comes of it.
    pub(super) fn order_group(
        &mut self,
        n: u64,
        order: GroupOrder,
        done: oneshot::Sender<GroupAnswer>,
    ) {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        // One that is over answers by its handle's status.
        let Some(group) = self.groups.get_mut(&n) else {
            return;
        };
        group.waiting.insert(ticket, done);
        self.feed_group(n, Input::Order { ticket, order });
    }

    pub(super) fn leave_group(&mut self, n: u64, until: Time) {
        let gives_up = false;
        self.feed_group(n, Input::Leave { until, gives_up });
    }

    /// The lane ends.
    pub(super) fn cut_groups(&mut self) {
        while let Some((_, group)) = self.groups.pop_first() {
            group.say(Some(Ended::Cut));
        }
    }
}

fn count(counters: &mut Counters, notice: &Notice) {
    match notice {
        Notice::Claimed { .. } => counters.partitions_claimed += 1,
        Notice::HandingOver { .. } => counters.partitions_handed_over += 1,
        Notice::Lost { .. } => counters.partitions_lost += 1,
        Notice::LeaseOver { parts } => counters.partitions_lost += *parts as u64,
        Notice::Told { .. } => counters.group_orders += 1,
        Notice::Joined { .. }
        | Notice::Released { .. }
        | Notice::Unreadable { .. }
        | Notice::OrdersLost
        | Notice::OrdersUnreadable { .. } => {}
    }
}

fn note(group: &ConsumerName, notice: &Notice) {
    match notice {
        Notice::Told { order } => tracing::info!(%group, ?order, "group_told"),
        Notice::OrdersLost => tracing::warn!(%group, "group_orders_lost"),
        Notice::OrdersUnreadable { cause } => {
            tracing::warn!(%group, cause, "group_orders_unreadable");
        }
        Notice::Joined { made } => tracing::info!(%group, made, "group_joined"),
        Notice::Claimed { part, from } => {
            tracing::info!(%group, %part, ?from, "partition_claimed");
        }
        Notice::HandingOver { part, to } => {
            tracing::info!(%group, %part, ?to, "partition_handed_over");
        }
        Notice::Released { part } => tracing::info!(%group, %part, "partition_released"),
        Notice::Lost { part } => tracing::warn!(%group, %part, "partition_lost"),
        Notice::LeaseOver { parts } => tracing::warn!(%group, parts, "group_lease_over"),
        Notice::Unreadable { part, cause } => {
            tracing::warn!(%group, %part, cause, "partition_record_unreadable");
        }
    }
}

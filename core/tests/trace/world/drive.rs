//! What machines are given and what they want, and how time passes.

use super::{Job, STEPS_MAX, Task, World};
use crate::bank::Order;
use crate::show::Class;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tenure_core::format::Metadata;
use tenure_core::id::{CommandId, Incarnation, OpId, Sequence, Ticket};
use tenure_core::log::{Effect, Expected, Freshness, Input, KindIndex, Note, Read, Submit};
use tenure_core::name::EntityId;
use tenure_core::shard::Report;
use tenure_core::{Cx, Effects, Machine, Time};

impl World {
    /// A caller comes with an order.
    #[allow(clippy::too_many_arguments, reason = "the parts of one command")]
    pub(crate) fn submit(
        &mut self,
        node: &str,
        ticket: Ticket,
        entity: &str,
        order: Order,
        id: Option<CommandId>,
        expected: Expected,
        metadata: Option<Metadata>,
        at_least: Sequence,
        deadline: Time,
    ) {
        self.arrive(node, ticket, order);
        let submit = Submit {
            ticket,
            kind: KindIndex(0),
            entity: EntityId::new(entity).expect("an entity's id"),
            id,
            expected,
            metadata: metadata.map(Arc::new),
            wall: self.wall(),
            at_least,
            deadline,
        };
        self.step(node, Input::Submit(submit));
    }

    /// A caller comes with a question.
    pub(crate) fn read(
        &mut self,
        node: &str,
        ticket: Ticket,
        entity: &str,
        freshness: Freshness,
        at_least: Sequence,
        deadline: Time,
    ) {
        self.arrive(node, ticket, Order::Ask);
        let read = Read {
            ticket,
            kind: KindIndex(0),
            entity: EntityId::new(entity).expect("an entity's id"),
            freshness,
            at_least,
            deadline,
        };
        self.step(node, Input::Read(read));
    }

    pub(super) fn arrive(&mut self, node: &str, ticket: Ticket, order: Order) {
        let fresh = self.callers.insert(ticket, node.to_owned()).is_none()
            && !self.told.contains_key(&ticket);
        assert!(fresh, "{ticket:?} was used before");
        let node = self.nodes.get_mut(node).expect("a node");
        node.bank.take(ticket, order);
    }

    /// Lets a machine take one input, and queues what it wants done.
    pub(crate) fn step(&mut self, name: &str, input: Input) {
        let node = self.nodes.get_mut(name).expect("a node");
        let mut out = Effects::new(self.setup.limits.effects_max);
        let mut cx = Cx {
            now: self.now,
            dice: node.dice,
            probe: &mut self.probe,
        };
        node.shard.step(&mut cx, input, &mut out);
        let stock = node.shard.stock();
        node.cache.set(node.stock_at, stock);
        let excess = node.cache.excess();
        for effect in out.drain() {
            self.effect(name, effect);
        }
        self.check_ways(name);
        if excess.is_some() {
            self.step(name, Input::Evict);
        }
    }

    pub(super) fn effect(&mut self, name: &str, effect: Effect) {
        match effect {
            Effect::Store { op, request } => {
                for (n, text) in self.names.request(&request).iter().enumerate() {
                    let text = match n {
                        0 => format!("{op:?} {text}"),
                        _ => text.clone(),
                    };
                    self.line(name, '>', &text);
                }
                self.job(name, op, Task::Store(request));
            }
            Effect::Run { op, work } => self.job(name, op, Task::Work(work)),
            Effect::Reply { ticket, reply } if self.dispatched.contains_key(&ticket) => {
                self.delivered(name, ticket, &reply);
            }
            Effect::Reply { ticket, reply } => {
                let waited = self.callers.remove(&ticket).is_some();
                assert!(waited, "{ticket:?} got two replies (L6)");
                let node = self.nodes.get_mut(name).expect("a node");
                let said = node.bank.answer(ticket, &reply);
                let text = self.names.reply(&reply, said);
                self.line(name, '=', &format!("{ticket:?} {text}"));
                self.told.insert(ticket, reply);
            }
            Effect::Forget { slot } => {
                let node = self.nodes.get_mut(name).expect("a node");
                let text = node.bank.forget(slot);
                self.line(name, '.', &text);
            }
            Effect::AskWall => {
                self.line(name, '?', "the wall clock");
                self.job(name, OpId(u64::MAX), Task::Wall);
            }
            Effect::Dispatch { op, dispatch } => {
                let text = self.names.dispatch(&dispatch);
                self.line(name, '>', &format!("{op:?} {text}"));
                self.job(name, op, Task::Dispatch(dispatch));
            }
            Effect::Report(report) => {
                let text = self.report(&report);
                self.line(name, '!', &text);
            }
            Effect::Note(note) => {
                if let Note::Claimed(_) = note {
                    self.stray(name);
                }
                let text = self.names.note(&note);
                self.line(name, '!', &text);
            }
            Effect::Halt(reason) => panic!("{name} halts: {reason}"),
        }
    }

    pub(super) fn report(&mut self, report: &Report) -> String {
        let whose = |run: &Incarnation| self.runs.get(run).cloned().unwrap_or_default();
        let to = match report {
            Report::HandedOver { to, .. } => whose(to),
            Report::Owned(_)
            | Report::Rival { .. }
            | Report::Released { .. }
            | Report::Kept { .. }
            | Report::Lost { .. }
            | Report::Failed { .. } => String::new(),
        };
        self.names.report(report, &to)
    }

    pub(super) fn job(&mut self, name: &str, op: OpId, task: Task) {
        let node = name.to_owned();
        let released = false;
        self.jobs.push_back(Job {
            node,
            op,
            task,
            released,
        });
    }

    /// Answers everything, wave by wave, and lets time pass where a machine waits to try again.
    pub(crate) fn run(&mut self, only: Option<&str>) {
        for _ in 0..STEPS_MAX {
            let wave = self.wave(only);
            if !wave.is_empty() {
                for job in wave {
                    self.serve(job);
                }
            } else if !self.pass_to_retry(only) {
                return;
            }
        }
        panic!("the world does not come to rest");
    }

    /// As [`run`](Self::run), told as one line per round trip to the store.
    pub(crate) fn run_by_rounds(&mut self, only: Option<&str>) {
        let mut round = 0;
        loop {
            let wave = self.wave(only);
            if wave.is_empty() {
                return;
            }
            let mut counts: BTreeMap<Class, usize> = BTreeMap::new();
            for job in &wave {
                if let Task::Store(request) = &job.task {
                    *counts.entry(Class::of(request)).or_default() += 1;
                }
            }
            if !counts.is_empty() {
                round += 1;
                let counts = counts.iter();
                let counts: Vec<_> = counts.map(|(c, n)| format!("{n} {}", c.name())).collect();
                self.say(format!("round trip {round}: {}", counts.join(", ")));
            }
            let quiet = self.lines.len();
            for job in wave {
                self.serve(job);
            }
            // Replies and what the host did are told; requests and answers are not.
            let told = self.lines.split_off(quiet);
            let brief = |line: &String| {
                let mark = line.split_whitespace().nth(2);
                !matches!(mark, Some(">" | "<"))
            };
            self.lines.extend(told.into_iter().filter(brief));
        }
    }

    pub(super) fn wave(&mut self, only: Option<&str>) -> Vec<Job> {
        let mine = |job: &Job| only.is_none_or(|name| job.node == name);
        let jobs = std::mem::take(&mut self.jobs);
        let (wave, rest): (VecDeque<_>, VecDeque<_>) = jobs.into_iter().partition(mine);
        self.jobs = rest;
        wave.into()
    }

    /// Passes to the next repetition of a node; whether there was one.
    pub(super) fn pass_to_retry(&mut self, only: Option<&str>) -> bool {
        let next = self.nodes.iter();
        let next = next
            .filter(|(name, _)| only.is_none_or(|only| *name == only))
            .filter_map(|(name, node)| Some((node.shard.next_deadline()?, name.clone())))
            .min();
        let waits = ["caller", "reminder", "reminder again", "index"];
        // Of who is away there is no end.
        let tried = ["message again", "receiver again"];
        let waits =
            |timer| waits.contains(&timer) || !self.away.is_empty() && tried.contains(&timer);
        let Some((deadline, name)) = next.filter(|(d, _)| !waits(d.timer)) else {
            return false;
        };
        self.now = self.now.max(deadline.at);
        self.line(&name, '*', &format!("timer: {}", deadline.timer));
        self.step(&name, Input::Tick);
        true
    }

    /// Lets time pass, and nothing else but timers.
    pub(crate) fn advance(&mut self, end: Time) {
        loop {
            let next = self.nodes.iter();
            let next = next
                .filter_map(|(name, node)| Some((node.shard.next_deadline()?, name.clone())))
                .min();
            let Some((deadline, name)) = next.filter(|(d, _)| d.at <= end) else {
                break;
            };
            self.now = self.now.max(deadline.at);
            self.line(&name, '*', &format!("timer: {}", deadline.timer));
            self.step(&name, Input::Tick);
        }
        self.now = end;
    }
}

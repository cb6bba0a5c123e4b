//! The seat of the machine that opens the namespace, on lane 0.

use super::host::caught;
use super::lane::{Env, Who};
use super::link::{Link, LinkState};
use super::recorder::{LastBegan, Recorded};
use super::request::{KindAnswer, KindFailure};
use super::shell::{Inbound, LinkNumber};
use crate::id::{OpId, Ticket, WallTime};
use crate::port::StoreReply;
use crate::space::{Effect, Input, KindWish, Opened, Space, SpaceError, SpaceWish};
use crate::step::{Cx, Deadline, Dice, Effects, Limits, Machine, Time};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{oneshot, watch};

/// The part of the node's dice that this machine draws from.
const DICE_PART: u64 = 1 << 33;

/// The namespace's machine, who waits for a kind, and whom it tells.
pub(crate) struct SpaceSeat {
    machine: Space,
    dice: Dice,
    effects: Effects<Effect>,
    waiting: BTreeMap<Ticket, oneshot::Sender<KindAnswer>>,
    link: watch::Sender<Link>,
    /// The link that was up last.
    number: Option<LinkNumber>,
    halted: Option<String>,
    /// When the recorder kept the machine last.
    began: Option<LastBegan>,
}

impl SpaceSeat {
    pub(crate) fn new(
        wish: SpaceWish,
        limits: Limits,
        dice: Dice,
        link: watch::Sender<Link>,
        now: Time,
    ) -> Result<Self, SpaceError> {
        Ok(Self {
            machine: Space::new(wish, limits, now)?,
            dice: dice.fork(DICE_PART),
            effects: Effects::new(limits.effects_max),
            waiting: BTreeMap::new(),
            link,
            number: None,
            halted: None,
            began: None,
        })
    }

    pub(crate) fn next_deadline(&self) -> Option<Deadline> {
        match self.halted {
            Some(_) => None,
            None => self.machine.next_deadline(),
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn inbound(&mut self, env: &mut Env<'_>, inbound: Inbound, wall: WallTime) {
        match inbound {
            Inbound::Connected(capabilities, number) => {
                self.number = Some(number);
                tracing::info!(version = %capabilities.version, "store_connected");
                self.feed(env, Input::Up { capabilities, wall });
            }
            Inbound::Disconnected => {
                tracing::warn!("store_disconnected");
                self.say(|state| match state {
                    LinkState::Up { .. } => Some(LinkState::Down),
                    LinkState::Opening
                    | LinkState::Down
                    | LinkState::Failed(_)
                    | LinkState::Halted(_) => None,
                });
                self.feed(env, Input::Down);
            }
        }
    }

    pub(crate) fn tick(&mut self, env: &mut Env<'_>) {
        self.feed(env, Input::Tick);
    }

    pub(crate) fn stored(&mut self, env: &mut Env<'_>, op: OpId, reply: StoreReply) {
        self.feed(env, Input::Stored { op, reply });
    }

    pub(crate) fn kind(
        &mut self,
        env: &mut Env<'_>,
        wish: KindWish,
        done: oneshot::Sender<KindAnswer>,
    ) {
        if let Some(reason) = &self.halted {
            // A caller that went away needs no answer.
            let _ = done.send(Err(KindFailure::Halted(reason.clone())));
            return;
        }
        self.waiting.insert(wish.ticket, done);
        self.feed(env, Input::Kind(wish));
    }

    /// Tells everyone who waits that the node stopped.
    pub(crate) fn stop(&mut self) {
        self.fail_all(&KindFailure::Stopped);
    }

    fn feed(&mut self, env: &mut Env<'_>, input: Input) {
        if self.halted.is_some() {
            return;
        }
        let recorded = Recorded::Space(Box::new(input.clone()));
        let me = (env.now, Who::Space);
        env.recorder
            .begin(me, &mut self.began, self.dice, &self.machine);
        env.recorder.push(env.now, Who::Space, recorded);
        let mut effects = core::mem::replace(&mut self.effects, Effects::new(0));
        let mut cx = Cx {
            now: env.now,
            dice: self.dice,
            probe: &mut *env.probe,
        };
        let stepped = caught(|| self.machine.step(&mut cx, input, &mut effects));
        match stepped {
            Ok(()) => {
                env.recorder.led_to(effects.as_slice());
                for effect in effects.drain() {
                    self.run(env, effect);
                }
            }
            Err(panic) => {
                effects.drain();
                self.halt(env, format!("a step panicked: {panic}"));
            }
        }
        self.effects = effects;
    }

    fn run(&mut self, env: &mut Env<'_>, effect: Effect) {
        match effect {
            Effect::Store { op, request } => env.stores.push((Who::Space, op, request)),
            Effect::Opened(opened) => self.open(opened, "namespace_opened"),
            Effect::Verified(opened) => self.open(opened, "namespace_verified"),
            Effect::KindReady { ticket, record } => {
                tracing::info!(kind = %record.name, id = %record.id, "kind_ready");
                self.answer(ticket, Ok(record));
            }
            Effect::KindFailed { ticket, error } => {
                self.answer(ticket, Err(KindFailure::Space(error)));
            }
            Effect::Failed(error) => {
                // It reaches the caller of `start`; later it is for operators.
                tracing::warn!(%error, "namespace_failed");
                self.fail_all(&KindFailure::Space(error.clone()));
                self.say(|_| Some(LinkState::Failed(error)));
            }
            Effect::Halt(reason) => self.halt(env, reason.to_string()),
        }
    }

    fn open(&self, opened: Opened, event: &'static str) {
        tracing::info!(layout = %opened.layout.id, "{event}");
        let (layout, shapes) = (Arc::new(opened.layout), opened.shapes.into());
        let Some(number) = self.number else {
            return debug_assert!(false, "it was verified over a link");
        };
        self.link.send_modify(|link| {
            link.generation += 1;
            link.layout = Some(layout);
            link.state = LinkState::Up {
                shapes,
                link: number,
            };
        });
    }

    fn say(&self, next: impl FnOnce(&LinkState) -> Option<LinkState>) {
        self.link.send_if_modified(|link| match next(&link.state) {
            Some(state) => {
                link.state = state;
                true
            }
            None => false,
        });
    }

    fn answer(&mut self, ticket: Ticket, answer: KindAnswer) {
        if let Some(done) = self.waiting.remove(&ticket) {
            // A caller that went away needs no answer.
            let _ = done.send(answer);
        }
    }

    fn fail_all(&mut self, failure: &KindFailure) {
        while let Some((_, done)) = self.waiting.pop_first() {
            // A caller that went away needs no answer.
            let _ = done.send(Err(failure.clone()));
        }
    }

    fn halt(&mut self, env: &mut Env<'_>, reason: String) {
        tracing::error!(machine = ?Who::Space, reason, "machine_halted");
        env.counters.halts += 1;
        env.recorder.halted(Who::Space, &reason);
        self.fail_all(&KindFailure::Halted(reason.clone()));
        self.say(|_| Some(LinkState::Halted(reason.clone())));
        self.halted = Some(reason);
    }
}

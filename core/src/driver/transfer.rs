//! Runs the machine of an export or an import, with the machine that opens its namespace, and nothing else:
//! no lane, no node.

use super::shell::{Inbound, Shell};
use crate::format::KindRecord;
use crate::id::{OpId, Ticket};
use crate::port::{StoreReply, StoreRequest};
use crate::space::{self, KindWish, Opened, Space, SpaceError, SpaceWish};
use crate::step::{Cx, Deadline, Dice, Effects, Limits, Machine, SilentProbe};
use crate::transfer::{Exporter, ExporterEffect, ExporterInput};
use crate::transfer::{Importer, ImporterEffect, ImporterInput};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use std::collections::VecDeque;
use tokio::sync::mpsc;

/// A machine that asks the store and has no callers.
pub(crate) trait Alone: Machine {
    fn tick() -> Self::Input;
    fn stored(op: OpId, reply: StoreReply) -> Self::Input;
    /// A request to the store; another effect comes back.
    fn request(effect: Self::Effect) -> Result<(OpId, StoreRequest), Self::Effect>;
}

impl Alone for Exporter {
    fn tick() -> ExporterInput {
        ExporterInput::Tick
    }

    fn stored(op: OpId, reply: StoreReply) -> ExporterInput {
        ExporterInput::Stored { op, reply }
    }

    fn request(effect: ExporterEffect) -> Result<(OpId, StoreRequest), ExporterEffect> {
        match effect {
            ExporterEffect::Store { op, request } => Ok((op, request)),
            other @ (ExporterEffect::Head { .. }
            | ExporterEffect::Page { .. }
            | ExporterEffect::Finished(_)
            | ExporterEffect::Failed(_)) => Err(other),
        }
    }
}

impl Alone for Importer {
    fn tick() -> ImporterInput {
        ImporterInput::Tick
    }

    fn stored(op: OpId, reply: StoreReply) -> ImporterInput {
        ImporterInput::Stored { op, reply }
    }

    fn request(effect: ImporterEffect) -> Result<(OpId, StoreRequest), ImporterEffect> {
        match effect {
            ImporterEffect::Store { op, request } => Ok((op, request)),
            other @ (ImporterEffect::Finished(_) | ImporterEffect::Failed(_)) => Err(other),
        }
    }
}

/// Why a namespace is not open, or not any more.
#[derive(Debug)]
pub(crate) enum NotOpen {
    Space(SpaceError),
    /// A machine found its own state wrong, or the shell is gone.
    Halted(String),
}

/// Who asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Space,
    Machine,
}

type Asked = BoxFuture<'static, (Whose, OpId, StoreReply)>;

/// An open namespace, beside the machine that works on it.
pub(crate) struct Station<S: Shell> {
    shell: S,
    /// The same over the link that is known.
    store: S,
    inbox: mpsc::Receiver<Inbound>,
    dice: Dice,
    space: Space,
    effects: Effects<space::Effect>,
    asked: FuturesUnordered<Asked>,
    opened: Option<Opened>,
    kind: Option<Result<KindRecord, SpaceError>>,
    failed: Option<NotOpen>,
    kinds: u64,
}

/// A machine, and what it said.
pub(crate) struct Running<M: Machine> {
    pub(crate) machine: M,
    effects: Effects<M::Effect>,
    told: VecDeque<M::Effect>,
}

impl<M: Alone> Running<M> {
    pub(crate) fn new(machine: M, limits: &Limits) -> Self {
        Self {
            machine,
            effects: Effects::new(limits.effects_max),
            told: VecDeque::new(),
        }
    }
}

impl<S: Shell> Station<S> {
    /// Opens a namespace, within `Limits::open_timeout`.
    pub(crate) async fn open(
        shell: S,
        dice: Dice,
        wish: SpaceWish,
        limits: Limits,
    ) -> Result<(Self, Opened), NotOpen> {
        let space = Space::new(wish, limits, shell.now()).map_err(NotOpen::Space)?;
        let mut this = Self {
            inbox: shell.inbox(),
            store: shell.clone(),
            shell,
            dice,
            space,
            effects: Effects::new(limits.effects_max),
            asked: FuturesUnordered::new(),
            opened: None,
            kind: None,
            failed: None,
            kinds: 0,
        };
        loop {
            if let Some(opened) = this.opened.take() {
                return Ok((this, opened));
            }
            this.event(None).await?;
        }
    }

    /// The machine that opened the namespace.
    pub(crate) fn space(&self) -> &Space {
        &self.space
    }

    pub(crate) fn shell(&self) -> &S {
        &self.shell
    }

    /// The record of a kind, which is made where there is none.
    pub(crate) async fn kind(&mut self, wish: KindWish) -> Result<KindRecord, NotOpen> {
        let ticket = Ticket(self.kinds);
        self.kinds += 1;
        self.kind = None;
        self.feed(space::Input::Kind(KindWish { ticket, ..wish }));
        loop {
            if let Some(answer) = self.kind.take() {
                return answer.map_err(NotOpen::Space);
            }
            self.event(None).await?;
        }
    }

    /// Feeds the machine.
    pub(crate) fn step<M: Alone>(&mut self, running: &mut Running<M>, input: M::Input) {
        let mut cx = Cx {
            now: self.shell.now(),
            dice: self.dice,
            probe: &mut SilentProbe,
        };
        running.machine.step(&mut cx, input, &mut running.effects);
        for effect in running.effects.drain() {
            match M::request(effect) {
                Ok((op, request)) => {
                    let shell = self.store.clone();
                    let ask = async move { (Whose::Machine, op, shell.store(request).await) };
                    self.asked.push(Box::pin(ask));
                }
                Err(told) => running.told.push_back(told),
            }
        }
    }

    /// The next thing that the machine says; `None` when it took something in and may take in more.
    pub(crate) async fn turn<M: Alone>(
        &mut self,
        running: &mut Running<M>,
    ) -> Result<Option<M::Effect>, NotOpen> {
        if running.told.is_empty() {
            let due = running.machine.next_deadline();
            match self.event(due).await? {
                Event::Stored(op, reply) => self.step(running, M::stored(op, reply)),
                Event::Due => self.step(running, M::tick()),
                Event::Space => {}
            }
        }
        Ok(running.told.pop_front())
    }

    /// Waits for the next event; those of the namespace are taken in.
    async fn event(&mut self, deadline: Option<Deadline>) -> Result<Event, NotOpen> {
        if let Some(failed) = self.failed.take() {
            return Err(failed);
        }
        let space = self.space.next_deadline();
        let next = Deadline::earliest(space, deadline).map(|next| next.at);
        let now = self.shell.now();
        let due = |deadline: Option<Deadline>| deadline.is_some_and(|it| it.at <= now);
        if due(space) {
            self.feed(space::Input::Tick);
            return Ok(Event::Space);
        }
        if due(deadline) {
            return Ok(Event::Due);
        }
        let shell = self.shell.clone();
        let sleep = async {
            match next {
                Some(at) => shell.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some((whose, op, reply)) = self.asked.next(), if !self.asked.is_empty() => match whose {
                Whose::Machine => return Ok(Event::Stored(op, reply)),
                Whose::Space => self.feed(space::Input::Stored { op, reply }),
            },
            inbound = self.inbox.recv() => match inbound {
                Some(Inbound::Connected(capabilities, link)) => {
                    self.store = self.shell.during(link);
                    let wall = self.shell.wall();
                    self.feed(space::Input::Up { capabilities, wall });
                }
                Some(Inbound::Disconnected) => self.feed(space::Input::Down),
                None => return Err(NotOpen::Halted("the shell has ended".to_owned())),
            },
            () = sleep => {}
        }
        Ok(Event::Space)
    }

    fn feed(&mut self, input: space::Input) {
        let mut cx = Cx {
            now: self.shell.now(),
            dice: self.dice,
            probe: &mut SilentProbe,
        };
        self.space.step(&mut cx, input, &mut self.effects);
        for effect in self.effects.drain() {
            match effect {
                space::Effect::Store { op, request } => {
                    let shell = self.store.clone();
                    let ask = async move { (Whose::Space, op, shell.store(request).await) };
                    self.asked.push(Box::pin(ask));
                }
                space::Effect::Opened(opened) => self.opened = Some(opened),
                // Its shapes are those that it was opened with, or with more replicas.
                space::Effect::Verified(_) => {}
                space::Effect::KindReady { record, .. } => self.kind = Some(Ok(record)),
                space::Effect::KindFailed { error, .. } => self.kind = Some(Err(error)),
                space::Effect::Failed(error) => self.failed = Some(NotOpen::Space(error)),
                space::Effect::Halt(reason) => {
                    self.failed = Some(NotOpen::Halted(reason.to_string()));
                }
            }
        }
    }
}

/// What happened.
enum Event {
    Stored(OpId, StoreReply),
    Due,
    Space,
}

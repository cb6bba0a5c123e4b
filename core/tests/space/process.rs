//! A process that opens a namespace, driven by hand.

use super::store::{Store, capabilities};
use std::collections::VecDeque;
use tenure_core::format::{Codec, Placement, TakeOver, WriteMode};
use tenure_core::id::{OpId, Ticket, WallTime};
use tenure_core::name::{KindName, Namespace};
use tenure_core::port::{Capabilities, StoreReply, StoreRequest};
use tenure_core::space::{Effect, Input, KindWish, Opened, Space, SpaceError, SpaceWish};
use tenure_core::step::{Cx, Dice, Effects, Limits, Machine, SilentProbe, Time};

/// One process that opens a namespace, with its requests in the order in which it made them.
pub(crate) struct Process {
    pub(crate) space: Space,
    pub(crate) now: Time,
    dice: Dice,
    pub(crate) requests: VecDeque<(OpId, StoreRequest)>,
    pub(crate) told: Vec<Effect>,
}

impl Process {
    pub(crate) fn new(wish: SpaceWish, seed: u128) -> Self {
        Self {
            space: Space::new(wish, Limits::default(), Time::ZERO).unwrap(),
            now: Time::ZERO,
            dice: Dice::new(seed),
            requests: VecDeque::new(),
            told: Vec::new(),
        }
    }

    /// A process that is connected to a single server.
    pub(crate) fn up(wish: SpaceWish, seed: u128) -> Self {
        let mut process = Self::new(wish, seed);
        process.connect(capabilities());
        process
    }

    pub(crate) fn connect(&mut self, capabilities: Capabilities) {
        self.step(Input::Up {
            capabilities,
            wall: WallTime(1_000),
        });
    }

    pub(crate) fn step(&mut self, input: Input) {
        let mut probe = SilentProbe;
        let mut cx = Cx {
            now: self.now,
            dice: self.dice,
            probe: &mut probe,
        };
        let mut out = Effects::new(1_000);
        self.space.step(&mut cx, input, &mut out);
        for effect in out.drain() {
            if let Effect::Store { op, request } = effect {
                self.requests.push_back((op, request));
            } else {
                self.told.push(effect);
            }
        }
    }

    /// The next request; lets time pass up to it where the machine waits before it sends.
    pub(crate) fn next(&mut self) -> (OpId, StoreRequest) {
        for _ in 0..100 {
            if let Some(next) = self.requests.pop_front() {
                return next;
            }
            self.sleep();
        }
        panic!("no request came; told: {:?}", self.told);
    }

    /// Lets time pass to the next deadline.
    pub(crate) fn sleep(&mut self) {
        let deadline = self.space.next_deadline().expect("a deadline to wait for");
        self.now = self.now.max(deadline.at);
        self.step(Input::Tick);
    }

    pub(crate) fn reply(&mut self, op: OpId, reply: StoreReply) {
        self.step(Input::Stored { op, reply });
    }

    /// Lets the store answer one request.
    pub(crate) fn serve(&mut self, store: &mut Store) -> StoreRequest {
        let (op, request) = self.next();
        self.reply(op, store.answer(&request));
        request
    }

    /// Lets the store answer until a request of this name comes, which is not answered yet.
    pub(crate) fn serve_until(&mut self, store: &mut Store, name: &str) -> (OpId, StoreRequest) {
        loop {
            let (op, request) = self.next();
            if describe(&request) == name {
                return (op, request);
            }
            self.reply(op, store.answer(&request));
        }
    }

    /// Lets the store answer everything until something is told.
    pub(crate) fn run(&mut self, store: &mut Store) -> Effect {
        while self.told.is_empty() {
            self.serve(store);
        }
        self.told.remove(0)
    }

    pub(crate) fn opened(&mut self, store: &mut Store) -> Opened {
        let told = self.run(store);
        let Effect::Opened(opened) = told else {
            panic!("not opened but {told:?}");
        };
        opened
    }

    pub(crate) fn failed(&mut self, store: &mut Store) -> SpaceError {
        let told = self.run(store);
        let Effect::Failed(error) = told else {
            panic!("not failed but {told:?}");
        };
        error
    }
}

/// A request by its name and what it is about.
pub(crate) fn describe(request: &StoreRequest) -> String {
    match request {
        StoreRequest::StreamInfo { stream } => format!("info {stream}"),
        StoreRequest::CreateStream(settings) => format!("create {}", settings.name),
        StoreRequest::Latest { subjects, .. } => format!("latest {}", subjects.join(" ")),
        StoreRequest::Get {
            stream, sequence, ..
        } => format!("get {sequence} of {stream}"),
        StoreRequest::Publish(publish) => format!("publish {}", publish.subject),
        StoreRequest::Scan { filter, .. } => format!("scan {filter}"),
        StoreRequest::Batch { .. }
        | StoreRequest::Capabilities
        | StoreRequest::OpenConsumer(_)
        | StoreRequest::Fetch { .. }
        | StoreRequest::CloseConsumer { .. } => request.name().to_owned(),
    }
}

pub(crate) fn namespace() -> Namespace {
    Namespace::new("bank").unwrap()
}

pub(crate) fn wish() -> SpaceWish {
    SpaceWish::new(namespace())
}

pub(crate) fn account(ticket: u64) -> KindWish {
    KindWish {
        ticket: Ticket(ticket),
        name: KindName::new("account").unwrap(),
        mode: WriteMode::Direct,
        class: TakeOver::Fenced,
        codec: Codec::Cbor,
        placement: Placement::Whole,
        timeout: Limits::default().open_timeout,
    }
}

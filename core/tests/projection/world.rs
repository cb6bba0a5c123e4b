//! Nodes that load and save the state of one projection over a model store.

use bytes::Bytes;
use tenure_core::format::{LayoutKey, Mark, Position, StateAt, Unknown};
use tenure_core::id::{Incarnation, LayoutId, Sequence, WallTime};
use tenure_core::name::{ConsumerName, Namespace};
use tenure_core::port::{StoreReply, StoreRequest, StreamSettings, Subject};
use tenure_core::projection::{Load, Loaded, Next, Save, Saved, StateFault};
use tenure_core::step::Outcome;
use tenure_mem::store::{Store, StoreConfig};

pub(crate) const KEY: LayoutKey = LayoutKey(9);

pub(crate) fn namespace() -> Namespace {
    Namespace::new("bank").unwrap()
}

pub(crate) fn projection() -> ConsumerName {
    ConsumerName::new("balances").unwrap()
}

/// The state with so many events in it; most are in parts.
pub(crate) fn state(events: u64) -> Bytes {
    Bytes::from(vec![
        u8::try_from(events % 251).unwrap();
        3 * usize::try_from(events).unwrap()
    ])
}

pub(crate) fn mark(generation: u64, events: u64) -> Mark {
    Mark {
        layout: LayoutId(7),
        projection: projection(),
        definition: 1,
        version: 1,
        generation,
        positions: vec![Position::whole(Sequence(events))],
        run: Incarnation(1),
        node: "node".into(),
        time: WallTime(events),
        state: None,
        unknown: Unknown::default(),
    }
}

fn store() -> Store {
    let mut store = Store::new(StoreConfig::default());
    let ns = namespace();
    let subjects = ns.consumer_stream_subjects();
    let settings = StreamSettings::consumers(ns.consumer_stream(), subjects, 1);
    store.apply(WallTime(1), &StoreRequest::CreateStream(settings));
    store
}

/// A node: what it knows of the snapshot that is stored, and the save that is under way.
#[derive(Debug, Default)]
pub(crate) struct Node {
    generation: u64,
    pub(crate) events: u64,
    at: Sequence,
    names: Option<StateAt>,
    stale: Vec<Subject>,
    pub(crate) save: Option<Save>,
    /// Requests whose answers were lost, which may arrive later still.
    late: Vec<StoreRequest>,
}

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) nodes: [Node; 3],
    tags: u64,
    clock: u64,
    /// The latest (life, events) that somebody was told is stored.
    told: (u64, u64),
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            store: store(),
            nodes: Default::default(),
            tags: 0,
            clock: 1,
            told: (0, 0),
        }
    }

    pub(crate) fn apply(&mut self, request: &StoreRequest) -> StoreReply {
        self.clock += 1;
        self.store.apply(WallTime(self.clock), request)
    }

    /// Does one of the things that can be done, and looks at what is stored.
    pub(crate) fn act(&mut self, (n, what): (usize, u8)) {
        self.happen(n % self.nodes.len(), what);
        match self.load() {
            Ok(Some(loaded)) => self.check(&loaded),
            Ok(None) => assert_eq!(self.told, (0, 0)),
            Err(fault) => panic!("{fault}"),
        }
    }

    fn happen(&mut self, n: usize, what: u8) {
        match what % 16 {
            0..=2 => self.nodes[n].events += u64::from(what) + 1,
            3 => self.nodes[n].generation += 1,
            // A restart.
            4 => {
                let late = std::mem::take(&mut self.nodes[n].late);
                let loaded = self.load();
                let loaded = loaded.expect("what is stored can be loaded");
                self.nodes[n] = Node {
                    late,
                    ..Node::default()
                };
                if let Some(loaded) = loaded {
                    self.check(&loaded);
                    let node = &mut self.nodes[n];
                    node.generation = loaded.mark.generation;
                    node.events = loaded.mark.positions[0].sequence.0;
                    (node.at, node.names) = (loaded.at, loaded.mark.state);
                    node.stale = loaded.stale;
                }
            }
            5 => {
                if let Some(request) = self.nodes[n].late.pop() {
                    self.apply(&request);
                }
            }
            _ => self.save(n, what),
        }
    }

    /// One step of a save; a new one when none is under way.
    fn save(&mut self, n: usize, what: u8) {
        self.tags += 1;
        let tag = self.tags << 32;
        let node = &mut self.nodes[n];
        let (generation, events) = (node.generation, node.events);
        let (at, names) = (node.at, node.names.clone());
        let stale = std::mem::take(&mut node.stale);
        let mut save = node.save.take().unwrap_or_else(|| {
            let state = (mark(generation, events), state(events));
            Save::new(namespace(), state, (KEY, tag), (at, names), 64, stale)
        });
        let request = save.request();
        let reply = match what % 16 {
            6 => {
                self.apply(&request);
                Outcome::Unknown
            }
            7 => {
                self.nodes[n].late.push(request);
                Outcome::Unknown
            }
            _ => self.apply(&request),
        };
        match save.answered(reply) {
            Next::Ask | Next::Wait => self.nodes[n].save = Some(save),
            Next::Done(Saved::At(at, names)) => {
                let node = &mut self.nodes[n];
                (node.at, node.names) = (at, names);
                let loaded = self.load().unwrap().expect("one is stored");
                self.told = self.told.max((loaded.mark.generation, 0));
                self.check(&loaded);
            }
            Next::Done(Saved::Later) => {}
            Next::Fail(fault) => panic!("{fault}"),
        }
    }

    pub(crate) fn load(&mut self) -> Result<Option<Loaded>, StateFault> {
        let mut load = Load::new(namespace(), projection(), KEY, false);
        loop {
            let reply = self.apply(&load.request());
            match load.answered(reply) {
                Next::Ask | Next::Wait => {}
                Next::Done(loaded) => return Ok(loaded),
                Next::Fail(fault) => return Err(fault),
            }
        }
    }

    /// It is whole, and not before what was there once.
    pub(crate) fn check(&mut self, loaded: &Loaded) {
        let events = loaded.mark.positions[0].sequence.0;
        assert_eq!(loaded.state, Some(state(events)), "J4");
        let now = (loaded.mark.generation, events);
        assert!(now >= self.told, "J1: {now:?} after {:?}", self.told);
        self.told = now;
    }
}

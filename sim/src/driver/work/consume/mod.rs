//! Consumers at work: by name, on whichever node, with handlers that fail, events that cannot be handled,
//! checkpoints in the namespace or with the handler's own state, and everything that people may want of
//! them. In the end each has caught up, and every oracle of `judge` is asked.

mod book;
mod end;
mod group;
mod handler;
mod judge;
mod orders;
mod run;
mod shape;
mod table;

pub(super) use end::finish;
pub(super) use group::Crews;
pub(super) use run::within;

use super::super::sim::{Sim, SimTask};
use crate::oracle::Violation;
use book::Book;
use judge::Wanted;
use shape::{Reads, Shape};
use std::sync::Arc;
use table::Table;
use tenure_core::id::Sequence;
use tenure_core::step::Time;

/// The client of the first of them.
const CLIENT: u64 = 20;

/// How many there are.
const CONSUMERS: u64 = 3;

/// The client of the one that reads the bus.
const SUBSCRIBER: u64 = 41;

/// One consumer: what it is, and what is known of it.
#[derive(Clone)]
pub(super) struct Post {
    sim: Sim,
    shape: Arc<Shape>,
    book: Book,
    /// Where its checkpoint is, when that is with its state.
    table: Option<Table>,
}

/// All of them, with the tasks that start and stop them.
pub(super) struct Posts {
    posts: Vec<Post>,
    runners: Vec<SimTask<()>>,
}

impl Posts {
    /// Those of a run, which are at work until a time; none where none are to run.
    pub(super) fn at_work(sim: &Sim, until: Time) -> Self {
        let readers = sim.stage.readers();
        let count = if readers.consumers { CONSUMERS } else { 0 };
        let subscriber = readers.bus.then_some(SUBSCRIBER);
        let clients = (CLIENT..CLIENT + count).chain(subscriber);
        let posts: Vec<Post> = clients.map(|client| Post::new(sim, client)).collect();
        let run = |post: &Post| sim.spawn(post.clone().works(until));
        let runners = posts.iter().map(run).collect();
        Self { posts, runners }
    }
}

impl Post {
    fn new(sim: &Sim, client: u64) -> Self {
        let shape = match client {
            SUBSCRIBER => Shape::subscriber(sim, client),
            client => Shape::draw(sim, client),
        };
        let sim = sim.clone();
        let clock = sim.clone();
        Self {
            table: shape.keeps.then(Table::default),
            shape: Arc::new(shape),
            book: Book::new(move || clock.now().as_nanos()),
            sim,
        }
    }

    /// The last message of each stream that it reads.
    fn heads(&self) -> Vec<Sequence> {
        match self.shape.reads {
            Reads::Bus => {
                let all = self.sim.stage.on_bus();
                let last = all.last().map_or(Sequence::NONE, |last| last.sequence);
                vec![last]
            }
            Reads::All | Reads::Named(_) | Reads::Kind(_) => self.sim.stage.ends(),
        }
    }

    /// What it is to be given, as of now.
    fn wanted(&self) -> Result<Wanted, Violation> {
        match self.shape.reads {
            Reads::Bus => Ok(Wanted::published(&self.sim.stage.on_bus())),
            Reads::All | Reads::Named(_) | Reads::Kind(_) => {
                Ok(Wanted::of(&self.shape, &self.sim.log()?))
            }
        }
    }

    /// The same consumer from nothing, to be compared with; none of one that reads the bus, whose checkpoint
    /// is never with its handler's state.
    fn anew(&self) -> Option<Self> {
        if self.shape.reads == Reads::Bus {
            return None;
        }
        let clock = self.sim.clone();
        Some(Self {
            sim: self.sim.clone(),
            shape: Arc::new(self.shape.replay()),
            book: Book::new(move || clock.now().as_nanos()),
            table: Some(Table::default()),
        })
    }
}

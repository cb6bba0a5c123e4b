//! Consumers at work: by name, on whichever node, with handlers that fail, events that cannot be handled,
//! checkpoints in the namespace or with the handler's own state, and everything that people may want of
//! them. In the end each has caught up, and every oracle of `judge` is asked.

mod book;
mod end;
mod handler;
mod judge;
mod orders;
mod run;
mod shape;
mod table;

pub(super) use end::finish;

use super::super::sim::{Sim, SimTask};
use book::Book;
use shape::Shape;
use std::sync::Arc;
use table::Table;
use tenure_core::step::Time;

/// The client of the first of them.
const CLIENT: u64 = 20;

/// How many there are.
const CONSUMERS: u64 = 3;

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
        let count = if sim.stage.consumes() { CONSUMERS } else { 0 };
        let posts: Vec<Post> = (0..count).map(|n| Post::new(sim, CLIENT + n)).collect();
        let run = |post: &Post| sim.spawn(post.clone().works(until));
        let runners = posts.iter().map(run).collect();
        Self { posts, runners }
    }
}

impl Post {
    fn new(sim: &Sim, client: u64) -> Self {
        let shape = Shape::draw(sim, client);
        let sim = sim.clone();
        let clock = sim.clone();
        Self {
            table: shape.keeps.then(Table::default),
            shape: Arc::new(shape),
            book: Book::new(move || clock.now().as_nanos()),
            sim,
        }
    }

    /// The same consumer from nothing, to be compared with.
    fn anew(&self) -> Self {
        let clock = self.sim.clone();
        Self {
            sim: self.sim.clone(),
            shape: Arc::new(self.shape.replay()),
            book: Book::new(move || clock.now().as_nanos()),
            table: Some(Table::default()),
        }
    }
}

//! What a world is to those who work on a cluster of it: the callers of the driver world, and users'
//! tests, ask and wait in whichever world they are.

mod election;
mod faults;
mod given;
mod operation;
mod passage;
mod setting;
mod streams;
mod wire;

pub use crate::apart::Way;
pub use crate::driver::plan::{REMOVED_MAX, Readers};
pub use crate::driver::{Keep, Log};
pub use crate::voids::Voids;
pub use election::Leader;
pub use faults::{Befalls, ownership_records};
pub(crate) use given::Given;
pub use given::Hears;
pub use operation::{Brought, Operation};
pub use passage::{Passage, Reach};
pub use setting::{Setting, Weather, callers};
pub(crate) use setting::{nodes_of, plan_text};
pub use streams::Streams;
pub use wire::{Carriage, Carried, WirePlan};

use crate::oracle::Violation;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use tenure_core::Site;
use tenure_core::api::Tenure;
use tenure_core::driver::Counters;
use tenure_core::id::Sequence;
use tenure_core::port::Message;
use tenure_core::step::{Span, Time};
use tokio::sync::watch;

/// What runs until it ends by itself, or with its node.
pub type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How long the parts of a run are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretches {
    /// How long faults happen.
    pub active: Span,
    /// How long it takes at most after everything healed until each shard has an owner (P8).
    pub convergence: Span,
    /// How long what an entity left to be done may take once everything healed.
    pub later: Span,
}

/// A message that was stored, be it there still or not.
#[derive(Clone, Debug)]
pub struct Record {
    /// The true time, in nanoseconds.
    pub at: u64,
    /// The message.
    pub message: Message,
}

/// A cluster of nodes in some world, as those see it who test it. They are on none of its nodes.
pub trait Stage: Send + Sync + 'static {
    /// How many nodes there are, running or not.
    fn nodes(&self) -> usize;

    /// The handle of a node whose program is up.
    fn node(&self, node: usize) -> Option<Tenure>;

    /// The nodes that callers turn to: their programs are up, and they are meant to be.
    fn running(&self) -> Vec<usize>;

    /// Changes whenever a program is up, or is not any more.
    fn ups(&self) -> watch::Receiver<u64>;

    /// A number below `bound`, of a row of the callers' draws.
    fn random(&self, row: u64, bound: u64) -> u64;

    /// Whether a client's question is asked at all.
    fn is_asked(&self, client: u64, number: u64) -> bool;

    /// True time since the start of the run.
    fn now(&self) -> Time;

    /// Ends at a true time.
    fn sleep_until(&self, at: Time) -> Work;

    /// Runs something beside the test.
    fn spawn(&self, work: Work);

    /// Kills a node's program at once.
    fn kill(&self, node: usize);

    /// Starts a node's program, unless it runs.
    fn start(&self, node: usize);

    /// A node does nothing for a time.
    fn pause(&self, node: usize, length: Span);

    /// No fault comes any more; all nodes are well again, or a part of them. Gives those that are.
    fn heal(&self, all: bool) -> Vec<usize>;

    /// How long the parts of a run are.
    fn stretches(&self) -> Stretches;

    /// The log as it is now.
    ///
    /// # Errors
    ///
    /// What is wrong with it whatever the entities are.
    fn log(&self) -> Result<Log, Violation>;

    /// The last message of each stream of events.
    fn ends(&self) -> Vec<Sequence>;

    /// How many shards there are of each class.
    fn shards(&self) -> u16;

    /// What is to read what is written.
    fn readers(&self) -> Readers;

    /// What was stored in the consumers' stream and in the bucket of values, as far as something reads it, each
    /// with when it was, oldest first and from the given one on.
    fn records(&self, from: usize) -> Vec<Record>;

    /// What is stored in the bucket of values.
    fn values(&self) -> Vec<Message>;

    /// Whether callers delete entities.
    fn deletes(&self) -> bool;

    /// What was stored in the streams of events, each with when it was, those of one stream in their order,
    /// what was deleted since among it.
    fn stored(&self) -> Vec<Record>;

    /// When a node stood still, in true nanoseconds and by when that began.
    fn stood_still(&self, node: usize) -> Vec<Range<u64>>;

    /// What is stored in the stream of the bus.
    fn on_bus(&self) -> Vec<Message>;

    /// What a node's link gave those who listen to the bus, from the given one on, in its order.
    fn heard(&self, node: usize, from: usize) -> Vec<Hears>;

    /// Of what nothing is promised any more.
    fn voids(&self) -> Voids;

    /// Takes in what a node counted, and whether one of its machines halted.
    fn counted(&self, node: usize, counters: &Counters);

    /// Whether the store is a cluster of servers, whose replicas may lag. A world that does not say so is
    /// held to what such a one promises.
    fn replicated(&self) -> bool {
        true
    }

    /// A line of the story, in a world that keeps one.
    fn note(&self, _: &str) {}

    /// A place was passed.
    fn hit(&self, site: &'static Site, holds: bool);
}

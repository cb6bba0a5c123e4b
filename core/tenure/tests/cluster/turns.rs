//! A loop with much to do at once: the heartbeats of its node have their turn in between.

use crate::cluster::nodes::{node, wait};
use crate::common::FaultyShell;
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use tenure::prelude::*;
use tenure::{Cluster, Span, TakeOver, Terms};

/// How many commands there are at once.
const COMMANDS: usize = 400;

/// How long one of them seems to take: all of one turn together take longer than the margin.
const TAKES: Span = Span::from_millis(10);

/// The clock that a command moves.
static CLOCK: OnceLock<Arc<AtomicU64>> = OnceLock::new();

/// A kind whose commands seem to take their time.
#[derive(Clone, Debug, Default)]
struct Slow;

#[derive(Debug, Event)]
#[event(name = "done", version = 1)]
struct Done {}

impl Aggregate for Slow {
    type Event = Done;
    const KIND: &'static str = "slow";

    fn evolve(&mut self, _: &Done) {}

    fn settings() -> KindSettings {
        KindSettings::default().owned()
    }
}

#[derive(Serialize, Deserialize, Message)]
#[message(name = "do", version = 1)]
struct Do;

impl Decide<Do> for Slow {
    type Reply = ();
    type Error = Never;

    fn decide(&self, _: &Do, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
        if let Some(clock) = CLOCK.get() {
            clock.fetch_add(TAKES.as_nanos(), Ordering::Relaxed);
        }
        Ok(Decision::event(Done {}))
    }
}

impl Entity for Slow {
    fn messages() -> Messages<Self> {
        Messages::new().command::<Do>()
    }
}

#[tokio::test]
async fn a_turn_with_much_to_do_does_not_cost_the_lease() {
    let shell = FaultyShell::new();
    // The margin is a tenth of that.
    let terms = Terms::of_ttl(Span::from_secs(10));
    let one = NonZeroUsize::new(1).expect("one");
    let cluster = Cluster::named("a").terms(terms);
    let builder = node(cluster).lanes(one).serve::<Slow>();
    let a = builder.start_with(shell.clone()).await.unwrap();
    wait(&a, |view| view.is_served(TakeOver::Fenced)).await;
    let before = a.counters().await.lease_losses;
    CLOCK.set(shell.ahead()).expect("one test sets it");
    for _ in 0..3 {
        let ask = |n| {
            let a = a.clone();
            async move { a.entity::<Slow>(format!("slow-{n}")).ask(Do).await }
        };
        // All are in the queue before the loop has its next turn.
        futures_util::future::join_all((0..COMMANDS).map(ask)).await;
    }
    assert_eq!(a.counters().await.lease_losses, before);
}

//! The runs of a consumer: one after another, on nodes that are drawn, and now and then one while another
//! lasts (one name, one run).

use super::super::super::sim::{Sim, SimTask, Turn};
use super::super::bus::PATTERN;
use super::Post;
use super::book::{Act, Why};
use super::shape::Reads;
use std::time::Duration;
use tenure_core::api::Tenure;
use tenure_core::api::bus::{DurableError, Published};
use tenure_core::api::consumer::{
    ConsumerBuilder, ConsumerError, ConsumerHandle, Fault, Start, State,
};
use tenure_core::step::Time;

/// How long a start may take.
const START: Duration = Duration::from_secs(5);

/// A run that lasts.
pub(super) struct Running {
    pub(super) run: u64,
    pub(super) handle: ConsumerHandle,
    /// Ends with it.
    pub(super) watched: SimTask<()>,
}

/// Waits for something, so long at most.
pub(in super::super) async fn within<T>(
    sim: &Sim,
    time: Duration,
    what: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        biased;
        ended = what => Some(ended),
        () = sim.sleep(time) => None,
    }
}

impl Post {
    /// Starts and stops it until a time.
    pub(super) async fn works(self, until: Time) {
        let mut number = 0;
        while self.sim.now() < until {
            number += 1;
            let turn = self.sim.turn(self.shape.client, number);
            let wait = Duration::from_millis(20 + turn.random(400));
            self.sim.sleep(wait).await;
            if !turn.is_asked() {
                continue;
            }
            let (_, tenure) = turn.node().await;
            // Whoever finds that a stream has lost its end begins anew.
            let Some(running) = self.starts(&tenure, self.has_lost()).await else {
                continue;
            };
            self.lives(&turn, running, until).await;
        }
    }

    /// Whether its last run ended over a stream that lost its end.
    fn has_lost(&self) -> bool {
        for (_, act) in self.book.acts().iter().rev() {
            if let Act::Ended { why, .. } = act {
                return *why == Why::TailLost;
            }
            if matches!(act, Act::Begins { reset: true, .. }) {
                return false;
            }
        }
        false
    }

    /// Starts a run on a node.
    pub(super) async fn starts(&self, tenure: &Tenure, reset: bool) -> Option<Running> {
        let run = self.book.next_run();
        let ends = self.heads();
        self.book.note(Act::Begins { run, ends, reset });
        let started = match self.shape.reads {
            Reads::Bus => self.subscribes(tenure, run).await,
            Reads::All | Reads::Named(_) | Reads::Kind(_) => {
                let builder = self.defined(tenure, run, reset);
                builder.start_timeout(START).start().await
            }
        };
        match started {
            Ok(handle) => {
                let (post, of) = (self.clone(), handle.clone());
                let watched = self.sim.spawn(post.watches(run, of));
                Some(Running {
                    run,
                    handle,
                    watched,
                })
            }
            Err(error) => {
                self.ends(run, &error);
                None
            }
        }
    }

    /// Starts a run of one that reads the bus, whose stream loses nothing here.
    async fn subscribes(&self, tenure: &Tenure, run: u64) -> Result<ConsumerHandle, ConsumerError> {
        let (post, shape) = (self.clone(), &self.shape);
        let durable = tenure.bus().durable(&shape.name, PATTERN);
        let durable = durable.failing(shape.policy).pace(|pace| shape.sets(pace));
        let handler = move |event: Published| post.clone().handles(run, (*event).clone());
        match durable.start(handler).await {
            Ok(handle) => Ok(handle),
            Err(DurableError::Consumer(error)) => Err(error),
            Err(error) => unreachable!("a pattern that was checked: {error}"),
        }
    }

    pub(super) fn defined(&self, tenure: &Tenure, run: u64, reset: bool) -> ConsumerBuilder {
        let shape = &self.shape;
        let mut builder = tenure.consumer(shape.name.clone()).failing(shape.policy);
        builder = match shape.reads {
            // What is published has a builder of its own.
            Reads::All | Reads::Bus => builder,
            Reads::Named(name) => builder.named(name),
            Reads::Kind(kind) => builder.of_kind(kind),
        };
        builder = builder.pace(|pace| shape.sets(pace));
        let post = self.clone();
        if let Some(table) = &self.table {
            if reset {
                table.clear();
            }
            let (owner, positions) = table.take_over();
            let table = table.clone();
            return builder.batches(positions, move |batch| {
                post.clone().folds(table.clone(), (run, owner), batch)
            });
        }
        builder = match shape.handlers {
            0 => builder.serial(),
            handlers => builder.handlers(handlers),
        };
        if reset {
            builder = builder.reset(Start::Beginning);
        }
        builder.raw(move |event| post.clone().handles(run, event))
    }

    /// Writes down what a run says of itself, until it ends.
    async fn watches(self, run: u64, handle: ConsumerHandle) {
        let (mut saved, mut live) = (Vec::new(), false);
        loop {
            let is_live = |state: State| state == State::Live;
            let changed = handle
                .until_status(|it| it.saved != saved || is_live(it.state) != live)
                .await;
            if let Err(error) = changed {
                return self.ends(run, &error);
            }
            let status = handle.status();
            if status.saved != saved {
                let positions = status.saved.clone();
                self.book.note(Act::Saved { run, positions });
            }
            if is_live(status.state) && !live {
                self.book.note(Act::Live { run });
            }
            (saved, live) = (status.saved, is_live(status.state));
        }
    }

    pub(super) fn ends(&self, run: u64, error: &ConsumerError) {
        if let ConsumerError::Fault(Fault::Poison { failure, .. }) = error {
            // Somebody looks at it before it is started again.
            self.book.mends(failure.place);
        }
        let why = Why::of(error);
        self.book.note(Act::Ended { run, why });
    }

    /// What befalls a run by people, until it ends, is left to itself, or is stopped.
    async fn lives(&self, turn: &Turn, running: Running, until: Time) {
        let stays = Duration::from_millis(300 + turn.random(5_000));
        let stops = turn.random(3) == 0;
        let Running {
            run,
            handle,
            watched,
        } = running;
        let disturbed = async {
            while self.sim.now() < until {
                let wait = Duration::from_millis(100 + turn.random(1_500));
                self.sim.sleep(wait).await;
                self.disturbs(turn, run, &handle).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = watched => return,
            () = disturbed => {}
            () = self.sim.sleep(stays) => {}
        }
        if stops {
            // Its end is written down by who watches it.
            let _ = within(&self.sim, Duration::from_secs(3), handle.stop()).await;
        }
    }
}

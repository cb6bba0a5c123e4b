//! Two projections at work on the nodes, as they are: one with its state in memory, and snapshots in the
//! namespace that the nodes share, the other with its values in a bucket. Folds fail and panic half way; nodes die and go on from what was stored; who wrote
//! something waits until it is in the state. In the end every state is that of a replay from nothing (P6).

mod fails;
mod judge;
mod life;
mod run;
mod tally;
mod values;

use super::super::sim::{Sim, SimTask};
use crate::oracle::{Class, Violation};
use fails::Fails;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tally::Tally;
use tenure_core::api::consumer::Consumed;
use tenure_core::api::projection::{Memory, Projection, Snapshots};
use tenure_core::step::{Span, Time};
use tenure_core::{Probe as _, reached};
use tokio::sync::watch;
use values::Values;

/// The client that says what it is like.
const CLIENT: u64 = 36;

/// Its name.
const NAME: &str = "tally";

/// What a state has beside its events where it is to be in several messages, in bytes.
const BALLAST: usize = 600 << 10;

/// The one in memory of a run.
#[derive(Clone)]
struct View {
    sim: Sim,
    shape: Shape,
    fails: Arc<Fails>,
    known: Arc<Mutex<Known>>,
}

/// What it is like.
#[derive(Clone, Copy, Debug)]
struct Shape {
    snapshots: Snapshots,
    ballast: usize,
}

/// What is known of it.
#[derive(Default)]
struct Known {
    /// The first thing that was wrong.
    wrong: Option<Violation>,
    running: BTreeMap<usize, Projection<Memory<Tally>>>,
}

/// Both with the tasks of the nodes' programs.
pub(super) struct Projections {
    view: Option<View>,
    values: Option<Values>,
    runners: Vec<SimTask<()>>,
    /// Whether the run is at its end.
    over: watch::Sender<bool>,
}

impl Projections {
    /// That of a run, in which something goes wrong until a time; none where none is to run.
    pub(super) fn at_work(sim: &Sim, until: Time) -> Self {
        let over = watch::Sender::new(false);
        let view = sim.stage.readers().projections.then(|| View::draw(sim));
        let values = sim.stage.readers().projections.then(|| Values::draw(sim));
        let mut runners = Vec::new();
        for node in 0..sim.nodes() {
            if let Some(view) = &view {
                let serves = view.clone().serves(node, until, over.subscribe());
                runners.push(sim.spawn(serves));
            }
            if let Some(values) = &values {
                let serves = values.clone().serves(node, until, over.subscribe());
                runners.push(sim.spawn(serves));
            }
        }
        Self {
            view,
            values,
            runners,
            over,
        }
    }

    /// Lets them catch up on the nodes that are well, ends them, and judges them.
    pub(super) async fn finish(self, core: &[usize]) -> Result<(), Violation> {
        let (Some(view), Some(values)) = (self.view, self.values) else {
            return Ok(());
        };
        view.told()?;
        view.catches_up(core).await?;
        values.catch_up(core).await?;
        self.over.send_replace(true);
        for runner in self.runners {
            runner.await;
        }
        view.told()?;
        let log = Tally::of(&view.sim.log()?);
        let records = view.sim.stage.records(0);
        judge::judge(&log, &records)?;
        values.finish(&log, &records)
    }
}

impl View {
    fn draw(sim: &Sim) -> Self {
        let turn = sim.turn(CLIENT, 0);
        let of = |bound: u64| turn.random(bound);
        let one = |choices: [u64; 3]| choices[usize::try_from(of(3)).expect("one of three")];
        let large = of(4) == 0;
        let every = one([3, 20, 1_000]);
        Self {
            sim: sim.clone(),
            shape: Shape {
                snapshots: Snapshots {
                    // A large one takes long.
                    every: if large { every.max(20) } else { every },
                    within: Duration::from_millis(one([200, 2_000, 30_000])),
                },
                ballast: if large { BALLAST } else { 0 },
            },
            fails: Arc::new(Fails::new(one([0, 10, 60]), of(u64::MAX))),
            known: Arc::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something is wrong.
    fn is_wrong(&self, class: Class, oracle: &'static str, what: String) {
        self.known().wrong.get_or_insert(Violation {
            class,
            oracle,
            what,
        });
    }

    /// What was wrong while it ran.
    fn told(&self) -> Result<(), Violation> {
        self.known().wrong.take().map_or(Ok(()), Err)
    }

    /// The fold of a kind: each time that an event is folded may fail, half way.
    fn fold<E>(&self) -> impl Fn(&mut Tally, &Consumed<E>) -> Result<(), String> + use<E> {
        let view = self.clone();
        move |tally, event| {
            tally.take(event, view.shape.ballast);
            view.fails.befall(event.place())
        }
    }

    /// Waits until the state of each node that is well is that of a replay from nothing (P6, P8).
    async fn catches_up(&self, core: &[usize]) -> Result<(), Violation> {
        let sim = &self.sim;
        let until = sim.now() + Span::from(sim.convergence()) + sim.later();
        loop {
            let (ends, log) = (sim.stage.ends(), Tally::of(&sim.log()?));
            for node in core {
                while let Some(left) = self.left(*node, &log)? {
                    if sim.now() >= until {
                        return Err(Violation {
                            class: Class::Liveness,
                            oracle: "shown",
                            what: format!("{NAME} on n{node}: {left} (P8)"),
                        });
                    }
                    sim.sleep(Duration::from_millis(100)).await;
                }
            }
            // What was under way may be stored meanwhile.
            if sim.stage.ends() == ends {
                break;
            }
        }
        reached!(sim.probe(), "world: a projection caught up");
        Ok(())
    }

    /// What a node's state lacks; it has nothing that the log has not.
    fn left(&self, node: usize, log: &Tally) -> Result<Option<String>, Violation> {
        let running = self.known().running.get(&node).cloned();
        let Some(projection) = running else {
            return Ok(Some("it does not run".to_owned()));
        };
        let state = projection.read(Tally::clone);
        let (has, wants) = (state.events(), log.events());
        if has < wants {
            return Ok(Some(format!("{has} of {wants} events are in it")));
        }
        let log = Tally::of(&self.sim.log()?);
        state.is_begin_of(&log).map_err(|what| Violation {
            class: Class::Safety,
            oracle: "shows",
            what: format!("{NAME} on n{node} is no replay of the log: {what} (P6)"),
        })?;
        Ok(None)
    }
}

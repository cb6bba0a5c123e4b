//! Groups of consumers at work: one of several partitions and one with a single leader. Every node's program
//! takes part in both as soon as it is up, leaves them now and then, and is told to end, dies and stands
//! still as all programs here. In half of the seeds people have it pause, go on and begin anew. In the end
//! each partition has an owner that has caught up, and every oracle of `judge` is asked about what the
//! handlers did and what was stored, in its true order.

mod judge;
mod orders;
mod run;

use super::super::super::sim::{Sim, SimTask};
use super::Post;
use super::book::Book;
use super::judge::Wanted;
use super::shape::Shape;
use crate::oracle::{Class, Violation};
use judge::Stored;
use orders::Ordered;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tenure_core::api::consumer::GroupHandle;
use tenure_core::step::{Span, Time};
use tenure_core::{Probe as _, reached};
use tokio::sync::watch;

/// The clients of the two: what they are like is drawn from their rows.
const CLIENTS: [u64; 2] = [30, 33];

/// The most partitions that the first one has.
const PARTITIONS_MAX: u64 = 4;

/// How many people tell a group something where it is told anything: what one of them stores may be replaced
/// before its node hears of it.
const PEOPLE: u64 = 2;

/// One group: what its handlers do, and what is known of it.
#[derive(Clone)]
struct Crew {
    post: Post,
    /// How many partitions it has; `None`: it has a single leader.
    partitions: Option<u16>,
    parts: Arc<Mutex<Parts>>,
    ordered: Arc<Mutex<Ordered>>,
    stored: Arc<Mutex<Stored>>,
}

/// The nodes' parts in a group.
#[derive(Debug, Default)]
struct Parts {
    /// The node of each run: of each time that a node took part.
    nodes: BTreeMap<u64, usize>,
    /// Those that last.
    running: BTreeMap<usize, GroupHandle>,
}

/// All of them, with the tasks of the nodes' programs.
pub(in super::super) struct Crews {
    crews: Vec<Crew>,
    runners: Vec<SimTask<()>>,
    /// Whether the run is at its end.
    over: watch::Sender<bool>,
}

impl Crews {
    /// Those of a run, in which something goes wrong until a time; none where none are to run.
    pub(in super::super) fn at_work(sim: &Sim, until: Time) -> Self {
        let clients = match sim.stage.readers().groups {
            true => &CLIENTS[..],
            false => &[],
        };
        let over = watch::Sender::new(false);
        let crews: Vec<Crew> = clients.iter().map(|it| Crew::draw(sim, *it)).collect();
        let mut runners = Vec::new();
        for crew in &crews {
            for node in 0..sim.nodes() {
                let serves = crew.clone().serves(node, until, over.subscribe());
                runners.push(sim.spawn(serves));
            }
            if sim.turn(crew.post.shape.client, 2).random(2) == 0 {
                let people = 0..PEOPLE;
                runners.extend(people.map(|nth| sim.spawn(crew.clone().takes_orders(nth, until))));
            }
        }
        Self {
            crews,
            runners,
            over,
        }
    }

    /// Lets them catch up on the nodes that are well, ends them, and judges them.
    pub(in super::super) async fn finish(self, core: &[usize]) -> Result<(), Violation> {
        for crew in &self.crews {
            // All of the log may be before it, where it was rewound.
            crew.post.book.heals();
        }
        for crew in &self.crews {
            crew.catches_up(core).await?;
        }
        self.over.send_replace(true);
        for runner in self.runners {
            runner.await;
        }
        self.crews.iter().try_for_each(judge::judge)
    }
}

impl Crew {
    fn draw(sim: &Sim, client: u64) -> Self {
        let most = sim.shards().min(PARTITIONS_MAX);
        let several = 1 + sim.turn(client, 1).random(most);
        let several = u16::try_from(several).expect("a small number");
        let mut shape = Shape::draw(sim, client);
        shape.name = format!("crew-{client}");
        shape.long_per_mille =
            [0, 5, 20][usize::try_from(sim.turn(client, 3).random(3)).expect("one of three")];
        // Its partitions are handled beside each other.
        shape.serial &= client != CLIENTS[0];
        let clock = sim.clone();
        Self {
            post: Post {
                sim: sim.clone(),
                shape: Arc::new(shape),
                book: Book::new(move || clock.now().as_nanos()),
                table: None,
            },
            partitions: (client == CLIENTS[0]).then_some(several),
            parts: Arc::default(),
            ordered: Arc::default(),
            stored: Arc::default(),
        }
    }

    /// How many partitions it has.
    fn count(&self) -> u16 {
        self.partitions.unwrap_or(1)
    }

    fn ordered(&self) -> MutexGuard<'_, Ordered> {
        self.ordered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stored(&self) -> MutexGuard<'_, Stored> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until each partition is run by a node that is well, and all is handled (P8).
    async fn catches_up(&self, core: &[usize]) -> Result<(), Violation> {
        let sim = &self.post.sim;
        let until = sim.now() + Span::from(sim.convergence()) + sim.later();
        loop {
            let (ends, log) = (sim.stage.ends(), sim.log()?);
            let wanted = Wanted::of(&self.post.shape, &log);
            while let Some(left) = self.left(core, &wanted)? {
                if sim.now() >= until {
                    return Err(self.late(left));
                }
                self.goes_on(core).await;
                sim.sleep(Duration::from_millis(100)).await;
            }
            // What was under way may be stored meanwhile.
            if sim.stage.ends() == ends {
                break;
            }
        }
        reached!(sim.probe(), "world: a group caught up");
        Ok(())
    }

    /// What is left to be done.
    fn left(&self, core: &[usize], wanted: &Wanted) -> Result<Option<String>, Violation> {
        let held: Vec<_> = {
            let parts = self.parts();
            let well = parts.running.iter();
            let well = well.filter(|(node, _)| core.contains(node));
            well.flat_map(|(_, handle)| handle.held()).collect()
        };
        let nobody = (0..self.count()).find(|part| !held.iter().any(|it| it.0 == *part));
        if let Some(part) = nobody {
            return Ok(Some(format!("partition {part} is nobody's")));
        }
        let missing = judge::missing(self, wanted)?;
        let more = missing.len().saturating_sub(1);
        let first = missing.first();
        Ok(first.map(|place| format!("{place} is not handled, and {more} more")))
    }

    fn late(&self, what: String) -> Violation {
        let name = &self.post.shape.name;
        Violation {
            class: Class::Liveness,
            oracle: "manned",
            what: format!("{name}: {what} (P8)"),
        }
    }
}

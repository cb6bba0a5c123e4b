//! The pure world: nodes with their shards, one store, callers and faults in one thread, on virtual
//! time. A run is a function of its [`Plan`].

mod bars;
mod bootstrap;
mod callers;
mod clocks;
mod clogged;
mod cluster;
mod converge;
mod corrupt;
mod corrupt_cluster;
mod event;
mod faults;
mod heal;
mod kill;
mod last_round;
mod later;
mod membership;
mod network;
mod node;
mod partition;
mod queue;
mod record;
mod seat;
mod slow;
mod stored;
mod story;
mod watch;
mod wire;

pub use bars::{Bar, Sort};
pub use corrupt::Corruption;
pub(crate) use story::difference;
pub use story::{Kept, Kind, Lane, Line};

use crate::apart::Way;
use crate::bodies::Bodies;
use crate::deviation::{Deviation, Fault};
use crate::draw::{Draws, What};
use crate::history::{Entity, History};
use crate::host::Reader;
use crate::ledger::Ledger;
use crate::lives::Lives;
use crate::oracle::{self, Class, Oracle, Violation};
use crate::profile::Plan;
use event::Event;
pub(crate) use event::Input;
use network::Network;
use node::Node;
use queue::{Due, Queue};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use stored::Stored;
use story::Story;
use tenure_core::format::{Layout, TakeOver};
use tenure_core::id::{LayoutId, ShardId, Ticket, WallTime};
use tenure_core::name::Namespace;
use tenure_core::port::{StreamName, Subject};
use tenure_core::shard;
use tenure_core::step::CountingProbe;
use tenure_core::{Outcome, Probe as _, Span, reached};
use wire::Wire;

/// What a run's wall clocks show when it starts.
const WALL_START: WallTime = WallTime(1_700_000_000_000);

/// More events than any run has that makes progress.
const EVENTS_MAX: u64 = 2_000_000;

/// One simulated world.
pub struct World {
    plan: Plan,
    draws: Draws,
    now: u64,
    /// Events that were caused, and that happened, so far.
    ordinal: u64,
    happened: u64,
    queue: Queue,
    namespace: Namespace,
    layout: LayoutId,
    layout_record: Arc<Layout>,
    /// The subject of each shard's ownership records.
    ownerships: Vec<Subject>,
    entities: Vec<Entity>,
    streams: Vec<StreamName>,
    /// The stream of snapshots.
    snapshots: StreamName,
    store: Stored,
    wire: Wire,
    network: Network,
    lives: Lives,
    /// Nodes that are not meant to run.
    away: BTreeSet<usize>,
    /// Nodes that never become well again.
    given_up: BTreeSet<usize>,
    /// Nodes that stand still because they are suspended.
    suspended: BTreeSet<usize>,
    nodes: Vec<Node>,
    owners: Vec<Option<(usize, u32)>>,
    history: History,
    ledger: Ledger,
    bodies: Bodies,
    /// How hosts read events.
    reader: Reader,
    oracles: Vec<Box<dyn Oracle>>,
    probe: CountingProbe,
    next_ticket: u64,
    stored_count: u64,
    /// Messages that are with their receivers' logs.
    underway: BTreeMap<Ticket, later::Underway>,
    /// A message was older than what its receiver remembers.
    expired_messages: bool,
    /// The highest that any wall clock showed so far.
    wall_max: WallTime,
    healed: bool,
    /// The membership stream lost what it acknowledged.
    members_lost: bool,
    /// It did, or a node's clock was beyond its bound: nothing is promised of the leased class (P3).
    leased_void: bool,
    /// Whose record was removed last, and until when it may act without it, in true nanoseconds.
    removed: Option<(usize, u64)>,
    /// A stream of events came back without its end.
    tail_lost: bool,
    /// Shards of which an ownership record was deleted, by their indices: of them nothing is promised (P2
    /// and what rests on it).
    unfenced: BTreeSet<usize>,
    /// What each node's wall clock is ahead by, in milliseconds.
    skew_ms: Vec<u64>,
    /// What the store's is ahead by.
    store_skew_ms: u64,
    corruption: Option<Corruption>,
    until: Option<u64>,
    story: Story,
    /// The event that happens now, and the one in which it was caused.
    event: u64,
    cause: u64,
}

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    /// The promise that was broken.
    pub violation: Option<Violation>,
    /// What was passed, and how often.
    pub probe: CountingProbe,
    /// When it ended, in true nanoseconds.
    pub ended: u64,
    /// How many events there were.
    pub events: u64,
    /// How many commits were stored.
    pub commits: usize,
    /// How many questions were asked.
    pub asked: usize,
    /// What went otherwise, and when, in true nanoseconds.
    pub deviations: BTreeMap<Deviation, u64>,
    /// The story, where it was asked for.
    pub story: Kept,
}

impl World {
    /// A world before its first event.
    pub fn new(plan: Plan) -> Self {
        bootstrap::world(plan)
    }

    /// Cuts the run at a true time, in nanoseconds: what it has not broken by then it does not.
    #[must_use]
    pub fn until(mut self, until: u64) -> Self {
        self.until = Some(until);
        self
    }

    /// Lets only these deviations happen.
    #[must_use]
    pub fn only(mut self, deviations: BTreeSet<Deviation>) -> Self {
        self.draws.deviations.restrict(deviations);
        self
    }

    /// Corrupts the store once, behind the oracles' back.
    #[must_use]
    pub fn corrupted(mut self, corruption: Corruption) -> Self {
        self.corruption = Some(corruption);
        self.at(Span::from_secs(4), Event::Corrupt);
        self
    }

    /// Runs to the end or to the first broken promise. A panic is one, too.
    pub fn run(mut self) -> Report {
        let ended = catch_unwind(AssertUnwindSafe(|| self.events()));
        let ended = ended.unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
        let violation = ended.err().or_else(|| self.broken_probe());
        if let Some(violation) = &violation {
            let text = violation.to_string();
            self.tell(Lane::World, Kind::Violation, || format!("VIOLATION {text}"));
        }
        Report {
            violation,
            ended: self.now,
            events: self.happened,
            commits: self.ledger.entities().map(|(_, all)| all.len()).sum(),
            asked: self.history.iter().count(),
            probe: self.probe,
            deviations: self.draws.deviations.take_happened(),
            story: match self.story {
                Story::Kept(story) => *story,
                Story::Untold | Story::Printed => Kept::default(),
            },
        }
    }

    fn events(&mut self) -> Result<(), Violation> {
        while let Some(due) = self.queue.pop() {
            let Due {
                at,
                ordinal,
                cause,
                event,
            } = due;
            self.now = at;
            (self.event, self.cause) = (ordinal, cause);
            self.begins();
            if self.until.is_some_and(|until| at > until) {
                return Ok(());
            }
            self.draws.deviations.clock(at);
            if let Event::End = event {
                return self.end();
            }
            self.happened += 1;
            if self.happened > EVENTS_MAX {
                return Err(Violation {
                    class: Class::Liveness,
                    oracle: "progress",
                    what: format!("more than {EVENTS_MAX} events"),
                });
            }
            self.let_expire();
            let event = match self.network.clogs.is_empty() {
                true => Some(event),
                false => self.held_up(event),
            };
            if let Some(event) = event {
                self.event(event)?;
            }
            self.wall_max = self.wall_max.max(self.walls().1);
            self.watch()?;
        }
        Ok(())
    }

    fn event(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Act { place, deed } => self.act(place, *deed),
            Event::Deliver { place, input } => self.deliver(place, *input),
            Event::Tick { place, at } => self.tick(place, at),
            Event::Reach { flight } => {
                self.reach(flight);
                Ok(())
            }
            Event::Straggle { request } => {
                self.straggle(&request);
                Ok(())
            }
            Event::Commit { proposal, flight } => {
                self.commit(proposal, flight);
                Ok(())
            }
            Event::Answer { flight, reply } => self.answer(flight, *reply),
            Event::GiveUp { flight } => self.answer(flight, Outcome::Unknown),
            Event::Ask { client, number } => self.ask_something(client, number),
            Event::AskAgain { ticket } => self.ask_again(ticket),
            Event::Post { from, to } => self.post(from, to),
            Event::Arrive { letter } => self.arrive(*letter),
            Event::Nobody { letter } => self.nobody(&letter),
            Event::Announced { node, heard } => self.announced(node, *heard),
            Event::Partition => {
                self.part();
                Ok(())
            }
            Event::Reunite => {
                self.reunite();
                Ok(())
            }
            Event::CutOff => {
                self.cut_from_store();
                Ok(())
            }
            Event::DyingLink => {
                self.link_is_dying();
                Ok(())
            }
            Event::LinkDies { node } => {
                self.link_dies(node);
                Ok(())
            }
            Event::CutIn => {
                self.cut_one_way(Way::In);
                Ok(())
            }
            Event::CutOut => {
                self.cut_one_way(Way::Out);
                Ok(())
            }
            Event::ReachesStore { node, way } => {
                self.reaches_store(node, way);
                Ok(())
            }
            Event::Clog => {
                self.clog();
                Ok(())
            }
            Event::Unclog { node, way } => {
                self.unclog(node, way);
                Ok(())
            }
            Event::SlowNode => {
                self.slow_down();
                Ok(())
            }
            Event::Work { node, life } => self.work_on(node, life),
            Event::LostRecord => {
                self.lose_record();
                Ok(())
            }
            Event::Election => {
                self.elect();
                Ok(())
            }
            Event::Suspend => {
                self.suspend();
                Ok(())
            }
            Event::WallStep => {
                self.step_wall();
                Ok(())
            }
            Event::ClockJump => {
                self.clock_jumps();
                Ok(())
            }
            Event::ClockFreeze => {
                self.clock_stops();
                Ok(())
            }
            Event::Thaw { node, life } => {
                self.thaw(node, life);
                Ok(())
            }
            Event::StoreStep => {
                self.step_store_wall();
                Ok(())
            }
            Event::Join => self.join(),
            Event::Drain => self.drain(),
            Event::Exit { place } => self.exit(place),
            Event::Kill => self.kill(),
            Event::TakenOver { run, class } => self.taken_over(run, class),
            Event::Converged => self.converged(),
            Event::Crash => self.crash(),
            Event::Restart { node } => self.restart(node),
            Event::Pause => {
                self.pause();
                Ok(())
            }
            Event::Resume { node } => self.resume(node),
            Event::FindsLinkGone { node, life } => self.finds_link_gone(node, life),
            Event::LinkDown => self.link_down(),
            Event::LinkUp { node } => self.link_up(node),
            Event::LeaderChange => {
                self.leader_change();
                Ok(())
            }
            Event::Claim => self.claim_somewhere(),
            Event::LostTail => self.lose_tail(),
            Event::LostMembers => self.lose_members(),
            Event::RemovedMember => {
                self.remove_member();
                Ok(())
            }
            Event::Overload => {
                self.overload();
                Ok(())
            }
            Event::LostBodies => {
                self.lose_bodies();
                Ok(())
            }
            Event::Corrupt => {
                self.corrupt();
                Ok(())
            }
            Event::Heal => self.heal(),
            Event::LastClaims => self.last_claims(),
            Event::LastCommands => self.last_commands(),
            Event::LastReads => self.last_reads(),
            Event::LastAsk {
                node,
                entity,
                commands,
            } => self.last_ask(node, entity, commands),
            Event::End => Ok(()),
        }
    }

    /// The server's sweep: what expired before now is gone.
    fn let_expire(&mut self) {
        let wall = self.store_wall();
        if self.store.expires_at().is_some_and(|at| at <= wall) {
            reached!(self, "world: messages expired");
            self.store.expire(wall);
        }
    }

    /// Whether a fault comes that does so in `per_mille` of 1,000 draws: never once everything healed.
    fn strikes(&mut self, fault: Fault, row: (What, u64), per_mille: u64) -> bool {
        !self.healed && self.draws.strikes(fault, row, per_mille)
    }

    /// A fault with a rhythm of its own is due.
    fn due(&mut self, fault: Fault) -> Deviation {
        self.draws.deviations.due(fault)
    }

    /// Whether what is due happens.
    fn happens(&mut self, due: Deviation) -> bool {
        self.draws.deviations.happens(due)
    }

    fn at(&mut self, after: Span, event: Event) {
        let due = self.due_at(after, event);
        self.queue.push(due);
    }

    fn due_at(&mut self, after: Span, event: Event) -> Due {
        self.ordinal += 1;
        Due {
            at: self.now + after.as_nanos(),
            ordinal: self.ordinal,
            cause: self.event,
            event,
        }
    }

    fn wall(&self) -> WallTime {
        WallTime(WALL_START.0 + self.now / 1_000_000)
    }

    /// The store's own wall clock, by which messages expire.
    fn store_wall(&self) -> WallTime {
        WallTime(self.wall().0 + self.store_skew_ms)
    }

    /// A node's own wall clock.
    fn wall_of(&self, node: usize) -> WallTime {
        WallTime(self.wall().0 + self.skew_ms[node])
    }

    /// The class and number of a shard, by its index in the plan.
    fn spot(&self, shard: usize) -> shard::Place {
        let count = usize::from(self.layout_record.shards());
        let class = if shard < count {
            TakeOver::Fenced
        } else {
            TakeOver::Leased
        };
        let shard = ShardId(u16::try_from(shard % count).expect("a small number"));
        shard::Place { class, shard }
    }

    /// The index in the plan of a shard of a class.
    fn index_of(&self, spot: shard::Place) -> usize {
        let index = usize::from(spot.shard.0);
        match spot.class {
            TakeOver::Fenced => index,
            TakeOver::Leased => index + usize::from(self.layout_record.shards()),
        }
    }

    /// The subject of a shard's ownership records.
    fn ownership(&self, shard: usize) -> &str {
        self.ownerships[shard].as_str()
    }

    fn broken_probe(&mut self) -> Option<Violation> {
        let site = self.probe.broken()?;
        Some(Violation {
            class: Class::Safety,
            oracle: "probe",
            what: format!(
                "{:?} {:?} ({}:{})",
                site.kind, site.name, site.file, site.line
            ),
        })
    }

    /// Every message that the world may count on is told to its oracles.
    fn end(&mut self) -> Result<(), Violation> {
        reached!(self, "world: run to its end");
        self.compare()?;
        self.judge(oracle::Seen::End)
    }
}

/// A panic as a broken promise, with its text.
pub(crate) fn panicked(panic: &(dyn std::any::Any + Send)) -> Violation {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    Violation {
        class: Class::Panic,
        oracle: "panic",
        what: text.unwrap_or_else(|| "a panic without a text".into()),
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("plan", &self.plan)
            .field("now", &Span::from_nanos(self.now))
            .finish_non_exhaustive()
    }
}

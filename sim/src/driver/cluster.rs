//! A simulated cluster before it runs: how many nodes, what they serve, what goes wrong.

use super::executor::Executor;
use super::log::Log;
use super::plan::Plan;
use super::shell::{SimShell, Sleep};
use super::sim::Sim;
use super::trace::{Story, Trace};
use super::world::{Home, Program, World};
use crate::deviation::{Deviation, Fault};
use crate::oracle::{Class, Violation};
use crate::profile::Profile;
use crate::world::{Corruption, Kept, Kind, Lane, panicked};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tenure_core::api::actor::Actor;
use tenure_core::api::consumer::HandlerOutcome;
use tenure_core::api::effect::{EffectCall, EffectHandler, EffectPolicy};
use tenure_core::api::{Cluster, Entity, Message, Serves, StartOptions, Tenure, start_with};
use tenure_core::driver::Shell as _;
use tenure_core::lease::Terms;
use tenure_core::step::{CountingProbe, Limits, Span};

/// How long a test may take, in simulated time, where it does not say so.
const WITHIN: Span = Span::from_secs(600);

/// A simulated cluster of nodes that serve what a program serves: the real driver and the real
/// handlers, in one thread, on virtual time, with a model of the store and a network whose faults are
/// drawn from the seed. The same seed is the same run.
///
/// ```
/// use tenure_sim::cluster;
///
/// let members = cluster(7).nodes(3).run(|sim| async move {
///     let tenure = sim.tenure().await;
///     tenure.cluster().is_some()
/// });
/// assert!(members);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a cluster does nothing until it runs"]
pub struct SimCluster {
    seed: u64,
    profile: Profile,
    nodes: Option<usize>,
    shards: Option<u16>,
    replicated: Option<bool>,
    limits: Option<Limits>,
    terms: Option<Terms>,
    namespace: Option<String>,
    without: Vec<Fault>,
    only: Option<BTreeSet<Deviation>>,
    until: Option<u64>,
    within: Span,
    corruption: Option<Corruption>,
    pub(crate) serves: Vec<Serves>,
    effects: Vec<OnNode>,
    pub(super) story: bool,
    pub(super) print: bool,
}

/// What gives a node its handler of an effect.
#[derive(Clone)]
struct OnNode(Arc<dyn Fn(usize) -> EffectHandler + Send + Sync>);

impl fmt::Debug for OnNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnNode").finish_non_exhaustive()
    }
}

/// A simulated cluster, with nothing that goes wrong until it is told a
/// [profile](SimCluster::profile).
pub fn cluster(seed: u64) -> SimCluster {
    SimCluster {
        seed,
        profile: Profile::Calm,
        nodes: None,
        shards: None,
        replicated: None,
        limits: Some(Limits::default()),
        terms: None,
        namespace: None,
        without: Vec::new(),
        only: None,
        until: None,
        within: WITHIN,
        corruption: None,
        serves: Vec::new(),
        effects: Vec::new(),
        story: false,
        print: false,
    }
}

/// What came of a run.
#[derive(Debug)]
pub struct Ran<T> {
    /// What the test returned, or the promise that was broken; `None` when the run was cut before.
    pub ended: Result<Option<T>, Violation>,
    /// A number that stands for all that happened: the same for the same seed.
    pub hash: u64,
    /// How many events there were.
    pub events: u64,
    /// How many commits the log holds at the end.
    pub commits: usize,
    /// How long it was, in simulated time.
    pub lasted: Span,
    /// What was passed, in the world and in the nodes that ran at the end.
    pub probe: CountingProbe,
    /// The story, where it was kept.
    pub story: Kept,
    /// What went otherwise, and when, in true nanoseconds.
    pub deviations: BTreeMap<Deviation, u64>,
}

impl SimCluster {
    /// So many nodes; as many as the seed says, three to five, when it is not set.
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = Some(nodes);
        self
    }

    /// So many shards of each class; as many as the seed says, one to six, when it is not set.
    pub fn shards(mut self, shards: u16) -> Self {
        self.shards = Some(shards);
        self
    }

    /// Whether the store is a cluster of three servers; as the seed says when it is not set.
    pub fn replicated(mut self, replicated: bool) -> Self {
        self.replicated = Some(replicated);
        self
    }

    /// What may go wrong; nothing when it is not set.
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// Leaves out one kind of fault; every other draw stays as it is.
    pub fn without(mut self, fault: Fault) -> Self {
        self.without.push(fault);
        self
    }

    /// Only these deviations happen; all that the seed draws when it is not set.
    pub fn only(mut self, deviations: BTreeSet<Deviation>) -> Self {
        self.only = Some(deviations);
        self
    }

    /// The run is cut at this true time, in nanoseconds: what it has not broken by then it does not.
    pub(crate) fn until(mut self, until: Option<u64>) -> Self {
        self.until = until;
        self
    }

    /// A test that has not ended after so much simulated time has failed; ten minutes when it is not set.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = time.into();
        self
    }

    /// The store breaks its word behind the oracles' back.
    pub(crate) fn corrupted(mut self, corruption: Option<Corruption>) -> Self {
        self.corruption = corruption;
        self
    }

    /// The limits of the machines; the default ones when they are not set.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// The limits of the machines are those that the seed draws, many of them small.
    pub(super) fn drawn_limits(mut self) -> Self {
        self.limits = None;
        self
    }

    /// The terms of leases; as the seed says when they are not set.
    pub fn terms(mut self, terms: Terms) -> Self {
        self.terms = Some(terms);
        self
    }

    /// The namespace; `sim` when it is not set.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Entities that every node serves.
    pub fn serve<A: Entity>(mut self) -> Self {
        self.serves.push(Serves::entity::<A>());
        self
    }

    /// Actors that every node has.
    pub fn actor<A: Actor>(mut self) -> Self {
        self.serves.push(Serves::actor::<A>());
        self
    }

    /// The code that every node has for the effects of a type. Its time and sleep are those of its
    /// [call](EffectCall).
    pub fn effect<M, F, Fut>(self, policy: EffectPolicy, handler: F) -> Self
    where
        M: Message,
        F: Fn(EffectCall<M>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: HandlerOutcome> + Send + 'static,
    {
        self.effect_handler(EffectHandler::new(policy, handler))
    }

    /// The same by a handler that was made before, as the one that the program is built with.
    pub fn effect_handler(self, handler: EffectHandler) -> Self {
        self.effect_on(move |_| handler.clone())
    }

    /// A handler of an effect that knows on which node it is.
    pub(super) fn effect_on(
        mut self,
        handler: impl Fn(usize) -> EffectHandler + Send + Sync + 'static,
    ) -> Self {
        self.effects.push(OnNode(Arc::new(handler)));
        self
    }

    /// Prints what happens as it does.
    pub fn printing(mut self) -> Self {
        self.print = true;
        self
    }

    /// Keeps the story for [`Ran::story`].
    pub fn traced(mut self) -> Self {
        self.story = true;
        self
    }

    /// Runs a test on it, until the test ends.
    ///
    /// # Panics
    ///
    /// When the test does, or when a promise was broken.
    pub fn run<T, F: Future<Output = T>>(self, test: impl FnOnce(Sim) -> F) -> T {
        let (seed, profile) = (self.seed, self.profile);
        match self.report(test).ended {
            Ok(value) => value.expect("only a run that is made smaller is cut"),
            Err(violation) => panic!(
                "{violation}\n  again: tenure_sim::cluster({seed}).profile(Profile::{profile:?})"
            ),
        }
    }

    /// Runs a test on it, until the test ends or a promise is broken, and tells all of it. A panic is a
    /// broken promise, too.
    pub fn report<T, F: Future<Output = T>>(self, test: impl FnOnce(Sim) -> F) -> Ran<T> {
        let story = match (self.print, self.story) {
            (true, _) => Story::Printed,
            (false, true) => Story::Kept(Box::default()),
            (false, false) => Story::None,
        };
        let plan = self.plan();
        let program = program(plan.clone(), self.serves, self.effects);
        let world = World::new(plan, program, Trace::new(story));
        let sim = Sim {
            stage: Arc::new(Arc::clone(&world)),
        };
        world.state().begin_run();
        let mut executor = Executor::new(Arc::clone(&world));
        let ended = catch_unwind(AssertUnwindSafe(|| {
            executor.run(async move {
                let value = test(sim.clone()).await;
                sim.count_all().await;
                value
            })
        }));
        let ended = ended.unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
        // The log is read before the nodes end: nothing runs any more either way.
        let (judged, probe) = {
            let state = world.state();
            (state.log(), state.probe.clone())
        };
        let broken = probe.broken().map(|site| Violation {
            class: Class::Safety,
            oracle: "probe",
            what: format!(
                "{:?} {:?} ({}:{})",
                site.kind, site.name, site.file, site.line
            ),
        });
        drop(executor);
        let (ended, commits) = match (ended, judged) {
            (Ok(value), Ok(log)) => (broken.map_or(Ok(value), Err), log.commits()),
            (Err(violation), Ok(log)) => (Err(violation), log.commits()),
            (_, Err(violation)) => (Err(violation), 0),
        };
        let mut state = world.state();
        let now = state.now;
        if let Err(violation) = &ended {
            let text = violation.to_string();
            state.tell(Lane::World, Kind::Violation, || format!("VIOLATION {text}"));
        }
        let (hash, happened) = (state.trace.hash(), state.trace.events());
        state.tell(Lane::World, Kind::Note, || {
            format!("{happened} events that come to {hash:016x}")
        });
        Ran {
            ended,
            hash,
            events: state.trace.events(),
            commits,
            lasted: Span::from_nanos(now),
            probe,
            deviations: state.draws.deviations.take_happened(),
            story: state.trace.take_story(),
        }
    }

    pub(crate) fn plan(&self) -> Plan {
        assert!(
            Plan::has(self.profile),
            "the profile {} is of the pure world alone; clusters have {}",
            self.profile,
            super::PROFILES.map(Profile::name).join(", ")
        );
        let mut plan = Plan::new(self.seed, self.profile, self.nodes);
        if let Some(replicated) = self.replicated {
            if plan.replicated != replicated && self.terms.is_none() {
                plan.terms = match replicated {
                    true => Terms::cluster(),
                    false => Terms::of_ttl(Span::from_secs(2)),
                };
            }
            plan.replicated = replicated;
        }
        plan.shards = self.shards.unwrap_or(plan.shards);
        plan.streams = plan.streams.min(plan.shards);
        plan.limits = self.limits.unwrap_or(plan.limits);
        plan.terms = self.terms.unwrap_or(plan.terms);
        if let Some(namespace) = &self.namespace {
            plan.namespace.clone_from(namespace);
        }
        plan.without.clone_from(&self.without);
        plan.only.clone_from(&self.only);
        plan.until = self.until;
        plan.within = self.within;
        plan.corruption = self.corruption;
        plan
    }
}

/// What runs on each node: it starts as a member of the cluster, and again when that fails.
fn program(plan: Plan, serves: Vec<Serves>, effects: Vec<OnNode>) -> Program {
    Arc::new(move |shell: SimShell| {
        let mut options = options(&plan, &serves, shell.home.node);
        let node = shell.home.node;
        options.effects = effects.iter().map(|OnNode(on)| on(node)).collect();
        Box::pin(async move {
            let tenure = loop {
                match start_with(shell.clone(), options.clone()).await {
                    Ok(tenure) => break tenure,
                    Err(error) => {
                        let told = error.to_string();
                        shell.tell(|home| format!("{home} does not start: {told}"));
                    }
                }
                let at = shell.now() + Span::from_millis(100);
                Sleep::new(&shell.world, shell.home, at).await;
            };
            shell.world.state().up(shell.home, tenure.clone());
            shell.world.ups.send_modify(|ups| *ups += 1);
            until_out(&tenure).await;
            // It is no member any more, and will not be: its supervisor starts it anew.
            shell.count(&tenure).await;
            drop(tenure);
            shell.exit();
        })
    })
}

/// Waits until a node is no member of its cluster any more.
async fn until_out(tenure: &Tenure) {
    let mut cluster = tenure.cluster().expect("a node of a cluster");
    while cluster.changed().await.is_some() {}
}

/// How a node's program starts.
pub(crate) fn options(plan: &Plan, serves: &[Serves], node: usize) -> StartOptions {
    let name = format!("n{node}");
    let settle = Duration::from(plan.limits.settle);
    let cluster = Cluster::named(name)
        .terms(plan.terms)
        .weight(plan.weights[node])
        .settle(settle);
    let mut options = StartOptions::new(plan.namespace.clone());
    options.shards = Some(plan.shards);
    options.streams = Some(plan.streams);
    options.lanes = NonZeroUsize::new(usize::from(plan.lanes[node])).unwrap_or(NonZeroUsize::MIN);
    options.cluster = Some(cluster);
    options.serves = serves.to_vec();
    options.limits = plan.limits;
    options.start_timeout = Duration::from_secs(10) + plan.terms.ttl.into();
    options.stop_timeout = Duration::from_secs(2);
    options
}

impl super::world::State {
    /// Every node's program is started some time, and faults begin.
    fn begin_run(&mut self) {
        for node in 0..self.nodes.len() {
            let longest = Span::from_millis(800);
            let wait = self.draws.span(
                crate::draw::What::Boot,
                (node as u64) << 8,
                Span::ZERO,
                longest,
            );
            self.at(wait, super::event::Event::Boot(node));
        }
        self.schedule_faults();
    }

    /// All that was stored so far, what was deleted among it.
    pub(super) fn log(&self) -> Result<Log, Violation> {
        self.written.log(&self.namespace, &self.store, &self.voids)
    }
}

impl SimShell {
    fn tell(&self, line: impl FnOnce(Home) -> String) {
        let mut state = self.world.state();
        let home = self.home;
        state.tell(home, Kind::Note, || line(home));
    }

    /// Takes in what a node counted, and whether one of its machines halted.
    async fn count(&self, tenure: &Tenure) {
        let counted = tenure.counters().await;
        let mut state = self.world.state();
        state.counted(self.home.node, &counted);
    }

    /// The program ends by itself, and is started again a moment later.
    fn exit(&self) {
        let mut state = self.world.state();
        if state.lives(self.home) {
            state.dies(self.home.node);
            let wait = Span::from_millis(500);
            state.at(wait, super::event::Event::Boot(self.home.node));
        }
    }
}

impl super::world::State {
    pub(super) fn counted(&mut self, node: usize, counters: &tenure_core::driver::Counters) {
        self.probe.absorb(&counters.probes);
        if counters.halts > 0 {
            let halts = counters.halts;
            self.broken.get_or_insert_with(|| Violation {
                class: Class::Safety,
                oracle: "halt",
                what: format!("{halts} machines of n{node} halted"),
            });
            self.at(Span::ZERO, super::event::Event::Look);
        }
    }
}

impl Sim {
    /// Takes in what the nodes that run counted, as far as they tell.
    pub(crate) async fn count_all(&self) {
        let patience = Span::from_secs(1);
        for node in 0..self.nodes() {
            let Some(tenure) = self.node(node) else {
                continue;
            };
            let late = self.stage.sleep_until(self.now() + patience);
            let counted = tokio::select! {
                biased;
                counted = tenure.counters() => Some(counted),
                () = late => None,
            };
            if let Some(counted) = counted {
                self.stage.counted(node, &counted);
            }
        }
    }
}

//! What a run of another world draws from its seed: the same plan, the same dice and faults by the same
//! names as in the driver world. How a node dies or bytes are late is that world's own.

use super::faults::Befalls;
use super::wire::{self, WirePlan};
use super::{Given, Hears, Readers, Record, Stage, Streams, Stretches};
use crate::apart::Apart;
use crate::case::Case;
use crate::clock::Clock;
use crate::deviation::{Deviation, Fault, Promise};
use crate::draw::{Draws, What};
use crate::driver::plan::Plan;
use crate::driver::trace::Trace;
use crate::driver::written::Written;
use crate::driver::{Keep, Log, Sim, SimCluster, cluster_of, options, work};
use crate::oracle::{Class, Violation};
use crate::profile::Profile;
use crate::voids::Voids;
use crate::world::{Kind, Lane, Report, panicked};
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use tenure_core::api::{Serves, StartOptions};
use tenure_core::driver::Counters;
use tenure_core::id::{Partition, Sequence};
use tenure_core::name::Namespace;
use tenure_core::port::{Message, Subject};
use tenure_core::step::{CountingProbe, Span, Time};
use tenure_core::{Probe as _, Site};

/// How long the network takes, and how often it loses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    /// The shortest and the longest time on the way.
    pub latency: (Span, Span),
    /// Of 1,000 pieces, so many are lost and sent again.
    pub lost_per_mille: u64,
}

impl Weather {
    /// When nothing is wrong.
    pub const FAIR: Self = Self {
        latency: (Span::from_micros(50), Span::from_millis(2)),
        lost_per_mille: 0,
    };
}

/// What a run draws, and what happened in it so far.
pub struct Setting {
    pub(super) plan: Plan,
    /// How nodes are connected, where they speak NATS.
    pub(super) wire: Option<WirePlan>,
    serves: Vec<Serves>,
    namespace: Namespace,
    pub(super) draws: Draws,
    now: u64,
    pub(super) healed: bool,
    /// Until when nobody leads, in true nanoseconds.
    pub(super) electing_until: u64,
    /// How many faults of each kind came after that.
    pub(super) left: BTreeMap<Fault, u64>,
    pub(super) given_up: BTreeSet<usize>,
    pub(super) apart: Apart,
    pub(super) clocks: Vec<Clock>,
    pub(super) skew_ms: Vec<u64>,
    pub(super) store_skew_ms: u64,
    pub(super) probe: CountingProbe,
    pub(super) trace: Trace,
    pub(super) voids: Voids,
    written: Written,
    given: Given,
    broken: Option<Violation>,
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setting")
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}

impl Setting {
    /// The setting of a case, and what is kept of its story.
    ///
    /// # Errors
    ///
    /// When clusters have no such profile, or the store cannot break its word so.
    pub fn new(case: &Case, keep: Keep) -> Result<Self, String> {
        case.world.check(case.profile)?;
        if let Some(corruption) = case.corruption {
            case.world.check_corruption(corruption)?;
        }
        let cluster = cluster_of(case);
        let (mut draws, (plan, wire)) = (Draws::new(case.seed), plans_of(&cluster, case));
        if let Some(only) = &plan.only {
            draws.deviations.restrict(only.clone());
        }
        let namespace = Namespace::new(&plan.namespace).expect("a name that was checked");
        Ok(Self {
            serves: cluster.serves,
            draws,
            now: 0,
            healed: false,
            electing_until: 0,
            left: BTreeMap::new(),
            given_up: BTreeSet::new(),
            apart: Apart::default(),
            clocks: vec![Clock::new(0, 0); plan.nodes],
            skew_ms: plan.skew_ms.clone(),
            store_skew_ms: 0,
            probe: CountingProbe::default(),
            trace: Trace::new(keep.into()),
            voids: Voids::default(),
            written: Written::new(&plan, &namespace),
            given: Given::default(),
            broken: None,
            namespace,
            wire,
            plan,
        })
    }

    pub(super) fn now(&self) -> u64 {
        self.now
    }

    /// Where all that is stored has its name.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Of how many servers the store is a cluster; 1: it is a single one.
    pub fn servers(&self) -> u32 {
        self.plan.servers()
    }

    /// Whether the store is a cluster of servers, whose replicas may lag.
    pub fn replicated(&self) -> bool {
        self.plan.replicated
    }

    /// Whether it says that it is one, so that its servers elect.
    pub(super) fn is_clustered(&self) -> bool {
        self.plan.replicated || self.wire.is_some_and(|wire| wire.clustered)
    }

    /// The true time at which the run is cut, in nanoseconds: what it has not broken by then it does not.
    pub fn until(&self) -> Option<u64> {
        self.plan.until
    }

    /// How long the run may take, in simulated time.
    pub fn within(&self) -> Span {
        self.plan.within
    }

    /// What is broken by a run that takes longer.
    pub fn unending(&self) -> Violation {
        self.plan.unending()
    }

    /// How many shards there are of each class.
    pub fn shards(&self) -> u16 {
        self.plan.shards
    }

    /// What reads what is written.
    pub fn readers(&self) -> Readers {
        self.plan.readers
    }

    /// Whether callers delete entities.
    pub fn deletes(&self) -> bool {
        self.plan.deletes
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.plan.nodes
    }

    /// How a node's program starts.
    pub fn options(&self, node: usize) -> StartOptions {
        options(&self.plan, &self.serves, node)
    }

    /// How long a shell waits for the store.
    pub fn store_timeout(&self) -> Span {
        self.plan.limits.store_timeout
    }

    /// The true time, in nanoseconds; it rises.
    pub fn at(&mut self, now: u64) {
        self.now = now;
        self.draws.deviations.clock(now);
    }

    /// A node's program begins: its clock shows zero. When a node begins first is drawn.
    pub fn boots(&mut self, node: usize) {
        let (drift_ppm, faults) = (self.plan.drift_ppm[node], &self.plan.faults);
        self.clocks[node] = Clock::start(&mut self.draws, faults, (node, self.now), drift_ppm);
        self.note(5, &[node as u64]);
    }

    /// After how long a node's program is started first.
    pub fn first_boot(&mut self, node: usize) -> Span {
        let longest = Span::from_millis(800);
        let row = (node as u64) << 8;
        self.draws.span(What::Boot, row, Span::ZERO, longest)
    }

    /// The key of the dice of a node's next life.
    pub fn key(&mut self, node: usize) -> u128 {
        self.draws.bits(What::NodeKey, node as u64)
    }

    /// What a node's clock shows.
    pub fn shown(&self, node: usize) -> Time {
        self.clocks[node].at(self.now)
    }

    /// The true time at which a node's clock shows one; `None` while it stands still before.
    pub fn when(&self, node: usize, shown: Time) -> Option<u64> {
        self.clocks[node].when(shown)
    }

    /// A node's clock that stood still goes on.
    pub fn thaw(&mut self, node: usize) {
        self.clocks[node].freeze(self.now, false);
    }

    /// By how many milliseconds the store's wall clock is ahead.
    pub fn store_skew_ms(&self) -> u64 {
        self.store_skew_ms
    }

    /// By how many milliseconds a node's wall clock is ahead.
    pub fn skew_ms(&self, node: usize) -> u64 {
        self.skew_ms[node]
    }

    pub(super) fn strikes(&mut self, fault: Fault, row: (What, u64), per_mille: u64) -> bool {
        !self.healed && self.draws.strikes(fault, row, per_mille)
    }

    /// A number below `bound`, of a row of the callers' draws.
    pub fn random(&mut self, row: u64, bound: u64) -> u64 {
        self.draws.below(What::Test, row, bound)
    }

    /// Whether a client's question is asked.
    pub fn is_asked(&mut self, client: u64, number: u64) -> bool {
        let ask = Deviation::Ask { client, number };
        self.draws.deviations.happens(ask)
    }

    /// Whether a node is meant to be well.
    pub fn is_meant_to_be(&self, node: usize) -> bool {
        !self.given_up.contains(&node)
    }

    /// How long the parts of a run are.
    pub fn stretches(&self) -> Stretches {
        let mut stretches = self.plan.stretches();
        // A link that was clogged is found dead and made anew.
        stretches.convergence = stretches.convergence + Span::from_secs(8);
        stretches
    }

    /// Of what nothing is promised any more.
    pub fn voids(&self) -> Voids {
        let since = self.draws.deviations.void_from(Promise::LeasedAlone);
        self.voids.clone().with_leased(since)
    }

    /// The latest ownership record of a shard is deleted: what was stored until then is judged.
    pub fn record_is_deleted(&mut self, store: &dyn Streams, record: &Subject) {
        if let Err(violation) = self.log(store) {
            self.broken.get_or_insert(violation);
        }
        self.voids.deleted(record, self.now);
    }

    /// A stream of events comes back with this last sequence, and without these messages.
    pub fn tail_is_lost(&mut self, (stream, last): (&str, Sequence), lost: &[Message]) {
        self.written.cut(stream, last);
        self.voids.lost(&self.namespace, lost.iter(), self.now);
    }

    /// Writes down what was stored by now.
    pub fn writes_down(&mut self, store: &dyn Streams) {
        self.written.take_all(self.now, store);
    }

    /// What was stored in the streams of events so far, those of one stream in their order, what was deleted
    /// since among it.
    pub fn stored(&self) -> Vec<Record> {
        self.written.stored()
    }

    /// What was stored so far in the other streams that are judged, oldest first, from the given one on.
    pub fn records(&self, from: usize) -> Vec<Record> {
        self.written.records(from)
    }

    /// A node's link gives something to those who listen to the bus.
    pub fn gives(&mut self, node: usize, what: Hears) {
        self.given.gives(node, what);
    }

    /// What a node's link gave them, from the given one on.
    pub fn given(&self, node: usize, from: usize) -> Vec<Hears> {
        self.given.to(node, from)
    }

    /// The name of a stream of events.
    pub(super) fn event_stream(&self, stream: u16) -> String {
        let stream = self.namespace.event_stream(Partition(stream));
        stream.as_str().to_owned()
    }

    /// The names of the streams of events.
    pub fn event_streams(&self) -> Vec<String> {
        self.plan.event_streams()
    }

    /// Reads all that was stored in the streams of events, what was deleted among it, and judges it.
    ///
    /// # Errors
    ///
    /// What is wrong with it whatever the entities are.
    pub fn log(&self, store: &dyn Streams) -> Result<Log, Violation> {
        self.written.log(&self.namespace, store, &self.voids)
    }

    /// Takes in what a node counted, and whether one of its machines halted.
    pub fn counted(&mut self, node: usize, counters: &Counters) {
        self.probe.absorb(&counters.probes);
        if counters.halts > 0 {
            let halts = counters.halts;
            self.broken.get_or_insert_with(|| Violation {
                class: Class::Safety,
                oracle: "halt",
                what: format!("{halts} machines of n{node} halted"),
            });
        }
    }

    /// The world itself saw a promise broken.
    pub fn breaks(&mut self, violation: Violation) {
        self.broken.get_or_insert(violation);
    }

    /// A place was passed.
    pub fn hit(&mut self, site: &'static Site, holds: bool) {
        self.probe.hit(site, holds);
    }

    /// Takes in what happened, by its numbers.
    pub fn note(&mut self, code: u64, numbers: &[u64]) {
        self.trace.note(code, &[self.now]);
        self.trace.note(code, numbers);
    }

    /// Takes in bytes that went somewhere.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.trace.bytes(bytes);
    }

    /// Tells what happens to a node, where somebody reads it.
    pub fn tell(&mut self, node: usize, text: impl FnOnce() -> String) {
        self.tells((Lane::Node(node), Kind::Note), 0, text);
    }

    /// Tells what happens somewhere, where somebody reads it, and what led to it; 0: nothing that was
    /// told. Gives its own number.
    pub fn tells(
        &mut self,
        (lane, kind): (Lane, Kind),
        cause: u64,
        text: impl FnOnce() -> String,
    ) -> u64 {
        let event = self.trace.begins(cause);
        self.trace.tell(self.now, lane, kind, text);
        event
    }

    /// Tells what callers remark.
    pub fn remark(&mut self, line: &str) {
        self.tells((Lane::Callers, Kind::Note), 0, || line.to_owned());
    }

    /// What came of the run: `ended` as its callers did, or as they panicked; `None`: it was cut.
    pub fn report(
        &mut self,
        ended: Result<Result<Option<usize>, Violation>, Box<dyn Any + Send>>,
        store: &dyn Streams,
    ) -> Report {
        let ended = ended.unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
        let ended = ended.map(Option::unwrap_or_default);
        let judged = self.log(store).map(|log| log.commits());
        let broken = self.broken.take().or_else(|| self.broken_probe());
        let (asked, violation) = match (ended, &judged, broken) {
            (_, Err(violation), _) => (0, Some(violation.clone())),
            (Err(violation), Ok(_), _) | (Ok(_), Ok(_), Some(violation)) => (0, Some(violation)),
            (Ok(asked), Ok(_), None) => (asked, None),
        };
        if let Some(violation) = &violation {
            let text = format!("VIOLATION {violation}");
            self.tells((Lane::World, Kind::Violation), 0, || text);
        }
        let (hash, happened) = (self.trace.hash(), self.trace.events());
        self.tells((Lane::World, Kind::Note), 0, || {
            format!("{happened} events that come to {hash:016x}")
        });
        Report {
            violation,
            probe: std::mem::take(&mut self.probe),
            ended: self.now,
            events: self.trace.events(),
            commits: judged.unwrap_or(0),
            asked,
            deviations: self.draws.deviations.take_happened(),
            story: self.trace.take_story(),
        }
    }

    fn broken_probe(&self) -> Option<Violation> {
        self.probe.broken().map(|site| Violation {
            class: Class::Safety,
            oracle: "probe",
            what: format!(
                "{:?} {:?} ({}:{})",
                site.kind, site.name, site.file, site.line
            ),
        })
    }

    /// No fault comes any more; a part of the nodes is well again, one at least, or all of them. Gives
    /// those that are, and of the others whether they are dead; else nobody hears of them.
    pub fn heal(&mut self, all: bool) -> (Vec<usize>, Vec<(usize, bool)>) {
        self.healed = true;
        let nodes = self.plan.nodes;
        let mut order: Vec<usize> = (0..nodes).collect();
        self.draws.shuffle(What::Core, 1, &mut order);
        let core = match all {
            true => nodes,
            false => {
                let core = self.draws.range(What::Core, 2, 1, nodes as u64);
                usize::try_from(core).expect("a small number")
            }
        };
        let (core, rest) = order.split_at(core);
        let mut core = core.to_vec();
        core.sort_unstable();
        let mut gone = Vec::new();
        for node in rest {
            gone.push((*node, self.draws.chance(What::Core, 3, 500)));
        }
        self.given_up = rest.iter().copied().collect();
        self.apart.reunite();
        self.note(7, &[core.len() as u64]);
        let (well, never) = (core.clone(), gone.clone());
        self.tells((Lane::World, Kind::Note), 0, || {
            format!("HEALS: {well:?} are well, {never:?} never")
        });
        (core, gone)
    }

    /// What befalls the cluster when a fault of a rhythm of its own is due.
    pub fn befall(&mut self, fault: Fault, lives: &[bool]) -> Option<Befalls> {
        let of_all = super::faults::befall(self, fault, lives);
        of_all.or_else(|| wire::befall(self, fault, lives))
    }

    /// How long until a kind of fault comes next; `None`: it does not.
    pub fn wait(&mut self, fault: Fault) -> Option<Span> {
        super::faults::wait(self, fault).or_else(|| wire::wait(self, fault))
    }

    /// Whether no fault comes any more.
    pub fn is_healed(&self) -> bool {
        self.healed
    }

    /// Everyone hears everyone again.
    pub fn reunite(&mut self) {
        if !self.healed {
            self.apart.reunite();
        }
    }

    /// How the network is in this run while faults come.
    pub fn weather(&mut self, profile: Profile) -> Weather {
        super::faults::weather(&mut self.draws, profile)
    }
}

/// What is fixed before a run of such a world begins, as a text.
pub(crate) fn plan_text(case: &Case) -> String {
    let case = Case {
        only: None,
        until: None,
        ..case.clone()
    };
    match plans_of(&cluster_of(&case), &case) {
        (plan, None) => format!("{plan:#?}"),
        (plan, Some(wire)) => format!("{plan:#?}\n{wire:#?}"),
    }
}

/// How many nodes a run of such a world has.
pub(crate) fn nodes_of(case: &Case) -> usize {
    cluster_of(case).plan().nodes
}

/// What is fixed of a run before it begins; of its connections only where nodes speak NATS.
fn plans_of(cluster: &SimCluster, case: &Case) -> (Plan, Option<WirePlan>) {
    let mut plan = cluster.plan();
    let mut draws = Draws::new(plan.seed);
    super::faults::plan(&mut plan, case.profile, &mut draws);
    let mut wire = WirePlan::of(case);
    if let Some(wire) = &mut wire {
        wire.adapt(&mut plan);
    }
    (plan, wire)
}

/// The driver world's own callers at work in another world: how many questions they asked.
///
/// # Errors
///
/// The promise that was broken.
pub async fn callers(stage: Arc<dyn Stage>) -> Result<usize, Violation> {
    let sim = Sim::on(stage);
    let asked = work(sim.clone()).await?;
    sim.count_all().await;
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::Setting;
    use crate::case::{Case, WorldKind};
    use crate::deviation::{Deviation, Fault};
    use crate::driver::Keep;
    use crate::profile::Profile;
    use crate::stage::{Befalls, Passage, Reach};
    use tenure_core::id::Sequence;
    use tenure_core::port::StoreRequest;
    use tenure_core::step::Span;

    fn case(seed: u64, profile: Profile) -> Case {
        Case {
            world: WorldKind::Madsim,
            ..Case::new(seed, profile)
        }
    }

    fn setting(seed: u64) -> Setting {
        let case = case(seed, Profile::Storm);
        Setting::new(&case, Keep::Nothing).expect("a profile of clusters")
    }

    fn passages(setting: &mut Setting) -> Vec<Passage> {
        let request = StoreRequest::Capabilities;
        let nodes = (0..300).map(|number| number % setting.nodes());
        let nodes: Vec<usize> = nodes.collect();
        nodes
            .into_iter()
            .map(|node| setting.passage(node, &request, Sequence(20)))
            .collect()
    }

    #[test]
    fn a_seed_draws_the_same_again_and_another_draws_otherwise() {
        assert_eq!(passages(&mut setting(7)), passages(&mut setting(7)));
        let all: Vec<_> = (0..8).map(|seed| passages(&mut setting(seed))).collect();
        assert!(all.iter().any(|passages| *passages != all[0]));
    }

    #[test]
    fn after_everything_healed_nothing_befalls_anyone() {
        for seed in 0..20 {
            let mut setting = setting(seed);
            let (core, rest) = setting.heal(false);
            assert_eq!(core.len() + rest.len(), setting.nodes());
            let fine = Passage::Taken {
                there: Span::ZERO,
                again: None,
                back: Some(Span::ZERO),
            };
            assert!(passages(&mut setting).iter().all(|it| *it == fine));
            assert_eq!(setting.frame(0), [Span::ZERO]);
            assert_eq!(setting.announcement(0), [Span::ZERO]);
            let lives = vec![true; setting.nodes()];
            for fault in Fault::ALL {
                assert_eq!(setting.wait(fault), None);
                assert_eq!(setting.befall(fault, &lives), None);
            }
        }
    }

    #[test]
    fn a_partition_keeps_frames_from_somebody_until_it_ends() {
        let parted = |setting: &mut Setting| {
            let nodes = setting.nodes();
            let ways = (0..nodes).flat_map(|one| (0..nodes).map(move |two| (one, two)));
            ways.filter(|(one, two)| setting.reach(*one, *two) != Reach::Through)
                .count()
        };
        let mut ever = 0;
        for seed in 0..40 {
            let mut setting = setting(seed);
            let lives = vec![true; setting.nodes()];
            let befalls = setting.befall(Fault::Partition, &lives);
            assert!(matches!(befalls, Some(Befalls::Parted { .. })));
            ever += parted(&mut setting);
            setting.reunite();
            assert_eq!(parted(&mut setting), 0);
        }
        assert!(ever > 0, "no partition of any seed parted anyone");
    }

    #[test]
    fn only_what_may_happen_does() {
        let befallen = |only: Option<Vec<Fault>>| {
            let only = only.map(|faults| {
                let due = |fault| Deviation::Fault {
                    fault,
                    row: 0,
                    number: 1,
                };
                faults.into_iter().map(due).collect()
            });
            let case = Case {
                only,
                ..case(7, Profile::Storm)
            };
            let mut setting = Setting::new(&case, Keep::Nothing).expect("a profile of clusters");
            let lives = vec![true; setting.nodes()];
            let faults = Fault::ALL.into_iter();
            faults
                .filter(|fault| setting.befall(*fault, &lives).is_some())
                .collect::<Vec<_>>()
        };
        assert!(befallen(None).len() > 10);
        assert_eq!(befallen(Some(vec![])), []);
        let two = vec![Fault::Crash, Fault::ClockJump];
        assert_eq!(befallen(Some(two.clone())), two);
    }

    #[test]
    fn a_clock_that_stands_still_shows_no_later_time_until_it_goes_on() {
        let mut setting = setting(3);
        let lives = vec![true; setting.nodes()];
        setting.at(1_000_000_000);
        let Some(Befalls::ClockStops { node, .. }) = setting.befall(Fault::ClockFreeze, &lives)
        else {
            panic!("a clock that stands still");
        };
        let shown = setting.shown(node);
        setting.at(2_000_000_000);
        assert_eq!(setting.shown(node), shown);
        let later = shown + Span::from_millis(1);
        assert_eq!(setting.when(node, later), None);
        setting.thaw(node);
        assert!(
            setting
                .when(node, later)
                .is_some_and(|at| at > 2_000_000_000)
        );
    }

    #[test]
    fn a_profile_that_clusters_do_not_have_is_refused_by_name() {
        let refused = Setting::new(&case(1, Profile::Owned), Keep::Nothing).map(|_| ());
        assert!(refused.is_err_and(|error| error.contains("owned")));
    }
}

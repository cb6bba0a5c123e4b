//! What a run of another world draws from its seed: the same plan, the same dice and faults by the same
//! names as in the driver world. How a node dies or bytes are late is that world's own.

use super::faults::Befalls;
use super::{Stage, Stretches};
use crate::apart::Apart;
use crate::clock::Clock;
use crate::deviation::{Deviation, Fault, Promise};
use crate::draw::{Draws, What};
use crate::driver::plan::Plan;
use crate::driver::trace::{Story, Trace};
use crate::driver::{Log, Sim, options, served, work};
use crate::fate::{self, Fate, checks_itself};
use crate::oracle::{Class, Violation};
use crate::profile::Profile;
use crate::world::{Kept, Kind, Lane, Report, panicked};
use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use tenure_core::api::{Serves, StartOptions};
use tenure_core::driver::Counters;
use tenure_core::name::Namespace;
use tenure_core::port::{Message, Refused, StoreRequest};
use tenure_core::step::{CountingProbe, Span, Time};
use tenure_core::{Probe as _, Site};

/// The latest time after its sending at which the bytes of a request arrive.
const LATE_MAX: Span = Span::from_secs(8);

/// What befalls a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It never reaches the store.
    Lost,
    /// It reaches the store after so long, when nobody waits for an answer any more.
    Late(Span),
    /// It is refused, and not carried out.
    Refused(Refused),
    /// It is carried out.
    Taken {
        /// After so long.
        there: Span,
        /// Its bytes come again, so long after it.
        again: Option<Span>,
        /// How long the answer takes beside its way; `None`: it is lost.
        back: Option<Span>,
    },
}

/// Whether one node's frames get to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// They do.
    Through,
    /// They are lost.
    Silent,
    /// Their sender hears wrongly that nobody listens.
    Denied,
}

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
    serves: Vec<Serves>,
    namespace: Namespace,
    pub(super) draws: Draws,
    now: u64,
    pub(super) healed: bool,
    pub(super) given_up: BTreeSet<usize>,
    pub(super) apart: Apart,
    clocks: Vec<Clock>,
    pub(super) skew_ms: Vec<u64>,
    probe: CountingProbe,
    pub(super) trace: Trace,
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
    /// The setting of a seed. `told`: what happens is printed as it does.
    ///
    /// # Errors
    ///
    /// When clusters have no such profile.
    pub fn new(seed: u64, profile: Profile, told: bool) -> Result<Self, String> {
        super::check(profile)?;
        // Its one store answers at once.
        let cluster = served(seed, profile).replicated(false);
        let mut plan = cluster.plan();
        let mut draws = Draws::new(seed);
        super::faults::plan(&mut plan, profile, &mut draws);
        let namespace = Namespace::new(&plan.namespace).expect("a name that was checked");
        let story = if told { Story::Printed } else { Story::None };
        Ok(Self {
            serves: cluster.serves,
            namespace,
            draws,
            now: 0,
            healed: false,
            given_up: BTreeSet::new(),
            apart: Apart::default(),
            clocks: vec![Clock::new(0, 0); plan.nodes],
            skew_ms: plan.skew_ms.clone(),
            probe: CountingProbe::default(),
            trace: Trace::new(story),
            broken: None,
            plan,
        })
    }

    pub(super) fn now(&self) -> u64 {
        self.now
    }

    pub(super) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// What is fixed before the run, as a text.
    pub fn plan(&self) -> String {
        format!("{:#?}", self.plan)
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
        self.clocks[node] = Clock::new(self.now, self.plan.drift_ppm[node]);
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

    /// The true time at which a node's clock shows one.
    pub fn when(&self, node: usize, shown: Time) -> u64 {
        self.clocks[node]
            .when(shown)
            .expect("a clock that goes forward")
    }

    /// By how many milliseconds a node's wall clock is ahead.
    pub fn skew_ms(&self, node: usize) -> u64 {
        self.skew_ms[node]
    }

    /// What befalls a request of a node.
    pub fn passage(&mut self, node: usize, request: &StoreRequest) -> Passage {
        let (part, faults) = (node as u64, self.plan.faults);
        let quiet = (self.healed, false);
        let drawn = fate::draw(&mut self.draws, &faults, part, request, quiet);
        let slow = self.draws.span(
            What::Travel,
            part,
            Span::from_millis(5),
            Span::from_millis(200),
        );
        let after = self.draws.span(What::Late, part, slow, LATE_MAX);
        let again = (drawn.twice && checks_itself(request)).then_some(after);
        if drawn.late {
            return Passage::Late(after.max(self.plan.limits.store_timeout));
        }
        let back = match drawn.fate {
            Fate::Lost => return Passage::Lost,
            Fate::Refused | Fate::Full => {
                let refused = fate::refusal(&mut self.draws, part, drawn.fate, request);
                return Passage::Refused(refused);
            }
            // Its one store has no replicas that could be behind.
            Fate::Fine | Fate::Stale => Some(Span::ZERO),
            Fate::LostAnswer => None,
            Fate::SlowAnswer | Fate::HeldAnswer => Some(slow),
        };
        let there = if drawn.slow_there { slow } else { Span::ZERO };
        Passage::Taken { there, again, back }
    }

    /// After how long, beside its way, each copy of a frame of a node is where it was sent.
    pub fn frame(&mut self, from: usize) -> Vec<Span> {
        let (row, faults) = ((from as u64) << 8, self.plan.faults);
        let lost = self.strikes(Fault::LostFrame, (What::Frame, row | 1), faults.lost_frame);
        let twice = self.strikes(
            Fault::FrameTwice,
            (What::Frame, row | 2),
            faults.frame_twice,
        );
        let late = self.strikes(Fault::LateFrame, (What::Frame, row | 3), faults.late_frame);
        let mut after = |longest| self.draws.span(What::Frame, row | 4, Span::ZERO, longest);
        let (wait, copy) = (after(Span::from_secs(2)), after(Span::from_millis(500)));
        let first = if late { wait } else { Span::ZERO };
        match (lost, twice) {
            (true, _) => Vec::new(),
            (false, true) => vec![first, first + copy],
            (false, false) => vec![first],
        }
    }

    /// Whether frames of one node get to another.
    pub fn reach(&self, from: usize, to: usize) -> Reach {
        match (from, to) {
            way if self.apart.silent.contains(&way) => Reach::Silent,
            way if self.apart.denied.contains(&way) => Reach::Denied,
            _ => Reach::Through,
        }
    }

    /// After how long, beside its way, each copy of an announcement is heard by a node.
    pub fn announcement(&mut self, to: usize) -> Vec<Span> {
        let (row, rate) = ((to as u64) << 8, self.plan.faults.lost_announcement);
        let row = |index| (What::Announce, row | index);
        let lost = self.strikes(Fault::LostAnnouncement, row(1), rate);
        let twice = self.strikes(Fault::AnnouncementTwice, row(2), rate / 2);
        let late = self.strikes(Fault::LateAnnouncement, row(3), rate);
        let (what, part) = row(4);
        let wait = self.draws.span(what, part, Span::ZERO, Span::from_secs(3));
        let first = if late { wait } else { Span::ZERO };
        match (lost, twice) {
            (true, _) => Vec::new(),
            (false, true) => vec![first, first + Span::from_millis(5)],
            (false, false) => vec![first],
        }
    }

    fn strikes(&mut self, fault: Fault, row: (What, u64), per_mille: u64) -> bool {
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

    /// Whether a fault came that voids a promise.
    pub fn voids(&self, promise: Promise) -> bool {
        self.draws.deviations.voids(promise)
    }

    /// The names of the streams of events.
    pub fn event_streams(&self) -> Vec<String> {
        self.plan.event_streams()
    }

    /// Reads the messages of all event streams, those of one stream in their order, and judges them.
    ///
    /// # Errors
    ///
    /// What is wrong with them whatever the entities are.
    pub fn log(&self, messages: &[Message]) -> Result<Log, Violation> {
        Log::read(&self.namespace, messages.iter(), true)
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

    /// Tells what a node does, where somebody reads it.
    pub fn tell(&mut self, node: usize, text: impl FnOnce() -> String) {
        self.trace
            .tell(self.now, Lane::Node(node), Kind::Note, text);
    }

    /// A number that stands for all that happened.
    pub fn hash(&self) -> u64 {
        self.trace.hash()
    }

    /// What came of the run: `ended` as its callers did, or as they panicked.
    pub fn report(
        &mut self,
        ended: Result<Result<usize, Violation>, Box<dyn Any + Send>>,
        messages: &[Message],
    ) -> Report {
        let ended = ended.unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
        let judged = self.log(messages).map(|log| log.commits());
        let broken = self.broken.take().or_else(|| self.broken_probe());
        let (asked, violation) = match (ended, &judged, broken) {
            (_, Err(violation), _) => (0, Some(violation.clone())),
            (Err(violation), Ok(_), _) | (Ok(_), Ok(_), Some(violation)) => (0, Some(violation)),
            (Ok(asked), Ok(_), None) => (asked, None),
        };
        if let Some(violation) = &violation {
            let text = format!("VIOLATION {violation}");
            self.trace
                .tell(self.now, Lane::World, Kind::Violation, || text);
        }
        Report {
            violation,
            probe: std::mem::take(&mut self.probe),
            ended: self.now,
            events: self.trace.events(),
            commits: judged.unwrap_or(0),
            asked,
            deviations: self.draws.deviations.take_happened(),
            story: Kept::default(),
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
        self.trace.tell(self.now, Lane::World, Kind::Note, || {
            format!("HEALS: {well:?} are well, {never:?} never")
        });
        (core, gone)
    }

    /// What befalls the cluster when a fault of a rhythm of its own is due.
    pub fn befall(&mut self, fault: Fault, lives: &[bool]) -> Option<Befalls> {
        super::faults::befall(self, fault, lives)
    }

    /// How long until a kind of fault comes next; `None`: it does not.
    pub fn wait(&mut self, fault: Fault) -> Option<Span> {
        super::faults::wait(self, fault)
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
    use super::{Passage, Reach, Setting};
    use crate::deviation::Fault;
    use crate::profile::Profile;
    use crate::stage::Befalls;
    use tenure_core::port::StoreRequest;
    use tenure_core::step::Span;

    fn setting(seed: u64) -> Setting {
        Setting::new(seed, Profile::Storm, false).expect("a profile of clusters")
    }

    fn passages(setting: &mut Setting) -> Vec<Passage> {
        let request = StoreRequest::Capabilities;
        let nodes = (0..300).map(|number| number % setting.nodes());
        let nodes: Vec<usize> = nodes.collect();
        nodes
            .into_iter()
            .map(|node| setting.passage(node, &request))
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
        let parted = |setting: &Setting| {
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
            ever += parted(&setting);
            setting.reunite();
            assert_eq!(parted(&setting), 0);
        }
        assert!(ever > 0, "no partition of any seed parted anyone");
    }

    #[test]
    fn a_profile_that_clusters_do_not_have_is_refused_by_name() {
        let refused = Setting::new(1, Profile::Owned, false).map(|_| ());
        assert!(refused.is_err_and(|error| error.contains("owned")));
    }
}

//! One store, one network, some names with a process each, real time and everyone's own clock.

use crate::chance::Chance;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tenure_core::format::{FrameVersions, TakeOver};
use tenure_core::id::{Incarnation, OpId, Sequence, WallTime};
use tenure_core::lease::Terms;
use tenure_core::name::{Namespace, NodeName};
use tenure_core::node::{
    About, Effect, Input, JoinError, Node, NodeConfig, Note, Role, Standing, View,
};
use tenure_core::port::{Heard, Refused, StoreReply, StoreRequest, StreamSettings};
use tenure_core::step::{CountingProbe, Outcome};
use tenure_core::{Cx, Dice, Effects, Limits, Machine, Span, Time};
use tenure_mem::store::{Store, StoreConfig};

/// What marks a second process of a name.
const DOUBLE: char = '+';

fn node_of(process: &str) -> &str {
    process.trim_end_matches(DOUBLE)
}

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

/// For how long things go wrong, and how long until all is well after that.
const SUFFERING: u64 = 40 * SECOND;
const HEALING: u64 = 40 * SECOND;

/// Which faults there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    /// Requests, answers, announcements and questions are lost, late, or stored after they were
    /// given up.
    pub(crate) loses: bool,
    /// Reads are answered by replicas that lag.
    pub(crate) lags: bool,
    /// Processes stop for a while.
    pub(crate) pauses: bool,
    /// Processes die and are started again.
    pub(crate) kills: bool,
    /// Links go down, and the store is silent for a while.
    pub(crate) cuts: bool,
    /// Nobody listens where somebody does.
    pub(crate) lies: bool,
    /// Nodes leave and come again.
    pub(crate) leaves: bool,
    /// A second process of a name is started.
    pub(crate) doubles: bool,
}

impl Faults {
    pub(crate) const NONE: Self = Self {
        loses: false,
        lags: false,
        pauses: false,
        kills: false,
        cuts: false,
        lies: false,
        leaves: false,
        doubles: false,
    };
    pub(crate) const ALL: Self = Self {
        loses: true,
        lags: true,
        pauses: true,
        kills: true,
        cuts: true,
        lies: true,
        leaves: true,
        doubles: true,
    };
}

#[derive(Clone, Copy, Debug)]
struct Clock {
    offset: u64,
    drift: i64,
}

impl Clock {
    fn rate(self) -> u128 {
        u128::try_from(1_000_000 + self.drift).expect("a clock that runs forward")
    }

    fn shows(self, real: u64) -> Time {
        let run = u128::from(real) * self.rate() / 1_000_000;
        Time::from_nanos(self.offset + u64::try_from(run).expect("a short world"))
    }

    /// The first moment at which it shows a time.
    fn real(self, at: Time) -> u64 {
        let run = u128::from(at.as_nanos().saturating_sub(self.offset));
        u64::try_from((run * 1_000_000).div_ceil(self.rate())).expect("a short world")
    }
}

struct Process {
    machine: Node,
    incarnation: Incarnation,
    clock: Clock,
    dice: Dice,
    up: bool,
    paused_until: u64,
    joined: bool,
    over: bool,
    view: Arc<View>,
    lease: Option<Time>,
    /// Of each run that joined: how many lists this process had counted then.
    met: BTreeMap<Incarnation, u64>,
}

#[derive(Clone, Debug)]
enum Event {
    Request(OpId, StoreRequest),
    /// A write that was given up arrives after all.
    Late(StoreRequest),
    Input(Input),
    Probe(Incarnation),
    Up,
    Start,
    /// Something goes wrong.
    Mischief,
}

pub(crate) struct World {
    seed: u64,
    chance: Chance,
    faults: Faults,
    terms: Terms,
    store: Store,
    real: u64,
    silent_until: u64,
    processes: BTreeMap<String, Process>,
    names: Vec<String>,
    events: BTreeMap<(u64, u64), (String, Option<Incarnation>, Event)>,
    next_event: u64,
    runs: u128,
    /// Runs that some view called over, or that were unknown for long enough.
    called_over: BTreeSet<Incarnation>,
    /// Until when each run that there was may act, in real time.
    acts_until: BTreeMap<Incarnation, u64>,
    lost_leases: u32,
    steps: u64,
    probe: CountingProbe,
}

fn namespace() -> Namespace {
    Namespace::new("bank").expect("a namespace")
}

impl World {
    /// A world whose failures are told with a seed.
    pub(crate) fn new(mut chance: Chance, seed: u64, faults: Faults) -> Self {
        let mut config = StoreConfig::default();
        config.removed_max = 2_000;
        let mut store = Store::new(config);
        let ns = namespace();
        let subjects = ns.member_stream_subjects();
        let mut settings = StreamSettings::members(ns.member_stream(), subjects, 1);
        settings.republish = Some(ns.member_notices());
        let made = store.apply(WallTime(0), &StoreRequest::CreateStream(settings));
        assert!(matches!(made, Outcome::Done(_)), "{made:?}");
        let count = 2 + chance.below(4);
        let names: Vec<String> = (0..count).map(|n| format!("n{n}")).collect();
        let terms = Terms {
            ttl: Span::from_millis(1_000 + chance.below(9_000)),
            drift_ppm: 20_000,
            margin: Span::from_millis(100 + chance.below(100)),
        };
        assert_eq!(terms.check(false), Ok(()));
        let mut world = Self {
            seed,
            chance,
            faults,
            terms,
            store,
            real: 0,
            silent_until: 0,
            processes: BTreeMap::new(),
            names: names.clone(),
            events: BTreeMap::new(),
            next_event: 0,
            runs: 0,
            called_over: BTreeSet::new(),
            acts_until: BTreeMap::new(),
            lost_leases: 0,
            steps: 0,
            probe: CountingProbe::default(),
        };
        for name in names {
            let by = world.chance.below(2 * SECOND);
            world.after(by, &name, None, Event::Start);
        }
        world.after(SECOND, "", None, Event::Mischief);
        world
    }

    pub(crate) fn lost_a_lease(&self) -> bool {
        self.lost_leases > 0
    }

    /// Lets things go wrong for a while.
    pub(crate) fn suffer(&mut self) {
        self.advance(SUFFERING);
    }

    /// Lets nothing go wrong any more: in the end every process is a member, and sees the others.
    pub(crate) fn heal(&mut self) {
        self.faults = Faults::NONE;
        self.advance(SUFFERING + HEALING);
        let seed = self.seed;
        let member = |name: &str| {
            let of = |(process, p): &(&String, &Process)| {
                node_of(process) == name && p.joined && !p.over
            };
            let members: Vec<_> = self.processes.iter().filter(of).collect();
            assert_eq!(members.len(), 1, "seed {seed}: members of the name {name}");
            members[0].1
        };
        for name in &self.names {
            let process = member(name);
            assert!(
                process.machine.lease().is_some(),
                "seed {seed}: {name} holds no lease"
            );
            let seen: Vec<_> = process.view.peers.keys().map(NodeName::as_str).collect();
            assert_eq!(seen, self.names, "seed {seed}: what {name} sees");
            for (other, peer) in &process.view.peers {
                let there = member(other.as_str());
                assert_eq!(
                    peer.incarnation, there.incarnation,
                    "seed {seed}: {name} of {other}"
                );
                assert_eq!(
                    peer.standing,
                    Standing::Living,
                    "seed {seed}: {name} of {other}"
                );
            }
        }
        assert!(
            self.probe.broken().is_none(),
            "seed {seed}: a probe's claim is broken"
        );
    }

    fn after(&mut self, by: u64, name: &str, of: Option<Incarnation>, event: Event) {
        self.next_event += 1;
        let at = (self.real + by, self.next_event);
        self.events.insert(at, (name.to_owned(), of, event));
    }

    fn start(&mut self, name: &str) {
        self.runs += 1;
        let incarnation = Incarnation(self.runs);
        let drift = i64::from(self.terms.drift_ppm);
        let drift = match self.chance.below(4) {
            0 => drift,
            1 => -drift,
            _ => 0,
        };
        let offset = self.chance.below(1_000 * SECOND);
        let clock = Clock { offset, drift };
        let config = NodeConfig {
            namespace: namespace(),
            name: NodeName::new(node_of(name)).expect("a name"),
            incarnation,
            terms: self.terms,
            about: About {
                role: Role::Owner,
                labels: BTreeMap::new(),
                zone: None,
                weight: 100,
                classes: BTreeSet::from([TakeOver::Leased]),
                kinds: None,
                groups: BTreeSet::new(),
                lanes: 1,
                frames: FrameVersions::THIS,
                program: String::new(),
            },
            rejoin: self.chance.one_in(2),
        };
        let process = Process {
            machine: Node::new(config, Limits::default(), clock.shows(self.real)),
            incarnation,
            clock,
            dice: Dice::new(u128::from(self.seed) << 64 | self.runs),
            up: true,
            paused_until: 0,
            joined: false,
            over: false,
            view: Arc::default(),
            lease: None,
            met: BTreeMap::new(),
        };
        self.processes.insert(name.to_owned(), process);
        self.step(name, Input::Up);
    }

    fn step(&mut self, name: &str, input: Input) {
        let Some(process) = self.processes.get_mut(name) else {
            return;
        };
        if process.over {
            return;
        }
        self.steps += 1;
        let spins = self.steps > 1_000_000;
        assert!(
            !spins,
            "seed {}: it spins: {:?}",
            self.seed,
            process.machine.next_deadline()
        );
        let mut out = Effects::new(10_000);
        let mut cx = Cx {
            now: process.clock.shows(self.real),
            dice: process.dice,
            probe: &mut self.probe,
        };
        process.machine.step(&mut cx, input, &mut out);
        let incarnation = process.incarnation;
        for effect in out.drain() {
            self.run(name, incarnation, effect);
        }
    }

    fn run(&mut self, name: &str, incarnation: Incarnation, effect: Effect) {
        match effect {
            Effect::Store { op, request } => {
                let by = self.travel();
                self.after(by, name, Some(incarnation), Event::Request(op, request));
            }
            Effect::Probe { to } => {
                if !(self.faults.loses && self.chance.one_in(10)) {
                    let by = self.travel();
                    self.after(by, name, Some(incarnation), Event::Probe(to));
                }
            }
            Effect::Joined => {
                self.processes.get_mut(name).expect("a process").joined = true;
                for process in self.processes.values_mut() {
                    process.met.insert(incarnation, process.view.listed);
                }
            }
            Effect::Refused(error) => {
                let again = match &error {
                    JoinError::NameTaken { .. }
                    | JoinError::Expired { .. }
                    | JoinError::Replaced { .. } => self.chance.below(2 * SECOND),
                    JoinError::OtherTerms { .. }
                    | JoinError::Unreadable { .. }
                    | JoinError::Full { .. }
                    | JoinError::Store(_)
                    | _ => panic!("seed {}: {name}: {error}", self.seed),
                };
                self.end(name, again);
            }
            Effect::Left => {
                let again = self.chance.below(3 * SECOND);
                self.end(name, again);
            }
            Effect::Rejoin { run, .. } => {
                let process = self.processes.get_mut(name).expect("a process");
                process.incarnation = run;
                process.joined = false;
                let by = self.travel();
                self.after(by, name, Some(run), Event::Input(Input::Renewed));
            }
            Effect::View(view) => self.see(name, view),
            Effect::Lease(lease) => {
                let real = self.real;
                let process = self.processes.get_mut(name).expect("a process");
                process.lease = lease;
                // What was told last may still be acted on until this is taken in.
                let until = lease.map_or(real, |until| process.clock.real(until));
                self.acts_until.insert(incarnation, until);
            }
            Effect::Note(Note::LeaseLost | Note::ClockGap) => self.lost_leases += 1,
            Effect::Note(_) | Effect::Marks(_) => {}
            Effect::Halt(reason) => panic!("seed {}: {name} halted: {reason}", self.seed),
        }
    }

    fn end(&mut self, name: &str, again: u64) {
        self.processes.get_mut(name).expect("a process").over = true;
        if node_of(name) != name {
            return;
        }
        self.after(again, name, None, Event::Start);
    }

    fn see(&mut self, name: &str, view: Arc<View>) {
        let process = self.processes.get_mut(name).expect("a process");
        let over = |standing: &Standing| *standing == Standing::Over;
        let over = view.lingering.iter().filter(|(_, standing)| over(standing));
        let mut over: Vec<Incarnation> = over.map(|(incarnation, _)| *incarnation).collect();
        // Whoever met a run that is unknown two lists later takes it for over.
        let unknown = process
            .met
            .iter()
            .filter(|(run, met)| view.listed >= *met + 2 && view.standing(**run).is_none());
        over.extend(unknown.map(|(run, _)| *run));
        process.view = view;
        self.called_over.extend(over);
        self.check();
    }

    /// P3: what is over does not act.
    fn check(&self) {
        for over in &self.called_over {
            let until = self.acts_until.get(over).copied().unwrap_or(0);
            assert!(
                until <= self.real,
                "seed {}: run {} acts until {until}, and is called over at {}",
                self.seed,
                over.0,
                self.real
            );
        }
    }

    /// Some milliseconds, sometimes seconds.
    fn travel(&mut self) -> u64 {
        match self.faults.loses && self.chance.one_in(30) {
            true => self.chance.below(4 * SECOND),
            false => MS / 2 + self.chance.below(4 * MS),
        }
    }

    fn happen(&mut self, name: &str, of: Option<Incarnation>, event: Event) {
        if let Event::Late(request) = event {
            self.apply(&request);
            return;
        }
        if let Event::Mischief = event {
            return self.mischief();
        }
        if let Event::Start = event {
            return self.start(name);
        }
        let process = self.processes.get(name);
        let process = process.filter(|p| of.is_none_or(|of| of == p.incarnation));
        match event {
            Event::Request(op, request) => {
                let up = process.is_some_and(|process| process.up);
                self.arrive(name, of, op, request, up);
            }
            Event::Input(input) => {
                let Some(process) = process else {
                    return;
                };
                if process.paused_until > self.real {
                    let by = process.paused_until - self.real;
                    return self.after(by, name, of, Event::Input(input));
                }
                self.step(name, input);
            }
            Event::Probe(to) => {
                if process.is_none_or(|process| !process.up) {
                    return;
                }
                let there = self.processes.values().find(|p| p.incarnation == to);
                let listens = there.is_some_and(|p| p.up && !p.over);
                let answers = there.is_some_and(|p| p.paused_until <= self.real);
                let lie = self.faults.lies && self.real / SECOND % 8 < 3;
                let by = self.travel();
                if !listens || lie {
                    let input = Event::Input(Input::NoResponders { of: to });
                    self.after(by, name, of, input);
                } else if answers {
                    self.after(by, name, of, Event::Input(Input::Alive { of: to }));
                }
            }
            Event::Up => {
                let Some(process) = self.processes.get_mut(name) else {
                    return;
                };
                process.up = true;
                self.step(name, Input::Up);
            }
            Event::Late(_) | Event::Mischief | Event::Start => {}
        }
    }

    fn arrive(
        &mut self,
        name: &str,
        of: Option<Incarnation>,
        op: OpId,
        request: StoreRequest,
        up: bool,
    ) {
        let given_up = 5 * SECOND;
        let silent = self.silent_until > self.real;
        let (reply, by) = if silent || (self.faults.loses && self.chance.one_in(20)) {
            match self.chance.below(3) {
                0 if request.writes() => {
                    let by = self.chance.below(15 * SECOND);
                    self.after(by, "", None, Event::Late(request));
                }
                1 if !silent => {
                    self.apply(&request);
                }
                _ => {}
            }
            (Outcome::Unknown, given_up)
        } else if !up {
            (Outcome::Refused(Refused::NotConnected), MS)
        } else if self.faults.lags && !request.writes() && self.chance.one_in(3) {
            let last = self.store.last(&namespace().member_stream()).0;
            let old = Sequence(last.saturating_sub(self.chance.below(40)));
            let wall = self.wall();
            (self.store.answer_as_of(wall, old, &request), self.travel())
        } else {
            (self.apply(&request), self.travel())
        };
        self.after(by, name, of, Event::Input(Input::Stored { op, reply }));
    }

    fn wall(&self) -> WallTime {
        WallTime(1_000_000 + self.real / MS)
    }

    fn apply(&mut self, request: &StoreRequest) -> StoreReply {
        let reply = self.store.apply(self.wall(), request);
        for announcement in self.store.take_announcements() {
            let heard = Heard {
                subject: announcement.subject.into(),
                sequence: announcement.message.sequence,
                payload: announcement.message.payload,
            };
            for name in self.processes.keys().cloned().collect::<Vec<_>>() {
                let hears = self.processes.get(&name).is_some_and(|p| p.up);
                if hears && !(self.faults.loses && self.chance.one_in(10)) {
                    let by = self.travel();
                    let of = self.processes.get(&name).map(|p| p.incarnation);
                    self.after(by, &name, of, Event::Input(Input::Heard(heard.clone())));
                }
            }
        }
        reply
    }

    /// Something goes wrong with one process, or with the store.
    fn mischief(&mut self) {
        let by = 200 * MS + self.chance.below(2 * SECOND);
        self.after(by, "", None, Event::Mischief);
        let count = self.processes.len();
        let place = usize::try_from(self.chance.below(count as u64)).expect("a place");
        let Some(name) = self.processes.keys().nth(place).cloned() else {
            return;
        };
        let long = self.chance.below(6 * SECOND);
        let there = self.processes.get(&name).is_some_and(|p| !p.over);
        if !there {
            return;
        }
        match self.chance.below(7) {
            6 if self.faults.doubles => {
                let double = match name == node_of(&name) {
                    true => format!("{name}{DOUBLE}"),
                    false => node_of(&name).to_owned(),
                };
                if self.processes.get(&double).is_none_or(|p| p.over) {
                    self.processes.get_mut(&name).expect("a process").up = false;
                    self.step(&name, Input::Down);
                    let of = self.processes.get(&name).map(|p| p.incarnation);
                    self.after(2 * SECOND + long / 2, &name, of, Event::Up);
                    self.start(&double);
                }
            }
            0 if self.faults.pauses => {
                let until = self.real + long;
                self.processes
                    .get_mut(&name)
                    .expect("a process")
                    .paused_until = until;
            }
            1 if self.faults.kills => {
                let process = self.processes.remove(&name).expect("a process");
                self.acts_until.insert(process.incarnation, self.real);
                let again = self.chance.below(4 * SECOND);
                self.after(again, &name, None, Event::Start);
            }
            2 if self.faults.cuts => {
                self.processes.get_mut(&name).expect("a process").up = false;
                self.step(&name, Input::Down);
                let of = self.processes.get(&name).map(|p| p.incarnation);
                self.after(long, &name, of, Event::Up);
            }
            3 if self.faults.cuts => self.silent_until = self.real + long,
            4 if self.faults.leaves => self.step(&name, Input::Leave),
            _ => self.step(&name, Input::Look),
        }
    }

    fn advance(&mut self, end: u64) {
        loop {
            let event = self.events.keys().next().copied();
            let timer = self
                .processes
                .iter()
                .filter(|(_, p)| !p.over)
                .filter_map(|(name, p)| {
                    let deadline = p.machine.next_deadline()?;
                    let at = p.clock.real(deadline.at).max(p.paused_until).max(self.real);
                    Some((at, name))
                });
            let timer = timer.min().map(|(at, name)| (at, name.clone()));
            let at = event
                .map(|(at, _)| at)
                .into_iter()
                .chain(timer.as_ref().map(|(at, _)| *at));
            let Some(at) = at.min().filter(|at| *at <= end) else {
                self.real = end;
                return;
            };
            self.real = self.real.max(at);
            let wall = self.wall();
            if self
                .store
                .next_expiry()
                .is_some_and(|expiry| expiry <= wall)
            {
                self.store.expire(wall);
            }
            match (event, timer) {
                (Some((due, _)), _) if due <= at => {
                    let (_, (name, of, event)) = self.events.pop_first().expect("an event");
                    self.happen(&name, of, event);
                }
                (_, Some((_, name))) => self.step(&name, Input::Tick),
                (_, None) => {}
            }
            self.check();
        }
    }
}

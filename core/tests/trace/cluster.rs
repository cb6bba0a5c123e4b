//! The world of a story about membership: one store, the network between nodes, some runs of nodes,
//! one clock, and what goes wrong between them.

use crate::story::{Stage, clock, span};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use tenure_core::format::{FrameVersions, Member, MemberState, TakeOver};
use tenure_core::id::{Incarnation, OpId, Sequence, WallTime};
use tenure_core::lease::Terms;
use tenure_core::name::{KindName, Namespace, NodeName};
use tenure_core::node::{
    About, Effect, Input, JoinError, Node, NodeConfig, Note, PeerState, Role, Standing, View,
};
use tenure_core::port::{
    Expect, Heard, Publish, Refused, Rollup, StoreDone, StoreReply, StoreRequest, StreamSettings,
};
use tenure_core::step::{CountingProbe, Outcome};
use tenure_core::{Cx, Dice, Effects, Limits, Machine, Span, Time};
use tenure_mem::store::{Store, StoreConfig};

/// The wall clock at the world's start.
const WALL_START_MS: u64 = 1_000_000_000;
/// How long a request travels, and its answer, and an announcement, and a probe.
const TRAVEL: Span = Span::from_millis(1);
/// How long until an answer that will never come is given up.
const GIVEN_UP: Span = Span::from_secs(5);
/// More events than any story needs.
const EVENTS_MAX: usize = 200_000;

/// What a request is, as scripts name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Beat,
    Read,
    List,
    Look,
    Bury,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    /// It is lost on the way.
    Lost,
    /// It is carried out, and its answer is lost.
    AnswerLost,
    /// It is given up, and arrives when the script says so.
    Late,
    /// The store says no.
    Refused(Refused),
    /// It is answered by a replica that knows the stream up to here only.
    Stale(Sequence),
}

#[derive(Clone, Debug)]
enum Event {
    Request(OpId, StoreRequest, Option<Fate>),
    Answer(OpId, StoreReply),
    Heard(Heard),
    Probe(Incarnation),
    Alive(Incarnation),
    Nobody(Incarnation),
    Renewed(Incarnation),
}

struct Run {
    machine: Node,
    /// Its name in the namespace.
    node: String,
    incarnation: Incarnation,
    dice: Dice,
    /// The link is up.
    up: bool,
    /// Stopped by a signal: what comes meanwhile waits.
    paused: bool,
    waiting: Vec<Input>,
    /// It hears no announcements.
    deaf: bool,
    loud: bool,
    view: View,
    lease: Option<Time>,
    beats: u32,
}

/// One store, some runs of nodes, one clock.
pub(crate) struct Cluster {
    store: Store,
    /// It answers nothing.
    silent: bool,
    terms: Terms,
    limits: Limits,
    now: Time,
    runs: BTreeMap<String, Run>,
    /// Runs whose process is gone, but whose name stands in views.
    names: BTreeMap<Incarnation, String>,
    events: BTreeMap<(Time, u64), (String, Event)>,
    next_event: u64,
    faults: VecDeque<(String, Class, Fate)>,
    late: Vec<StoreRequest>,
    /// Who wrongly hears that nobody listens at whose address.
    cut: BTreeSet<(String, String)>,
    boots: u128,
    lines: Vec<String>,
    probe: CountingProbe,
}

fn namespace() -> Namespace {
    Namespace::new("bank").expect("a namespace")
}

impl Cluster {
    pub(crate) fn new() -> Self {
        let mut config = StoreConfig::default();
        config.removed_max = 1_000;
        let mut store = Store::new(config);
        let ns = namespace();
        let mut settings =
            StreamSettings::members(ns.member_stream(), ns.member_stream_subjects(), 1);
        settings.republish = Some(ns.member_notices());
        let created = store.apply(
            WallTime(WALL_START_MS),
            &StoreRequest::CreateStream(settings),
        );
        assert!(matches!(created, Outcome::Done(_)), "{created:?}");
        Self {
            store,
            silent: false,
            terms: Terms::single(),
            limits: Limits::default(),
            now: Time::ZERO,
            runs: BTreeMap::new(),
            names: BTreeMap::new(),
            events: BTreeMap::new(),
            next_event: 0,
            faults: VecDeque::new(),
            late: Vec::new(),
            cut: BTreeSet::new(),
            boots: 0,
            lines: Vec::new(),
            probe: CountingProbe::default(),
        }
    }

    fn line(&mut self, node: &str, mark: char, text: &str) {
        let line = format!("{} {node} {mark} {text}", clock(self.now));
        self.lines.push(line);
    }

    fn wall(&self) -> WallTime {
        WallTime(WALL_START_MS + self.now.as_nanos() / 1_000_000)
    }

    /// Starts a run of a node, connected.
    fn start(&mut self, name: &str, options: &[&str]) -> Result<(), String> {
        self.boots += 1;
        let incarnation = Incarnation(self.boots);
        let mut terms = self.terms;
        let mut role = Role::Owner;
        let mut node = name;
        let mut rejoin = false;
        let mut kinds = None;
        for option in options {
            match option.split_once('=') {
                Some(("ttl", text)) => terms = Terms::of_ttl(span(text)?),
                Some(("as", text)) => node = text,
                Some(("serves", names)) => {
                    let names = names.split(',').filter(|name| !name.is_empty());
                    let names = names.map(KindName::new).collect::<Result<_, _>>();
                    kinds = Some(names.map_err(|error| error.to_string())?);
                }
                None if *option == "client" => role = Role::Client,
                None if *option == "rejoins" => rejoin = true,
                _ => return Err("client, rejoins, as=, serves= or ttl=".into()),
            }
        }
        terms.check(false).map_err(|error| error.to_string())?;
        let config = NodeConfig {
            namespace: namespace(),
            name: NodeName::new(node).map_err(|error| error.to_string())?,
            incarnation,
            terms,
            about: About {
                role,
                labels: BTreeMap::new(),
                zone: None,
                weight: 100,
                classes: BTreeSet::from([TakeOver::Fenced, TakeOver::Leased]),
                kinds,
                groups: BTreeSet::new(),
                lanes: 1,
                frames: FrameVersions::THIS,
                program: "1".into(),
            },
            rejoin,
        };
        let run = Run {
            machine: Node::new(config, self.limits, self.now),
            node: node.to_owned(),
            incarnation,
            dice: Dice::new(self.boots),
            up: true,
            paused: false,
            waiting: Vec::new(),
            deaf: false,
            loud: false,
            view: View::default(),
            lease: None,
            beats: 0,
        };
        self.names
            .insert(incarnation, format!("{node}{}", self.boots));
        self.events
            .retain(|_, (node, event)| node != name || matches!(event, Event::Request(..)));
        self.runs.insert(name.to_owned(), run);
        self.step(name, Input::Up);
        Ok(())
    }

    fn run_name(&self, incarnation: Incarnation) -> String {
        let name = self.names.get(&incarnation).cloned();
        name.unwrap_or_else(|| format!("?{}", incarnation.0))
    }

    fn after(&mut self, by: Span, node: &str, event: Event) {
        self.next_event += 1;
        let at = (self.now + by, self.next_event);
        self.events.insert(at, (node.to_owned(), event));
    }

    fn step(&mut self, name: &str, input: Input) {
        let Some(run) = self.runs.get_mut(name) else {
            return;
        };
        if run.paused {
            run.waiting.push(input);
            return;
        }
        let mut out = Effects::new(10_000);
        let mut cx = Cx {
            now: self.now,
            dice: run.dice,
            probe: &mut self.probe,
        };
        run.machine.step(&mut cx, input, &mut out);
        for effect in out.drain() {
            self.run(name, effect);
        }
    }

    fn run(&mut self, name: &str, effect: Effect) {
        match effect {
            Effect::Store { op, request } => self.ask(name, op, request),
            Effect::Probe { to } => {
                let to_name = self.run_name(to);
                self.loudly(name, &format!("is {to_name} there?"));
                self.after(TRAVEL, name, Event::Probe(to));
            }
            Effect::Joined => self.line(name, '=', "joined"),
            Effect::Refused(error) => {
                self.line(name, '=', &format!("refused: {error}"));
                self.silence(name);
            }
            Effect::Rejoin { run, cause } => self.rejoin(name, run, &cause),
            Effect::View(view) => self.view(name, View::clone(&view)),
            Effect::Lease(lease) => self.lease(name, lease),
            Effect::Marks(_) => {}
            Effect::Left => {
                self.line(name, '=', "left");
                self.silence(name);
            }
            Effect::Note(note) => {
                let text = self.note(&note);
                if let Some(text) = text {
                    self.line(name, '!', &text);
                }
            }
            Effect::Halt(reason) => panic!("{name} halted: {reason}"),
        }
    }

    /// A node is another run from now on, which its lanes are told.
    fn rejoin(&mut self, name: &str, run: Incarnation, cause: &JoinError) {
        self.boots += 1;
        let Some(known) = self.runs.get_mut(name) else {
            return;
        };
        known.incarnation = run;
        let number = format!("{}{}", known.node, self.boots);
        self.line(name, '=', &format!("becomes {number}: {cause}"));
        self.names.insert(run, number);
        self.after(TRAVEL, name, Event::Renewed(run));
    }

    /// A run that is no member any more listens no more.
    fn silence(&mut self, name: &str) {
        if let Some(run) = self.runs.get_mut(name) {
            run.up = false;
        }
    }

    fn loudly(&mut self, name: &str, text: &str) {
        if self.runs.get(name).is_some_and(|run| run.loud) {
            self.line(name, '>', text);
        }
    }

    fn lease(&mut self, name: &str, lease: Option<Time>) {
        let Some(run) = self.runs.get_mut(name) else {
            return;
        };
        let before = std::mem::replace(&mut run.lease, lease);
        match (before, lease) {
            (None, Some(until)) => self.line(
                name,
                '=',
                &format!("holds its lease until {}", clock(until)),
            ),
            (Some(_), None) => self.line(name, '=', "holds no lease"),
            (Some(_), Some(until)) => {
                self.loudly(name, &format!("holds its lease until {}", clock(until)))
            }
            (None, None) => {}
        }
    }

    fn view(&mut self, name: &str, view: View) {
        let Some(run) = self.runs.get_mut(name) else {
            return;
        };
        let before = std::mem::replace(&mut run.view, view.clone());
        if before.peers == view.peers && before.lingering == view.lingering {
            return self.loudly(name, &format!("listed {} times", view.listed));
        }
        assert!(
            view.revision > before.revision,
            "a view that changed has a higher revision"
        );
        let mut text = String::from("sees");
        for peer in view.peers.values() {
            let _ = write!(text, " {}", self.run_name(peer.incarnation));
            if peer.about.role == Role::Client {
                text.push_str("(client)");
            }
            if peer.state == PeerState::Draining {
                text.push_str("(draining)");
            }
            if peer.about.weight != 100 {
                let _ = write!(text, "(weight {})", peer.about.weight);
            }
            if peer.standing != Standing::Living {
                text.push_str("(looks gone)");
            }
        }
        for (incarnation, standing) in &view.lingering {
            let standing = match standing {
                Standing::Living => "lives",
                Standing::Hinted => "lingers",
                Standing::Over => "over",
            };
            let _ = write!(text, ", {} {standing}", self.run_name(*incarnation));
        }
        self.line(name, '=', &text);
    }

    /// Notes that say no more than a view does are left out.
    fn note(&self, note: &Note) -> Option<String> {
        Some(match note {
            Note::Joined(..) | Note::Hinted(..) | Note::Back(..) => return None,
            Note::Left(_, run) => format!("{} left", self.run_name(*run)),
            Note::Over(_, run) => format!("{} is over", self.run_name(*run)),
            Note::NotYetMember(text) => format!("not yet: {text}"),
            Note::NetworkSuspect => "the network is suspect".to_owned(),
            Note::LeaseLost => "its lease was lost".to_owned(),
            Note::ClockGap => "its clock jumped".to_owned(),
            Note::OtherTerms(name) => format!("{name} has other terms"),
            Note::OtherKinds {
                name,
                lacks,
                beyond,
            } => format!("{name} serves other kinds: it lacks {lacks:?}, it has {beyond:?} beyond"),
            Note::Unreadable(name) => format!("the record of {name} cannot be read"),
            Note::LostTail => "the membership stream lost its tail".to_owned(),
            Note::TooManyMembers | Note::NotTaken(_) => format!("{note:?}"),
            other => format!("{other:?}"),
        })
    }

    fn ask(&mut self, name: &str, op: OpId, request: StoreRequest) {
        let node = self.runs.get(name).map_or(name, |run| &run.node);
        let class = class_of(node, &request);
        let place = self
            .faults
            .iter()
            .position(|(n, c, _)| n == name && *c == class);
        let fate = place
            .and_then(|place| self.faults.remove(place))
            .map(|(_, _, fate)| fate);
        let text = self.request(&request);
        let plain = class == Class::Beat && text.starts_with("beat") && fate.is_none();
        let asks = matches!(class, Class::List | Class::Look) && fate.is_none();
        if let Some(run) = self.runs.get_mut(name) {
            run.beats += u32::from(plain);
        }
        match plain || asks {
            true => self.loudly(name, &text),
            false => self.line(name, '>', &text),
        }
        match &fate {
            None => {}
            Some(Fate::Lost) => self.line(name, 'x', "which is lost"),
            Some(Fate::AnswerLost) => self.line(name, 'x', "whose answer is lost"),
            Some(Fate::Late) => self.line(name, 'x', "which is held up"),
            Some(Fate::Refused(refused)) => self.line(name, 'x', &format!("refused: {refused}")),
            Some(Fate::Stale(at)) => self.line(name, 'x', &format!("answered as of {at:?}")),
        }
        self.after(TRAVEL, name, Event::Request(op, request, fate));
    }

    fn request(&self, request: &StoreRequest) -> String {
        match request {
            StoreRequest::Publish(publish) => {
                let member = Member::decode(&publish.payload).expect("a record");
                let run = self.run_name(member.incarnation);
                let at = match publish.expect {
                    Expect::OwnLast(Sequence::NONE) => "if there is none".to_owned(),
                    Expect::OwnLast(at) => format!("over {at:?}"),
                    Expect::Nothing | Expect::Fence(_) | Expect::StreamLast(_) => {
                        panic!("a record is written by CAS")
                    }
                };
                assert!(publish.dedup.is_none() && publish.ttl_s.is_some());
                let what = match member.state {
                    MemberState::Up if member.beats == 0 => "join as",
                    MemberState::Up => "beat of",
                    MemberState::Draining => "beat of draining",
                    MemberState::Left => "farewell of",
                    MemberState::Over { .. } => "tombstone of",
                };
                let replaced: Vec<_> = member
                    .replaced
                    .iter()
                    .map(|r| self.run_name(r.incarnation))
                    .collect();
                let replaced = match replaced.is_empty() {
                    true => String::new(),
                    false => format!(" in place of {}", replaced.join(" and ")),
                };
                format!("{what} {run}{replaced}, {at}")
            }
            StoreRequest::Scan { .. } => "list".to_owned(),
            StoreRequest::Latest { subjects, .. } => format!("look at {}", subjects.len()),
            StoreRequest::Get { sequence, .. } => format!("read {sequence:?}"),
            other @ (StoreRequest::Batch { .. }
            | StoreRequest::CreateStream(_)
            | StoreRequest::StreamInfo { .. }
            | StoreRequest::Capabilities
            | StoreRequest::OpenConsumer(_)
            | StoreRequest::Fetch { .. }
            | StoreRequest::CloseConsumer { .. }) => panic!("a node asked for {}", other.name()),
        }
    }

    fn happen(&mut self, name: &str, event: Event) {
        match event {
            Event::Request(op, request, fate) => self.arrive(name, op, request, fate),
            Event::Answer(op, reply) => self.answer(name, op, reply),
            Event::Heard(heard) => {
                let hears = |run: &&Run| run.up && !run.deaf;
                if self.runs.get(name).filter(hears).is_some() {
                    self.step(name, Input::Heard(heard));
                }
            }
            Event::Probe(to) => {
                let there = self.runs.iter().find(|(_, run)| run.incarnation == to);
                let listens = there.is_some_and(|(_, run)| run.up);
                let answers = there.is_some_and(|(_, run)| run.up && !run.paused);
                let cut =
                    there.is_some_and(|(to, _)| self.cut.contains(&(name.to_owned(), to.clone())));
                if !self.runs.get(name).is_some_and(|run| run.up) {
                    return;
                }
                if cut || !listens {
                    self.after(TRAVEL, name, Event::Nobody(to));
                } else if answers {
                    self.after(TRAVEL, name, Event::Alive(to));
                }
            }
            Event::Alive(of) => self.step(name, Input::Alive { of }),
            Event::Nobody(of) => self.step(name, Input::NoResponders { of }),
            Event::Renewed(run) => {
                let is = |it: &&Run| it.incarnation == run;
                if self.runs.get(name).filter(is).is_some() {
                    self.step(name, Input::Renewed);
                }
            }
        }
    }

    fn arrive(&mut self, name: &str, op: OpId, request: StoreRequest, fate: Option<Fate>) {
        let connected = self.runs.get(name).is_some_and(|run| run.up);
        let (reply, after) = match fate {
            _ if self.silent => (Outcome::Unknown, GIVEN_UP),
            Some(Fate::Lost) => (Outcome::Unknown, GIVEN_UP),
            Some(Fate::Late) => {
                self.late.push(request);
                (Outcome::Unknown, GIVEN_UP)
            }
            Some(Fate::AnswerLost) => {
                self.apply(&request);
                (Outcome::Unknown, GIVEN_UP)
            }
            Some(Fate::Refused(refused)) => (Outcome::Refused(refused), TRAVEL),
            Some(Fate::Stale(at)) => (self.store.answer_as_of(self.wall(), at, &request), TRAVEL),
            None if !connected => (Outcome::Refused(Refused::NotConnected), TRAVEL),
            None => (self.apply(&request), TRAVEL),
        };
        self.after(after, name, Event::Answer(op, reply));
    }

    fn apply(&mut self, request: &StoreRequest) -> StoreReply {
        let reply = self.store.apply(self.wall(), request);
        self.announce();
        reply
    }

    fn announce(&mut self) {
        for announcement in self.store.take_announcements() {
            let heard = Heard {
                subject: announcement.subject.into(),
                sequence: announcement.message.sequence,
                payload: announcement.message.payload,
            };
            for name in self.runs.keys().cloned().collect::<Vec<_>>() {
                self.after(TRAVEL, &name, Event::Heard(heard.clone()));
            }
        }
    }

    fn answer(&mut self, name: &str, op: OpId, reply: StoreReply) {
        let text = match &reply {
            Outcome::Done(StoreDone::Published(ack)) => format!("stored at {:?}", ack.sequence),
            Outcome::Done(StoreDone::Page(page)) => format!("{} records", page.messages.len()),
            Outcome::Done(StoreDone::Latest(proof)) => format!("{} records", proof.messages.len()),
            Outcome::Done(StoreDone::Message(message)) => match Member::decode(&message.payload) {
                Ok(member) => format!(
                    "{:?} of {}",
                    message.sequence,
                    self.run_name(member.incarnation)
                ),
                Err(error) => error.to_string(),
            },
            Outcome::Done(other) => panic!("{other:?}"),
            Outcome::Refused(Refused::WrongLast {
                actual: Some(actual),
            }) => {
                format!("refused: 10071, it ends at {actual:?}")
            }
            Outcome::Refused(refused) => format!("refused: {refused}"),
            Outcome::Unknown => "unknown".to_owned(),
        };
        match reply {
            Outcome::Done(StoreDone::Published(_) | StoreDone::Page(_) | StoreDone::Latest(_)) => {
                self.loudly(name, &format!("< {text}"));
            }
            Outcome::Unknown => self.loudly(name, &format!("< {text}")),
            Outcome::Done(_) | Outcome::Refused(_) => self.line(name, '<', &text),
        }
        self.step(name, Input::Stored { op, reply });
    }

    /// Lets time pass: what is on its way arrives, timers come, and what is too old goes.
    fn advance(&mut self, by: Span) {
        let end = self.now + by;
        for _ in 0..EVENTS_MAX {
            let event = self.events.keys().next().map(|(at, _)| *at);
            let awake = self.runs.iter().filter(|(_, run)| !run.paused);
            let timer = awake.filter_map(|(name, run)| Some((run.machine.next_deadline()?, name)));
            let timer = timer
                .min()
                .map(|(deadline, name)| (deadline.at, name.clone()));
            let expiry = self
                .store
                .next_expiry()
                .map(|at| Time::ZERO + Span::from_millis(at.0.saturating_sub(WALL_START_MS)));
            let next = [event, timer.as_ref().map(|(at, _)| *at), expiry];
            let Some(at) = next.into_iter().flatten().min().filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(at);
            if expiry == Some(at) {
                self.store.expire(self.wall());
                self.announce();
            } else if event == Some(at) {
                let (_, (name, event)) = self.events.pop_first().expect("an event");
                self.happen(&name, event);
            } else if let Some((_, name)) = timer {
                self.step(&name, Input::Tick);
            }
        }
        panic!("a story has no end at {}", clock(self.now));
    }

    fn say_records(&mut self) {
        let stream = namespace().member_stream();
        let messages: Vec<_> = self.store.messages(&stream).cloned().collect();
        for message in messages {
            let member = Member::decode(&message.payload).expect("a record");
            let run = self.run_name(member.incarnation);
            let state = match member.state {
                MemberState::Up => "up".to_owned(),
                MemberState::Draining => "draining".to_owned(),
                MemberState::Left => "left".to_owned(),
                MemberState::Over { by } => format!("over, found out by {}", self.run_name(by)),
            };
            self.lines.push(format!("{} {state}", run));
        }
    }
}

fn class_of(name: &str, request: &StoreRequest) -> Class {
    match request {
        StoreRequest::Publish(publish) if publish.subject.ends_with(&format!(".mem.{name}")) => {
            Class::Beat
        }
        StoreRequest::Publish(_) => Class::Bury,
        StoreRequest::Scan { .. } => Class::List,
        StoreRequest::Latest { .. } => Class::Look,
        StoreRequest::Get { .. } => Class::Read,
        other @ (StoreRequest::Batch { .. }
        | StoreRequest::CreateStream(_)
        | StoreRequest::StreamInfo { .. }
        | StoreRequest::Capabilities
        | StoreRequest::OpenConsumer(_)
        | StoreRequest::Fetch { .. }
        | StoreRequest::CloseConsumer { .. }) => panic!("a node asked for {}", other.name()),
    }
}

impl Cluster {
    fn node_command(&mut self, node: &str, words: &[&str]) -> Result<(), String> {
        if let ["starts", options @ ..] = words {
            return self.start(node, options);
        }
        if let ["fault", class, fate @ ..] = words {
            let class = match *class {
                "beat" => Class::Beat,
                "read" => Class::Read,
                "list" => Class::List,
                "look" => Class::Look,
                "bury" => Class::Bury,
                _ => return Err("beat, read, list, look or bury".into()),
            };
            self.faults
                .push_back((node.to_owned(), class, fate_of(fate)?));
            return Ok(());
        }
        let Some(run) = self.runs.get_mut(node) else {
            return Err("no such node".into());
        };
        match words {
            ["dies"] => {
                self.runs.remove(node);
            }
            ["pauses"] => run.paused = true,
            ["resumes"] => {
                run.paused = false;
                for input in std::mem::take(&mut run.waiting) {
                    self.step(node, input);
                }
                self.step(node, Input::Tick);
            }
            ["down"] => {
                run.up = false;
                self.step(node, Input::Down);
            }
            ["up"] => {
                run.up = true;
                self.step(node, Input::Up);
            }
            ["deaf"] => run.deaf = true,
            ["hears"] => run.deaf = false,
            ["loud"] => run.loud = true,
            ["quiet"] => run.loud = false,
            ["drains"] => self.step(node, Input::Drain),
            ["leaves"] => self.step(node, Input::Leave),
            ["looks"] => self.step(node, Input::Look),
            ["weighs", weight] => {
                let weight = weight.parse().map_err(|_| "a weight")?;
                let about = run
                    .view
                    .peers
                    .values()
                    .find(|p| p.incarnation == run.incarnation);
                let about = about.ok_or("a member")?.about.clone();
                self.step(node, Input::About(About { weight, ..about }));
            }
            ["misses", other] => {
                self.cut.insert((node.to_owned(), (*other).to_owned()));
            }
            ["reaches", other] => {
                self.cut.remove(&(node.to_owned(), (*other).to_owned()));
            }
            ["calls", other] => {
                let to = self.runs.get(*other).map(|run| run.incarnation);
                let names = || self.names.iter().rev();
                let gone = || {
                    names()
                        .find(|(_, name)| name.starts_with(other))
                        .map(|(i, _)| *i)
                };
                let to = to.or_else(gone).ok_or("a node")?;
                self.after(TRAVEL, node, Event::Probe(to));
            }
            _ => return Err("no such command of a node".into()),
        }
        Ok(())
    }
}

fn fate_of(words: &[&str]) -> Result<Fate, String> {
    Ok(match words {
        ["lost"] => Fate::Lost,
        ["answer-lost"] => Fate::AnswerLost,
        ["late"] => Fate::Late,
        ["stale", at] => {
            let at = at.strip_prefix('#').and_then(|at| at.parse().ok());
            Fate::Stale(Sequence(at.ok_or("a sequence")?))
        }
        ["refused", "NoResponders"] => Fate::Refused(Refused::NoResponders),
        ["refused", "Denied"] => Fate::Refused(Refused::Denied("permissions violation".into())),
        ["refused", "old", at] => {
            let at = at.strip_prefix('#').and_then(|at| at.parse().ok());
            let actual = Some(Sequence(at.ok_or("a sequence")?));
            Fate::Refused(Refused::WrongLast { actual })
        }
        _ => return Err("lost, answer-lost, late, stale or refused".into()),
    })
}

impl Stage for Cluster {
    fn command(&mut self, words: &[&str]) -> Result<(), String> {
        match words {
            ["terms", ttl] => self.terms = Terms::of_ttl(span(ttl)?),
            ["members_max", count] => {
                self.limits.members_max = count.parse().map_err(|_| "a count")?;
            }
            ["advance", by] => self.advance(span(by)?),
            ["records"] => self.say_records(),
            ["beats"] => {
                for (name, run) in &mut self.runs {
                    let beats = std::mem::take(&mut run.beats);
                    self.lines.push(format!("{name} sent {beats} heartbeats"));
                }
            }
            ["store", "silent"] => self.silent = true,
            ["store", "answers"] => self.silent = false,
            ["store", "loses", "tail", keep] => {
                let keep = keep.strip_prefix('#').and_then(|at| at.parse().ok());
                let keep = Sequence(keep.ok_or("a sequence")?);
                self.store.lose_tail(&namespace().member_stream(), keep);
            }
            ["late", "arrives"] => {
                for request in std::mem::take(&mut self.late) {
                    let text = self.request(&request);
                    let reply = self.apply(&request);
                    let stored = matches!(reply, Outcome::Done(_));
                    let text = format!("{text}: {}", if stored { "stored" } else { "refused" });
                    self.line("late", '<', &text);
                }
            }
            ["foreign", "record", name] => {
                let ns = namespace();
                let name = NodeName::new(name).map_err(|error| error.to_string())?;
                self.apply(&StoreRequest::Publish(Publish {
                    stream: ns.member_stream(),
                    subject: ns.member_subject(&name),
                    expect: Expect::Nothing,
                    rollup: Rollup::No,
                    dedup: None,
                    ttl_s: None,
                    payload: b"\xa1\x00\x02".to_vec().into(),
                }));
            }
            [node, rest @ ..] => self.node_command(node, rest)?,
            [] => {}
        }
        Ok(())
    }

    fn take_lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    fn end(&mut self) {
        assert!(self.probe.broken().is_none(), "a probe's claim is broken");
    }
}

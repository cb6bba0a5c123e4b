//! The machine: what each step begins and ends with, and which timers it has.

use super::ask::{Ask, Asks};
use super::join::Rival;
use super::list::Lists;
use super::own::Own;
use super::roster::Roster;
use super::{About, ConfigError, Effect, Input, JoinError, NodeConfig, Note, View};
use crate::format::Replaced;
use crate::id::{Incarnation, OpId, Sequence};
use crate::lease::{Entry, Holder};
use crate::port::StoreReply;
use crate::reached;
use crate::step::{Cx, Deadline, Effects, HaltReason, Limits, Machine, Purpose, Span, Time};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// One node, run after run; see the [module](super) for what it does and the invariants.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Node {
    pub(super) config: NodeConfig,
    pub(super) limits: Limits,
    pub(super) phase: Phase,
    /// Since when the connection is up.
    pub(super) link: Option<Time>,
    pub(super) holder: Holder,
    pub(super) own: Own,
    pub(super) asks: Asks,
    pub(super) roster: Roster,
    pub(super) lists: Lists,
    pub(super) draining: bool,
    /// The highest sequences that this node was acknowledged, by event stream.
    pub(super) marks: Vec<Sequence>,
    /// Earlier runs of the name whose lease may not be over yet, and when it is.
    pub(super) replaced: Vec<(Replaced, Time)>,
    /// The run whose name is taken because it was silent for long enough.
    pub(super) succeeds: Option<Incarnation>,
    /// What was said last of why this node is no member.
    pub(super) said: String,
    /// The view as it was told last.
    pub(super) view: Arc<View>,
    /// The view may have changed.
    pub(super) dirty: bool,
    /// So many others look gone that none is taken for it.
    pub(super) suspect: bool,
    lease_told: Option<Time>,
    rolls: u64,
    /// How often it was taken for over and became another run.
    pub(super) renewals: u64,
}

/// How far this run has come.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Phase {
    /// The members are listed before the name is taken.
    Looking,
    /// Another run has the name: does it live?
    Contending(Rival),
    /// The name is free, as far as is known, and is being taken.
    Taking,
    /// It is a member.
    Member,
    /// The run before was taken for over: everything of the node becomes this one first.
    Renewing,
    /// It says that it leaves, for so long.
    Leaving { until: Time },
    /// It is no member, and never will be again.
    Ended,
    /// The machine's own state was wrong.
    Halted,
}

/// One step on its way.
pub(super) struct Turn<'a, 'b> {
    pub(super) cx: &'a mut Cx<'b>,
    pub(super) out: &'a mut Effects<Effect>,
}

impl Turn<'_, '_> {
    pub(super) fn note(&mut self, note: Note) {
        self.out.push(Effect::Note(note));
    }
}

impl Node {
    /// A run of a node that knows nothing yet and waits for `Input::Up`.
    pub fn new(config: NodeConfig, limits: Limits, now: Time) -> Self {
        let holder = Holder::new(config.terms, now);
        Self {
            config,
            limits,
            phase: Phase::Looking,
            link: None,
            holder,
            own: Own::new(now),
            asks: Asks::default(),
            roster: Roster::new(now),
            lists: Lists::new(now),
            draining: false,
            marks: Vec::new(),
            replaced: Vec::new(),
            succeeds: None,
            said: String::new(),
            view: Arc::default(),
            dirty: false,
            suspect: false,
            lease_told: None,
            rolls: 0,
            renewals: 0,
        }
    }

    /// Who is in the cluster, as it was told last.
    pub fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// What it says of itself.
    pub fn about(&self) -> &About {
        &self.config.about
    }

    /// Whether it can say this of itself.
    ///
    /// # Errors
    ///
    /// When it cannot; the error says what to change.
    pub fn may_say(&self, about: &About) -> Result<(), ConfigError> {
        let about = about.clone();
        let config = self.config.clone();
        NodeConfig { about, ..config }.check(&self.limits, false)
    }

    /// Until when this node may act as the holder of its lease.
    pub fn lease(&self) -> Option<Time> {
        self.holder.until()
    }

    /// Whether it is a member.
    pub fn is_member(&self) -> bool {
        matches!(self.phase, Phase::Member)
    }

    /// Whether it is no member, and never will be again.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Ended | Phase::Halted)
    }

    /// Whether it still wants to become a member.
    pub(super) fn joins(&self) -> bool {
        match self.phase {
            Phase::Renewing | Phase::Looking | Phase::Contending(_) | Phase::Taking => true,
            Phase::Member | Phase::Leaving { .. } | Phase::Ended | Phase::Halted => false,
        }
    }

    /// A number below a bound, by the dice.
    pub(super) fn roll(&mut self, t: &Turn<'_, '_>, bound: Span) -> Span {
        let ordinal = self.rolls;
        self.rolls += 1;
        let below = bound.as_nanos().saturating_add(1);
        Span::from_nanos(t.cx.dice.below(Purpose::RetryJitter, ordinal, below))
    }

    /// How long to wait before a repetition: each time longer, never longer than between two
    /// heartbeats.
    pub(super) fn delay(&mut self, t: &Turn<'_, '_>, tries: u32) -> Span {
        let doubled = 1_u64.checked_shl(tries).unwrap_or(u64::MAX);
        let longest = self.limits.retry_delay_max;
        let longest = longest.min(self.config.terms.beat_every());
        let delay = self.limits.retry_delay_min.saturating_mul(doubled);
        let half = Span::from_nanos(delay.min(longest).as_nanos() / 2);
        half + self.roll(t, half)
    }

    pub(super) fn store(
        &mut self,
        t: &mut Turn<'_, '_>,
        ask: Ask,
        request: crate::port::StoreRequest,
    ) -> OpId {
        let op = self.asks.begin(ask);
        t.out.push(Effect::Store { op, request });
        op
    }

    /// It is no member, and will not be.
    pub(super) fn refuse(&mut self, t: &mut Turn<'_, '_>, error: JoinError) {
        self.holder.end(t.cx.now);
        self.phase = Phase::Ended;
        t.out.push(Effect::Refused(error));
    }

    pub(super) fn halt(&mut self, t: &mut Turn<'_, '_>, reason: HaltReason) {
        self.holder.end(t.cx.now);
        self.phase = Phase::Halted;
        t.out.push(Effect::Halt(reason));
    }

    /// What the time alone has ended, before anything else (T4).
    fn enter(&mut self, t: &mut Turn<'_, '_>) {
        match self.holder.enter(t.cx.now) {
            Entry::Steady | Entry::Gap { held: false } => {}
            Entry::Lapsed => {
                reached!(t.cx, "node: the lease was lost");
                t.note(Note::LeaseLost);
            }
            Entry::Gap { held: true } => {
                reached!(t.cx, "node: a gap in the clock");
                self.own.due = t.cx.now;
                t.note(Note::ClockGap);
            }
            Entry::WentBack => self.halt(t, HaltReason::ClockWentBack),
        }
    }

    fn take_in(&mut self, t: &mut Turn<'_, '_>, input: Input) {
        match input {
            Input::Tick => {}
            Input::Up => self.up(t),
            Input::Down => self.down(),
            Input::Heard(heard) => self.heard(t, &heard),
            Input::Stored { op, reply } => self.stored(t, op, reply),
            Input::NoResponders { of } => self.nobody_listens(t, of),
            Input::Alive { of } => self.alive(t, of),
            Input::Look => self.lists.look(t.cx.now),
            Input::About(about) => self.says(t, about),
            Input::Marks(marks) => self.marks = marks,
            Input::Renewed => self.renewed(t),
            Input::Drain => {
                self.draining = true;
                self.own.due = t.cx.now;
                self.dirty = true;
            }
            Input::Leave => self.leave(t),
        }
    }

    /// What it says of itself changed. What is too large for a record changes nothing.
    fn says(&mut self, t: &mut Turn<'_, '_>, about: About) {
        let (role, lanes) = (self.config.about.role, self.config.about.lanes);
        let about = About {
            role,
            lanes,
            ..about
        };
        match self.may_say(&about) {
            Ok(()) => self.config.about = about,
            Err(error) => return t.note(Note::NotTaken(error)),
        }
        self.own.due = t.cx.now;
        self.dirty = true;
    }

    fn up(&mut self, t: &mut Turn<'_, '_>) {
        let now = t.cx.now;
        self.link = Some(now);
        self.own.due = now;
        self.own.tries = 0;
        // What was not heard while the link was down speaks against nobody.
        self.roster.steady = now;
        self.lists.up(now);
    }

    fn down(&mut self) {
        self.link = None;
        self.dirty |= self.roster.clear_suspicions();
        if let Phase::Contending(rival) = &mut self.phase {
            rival.suspicion.clear();
        }
    }

    fn stored(&mut self, t: &mut Turn<'_, '_>, op: OpId, reply: StoreReply) {
        let Some(ask) = self.asks.end(op) else {
            return self.halt(t, HaltReason::UnknownOp(op));
        };
        match ask {
            Ask::Own { sent, left, mark } => self.on_own(t, op, (sent, left, mark), reply),
            Ask::Rival => self.on_rival(t, op, reply),
            Ask::List(proof) => self.on_list(t, op, proof, reply),
            Ask::Look { names } => self.on_look(t, op, names, reply),
            Ask::Bury { name, revision } => self.on_bury(t, op, &name, revision, reply),
            // The run that asked is over, whatever became of it (M5).
            Ask::Former => {}
        }
    }

    /// Begins what is due.
    fn pump(&mut self, t: &mut Turn<'_, '_>) {
        self.contend_on(t);
        self.list_on(t);
        self.own_on(t);
        self.look_on(t);
        self.linger_on(t);
        self.bury_on(t);
        self.probe_on(t);
    }

    /// Tells what changed.
    fn tell(&mut self, t: &mut Turn<'_, '_>) {
        if self.lease_told != self.holder.until() {
            self.lease_told = self.holder.until();
            t.out.push(Effect::Lease(self.lease_told));
        }
        self.tell_view(t);
    }

    fn deadlines(&self) -> impl Iterator<Item = Deadline> {
        let timer = |timer, at: Option<Time>| at.map(|at| Deadline { at, timer });
        let leaves = match self.phase {
            Phase::Leaving { until } => Some(until),
            Phase::Renewing
            | Phase::Looking
            | Phase::Contending(_)
            | Phase::Taking
            | Phase::Member
            | Phase::Ended
            | Phase::Halted => None,
        };
        let counts = self.holder.until().is_some() || self.own.is_busy();
        let steps = counts.then(|| self.holder.step_by());
        [
            timer("step", steps),
            timer("leave", leaves),
            timer("own record", self.own_at()),
            timer("contend", self.contend_at()),
            timer("list", self.list_at()),
            timer("linger", self.linger_at()),
            timer("watch", self.bury_at()),
            timer("probe", self.probe_at()),
        ]
        .into_iter()
        .flatten()
    }
}

impl Machine for Node {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, cx: &mut Cx<'_>, input: Input, out: &mut Effects<Effect>) {
        if self.is_over() {
            return;
        }
        let t = &mut Turn { cx, out };
        self.enter(t);
        if !self.is_over() {
            self.take_in(t, input);
        }
        if !self.is_over() {
            self.pump(t);
        }
        self.tell(t);
    }

    fn next_deadline(&self) -> Option<Deadline> {
        if self.is_over() {
            return None;
        }
        self.deadlines().min()
    }
}

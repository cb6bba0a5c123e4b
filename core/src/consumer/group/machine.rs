//! The machine: what a node's part in a group knows, and one step of it.

use super::spot::{Hold, Spot};
use super::told::Orders;
use super::{
    Effect, GroupConfig, GroupState, GroupStatus, Input, Notice, PARTITIONS_MAX, PartStatus,
};
use crate::asks::{Asks, Whose};
use crate::consumer::verify::{Verified, Verify};
use crate::consumer::{Fault, Keeping, StallReason, Start};
use crate::format::GroupRecord;
use crate::id::{GroupPart, OpId, ShardId, WallTime};
use crate::node::View;
use crate::port::{Refused, StoreReply, StoreRequest};
use crate::shard::ShardMap;
use crate::step::{Cx, Deadline, Effects, HaltReason, Limits, Machine, Purpose, Span, Time};
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

/// One node's part in a group; see the [module](super) for the states and the invariants.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Group {
    pub(super) config: GroupConfig,
    pub(super) limits: Limits,
    /// The hash of the definition.
    pub(super) hash: u64,
    pub(super) phase: Phase,
    verify: Verify,
    pub(super) asks: Asks<Job>,
    /// What the store refused last, for now.
    refused: Option<(Job, Refused)>,
    /// The group's own record, while it is being written.
    pub(super) naming: Option<Box<GroupRecord>>,
    pub(super) view: Arc<View>,
    /// Until when this node may act.
    pub(super) lease: Option<Time>,
    /// Who takes partitions.
    pub(super) candidates: ShardMap,
    /// When this node may claim, and when it may hand over: `None`, it is no candidate.
    pub(super) claims_from: Option<Time>,
    pub(super) moves_from: Option<Time>,
    pub(super) spots: Vec<Spot>,
    /// What the group was told as a whole.
    pub(super) orders: Orders,
    /// When the records are read again.
    pub(super) reread_at: Time,
    /// Something changed since the records were asked for: they are read before anything is judged.
    pub(super) stale: bool,
    /// The same while they are being read.
    pub(super) stale_again: bool,
    /// An unknown run was met in this step.
    pub(super) stranger: bool,
    /// When something that waits for its time is due.
    pub(super) wake: Option<Time>,
    pub(super) draws: u64,
    pub(super) runs: u64,
    /// The node's wall clock, as it was told last.
    pub(super) wall: WallTime,
}

/// What it does.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Phase {
    /// The stream is looked at.
    Waiting,
    /// The group's record is read, and made if there is none.
    Naming,
    Running,
    Leaving {
        until: Time,
        gives_up: bool,
        fault: Option<Box<Fault>>,
    },
    Over,
    Halted,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Job {
    /// What the store is and can do.
    Capabilities,
    /// The stream of the consumers.
    Stream,
    /// The group's record is read.
    Name,
    /// It is made.
    Make,
    /// The records of all partitions are read, and what the group was told.
    Read,
    /// What the group is told is written.
    Orders,
    /// The end of an event stream is looked at.
    End(u16),
    /// A partition's record is written: a claim, or a release.
    Write(GroupPart),
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capabilities => f.write_str("say what it is"),
            Self::Stream => f.write_str("serve the stream of the consumers"),
            Self::Name => f.write_str("tell the group's record"),
            Self::Make => f.write_str("store the group's record"),
            Self::Read => f.write_str("tell the records of the partitions"),
            Self::Orders => f.write_str("store what the group is told"),
            Self::End(stream) => write!(f, "tell the end of event stream {stream}"),
            Self::Write(part) => write!(f, "store the record of partition {part}"),
        }
    }
}

/// An answer does not fit its question.
#[derive(Debug)]
pub(super) struct Misfit;

impl Group {
    /// A part in a group that begins when it is told that the store is [`Up`](Input::Up).
    ///
    /// # Errors
    ///
    /// When there can be no such group.
    pub fn new(config: GroupConfig, limits: Limits) -> Result<Self, Fault> {
        let name = config.definition.name.clone();
        let partitions_max = config.layout.shards().min(PARTITIONS_MAX);
        let wanted = config.partitions;
        if wanted == 0 || wanted > partitions_max {
            return Err(Fault::Partitions {
                name,
                wanted,
                partitions_max,
            });
        }
        if matches!(config.definition.keeping, Keeping::External { .. }) {
            return Err(Fault::GroupExternal { name });
        }
        Ok(Self {
            hash: config.definition.hash(&config.layout),
            spots: (0..wanted).map(|_| Spot::default()).collect(),
            orders: Orders::default(),
            config,
            limits,
            phase: Phase::Waiting,
            verify: Verify::Idle,
            asks: Asks::default(),
            refused: None,
            naming: None,
            view: Arc::default(),
            lease: None,
            candidates: ShardMap::default(),
            claims_from: None,
            moves_from: None,
            reread_at: Time::ZERO,
            stale: true,
            stale_again: false,
            stranger: false,
            wake: None,
            draws: 0,
            runs: 0,
            wall: WallTime::default(),
        })
    }

    /// How it stands.
    pub fn status(&self) -> GroupStatus {
        let state = match self.phase {
            Phase::Waiting | Phase::Naming => GroupState::Starting,
            Phase::Running => GroupState::Running,
            Phase::Leaving { .. } => GroupState::Leaving,
            Phase::Over | Phase::Halted => GroupState::Over,
        };
        let part = |spot: &Spot| PartStatus {
            owner: spot.known.as_ref().and_then(|known| {
                let record = &known.record;
                record.owner.map(|_| record.node.clone())
            }),
            held: matches!(spot.hold, Hold::Held(_)),
            best: spot.best.clone(),
        };
        let members = self.view.peers.iter();
        let members = members.filter(|(_, peer)| self.may_run(peer));
        GroupStatus {
            state,
            members: members.map(|(name, _)| name.clone()).collect(),
            partitions: self.spots.iter().map(part).collect(),
            paused: self.paused_by().cloned(),
            life: self.life(),
            waits_for: (state == GroupState::Starting).then(|| self.start_reason()),
        }
    }

    /// What a start waits for.
    fn start_reason(&self) -> StallReason {
        let Some((job, tries)) = self.asks.hardest() else {
            return StallReason::unconnected();
        };
        let refused = self.refused.as_ref().filter(|(of, _)| *of == job);
        StallReason::Store {
            what: job.to_string(),
            tries,
            refused: refused.map(|(_, refused)| refused.clone()),
        }
    }

    /// The partitions whose consumers run here, or are ending.
    pub fn acting(&self) -> impl Iterator<Item = GroupPart> + '_ {
        let parts = (0..).zip(&self.spots);
        parts.filter_map(|(part, spot)| spot.acts().then_some(GroupPart(part)))
    }

    /// The shards of a partition; empty for all of them.
    pub(super) fn shards_of(&self, part: GroupPart) -> BTreeSet<ShardId> {
        let partitions = self.config.partitions;
        if partitions == 1 {
            return BTreeSet::new();
        }
        let shards = 0..self.config.layout.shards();
        let shards = shards.filter(|shard| shard % partitions == part.0);
        shards.map(ShardId).collect()
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over | Phase::Halted)
    }

    pub(super) fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::Leaving { .. })
    }

    pub(super) fn spot(&mut self, part: GroupPart) -> Option<&mut Spot> {
        self.spots.get_mut(usize::from(part.0))
    }

    /// Whether it takes part, or did until now.
    pub(super) fn may_read(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Leaving { .. })
    }

    fn request(&self, job: Job) -> Option<StoreRequest> {
        match job {
            Job::Capabilities | Job::Stream => self.verify.request(),
            Job::Name => Some(self.name_request()),
            Job::Make => self.make_request(),
            Job::Read => Some(self.read_request()),
            Job::Orders => self.orders_request(),
            Job::End(n) => Some(self.end_request(n)),
            Job::Write(part) => self.part_request(part),
        }
    }

    pub(super) fn ask(&mut self, job: Job, out: &mut Effects<Effect>) {
        if let Some(request) = self.request(job) {
            let op = self.asks.begin(job);
            out.push(Effect::Store { op, request });
        }
    }

    /// Asks again after a wait.
    pub(super) fn again(&mut self, cx: &Cx<'_>, job: Job) {
        self.refused.take_if(|(of, _)| *of == job);
        self.asks.wait(cx, &self.limits, job);
    }

    /// The same, with what it was refused over, if that is why.
    pub(super) fn again_told(&mut self, cx: &mut Cx<'_>, job: Job, refused: Option<Refused>) {
        self.again(cx, job);
        if let Some(refused) = refused {
            crate::reached!(cx, "group: refused for now");
            self.refused = Some((job, refused));
        }
    }

    /// A span below another.
    pub(super) fn draw(&mut self, cx: &Cx<'_>, below: Span) -> Span {
        self.draws += 1;
        let draws = self.draws;
        Span::from_nanos(cx.dice.below(Purpose::Group, draws, below.as_nanos()))
    }

    /// Something that waits is due then.
    pub(super) fn wake_at(&mut self, at: Time) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    pub(super) fn halt(&mut self, reason: HaltReason, out: &mut Effects<Effect>) {
        self.phase = Phase::Halted;
        out.push(Effect::Halt(reason));
    }

    /// The store is reachable: its stream is looked at, and the records are read, again if need be.
    fn up(&mut self, out: &mut Effects<Effect>) {
        self.asks.abandon(Job::Capabilities);
        self.asks.abandon(Job::Stream);
        self.verify = Verify::Capabilities;
        self.ask(Job::Capabilities, out);
        self.doubt();
    }

    /// What is known of the records counts only when they are read again.
    pub(super) fn doubt(&mut self) {
        self.stale = true;
        self.stale_again = self.asks.busy(Job::Read);
    }

    fn stored(&mut self, cx: &mut Cx<'_>, op: OpId, reply: StoreReply, out: &mut Effects<Effect>) {
        let job = match self.asks.end(op) {
            None => return self.halt(HaltReason::UnknownOp(op), out),
            Some(Whose::Nobody) => return,
            Some(Whose::Job(job)) => job,
        };
        let fits = match job {
            Job::Capabilities | Job::Stream => self.verified(cx, job, reply, out),
            Job::Name => self.name_was_read(cx, reply, out),
            Job::Make => self.name_was_made(cx, reply, out),
            Job::Read => self.were_read(cx, reply, out),
            Job::Orders => self.orders_were_written(cx, reply, out),
            Job::End(n) => self.end_was_told(cx, n, reply, out),
            Job::Write(part) => self.was_written(cx, part, reply, out),
        };
        if fits.is_err() {
            self.halt(HaltReason::WrongAnswer(op), out);
        }
    }

    fn verified(
        &mut self,
        cx: &mut Cx<'_>,
        job: Job,
        reply: StoreReply,
        out: &mut Effects<Effect>,
    ) -> Result<(), Misfit> {
        let begun = !matches!(self.phase, Phase::Waiting);
        let known = (begun, self.asks.tries(job));
        let reads = (&self.config.wish, &self.config.definition.source);
        let refused = reply.refused().cloned();
        let next = self.verify.answered(reads, known, reply);
        match next.map_err(|_| Misfit)? {
            Verified::Stream => {
                self.asks.done(job);
                self.ask(Job::Stream, out);
            }
            Verified::Ask => self.ask(job, out),
            Verified::Again => self.again_told(cx, job, refused),
            Verified::Done => {
                self.asks.done(job);
                if !begun {
                    self.phase = Phase::Naming;
                    match self.config.definition.start {
                        Start::New => self.begin_with_new(out),
                        Start::Beginning | Start::After(_) | Start::At(_) => {
                            self.ask(Job::Name, out);
                        }
                    }
                }
            }
            Verified::Fail(error) => self.fail(cx, Fault::Space(error), out),
        }
        Ok(())
    }

    /// The group is what it is to be.
    pub(super) fn joined(&mut self, made: bool, out: &mut Effects<Effect>) {
        self.phase = Phase::Running;
        out.push(Effect::Serve(true));
        out.push(Effect::Notice(Notice::Joined { made }));
    }

    /// Ends with an error: nothing of it acts any more.
    pub(super) fn fail(&mut self, cx: &mut Cx<'_>, fault: Fault, out: &mut Effects<Effect>) {
        match &mut self.phase {
            Phase::Over | Phase::Halted => {}
            Phase::Leaving { fault: before, .. } => {
                before.get_or_insert(Box::new(fault));
            }
            Phase::Waiting | Phase::Naming | Phase::Running => {
                let until = cx.now + self.limits.hand_over_patience;
                // A claim that is stored when nobody is here any more would leave its partition to nobody, as
                // long as the node lives: it ends when it knows of each.
                self.leave(until, false, Some(Box::new(fault)), out);
            }
        }
    }

    /// Ends with an error, and without having released what it owns: no request reaches the store any more. The
    /// node's lease is over before others may take that, as it cannot be renewed either.
    fn end_without_store(&mut self, cx: &mut Cx<'_>, fault: Fault, out: &mut Effects<Effect>) {
        self.fail(cx, fault, out);
        if let Phase::Leaving {
            until, gives_up, ..
        } = &mut self.phase
        {
            (*until, *gives_up) = (cx.now, true);
            self.drop_all(out);
        }
    }

    fn leave(
        &mut self,
        until: Time,
        gives_up: bool,
        fault: Option<Box<Fault>>,
        out: &mut Effects<Effect>,
    ) {
        match &mut self.phase {
            Phase::Over | Phase::Halted => return,
            Phase::Leaving {
                until: before,
                gives_up: gave_up,
                ..
            } => {
                *before = until.min(*before);
                *gave_up |= gives_up;
                return;
            }
            // Nothing was taken yet.
            Phase::Waiting | Phase::Naming => {
                self.phase = Phase::Over;
                return out.push(Effect::Ended { fault });
            }
            Phase::Running => out.push(Effect::Serve(false)),
        }
        self.give_up_orders(out);
        self.phase = Phase::Leaving {
            until,
            gives_up,
            fault,
        };
    }

    /// A partition's consumer has ended, and nothing of it acts.
    fn ended(&mut self, part: GroupPart, out: &mut Effects<Effect>) {
        let Some(spot) = self.spot(part) else {
            return self.halt(HaltReason::Broken("a partition that ends is one"), out);
        };
        match spot.hold {
            Hold::Ending { release: true } => spot.hold = Hold::Settling,
            Hold::Ending { release: false } => spot.hold = Hold::No,
            Hold::No | Hold::Claiming(_) | Hold::Held(_) | Hold::Settling | Hold::Releasing(_) => {
                self.halt(HaltReason::Broken("what ends was to end"), out);
                return;
            }
        }
        self.doubt();
    }

    /// A partition's consumer ended by itself.
    fn faulted(&mut self, part: GroupPart, lost: bool, out: &mut Effects<Effect>) {
        let Some(spot) = self.spot(part) else {
            return self.halt(HaltReason::Broken("a partition that faults is one"), out);
        };
        if !lost {
            // It stays here, and stands: another node would come to the same event.
            return;
        }
        if matches!(spot.hold, Hold::Held(_)) {
            spot.hold = Hold::No;
            out.push(Effect::Notice(Notice::Lost { part }));
            self.doubt();
        }
    }

    /// What follows from a step, whatever it was.
    fn settle(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        self.wake = None;
        self.stranger = false;
        if let Some(end) = self.lease {
            self.wake_at(end);
        }
        self.tell_on(out);
        self.act(cx, out);
        self.obey(out);
        if self.stranger {
            out.push(Effect::Look);
        }
        self.read_on(cx, out);
        self.end_when_done(cx, out);
    }

    fn end_when_done(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        let Phase::Leaving {
            until, gives_up, ..
        } = self.phase
        else {
            return;
        };
        let given_up = gives_up && until <= cx.now;
        let me = self.config.incarnation;
        let done = |spot: &Spot| match spot.hold {
            // Without a lease it is for the others to see that it is over; the node may have it again soon.
            Hold::No if self.lease.is_none() && (gives_up || until <= cx.now) => true,
            Hold::No if given_up => true,
            Hold::No => !self.stale && spot.owner() != Some(me) && spot.late.is_none(),
            Hold::Held(_) | Hold::Ending { .. } => false,
            Hold::Claiming(_) | Hold::Settling | Hold::Releasing(_) => given_up,
        };
        if self.spots.iter().all(done) {
            if let Phase::Leaving { fault, .. } = core::mem::replace(&mut self.phase, Phase::Over) {
                out.push(Effect::Ended { fault });
            }
        } else if until > cx.now {
            self.wake_at(until);
        }
    }
}

impl Machine for Group {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, cx: &mut Cx<'_>, input: Input, out: &mut Effects<Effect>) {
        if self.is_over() {
            return;
        }
        // What has ended is not there to be dropped.
        if let Input::Ended { part } = input {
            self.ended(part, out);
        }
        // Before anything is begun.
        if self.lease.is_some_and(|end| end <= cx.now) {
            self.lapse(out);
        }
        match input {
            Input::Tick { wall } => {
                self.wall = wall;
                for job in self.asks.due(cx.now) {
                    self.ask(job, out);
                }
            }
            Input::Up => self.up(out),
            Input::Unusable(fault) => self.end_without_store(cx, *fault, out),
            Input::View(view) => self.see(cx, view),
            Input::Lease(lease) => self.hold_until(cx, lease, out),
            Input::Run(run) => self.become_run(run, out),
            Input::Stored { op, reply, wall } => {
                self.wall = wall;
                self.stored(cx, op, reply, out);
            }
            Input::Faulted { part, lost } => self.faulted(part, lost, out),
            Input::Ended { .. } => {}
            Input::Order { ticket, order } => self.ordered(ticket, order, out),
            Input::Leave { until, gives_up } => {
                self.leave(until, gives_up, None, out);
                self.count_candidates(cx);
            }
        }
        if !self.is_over() {
            self.settle(cx, out);
        }
    }

    fn next_deadline(&self) -> Option<Deadline> {
        if self.is_over() {
            return None;
        }
        let named = |at: Option<Time>, timer| at.map(|at| Deadline { at, timer });
        [named(self.asks.next(), "retry"), named(self.wake, "group")]
            .into_iter()
            .fold(None, Deadline::earliest)
    }
}

//! The machine itself: its state, and one step routed to the concern that it is about.

use super::spot::{Hold, Record, Spot};
use super::{Effect, Input, Note, Order, Place, Report, Row, ShardMap, Table};
use crate::format::{Layout, TakeOver};
use crate::id::{Epoch, Incarnation, OpId};
use crate::name::{Namespace, NodeName};
use crate::node::{Standing, View};
use crate::port::{StoreReply, StoreRequest};
use crate::step::{Cx, Deadline, Effects, HaltReason, Limits, Machine, Purpose, Span, Time};
use crate::{reached, sometimes};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// What a node's ownership is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct OwnersConfig {
    /// The namespace.
    pub namespace: Namespace,
    /// Its layout.
    pub layout: Arc<Layout>,
    /// The node's name.
    pub name: NodeName,
    /// This run of it: the one that its logs write into ownership records.
    pub incarnation: Incarnation,
    /// The classes of the kinds and actors of its program. The machine knows of those that other
    /// nodes serve from the view.
    pub classes: BTreeSet<TakeOver>,
}

/// One node's part in who owns which shard.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Owners {
    pub(super) config: OwnersConfig,
    pub(super) limits: Limits,
    pub(super) up: bool,
    pub(super) view: Arc<View>,
    /// Until when this node may act.
    pub(super) lease: Option<Time>,
    pub(super) draining: bool,
    drained: bool,
    /// Whether everything is dropped for good, and is.
    pub(super) abandoning: bool,
    abandoned: bool,
    /// Who may own what, by class: the nodes that live, serve the class and are not draining.
    pub(super) candidates: BTreeMap<TakeOver, ShardMap>,
    /// When this node may claim, and when it may hand over what it owns; `None`: it is no member.
    pub(super) claims_from: Option<Time>,
    pub(super) moves_from: Option<Time>,
    /// Runs that look gone, and since when.
    pub(super) hinted: BTreeMap<Incarnation, u64>,
    pub(super) spots: BTreeMap<Place, Spot>,
    /// The reads under way.
    pub(super) reads: BTreeMap<OpId, Reading>,
    /// When all records are read again.
    pub(super) reread_at: Time,
    /// Since when the record of a place has looked older than it was, or gone.
    pub(super) low_since: BTreeMap<Place, Time>,
    /// Reads that failed in a row.
    pub(super) read_tries: u32,
    table: Arc<Table>,
    /// Something changed that the table tells.
    pub(super) moved: bool,
    /// An unknown run was met in this step.
    pub(super) stranger: bool,
    /// When something that waits for its time is due.
    wake: Option<Time>,
    pub(super) now: Time,
    /// The steps so far: what was asked in a step was asked after what came in it (L3).
    pub(super) moment: u64,
    op_next: u64,
    draw_next: u64,
}

/// A read of ownership records.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Reading {
    pub(super) places: Vec<Place>,
    pub(super) asked: u64,
}

/// One step: what it may know and where its effects go.
pub(super) struct Turn<'a, 'b> {
    pub(super) cx: &'a mut Cx<'b>,
    pub(super) out: &'a mut Effects<Effect>,
}

impl Turn<'_, '_> {
    pub(super) fn order(&mut self, place: Place, order: Order) {
        self.out.push(Effect::Order { place, order });
    }

    pub(super) fn note(&mut self, note: Note) {
        self.out.push(Effect::Note(note));
    }
}

impl Owners {
    /// A machine that knows nothing yet and waits for `Input::Up` and `Input::View`.
    pub fn new(config: OwnersConfig, limits: Limits) -> Self {
        let mut owners = Self {
            config,
            limits,
            up: false,
            view: Arc::default(),
            lease: None,
            draining: false,
            drained: false,
            abandoning: false,
            abandoned: false,
            candidates: BTreeMap::new(),
            claims_from: None,
            moves_from: None,
            hinted: BTreeMap::new(),
            spots: BTreeMap::new(),
            reads: BTreeMap::new(),
            reread_at: Time::ZERO,
            low_since: BTreeMap::new(),
            read_tries: 0,
            table: Arc::default(),
            moved: false,
            stranger: false,
            wake: None,
            now: Time::ZERO,
            moment: 0,
            op_next: 0,
            draw_next: 0,
        };
        owners.add_places();
        owners
    }

    /// Where each shard is, as far as this node knows.
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// How many places this node owns.
    pub fn held_count(&self) -> usize {
        let held = self.spots.values();
        held.filter(|spot| matches!(spot.hold, Hold::Held(_)))
            .count()
    }

    /// How many orders are under way.
    pub fn orders_count(&self) -> usize {
        let spots = self.spots.values();
        spots.filter(|spot| spot.hold.is_under_way()).count()
    }

    /// Has a spot for each shard of each class that is in use.
    fn add_places(&mut self) {
        let peers = self.view.peers.values();
        let theirs = peers.flat_map(|peer| peer.about.classes.iter().copied());
        let classes: BTreeSet<_> = self.config.classes.iter().copied().chain(theirs).collect();
        for class in classes {
            let spots = &mut self.spots;
            let shards = self.config.layout.partitions();
            for shard in shards.flat_map(|stream| self.config.layout.shards_of(stream)) {
                spots.entry(Place { class, shard }).or_default();
            }
        }
    }

    fn on_view(&mut self, t: &mut Turn<'_, '_>, view: Arc<View>) {
        self.doubt_ended(&view);
        self.view = view;
        self.add_places();
        self.count_hints();
        let mine = self.view.peers.get(&self.config.name);
        let member = mine.is_some_and(|peer| peer.incarnation == self.config.incarnation);
        match (member, self.claims_from) {
            (true, None) => self.claims_from = Some(self.settled(t)),
            (false, Some(_)) => (self.claims_from, self.moves_from) = (None, None),
            (true, Some(_)) | (false, None) => {}
        }
        self.count_candidates(t);
    }

    /// Records that name a run which has ended now are read again before they are replaced: one that
    /// left has released what it owned, and its releases may not have been heard of yet. One read for
    /// each stream does for all.
    fn doubt_ended(&mut self, view: &View) {
        let over = |(run, it): (&Incarnation, &Standing)| (*it == Standing::Over).then_some(*run);
        let before = &self.view.lingering;
        let ended = view.lingering.iter().filter_map(over);
        let ended = ended.filter(|run| before.get(run) != Some(&Standing::Over));
        let ended: BTreeSet<Incarnation> = ended.collect();
        if ended.is_empty() {
            return;
        }
        let moment = self.moment;
        for spot in self.spots.values_mut() {
            let named = spot.record.and_then(|record| record.owner);
            if named.is_some_and(|owner| ended.contains(&owner)) {
                spot.doubt(moment);
            }
        }
    }

    /// Since when each run looks gone.
    fn count_hints(&mut self) {
        let peers = self.view.peers.values();
        let peers = peers.map(|peer| (peer.incarnation, peer.standing));
        let lingering = self.view.lingering.iter().map(|(run, it)| (*run, *it));
        let hinted = peers
            .chain(lingering)
            .filter(|(_, it)| *it == Standing::Hinted);
        let (before, moment) = (&self.hinted, self.moment);
        let since = |run| before.get(&run).copied().unwrap_or(moment);
        self.hinted = hinted.map(|(run, _)| (run, since(run))).collect();
    }

    /// Who may own what; a change of it has to settle before anything is moved.
    pub(super) fn count_candidates(&mut self, t: &mut Turn<'_, '_>) {
        let mut candidates = BTreeMap::new();
        let classes: BTreeSet<_> = self.spots.keys().map(|place| place.class).collect();
        for class in classes {
            let members = self
                .view
                .peers
                .iter()
                .filter(|(_, peer)| self.may_own(peer, class));
            let members = members.map(|(name, peer)| (name.clone(), peer.about.weight));
            candidates.insert(class, ShardMap::new(members));
        }
        if candidates == self.candidates {
            return;
        }
        self.candidates = candidates;
        for (place, spot) in &mut self.spots {
            let map = self.candidates.get(&place.class);
            spot.best = map.and_then(|map| map.owner(*place)).cloned();
        }
        if self.claims_from.is_some() {
            self.moves_from = Some(self.settled(t));
        }
    }

    /// When what changed now has settled; nodes that saw the same change do not all act at once.
    fn settled(&mut self, t: &Turn<'_, '_>) -> Time {
        let settle = self.limits.settle;
        let jitter = self.draw(t, Span::from_nanos(settle.as_nanos() / 4));
        t.cx.now + settle + jitter
    }

    /// A span below another.
    pub(super) fn draw(&mut self, t: &Turn<'_, '_>, below: Span) -> Span {
        self.draw_next += 1;
        let draw =
            t.cx.dice
                .below(Purpose::RetryJitter, self.draw_next, below.as_nanos());
        Span::from_nanos(draw)
    }

    /// A wait that doubles with each try up to a limit, half of it drawn.
    pub(super) fn delay(&mut self, t: &Turn<'_, '_>, tries: u32) -> Span {
        let full = self
            .limits
            .retry_delay_min
            .saturating_mul(1 << tries.min(20));
        let half = full.min(self.limits.retry_delay_max).as_nanos() / 2;
        Span::from_nanos(half) + self.draw(t, Span::from_nanos(half + 1))
    }

    pub(super) fn ask(&mut self, t: &mut Turn<'_, '_>, reading: Reading, request: StoreRequest) {
        let op = OpId(self.op_next);
        self.op_next += 1;
        self.reads.insert(op, reading);
        t.out.push(Effect::Store { op, request });
    }

    /// Something that waits is due then.
    pub(super) fn wake_at(&mut self, at: Time) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    fn on_lease(&mut self, t: &mut Turn<'_, '_>, lease: Option<Time>) {
        let (had, now) = (self.lease.is_some(), t.cx.now);
        match lease.filter(|end| now < *end) {
            Some(end) => {
                self.lease = Some(end);
                if !had {
                    // What happened meanwhile is to be seen before anything is taken up again.
                    self.doubt_all();
                }
            }
            None => self.lapse(t),
        }
    }

    /// The node is another run from now on. What the former one owned goes in this step, and nothing is
    /// ordered before a view has the new one (S17).
    fn renew(&mut self, t: &mut Turn<'_, '_>, run: Incarnation) {
        self.lapse(t);
        self.drop_all(t, |_, _| true);
        self.config.incarnation = run;
        (self.claims_from, self.moves_from) = (None, None);
        self.drained = false;
        self.doubt_all();
        self.moved = true;
    }

    /// The lease is over: nothing is owned any more that needs it, in this step (S16, S17). A fenced
    /// shard needs none: its record names this run until another one replaces it, and then no commit
    /// and no barrier of this node passes (S6, S14).
    fn lapse(&mut self, t: &mut Turn<'_, '_>) {
        let had = self.lease.take().is_some();
        let places = self.drop_all(t, |place, hold| {
            place.class == TakeOver::Leased || hold == Hold::Taking
        });
        let kept = self.held_count();
        sometimes!(
            t.cx,
            had && kept > 0,
            "owners: fenced shards stay without a lease"
        );
        if places > 0 {
            reached!(
                t.cx,
                "owners: the lease ended, and what needs it was dropped"
            );
        }
        if places > 0 || (had && kept > 0) {
            t.note(Note::LeaseOver { places });
        }
    }

    /// Drops those of what is held or under way; how much that was.
    fn drop_all(&mut self, t: &mut Turn<'_, '_>, which: fn(&Place, Hold) -> bool) -> usize {
        let mut places = 0;
        for (place, spot) in &mut self.spots {
            match spot.hold {
                Hold::No | Hold::Dropping => continue,
                Hold::Taking | Hold::Held(_) | Hold::Leaving => {}
            }
            if !which(place, spot.hold) {
                continue;
            }
            places += 1;
            spot.hold = Hold::Dropping;
            t.order(*place, Order::Drop);
        }
        self.moved |= places > 0;
        places
    }

    /// What could not be handed over in time is dropped: the lease may be given up only when nothing
    /// acts under it (S16).
    fn abandon(&mut self, t: &mut Turn<'_, '_>) {
        self.draining = true;
        self.abandoning = true;
        self.count_candidates(t);
        let places = self.drop_all(t, |_, _| true);
        sometimes!(t.cx, places > 0, "owners: there was no time to hand over");
    }

    fn on_report(&mut self, t: &mut Turn<'_, '_>, place: Place, report: Report) {
        let me = self.config.incarnation;
        let Some(spot) = self.spots.get_mut(&place) else {
            return t.out.push(Effect::Halt(HaltReason::Broken(
                "a report is of a place that was ordered",
            )));
        };
        self.moved = true;
        match report {
            Report::Owned(epoch) => match spot.hold {
                Hold::Taking | Hold::Held(_) => {
                    if spot.hold == Hold::Taking {
                        spot.taken = t.cx.now;
                        (spot.kept, spot.leave_from) = (0, Time::ZERO);
                    }
                    spot.hold = Hold::Held(epoch);
                    spot.tries = 0;
                    self.meet(place, Record::of(epoch, Some(me)));
                }
                Hold::Leaving => self.meet(place, Record::of(epoch, Some(me))),
                // It was told to drop it before it said so.
                Hold::Dropping => {}
                Hold::No => self.own_unasked(t, place, epoch),
            },
            Report::HandedOver { epoch, to } => {
                spot.hold = Hold::No;
                self.meet(place, Record::of(epoch, Some(to)));
            }
            Report::Kept { epoch } => {
                if spot.hold == Hold::Leaving {
                    reached!(t.cx, "owners: a hand-over is put off");
                    let doubled = 1_u64 << spot.kept.min(20);
                    let after = self.limits.hand_over_patience.saturating_mul(doubled);
                    let after = after.min(self.limits.hand_over_again_max);
                    spot.kept = spot.kept.saturating_add(1);
                    spot.leave_from = t.cx.now + after;
                    spot.hold = Hold::Held(epoch);
                    t.note(Note::Kept { place, after });
                }
            }
            Report::Released { epoch } => {
                spot.hold = Hold::No;
                self.meet(place, Record::of(epoch, None));
            }
            Report::Rival { sequence } => {
                reached!(t.cx, "owners: a claim met another record");
                if spot.record.is_some_and(|known| known.sequence > sequence) {
                    // The one that was known went with a lost tail.
                    spot.record = None;
                }
                self.give_way(t, place);
            }
            Report::Lost { tail, .. } => {
                reached!(t.cx, "owners: an epoch was lost");
                if tail {
                    // What was known of the record may have gone with it.
                    spot.record = None;
                }
                spot.hold = Hold::No;
                let moment = self.moment;
                spot.doubt(moment);
            }
            Report::Failed { cause } => {
                t.note(Note::Failed { place, cause });
                self.give_way(t, place);
            }
        }
    }

    /// A log owns what this machine had nothing of: the answer to an earlier order, a `Drop` perhaps that
    /// came after the hand-over, was taken for that of its claim. What a log says of its epoch is true.
    fn own_unasked(&mut self, t: &mut Turn<'_, '_>, place: Place, epoch: Epoch) {
        reached!(
            t.cx,
            "owners: a claim was stored after it was taken for lost"
        );
        let may = self.lease.is_some() && self.claims_from.is_some() && !self.abandoning;
        let (me, now) = (self.config.incarnation, t.cx.now);
        let Some(spot) = self.spots.get_mut(&place) else {
            return;
        };
        if may {
            (spot.hold, spot.taken, spot.tries) = (Hold::Held(epoch), now, 0);
            self.meet(place, Record::of(epoch, Some(me)));
        } else {
            spot.hold = Hold::Dropping;
            t.order(place, Order::Drop);
        }
    }

    /// An order came to nothing: the record is read again after a wait.
    fn give_way(&mut self, t: &mut Turn<'_, '_>, place: Place) {
        let moment = self.moment;
        let Some(spot) = self.spots.get_mut(&place) else {
            return;
        };
        spot.hold = Hold::No;
        spot.doubt(moment);
        let tries = spot.tries;
        spot.tries = tries.saturating_add(1);
        let again = t.cx.now + self.delay(t, tries);
        if let Some(spot) = self.spots.get_mut(&place) {
            spot.not_before = again;
        }
    }

    /// Every record is to be read anew before anything is ordered.
    fn doubt_all(&mut self) {
        let moment = self.moment;
        for spot in self.spots.values_mut() {
            spot.doubt(moment);
        }
    }

    fn on_stored(&mut self, t: &mut Turn<'_, '_>, op: OpId, reply: StoreReply) {
        match self.reads.remove(&op) {
            Some(reading) => self.on_read(t, reading, reply),
            None => t.out.push(Effect::Halt(HaltReason::UnknownOp(op))),
        }
    }

    fn tell(&mut self, t: &mut Turn<'_, '_>) {
        if core::mem::take(&mut self.stranger) {
            t.out.push(Effect::Look);
        }
        if core::mem::take(&mut self.moved) {
            let rows = self.rows();
            if rows != self.table.rows {
                let revision = self.table.revision + 1;
                self.table = Arc::new(Table { revision, rows });
                t.out.push(Effect::Table(Arc::clone(&self.table)));
            }
        }
        if self.draining && !self.drained && self.is_drained() {
            self.drained = true;
            t.out.push(Effect::Drained);
        }
        if self.abandoning && !self.abandoned && self.holds_nothing() {
            self.abandoned = true;
            t.out.push(Effect::Abandoned);
        }
    }

    fn rows(&self) -> BTreeMap<Place, Row> {
        let me = self.config.incarnation;
        let row = |(place, spot): (&Place, &Spot)| {
            let row = match (spot.hold, spot.record) {
                (Hold::Held(epoch), _) => Row { owner: me, epoch },
                // Actors may take their time to stop: they keep what comes until then, and send it on.
                (Hold::Leaving, Some(record))
                    if place.class == TakeOver::Leased && record.owner == Some(me) =>
                {
                    Row {
                        owner: me,
                        epoch: record.epoch(),
                    }
                }
                (_, Some(record)) => match record.owner {
                    // Named, but not there yet or not any more: callers wait for what comes of it.
                    Some(owner) if owner == me => return None,
                    Some(owner) => Row {
                        owner,
                        epoch: record.epoch(),
                    },
                    None => return None,
                },
                (_, None) => return None,
            };
            Some((*place, row))
        };
        self.spots.iter().filter_map(row).collect()
    }

    fn holds_nothing(&self) -> bool {
        self.spots.values().all(|spot| spot.hold == Hold::No)
    }

    fn is_drained(&self) -> bool {
        let me = self.config.incarnation;
        self.spots.values().all(|spot| {
            let named = spot.record.is_some_and(|record| record.owner == Some(me));
            spot.hold == Hold::No && spot.is_sure() && !named
        })
    }
}

impl Machine for Owners {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, cx: &mut Cx<'_>, input: Input, out: &mut Effects<Effect>) {
        if cx.now < self.now {
            return out.push(Effect::Halt(HaltReason::ClockWentBack));
        }
        self.now = cx.now;
        self.moment += 1;
        let t = &mut Turn { cx, out };
        if self.lease.is_some_and(|end| t.cx.now >= end) {
            self.lapse(t);
        }
        match input {
            Input::Tick => {}
            Input::Up => {
                // Who was there before does not ask at the same moment as everybody else.
                let known = self.spots.values().any(Spot::is_sure);
                let spread = match known {
                    true => Span::from_nanos(self.limits.retry_delay_max.as_nanos() / 4),
                    false => Span::ZERO,
                };
                self.up = true;
                self.reread_at = t.cx.now + self.draw(t, spread);
            }
            Input::Down => self.up = false,
            Input::View(view) => self.on_view(t, view),
            Input::Lease(lease) => self.on_lease(t, lease),
            Input::Heard(heard) => self.on_heard(t, &heard),
            Input::Stored { op, reply } => self.on_stored(t, op, reply),
            Input::Report { place, report } => self.on_report(t, place, report),
            Input::Run(run) => self.renew(t, run),
            Input::Drain => {
                self.draining = true;
                self.count_candidates(t);
            }
            Input::Abandon => self.abandon(t),
        }
        self.wake = None;
        self.read_on(t);
        self.act(t);
        self.tell(t);
    }

    fn next_deadline(&self) -> Option<Deadline> {
        let lease = self.lease.map(|at| Deadline { at, timer: "lease" });
        let wake = self.wake.map(|at| Deadline {
            at,
            timer: "owners",
        });
        Deadline::earliest(lease, wake)
    }
}

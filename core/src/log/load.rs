//! Loading: one proof-carrying read, then the chain of commits that it lists (S11, S12).

use super::entity::{Entity, Held, Moment, Phase, Taking, Why};
use super::listed::Listed;
use super::shard::{Op, Retry, Shard, Turn};
use super::{Damage, FoldError, Note, Refusal, Reply};
use crate::format::{Commit, Ownership, Snapshot, SnapshotRef, WriteMode};
use crate::id::{CommitId, Epoch, OpId, Sequence, Slot, Version};
use crate::port::{Message, Proof, Refused, Source, StoreDone, StoreReply, StoreRequest};
use crate::reached;
use crate::step::{Outcome, Time};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Ordering;

/// A load on its way.
#[derive(Clone, Debug)]
pub(super) struct Load {
    /// The read that will prove the state was sent then.
    pub(super) asked: Moment,
    /// The stream was known to reach this far when it was sent; what was acknowledged since may
    /// be missing from the answer on any stream.
    pub(super) asked_above: Sequence,
    /// The read must take in the stream at least up to here.
    pub(super) at_least: Sequence,
    pub(super) stage: LoadStage,
    pub(super) floor: Floor,
    pub(super) commits: BTreeMap<Sequence, Commit>,
    /// Since when a listed commit is absent wherever it is asked for.
    pub(super) absent_since: Option<Time>,
    /// The last message was read again after an absence.
    pub(super) reread: bool,
    /// The newest snapshot that was found and not looked at.
    pub(super) candidate: Option<SnapshotRef>,
    /// The snapshots that cannot be used, by the last commit that they cover.
    pub(super) broken: BTreeSet<Sequence>,
    /// Since when a snapshot's body is absent wherever it is asked for; all bodies of a load share
    /// one patience.
    pub(super) body_absent_since: Option<Time>,
}

/// How far a load is.
#[derive(Clone, Debug)]
pub(super) enum LoadStage {
    /// The proof-carrying read is to be sent.
    Start,
    /// It is in flight.
    Latest(OpId),
    /// The snapshot's body is to be read.
    BodyWanted(SnapshotRef),
    /// It is being read.
    Body(OpId, SnapshotRef),
    /// Listed commits are being read, or are to be asked for again.
    Chain(Listed),
    /// The host folds.
    Fold(OpId, Box<Folded>),
}

/// What the commits of a load are folded onto.
#[derive(Clone, Debug)]
pub(super) enum Floor {
    Nothing,
    Held(Sequence, Version),
    Snapshot(Box<Snapshot>, SnapshotRef),
}

/// What a load comes to when the host has folded.
#[derive(Clone, Debug)]
pub(super) struct Folded {
    pub(super) held: Held,
    /// The snapshot that they were folded onto.
    pub(super) from: Option<SnapshotRef>,
    /// How many commits were replayed; `None` when the state was held before.
    pub(super) replayed: Option<u32>,
    /// The commits that were folded.
    pub(super) found: Vec<(Sequence, CommitId)>,
}

impl Floor {
    pub(super) fn sequence(&self) -> Sequence {
        match self {
            Self::Nothing => Sequence::NONE,
            Self::Held(sequence, _) => *sequence,
            Self::Snapshot(snapshot, _) => snapshot.sequence,
        }
    }
}

impl Load {
    pub(super) fn new(moment: Moment, at_least: Sequence) -> Self {
        Self {
            asked: moment,
            asked_above: Sequence::NONE,
            at_least,
            stage: LoadStage::Start,
            floor: Floor::Nothing,
            commits: BTreeMap::new(),
            absent_since: None,
            reread: false,
            candidate: None,
            broken: BTreeSet::new(),
            body_absent_since: None,
        }
    }

    /// The same load from its begin, with what it knows of snapshots.
    pub(super) fn anew(&mut self, moment: Moment) {
        let broken = core::mem::take(&mut self.broken);
        *self = Self {
            broken,
            body_absent_since: self.body_absent_since,
            ..Self::new(moment, self.at_least)
        };
    }

    /// Operations whose answers would come to this load.
    pub(super) fn operations(&self) -> Vec<OpId> {
        match &self.stage {
            LoadStage::Start | LoadStage::BodyWanted(_) => Vec::new(),
            LoadStage::Latest(op) | LoadStage::Body(op, _) | LoadStage::Fold(op, _) => vec![*op],
            LoadStage::Chain(listed) => listed.operations().collect(),
        }
    }
}

impl Shard {
    /// Reads an entity's log, at least up to a sequence.
    pub(super) fn load(&mut self, t: &mut Turn<'_, '_>, slot: Slot, why: Why, at_least: Sequence) {
        let load = Load::new(self.moment, at_least);
        self.entity(slot).phase = Phase::Load(load.into(), why);
        self.load_on(t, slot);
    }

    /// Does what a load has to do next, if anything may be sent.
    pub(super) fn load_on(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        if !self.may_read() {
            self.parked.insert(slot);
            return;
        }
        let stream = self.names.stream.clone();
        let subjects = vec![
            self.names.proof(self.config.mode),
            self.entity(slot).subject.clone(),
        ];
        let snapshots = self.names.snapshots.clone();
        let Phase::Load(load, _) = &self.entity(slot).phase else {
            return;
        };
        match &load.stage {
            LoadStage::Start => {
                let request = StoreRequest::Latest { stream, subjects };
                let op = self.ask(t, Op::Latest(slot), request);
                let (moment, high_water, lost) = (self.moment, self.high_water, self.lost);
                let needs = self.entity(slot).needs(lost);
                let load = self.loading(slot);
                load.asked = moment;
                load.at_least = load.at_least.max(needs);
                load.asked_above = high_water;
                load.stage = LoadStage::Latest(op);
            }
            LoadStage::BodyWanted(named) => {
                let named = *named;
                let subject = self.snapshot_subject(slot, &named);
                let request = StoreRequest::Latest {
                    stream: snapshots,
                    subjects: vec![subject],
                };
                let op = self.ask(t, Op::Body(slot), request);
                self.loading(slot).stage = LoadStage::Body(op, named);
            }
            LoadStage::Chain(listed) => {
                let again = listed.to_ask();
                let source = match load.absent_since {
                    None => Source::Replica,
                    Some(_) => Source::Leader,
                };
                for sequence in again {
                    self.fetch(t, slot, sequence, source);
                }
            }
            LoadStage::Latest(_) | LoadStage::Body(..) | LoadStage::Fold(..) => {}
        }
    }

    pub(super) fn fetch(
        &mut self,
        t: &mut Turn<'_, '_>,
        slot: Slot,
        sequence: Sequence,
        source: Source,
    ) {
        let stream = self.names.stream.clone();
        let op = self.ask(
            t,
            Op::Get(slot),
            StoreRequest::Get {
                stream,
                sequence,
                source,
            },
        );
        match &mut self.loading(slot).stage {
            LoadStage::Chain(listed) => listed.ask(op, sequence),
            stage @ (LoadStage::Start
            | LoadStage::Latest(_)
            | LoadStage::BodyWanted(_)
            | LoadStage::Body(..)
            | LoadStage::Fold(..)) => {
                let mut listed = Listed::default();
                listed.ask(op, sequence);
                *stage = LoadStage::Chain(listed);
            }
        }
    }

    /// The answer to the proof-carrying read.
    pub(super) fn on_latest(&mut self, t: &mut Turn<'_, '_>, slot: Slot, reply: StoreReply) {
        self.loading(slot).stage = LoadStage::Start;
        match reply {
            Outcome::Done(StoreDone::Latest(proof)) => self.on_proof(t, slot, proof),
            Outcome::Done(_) => t.halt("the answer to a read of last messages is another kind"),
            Outcome::Refused(Refused::NotFound) => {
                // Not even the anchor or the ownership record: a replica that knows nothing yet,
                // or a stream that lost everything.
                reached!(t.cx, "load: the proof itself is absent");
                let known = self.loading(slot).asked_above;
                self.look_low(t, Sequence::NONE, known);
                self.load_again(t, slot);
            }
            Outcome::Refused(refused) if refused.passes() => self.load_again(t, slot),
            Outcome::Refused(refused) => self.load_failed(t, slot, Refusal::Store(refused)),
            Outcome::Unknown => self.load_again(t, slot),
        }
    }

    fn on_proof(&mut self, t: &mut Turn<'_, '_>, slot: Slot, proof: Proof) {
        if !self.proves(t, slot, &proof) {
            return self.load_again(t, slot);
        }
        self.low_since = None;
        let subject = self.entity(slot).subject.clone();
        let last = proof
            .messages
            .into_iter()
            .find(|message| message.subject == subject);
        match last {
            None => self.on_absent_entity(t, slot, proof.up_to),
            Some(message) => self.on_head(t, slot, message, proof.up_to),
        }
    }

    /// Whether a read takes in everything that it must (S11).
    fn proves(&mut self, t: &mut Turn<'_, '_>, slot: Slot, proof: &Proof) -> bool {
        if let Some(epoch) = self.epoch() {
            let own = proof
                .messages
                .iter()
                .find(|message| message.subject == self.names.own);
            let mine = own.is_some_and(|message| {
                message.sequence == epoch.sequence
                    && Ownership::decode(&message.payload).is_ok_and(|o| o.claim == epoch.claim)
            });
            if !mine {
                let at = own.map_or(Sequence::NONE, |message| message.sequence);
                self.not_mine(t, slot, at, epoch);
                return false;
            }
        }
        let needed = self.high_water.max(self.loading(slot).at_least);
        if proof.up_to < needed {
            reached!(t.cx, "load: the answer is older than what is known");
            let load = self.loading(slot);
            let known = load.asked_above.max(load.at_least);
            self.look_low(t, proof.up_to, known);
            return false;
        }
        true
    }

    /// The ownership record in an answer is not mine, but another one.
    fn not_mine(&mut self, t: &mut Turn<'_, '_>, slot: Slot, at: Sequence, epoch: Epoch) {
        let known = self.loading(slot).asked_above;
        match at.cmp(&epoch.sequence) {
            Ordering::Greater => {
                // A later claim, as it seems: the CAS of a seal tells for sure.
                reached!(t.cx, "load: the answer has a later ownership record");
                self.seal(t);
            }
            Ordering::Equal => {
                // My claim was lost with the tail, and its sequence was given to another one: that
                // fence lets both of us pass, so this node must not commit any more (K3).
                reached!(t.cx, "load: another claim has my sequence");
                self.lost_tail(t, at);
            }
            // Asked before my claim was acknowledged, an answer may well lack it.
            Ordering::Less if known < epoch.sequence => {}
            Ordering::Less => {
                reached!(t.cx, "load: the answer lacks my ownership record");
                self.look_low(t, at, known);
            }
        }
    }

    fn on_absent_entity(&mut self, t: &mut Turn<'_, '_>, slot: Slot, up_to: Sequence) {
        let held = self.entity(slot).held.as_ref().map(|held| held.sequence);
        match held {
            // The host needs a state to decide on, so an absent entity is folded too.
            None => self.fold(t, slot),
            Some(Sequence::NONE) => self.loaded(t, slot, None),
            Some(_) => {
                // Nothing of it is left, though the stream is not shorter: a lost tail that others
                // have grown over.
                reached!(t.cx, "load: all commits of an entity vanished");
                self.lost_tail(t, up_to);
            }
        }
    }

    fn on_head(&mut self, t: &mut Turn<'_, '_>, slot: Slot, message: Message, up_to: Sequence) {
        let sequence = message.sequence;
        let commit = match self.commit_of(slot, &message) {
            Ok(commit) => commit,
            Err(what) => return self.damaged(t, slot, sequence, what),
        };
        let held = self.entity(slot).held.as_ref();
        let held = held.map(|held| (held.sequence, held.version, held.commit));
        if let Some((held_at, version, held_commit)) = held {
            let same = held_commit.is_none_or(|id| id == commit.id);
            if sequence == held_at && same {
                return self.loaded(t, slot, None);
            }
            if sequence <= held_at {
                // A subject's last message never goes back: the stream lost its tail and grew again.
                reached!(t.cx, "load: an entity went back");
                return self.lost_tail(t, up_to);
            }
            if held_at.is_some() {
                self.loading(slot).floor = Floor::Held(held_at, version);
                if !self.is_checked(slot) {
                    // It must be the same commit that is there now.
                    self.fetch(t, slot, held_at, Source::Replica);
                }
            }
        }
        let named = commit.snapshot.filter(|_| !commit.tombstone);
        self.loading(slot).commits.insert(sequence, commit);
        match named {
            Some(named) if self.may_begin_at(slot, &named) => {
                self.loading(slot).stage = LoadStage::BodyWanted(named);
                self.load_on(t, slot);
            }
            Some(_) | None => self.expand(t, slot, sequence),
        }
    }

    /// The host folded.
    pub(super) fn on_folded(
        &mut self,
        t: &mut Turn<'_, '_>,
        slot: Slot,
        folded: Result<(), FoldError>,
    ) {
        let stage = core::mem::replace(&mut self.loading(slot).stage, LoadStage::Start);
        let LoadStage::Fold(_, outcome) = stage else {
            return t.halt("the host folded without being asked to");
        };
        let Folded {
            held,
            from,
            replayed,
            found,
        } = *outcome;
        match (folded, from) {
            (Ok(()), None) => {}
            (Ok(()), Some(_)) => {
                let entity = self.entity(slot).id.clone();
                t.note(Note::SnapshotUsed { entity });
            }
            (Err(FoldError::Snapshot { cause }), Some(from)) => {
                self.ignore_snapshot(t, slot, from, cause);
                let moment = self.moment;
                self.loading(slot).anew(moment);
                return self.load_on(t, slot);
            }
            (Err(error), _) => return self.load_failed(t, slot, Refusal::Fold(error)),
        }
        let last = held.sequence;
        let policy = self.kind_of(slot).snapshots;
        let unnamed = self.unnamed_body(slot);
        let entity = self.entity(slot);
        entity.held = Some(held);
        entity.replayed |= policy
            .replayed()
            .is_some_and(|most| replayed.is_some_and(|count| count > most));
        if let Some(body) = unnamed {
            entity.snapshot = Taking::Stored(body);
        }
        self.keep_body(slot);
        self.raise_high_water(last);
        self.loaded(t, slot, Some(found));
    }

    /// The state is what the log said; `found` are the commits that are new in it.
    fn loaded(
        &mut self,
        t: &mut Turn<'_, '_>,
        slot: Slot,
        found: Option<Vec<(Sequence, CommitId)>>,
    ) {
        let mode = self.config.mode;
        let entity = self.entity(slot);
        entity.tries = 0;
        let Phase::Load(load, why) = core::mem::replace(&mut entity.phase, Phase::Idle) else {
            return t.halt("a load ended that had not begun");
        };
        if let Some(held) = &mut entity.held {
            held.checked = held.checked.max(load.asked);
            if mode == WriteMode::Direct {
                held.confirmed = held.confirmed.max(load.asked);
            }
        }
        match why {
            Why::Open => self.next(t, slot),
            Why::Confirm(members) if found.is_none() => {
                self.release(t, members, Sequence::NONE);
                self.next(t, slot);
            }
            Why::Confirm(members) => {
                reached!(
                    t.cx,
                    "direct: a reply that stored nothing was decided from old state"
                );
                self.decide_again(t, slot, members);
            }
            Why::Look(draft) => self.looked(t, slot, draft, &found.unwrap_or_default()),
        }
    }

    /// The same load again after a wait.
    pub(super) fn load_again(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        if self.parked.contains(&slot) {
            return;
        }
        let for_nobody = self.is_load_for_nobody(t.cx.now, slot);
        match &self.entity(slot).phase {
            // A lost tail was found, and the entity has begun anew.
            Phase::Load(load, _) if matches!(load.stage, LoadStage::Latest(_)) => {}
            Phase::Load(..) if for_nobody => self.leave_load(t, slot),
            Phase::Load(..) => self.back_off(t, slot),
            Phase::Idle
            | Phase::Decide { .. }
            | Phase::Commit(..)
            | Phase::Barrier(_)
            | Phase::Answer { .. }
            | Phase::Encode => {}
        }
    }

    /// A load for which nobody waits any more goes on while the store is at it, since the next caller
    /// will want it; it does not wait for the link or for its next try. Else entities that nobody
    /// wants would pile up while the store is silent.
    pub(super) fn leave_idle_load(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        let flying = match &self.entity(slot).phase {
            Phase::Load(load, _) => !load.operations().is_empty(),
            Phase::Idle
            | Phase::Decide { .. }
            | Phase::Commit(..)
            | Phase::Barrier(_)
            | Phase::Answer { .. }
            | Phase::Encode => false,
        };
        if self.is_load_for_nobody(t.cx.now, slot) && !flying {
            self.leave_load(t, slot);
        }
    }

    /// While the stream looks shorter than it was somebody has to look on: whether its tail is lost
    /// is everybody's business (S13). And while a snapshot's body is waited for the load goes on,
    /// which is soon over: else callers with less patience than that would never see the entity.
    fn is_load_for_nobody(&mut self, now: Time, slot: Slot) -> bool {
        let patience = self.limits.snapshot_patience;
        let low = self.low_since.is_some();
        let entity = self.entity(slot);
        let waits = match &entity.phase {
            Phase::Load(load, _) => load.body_absent_since.is_some_and(|since| {
                matches!(load.stage, LoadStage::BodyWanted(_)) && now.since(since) < patience
            }),
            Phase::Idle
            | Phase::Decide { .. }
            | Phase::Commit(..)
            | Phase::Barrier(_)
            | Phase::Answer { .. }
            | Phase::Encode => false,
        };
        !low && !waits && entity.is_load_for_nobody()
    }

    fn leave_load(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        reached!(t.cx, "load: nobody waits for it any more");
        for op in self.loading(slot).operations() {
            self.ops.insert(op, Op::Abandoned);
        }
        // A repetition that is due still finds nothing to do.
        self.parked.remove(&slot);
        let entity = self.entity(slot);
        entity.phase = Phase::Idle;
        entity.tries = 0;
        self.rest(slot);
    }

    /// Nobody who waits can be served.
    pub(super) fn load_failed(&mut self, t: &mut Turn<'_, '_>, slot: Slot, refusal: Refusal) {
        self.abandon_load(slot);
        self.forget_held(slot);
        let entity = self.entity(slot);
        entity.tries = 0;
        let phase = core::mem::replace(&mut entity.phase, Phase::Idle);
        let queue = core::mem::take(&mut entity.queue);
        if let Phase::Load(_, why) = phase {
            match why {
                Why::Open => {}
                Why::Confirm(members) => {
                    for member in members {
                        t.reply(self, member.command.ticket, Reply::Refused(refusal.clone()));
                    }
                }
                Why::Look(draft) if draft.doubt => self.give_up(t, draft),
                // It was surely refused: nothing happened.
                Why::Look(draft) => self.refuse(t, draft.members, &refusal),
            }
        }
        for caller in queue {
            t.reply(self, caller.ticket(), Reply::Refused(refusal.clone()));
        }
        self.rest(slot);
    }

    pub(super) fn damaged(
        &mut self,
        t: &mut Turn<'_, '_>,
        slot: Slot,
        sequence: Sequence,
        what: String,
    ) {
        reached!(t.cx, "load: the log is damaged");
        let stream = self.names.stream.clone().into();
        self.load_failed(
            t,
            slot,
            Refusal::Damaged(Damage {
                stream,
                sequence,
                what,
            }),
        );
    }

    /// The commit in a message, if it is one of this entity.
    pub(super) fn commit_of(&mut self, slot: Slot, message: &Message) -> Result<Commit, String> {
        let layout = self.config.layout;
        let kind = self.kind_of(slot).record.id;
        let entity: &Entity = self.entity(slot);
        if message.subject != entity.subject {
            return Err(format!("it is on subject {:?}", message.subject));
        }
        let commit = Commit::decode(&message.payload).map_err(|error| error.to_string())?;
        if commit.entity != entity.id {
            return Err(format!("it is a commit of entity {:?}", commit.entity));
        }
        if commit.layout != layout {
            return Err(format!(
                "it was written under layout {}, not {layout}",
                commit.layout
            ));
        }
        if commit.kind != kind {
            return Err(format!(
                "it was written under kind record {}, not {kind}",
                commit.kind
            ));
        }
        let named = commit.snapshot.map(|named| named.sequence);
        let latest = commit.earlier.first().copied().max(named);
        if latest.is_some_and(|sequence| sequence >= message.sequence) {
            return Err("it lists a commit that is not before it".to_string());
        }
        Ok(commit)
    }

    /// Answers to a load's operations are of no use any more.
    pub(super) fn abandon_load(&mut self, slot: Slot) {
        let Phase::Load(load, _) = &self.entity(slot).phase else {
            return;
        };
        for op in load.operations() {
            self.ops.insert(op, Op::Abandoned);
        }
        self.parked.remove(&slot);
        self.retries
            .retain(|(_, retry)| *retry != Retry::Entity(slot));
    }

    pub(super) fn loading(&mut self, slot: Slot) -> &mut Load {
        match &mut self.entity(slot).phase {
            Phase::Load(load, _) => load,
            Phase::Idle
            | Phase::Decide { .. }
            | Phase::Commit(..)
            | Phase::Barrier(_)
            | Phase::Answer { .. }
            | Phase::Encode => panic!("an entity that is not loading has no load"),
        }
    }
}

//! Loading: one proof-carrying read, then the chain of commits that it lists (S11, S12).

use super::entity::{Entity, Held, Moment, Phase, Why};
use super::listed::Listed;
use super::shard::{Op, Shard, Turn};
use crate::format::{Commit, Snapshot, SnapshotRef};
use crate::id::{CommitId, OpId, Sequence, Slot, Version};
use crate::port::{Message, Source, StoreRequest};
use crate::step::Time;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

/// A load on its way.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
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
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
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
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Floor {
    Nothing,
    Held(Sequence, Version),
    Snapshot(Box<Snapshot>, SnapshotRef),
}

/// What a load comes to when the host has folded.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
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

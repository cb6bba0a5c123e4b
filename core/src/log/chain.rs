//! The chain of a load: the snapshot's body, then the commits that are listed (S12, S20).

use super::entity::{Held, predecessor};
use super::load::{Floor, Folded, Load, LoadStage};
use super::shard::{Op, Shard, Turn};
use super::{Base, Note, Refusal, StoredCommit, Work};
use crate::format::{Commit, Snapshot, SnapshotRef};
use crate::id::{OpId, Sequence, Slot, Version};
use crate::port::{Message, Refused, Source, StoreDone, StoreReply};
use crate::step::Outcome;
use crate::{reached, sometimes};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

impl Shard {
    /// The answer to the read of a snapshot's body.
    pub(super) fn on_body(&mut self, t: &mut Turn<'_, '_>, slot: Slot, reply: StoreReply) {
        let LoadStage::Body(_, named) = self.loading(slot).stage else {
            return t.halt("a snapshot's body came without being asked for");
        };
        let load = self.loading(slot);
        load.stage = LoadStage::BodyWanted(named);
        let usable = match reply {
            Outcome::Done(StoreDone::Latest(proof)) => match proof.messages.into_iter().next() {
                Some(message) => self.snapshot_of(slot, &named, &message),
                None => Err("its body is absent".to_string()),
            },
            Outcome::Done(_) => {
                return t.halt("the answer to a read of last messages is another kind");
            }
            Outcome::Refused(Refused::NotFound) => Err("its body is absent".to_string()),
            Outcome::Refused(refused) if refused.passes() => return self.load_again(t, slot),
            Outcome::Refused(refused) => Err(format!("its body cannot be read: {refused:?}")),
            Outcome::Unknown => return self.load_again(t, slot),
        };
        match usable {
            Ok(snapshot) => {
                reached!(t.cx, "load: from a snapshot");
                self.loading(slot).floor = Floor::Snapshot(snapshot.into(), named);
            }
            Err(cause) => self.ignore_snapshot(t, slot, cause),
        }
        let head = self.loading(slot).commits.keys().next_back().copied();
        self.expand(t, slot, head.unwrap_or(Sequence::NONE));
    }

    pub(super) fn ignore_snapshot(&mut self, t: &mut Turn<'_, '_>, slot: Slot, cause: String) {
        reached!(t.cx, "load: a snapshot is ignored");
        let entity = self.entity(slot).id.clone();
        t.note(Note::SnapshotIgnored { entity, cause });
        self.loading(slot).snapshot_ignored = true;
    }

    fn snapshot_of(
        &mut self,
        slot: Slot,
        named: &SnapshotRef,
        message: &Message,
    ) -> Result<Snapshot, String> {
        if self.config.key.hash(&message.payload) != named.hash {
            return Err("its body is not the one that the commit names".to_string());
        }
        let snapshot = Snapshot::decode(&message.payload).map_err(|error| error.to_string())?;
        let entity = &self.entity(slot).id.clone();
        let kind = self.kind_of(slot).clone();
        if snapshot.schema != kind.snapshot_schema {
            let (found, known) = (snapshot.schema, kind.snapshot_schema);
            return Err(format!(
                "its state has schema {found}, this build has {known}"
            ));
        }
        let fits = snapshot.entity == *entity
            && snapshot.kind == kind.record.id
            && snapshot.layout == self.config.layout
            && snapshot.version == named.version
            && snapshot.sequence == named.sequence;
        if fits {
            Ok(snapshot)
        } else {
            Err("its body is of another entity or version".into())
        }
    }

    /// Asks for what a commit lists and is not known yet; folds when nothing is missing.
    pub(super) fn expand(&mut self, t: &mut Turn<'_, '_>, slot: Slot, sequence: Sequence) {
        let load = self.loading(slot);
        let floor = load.floor.sequence();
        let Some(commit) = load.commits.get(&sequence) else {
            return;
        };
        let mut listed = Vec::new();
        if !commit.tombstone {
            listed.extend(commit.earlier.iter().copied());
            listed.extend(commit.snapshot.map(|named| named.sequence));
        }
        let missing: BTreeSet<_> = {
            let known = |s: &Sequence| {
                load.commits.contains_key(s)
                    || match &load.stage {
                        LoadStage::Chain { open, again } => {
                            again.contains(s) || open.values().any(|o| o == s)
                        }
                        LoadStage::Start
                        | LoadStage::Latest(_)
                        | LoadStage::BodyWanted(_)
                        | LoadStage::Body(..)
                        | LoadStage::Fold(..) => false,
                    }
            };
            listed
                .into_iter()
                .filter(|s| *s > floor && !known(s))
                .collect()
        };
        if !matches!(load.stage, LoadStage::Chain { .. }) {
            load.stage = LoadStage::Chain {
                open: BTreeMap::new(),
                again: BTreeSet::new(),
            };
        }
        for sequence in missing {
            self.fetch(t, slot, sequence, Source::Replica);
        }
        self.fold_if_whole(t, slot);
    }

    /// The answer to the read of one listed commit.
    pub(super) fn on_get(&mut self, t: &mut Turn<'_, '_>, slot: Slot, op: OpId, reply: StoreReply) {
        let LoadStage::Chain { open, again } = &mut self.loading(slot).stage else {
            return t.halt("a listed commit came without being asked for");
        };
        let Some(sequence) = open.remove(&op) else {
            return t.halt("a listed commit came without being asked for");
        };
        match reply {
            Outcome::Done(StoreDone::Message(message)) => {
                let fits = message.sequence == sequence;
                match self.commit_of(slot, &message) {
                    Ok(commit) if fits => {
                        self.loading(slot).commits.insert(sequence, commit);
                        self.expand(t, slot, sequence);
                    }
                    Ok(_) => t.halt("a read by sequence brought another sequence"),
                    Err(_) if self.is_floor(slot, sequence) => self.replaced(t, slot),
                    Err(what) => self.damaged(t, slot, sequence, what),
                }
            }
            Outcome::Done(_) => t.halt("the answer to a read by sequence is another kind"),
            Outcome::Refused(Refused::NotFound) => {
                again.insert(sequence);
                self.on_absent_commit(t, slot, sequence);
            }
            Outcome::Refused(refused) if refused.passes() => {
                again.insert(sequence);
                self.load_again(t, slot);
            }
            Outcome::Refused(refused) => self.load_failed(t, slot, Refusal::Store(refused)),
            Outcome::Unknown => {
                again.insert(sequence);
                self.load_again(t, slot);
            }
        }
    }

    /// A listed commit is absent where it was asked for: elsewhere, then the last message once
    /// more, then it is damage (S12).
    fn on_absent_commit(&mut self, t: &mut Turn<'_, '_>, slot: Slot, sequence: Sequence) {
        let now = t.cx.now;
        let patience = self.limits.absent_patience;
        let load = self.loading(slot);
        let since = *load.absent_since.get_or_insert(now);
        sometimes!(
            t.cx,
            load.reread,
            "load: the last message was read again after an absence"
        );
        if now.since(since) < patience {
            reached!(
                t.cx,
                "load: a listed commit is absent where it was asked for"
            );
            return self.load_again(t, slot);
        }
        if self.is_floor(slot, sequence) {
            return self.replaced(t, slot);
        }
        let load = self.loading(slot);
        if load.reread {
            return self.damaged(t, slot, sequence, "a listed commit is absent".to_string());
        }
        self.abandon_load(slot);
        let at_least = self.loading(slot).at_least;
        let mut fresh = Load::new(self.moment, at_least);
        fresh.reread = true;
        *self.loading(slot) = fresh;
        self.load_on(t, slot);
    }

    fn fold_if_whole(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        let moment = self.moment;
        let load = self.loading(slot);
        let LoadStage::Chain { open, again } = &load.stage else {
            return;
        };
        if !open.is_empty() || !again.is_empty() {
            return;
        }
        if let Floor::Held(at, version) = load.floor
            && let Some(now) = load.commits.remove(&at)
        {
            let held = self.entity(slot).held.as_ref();
            let same = match held.and_then(|held| held.commit) {
                Some(id) => id == now.id,
                None => version == now.last,
            };
            if !same {
                return self.replaced(t, slot);
            }
        }
        let load = self.loading(slot);
        if let Err(broken) = whole(&load.floor, &load.commits) {
            match load.floor {
                Floor::Nothing => {
                    let what = "the commit does not follow the one before it".to_string();
                    return self.damaged(t, slot, broken, what);
                }
                // What was acknowledged does not lead to the last message.
                Floor::Held(..) => return self.replaced(t, slot),
                Floor::Snapshot(..) => {}
            }
            // The snapshot does not lead to the last message: start over from the log alone.
            let load = self.loading(slot);
            reached!(t.cx, "load: starts over without the snapshot");
            let restart = Load {
                snapshot_ignored: true,
                ..Load::new(moment, load.at_least)
            };
            *self.loading(slot) = restart;
            self.forget_held(slot);
            return self.load_on(t, slot);
        }
        self.fold(t, slot);
    }

    /// Whether a sequence is that of the last commit that is held.
    fn is_floor(&mut self, slot: Slot, sequence: Sequence) -> bool {
        matches!(self.loading(slot).floor, Floor::Held(at, _) if at == sequence)
    }

    /// Another message, or none, is where the last commit was that is held.
    fn replaced(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        reached!(t.cx, "load: another commit is where one was");
        let head = self.loading(slot).commits.keys().next_back().copied();
        self.lost_tail(t, head.unwrap_or(Sequence::NONE));
    }

    /// Lets the host fold what was read.
    pub(super) fn fold(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        let limits = self.limits;
        let load = self.loading(slot);
        let commits = core::mem::take(&mut load.commits);
        let floor = core::mem::replace(&mut load.floor, Floor::Nothing);
        let entity = self.entity(slot);
        let (kind, id) = (entity.kind, entity.id.clone());
        let (base, mut held) = match floor {
            Floor::Nothing => (Base::Nothing, Held::default()),
            Floor::Held(..) => (Base::Held, entity.held.clone().unwrap_or_default()),
            Floor::Snapshot(snapshot, named) => {
                let held = Held::of_snapshot(&snapshot, named);
                (Base::Snapshot(*snapshot), held)
            }
        };
        let stored = |(sequence, commit)| StoredCommit { sequence, commit };
        let commits: Vec<_> = commits.into_iter().map(stored).collect();
        for stored in &commits {
            held.absorb(stored, &limits);
        }
        let found = commits
            .iter()
            .map(|stored| (stored.sequence, stored.commit.id))
            .collect();
        let work = Work::Fold {
            slot,
            kind,
            entity: id,
            base,
            commits,
        };
        let op = self.run(t, Op::Fold(slot), work);
        self.loading(slot).stage = LoadStage::Fold(op, Folded { held, found }.into());
    }
}

/// Whether commits follow one another from the floor on; the sequence of the first that does not.
fn whole(floor: &Floor, commits: &BTreeMap<Sequence, Commit>) -> Result<(), Sequence> {
    let mut before = match floor {
        Floor::Nothing => (Sequence::NONE, Version::ABSENT),
        Floor::Held(sequence, version) => (*sequence, *version),
        Floor::Snapshot(snapshot, _) => (snapshot.sequence, snapshot.version),
    };
    for (sequence, commit) in commits {
        if !commit.tombstone && (predecessor(commit), commit.before) != before {
            return Err(*sequence);
        }
        before = (*sequence, commit.last);
    }
    Ok(())
}

//! The chain of a load: the snapshot's body, then the commits that are listed (S12, S20).

use super::body::Wanted;
use super::entity::{Held, Phase, Why};
use super::listed::Listed;
use super::load::{Floor, Folded, LoadStage};
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
use alloc::sync::Arc;
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
                None if self.may_lag(t, slot) => return self.load_again(t, slot),
                None => Err("its body is absent".to_string()),
            },
            Outcome::Done(_) => {
                return t.halt("the answer to a read of last messages is another kind");
            }
            Outcome::Refused(Refused::NotFound) if self.may_lag(t, slot) => {
                return self.load_again(t, slot);
            }
            Outcome::Refused(Refused::NotFound) => Err("its body is absent".to_string()),
            Outcome::Refused(refused) if refused.passes() => {
                reached!(t.cx, "load: a body was refused for now");
                return self.load_again(t, slot);
            }
            Outcome::Refused(refused) => {
                reached!(t.cx, "load: a body was refused for good");
                Err(format!("its body cannot be read: {refused:?}"))
            }
            Outcome::Unknown => {
                reached!(t.cx, "load: a body is not answered");
                return self.load_again(t, slot);
            }
        };
        match usable {
            Ok(snapshot) => {
                reached!(t.cx, "load: from a snapshot");
                let load = self.loading(slot);
                sometimes!(
                    t.cx,
                    !load.broken.is_empty(),
                    "load: from an older snapshot than the newest"
                );
                sometimes!(
                    t.cx,
                    load.body_absent_since.is_some() && load.broken.is_empty(),
                    "load: a body was absent only where it was asked for first"
                );
                load.commits = load.commits.split_off(&Sequence(named.sequence.0 + 1));
                load.floor = Floor::Snapshot(snapshot.into(), named);
            }
            Err(cause) => self.ignore_snapshot(t, slot, named, cause),
        }
        self.expand_all(t, slot);
    }

    /// Whether a body that is absent may be there all the same: a replica of the snapshots' stream
    /// may lag, for a while. Where bodies expire an absent one is nothing to wait for.
    fn may_lag(&mut self, t: &mut Turn<'_, '_>, slot: Slot) -> bool {
        if !self.shape.replicated || self.kind_of(slot).snapshots.expiry().is_some() {
            return false;
        }
        let (now, patience) = (t.cx.now, self.limits.snapshot_patience);
        let since = *self.loading(slot).body_absent_since.get_or_insert(now);
        let may = now.since(since) < patience;
        if may {
            reached!(t.cx, "load: a body is absent where it was asked for");
        }
        may
    }

    /// A snapshot cannot be used: the one before it is tried, if it is kept, else the entity is
    /// replayed.
    pub(super) fn ignore_snapshot(
        &mut self,
        t: &mut Turn<'_, '_>,
        slot: Slot,
        named: SnapshotRef,
        cause: String,
    ) {
        reached!(t.cx, "load: a snapshot is ignored");
        let entity = self.entity(slot).id.clone();
        t.note(Note::SnapshotIgnored { entity, cause });
        self.loading(slot).broken.insert(named.sequence);
    }

    /// Whether a load may begin at a snapshot that a commit names.
    pub(super) fn may_begin_at(&mut self, slot: Slot, named: &SnapshotRef) -> bool {
        let kept = self.kind_of(slot).snapshots.kept();
        // Whoever looks for a commit must see every one since then; a snapshot hides some (S9).
        let looking = matches!(self.entity(slot).phase, Phase::Load(_, Why::Look(_)));
        let load = self.loading(slot);
        matches!(load.floor, Floor::Nothing)
            && !looking
            && load.broken.len() < kept
            && !load.broken.contains(&named.sequence)
    }

    fn snapshot_of(
        &mut self,
        slot: Slot,
        named: &SnapshotRef,
        message: &Message,
    ) -> Result<Snapshot, String> {
        let (layout, key) = (self.config.layout, self.config.key);
        let kind = self.kind_of(slot);
        let (kind, schema) = (kind.record.id, kind.snapshot_schema);
        let wanted = Wanted {
            layout,
            key,
            kind,
            entity: &self.entity(slot).id,
            schema,
        };
        wanted.open(named, &message.payload)
    }

    /// Asks for what all commits list, with what is known of snapshots now.
    fn expand_all(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        let load = self.loading(slot);
        load.candidate = None;
        let commits: Vec<_> = load.commits.keys().rev().copied().collect();
        for sequence in &commits {
            self.ask_listed(t, slot, *sequence);
        }
        self.fold_if_whole(t, slot);
    }

    /// Asks for what a commit lists and is not known yet; folds when nothing is missing.
    pub(super) fn expand(&mut self, t: &mut Turn<'_, '_>, slot: Slot, sequence: Sequence) {
        if self.passes_over_held(slot, sequence) {
            return self.replaced(t, slot);
        }
        self.ask_listed(t, slot, sequence);
        self.fold_if_whole(t, slot);
    }

    /// Whether a commit leads to what is before the last one that is held, and not to that one: the log has it
    /// no more, and nobody needs to wait for it.
    fn passes_over_held(&mut self, slot: Slot, sequence: Sequence) -> bool {
        let load = self.loading(slot);
        let Floor::Held(at, _) = load.floor else {
            return false;
        };
        let commit = load.commits.get(&sequence);
        commit.is_some_and(|commit| {
            let covered = commit.snapshot.map_or(Sequence::NONE, |it| it.sequence);
            let goes_back = commit.earlier.last().is_none_or(|oldest| *oldest < at);
            sequence > at
                && !commit.tombstone
                && covered < at
                && goes_back
                && !commit.earlier.contains(&at)
        })
    }

    fn ask_listed(&mut self, t: &mut Turn<'_, '_>, slot: Slot, sequence: Sequence) {
        let named = self.loading(slot).commits.get(&sequence);
        let named = named.filter(|commit| !commit.tombstone);
        let named = named.and_then(|commit| commit.snapshot);
        let begin = named.filter(|named| self.may_begin_at(slot, named));
        let load = self.loading(slot);
        if let Some(begin) = begin {
            let newer = |other: &SnapshotRef| other.sequence > begin.sequence;
            load.candidate = load.candidate.filter(newer).or(Some(begin));
        }
        let covered = load
            .candidate
            .map_or(Sequence::NONE, |named| named.sequence);
        let floor = load.floor.sequence().max(covered);
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
                        LoadStage::Chain(listed) => listed.has(*s),
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
        if !matches!(load.stage, LoadStage::Chain(_)) {
            load.stage = LoadStage::Chain(Listed::default());
        }
        for sequence in missing {
            self.fetch(t, slot, sequence, Source::Replica);
        }
    }

    /// The answer to the read of one listed commit.
    pub(super) fn on_get(&mut self, t: &mut Turn<'_, '_>, slot: Slot, op: OpId, reply: StoreReply) {
        let LoadStage::Chain(listed) = &mut self.loading(slot).stage else {
            return t.halt("a listed commit came without being asked for");
        };
        let Some(sequence) = listed.answered(op) else {
            return t.halt("a listed commit came without being asked for");
        };
        match reply {
            Outcome::Done(StoreDone::Message(message)) => {
                let fits = message.sequence == sequence;
                match self.commit_of(slot, &message) {
                    Ok(commit) if fits => {
                        let tombstone = commit.tombstone;
                        self.loading(slot).commits.insert(sequence, commit);
                        if tombstone {
                            self.begin_at_tombstone(slot, sequence);
                        }
                        self.expand(t, slot, sequence);
                    }
                    Ok(_) => t.halt("a read by sequence brought another sequence"),
                    Err(_) if self.is_floor(slot, sequence) => self.replaced(t, slot),
                    Err(what) => self.damaged(t, slot, sequence, what),
                }
            }
            Outcome::Done(_) => t.halt("the answer to a read by sequence is another kind"),
            Outcome::Refused(Refused::NotFound) => {
                listed.again(sequence);
                self.on_absent_commit(t, slot, sequence);
            }
            Outcome::Refused(refused) if refused.passes() => {
                reached!(t.cx, "load: a listed commit was refused for now");
                listed.again(sequence);
                self.load_again(t, slot);
            }
            Outcome::Refused(refused) => {
                reached!(t.cx, "load: a listed commit was refused for good");
                self.load_failed(t, slot, Refusal::Store(refused));
            }
            Outcome::Unknown => {
                reached!(t.cx, "load: a listed commit is not answered");
                listed.again(sequence);
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
        let moment = self.moment;
        let load = self.loading(slot);
        load.anew(moment);
        load.reread = true;
        self.load_on(t, slot);
    }

    fn fold_if_whole(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        let moment = self.moment;
        let load = self.loading(slot);
        let LoadStage::Chain(listed) = &load.stage else {
            return;
        };
        if !listed.is_empty() {
            return;
        }
        if let Some(named) = load.candidate.take() {
            load.stage = LoadStage::BodyWanted(named);
            return self.load_on(t, slot);
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
            let named = match load.floor {
                Floor::Nothing => {
                    let what = "the commit does not follow the one before it".to_string();
                    return self.damaged(t, slot, broken, what);
                }
                // What was acknowledged does not lead to the last message.
                Floor::Held(..) => return self.replaced(t, slot),
                Floor::Snapshot(_, named) => named,
            };
            reached!(t.cx, "load: starts over without the snapshot");
            let cause = "it does not lead to the entity's last commit".to_string();
            self.ignore_snapshot(t, slot, named, cause);
            self.loading(slot).anew(moment);
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
        let limits = Arc::clone(&self.limits);
        let load = self.loading(slot);
        let commits = core::mem::take(&mut load.commits);
        let floor = core::mem::replace(&mut load.floor, Floor::Nothing);
        let broken = load.broken.clone();
        let count = u32::try_from(commits.len()).unwrap_or(u32::MAX);
        let entity = self.entity(slot);
        let (kind, id) = (entity.kind, entity.id.clone());
        let provisional = core::mem::take(&mut entity.provisional);
        let (base, mut held, from) = match floor {
            Floor::Nothing => (Base::Nothing, Held::default(), None),
            Floor::Held(..) => {
                let held = entity.held.clone().unwrap_or_default();
                (Base::Held(provisional), held, None)
            }
            Floor::Snapshot(snapshot, named) => {
                let held = Held::of_snapshot(&snapshot);
                (Base::Snapshot(snapshot), held, Some(named))
            }
        };
        let replayed = (!matches!(base, Base::Held(_))).then_some(count);
        let stored = |(sequence, commit)| StoredCommit { sequence, commit };
        let commits: Vec<_> = commits.into_iter().map(stored).collect();
        for stored in &commits {
            held.absorb(stored, &limits);
        }
        if held
            .snapshot
            .is_some_and(|named| broken.contains(&named.sequence))
        {
            held.snapshot_broken = true;
            held.since_snapshot = count;
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
        let folded = Folded {
            held,
            from,
            replayed,
            found,
        };
        self.loading(slot).stage = LoadStage::Fold(op, folded.into());
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
        if !commit.tombstone && (commit.predecessor(), commit.before) != before {
            return Err(*sequence);
        }
        before = (*sequence, commit.last);
    }
    Ok(())
}

//! The proof-carrying read of a load: whether it counts, and what it brings (S11).

use super::Refusal;
use super::load::{Floor, LoadStage};
use super::shard::{Shard, Turn};
use crate::format::{Ownership, WriteMode};
use crate::id::{Epoch, Sequence, Slot};
use crate::port::{Message, Proof, Refused, Source, StoreDone, StoreReply};
use crate::reached;
use crate::step::Outcome;
use core::cmp::Ordering;

impl Shard {
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
            Outcome::Refused(refused) if refused.passes() => {
                reached!(t.cx, "load: a proof was refused for now");
                self.load_again(t, slot);
            }
            Outcome::Refused(refused) => {
                reached!(t.cx, "load: a proof was refused for good");
                self.load_failed(t, slot, Refusal::Store(refused));
            }
            Outcome::Unknown => {
                reached!(t.cx, "load: a proof is not answered");
                self.load_again(t, slot);
            }
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
        let at_least = self.loading(slot).at_least;
        let at_least = self.may_be_there(at_least);
        if proof.up_to < self.high_water.max(at_least) {
            reached!(t.cx, "load: the answer is older than what is known");
            let known = self.loading(slot).asked_above.max(at_least);
            self.look_low(t, proof.up_to, known);
            return false;
        }
        true
    }

    /// What a caller knows of the stream, unless that went with a tail that is known to be lost: who is sent away
    /// while the owner claims anew comes back with the same. What is owned needs none of it: all commits of an
    /// entity are known here.
    fn may_be_there(&self, at_least: Sequence) -> Sequence {
        match self.config.mode {
            WriteMode::Owned if at_least <= self.lost_up_to => Sequence::NONE,
            WriteMode::Owned | WriteMode::Direct => at_least,
        }
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
            if held_at.is_some() && !commit.tombstone {
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
}

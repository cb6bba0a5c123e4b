//! The high-water mark, and what is left when a stream lost its tail (S13).

use super::Note;
use super::entity::{Phase, Pledge, Stage, Why};
use super::shard::{Shard, Turn};
use crate::format::WriteMode;
use crate::id::{Sequence, Slot};
use crate::reached;

impl Shard {
    /// The stream is known to reach this far.
    pub(super) fn raise_high_water(&mut self, sequence: Sequence) {
        if sequence > self.high_water {
            self.high_water = sequence;
            self.low_since = None;
        }
    }

    /// The stream looks shorter than it was `known` to be when it was asked: at once a lost tail
    /// where there is one replica, after a while where an answer may be old (S13).
    pub(super) fn look_low(&mut self, t: &mut Turn<'_, '_>, up_to: Sequence, known: Sequence) {
        if up_to >= known {
            return;
        }
        let now = t.cx.now;
        let since = *self.low_since.get_or_insert(now);
        if !self.shape.replicated || now.since(since) >= self.limits.lost_tail_patience {
            // What another log of this node knew is lost with the rest.
            self.high_water = self.high_water.max(known);
            self.lost_tail(t, up_to);
        }
    }

    /// Acknowledged messages are gone: nothing that is held counts any more, the epoch neither
    /// (S13).
    pub(super) fn lost_tail(&mut self, t: &mut Turn<'_, '_>, now: Sequence) {
        self.drop_all(t, now);
        if self.config.mode == WriteMode::Owned {
            self.claim_after_lost_tail(t);
        }
        self.unpark(t);
    }

    /// Begins again with what callers want and nothing else.
    pub(super) fn drop_all(&mut self, t: &mut Turn<'_, '_>, now: Sequence) {
        reached!(t.cx, "log: the stream lost its tail");
        // What was seen of the shorter stream is known of it too (read-your-writes).
        let was = core::mem::replace(&mut self.high_water, now);
        self.low_since = None;
        self.lost = self.moment;
        self.lost_up_to = self.lost_up_to.max(was);
        if let Some(agenda) = &mut self.agenda {
            agenda.end();
        }
        self.drop_unnamed(0);
        t.note(Note::LostTail { was, now });
        for slot in self.slots() {
            self.start_over(t, slot);
        }
    }

    /// Drops what is known of one entity and begins again with what its callers want.
    pub(super) fn start_over(&mut self, t: &mut Turn<'_, '_>, slot: Slot) {
        self.abandon_load(slot);
        let entity = self.entity(slot);
        match core::mem::replace(&mut entity.phase, Phase::Idle) {
            Phase::Idle | Phase::Load(_, Why::Open) | Phase::Barrier(Pledge::Readers) => {}
            Phase::Load(_, Why::Confirm(members)) | Phase::Barrier(Pledge::Replies(members)) => {
                self.requeue(slot, members)
            }
            Phase::Commit(mut draft, Stage::Flying) => {
                // Its answer still comes, but what it rests on may be gone.
                draft.lost = true;
                self.entity(slot).phase = Phase::Commit(draft, Stage::Flying);
            }
            Phase::Load(_, Why::Look(draft)) => self.give_up(t, draft),
            Phase::Commit(draft, _) => {
                if draft.sent.is_none() {
                    self.requeue(slot, draft.members);
                } else {
                    self.give_up(t, draft);
                }
            }
            phase @ (Phase::Decide { .. } | Phase::Answer { .. } | Phase::Encode) => {
                self.entity(slot).phase = phase
            }
        }
        self.forget_held(slot);
        self.parked.insert(slot);
    }
}

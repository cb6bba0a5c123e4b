//! The index of a shard: read by who becomes the owner, written by who is (G4, G5).

use super::{Behind, Stage};
use crate::format::{Barrier, Ownership, ShardIndex, Unknown};
use crate::id::{Epoch, OpId, Sequence};
use crate::log::Note;
use crate::log::decide::HEADER_BYTES_MAX;
use crate::log::shard::{Op, Shard, Turn};
use crate::port::{Message, Proof, Publish, Refused, Rollup, StoreDone, StoreReply, StoreRequest};
use crate::reached;
use crate::step::{Outcome, Purpose, Span};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use bytes::Bytes;

impl Shard {
    /// This node owns the shard since this step.
    pub(in crate::log) fn begin_agenda(&mut self) {
        if let Some(agenda) = &mut self.agenda {
            agenda.begin();
        }
    }

    /// Does what there is to do later, after each step.
    pub(in crate::log) fn do_later(&mut self, t: &mut Turn<'_, '_>) {
        let Some(agenda) = &mut self.agenda else {
            return;
        };
        if agenda.is_off() {
            return;
        }
        if agenda.retry.is_some_and(|at| at <= t.cx.now) {
            agenda.retry = None;
        }
        if !self.acts() {
            return;
        }
        self.find_left_out(t);
        self.read_index(t);
        self.read_tail(t);
        self.bring_back(t);
        self.read_wanted(t);
        self.read_shelf(t);
        self.fire_due(t);
        self.dispatch_ready(t);
        self.write_due(t);
    }

    /// A kind is known from now on.
    pub(in crate::log) fn learn_kind(&mut self) {
        if let (Some(agenda), Some(kind)) = (&mut self.agenda, self.kinds.last()) {
            agenda.timers.unpark(&kind.record.name);
        }
    }

    /// Tries the next read again after a wait.
    pub(super) fn index_later(&mut self, t: &mut Turn<'_, '_>) {
        let tries = self.agenda.as_ref().map_or(0, |agenda| agenda.tries);
        let delay = self.delay(t, tries);
        if let Some(agenda) = &mut self.agenda {
            agenda.tries = tries.saturating_add(1);
            agenda.retry = Some(t.cx.now + delay);
        }
    }

    /// What is stored cannot be read by this build, or not now.
    pub(super) fn index_failed(&mut self, t: &mut Turn<'_, '_>, cause: String) {
        reached!(t.cx, "later: the index or a commit after it cannot be read");
        t.note(Note::IndexFailed { cause });
        let at = t.cx.now + self.limits.later_delay_max;
        if let Some(agenda) = &mut self.agenda {
            agenda.retry = Some(at);
        }
    }

    fn read_index(&mut self, t: &mut Turn<'_, '_>) {
        let Some(agenda) = &self.agenda else { return };
        if !matches!(agenda.stage, Stage::Index(None)) || agenda.retry.is_some() {
            return;
        }
        let names = &self.names;
        let subjects = vec![
            names.own.clone(),
            names.index.clone(),
            names.barrier.clone(),
        ];
        let stream = names.stream.clone();
        let request = StoreRequest::Latest { stream, subjects };
        let op = self.ask(t, Op::IndexRead, request);
        if let Some(agenda) = &mut self.agenda {
            agenda.stage = Stage::Index(Some(op));
        }
    }

    /// The answer to the read of the index.
    pub(in crate::log) fn on_index(&mut self, t: &mut Turn<'_, '_>, op: OpId, reply: StoreReply) {
        let Some(agenda) = &mut self.agenda else {
            return;
        };
        if !matches!(agenda.stage, Stage::Index(Some(asked)) if asked == op) {
            // Asked when this node owned the shard before.
            return;
        }
        agenda.stage = Stage::Index(None);
        match reply {
            Outcome::Done(StoreDone::Latest(proof)) => self.on_index_proof(t, proof),
            Outcome::Done(_) => t.halt("the answer to a read of last messages is another kind"),
            Outcome::Refused(_) | Outcome::Unknown => {
                reached!(t.cx, "later: an index is not told");
                self.index_later(t);
            }
        }
    }

    fn on_index_proof(&mut self, t: &mut Turn<'_, '_>, proof: Proof) {
        let Some(epoch) = self.epoch() else {
            return self.index_later(t);
        };
        let find = |subject: &crate::port::Subject| {
            let mut messages = proof.messages.iter();
            messages.find(|message: &&Message| message.subject == *subject)
        };
        let place = find(&self.names.own).filter(|own| own.sequence == epoch.sequence);
        let there = place.and_then(|own| Ownership::decode(&own.payload).ok());
        if there.as_ref().is_some_and(|it| it.claim != epoch.claim) {
            // No message takes the place of another: the stream lost this node's claim and grew again.
            reached!(
                t.cx,
                "later: another claim stands at the place of the epoch"
            );
            return self.lost_tail(t, epoch.sequence);
        }
        if there.is_none() || proof.up_to < epoch.sequence {
            reached!(t.cx, "later: an answer about the index proves nothing");
            let own = find(&self.names.own).map(|own| own.sequence);
            if own.is_some_and(|own| own > epoch.sequence) {
                // A later claim, as it seems: the CAS of a seal tells for sure. Where batches wait for
                // this answer no other write would find out.
                self.seal(t);
            }
            return self.index_later(t);
        }
        let barrier = find(&self.names.barrier);
        let reach = barrier.map_or(Sequence::NONE, |it| {
            Barrier::reach(&it.payload, it.sequence)
        });
        let index = find(&self.names.index).map(|message| self.index_of(message));
        if let Some(agenda) = &mut self.agenda {
            agenda.last = Some(agenda.last.unwrap_or_default().max(reach));
        }
        match index {
            None => self.go_on_from(t, None),
            Some(Ok(index)) => self.go_on_from(t, Some(index)),
            Some(Err(cause)) => self.index_failed(t, cause),
        }
        // Batches wait until it is known how far the timers and messages before them reach.
        self.pump(t);
    }

    fn index_of(&self, message: &Message) -> Result<ShardIndex, String> {
        let index = ShardIndex::decode(&message.payload).map_err(|error| error.to_string())?;
        if index.layout != self.config.layout {
            return Err(format!("it was written under layout {}", index.layout));
        }
        Ok(index)
    }

    fn go_on_from(&mut self, t: &mut Turn<'_, '_>, index: Option<ShardIndex>) {
        let most = self.limits.shard_timers_max;
        let (now, pause) = (t.cx.now, self.limits.index_pause);
        let ordinal = self.draw();
        let Some(agenda) = &mut self.agenda else {
            return;
        };
        reached!(t.cx, "later: the index of a shard is read");
        agenda.tries = 0;
        if pause > Span::ZERO {
            let half = pause.as_nanos() / 2;
            let drawn = t.cx.dice.below(Purpose::RetryJitter, ordinal, half);
            agenda.retry = Some(t.cx.now + pause + Span::from_nanos(drawn));
        }
        let mut read = Sequence::NONE;
        if let Some(index) = index {
            read = index.watermark;
            agenda.timers.set_horizon(index.horizon);
            for timer in index.timers {
                let key = super::timers::TimerKey {
                    kind: timer.kind,
                    entity: timer.entity,
                    name: timer.name,
                };
                agenda.timers.arm(key, timer.due, most);
            }
            // What failed may be delivered now: this may be another build.
            let failed = index.failed.into_iter().map(|(place, _)| place);
            for place in index.undone.into_iter().chain(failed) {
                agenda.intents.want(place);
            }
            for shelved in index.shelved {
                agenda.intents.lines.shelve(now, shelved, read);
            }
        }
        agenda.settled = read;
        agenda.written.watermark = read;
        agenda.stage = Stage::Behind(Behind::after(read));
    }

    /// Whether batches wait for what the barrier before them says.
    pub(in crate::log) fn waits_for_mark(&self) -> bool {
        let agenda = self.agenda.as_deref();
        agenda.is_some_and(|agenda| agenda.last.is_none() && !agenda.is_off())
    }

    /// The body of the barrier that ends a batch with these commits.
    pub(in crate::log) fn barrier_body(&self, here: bool) -> Bytes {
        match &self.agenda {
            Some(agenda) if !agenda.is_off() => Barrier {
                later: agenda.last.unwrap_or_default(),
                here,
                unknown: Unknown::default(),
            }
            .encode(),
            Some(_) | None => Bytes::new(),
        }
    }

    /// Writes the index when it is time.
    fn write_due(&mut self, t: &mut Turn<'_, '_>) {
        let (every, delay) = (self.limits.index_every, self.limits.index_delay);
        let now = t.cx.now;
        let Some(agenda) = &self.agenda else { return };
        let written = &agenda.written;
        let stale = written
            .stale_since
            .is_some_and(|since| since + delay <= now);
        if stale || written.commits >= every {
            self.write_index(t);
        }
    }

    /// Writes the index, unless one is on its way or what it would say is not known; whether it does. On a
    /// replicated stream it rides in the next batch (S8), which under load follows the last one at once.
    pub(in crate::log) fn write_index(&mut self, t: &mut Turn<'_, '_>) -> bool {
        if !self.may_write_index() || !self.up {
            return false;
        }
        if self.shape.replicated {
            self.owned.index_due = true;
            self.pump(t);
            return self.owned.flying;
        }
        let Some(mut publish) = self.index_message(t) else {
            return false;
        };
        let Some(epoch) = self.epoch() else {
            return false;
        };
        publish.expect = self.fence(epoch);
        let generation = self.agenda_generation();
        self.ask(
            t,
            Op::Index(epoch, generation),
            StoreRequest::Publish(publish),
        );
        true
    }

    /// Whether what an index would say is known, and none is on its way.
    pub(in crate::log) fn may_write_index(&self) -> bool {
        self.agenda.as_ref().is_some_and(|agenda| {
            agenda.may_write() && agenda.written.flying.is_none() && agenda.retry.is_none()
        })
    }

    /// How large an index may be.
    pub(super) fn index_bytes_max(&self) -> usize {
        let bytes_max = self.shape.payload_bytes_max;
        bytes_max.saturating_sub(HEADER_BYTES_MAX)
    }

    /// The index as a message; it counts as on its way.
    pub(in crate::log) fn index_message(&mut self, t: &mut Turn<'_, '_>) -> Option<Publish> {
        let watermark = self.watermark();
        let bytes_max = self.index_bytes_max();
        let layout = self.config.layout;
        let agenda = self.agenda.as_mut()?;
        let watermark = watermark.max(agenda.written.watermark);
        let mut index = ShardIndex {
            layout,
            watermark,
            horizon: agenda.timers.horizon(),
            timers: agenda.timers.all(),
            undone: agenda.intents.undone_up_to(watermark),
            failed: agenda.intents.failed_up_to(watermark),
            shelved: agenda.intents.shelved(),
            unknown: Unknown::default(),
        };
        let timers = index.timers.len();
        index.cut(bytes_max);
        if index.timers.len() < timers {
            // What does not fit is found again in the log.
            reached!(t.cx, "later: an index has no room for all timers");
        }
        agenda.written.flying = Some(agenda.written.changes);
        agenda.written.commits = 0;
        agenda.written.stale_since = None;
        agenda.written.watermark = watermark;
        Some(Publish {
            stream: self.names.stream.clone(),
            subject: self.names.index.clone(),
            expect: crate::port::Expect::Nothing,
            rollup: Rollup::Subject,
            dedup: None,
            ttl_s: None,
            payload: index.encode(),
        })
    }

    /// The store answered an index that was written by itself.
    pub(in crate::log) fn on_index_stored(
        &mut self,
        t: &mut Turn<'_, '_>,
        (epoch, generation): (Epoch, u64),
        reply: StoreReply,
    ) {
        if generation != self.agenda_generation() {
            // Of a former stay as an owner: what it says is another's business now.
            return;
        }
        let current = self.epoch() == Some(epoch);
        match reply {
            Outcome::Done(StoreDone::Published(ack)) => {
                self.raise_high_water(ack.sequence);
                self.index_written(t);
            }
            Outcome::Done(_) => t.halt("the answer to a publish is another kind"),
            Outcome::Refused(Refused::WrongLast { .. }) => {
                // My own seal, or a stranger's claim: the next seal's check tells.
                reached!(t.cx, "later: an index met the fence");
                self.index_unwritten(t);
                if current {
                    self.seal(t);
                }
            }
            Outcome::Refused(refused) if refused.passes() => {
                reached!(t.cx, "later: an index was refused for now");
                self.index_unwritten(t);
            }
            Outcome::Refused(refused) => {
                reached!(t.cx, "later: an index was refused for good");
                self.index_unwritten(t);
                self.index_failed(t, format!("the index was refused: {refused}"));
            }
            Outcome::Unknown => {
                // Nothing is sent again under this epoch (S9).
                reached!(t.cx, "later: an index's outcome is unknown");
                self.index_unwritten(t);
                if current {
                    self.seal(t);
                }
            }
        }
    }

    /// Which stay as an owner this is.
    pub(in crate::log) fn agenda_generation(&self) -> u64 {
        self.agenda.as_ref().map_or(0, |agenda| agenda.generation)
    }

    pub(in crate::log) fn index_written(&mut self, t: &mut Turn<'_, '_>) {
        let Some(agenda) = &mut self.agenda else {
            return;
        };
        if agenda.written.flying.take().is_some() {
            reached!(t.cx, "later: an index is written");
            t.note(Note::IndexWritten);
        }
    }

    /// An index was not stored, or nobody knows: it is written again later.
    pub(in crate::log) fn index_unwritten(&mut self, t: &mut Turn<'_, '_>) {
        let Some(agenda) = &mut self.agenda else {
            return;
        };
        if agenda.written.flying.take().is_some() {
            agenda.changed(t.cx.now);
            self.index_later(t);
        }
    }

    /// Before a hand-over: whether the index is still to come to an end.
    pub(in crate::log) fn index_first(&mut self, t: &mut Turn<'_, '_>) -> bool {
        let Some(agenda) = &self.agenda else {
            return false;
        };
        if agenda.written.flying.is_some() {
            return true;
        }
        let worth = agenda.written.stale_since.is_some();
        let Some(leave) = &mut self.owned.leave else {
            return false;
        };
        let first = !core::mem::replace(&mut leave.indexed, true);
        worth && first && self.write_index(t)
    }
}

impl super::Agenda {
    /// Whether what an index would say is known: all up to its watermark.
    pub(super) fn may_write(&self) -> bool {
        match &self.stage {
            Stage::Off | Stage::Index(_) => false,
            // While timers that were left out are looked for, what is in mind is not all; and where
            // commits are taken in again, it is older than the watermark of the index that stands.
            Stage::Behind(behind) => {
                let known = self.settled.max(self.written.watermark);
                behind.read >= known && behind.read.is_some()
            }
            Stage::Live => true,
        }
    }
}

//! What was stored: taken in as it is acknowledged, or read from the log.

use super::{Behind, Stage};
use crate::format::{Commit, TakeOver};
use crate::id::{OpId, Sequence, Slot};
use crate::log::entity::{Draft, Phase, Why};
use crate::log::shard::{Op, Shard, Turn};
use crate::name::KindName;
use crate::port::{Message, Page, Refused, Source, StoreDone, StoreReply, StoreRequest};
use crate::reached;
use crate::step::Outcome;
use alloc::format;
use alloc::string::{String, ToString};

impl Shard {
    /// A commit of this owner is stored; it was sent when the stream was known to reach `above`.
    pub(in crate::log) fn acknowledged(
        &mut self,
        t: &mut Turn<'_, '_>,
        slot: Slot,
        commit: &Commit,
        (sequence, above): (Sequence, Sequence),
    ) {
        let Some(agenda) = &mut self.agenda else {
            return;
        };
        agenda.written.commits = agenda.written.commits.saturating_add(1);
        if commit.later.is_some() || commit.tombstone {
            agenda.last = agenda.last.map(|last| last.max(sequence));
        }
        match &agenda.stage {
            Stage::Off => {}
            Stage::Index(_) | Stage::Behind(_) => agenda.acked = agenda.acked.max(sequence),
            Stage::Live if sequence <= agenda.settled => {}
            Stage::Live if commit.later.is_none() && !commit.tombstone => {}
            Stage::Live => {
                let kind = self.kind_of(slot).record.name.clone();
                self.absorb(t, &kind, (sequence, commit));
                if !self.take_sends(&kind, sequence, commit) {
                    reached!(t.cx, "later: more messages than are held in memory");
                    self.fall_behind(above);
                    if let Some(agenda) = &mut self.agenda {
                        agenda.acked = agenda.acked.max(sequence);
                    }
                }
            }
        }
    }

    /// A commit that may have been stored is given up: whether it was is read from the log.
    pub(in crate::log) fn lost_sight(&mut self, draft: &Draft) {
        if draft.commit.later.is_some() || draft.commit.tombstone {
            self.fall_behind(draft.stored_above);
        }
    }

    /// What was stored after a sequence is to be read.
    fn fall_behind(&mut self, above: Sequence) {
        let read = self.watermark().min(above);
        let Some(agenda) = &mut self.agenda else {
            return;
        };
        match &mut agenda.stage {
            Stage::Off | Stage::Index(_) => {}
            Stage::Live => {
                agenda.settled = read;
                agenda.stage = Stage::Behind(Behind::after(read));
            }
            Stage::Behind(behind) => {
                behind.read = behind.read.min(above);
                // A page that was asked for further on would skip what is between.
                behind.op = None;
                agenda.settled = agenda.settled.min(above);
            }
        }
    }

    /// All commits of the shard up to here are taken in (G4).
    pub(super) fn watermark(&self) -> Sequence {
        let Some(agenda) = &self.agenda else {
            return Sequence::NONE;
        };
        match &agenda.stage {
            Stage::Off | Stage::Index(_) => return Sequence::NONE,
            Stage::Behind(behind) => return behind.read.min(agenda.settled),
            Stage::Live => {}
        }
        let drafts = self
            .entities
            .values()
            .filter_map(|entity| match &entity.phase {
                Phase::Commit(draft, _) | Phase::Load(_, Why::Look(draft)) => Some(draft),
                Phase::Load(_, Why::Open | Why::Confirm(_))
                | Phase::Idle
                | Phase::Decide { .. }
                | Phase::Barrier(_)
                | Phase::Answer { .. }
                | Phase::Encode => None,
            });
        let sent = drafts.filter(|draft| draft.sent.is_some());
        let lowest = sent.map(|draft| draft.stored_above).min();
        let known = lowest.unwrap_or(self.high_water).min(self.high_water);
        known.max(agenda.settled)
    }

    /// Takes in the timers of a stored commit, and that it deletes its entity.
    fn absorb(
        &mut self,
        t: &mut Turn<'_, '_>,
        kind: &KindName,
        (sequence, commit): (Sequence, &Commit),
    ) {
        let most = self.limits.shard_timers_max;
        let Some(agenda) = &mut self.agenda else {
            return;
        };
        if commit.tombstone {
            agenda.timers.clear(kind, &commit.entity);
            let of = (kind, &commit.entity);
            agenda.intents.forget_of(t.cx.now, of, sequence);
            agenda.changed(t.cx.now);
        }
        if let Some(later) = &commit.later {
            agenda.timers.absorb((kind, &commit.entity), later, most);
            agenda.changed(t.cx.now);
        }
    }

    /// Takes in a commit for the timers that were left out.
    fn find(&mut self, kind: &KindName, commit: &Commit) {
        let most = self.limits.shard_timers_max;
        if let Some(agenda) = &mut self.agenda {
            let later = (commit.tombstone, commit.later.as_deref());
            agenda.timers.find((kind, &commit.entity), later, most);
        }
    }

    /// Reads on, if this node is behind.
    pub(super) fn read_tail(&mut self, t: &mut Turn<'_, '_>) {
        let Some(agenda) = &self.agenda else { return };
        let Stage::Behind(Behind { read, op: None, .. }) = &agenda.stage else {
            return;
        };
        if agenda.retry.is_some() || !self.has_room() {
            return;
        }
        let (read, known) = (*read, self.high_water);
        let request = StoreRequest::Scan {
            stream: self.names.stream.clone(),
            filter: self.config.namespace.shard_filter(self.config.shard),
            from: Sequence(read.0 + 1),
            messages_max: self.limits.index_page,
        };
        let op = self.ask(t, Op::Tail, request);
        if let Some(agenda) = &mut self.agenda
            && let Stage::Behind(behind) = &mut agenda.stage
        {
            behind.op = Some((op, known));
        }
    }

    /// A page of the shard's commits.
    pub(in crate::log) fn on_tail(&mut self, t: &mut Turn<'_, '_>, op: OpId, reply: StoreReply) {
        let Some(agenda) = &mut self.agenda else {
            return;
        };
        let known = match &mut agenda.stage {
            Stage::Behind(behind) => behind.op.take_if(|(asked, _)| *asked == op),
            Stage::Off | Stage::Index(_) | Stage::Live => None,
        };
        // Asked when this node owned the shard before, it is of no use.
        let Some((_, known)) = known else { return };
        match reply {
            Outcome::Done(StoreDone::Page(page)) => self.on_page(t, &page, known),
            Outcome::Done(_) => t.halt("the answer to a scan is another kind"),
            Outcome::Refused(refused) if !refused.passes() => {
                reached!(t.cx, "later: a page was refused for good");
                self.index_failed(t, format!("its commits cannot be read: {refused}"));
            }
            Outcome::Refused(_) | Outcome::Unknown => {
                reached!(t.cx, "later: a page is not told");
                self.index_later(t);
            }
        }
    }

    fn on_page(&mut self, t: &mut Turn<'_, '_>, page: &Page, known: Sequence) {
        reached!(t.cx, "later: a page of a shard's commits is read");
        if let Some(agenda) = &mut self.agenda {
            let count = u32::try_from(page.messages.len()).unwrap_or(u32::MAX);
            agenda.written.commits = agenda.written.commits.saturating_add(count);
        }
        for message in &page.messages {
            match self.stored(message) {
                Ok(Some((kind, commit))) => {
                    let Some(agenda) = &self.agenda else { return };
                    let fresh = message.sequence > agenda.settled;
                    self.find(&kind, &commit);
                    if !fresh {
                        self.read_up_to(message.sequence);
                        continue;
                    }
                    if !self.take_sends(&kind, message.sequence, &commit) {
                        // The rest waits until there is room.
                        return self.is_full(&commit);
                    }
                    self.absorb(t, &kind, (message.sequence, &commit));
                }
                Ok(None) => {}
                Err(cause) => {
                    let sequence = message.sequence;
                    return self.index_failed(t, format!("commit {sequence}: {cause}"));
                }
            }
            self.read_up_to(message.sequence);
        }
        if !page.more {
            self.at_end(t, known);
        }
    }

    fn is_full(&mut self, commit: &Commit) {
        let sends = commit.later.as_ref().map_or(0, |later| later.sends.len());
        if let Some(agenda) = &mut self.agenda
            && let Stage::Behind(behind) = &mut agenda.stage
        {
            behind.full = Some(sends);
        }
    }

    fn read_up_to(&mut self, sequence: Sequence) {
        if let Some(agenda) = &mut self.agenda
            && let Stage::Behind(behind) = &mut agenda.stage
        {
            behind.read = behind.read.max(sequence);
            behind.short_since = None;
            behind.full = None;
            agenda.settled = agenda.settled.max(sequence);
            agenda.tries = 0;
        }
    }

    /// The log of the shard ends, for whoever answered.
    fn at_end(&mut self, t: &mut Turn<'_, '_>, known: Sequence) {
        let (now, patience) = (t.cx.now, self.limits.absent_patience);
        let replicated = self.shape.replicated;
        if !replicated {
            // The one server knew all that was acknowledged when it was asked.
            self.read_up_to(known);
        }
        let Some(agenda) = &mut self.agenda else {
            return;
        };
        let Stage::Behind(behind) = &mut agenda.stage else {
            return;
        };
        if behind.read < agenda.acked {
            reached!(t.cx, "later: commits came while a shard was read");
            return self.index_later(t);
        }
        if replicated && behind.read < agenda.last.unwrap_or_default() {
            // A replica that lags does not have all that was there when this node claimed the shard.
            reached!(t.cx, "later: a replica lacks the shard's last commits");
            let since = *behind.short_since.get_or_insert(now);
            if now.since(since) < patience {
                return self.index_later(t);
            }
            // Nothing stands there, so the mark is of a tail that was lost.
        }
        reached!(t.cx, "later: all that was stored is taken in");
        let most = self.limits.shard_timers_max;
        agenda.settled = agenda.settled.max(behind.read);
        agenda.timers.looked(most);
        agenda.stage = Stage::Live;
        agenda.tries = 0;
        // What they wait for may be none of it.
        self.delete_all_on(t);
    }

    /// What a message of the shard says of timers and messages of this class; `None` when nothing.
    pub(in crate::log) fn stored(
        &self,
        message: &Message,
    ) -> Result<Option<(KindName, Commit)>, String> {
        let commit = Commit::decode(&message.payload).map_err(|error| error.to_string())?;
        if commit.layout != self.config.layout {
            return Err(format!("it was written under layout {}", commit.layout));
        }
        let leased = self.config.class == TakeOver::Leased;
        let mine = match &commit.later {
            Some(later) => later.leased == leased,
            None => commit.tombstone,
        };
        if !mine {
            return Ok(None);
        }
        let subject = self.config.namespace.parse_event_subject(&message.subject);
        let subject = subject.map_err(|error| error.to_string())?;
        Ok(Some((subject.kind, commit)))
    }

    /// Reads the commits of messages that the index has as undone.
    pub(super) fn read_wanted(&mut self, t: &mut Turn<'_, '_>) {
        let (now, held_max) = (self.now, self.limits.undone_max);
        let Some(agenda) = &mut self.agenda else {
            return;
        };
        if agenda.retry.is_some() || !agenda.intents.wants() {
            return;
        }
        if !agenda.intents.make_room(now, 1, held_max) {
            return;
        }
        let Some(sequence) = agenda.intents.next_wanted() else {
            return;
        };
        let source = match agenda.intents.absent_since {
            None => Source::Replica,
            Some(_) => Source::Leader,
        };
        let stream = self.names.stream.clone();
        let request = StoreRequest::Get {
            stream,
            sequence,
            source,
        };
        let op = self.ask(t, Op::Wanted, request);
        if let Some(agenda) = &mut self.agenda {
            agenda.intents.reading = Some((op, sequence));
        }
    }

    /// The commit of an undone message.
    pub(in crate::log) fn on_wanted(&mut self, t: &mut Turn<'_, '_>, op: OpId, reply: StoreReply) {
        let (now, patience) = (t.cx.now, self.limits.absent_patience);
        let Some(agenda) = &mut self.agenda else {
            return;
        };
        let reading = &mut agenda.intents.reading;
        let Some((_, sequence)) = reading.take_if(|(asked, _)| *asked == op) else {
            return;
        };
        match reply {
            Outcome::Done(StoreDone::Message(message)) => match self.stored(&message) {
                Ok(Some((kind, commit))) => {
                    if self.take_wanted(&kind, sequence, &commit) {
                        self.delete_all_on(t);
                    }
                }
                Ok(None) | Err(_) => self.give_up_wanted(t, sequence),
            },
            Outcome::Done(_) => t.halt("the answer to a read by sequence is another kind"),
            Outcome::Refused(Refused::NotFound) => {
                let since = *agenda.intents.absent_since.get_or_insert(now);
                if now.since(since) < patience {
                    return self.index_later(t);
                }
                // An entity is deleted only when its messages are delivered (V2), or go on in the tombstone
                // (V7).
                reached!(
                    t.cx,
                    "later: the commit of an undone message went with its entity"
                );
                for wanted in agenda.intents.take_wanted(sequence).into_values() {
                    agenda.intents.came(now, wanted);
                }
                agenda.changed(now);
                self.delete_all_on(t);
            }
            Outcome::Refused(_) | Outcome::Unknown => {
                reached!(t.cx, "later: the commit of an undone message is not told");
                self.index_later(t);
            }
        }
    }

    fn give_up_wanted(&mut self, t: &mut Turn<'_, '_>, sequence: Sequence) {
        reached!(
            t.cx,
            "later: the commit of an undone message cannot be read"
        );
        if let Some(agenda) = &mut self.agenda {
            for (index, wanted) in agenda.intents.take_wanted(sequence) {
                let place = crate::format::IntentPlace { sequence, index };
                agenda
                    .intents
                    .lose(place, "its commit is unreadable".into());
                agenda.intents.came(t.cx.now, wanted);
            }
        }
        let cause = format!("commit {sequence}, which has undone messages, is unreadable");
        t.note(crate::log::Note::IndexFailed { cause });
        self.delete_all_on(t);
    }
}

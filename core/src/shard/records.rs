//! The ownership records: heard of as they are stored, and read again, all of them now and then and
//! one by one where something came to nothing (H11).

use super::owners::{Owners, Reading, Turn};
use super::spot::{Hold, Record};
use super::{Note, Place};
use crate::format::{Ownership, TakeOver};
use crate::id::{Partition, Sequence, ShardId};
use crate::port::{Heard, Message, Refused, StoreDone, StoreReply, StoreRequest};
use crate::reached;
use crate::step::{Outcome, Span};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::Bytes;

/// Subjects of one request.
const SUBJECTS_MAX: usize = 1_000;

impl Owners {
    /// A record was stored. It may be late, or gone with a lost tail; but whatever is done about it is
    /// a CAS in the place of a record, or lets go.
    pub(super) fn on_heard(&mut self, t: &mut Turn<'_, '_>, heard: &Heard) {
        let Some(place) = self.place_heard(&heard.subject) else {
            return;
        };
        match self.decode(heard.sequence, &heard.payload) {
            Ok(record) => {
                let known = self.spots.get(&place).and_then(|spot| spot.record);
                if known.is_none_or(|known| known.sequence < record.sequence) {
                    self.meet(place, record);
                }
            }
            Err(cause) => t.note(Note::Unreadable { place, cause }),
        }
    }

    /// The place of a subject on which records are announced, `<ns>.rep.<class>.<shard>`.
    fn place_heard(&self, subject: &str) -> Option<Place> {
        let rest = subject.strip_prefix(self.config.namespace.as_str())?;
        let (class, shard) = rest.strip_prefix(".rep.")?.split_once('.')?;
        let classes = [TakeOver::Fenced, TakeOver::Leased];
        let is_letter = |of: &TakeOver| class.chars().eq([of.letter()]);
        let class = classes.into_iter().find(is_letter)?;
        let shard = ShardId(shard.parse().ok()?);
        let place = Place { class, shard };
        self.spots.contains_key(&place).then_some(place)
    }

    fn decode(&self, sequence: Sequence, payload: &Bytes) -> Result<Record, String> {
        let record = Ownership::decode(payload).map_err(|error| error.to_string())?;
        let (here, there) = (self.config.layout.id, record.layout);
        if here != there {
            return Err(format!("it is of layout {there}, not {here}"));
        }
        Ok(Record {
            sequence,
            claim: record.claim,
            owner: record.owner,
            met: None,
            fresh: None,
        })
    }

    /// A record is the latest of its place, as far as is known.
    pub(super) fn meet(&mut self, place: Place, record: Record) {
        let (moment, now) = (self.moment, self.now);
        if let Some(spot) = self.spots.get_mut(&place) {
            if spot.record.map(|known| known.epoch()) != Some(record.epoch()) {
                spot.changed = now;
            }
            let fresh = spot.is_known().then_some(moment);
            spot.record = Some(Record { fresh, ..record });
            spot.saw(moment);
        }
        self.moved = true;
    }

    /// Sends the reads that are due.
    pub(super) fn read_on(&mut self, t: &mut Turn<'_, '_>) {
        if !self.up {
            return;
        }
        let now = t.cx.now;
        let all = self.reread_at <= now;
        let mut due: BTreeMap<Partition, Vec<Place>> = BTreeMap::new();
        let mut wake = None;
        for (place, spot) in &mut self.spots {
            if spot.reading || (spot.is_sure() && !all) || spot.hold.is_under_way() {
                continue;
            }
            if spot.not_before > now {
                wake = Some(wake.map_or(spot.not_before, |at| spot.not_before.min(at)));
                continue;
            }
            spot.reading = true;
            let stream = self.config.layout.stream_of(place.shard);
            due.entry(stream).or_default().push(*place);
        }
        if let Some(at) = wake {
            self.wake_at(at);
        }
        if all {
            let every = self.limits.owners_reread.as_nanos();
            let jitter = self.draw(t, Span::from_nanos(every / 2));
            self.reread_at = now + Span::from_nanos(every - every / 4) + jitter;
        }
        self.wake_at(self.reread_at);
        for (stream, places) in due {
            for places in places.chunks(SUBJECTS_MAX) {
                let namespace = &self.config.namespace;
                let subjects = places
                    .iter()
                    .map(|place| namespace.ownership_subject(place.class, place.shard));
                let request = StoreRequest::Latest {
                    stream: namespace.event_stream(stream),
                    subjects: subjects.collect(),
                };
                let reading = Reading {
                    places: places.to_vec(),
                    asked: self.moment,
                };
                self.ask(t, reading, request);
            }
        }
    }

    /// The store answered a read.
    pub(super) fn on_read(&mut self, t: &mut Turn<'_, '_>, reading: Reading, reply: StoreReply) {
        let (messages, up_to) = match reply {
            Outcome::Done(StoreDone::Latest(proof)) => (proof.messages, proof.up_to),
            Outcome::Refused(Refused::NotFound) => (Vec::new(), Sequence::NONE),
            Outcome::Done(_) | Outcome::Refused(_) | Outcome::Unknown => {
                reached!(t.cx, "owners: records are not told");
                let tries = self.read_tries;
                self.read_tries = tries.saturating_add(1);
                return self.read_later(t, &reading.places, tries);
            }
        };
        self.read_tries = 0;
        let mut found: BTreeMap<_, Message> = messages
            .into_iter()
            .map(|message| (message.subject.clone(), message))
            .collect();
        let mut low = Vec::new();
        let patience = self.limits.lost_tail_patience;
        for place in &reading.places {
            let namespace = &self.config.namespace;
            let subject = namespace.ownership_subject(place.class, place.shard);
            let message = found.remove(&subject);
            let record = match message.map(|it| self.decode(it.sequence, &it.payload)) {
                None => None,
                Some(Ok(record)) => Some(record),
                Some(Err(cause)) => {
                    reached!(t.cx, "owners: an ownership record cannot be read");
                    let place = *place;
                    t.note(Note::Unreadable { place, cause });
                    // Nothing is ordered about what is not understood.
                    if let Some(spot) = self.spots.get_mut(&place) {
                        spot.doubt(self.moment);
                    }
                    self.read_later(t, &[place], u32::MAX);
                    continue;
                }
            };
            let since = self.low_since.get(place).copied();
            let lost = since.is_some_and(|since| t.cx.now.since(since) >= patience);
            if self.take_in(*place, record, up_to, lost, reading.asked) {
                self.low_since.remove(place);
            } else {
                // What is read of another place of the stream says nothing of this one.
                self.low_since.entry(*place).or_insert(t.cx.now);
                low.push(*place);
            }
        }
        if !low.is_empty() {
            // A server that lags, or a stream that lost its tail: the latter stays so (S13).
            reached!(t.cx, "owners: an answer is older than what is known");
            self.read_later(t, &low, 8);
        }
    }

    /// Takes in what a read found of a place; `false` when it is older than what is known.
    fn take_in(
        &mut self,
        place: Place,
        found: Option<Record>,
        up_to: Sequence,
        lost: bool,
        asked: u64,
    ) -> bool {
        let Some(spot) = self.spots.get_mut(&place) else {
            return true;
        };
        spot.reading = false;
        let known = spot.record;
        let at = |record: Option<Record>| record.map_or(Sequence::NONE, |it| it.sequence);
        if let Hold::Held(epoch) = spot.hold
            && epoch.sequence > at(found)
        {
            spot.saw(asked);
            if up_to >= epoch.sequence || lost {
                // Records are never removed: this one went with a lost tail (S13).
                spot.gone = true;
                return true;
            }
            // An answer from before, or a tail that was lost; the log of the place finds that out too.
            return false;
        }
        if at(found) < at(known) && up_to < at(known) && !lost {
            return false;
        }
        let same =
            found.map(|it| (it.sequence, it.claim)) == known.map(|it| (it.sequence, it.claim));
        match found {
            _ if same => {}
            Some(record) => self.meet(place, record),
            None => {
                spot.record = None;
                self.moved = true;
            }
        }
        if let Some(spot) = self.spots.get_mut(&place) {
            spot.saw(asked);
        }
        true
    }

    /// These are to be read again after a wait, those that are in doubt; the others with the rest.
    fn read_later(&mut self, t: &mut Turn<'_, '_>, places: &[Place], tries: u32) {
        let again = t.cx.now + self.delay(t, tries);
        for place in places {
            if let Some(spot) = self.spots.get_mut(place) {
                spot.reading = false;
                if !spot.is_sure() {
                    spot.not_before = spot.not_before.max(again);
                }
            }
        }
    }
}

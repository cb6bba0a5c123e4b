//! Atomic batches: how they are staged, and their checks, which see the batch's own earlier members.

use super::Store;
use super::check;
use super::proposal::InFlight;
use super::size::{BatchPlace, stored_bytes_of};
use super::stream::View;
use alloc::collections::{BTreeMap, BTreeSet};
use tenure_core::id::{Sequence, WallTime};
use tenure_core::port::{Expect, Publish, Refused, Rollup, StreamName};

/// How many messages the server takes in one batch.
pub(super) const MESSAGES_MAX: usize = 1_000;
/// How long a batch that nobody goes on with keeps its place, in milliseconds.
const ABANDONED_MS: u64 = 10_000;

impl Store {
    /// Collects a batch's messages, and says which stream has them all.
    ///
    /// The first and the last message ask for an answer. What happens to another one (a stream
    /// elsewhere takes it, it is too large) shows as a gap. A batch whose last message is not
    /// collected stays open. Where the first is refused and the last goes to another stream, a
    /// server may tell either first; the model tells the first one's refusal. Where the last goes to
    /// nobody, that is told without any stream, and so first but for one time in a thousand.
    pub(super) fn stage(
        &mut self,
        at: WallTime,
        messages: &[Publish],
    ) -> Result<StreamName, Refused> {
        let [first, ..] = messages else {
            return Err(Refused::BadRequest("a batch needs a message".into()));
        };
        let home = self.stream_of(first).ok_or(Refused::NoResponders)?;
        let to_nobody = |last| self.stream_of(last).is_none();
        let answered_first = messages.last().is_some_and(to_nobody);
        self.open_batch(at, &home, first, messages.len()).map_err(
            |refused| match answered_first {
                true => Refused::NoResponders,
                false => refused,
            },
        )?;
        let mut missing = false;
        for (n, publish) in messages.iter().enumerate().skip(1) {
            let last = n + 1 == messages.len();
            let place = BatchPlace {
                number: n + 1,
                last,
            };
            let there = self.stream_of(publish);
            let collected = match &there {
                None => Err(Refused::NoResponders),
                Some(there) => self.collects(there, publish, place),
            };
            if last {
                collected?;
            }
            if last && there.as_ref() != Some(&home) {
                return Err(Refused::BatchIncomplete);
            }
            let here =
                there.as_ref() == Some(&home) && self.collects(&home, publish, place).is_ok();
            if here && missing {
                self.close_batch(&home);
                return Err(self.end_of_broken(messages));
            }
            missing |= !here;
        }
        self.close_batch(&home);
        if messages.len() > MESSAGES_MAX {
            return Err(Refused::BatchTooLarge);
        }
        Ok(home)
    }

    /// Takes a batch's first message, and a place among the stream's open batches.
    fn open_batch(
        &mut self,
        at: WallTime,
        home: &StreamName,
        first: &Publish,
        count: usize,
    ) -> Result<(), Refused> {
        self.collects(home, first, BatchPlace::of(1, count))?;
        let open_batches_max = self.config.open_batches_max;
        let stream = self.streams.get_mut(home).expect("a routed stream exists");
        let open = &mut stream.open_batches;
        while open
            .front()
            .is_some_and(|since| at.0.saturating_sub(since.0) >= ABANDONED_MS)
        {
            open.pop_front();
        }
        if open.len() >= open_batches_max {
            return Err(Refused::TooManyBatches);
        }
        open.push_back(at);
        Ok(())
    }

    /// What the last message of a batch with a gap is answered.
    fn end_of_broken(&self, messages: &[Publish]) -> Refused {
        let [.., last] = messages else {
            return Refused::BatchIncomplete;
        };
        let place = BatchPlace {
            number: messages.len(),
            last: true,
        };
        match self.stream_of(last) {
            None => Refused::NoResponders,
            Some(there) => match self.collects(&there, last, place) {
                Ok(()) => Refused::BatchIncomplete,
                Err(refused) => refused,
            },
        }
    }

    /// Whether a stream takes a message as a part of a batch.
    fn collects(&self, name: &str, publish: &Publish, place: BatchPlace) -> Result<(), Refused> {
        let stream = self.streams.get(name).expect("a routed stream exists");
        check::size(stream.now(), publish, Some(place))?;
        if stream.settings.allow_atomic {
            Ok(())
        } else {
            Err(Refused::BatchDisabled)
        }
    }

    fn close_batch(&mut self, name: &str) {
        if let Some(stream) = self.streams.get_mut(name) {
            stream.open_batches.pop_back();
        }
    }

    /// When a writer begins a batch and never goes on with it: its place is taken for 10 seconds.
    pub fn abandon_batch(&mut self, at: WallTime, stream: &str) {
        if let Some(stream) = self.streams.get_mut(stream)
            && stream.open_batches.len() < self.config.open_batches_max
        {
            stream.open_batches.push_back(at);
        }
    }
}

/// What a batch's earlier members did.
#[derive(Debug, Default)]
struct Staged<'a> {
    /// How many there are in the whole batch.
    count: usize,
    written: BTreeSet<&'a str>,
    expected: BTreeMap<&'a str, Sequence>,
    ids: BTreeSet<&'a str>,
    messages: u64,
    bytes: u64,
}

/// The checks at a batch's commit, message by message. The same for both shapes of stream.
pub(super) fn check(
    view: View<'_>,
    at: WallTime,
    in_flight: &InFlight,
    messages: &[Publish],
) -> Result<(), Refused> {
    let mut staged = Staged {
        count: messages.len(),
        ..Staged::default()
    };
    for publish in messages {
        check::named_stream(view, publish)?;
        check::ttl(view, publish)?;
        duplicate(view, at, in_flight, &mut staged, publish)?;
        expected(view, in_flight, &mut staged, publish)?;
        rollup(view, &staged, publish)?;
        space(view, in_flight, &mut staged, publish)?;
    }
    Ok(())
}

/// One repeated id refuses the whole batch (K5).
fn duplicate<'a>(
    view: View<'_>,
    at: WallTime,
    in_flight: &InFlight,
    staged: &mut Staged<'a>,
    publish: &'a Publish,
) -> Result<(), Refused> {
    let Some(id) = publish.dedup.as_deref() else {
        return Ok(());
    };
    if staged.ids.contains(id) {
        return Err(Refused::DuplicateInBatch);
    }
    if in_flight.has_id(id) {
        return Err(Refused::DuplicateInProcess);
    }
    if view.duplicate_of(at, id).is_some() {
        return Err(Refused::DuplicateInBatch);
    }
    staged.ids.insert(id);
    Ok(())
}

fn expected<'a>(
    view: View<'_>,
    in_flight: &InFlight,
    staged: &mut Staged<'a>,
    publish: &'a Publish,
) -> Result<(), Refused> {
    let (subject, sequence) = match &publish.expect {
        Expect::Nothing => return Ok(()),
        Expect::OwnLast(sequence) => (publish.subject.as_str(), *sequence),
        Expect::Fence(fence) => (fence.subject.as_str(), fence.sequence),
        Expect::StreamLast(sequence) => {
            let actual = Sequence(view.last() + in_flight.messages() + staged.messages);
            if actual != *sequence {
                return Err(Refused::WrongLast {
                    actual: Some(actual),
                });
            }
            // Only the first message of a batch may expect something of the stream.
            return if staged.messages == 0 {
                Ok(())
            } else {
                Err(Refused::InProcess)
            };
        }
    };
    if staged.written.contains(subject) || in_flight.touches(subject) {
        return Err(Refused::InProcess);
    }
    let actual = match staged.expected.get(subject) {
        Some(checked) => *checked,
        None => view.last_sequence_of(subject),
    };
    if actual != sequence {
        return Err(Refused::WrongLast {
            actual: Some(actual),
        });
    }
    staged.expected.insert(subject, sequence);
    Ok(())
}

/// A rollup must be the batch's first message of its subject.
fn rollup(view: View<'_>, staged: &Staged<'_>, publish: &Publish) -> Result<(), Refused> {
    check::rollup(view, publish)?;
    match publish.rollup {
        Rollup::Subject | Rollup::Purge if staged.written.contains(publish.subject.as_str()) => {
            Err(Refused::RollupDisabled)
        }
        Rollup::Subject | Rollup::Purge | Rollup::No => Ok(()),
    }
}

fn space<'a>(
    view: View<'_>,
    in_flight: &InFlight,
    staged: &mut Staged<'a>,
    publish: &'a Publish,
) -> Result<(), Refused> {
    staged.written.insert(publish.subject.as_str());
    staged.messages += 1;
    let place = BatchPlace::of(staged.messages as usize, staged.count);
    staged.bytes += stored_bytes_of(view.settings(), publish, Some(place));
    let messages = in_flight.messages() + staged.messages;
    let space = view
        .stream()
        .has_space(messages, in_flight.bytes() + staged.bytes);
    if space { Ok(()) } else { Err(Refused::NoSpace) }
}

//! Atomic batches: how they are staged, and their checks, which see the batch's own earlier members.

use super::Store;
use super::check;
use super::proposal::InFlight;
use super::size::{BatchPlace, stored_bytes_of};
use super::stream::View;
use alloc::collections::{BTreeMap, BTreeSet};
use tenure_core::id::{Sequence, WallTime};
use tenure_core::port::{Expect, Publish, Refused, Rollup};

/// How many messages the server takes in one batch.
const MESSAGES_MAX: usize = 1_000;
/// How long a batch that nobody goes on with keeps its place, in milliseconds.
const ABANDONED_MS: u64 = 10_000;

impl Store {
    /// Collects a batch's messages in the stream that takes in its last one.
    ///
    /// Only the last message asks for an answer. What happens to an earlier one (another stream
    /// takes it, it is too large, the batch got no place) shows as a gap.
    pub(super) fn stage(
        &mut self,
        at: WallTime,
        name: &str,
        messages: &[Publish],
    ) -> Result<(), Refused> {
        let lost = |publish: &Publish| self.stream_of(publish).as_deref() != Some(name);
        let lost = messages.iter().any(lost);
        let stream = self.streams.get_mut(name).expect("a routed stream exists");
        let place = |n| BatchPlace {
            number: n + 1,
            last: n + 1 == messages.len(),
        };
        let size = |n| check::size(stream.now(), &messages[n], Some(place(n)));
        let last = messages.len() - 1;
        size(last)?;
        if !stream.settings.allow_atomic {
            return Err(Refused::BatchDisabled);
        }
        if lost || (0..last).any(|n| size(n).is_err()) {
            return Err(Refused::BatchIncomplete);
        }
        let over = |since: &WallTime| at.0.saturating_sub(since.0) >= ABANDONED_MS;
        while stream.open_batches.front().is_some_and(over) {
            stream.open_batches.pop_front();
        }
        if stream.open_batches.len() >= self.config.open_batches_max {
            return Err(match last {
                0 => Refused::TooManyBatches,
                _ => Refused::BatchIncomplete,
            });
        }
        if messages.len() > MESSAGES_MAX {
            return Err(Refused::BatchTooLarge);
        }
        Ok(())
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
    let mut staged = Staged::default();
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
        None => view
            .last_of(subject)
            .map_or(Sequence::NONE, |stored| stored.message.sequence),
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
        Rollup::Subject if staged.written.contains(publish.subject.as_str()) => {
            Err(Refused::RollupDisabled)
        }
        Rollup::Subject | Rollup::No => Ok(()),
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
    staged.bytes += stored_bytes_of(view.settings(), publish);
    let messages = in_flight.messages() + staged.messages;
    let space = view
        .stream()
        .has_space(messages, in_flight.bytes() + staged.bytes);
    if space { Ok(()) } else { Err(Refused::NoSpace) }
}

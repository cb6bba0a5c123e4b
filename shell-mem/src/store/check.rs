//! The checks of a single message, in the server's order, which differs with the stream's shape.

use super::proposal::{InFlight, NOTHING};
use super::publish::limit;
use super::size::{BatchPlace, header_bytes, stored_bytes_of};
use super::stream::View;
use tenure_core::id::{Sequence, WallTime};
use tenure_core::port::{Ack, Expect, Publish, Refused, Rollup, StoreDone, StoreReply};

/// Why a message is not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Not {
    /// It is refused.
    Refused(Refused),
    /// It is stored already, under the same deduplication id.
    Duplicate(Ack),
}

impl From<Refused> for Not {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<Not> for StoreReply {
    fn from(not: Not) -> Self {
        match not {
            Not::Refused(refused) => Self::Refused(refused),
            Not::Duplicate(ack) => Self::Done(StoreDone::Published(ack)),
        }
    }
}

/// An unreplicated stream's checks: what was expected is looked at before deduplication ids.
pub(super) fn unreplicated(view: View<'_>, at: WallTime, publish: &Publish) -> Result<(), Not> {
    size(view, publish, None)?;
    beside_size(view, at, publish)?;
    space(view, &NOTHING, publish)?;
    Ok(())
}

/// Those of them that do not look at how much room a message takes.
pub(super) fn beside_size(view: View<'_>, at: WallTime, publish: &Publish) -> Result<(), Not> {
    named_stream(view, publish)?;
    ttl_allowed(view, publish)?;
    expected(view, &NOTHING, publish)?;
    duplicate(view, at, publish)?;
    rollup(view, publish)?;
    ttl_valid(publish)?;
    Ok(())
}

/// The same for a message without deduplication id, rollup and time to live that names the stream and
/// expects an end of its own subject, which ends there.
pub(super) fn plain(
    view: View<'_>,
    publish: &Publish,
    actual: Sequence,
    expected: Sequence,
) -> Result<(), Refused> {
    size(view, publish, None)?;
    same(actual, expected)?;
    space(view, &NOTHING, publish)
}

/// A replicated stream's checks by its leader: deduplication ids come first, and what is being
/// replicated counts.
pub(super) fn replicated(
    view: View<'_>,
    at: WallTime,
    in_flight: &InFlight,
    publish: &Publish,
) -> Result<(), Not> {
    size(view, publish, None)?;
    named_stream(view, publish)?;
    ttl(view, publish)?;
    if publish
        .dedup
        .as_ref()
        .is_some_and(|id| in_flight.has_id(id))
    {
        return Err(Refused::DuplicateInProcess.into());
    }
    duplicate(view, at, publish)?;
    expected(view, in_flight, publish)?;
    rollup(view, publish)?;
    space(view, in_flight, publish)?;
    Ok(())
}

pub(super) fn named_stream(view: View<'_>, publish: &Publish) -> Result<(), Refused> {
    if view.settings().name == publish.stream {
        Ok(())
    } else {
        Err(Refused::WrongStream)
    }
}

/// The check of replicated streams and of batches.
pub(super) fn ttl(view: View<'_>, publish: &Publish) -> Result<(), Refused> {
    match publish.ttl_s {
        Some(_) if !view.settings().allow_ttl => Err(Refused::TtlDisabled),
        Some(_) | None => ttl_valid(publish),
    }
}

/// The first of an unreplicated stream's two checks: a TTL that is not valid is not seen by it.
fn ttl_allowed(view: View<'_>, publish: &Publish) -> Result<(), Refused> {
    match publish.ttl_s {
        Some(1..) if !view.settings().allow_ttl => Err(Refused::TtlDisabled),
        Some(_) | None => Ok(()),
    }
}

fn ttl_valid(publish: &Publish) -> Result<(), Refused> {
    if publish.ttl_s == Some(0) {
        Err(Refused::TtlInvalid)
    } else {
        Ok(())
    }
}

/// The write's expectation.
pub(super) fn expected(
    view: View<'_>,
    in_flight: &InFlight,
    publish: &Publish,
) -> Result<(), Refused> {
    let (subject, sequence) = match &publish.expect {
        Expect::Nothing => return Ok(()),
        Expect::OwnLast(sequence) => (&publish.subject, *sequence),
        Expect::Fence(fence) => (&fence.subject, fence.sequence),
        Expect::StreamLast(sequence) => {
            let last = Sequence(view.last() + in_flight.messages());
            return same(last, *sequence);
        }
    };
    if in_flight.touches(subject) {
        return Err(Refused::InProcess);
    }
    same(view.last_sequence_of(subject), sequence)
}

fn same(actual: Sequence, expected: Sequence) -> Result<(), Refused> {
    if actual == expected {
        Ok(())
    } else {
        Err(Refused::WrongLast {
            actual: Some(actual),
        })
    }
}

fn duplicate(view: View<'_>, at: WallTime, publish: &Publish) -> Result<(), Not> {
    match publish
        .dedup
        .as_ref()
        .and_then(|id| view.duplicate_of(at, id))
    {
        None => Ok(()),
        Some(sequence) => Err(Not::Duplicate(Ack {
            sequence,
            duplicate: true,
        })),
    }
}

pub(super) fn rollup(view: View<'_>, publish: &Publish) -> Result<(), Refused> {
    let settings = view.settings();
    match publish.rollup {
        Rollup::No => Ok(()),
        Rollup::Subject | Rollup::Purge if settings.allow_rollup && !settings.deny_purge => Ok(()),
        Rollup::Subject | Rollup::Purge => Err(Refused::RollupDisabled),
    }
}

pub(super) fn size(
    view: View<'_>,
    publish: &Publish,
    place: Option<BatchPlace>,
) -> Result<(), Refused> {
    let bytes_max = limit(i64::from(view.settings().message_bytes_max));
    let bytes = || (header_bytes(publish, place) + publish.payload.len()) as u64;
    if bytes_max < u64::MAX && bytes() > bytes_max {
        Err(Refused::TooLarge)
    } else {
        Ok(())
    }
}

/// The limits of a stream that refuses new messages.
pub(super) fn space(
    view: View<'_>,
    in_flight: &InFlight,
    publish: &Publish,
) -> Result<(), Refused> {
    if !view.stream().can_be_full() {
        return Ok(());
    }
    let bytes = in_flight.bytes() + stored_bytes_of(view.settings(), publish, None);
    let space = view.stream().has_space(in_flight.messages() + 1, bytes);
    if space { Ok(()) } else { Err(Refused::NoSpace) }
}

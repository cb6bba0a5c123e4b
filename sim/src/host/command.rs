//! Commands whose verdict depends on the state, so that a stale decision shows.

use super::{Added, Build, State, Wished};
use bytes::{BufMut, BytesMut};
use std::sync::Arc;
use tenure_core::format::Metadata;
use tenure_core::id::{Ticket, Version};
use tenure_core::log::{Expected, NewEvent, Verdict};

/// What a caller wants of an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    pub(crate) style: Style,
    /// How much.
    pub(crate) amount: i64,
    /// Bytes added to each event.
    pub(crate) padding: usize,
    /// What it leaves to be done later, where it is accepted.
    pub(crate) later: Option<Wished>,
}

/// How a command is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// One event.
    Add,
    /// One event, rejected when the sum is below the amount.
    Take,
    /// As many events as told.
    Burst(u64),
    /// One event with a version some steps ahead.
    Jump(u64),
    /// Accepted without events; nothing is stored.
    Look,
    /// Accepted without events; an empty commit is stored.
    Record,
    /// An event whose version does not rise: an error of the caller's.
    Fall,
    /// The user's code fails.
    Fail,
}

/// What a command says of itself: it follows from its ticket, so that whoever finds it stored can
/// tell whose it is. Some say nothing.
pub(crate) fn metadata(ticket: Ticket) -> Option<Arc<Metadata>> {
    let Ticket(n) = ticket;
    if n.is_multiple_of(3) {
        return None;
    }
    let metadata = Metadata::new().correlation(n / 7);
    let metadata = match n % 4 {
        0 => metadata,
        1 => metadata.causation(n),
        _ => metadata.header("ticket", n.to_string()),
    };
    Some(Arc::new(metadata))
}

/// The verdict on a command and the state after it.
pub(crate) fn decide(
    build: Build,
    ticket: Ticket,
    command: &Command,
    expected: Expected,
    state: State,
) -> (Verdict, State) {
    let met = match expected {
        Expected::Any => true,
        Expected::Exactly(version) => state.version == version,
        Expected::Present => state.version != Version::ABSENT,
    };
    if !met {
        return (Verdict::Conflict(state.version), state);
    }
    let amount = command.amount;
    let versions = match command.style {
        Style::Add => vec![None],
        Style::Take if state.sum < amount => return (Verdict::Rejected, state),
        Style::Take => return accepted(build, ticket, command, state, -amount, &[None], false),
        Style::Burst(count) => vec![None; usize::try_from(count).expect("a small count")],
        Style::Jump(ahead) => vec![Some(Version(state.version.0 + ahead))],
        Style::Look => vec![],
        Style::Record => return accepted(build, ticket, command, state, 0, &[], true),
        Style::Fall => vec![None, Some(state.version)],
        Style::Fail => return (Verdict::Failed("the simulator's own failure".into()), state),
    };
    accepted(build, ticket, command, state, amount, &versions, false)
}

fn accepted(
    build: Build,
    ticket: Ticket,
    command: &Command,
    on: State,
    amount: i64,
    versions: &[Option<Version>],
    record: bool,
) -> (Verdict, State) {
    let mut state = on;
    let mut events = Vec::new();
    for (index, version) in (0..).zip(versions) {
        let event = Added {
            ticket,
            index,
            amount,
            seen: on.digest,
        };
        state = state.after(version.unwrap_or(state.version.next()), &event);
        let (name, schema, data) = build.write(&event, command.padding);
        events.push(NewEvent {
            version: *version,
            name: name.into(),
            schema,
            data,
        });
    }
    let mut outcome = BytesMut::new();
    outcome.put_u64(ticket.0);
    outcome.put_u64(on.digest);
    outcome.put_u64(state.digest);
    let verdict = Verdict::Accepted {
        events,
        outcome: outcome.freeze(),
        record,
        later: command.later.map(|wished| Box::new(wished.later(ticket))),
        delete: false,
    };
    (verdict, state)
}

//! A store that breaks its word to requests, behind the oracles' back: the same in every world.

use crate::draw::{Draws, What};
use crate::host::{Added, Build};
use crate::world::Corruption;
use tenure_core::Outcome;
use tenure_core::format::{Commit, Timer};
use tenure_core::id::Sequence;
use tenure_core::name::TimerName;
use tenure_core::port::{Ack, Expect, Message, Publish, StoreDone, StoreReply, StoreRequest};

/// A write as a corrupted store takes it, whose stream ends at `last`; `Err` is an answer without a deed.
#[allow(
    clippy::result_large_err,
    reason = "it is the answer itself, as in the store"
)]
pub(crate) fn tampered(
    corruption: Option<Corruption>,
    draws: &mut Draws,
    last: Sequence,
    request: &StoreRequest,
) -> Result<StoreRequest, StoreReply> {
    let mut request = request.clone();
    match corruption {
        Some(Corruption::Unchecked) => {
            each_write(&mut request, |publish| publish.expect = Expect::Nothing);
        }
        Some(Corruption::LyingAck) if request.writes() && draws.chance(What::Fate, 1 << 40, 30) => {
            let sequence = Sequence(last.0 + 1);
            return Err(Outcome::Done(StoreDone::Published(Ack {
                sequence,
                duplicate: false,
            })));
        }
        Some(Corruption::OldGround) => each_write(&mut request, shift_ground),
        Some(Corruption::StrangeMetadata) => each_write(&mut request, mistell),
        Some(Corruption::ArmedTwice) => each_write(&mut request, arm_twice),
        Some(_) | None => {}
    }
    Ok(request)
}

/// Changes each message that a request writes.
fn each_write(request: &mut StoreRequest, change: impl Fn(&mut Publish)) {
    match request {
        StoreRequest::Publish(publish) => change(publish),
        StoreRequest::Batch { messages, .. } => messages.iter_mut().for_each(change),
        StoreRequest::Latest { .. }
        | StoreRequest::Get { .. }
        | StoreRequest::Scan { .. }
        | StoreRequest::CreateStream(_)
        | StoreRequest::StreamInfo { .. }
        | StoreRequest::Capabilities
        | StoreRequest::OpenConsumer(_)
        | StoreRequest::Fetch { .. }
        | StoreRequest::CloseConsumer { .. } => {}
    }
}

/// An answer as a corrupted store gives it; `as_of` is the one that it would have given when its stream
/// ended there, and not at `last`.
pub(crate) fn falsified(
    corruption: Option<Corruption>,
    draws: &mut Draws,
    last: Sequence,
    as_of: impl FnOnce(Sequence) -> StoreReply,
    reply: StoreReply,
) -> StoreReply {
    match (corruption, reply) {
        (Some(Corruption::ForgottenIds), Outcome::Done(StoreDone::Latest(mut proof))) => {
            proof.messages.iter_mut().for_each(forget_ids);
            Outcome::Done(StoreDone::Latest(proof))
        }
        (Some(Corruption::ForgottenIds), Outcome::Done(StoreDone::Message(mut message))) => {
            forget_ids(&mut message);
            Outcome::Done(StoreDone::Message(message))
        }
        (Some(Corruption::FalseProof), Outcome::Done(StoreDone::Latest(proof))) => {
            let back = draws.below(What::Lag, 1 << 40, 20);
            match as_of(Sequence(last.0.saturating_sub(back).max(1))) {
                Outcome::Done(StoreDone::Latest(mut past)) => {
                    past.up_to = proof.up_to;
                    Outcome::Done(StoreDone::Latest(past))
                }
                Outcome::Done(_) | Outcome::Refused(_) | Outcome::Unknown => {
                    Outcome::Done(StoreDone::Latest(proof))
                }
            }
        }
        (_, reply) => reply,
    }
}

/// Lets the first event of a commit rest on another state.
fn shift_ground(publish: &mut Publish) {
    let Ok(mut commit) = Commit::decode(&publish.payload) else {
        return;
    };
    let first = commit.events.first_mut();
    if let Some((record, event)) = first.and_then(|record| {
        let event = Added::of(record)?;
        Some((record, event))
    }) {
        let seen = event.seen ^ 1;
        let (name, schema, data) = Build::Present.write(&Added { seen, ..event }, 0);
        (record.name, record.schema, record.data) = (name.into(), schema, data);
        publish.payload = commit.encode();
    }
}

/// Lets the metadata of a commit's commands go round.
fn mistell(publish: &mut Publish) {
    let Ok(mut commit) = Commit::decode(&publish.payload) else {
        return;
    };
    let mut said: Vec<_> = commit
        .metadata
        .iter()
        .map(|record| record.metadata.clone())
        .collect();
    if said.len() > 1 {
        said.rotate_left(1);
        for (record, metadata) in commit.metadata.iter_mut().zip(said) {
            record.metadata = metadata;
        }
        publish.payload = commit.encode();
    }
}

/// Lets a commit arm each of its timers under another name as well.
fn arm_twice(publish: &mut Publish) {
    let Ok(mut commit) = Commit::decode(&publish.payload) else {
        return;
    };
    let Some(later) = &mut commit.later else {
        return;
    };
    let again = later.armed.iter().filter_map(|timer| {
        let name = TimerName::new(&format!("{}-again", timer.name)).ok()?;
        Some(Timer {
            name,
            ..timer.clone()
        })
    });
    let again: Vec<_> = again.collect();
    later.armed.extend(again);
    publish.payload = commit.encode();
}

fn forget_ids(message: &mut Message) {
    if let Ok(mut commit) = Commit::decode(&message.payload) {
        commit.commands.clear();
        for record in &mut commit.metadata {
            record.command = None;
        }
        message.payload = commit.encode();
    }
}

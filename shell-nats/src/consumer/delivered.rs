//! A message as a consumer delivers it: where it is in its stream, and the how manieth it is, are in
//! the subject for an acknowledgement.

use super::place::Place;
use async_nats::Message;
use tenure_core::id::{Sequence, WallTime};
use tenure_core::port::{self, Delivered, Subject};

const NANOS_PER_MILLI: u64 = 1_000_000;

/// Reads a message, and how many of its consumer's follow it; `None` when it says not where it stands.
/// `before` is the subject of the one before it, whose text it shares where it is the same.
pub(super) fn read(message: Message, before: Option<&Subject>) -> Option<(Delivered, u64)> {
    let place = Place::parse(message.reply.as_deref()?)?;
    let marker = message.headers.as_ref().is_some_and(|headers| {
        let reason = headers.get_last("Nats-Marker-Reason");
        reason.is_some_and(|reason| reason.as_str() == "MaxAge")
    });
    let same = before.filter(|before| before.as_str() == message.subject.as_str());
    let message = port::Message {
        subject: match same {
            Some(same) => same.clone(),
            None => message.subject.as_str().into(),
        },
        sequence: Sequence(place.sequence),
        stored: WallTime(place.stored_ns / NANOS_PER_MILLI),
        expired_marker: marker,
        payload: message.payload,
    };
    let number = place.number;
    Some((Delivered { message, number }, place.pending))
}

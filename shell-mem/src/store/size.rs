//! What a message weighs: its headers as they go over the wire, and its place in a stream.

use tenure_core::port::{Expect, Publish, Rollup, Storage, StreamSettings};

/// The place of a message in an atomic batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchPlace {
    /// From 1.
    pub(super) number: usize,
    /// Whether it commits the batch.
    pub(super) last: bool,
}

/// The bytes of a message's headers on the wire.
pub(super) fn header_bytes(publish: &Publish, place: Option<BatchPlace>) -> usize {
    const FIRST_AND_LAST_LINE: usize = "NATS/1.0\r\n".len() + "\r\n".len();
    let mut bytes = FIRST_AND_LAST_LINE + line("Nats-Expected-Stream", publish.stream.len());
    match &publish.expect {
        Expect::Nothing => {}
        Expect::OwnLast(sequence) => {
            bytes += line("Nats-Expected-Last-Subject-Sequence", digits(sequence.0));
        }
        Expect::Fence(fence) => {
            bytes += line(
                "Nats-Expected-Last-Subject-Sequence",
                digits(fence.sequence.0),
            );
            bytes += line(
                "Nats-Expected-Last-Subject-Sequence-Subject",
                fence.subject.len(),
            );
        }
        Expect::StreamLast(sequence) => {
            bytes += line("Nats-Expected-Last-Sequence", digits(sequence.0));
        }
    }
    bytes += match publish.rollup {
        Rollup::No => 0,
        Rollup::Subject => line("Nats-Rollup", "sub".len()),
        Rollup::Purge => line("Nats-Rollup", "sub".len()) + line("KV-Operation", "PURGE".len()),
    };
    if let Some(id) = &publish.dedup {
        bytes += line("Nats-Msg-Id", id.len());
    }
    if let Some(ttl_s) = publish.ttl_s {
        bytes += line("Nats-TTL", digits(u64::from(ttl_s)) + "s".len());
    }
    if let Some(place) = place {
        bytes +=
            line("Nats-Batch-Id", 32) + line("Nats-Batch-Sequence", digits(place.number as u64));
        if place.last {
            bytes += line("Nats-Batch-Commit", 1);
        }
    }
    bytes
}

impl BatchPlace {
    /// The place of the message with a number, from 1, in a batch of so many.
    pub(super) fn of(number: usize, count: usize) -> Self {
        Self {
            number,
            last: number == count,
        }
    }
}

/// What a message counts for in its stream's size before it is stored.
pub(super) fn stored_bytes_of(
    settings: &StreamSettings,
    publish: &Publish,
    place: Option<BatchPlace>,
) -> u64 {
    let headers = header_bytes(publish, place);
    stored_bytes(
        settings.storage,
        publish.subject.len(),
        headers,
        publish.payload.len(),
    )
}

/// What a message counts for in its stream's size, as the server's stores count.
pub(super) fn stored_bytes(storage: Storage, subject: usize, headers: usize, body: usize) -> u64 {
    let frame = match storage {
        Storage::File if headers == 0 => 22 + 8,
        Storage::File => 22 + 4 + 8,
        Storage::Memory => 16,
    };
    (frame + subject + headers + body) as u64
}

fn line(name: &str, value: usize) -> usize {
    name.len() + ": ".len() + value + "\r\n".len()
}

/// How many digits a number has.
pub(super) fn digits(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

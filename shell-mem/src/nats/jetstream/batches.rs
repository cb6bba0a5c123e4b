//! Batches that are stored as one: collected message by message, and checked when they are whole.

use super::super::front::Front;
use super::super::wire::Publication;
use super::error::ApiError;
use super::publish::{End, Part, Stored, draft};
use crate::store::draft::Draft;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use tenure_core::id::WallTime;
use tenure_core::port::Refused;

/// How long a batch that nobody goes on with keeps its place, in milliseconds.
const ABANDONED_MS: u64 = 10_000;
/// How many messages a batch has at most.
const MESSAGES_MAX: usize = 1_000;

/// The batches of a stream that are not whole, by their names.
#[derive(Debug, Default)]
pub(super) struct Batches(BTreeMap<String, Batch>);

#[derive(Debug)]
struct Batch {
    drafts: Vec<Draft>,
    /// How many came, also of those that one batch does not hold.
    count: u64,
    bytes: usize,
    heard: WallTime,
}

impl Front {
    /// Takes a part of a batch, and says what its sender is told now.
    pub(super) fn take_part(
        &mut self,
        stream: &str,
        publication: &Publication,
        part: Part,
    ) -> Option<Result<Stored, ApiError>> {
        match self.collect(stream, publication, &part) {
            Ok(None) => Some(Ok(Stored::Part)),
            Ok(Some(drafts)) => Some(self.store_batch(stream, part.id, &drafts)),
            Err(error) => Some(Err(error)),
        }
    }

    /// Adds a part to its batch, and gives the batch when it is whole.
    fn collect(
        &mut self,
        stream: &str,
        publication: &Publication,
        part: &Part,
    ) -> Result<Option<Vec<Draft>>, ApiError> {
        let open_max = self.store.config().open_batches_max;
        let at = self.at;
        let there = self.jetstream.streams.get_mut(stream);
        let there = there.ok_or(Refused::NoStream)?;
        let size = publication.headers.len() + publication.payload.len();
        let size_max = usize::try_from(there.config.max_msg_size).unwrap_or(usize::MAX);
        if size > size_max {
            return Err(Refused::TooLarge.into());
        }
        if !there.config.allow_atomic {
            return Err(Refused::BatchDisabled.into());
        }
        let Batches(batches) = &mut there.batches;
        let held: usize = batches.values().map(|batch| batch.bytes).sum();
        if held + size > self.config.pending_bytes_max {
            return Err(Refused::TooManyBatches.into());
        }
        let left = |batch: &Batch| at.0.saturating_sub(batch.heard.0) >= ABANDONED_MS;
        batches.retain(|_, batch| !left(batch));
        if part.number == 1 {
            batches.remove(&part.id);
            if batches.len() >= open_max {
                return Err(Refused::TooManyBatches.into());
            }
            let batch = Batch {
                drafts: Vec::new(),
                count: 0,
                bytes: 0,
                heard: at,
            };
            batches.insert(part.id.clone(), batch);
        }
        let batch = batches.get_mut(&part.id).ok_or(Refused::BatchIncomplete)?;
        if batch.count + 1 != part.number {
            batches.remove(&part.id);
            return Err(Refused::BatchIncomplete.into());
        }
        batch.count += 1;
        batch.bytes += size;
        batch.heard = at;
        if part.end != Some(End::Before) {
            let room = batch.drafts.len() < MESSAGES_MAX;
            if !room {
                batches.remove(&part.id);
                return Err(Refused::BatchTooLarge.into());
            }
            batch.drafts.push(draft(stream, publication)?);
        }
        if part.end.is_none() {
            return Ok(None);
        }
        let whole = batches.remove(&part.id);
        Ok(whole.map(|batch| batch.drafts))
    }

    fn store_batch(
        &mut self,
        stream: &str,
        id: String,
        drafts: &[Draft],
    ) -> Result<Stored, ApiError> {
        let all = self.store.write_drafts(self.at, stream, drafts)?;
        let last = all
            .last()
            .map(|written| written.sequence)
            .unwrap_or_default();
        for (draft, written) in drafts.iter().zip(all) {
            self.stored(stream, draft, written);
        }
        self.changed(stream);
        Ok(Stored::Batch {
            last,
            id,
            count: drafts.len(),
        })
    }
}

//! Batches that are stored as one: collected message by message, and checked when they are whole.

use super::super::front::Front;
use super::super::wire::{HeaderBlock, Publication};
use super::error::ApiError;
use super::publish::{End, Part, Stored, draft};
use crate::store::draft::Draft;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use tenure_core::id::WallTime;
use tenure_core::port::{Refused, StreamName};

/// How long a batch that nobody goes on with keeps its place, in milliseconds.
const ABANDONED_MS: u64 = 10_000;
/// How many messages a batch has at most.
const MESSAGES_MAX: u64 = 1_000;
/// How many batches may be open on all streams together.
const OPEN_MAX: usize = 1_000;

/// How long the name of a batch is at most.
const ID_LEN_MAX: usize = 64;

/// A batch is its stream's, and has a name there.
type Key = (StreamName, String);

/// The batches that are not whole, over all streams.
#[derive(Debug, Default)]
pub(super) struct Batches {
    open: BTreeMap<Key, Batch>,
    bytes: usize,
}

#[derive(Debug)]
struct Batch {
    /// What is wrong with one is told when the batch is whole.
    drafts: Vec<Result<Draft, ApiError>>,
    /// How many came, also one that is not stored.
    count: u64,
    bytes: usize,
    heard: WallTime,
}

impl Batches {
    /// How many are open on a stream.
    fn open_on(&self, stream: &StreamName) -> usize {
        let from = (stream.clone(), String::new());
        let all = self.open.range(from..);
        all.take_while(|((of, _), _)| of == stream).count()
    }

    fn end(&mut self, key: &Key) -> Option<Batch> {
        let batch = self.open.remove(key)?;
        self.bytes -= batch.bytes;
        Some(batch)
    }

    fn end_all(&mut self, over: impl Fn(&Key, &Batch) -> bool) {
        self.open.retain(|key, batch| {
            let over = over(key, batch);
            if over {
                self.bytes -= batch.bytes;
            }
            !over
        });
    }

    /// Ends those of a stream that is removed.
    pub(super) fn end_of(&mut self, stream: &str) {
        self.end_all(|(of, _), _| of.as_str() == stream);
    }
}

impl Front {
    /// Takes a part of a batch, and says what its sender is told now.
    pub(super) fn take_part(
        &mut self,
        stream: &StreamName,
        publication: &Publication,
        part: Part,
    ) -> Result<Stored, ApiError> {
        self.check_part(stream, publication, &part)?;
        let key = (stream.clone(), part.id.clone());
        match self.collect(&key, publication, &part) {
            Ok(None) => Ok(Stored::Part),
            Ok(Some(drafts)) => self.store_batch(stream, part.id, drafts),
            Err(error) => Err(error),
        }
    }

    /// What is refused before it is a part of anything.
    fn check_part(
        &self,
        stream: &StreamName,
        publication: &Publication,
        part: &Part,
    ) -> Result<(), ApiError> {
        let there = self.jetstream.streams.get(stream);
        let config = &there.ok_or(Refused::NoStream)?.config;
        let size = publication.headers.len() + publication.payload.len();
        let size_max = usize::try_from(config.max_msg_size).unwrap_or(usize::MAX);
        if size > size_max {
            return Err(Refused::TooLarge.into());
        }
        if !config.allow_atomic {
            return Err(Refused::BatchDisabled.into());
        }
        if self.store.config().in_flight_max == 0 {
            return Err(Refused::Overloaded.into());
        }
        if part.id.len() > ID_LEN_MAX {
            let text = "atomic publish batch ID is invalid";
            return Err(ApiError::new(400, 10_179, text));
        }
        if part.number.is_none() {
            let text = "atomic publish sequence is missing";
            return Err(ApiError::new(400, 10_175, text));
        }
        Ok(())
    }

    /// Adds a part to its batch, and gives the batch when it is whole.
    fn collect(
        &mut self,
        key: &Key,
        publication: &Publication,
        part: &Part,
    ) -> Result<Option<Vec<Result<Draft, ApiError>>>, ApiError> {
        let at = self.at;
        let batches = &mut self.jetstream.batches;
        batches.end_all(|_, batch| at.0.saturating_sub(batch.heard.0) >= ABANDONED_MS);
        if !batches.open.contains_key(key) {
            self.open_batch(key, part)?;
        }
        let added = self.add_part(key, publication, part);
        // What is refused ends its batch.
        match added {
            Ok(()) if part.end.is_none() => Ok(None),
            Ok(()) => {
                let whole = self.jetstream.batches.end(key);
                Ok(whole.map(|batch| batch.drafts))
            }
            Err(error) => {
                self.jetstream.batches.end(key);
                Err(error)
            }
        }
    }

    fn open_batch(&mut self, key: &Key, part: &Part) -> Result<(), ApiError> {
        if part.number != Some(1) {
            return Err(Refused::BatchIncomplete.into());
        }
        let batches = &mut self.jetstream.batches;
        let open_max = self.store.config().open_batches_max;
        if batches.open_on(&key.0) >= open_max || batches.open.len() >= OPEN_MAX {
            return Err(Refused::TooManyBatches.into());
        }
        let batch = Batch {
            drafts: Vec::new(),
            count: 0,
            bytes: 0,
            heard: self.at,
        };
        batches.open.insert(key.clone(), batch);
        Ok(())
    }

    fn add_part(
        &mut self,
        key: &Key,
        publication: &Publication,
        part: &Part,
    ) -> Result<(), ApiError> {
        let batches = &mut self.jetstream.batches;
        let batch = batches.open.get_mut(key).ok_or(Refused::BatchIncomplete)?;
        if part.end == Some(End::Unknown) {
            let text = "atomic publish batch commit is invalid";
            return Err(ApiError::new(400, 10_200, text));
        }
        if Some(batch.count + 1) != part.number {
            return Err(Refused::BatchIncomplete.into());
        }
        batch.count += 1;
        batch.heard = self.at;
        if batch.count > MESSAGES_MAX {
            return Err(Refused::BatchTooLarge.into());
        }
        if part.end == Some(End::Before) {
            return match batch.drafts.last_mut() {
                None => Err(Refused::BatchIncomplete.into()),
                Some(last) => {
                    // As the server, which writes into the last one that it ends the batch.
                    if let Ok(last) = last {
                        let headers = HeaderBlock::new(&last.headers);
                        last.headers = headers.with(&[("Nats-Batch-Commit", &1)]);
                    }
                    Ok(())
                }
            };
        }
        let size = size_of::<Draft>() + publication.headers.len() + publication.payload.len();
        if batches.bytes + size > self.config.pending_bytes_max {
            return Err(Refused::TooManyBatches.into());
        }
        batch.drafts.push(draft(&key.0, publication));
        batch.bytes += size;
        batches.bytes += size;
        Ok(())
    }

    fn store_batch(
        &mut self,
        stream: &str,
        id: String,
        parts: Vec<Result<Draft, ApiError>>,
    ) -> Result<Stored, ApiError> {
        let mut drafts = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Ok(draft) => drafts.push(draft),
                Err(error) => {
                    // What is wrong with those before it is told first.
                    self.store.check_drafts(self.at, stream, &drafts)?;
                    return Err(error);
                }
            }
        }
        let all = self.store.write_drafts(self.at, stream, &drafts)?;
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

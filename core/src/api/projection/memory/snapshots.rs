//! Snapshots of a state in the namespace: when, and the tasks that load and save them.

use super::StoreError;
use crate::api::projection::claim::Claim;
use crate::format::{Mark, StateAt};
use crate::id::Sequence;
use crate::port::{StoreDone, StoreReply, StoreRequest, Subject};
use crate::projection::{Load, Loaded, Next, Save, Saved};
use crate::step::Outcome;
use bytes::Bytes;
use std::time::Duration;

/// When snapshots are taken, beside at the end of the catch-up and at the stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshots {
    /// After so many events at the latest.
    pub every: u64,
    /// So long after an event at the latest.
    pub within: Duration,
}

impl Default for Snapshots {
    /// Every 100,000 events, or after half a minute.
    fn default() -> Self {
        Self {
            every: 100_000,
            within: Duration::from_secs(30),
        }
    }
}

/// The largest part of a state, in bytes.
const PART_BYTES_MAX: usize = 512 << 10;

/// What one message has beside a part, in bytes: the subject, headers, and a mark with many positions.
const PART_BESIDE: usize = 16 << 10;

/// What is known of the snapshot that is stored.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    at: Sequence,
    names: Option<StateAt>,
    stale: Vec<Subject>,
    part_bytes_max: Option<usize>,
}

impl Shelf {
    /// Loads what is stored, which the next save replaces. With a reset a state that cannot be read is no
    /// state.
    pub(super) async fn load(
        &mut self,
        claim: &Claim,
    ) -> Result<Option<(Mark, Option<Bytes>)>, StoreError> {
        let keeper = &claim.keeper;
        let (ns, key) = (keeper.namespace.clone(), keeper.key);
        let mut load = Load::new(ns, claim.projection.clone(), key, claim.reset);
        let name = claim.projection();
        let loaded = keeper
            .run(name, &mut load, Load::request, Load::answered)
            .await?;
        Ok(loaded.map(|loaded| {
            let Loaded {
                at,
                mark,
                state,
                stale,
            } = loaded;
            self.at = at;
            self.names.clone_from(&mark.state);
            self.stale = stale;
            (mark, state)
        }))
    }

    /// Stores a state with its mark; where it is then, or `None` when a later one is there.
    pub(super) async fn save(
        &mut self,
        claim: &Claim,
        mark: Mark,
        state: Bytes,
    ) -> Result<Option<StateAt>, StoreError> {
        let keeper = &claim.keeper;
        let part_bytes_max = self.part_bytes_max(claim).await?;
        let mut save = Save::new(
            keeper.namespace.clone(),
            (mark, state),
            (keeper.key, keeper.tag()),
            (self.at, self.names.clone()),
            part_bytes_max,
            std::mem::take(&mut self.stale),
        );
        let name = claim.projection();
        let saved = keeper
            .run(name, &mut save, Save::request, Save::answered)
            .await?;
        Ok(match saved {
            Saved::At(at, names) => {
                self.at = at;
                self.names.clone_from(&names);
                names
            }
            Saved::Later => None,
        })
    }

    /// What one message may take, as the server says.
    async fn part_bytes_max(&mut self, claim: &Claim) -> Result<usize, StoreError> {
        if let Some(known) = self.part_bytes_max {
            return Ok(known);
        }
        let mut asked = ();
        let answered = |(): &mut (), reply: StoreReply| match reply {
            Outcome::Done(StoreDone::Capabilities(it)) => Next::Done(it.payload_bytes_max),
            Outcome::Done(_) | Outcome::Refused(_) | Outcome::Unknown => Next::Wait,
        };
        let request = |(): &()| StoreRequest::Capabilities;
        let keeper = &claim.keeper;
        let asking = keeper.run(claim.projection(), &mut asked, request, answered);
        let whole = asking.await?;
        let part = whole.saturating_sub(PART_BESIDE).max(whole / 2);
        Ok(*self.part_bytes_max.insert(part.min(PART_BYTES_MAX)))
    }
}

//! The bucket and the mark, as a run of a projection asks for them.

use super::StoreError;
use super::entries::{Placed, placed};
use crate::api::projection::claim::Claim;
use crate::format::Mark;
use crate::id::Sequence;
use crate::port::{Capabilities, StoreDone, StoreReply, StoreRequest};
use crate::projection::{Held, Hold, List, Load, Next, Put, Read, Written};
use crate::space::{self, Absent, StreamTask};
use crate::step::Outcome;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::collections::BTreeMap;

/// Values that are on their way at once.
const PUTS_MAX: usize = 64;

/// What one message has beside a value, in bytes: the subject and headers.
const BESIDE: usize = 4 << 10;

#[derive(Clone, Debug)]
pub(super) struct Bucket {
    pub(super) claim: Claim,
    /// The largest value, in bytes.
    pub(super) value_bytes_max: usize,
}

impl Bucket {
    /// Opens the namespace's bucket, and makes it where it is absent and may be; `known`: values of the
    /// projection are in it.
    pub(super) async fn open(claim: &Claim, known: bool) -> Result<Self, StoreError> {
        let keeper = &claim.keeper;
        let mut asked = ();
        let answered = |(): &mut (), reply: StoreReply| match reply {
            Outcome::Done(StoreDone::Capabilities(it)) => Next::Done(it),
            Outcome::Done(_) | Outcome::Refused(_) | Outcome::Unknown => Next::Wait,
        };
        let request = |(): &()| StoreRequest::Capabilities;
        let asking = keeper.run(claim.projection(), &mut asked, request, answered);
        let capabilities: Capabilities = asking.await?;
        let node = keeper.node.upgrade().ok_or(StoreError::NodeStopped)?;
        let wish = node.handle.wish();
        let absent = match (known, wish.create) {
            (true, _) => Absent::Lost,
            (false, true) => Absent::Create,
            (false, false) => Absent::Missing,
        };
        // The mark is stored before a consumer has made the stream that it is in.
        let tasks = [
            StreamTask::consumers(wish, &capabilities, absent),
            StreamTask::values(wish, &capabilities, absent),
        ];
        drop(node);
        let answered = |task: &mut StreamTask, reply: StoreReply| match task.answered(reply) {
            space::Next::Ask => Next::Ask,
            space::Next::Wait(_) => Next::Wait,
            space::Next::Done(()) => Next::Done(Ok(())),
            space::Next::Fail(error) => Next::Done(Err(StoreError::failed(error))),
            space::Next::Wrong => Next::Done(Err(StoreError::failed(
                "the store answered something else than it was asked",
            ))),
        };
        for mut task in tasks {
            let name = claim.projection();
            let opening = keeper.run(name, &mut task, StreamTask::request, answered);
            opening.await??;
        }
        let value_bytes_max = capabilities.payload_bytes_max;
        Ok(Self {
            claim: claim.clone(),
            value_bytes_max: value_bytes_max
                .saturating_sub(BESIDE)
                .max(value_bytes_max / 2),
        })
    }

    /// The mark, and where it is.
    pub(super) async fn mark(claim: &Claim) -> Result<Option<(Sequence, Mark)>, StoreError> {
        let keeper = &claim.keeper;
        let (ns, name) = (keeper.namespace.clone(), claim.projection.clone());
        let load = Load::new(ns, name, keeper.key, true);
        Self::loaded(claim, load).await
    }

    /// The same, where values say that there is one.
    pub(super) async fn known_mark(claim: &Claim) -> Result<Option<(Sequence, Mark)>, StoreError> {
        let keeper = &claim.keeper;
        let (ns, name) = (keeper.namespace.clone(), claim.projection.clone());
        let load = Load::new(ns, name, keeper.key, true).of_known();
        Self::loaded(claim, load).await
    }

    async fn loaded(claim: &Claim, mut load: Load) -> Result<Option<(Sequence, Mark)>, StoreError> {
        let keeper = &claim.keeper;
        let loading = keeper.run(claim.projection(), &mut load, Load::request, Load::answered);
        Ok(loading.await?.map(|loaded| (loaded.at, loaded.mark)))
    }

    /// Writes the mark in the place of another one; where it is then.
    pub(super) async fn hold(&self, mark: Mark, over: Sequence) -> Result<Sequence, StoreError> {
        let keeper = &self.claim.keeper;
        let mut hold = Hold::new(keeper.namespace.clone(), mark, over);
        let name = self.claim.projection();
        let held = keeper.run(name, &mut hold, Hold::request, Hold::answered);
        match held.await? {
            Held::At(at) => Ok(at),
            Held::Superseded { node, run } => Err(StoreError::Superseded { node, run }),
        }
    }

    /// Ends a run in whose place there is another one.
    pub(super) async fn is_mine(&self) -> Result<(), StoreError> {
        match Self::mark(&self.claim).await? {
            Some((_, Mark { run, node, .. })) if run != self.claim.run => {
                Err(StoreError::Superseded { node, run })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Reads the values of keys.
    pub(super) async fn read(
        &self,
        keys: &[String],
    ) -> Result<BTreeMap<String, Placed>, StoreError> {
        let (ns, name) = (&self.claim.keeper.namespace, &self.claim.projection);
        if keys.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut read = Read::new(ns.clone(), name.clone(), keys);
        let reading = self.claim.keeper.run(
            self.claim.projection(),
            &mut read,
            Read::request,
            Read::answered,
        );
        let before = ns.value_subject(name, "");
        let mut found = BTreeMap::new();
        for message in reading.await? {
            if let Some(key) = message.subject.strip_prefix(before.as_str()) {
                let placed = placed(key, &message.payload, message.sequence)?;
                found.insert(key.to_owned(), placed);
            }
        }
        Ok(found)
    }

    /// All keys that have something, each with its value; an error in the place of what somebody else wrote.
    pub(super) async fn all(
        &self,
    ) -> Result<BTreeMap<String, (Sequence, Option<Placed>)>, StoreError> {
        let (ns, name) = (&self.claim.keeper.namespace, &self.claim.projection);
        let mut list = List::new(ns.clone(), name.clone());
        let mut all = BTreeMap::new();
        loop {
            let keeper = &self.claim.keeper;
            let listing = keeper.run(
                self.claim.projection(),
                &mut list,
                List::request,
                List::answered,
            );
            let page = listing.await?;
            for (key, message) in page.values {
                let placed = placed(&key, &message.payload, message.sequence).ok();
                all.insert(key, (message.sequence, placed));
            }
            if !page.more {
                return Ok(all);
            }
        }
    }

    /// Stores values, each in the place of the one that it was made of; whether all are there.
    pub(super) async fn write(&self, changed: Vec<(String, Placed)>) -> Result<bool, StoreError> {
        let mut all = true;
        let mut left = changed.into_iter();
        let mut puts: FuturesUnordered<_> = left
            .by_ref()
            .take(PUTS_MAX)
            .map(|it| self.put(it))
            .collect();
        while let Some(written) = puts.next().await {
            all &= written? != Written::Moved;
            puts.extend(left.next().map(|it| self.put(it)));
        }
        Ok(all)
    }

    async fn put(&self, (key, placed): (String, Placed)) -> Result<Written, StoreError> {
        let (keeper, name) = (&self.claim.keeper, &self.claim.projection);
        let value = (placed.entry.is_gone(), placed.entry.encode());
        let mut put = Put::new(&keeper.namespace, name, (&key, placed.at), value);
        let name = self.claim.projection();
        keeper
            .run(name, &mut put, Put::request, Put::answered)
            .await
    }
}

//! The aggregate of these tests: a counter, of which processes differ in when they take snapshots.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tenure::prelude::*;
use tenure::{Codec, CodecError, RawEvent, SnapshotPolicy};

/// A counter. `EVERY` is after how many commits this process takes a snapshot; 0 is never.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counter<const EVERY: u32 = 0> {
    pub(crate) count: u64,
}

#[derive(Debug, PartialEq, Eq, Event)]
pub(crate) enum Counted {
    #[event(name = "incremented", version = 1)]
    Incremented { by: u64 },
}

impl<const EVERY: u32> Aggregate for Counter<EVERY> {
    type Event = Counted;
    const KIND: &'static str = "counter";

    fn evolve(&mut self, event: &Counted) {
        let Counted::Incremented { by } = event;
        self.count += by;
    }

    fn settings() -> KindSettings {
        match EVERY {
            0 => KindSettings::default(),
            commits => KindSettings::default().snapshots(SnapshotPolicy::every(commits)),
        }
    }

    fn snapshot(&self, codec: Codec) -> Option<Result<Bytes, CodecError>> {
        Some(codec.encode(self))
    }

    fn restore(state: &[u8], codec: Codec) -> Option<Result<Self, CodecError>> {
        Some(codec.decode(state))
    }
}

/// Counts `by`, in as many events of 1.
#[derive(Clone, Debug, Serialize, Deserialize, Message)]
#[message(name = "increment", version = 1)]
pub(crate) struct Increment {
    pub(crate) by: u64,
}

/// Nobody counts by nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("an increment is at least 1")]
pub(crate) struct ByNothing;

impl<const EVERY: u32> Decide<Increment> for Counter<EVERY> {
    type Reply = u64;
    type Error = ByNothing;

    fn decide(
        &self,
        command: &Increment,
        _: &DecideCx<'_>,
    ) -> Result<Decision<Self, u64>, ByNothing> {
        if command.by == 0 {
            return Err(ByNothing);
        }
        let events = (0..command.by).map(|_| Counted::Incremented { by: 1 });
        Ok(Decision::events(events).reply(self.count + command.by))
    }
}

/// One by one.
pub(crate) fn one() -> Increment {
    Increment { by: 1 }
}

/// An event of a counter as the log holds it.
pub(crate) fn incremented(by: u64) -> RawEvent {
    #[derive(Serialize)]
    struct Fields {
        by: u64,
    }
    let data = Codec::Cbor.encode(&Fields { by }).unwrap();
    RawEvent::new("incremented", 1, data)
}

/// The counters of a node.
pub(crate) async fn counters_of<const EVERY: u32>(tenure: &Tenure) -> Repository<Counter<EVERY>> {
    tenure.repository().await.unwrap()
}

/// An entity's count and version.
pub(crate) async fn count_and_version<const EVERY: u32>(
    counters: &Repository<Counter<EVERY>>,
    id: &str,
) -> (u64, u64) {
    let loaded = counters.load(id).await.unwrap();
    (loaded.state.count, loaded.version.0)
}

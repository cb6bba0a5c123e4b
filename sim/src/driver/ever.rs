//! What was ever stored of entities: a deletion takes it out of the store, and not out of what a run is
//! judged by.

use crate::oracle::{Class, Violation};
use crate::stage::{Record, Streams};
use std::collections::BTreeMap;
use tenure_core::format::Commit;
use tenure_core::id::Sequence;
use tenure_core::name::Namespace;
use tenure_core::port::Subject;

/// The commits, ownership records and anchors that were stored, by stream, oldest first.
#[derive(Debug, Default)]
pub(super) struct Ever {
    streams: BTreeMap<String, Stored>,
}

#[derive(Debug, Default)]
struct Stored {
    records: Vec<Record>,
    /// All messages up to this one were looked at.
    seen: Sequence,
    /// The stream came back without its end: what that had removed may be gone or back.
    lossy: bool,
}

impl Ever {
    /// Takes in what a stream has by now.
    pub(super) fn take(&mut self, at: u64, store: &dyn Streams, stream: &str) {
        let stored = self.streams.entry(stream.to_owned()).or_default();
        let last = store.last(stream);
        for sequence in stored.seen.0 + 1..=last.0 {
            let message = store.message(stream, Sequence(sequence)).cloned();
            let message = message.filter(|message| is_kept(&message.subject));
            let records = &mut stored.records;
            records.extend(message.map(|message| Record { at, message }));
        }
        stored.seen = stored.seen.max(last);
    }

    /// A stream comes back without its end.
    pub(super) fn cut(&mut self, stream: &str, last: Sequence) {
        if let Some(stored) = self.streams.get_mut(stream) {
            let records = &mut stored.records;
            records.truncate(records.partition_point(|it| it.message.sequence <= last));
            stored.seen = stored.seen.min(last);
            stored.lossy = true;
        }
    }

    /// All of it, those of one stream in their order.
    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        self.streams.values().flat_map(|stored| &stored.records)
    }

    /// Whether the store has of each entity what was stored since its last tombstone, with that one, and
    /// nothing before it (V1).
    pub(super) fn judge(
        &self,
        namespace: &Namespace,
        store: &dyn Streams,
    ) -> Result<(), Violation> {
        for (stream, stored) in self.streams.iter().filter(|(_, stored)| !stored.lossy) {
            let mut wanted: BTreeMap<&Subject, Vec<Sequence>> = BTreeMap::new();
            for Record { message, .. } in &stored.records {
                if namespace.parse_event_subject(&message.subject).is_err() {
                    continue;
                }
                let there = wanted.entry(&message.subject).or_default();
                if Commit::decode(&message.payload).is_ok_and(|commit| commit.tombstone) {
                    there.clear();
                }
                there.push(message.sequence);
            }
            for message in store.messages(stream) {
                if let Some(there) = wanted.get_mut(&message.subject) {
                    let place = there.iter().position(|at| *at == message.sequence);
                    let Some(place) = place else {
                        let what = "is there beside the tombstone after it (V1)";
                        return Err(erased(&message.subject, message.sequence, what));
                    };
                    there.remove(place);
                }
            }
            if let Some((subject, lost)) = wanted.iter().find(|(_, lost)| !lost.is_empty()) {
                let what = "is gone, and no tombstone is after it (P1)";
                return Err(erased(subject, lost[0], what));
            }
        }
        Ok(())
    }
}

fn erased(subject: &Subject, sequence: Sequence, what: &str) -> Violation {
    Violation {
        class: Class::Safety,
        oracle: "erased",
        what: format!("{subject} at {sequence:?} {what}"),
    }
}

/// Whether it is no barrier and no index: of those each replaces the one before it.
fn is_kept(subject: &Subject) -> bool {
    let family = subject.split('.').nth(1);
    matches!(family, Some("ev" | "own" | "lay"))
}

#[cfg(test)]
mod tests {
    use super::Ever;
    use bytes::Bytes;
    use tenure_core::format::{Commit, Unknown};
    use tenure_core::id::{CommitId, KindId, LayoutId, Sequence, Version, WallTime};
    use tenure_core::name::{EntityId, Namespace};
    use tenure_core::port::{Expect, Publish, Rollup, StoreRequest, StreamSettings};
    use tenure_mem::store::{Store, StoreConfig};

    fn commit(tombstone: bool) -> Bytes {
        let commit = Commit {
            id: CommitId(1),
            layout: LayoutId(1),
            kind: KindId(1),
            entity: EntityId::new("e").unwrap(),
            epoch: None,
            time: WallTime(1),
            before: Version(0),
            last: Version(0),
            earlier: Vec::new().into(),
            snapshot: None,
            horizon: WallTime(0),
            commands: Vec::new(),
            events: Vec::new(),
            tombstone,
            metadata: Vec::new(),
            later: None,
            unknown: Unknown::default(),
        };
        commit.encode()
    }

    #[test]
    fn what_is_beside_a_tombstone_and_what_is_gone_without_one_is_seen() {
        let namespace = Namespace::new("sim").unwrap();
        let mut store = Store::new(StoreConfig::default());
        let settings = StreamSettings::event_log("S".into(), vec!["sim.ev.>".into()], 1);
        store.apply(WallTime(1), &StoreRequest::CreateStream(settings));
        let mut ever = Ever::default();
        let mut publish = |store: &mut Store, tombstone, rollup| {
            let publish = Publish {
                stream: "S".into(),
                subject: "sim.ev.0.account.e".into(),
                expect: Expect::Nothing,
                rollup,
                dedup: None,
                ttl_s: None,
                payload: commit(tombstone),
            };
            store.apply(WallTime(1), &StoreRequest::Publish(publish));
            ever.take(1, store, "S");
            ever.judge(&namespace, store).map_err(|it| it.what)
        };
        assert_eq!(publish(&mut store, false, Rollup::No), Ok(()));
        assert_eq!(publish(&mut store, true, Rollup::Subject), Ok(()));
        let beside = publish(&mut store, true, Rollup::No).unwrap_err();
        assert!(beside.contains("beside the tombstone"), "{beside}");
        let gone = publish(&mut store, false, Rollup::Subject).unwrap_err();
        assert!(gone.contains("is gone"), "{gone}");
        ever.cut("S", Sequence(2));
        assert_eq!(ever.records().count(), 2);
    }
}

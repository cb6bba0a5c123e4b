//! What a run writes down of its store while it lasts, to be judged by: when something was stored, and what
//! is there no more.

use super::ever::Ever;
use super::log::Log;
use super::plan::Plan;
use crate::oracle::Violation;
use crate::stage::{Record, Streams};
use crate::voids::Voids;
use std::collections::BTreeMap;
use tenure_core::id::Sequence;
use tenure_core::name::Namespace;

/// What was stored so far.
#[derive(Debug)]
pub(crate) struct Written {
    /// The streams of events.
    events: Vec<String>,
    /// Up to where the others were looked at of which something is asked: that of the consumers, and the
    /// bucket of values.
    others: BTreeMap<String, Sequence>,
    /// What was stored in the streams of events, what was deleted since among it.
    ever: Ever,
    /// What was stored in the others.
    records: Vec<Record>,
}

impl Written {
    /// Nothing is stored yet.
    pub(crate) fn new(plan: &Plan, namespace: &Namespace) -> Self {
        let readers = plan.readers;
        let records = (readers.groups || readers.projections).then(|| namespace.consumer_stream());
        let values = readers.projections.then(|| namespace.value_stream());
        let others = [records, values].into_iter().flatten();
        Self {
            events: plan.event_streams(),
            others: others
                .map(|stream| (stream.as_str().to_owned(), Sequence::NONE))
                .collect(),
            ever: Ever::default(),
            records: Vec::new(),
        }
    }

    /// Takes in what all streams have by now.
    pub(crate) fn take_all(&mut self, at: u64, store: &dyn Streams) {
        for stream in &self.events {
            self.ever.take(at, store, stream);
        }
        for (stream, seen) in &mut self.others {
            take(&mut self.records, at, store, (stream, seen));
        }
    }

    /// Takes in what one stream has by now.
    pub(crate) fn take(&mut self, at: u64, store: &dyn Streams, stream: &str) {
        if self.events.iter().any(|it| it == stream) {
            self.ever.take(at, store, stream);
        }
        if let Some(seen) = self.others.get_mut(stream) {
            take(&mut self.records, at, store, (stream, seen));
        }
    }

    /// A stream of events comes back without its end.
    pub(crate) fn cut(&mut self, stream: &str, last: Sequence) {
        self.ever.cut(stream, last);
    }

    /// What was stored in the streams of events, those of one stream in their order.
    pub(crate) fn stored(&self) -> Vec<Record> {
        self.ever.records().cloned().collect()
    }

    /// What was stored in the other streams, oldest first, from the given one on.
    pub(crate) fn records(&self, from: usize) -> Vec<Record> {
        let records = self.records.get(from..);
        records.unwrap_or_default().to_vec()
    }

    /// All that was stored in the streams of events, what was deleted among it, held against what is there.
    pub(crate) fn log(
        &self,
        namespace: &Namespace,
        store: &dyn Streams,
        voids: &Voids,
    ) -> Result<Log, Violation> {
        self.ever.judge(namespace, store)?;
        let messages = self.ever.records().map(|record| &record.message);
        Log::read(namespace, messages, voids)
    }
}

fn take(
    records: &mut Vec<Record>,
    at: u64,
    store: &dyn Streams,
    (stream, seen): (&str, &mut Sequence),
) {
    let last = store.last(stream);
    for sequence in seen.0 + 1..=last.0 {
        let message = store.message(stream, Sequence(sequence)).cloned();
        records.extend(message.map(|message| Record { at, message }));
    }
    *seen = last;
}

#[cfg(test)]
mod tests {
    use super::Written;
    use crate::driver::plan::Plan;
    use crate::profile::Profile;
    use bytes::Bytes;
    use tenure_core::id::{Sequence, WallTime};
    use tenure_core::name::Namespace;
    use tenure_core::port::{Expect, Publish, Rollup, StoreRequest, StreamSettings};
    use tenure_mem::store::{Store, StoreConfig};

    #[test]
    fn what_was_stored_is_written_down_once_and_stays_when_it_is_gone() {
        let namespace = Namespace::new("sim").unwrap();
        let mut written = Written::new(&Plan::new(1, Profile::Group, None), &namespace);
        let mut store = Store::new(StoreConfig::default());
        let stream = namespace.consumer_stream();
        let settings = StreamSettings::event_log(stream.clone(), vec!["sim.con.>".into()], 1);
        store.apply(WallTime(1), &StoreRequest::CreateStream(settings));
        for at in 1..=3 {
            let publish = Publish {
                stream: stream.clone(),
                subject: "sim.con.a".into(),
                expect: Expect::Nothing,
                rollup: Rollup::Subject,
                dedup: None,
                ttl_s: None,
                payload: Bytes::from_static(b"{}"),
            };
            store.apply(WallTime(1), &StoreRequest::Publish(publish));
            written.take_all(at, &store);
            written.take(at, &store, &stream);
        }
        assert_eq!(store.messages(&stream).count(), 1);
        let times = |from| -> Vec<_> {
            let records = written.records(from);
            let each = records.iter().map(|it| (it.at, it.message.sequence));
            each.collect()
        };
        let all = [(1, Sequence(1)), (2, Sequence(2)), (3, Sequence(3))];
        assert_eq!(times(0), all);
        assert_eq!(times(2), all[2..]);
        assert_eq!(times(9), []);
    }
}

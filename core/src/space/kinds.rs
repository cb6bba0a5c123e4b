//! Kinds: each has one immutable record, made at first use and compared at each (S2).

use super::record::{Next, Record, Settled};
use super::{KindWish, SpaceError};
use crate::format::{KindRecord, Unknown};
use crate::id::{KindId, LayoutId, Sequence};
use crate::name::Namespace;
use crate::port::{Expect, Publish, Rollup, StoreReply, StoreRequest};
use crate::step::Time;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use core::fmt::Display;

/// One kind on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KindTask {
    pub(super) wish: KindWish,
    /// Drawn once, so that all attempts offer the same record.
    pub(super) id: KindId,
    /// When its caller is told that it took too long; counted from when the namespace is open.
    pub(super) deadline: Option<Time>,
    /// What was in the way at last.
    pub(super) last: String,
    work: Option<(Record, KindRecord)>,
}

impl KindTask {
    pub(super) fn new(wish: KindWish, id: KindId) -> Self {
        Self {
            wish,
            id,
            deadline: None,
            last: "nothing was sent yet".into(),
            work: None,
        }
    }

    /// Begins, or begins again after a reconnect, with this record to offer.
    pub(super) fn start(&mut self, ns: &Namespace, layout: LayoutId) -> KindRecord {
        let offered = KindRecord {
            id: self.id,
            layout,
            name: self.wish.name.clone(),
            mode: self.wish.mode,
            class: self.wish.class,
            codec: self.wish.codec,
            placement: self.wish.placement,
            unknown: Unknown::default(),
        };
        let stream = ns.control_stream();
        let subject = ns.kind_subject(&self.wish.name);
        let read = StoreRequest::Latest {
            stream: stream.clone(),
            subjects: vec![subject.clone()],
        };
        let write = Publish {
            stream,
            subject,
            expect: Expect::OwnLast(Sequence::NONE),
            rollup: Rollup::No,
            dedup: None,
            ttl_s: None,
            payload: offered.encode(),
        };
        let what = format!("the record of kind {}", self.wish.name);
        self.work = Some((Record::new(what, read, write, false), offered.clone()));
        offered
    }

    pub(super) fn request(&self) -> Option<StoreRequest> {
        self.work.as_ref().map(|(record, _)| record.request())
    }

    pub(super) fn answered(&mut self, reply: StoreReply) -> Next<KindRecord> {
        let Some((record, offered)) = &mut self.work else {
            return Next::Wrong;
        };
        let stored = match record.answered(reply) {
            Next::Done(Settled::Mine) => Ok(offered.clone()),
            Next::Done(Settled::Stored(bytes)) => KindRecord::decode(&bytes),
            Next::Ask => return Next::Ask,
            Next::Wait(last) => {
                self.last.clone_from(&last);
                return Next::Wait(last);
            }
            Next::Fail(error) => return Next::Fail(error),
            Next::Wrong => return Next::Wrong,
        };
        let stored = stored.map_err(SpaceError::Format);
        match stored.and_then(|stored| compare(offered, &stored).map(|()| stored)) {
            Ok(stored) => Next::Done(stored),
            Err(error) => Next::Fail(error),
        }
    }
}

/// Whether a wish is met by what is recorded.
pub(super) fn compare(offered: &KindRecord, stored: &KindRecord) -> Result<(), SpaceError> {
    if stored.layout != offered.layout {
        return Err(SpaceError::OtherLayout {
            what: format!("the record of kind {}", offered.name),
            expected: offered.layout,
            found: stored.layout,
        });
    }
    same(offered, "write mode", stored.mode, offered.mode)?;
    same(offered, "take-over class", stored.class, offered.class)?;
    same(offered, "codec", stored.codec, offered.codec)?;
    same(offered, "placement", stored.placement, offered.placement)
}

fn same<T: Display + PartialEq>(
    kind: &KindRecord,
    what: &'static str,
    stored: T,
    wanted: T,
) -> Result<(), SpaceError> {
    if stored == wanted {
        return Ok(());
    }
    let (stored, wanted) = (stored.to_string(), wanted.to_string());
    Err(SpaceError::KindDiffers {
        kind: kind.name.clone(),
        what,
        stored,
        wanted,
    })
}

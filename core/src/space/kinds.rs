//! Kinds: each has one immutable record, made at first use and compared at each (S2).

use super::ask::Job;
use super::machine::{Phase, Space};
use super::record::{Next, Record, Settled};
use super::{Effect, KindWish, SpaceError};
use crate::format::{KindRecord, Unknown};
use crate::id::{KindId, LayoutId, Ticket};
use crate::name::Namespace;
use crate::port::{StoreReply, StoreRequest};
use crate::step::{Cx, Effects, Purpose, Time};
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::Display;

impl Space {
    pub(super) fn kind(&mut self, cx: &mut Cx<'_>, wish: KindWish, out: &mut Effects<Effect>) {
        let ticket = wish.ticket;
        if let Phase::Over(error) = &self.phase {
            out.push(Effect::KindFailed {
                ticket,
                error: error.clone(),
            });
            return;
        }
        if self.kinds.len() >= self.limits.kinds_max {
            let error = SpaceError::TooManyKinds {
                kinds_max: self.limits.kinds_max,
            };
            out.push(Effect::KindFailed { ticket, error });
            return;
        }
        let id = KindId(cx.dice.roll128(Purpose::KindId, self.kind_ids));
        self.kind_ids += 1;
        let mut task = KindTask::new(wish, id);
        task.deadline = self.opened.as_ref().map(|_| cx.now + task.wish.timeout);
        self.kinds.insert(ticket, task);
        if matches!(self.phase, Phase::Open) {
            self.start_kind(cx, ticket, out);
        }
    }

    pub(super) fn start_kind(&mut self, cx: &Cx<'_>, ticket: Ticket, out: &mut Effects<Effect>) {
        let (Some(task), Some(opened)) = (self.kinds.get_mut(&ticket), &self.opened) else {
            return;
        };
        task.deadline.get_or_insert(cx.now + task.wish.timeout);
        let offered = task.start(&self.wish.namespace, opened.layout.id);
        match self.records.get(&task.wish.name) {
            Some(stored) => {
                let told = compare(&offered, stored).map(|()| stored.clone());
                self.kind_over(ticket, told, out);
            }
            None => self.ask(Job::Kind(ticket), out),
        }
    }

    pub(super) fn kind_over(
        &mut self,
        ticket: Ticket,
        told: Result<KindRecord, SpaceError>,
        out: &mut Effects<Effect>,
    ) {
        self.kinds.remove(&ticket);
        self.asks.done(Job::Kind(ticket));
        out.push(match told {
            Ok(record) => {
                self.records.insert(record.name.clone(), record.clone());
                Effect::KindReady { ticket, record }
            }
            Err(error) => Effect::KindFailed { ticket, error },
        });
    }
}

/// One kind on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
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
        let what = format!("the record of kind {}", self.wish.name);
        let subject = ns.kind_subject(&self.wish.name);
        let record = Record::control(what, ns, subject, offered.encode(), false);
        self.work = Some((record, offered.clone()));
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
fn compare(offered: &KindRecord, stored: &KindRecord) -> Result<(), SpaceError> {
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

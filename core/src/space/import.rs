//! A namespace that is filled from an export: its record comes before the layout, and keeps everyone else
//! out until the import is done (N7).

use super::machine::{Phase, Space};
use super::record::{Next, Record, Settled};
use super::{SpaceError, SpaceWish};
use crate::format::{Import, Layout};
use crate::port::{Message, StoreDone, StoreReply, Subject};
use crate::step::Outcome;

/// The record of the import that is wished for. The layout is read along: where it is first, the namespace
/// is somebody else's.
pub(super) fn import_record(wish: &SpaceWish) -> Option<Record> {
    let import = wish.import.as_ref()?;
    let ns = &wish.namespace;
    let what = "the record of the import".into();
    let record = Record::control(what, ns, ns.import_subject(), import.encode(), false);
    Some(record.with(ns.layout_subject()))
}

/// Whether an answer to the read of the layout lets this process in. An import whose layout came second has
/// no part in the namespace.
pub(super) fn may_open(wish: &SpaceWish, reply: &StoreReply) -> Result<(), SpaceError> {
    let Some(stored) = found(reply, &wish.namespace.import_subject()) else {
        return Ok(());
    };
    let stored = Import::decode(&stored.payload).map_err(SpaceError::Format)?;
    let mine = wish.import.as_ref().map(|import| import.export);
    if stored.done.is_some() || mine == Some(stored.export) {
        return Ok(());
    }
    if let Some(layout) = found(reply, &wish.namespace.layout_subject()) {
        let layout = Layout::decode(&layout.payload).map_err(SpaceError::Format)?;
        if layout.id != stored.layout {
            return Ok(());
        }
    }
    Err(SpaceError::Importing {
        namespace: wish.namespace.clone(),
        source_namespace: stored.source,
    })
}

fn found<'r>(reply: &'r StoreReply, subject: &Subject) -> Option<&'r Message> {
    match reply {
        Outcome::Done(StoreDone::Latest(proof)) => {
            let mut messages = proof.messages.iter();
            messages.find(|message| message.subject == *subject)
        }
        Outcome::Done(
            StoreDone::Published(_)
            | StoreDone::Message(_)
            | StoreDone::Page(_)
            | StoreDone::Stream(_)
            | StoreDone::Capabilities(_)
            | StoreDone::Consumer(_)
            | StoreDone::Fetched(_)
            | StoreDone::Closed,
        )
        | Outcome::Refused(_)
        | Outcome::Unknown => None,
    }
}

impl Space {
    /// The layout follows when the record is known.
    pub(super) fn import_answered(&mut self, reply: StoreReply) -> Next<()> {
        let (Phase::Import { record, .. }, Some(wished)) = (&mut self.phase, &self.wish.import)
        else {
            return Next::Wrong;
        };
        let ns = &self.wish.namespace;
        let layout = found(&reply, &ns.layout_subject()).is_some();
        if layout && found(&reply, &ns.import_subject()).is_none() {
            let namespace = ns.clone();
            return Next::Fail(SpaceError::InUse { namespace });
        }
        let stored = match record.answered(reply) {
            Next::Done(Settled::Mine) => return Next::Done(()),
            Next::Done(Settled::Stored(bytes)) => Import::decode(&bytes),
            Next::Ask => return Next::Ask,
            Next::Wait(last) => return Next::Wait(last),
            Next::Fail(error) => return Next::Fail(error),
            Next::Wrong => return Next::Wrong,
        };
        let namespace = ns.clone();
        match stored {
            Err(error) => Next::Fail(SpaceError::Format(error)),
            Ok(stored) if stored.export != wished.export => Next::Fail(SpaceError::OtherImport {
                namespace,
                source_namespace: stored.source,
            }),
            Ok(stored) if stored.done.is_some() => Next::Fail(SpaceError::Imported { namespace }),
            Ok(stored) => {
                self.wish.import = Some(stored);
                Next::Done(())
            }
        }
    }
}

//! The host of a kind without an aggregate: events are taken as they are.

use super::RawEvent;
use crate::driver::host::{Answer, Caller, Host, Turn};
use crate::id::{Slot, Ticket, Version};
use crate::log::{
    Base, Decided, Expected, Firing, FoldError, NewEvent, Provisional, StoredCommit, Verdict,
};
use crate::name::EntityId;
use bytes::Bytes;
use std::any::Any;
use std::collections::BTreeMap;
use tokio::sync::oneshot;

/// What a caller wants of the log below aggregates.
pub(crate) struct RawAsk {
    /// The events to append; none when it asks for the version.
    pub(crate) events: Vec<RawEvent>,
    pub(crate) done: oneshot::Sender<Answer>,
}

impl Caller for RawAsk {
    fn finish(self: Box<Self>, answer: Answer) {
        // A caller that went away needs no answer.
        let _ = self.done.send(answer);
    }

    fn enter(self: Box<Self>, place: &mut dyn Any) {
        if let Some(place) = place.downcast_mut() {
            *place = Some(*self);
        }
    }
}

/// The callers of one kind in one shard.
#[derive(Default)]
pub(crate) struct RawEntities {
    callers: BTreeMap<Ticket, RawAsk>,
}

impl Host for RawEntities {
    fn admit(&mut self, ticket: Ticket, caller: Box<dyn Caller>) {
        let mut ask: Option<RawAsk> = None;
        caller.enter(&mut ask);
        match ask {
            Some(ask) => {
                self.callers.insert(ticket, ask);
            }
            None => unreachable!("raw kinds have shards of their own"),
        }
    }

    fn fold(
        &mut self,
        _: Slot,
        _: &EntityId,
        _: &Base,
        _: &[StoredCommit],
    ) -> Result<(), FoldError> {
        Ok(())
    }

    fn decide(&mut self, turn: Turn, commands: &[(Ticket, Expected)]) -> Vec<Decided> {
        let mut version = turn.version;
        commands
            .iter()
            .map(|(ticket, expected)| Decided {
                ticket: *ticket,
                verdict: match self.callers.get(ticket) {
                    Some(ask) => append(ask, *expected, &mut version),
                    None => unreachable!("a command has a job until it is answered"),
                },
            })
            .collect()
    }

    fn fire(&mut self, _: Turn, _: &Firing) -> Verdict {
        unreachable!("raw events arm no timers")
    }

    fn answer(&mut self, _: Turn, _: &[Ticket]) {}

    fn snapshot(&mut self, _: Slot, _: Provisional) -> Result<Bytes, String> {
        Err("a log takes no snapshots".to_owned())
    }

    fn forget(&mut self, _: Slot) {}

    fn finish(&mut self, ticket: Ticket, answer: Answer) {
        if let Some(ask) = self.callers.remove(&ticket) {
            Box::new(ask).finish(answer);
        }
    }

    fn finish_all(&mut self, answer: &Answer) {
        while let Some((_, ask)) = self.callers.pop_first() {
            Box::new(ask).finish(answer.clone());
        }
    }
}

fn append(ask: &RawAsk, expected: Expected, version: &mut Version) -> Verdict {
    let met = match expected {
        Expected::Any => true,
        Expected::Exactly(exactly) => exactly == *version,
        Expected::Present => *version != Version::ABSENT,
    };
    if !met {
        return Verdict::Conflict(*version);
    }
    let events = ask.events.iter();
    let events: Vec<NewEvent> = events
        .map(|event| NewEvent {
            version: event.version,
            name: event.name.clone().into(),
            schema: event.schema,
            data: event.data.clone(),
        })
        .collect();
    // When the versions do not rise, the machine refuses this append, and the next one stands
    // where this one stood.
    if let Some(last) = last_version(*version, &events) {
        *version = last;
    }
    Verdict::Accepted {
        events,
        outcome: Bytes::new(),
        record: false,
        later: None,
        delete: false,
    }
}

/// The version after the events; `None` when they do not rise.
fn last_version(before: Version, events: &[NewEvent]) -> Option<Version> {
    events.iter().try_fold(before, |last, event| {
        let version = event.version.or_else(|| last.after(1))?;
        (version > last).then_some(version)
    })
}

#[cfg(test)]
mod tests {
    use super::last_version;
    use crate::id::Version;
    use crate::log::NewEvent;
    use bytes::Bytes;

    #[test]
    fn versions_rise_with_gaps_or_not_at_all() {
        let event = |version: Option<u64>| NewEvent {
            version: version.map(Version),
            name: "e".into(),
            schema: 1,
            data: Bytes::new(),
        };
        let last = |versions: &[Option<u64>]| {
            let events: Vec<_> = versions.iter().copied().map(event).collect();
            last_version(Version(3), &events)
        };
        assert_eq!(last(&[]), Some(Version(3)));
        assert_eq!(last(&[None, Some(9), None]), Some(Version(10)));
        assert_eq!(last(&[Some(4)]), Some(Version(4)));
        assert_eq!(last(&[Some(3)]), None);
        assert_eq!(last(&[Some(7), Some(7)]), None);
        assert_eq!(last(&[Some(u64::MAX), None]), None);
    }
}

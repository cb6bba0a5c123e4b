//! Listening to what is published.

use super::{Bus, BusError, BusEvent, Reach};
use crate::bus::{Next, Overflow, Pattern};
use crate::driver::bus::{Listening, Stopping};
use crate::port::Heard;
use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// How many events wait for a subscriber that does not say.
const ROOM: usize = 1_024;

/// A live subscription that is being described.
#[must_use = "a subscription listens when it is started"]
#[derive(Debug)]
pub struct Listen {
    bus: Bus,
    pattern: String,
    room: usize,
    overflow: Overflow,
    names: BTreeSet<String>,
}

impl Listen {
    pub(super) fn new(bus: &Bus, pattern: &str) -> Self {
        Self {
            bus: bus.clone(),
            pattern: pattern.to_owned(),
            room: ROOM,
            overflow: Overflow::default(),
            names: BTreeSet::new(),
        }
    }

    /// How many events wait to be read; 1,024 when this is not said.
    pub fn room(mut self, events: NonZeroUsize) -> Self {
        self.room = events.get();
        self
    }

    /// What becomes of events that find no room; the oldest goes when this is not said. Nobody waits for a
    /// subscriber: who needs all events and can make the store wait subscribes
    /// [durably](Bus::durable), where what is not read stays stored.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Only events of this stable name; several may be named. The others take up room until they are
    /// reached.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.names.insert(name.into());
        self
    }

    /// Listens from now on. What this node publishes after it is heard, too.
    ///
    /// On NATS a user without the right to subscribe to `<namespace>.cast.>` hears nothing, and the server
    /// says why in the log.
    ///
    /// # Errors
    ///
    /// When the pattern cannot be one.
    pub fn start(self) -> Result<Subscription, BusError> {
        let pattern = Pattern::new(&self.pattern)?;
        let handle = &self.bus.tenure.inner.handle;
        let filter = match &self.bus.reach {
            Reach::One(namespace) => namespace.cast_filter(&pattern),
            Reach::All => format!("*.cast.{pattern}").into(),
        };
        let listening = Listening::new(self.room, self.overflow, handle.bus_counts());
        let listening = Arc::new(listening);
        handle.listen(filter, &listening);
        Ok(Subscription {
            listening,
            stopping: handle.stopping(),
            pattern,
            names: self.names,
        })
    }
}

/// A live subscription. It ends when it is dropped, and with its node.
pub struct Subscription {
    listening: Arc<Listening>,
    stopping: Stopping,
    pattern: Pattern,
    names: BTreeSet<String>,
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("pattern", &self.pattern)
            .finish_non_exhaustive()
    }
}

impl Subscription {
    /// The next event, or the gap that is before it; waits for one. `None` when nothing comes any more: the
    /// node has stopped, or there was no room under [`Overflow::Disconnect`], of which the gap before tells.
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<Next<BusEvent>> {
        loop {
            let next = tokio::select! {
                biased;
                next = self.listening.next() => next?,
                () = self.stopping.stopped() => self.listening.pop()?,
            };
            if let Some(next) = self.event(next) {
                return Some(next);
            }
        }
    }

    /// The next event, past all gaps.
    ///
    /// Cancel safe.
    pub async fn event_only(&mut self) -> Option<BusEvent> {
        loop {
            match self.next().await? {
                Next::Event(event) => return Some(event),
                Next::Gap(_) => {}
            }
        }
    }

    /// How many events had no room since it began.
    pub fn dropped(&self) -> u64 {
        self.listening.dropped().0
    }

    /// Whether an event without room ended it.
    pub fn is_disconnected(&self) -> bool {
        self.listening.dropped().1
    }

    /// What is wanted of what was heard.
    fn event(&self, next: Next<Heard>) -> Option<Next<BusEvent>> {
        match next {
            Next::Gap(gap) => Some(Next::Gap(gap)),
            Next::Event(heard) => {
                let event = BusEvent::of(&heard)?;
                let wanted = self.names.is_empty() || self.names.contains(event.name());
                wanted.then_some(Next::Event(event))
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.listening.leave();
    }
}

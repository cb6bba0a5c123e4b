//! Fetches that wait at a simulated store for what is not stored yet. The model answers each at once,
//! with nothing where there is nothing; such an answer is kept back until something is stored in the
//! stream, or the fetch has waited.

use std::collections::BTreeMap;
use tenure_core::Outcome;
use tenure_core::port::{StoreDone, StoreReply, StoreRequest, StreamName};
use tenure_core::step::Span;

/// The fetches that were kept back, by their numbers.
#[derive(Debug)]
pub(crate) struct Waits<Id>(BTreeMap<Id, Wait>);

#[derive(Debug)]
struct Wait {
    stream: StreamName,
    /// In true nanoseconds.
    until: u64,
    answered: bool,
}

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It is told.
    No,
    /// It is kept back; the store is to be asked again after so long at the latest.
    Begun(Span),
    /// It is kept back still.
    Still,
}

impl<Id> Default for Waits<Id> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<Id: Copy + Ord> Waits<Id> {
    /// Whether the store's answer to a request is kept back at `now`, in true nanoseconds.
    pub(crate) fn keep(
        &mut self,
        now: u64,
        id: Id,
        request: &StoreRequest,
        reply: &StoreReply,
    ) -> Kept {
        let wait = request.patience();
        let nothing = matches!(
            reply,
            Outcome::Done(StoreDone::Fetched(fetched)) if fetched.messages.is_empty()
        );
        let kept = self.0.get_mut(&id);
        match (kept, request.stream()) {
            (Some(kept), _) => {
                kept.answered = !nothing || kept.until <= now;
                if kept.answered { Kept::No } else { Kept::Still }
            }
            (None, Some(stream)) if nothing && wait > Span::ZERO => {
                let wait_on = Wait {
                    stream: stream.clone(),
                    until: now + wait.as_nanos(),
                    answered: false,
                };
                self.0.insert(id, wait_on);
                Kept::Begun(wait)
            }
            (None, Some(_) | None) => Kept::No,
        }
    }

    /// Whether it was kept back and is answered now: the store is asked no more.
    pub(crate) fn is_over(&self, id: Id) -> bool {
        self.0.get(&id).is_some_and(|wait| wait.answered)
    }

    /// Those that wait for what was stored in a stream now, and are to be asked again.
    pub(crate) fn stirred(&self, stream: &str) -> Vec<Id> {
        let waiting = self.0.iter();
        let waiting = waiting.filter(|(_, wait)| !wait.answered && wait.stream == *stream);
        waiting.map(|(id, _)| *id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Kept, Waits};
    use tenure_core::Outcome;
    use tenure_core::port::{Fetched, Refused, StoreDone, StoreReply, StoreRequest};
    use tenure_core::step::Span;

    fn fetch(wait: Span) -> StoreRequest {
        StoreRequest::Fetch {
            stream: "S".into(),
            consumer: "c".into(),
            messages_max: 1,
            bytes_max: 1,
            wait,
        }
    }

    #[test]
    fn what_brings_nothing_is_kept_back_until_it_brings_something_or_has_waited() {
        let nothing: StoreReply = Outcome::Done(StoreDone::Fetched(Fetched {
            messages: Vec::new(),
            pending: 0,
        }));
        let gone = Outcome::Refused(Refused::NoConsumer);
        let (mut waits, wait) = (Waits::default(), Span::from_nanos(10));
        assert_eq!(waits.keep(0, 1, &fetch(Span::ZERO), &nothing), Kept::No);
        assert_eq!(waits.keep(0, 1, &fetch(wait), &gone), Kept::No);
        assert_eq!(waits.keep(0, 1, &fetch(wait), &nothing), Kept::Begun(wait));
        assert_eq!(waits.keep(0, 2, &fetch(wait), &nothing), Kept::Begun(wait));
        assert_eq!(waits.stirred("S"), [1, 2]);
        assert_eq!(waits.stirred("T"), [0; 0]);
        assert_eq!(waits.keep(9, 1, &fetch(wait), &nothing), Kept::Still);
        assert_eq!(waits.keep(9, 2, &fetch(wait), &gone), Kept::No);
        assert!(waits.is_over(2) && !waits.is_over(1) && !waits.is_over(3));
        assert_eq!(waits.keep(10, 1, &fetch(wait), &nothing), Kept::No);
        assert_eq!(waits.stirred("S"), [0; 0]);
    }
}

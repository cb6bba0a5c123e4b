//! What was published, what became of it as publishers were told, and what was wrong with what was heard.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tenure_core::format::Publication;
use tenure_core::id::{PublicationId, Sequence};
use tenure_core::port::Message;

/// The book of all that is published. Clones are the same one.
#[derive(Clone, Default)]
pub(super) struct Ledger(Arc<Mutex<Page>>);

#[derive(Default)]
struct Page {
    published: BTreeMap<PublicationId, Entry>,
    /// The first thing that was wrong with what was heard.
    wrong: Option<String>,
}

/// Something that was published.
struct Entry {
    topic: String,
    durable: bool,
    told: Vec<Told>,
}

/// What a publisher is told of a durable event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It is stored, there.
    Stored(Option<Sequence>),
    /// It is not.
    Not,
    /// It may be.
    Unknown,
}

/// What is wrong, by the name of what says so.
type Wrong = (&'static str, String);

impl Ledger {
    fn page(&self) -> MutexGuard<'_, Page> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn publishes(&self, id: PublicationId, topic: &str, durable: bool) {
        let entry = Entry {
            topic: topic.to_owned(),
            durable,
            told: Vec::new(),
        };
        self.page().published.insert(id, entry);
    }

    pub(super) fn is_told(&self, id: PublicationId, told: Told) {
        if let Some(entry) = self.page().published.get_mut(&id) {
            entry.told.push(told);
        }
    }

    /// What was heard is something that was published, on that topic; durable or not.
    pub(super) fn hears(
        &self,
        id: PublicationId,
        topic: &str,
        durable: bool,
    ) -> Result<(), String> {
        let page = self.page();
        let entry = page.published.get(&id);
        match entry.filter(|it| (it.topic.as_str(), it.durable) == (topic, durable)) {
            Some(_) => Ok(()),
            None => Err(format!(
                "{id} is heard on {topic}, and was not published so"
            )),
        }
    }

    pub(super) fn is_wrong(&self, what: String) {
        self.page().wrong.get_or_insert(what);
    }

    /// Judges what was heard, and what is stored: each durable event once, where and as its publisher was
    /// told (D1 to D3).
    pub(super) fn judge(&self, stored: &[Message]) -> Result<(), Wrong> {
        let page = self.page();
        if let Some(wrong) = &page.wrong {
            return Err(("told", wrong.clone()));
        }
        let mut places = BTreeMap::new();
        for message in stored {
            let publication = Publication::decode(&message.payload)
                .map_err(|error| ("format", format!("{}: {error}", message.subject)))?;
            let (id, at) = (publication.id, message.sequence);
            if let Some(other) = places.insert(id, at) {
                return Err((
                    "published",
                    format!("{id} is stored at {other} and at {at}"),
                ));
            }
            if !page.published.get(&id).is_some_and(|it| it.durable) {
                return Err((
                    "published",
                    format!("{id} is stored at {at}, and was not to be"),
                ));
            }
        }
        for (id, entry) in &page.published {
            let at = places.get(id).copied();
            let told = &entry.told;
            let elsewhere = |told: &Told| matches!(told, Told::Stored(said) if *said != at);
            let refused = !told.is_empty() && told.iter().all(|told| *told == Told::Not);
            if told.iter().any(elsewhere) || refused && at.is_some() {
                return Err((
                    "published",
                    format!("{id} is stored at {at:?}, and {told:?} was told"),
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Ledger, Told};
    use bytes::Bytes;
    use tenure_core::format::{Publication, Unknown};
    use tenure_core::id::{PublicationId, Sequence, WallTime};
    use tenure_core::port::Message;

    const ONE: PublicationId = PublicationId(1);

    fn stored(at: u64, id: PublicationId) -> Message {
        let publication = Publication {
            id,
            time: WallTime(1),
            node: "n1".to_owned(),
            name: "news".into(),
            schema: 1,
            data: Bytes::new(),
            metadata: None,
            unknown: Unknown::default(),
        };
        Message {
            subject: "sim.bus.news.1".into(),
            sequence: Sequence(at),
            stored: WallTime(1),
            expired_marker: false,
            payload: publication.encode(),
        }
    }

    fn told(told: &[Told]) -> Ledger {
        let ledger = Ledger::default();
        ledger.publishes(ONE, "news.1", true);
        for told in told {
            ledger.is_told(ONE, *told);
        }
        ledger
    }

    #[test]
    fn what_is_stored_once_as_was_told_is_fine() {
        let at = Told::Stored(Some(Sequence(4)));
        for all in [&[at][..], &[Told::Unknown, at], &[Told::Unknown], &[]] {
            assert_eq!(told(all).judge(&[stored(4, ONE)]), Ok(()));
        }
        for all in [&[Told::Not][..], &[Told::Unknown]] {
            assert_eq!(told(all).judge(&[]), Ok(()));
        }
    }

    #[test]
    fn what_is_stored_otherwise_is_seen() {
        let at = Told::Stored(Some(Sequence(4)));
        let wrong = |all: &[Told], there: &[Message]| told(all).judge(there).is_err();
        assert!(wrong(&[at], &[]), "lost");
        assert!(wrong(&[at], &[stored(5, ONE)]), "elsewhere");
        assert!(wrong(&[at], &[stored(4, ONE), stored(5, ONE)]), "twice");
        assert!(
            wrong(&[Told::Not], &[stored(4, ONE)]),
            "not stored, it said"
        );
        assert!(wrong(&[], &[stored(4, PublicationId(2))]), "of nobody");
    }

    #[test]
    fn what_nobody_published_is_not_heard() {
        let ledger = told(&[]);
        assert_eq!(ledger.hears(ONE, "news.1", true), Ok(()));
        assert!(ledger.hears(ONE, "news.2", true).is_err());
        assert!(ledger.hears(ONE, "news.1", false).is_err());
    }
}

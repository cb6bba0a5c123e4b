//! What the store holds, decoded: the truth that oracles judge by. It follows the store after each
//! event and notices when something that was there is not there any more.

use crate::host::{Added, State};
use std::collections::BTreeMap;
use tenure_core::format::{Commit, Ownership};
use tenure_core::id::{Epoch, Incarnation, Sequence, Version};
use tenure_core::name::Namespace;
use tenure_core::port::{Message, Subject};
use tenure_mem::store::Store;

/// A commit, where it is, and what it made of its entity.
#[derive(Clone, Debug)]
pub struct Placed {
    /// Its stream.
    pub stream: String,
    /// Its subject.
    pub subject: Subject,
    /// Its sequence.
    pub sequence: Sequence,
    /// When it was stored, in true nanoseconds.
    pub at: u64,
    /// The commit.
    pub commit: Commit,
    /// What its events say, decoded.
    pub events: Vec<Added>,
    /// The entity's state before it and after each of its events.
    pub states: Vec<State>,
}

impl Placed {
    /// The entity's state before it.
    pub fn before(&self) -> State {
        self.states[0]
    }

    /// The entity's state after it.
    pub fn after(&self) -> State {
        self.states[self.states.len() - 1]
    }
}

/// A message that was stored.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A commit: the place of its [`Placed`] in the entity's history.
    Commit {
        /// The entity's subject.
        subject: Subject,
        /// Its index there.
        index: usize,
    },
    /// An ownership record: the place of its [`Claim`] among those of its shard.
    Claim {
        /// Its subject.
        subject: Subject,
        /// Its index there.
        index: usize,
    },
}

/// An ownership record.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Its stream.
    pub stream: String,
    /// What it says.
    pub epoch: Epoch,
    /// Whom it names.
    pub owner: Option<Incarnation>,
    /// When it was stored, in true nanoseconds.
    pub at: u64,
}

/// Everything that was stored, by entity and by shard.
#[derive(Clone, Debug)]
pub struct Ledger {
    namespace: Namespace,
    seen: BTreeMap<String, Vec<Message>>,
    upto: BTreeMap<String, Sequence>,
    entities: BTreeMap<Subject, Vec<Placed>>,
    /// By ownership subject.
    claims: BTreeMap<Subject, Vec<Claim>>,
}

impl Ledger {
    pub(crate) fn new(namespace: Namespace) -> Self {
        Self {
            namespace,
            seen: BTreeMap::new(),
            upto: BTreeMap::new(),
            entities: BTreeMap::new(),
            claims: BTreeMap::new(),
        }
    }

    /// The commits of an entity, oldest first.
    pub fn history(&self, subject: &str) -> &[Placed] {
        self.entities.get(subject).map_or(&[], Vec::as_slice)
    }

    /// Each entity's subject and history.
    pub fn entities(&self) -> impl Iterator<Item = (&str, &[Placed])> {
        self.entities
            .iter()
            .map(|(subject, history)| (subject.as_str(), history.as_slice()))
    }

    /// The commit at a sequence of an entity.
    pub fn commit_at(&self, subject: &str, sequence: Sequence) -> Option<&Placed> {
        let history = self.history(subject);
        let place = history.binary_search_by_key(&sequence, |placed| placed.sequence);
        Some(&history[place.ok()?])
    }

    /// The state of an entity now.
    pub fn state(&self, subject: &str) -> State {
        self.history(subject)
            .last()
            .map_or_else(State::default, Placed::after)
    }

    /// The version of an entity at a true time.
    pub fn version_at(&self, subject: &str, at: u64) -> Version {
        self.history(subject)
            .iter()
            .rev()
            .find(|placed| placed.at <= at)
            .map_or(Version::ABSENT, |placed| placed.after().version)
    }

    /// The committed state at a version, also between two events of a commit.
    pub fn state_at(&self, subject: &str, version: Version) -> Option<State> {
        if version == Version::ABSENT {
            return Some(State::default());
        }
        self.history(subject)
            .iter()
            .flat_map(|placed| &placed.states)
            .find(|state| state.version == version)
            .copied()
    }

    /// The epoch of a shard at a sequence, by its ownership subject.
    pub fn epoch_before(&self, subject: &str, sequence: Sequence) -> Option<Epoch> {
        self.claims
            .get(subject)?
            .iter()
            .rev()
            .map(|claim| claim.epoch)
            .find(|epoch| epoch.sequence < sequence)
    }

    /// The ownership records of a shard, oldest first, by their subject.
    pub fn claims(&self, subject: &str) -> &[Claim] {
        self.claims.get(subject).map_or(&[], Vec::as_slice)
    }

    /// Takes in what a stream has more of than before.
    pub(crate) fn follow(
        &mut self,
        store: &Store,
        stream: &str,
        at: u64,
    ) -> Result<Vec<Entry>, String> {
        let upto = self.upto.get(stream).copied().unwrap_or_default();
        if store.last(stream) == upto {
            return Ok(Vec::new());
        }
        if store.last(stream) < upto {
            return Err(format!(
                "{stream} ended at {upto:?} and ends at {:?}",
                store.last(stream)
            ));
        }
        let mut new: Vec<Message> = store
            .messages(stream)
            .rev()
            .take_while(|message| message.sequence > upto)
            .cloned()
            .collect();
        new.reverse();
        self.upto.insert(stream.into(), store.last(stream));
        let mut entries = Vec::new();
        for message in new {
            if let Some(entry) = self.take(stream, &message, at)? {
                entries.push(entry);
                self.seen.entry(stream.into()).or_default().push(message);
            }
        }
        Ok(entries)
    }

    /// Whether everything that was ever seen is still there as it was.
    pub(crate) fn compare(&self, store: &Store) -> Result<(), String> {
        for (stream, seen) in &self.seen {
            for message in seen {
                match store.message(stream, message.sequence) {
                    Some(now) if now == message => {}
                    Some(now) => {
                        return Err(format!(
                            "{} at {:?} of {stream} was replaced by {}",
                            message.subject, message.sequence, now.subject
                        ));
                    }
                    None => {
                        return Err(format!(
                            "{} at {:?} of {stream} is gone",
                            message.subject, message.sequence
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// Forgets what a declared loss took.
    pub(crate) fn cut(&mut self, stream: &str, keep_up_to: Sequence) {
        if let Some(seen) = self.seen.get_mut(stream) {
            seen.retain(|message| message.sequence <= keep_up_to);
        }
        if let Some(upto) = self.upto.get_mut(stream) {
            *upto = keep_up_to.min(*upto);
        }
        for claims in self.claims.values_mut() {
            claims.retain(|it| it.stream != stream || it.epoch.sequence <= keep_up_to);
        }
        for history in self.entities.values_mut() {
            history.retain(|placed| placed.stream != stream || placed.sequence <= keep_up_to);
        }
    }

    /// Forgets an ownership record that was deleted.
    pub(crate) fn forget_claim(&mut self, stream: &str, subject: &str, sequence: Sequence) {
        if let Some(seen) = self.seen.get_mut(stream) {
            seen.retain(|message| message.sequence != sequence);
        }
        if let Some(claims) = self.claims.get_mut(subject) {
            claims.retain(|claim| claim.epoch.sequence != sequence);
        }
    }

    fn take(&mut self, stream: &str, message: &Message, at: u64) -> Result<Option<Entry>, String> {
        let subject = &message.subject;
        let family = subject
            .strip_prefix(self.namespace.as_str())
            .and_then(|rest| rest.split('.').nth(1));
        match family {
            Some("ev") => {
                let commit = Commit::decode(&message.payload)
                    .map_err(|error| format!("{subject} at {:?}: {error}", message.sequence))?;
                let named = self
                    .namespace
                    .parse_event_subject(subject)
                    .map_err(|error| error.to_string())?;
                if named.id != commit.entity {
                    return Err(format!(
                        "{subject} at {:?} holds a commit of {:?}",
                        message.sequence, commit.entity
                    ));
                }
                let history = self.entities.entry(subject.clone()).or_default();
                let state = history.last().map_or_else(State::default, Placed::after);
                let events = events(&commit)?;
                let placed = Placed {
                    stream: stream.into(),
                    subject: subject.clone(),
                    sequence: message.sequence,
                    at,
                    states: states(state, &commit, &events),
                    events,
                    commit,
                };
                history.push(placed);
                Ok(Some(Entry::Commit {
                    subject: subject.clone(),
                    index: history.len() - 1,
                }))
            }
            Some("own") => {
                let record = Ownership::decode(&message.payload)
                    .map_err(|error| format!("{subject} at {:?}: {error}", message.sequence))?;
                let epoch = Epoch {
                    sequence: message.sequence,
                    claim: record.claim,
                };
                let claims = self.claims.entry(subject.clone()).or_default();
                claims.push(Claim {
                    stream: stream.into(),
                    epoch,
                    owner: record.owner,
                    at,
                });
                Ok(Some(Entry::Claim {
                    subject: subject.clone(),
                    index: claims.len() - 1,
                }))
            }
            Some(_) | None => Ok(None),
        }
    }
}

fn events(commit: &Commit) -> Result<Vec<Added>, String> {
    let event = |record| {
        let event = Added::of(record);
        event.ok_or_else(|| format!("an event of {:?} is not the host's", commit.entity))
    };
    commit.events.iter().map(event).collect()
}

fn states(mut state: State, commit: &Commit, events: &[Added]) -> Vec<State> {
    let mut states = Vec::with_capacity(events.len() + 1);
    states.push(state);
    for (record, event) in commit.events.iter().zip(events) {
        state = state.after(record.version, event);
        states.push(state);
    }
    states
}

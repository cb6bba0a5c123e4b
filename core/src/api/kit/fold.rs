//! Recorded streams, folded again.

use super::FileError;
use super::recorded::{RecordedCommit, RecordedStreams};
use super::view::{differences, view_of};
use crate::api::entities::{KindFacts, fold_event};
use crate::api::upcast::Steps;
use crate::api::{Aggregate, Ciphered, EventType};
use crate::id::{Sequence, Version, WallTime};
use crate::name::{EntityId, KindName, Namespace};
use serde::Serialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Folds the streams in a file with this build, and compares the state after each commit, or where
/// one was kept, with the one that was recorded.
///
/// A plain test, without a store:
///
/// ```no_run
/// # use tenure_core::api::{Aggregate, kit::still_folds};
/// # fn test<Account: Aggregate + std::fmt::Debug>() {
/// still_folds("tests/recorded/2026-11.jsonl", |account: &Account| format!("{account:?}"));
/// # }
/// ```
///
/// `state` is what [`Repository::record`](crate::api::Repository::record) was given. A projection to
/// a serde value tells where two states differ, a text only that they do.
///
/// # Panics
///
/// When the file cannot be used, an event cannot be read, or a state differs: with a list of all
/// differences.
#[track_caller]
pub fn still_folds<A: Aggregate, P: Serialize>(file: impl AsRef<Path>, state: impl Fn(&A) -> P) {
    let compared = RecordedStreams::read(&file).and_then(|streams| streams.differences(state));
    match compared {
        Ok(differences) if differences.is_empty() => {}
        Ok(differences) => {
            let count = differences.len();
            let lines: Vec<_> = differences.iter().map(|d| format!("\n- {d}")).collect();
            panic!(
                "this build makes other states of {} ({count} differences):{}",
                file.as_ref().display(),
                lines.concat()
            )
        }
        Err(error) => panic!("{error}"),
    }
}

/// Where this build makes something else of a recorded stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The line in the file.
    pub line: usize,
    /// The entity.
    pub entity: String,
    /// Its version: that of the event, or that after the commit.
    pub version: Version,
    /// Where the commit was in its stream.
    pub sequence: Sequence,
    /// When the commit was decided.
    pub time: WallTime,
    /// The stored types of the commit's events, or of the one that cannot be read.
    pub events: Vec<EventType>,
    /// What differs, in words.
    pub what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            entity,
            version,
            what,
            ..
        } = self;
        let events: Vec<_> = self.events.iter().map(ToString::to_string).collect();
        let events = match events.as_slice() {
            [] => "a commit without events".to_owned(),
            events => events.join(", "),
        };
        write!(
            f,
            "line {line}: {entity:?} at version {version}, after {events}: {what}"
        )
    }
}

impl RecordedStreams {
    /// Folds the streams with this build; every difference from what was recorded, in the order of
    /// the file. After an event that cannot be read, the rest of its entity is left out.
    ///
    /// # Errors
    ///
    /// When the streams are of another kind, no state was kept, a projected state cannot be
    /// encoded, or there are [mistakes](crate::api::Mistake) in the upcasters.
    pub fn differences<A: Aggregate, P: Serialize>(
        &self,
        state: impl Fn(&A) -> P,
    ) -> Result<Vec<Difference>, FileError> {
        let facts = self.facts::<A>()?;
        let mut folded: BTreeMap<&str, (Version, Option<A>)> = BTreeMap::new();
        let mut found = Vec::new();
        for (number, commit) in (2..).zip(&self.commits) {
            let first = || (Version::ABSENT, Some(A::default()));
            let (version, held) = folded.entry(&commit.entity).or_insert_with(first);
            let Some(before) = held.take() else {
                continue;
            };
            if let Some(last) = commit.events.last() {
                *version = Version(last.version);
            }
            match fold(&facts, before, commit) {
                Ok(after) => {
                    if let Some(was) = &commit.state {
                        let is = view_of(&state(&after)).map_err(|error| {
                            let what = format!("the state after it cannot be encoded: {error}");
                            FileError::new(&self.file, number, what)
                        })?;
                        found.extend(compared(number, commit, *version, was, &is));
                    }
                    *held = Some(after);
                }
                Err((version, event, what)) => {
                    found.push(difference(number, commit, version, vec![event], what));
                }
            }
        }
        Ok(found)
    }

    fn facts<A: Aggregate>(&self) -> Result<KindFacts, FileError> {
        let wrong = |what: String| FileError::new(&self.file, 1, what);
        if self.header.kind != A::KIND {
            return Err(wrong(format!(
                "its kind is {:?}, not {:?}",
                self.header.kind,
                A::KIND
            )));
        }
        if self.commits.iter().all(|commit| commit.state.is_none()) {
            return Err(wrong(
                "no state was kept in it, so there is nothing to compare".to_owned(),
            ));
        }
        Ok(KindFacts {
            namespace: Namespace::new(&self.header.namespace).map_err(|e| wrong(e.to_string()))?,
            node: "test".into(),
            kind: KindName::new(A::KIND).map_err(|e| wrong(e.to_string()))?,
            cipher: Ciphered::default(),
            codec: self.codec(),
            unknown_events: A::settings().unknown_events,
            steps: Steps::of::<A>().map_err(|e| wrong(e.to_string()))?,
            skipped: Arc::default(),
        })
    }
}

/// The state after a commit, or the event that is in the way.
fn fold<A: Aggregate>(
    facts: &KindFacts,
    mut state: A,
    commit: &RecordedCommit,
) -> Result<A, (Version, EventType, String)> {
    let Ok(entity) = EntityId::new(&commit.entity) else {
        let what = format!("{:?} is no id of an entity", commit.entity);
        return Err((Version::ABSENT, ("", 0).into(), what));
    };
    for event in &commit.events {
        let record = event.record().expect("looked at when it was read");
        state = fold_event(facts, state, (&entity, &record)).map_err(|error| {
            let of = (&*record.name, record.schema).into();
            (record.version, of, error.to_string())
        })?;
    }
    Ok(if commit.tombstone {
        A::default()
    } else {
        state
    })
}

fn compared(
    number: usize,
    commit: &RecordedCommit,
    version: Version,
    was: &Json,
    is: &Json,
) -> Vec<Difference> {
    let events = commit.events.iter();
    let events: Vec<_> = events
        .map(|event| (event.event.as_str(), event.schema).into())
        .collect();
    let differing = differences(was, is).into_iter();
    differing
        .map(|(path, was, is)| {
            let what = format!("{path} is {is}, recorded was {was}");
            difference(number, commit, version, events.clone(), what)
        })
        .collect()
}

fn difference(
    line: usize,
    commit: &RecordedCommit,
    version: Version,
    events: Vec<EventType>,
    what: String,
) -> Difference {
    Difference {
        line,
        entity: commit.entity.clone(),
        version,
        sequence: commit.sequence(),
        time: commit.time(),
        events,
        what,
    }
}

//! The store's final log, judged whatever the entities are: each commit follows the one before it
//! (P1), was stored under the epoch that its shard had there (P2, P3), and each command id took effect
//! once (P4).

use crate::oracle::{Class, Violation};
use crate::voids::Voids;
use std::collections::{BTreeMap, BTreeSet};
use tenure_core::format::{Anchor, Commit, Ownership};
use tenure_core::id::{Epoch, Partition, Sequence, Version};
use tenure_core::name::Namespace;
use tenure_core::port::{Message, Subject};

/// The commits of all entities, by subject, oldest first.
#[derive(Debug, Default)]
pub struct Log {
    pub(super) entities: BTreeMap<Subject, Vec<(Sequence, Commit)>>,
    /// The stream of each entity.
    streams: BTreeMap<Subject, Partition>,
}

impl Log {
    /// Reads the messages of all event streams, those of one stream in their order, and judges them, but for
    /// those of shards whose fence is void.
    pub(crate) fn read<'m>(
        namespace: &Namespace,
        messages: impl Iterator<Item = &'m Message>,
        voids: &Voids,
    ) -> Result<Self, Violation> {
        let mut log = Self::default();
        log.take(namespace, messages, voids)
            .map_err(|(oracle, what)| Violation {
                class: Class::Safety,
                oracle,
                what,
            })?;
        Ok(log)
    }

    /// How many commits there are.
    pub fn commits(&self) -> usize {
        self.entities.values().map(Vec::len).sum()
    }

    /// The entities of each stream with their commits, oldest first.
    pub(super) fn placed(
        &self,
    ) -> impl Iterator<Item = (Partition, &Subject, &[(Sequence, Commit)])> {
        let entities = self.entities.iter();
        entities.filter_map(|(subject, commits)| {
            Some((*self.streams.get(subject)?, subject, commits.as_slice()))
        })
    }

    /// The commits of an entity of a kind.
    pub(super) fn of(&self, kind: &str, id: &str) -> &[(Sequence, Commit)] {
        let found = self.found(kind, id);
        found.map_or(&[], |(_, commits)| commits)
    }

    /// Its shard, as subjects have it, where it has a commit.
    pub(super) fn shard_of(&self, kind: &str, id: &str) -> Option<&str> {
        let (subject, _) = self.found(kind, id)?;
        subject.split('.').nth(2)
    }

    fn found(&self, kind: &str, id: &str) -> Option<(&Subject, &[(Sequence, Commit)])> {
        let mut entities = self.entities.iter();
        let found = entities.find(|(subject, commits)| {
            subject.split('.').nth(3) == Some(kind)
                && commits
                    .first()
                    .is_some_and(|(_, commit)| commit.entity.as_str() == id)
        });
        found.map(|(subject, commits)| (subject, commits.as_slice()))
    }

    fn take<'m>(
        &mut self,
        namespace: &Namespace,
        messages: impl Iterator<Item = &'m Message>,
        voids: &Voids,
    ) -> Result<(), (&'static str, String)> {
        // The epoch of each shard of each class, by its ownership subject, so far.
        let mut epochs: BTreeMap<Subject, Epoch> = BTreeMap::new();
        let (mut ids, mut stream) = (BTreeSet::new(), Partition(0));
        for message in messages {
            let subject = &message.subject;
            let sequence = message.sequence;
            let family = subject
                .strip_prefix(namespace.as_str())
                .and_then(|rest| rest.split('.').nth(1));
            match family {
                Some("own") => {
                    let record = Ownership::decode(&message.payload)
                        .map_err(|error| ("format", format!("{subject}: {error}")))?;
                    let claim = record.claim;
                    epochs.insert(subject.clone(), Epoch { sequence, claim });
                }
                // A stream begins with its anchor.
                Some("lay") => {
                    let anchor = Anchor::decode(&message.payload)
                        .map_err(|error| ("format", format!("{subject}: {error}")))?;
                    stream = anchor.stream;
                }
                Some("ev") => {
                    self.streams.insert(subject.clone(), stream);
                    let commit = Commit::decode(&message.payload)
                        .map_err(|error| ("format", format!("{subject}: {error}")))?;
                    let commits = self.entities.entry(subject.clone()).or_default();
                    let shard = subject.split('.').nth(2).unwrap_or_default();
                    if commit.epoch.is_some() && voids.is_unfenced(shard) {
                        commits.push((sequence, commit));
                        continue;
                    }
                    let previous = commits.last().map(|(_, commit)| commit);
                    versions(previous, &commit).map_err(|what| {
                        ("predecessor", format!("{subject} at {sequence:?} {what}"))
                    })?;
                    let epoch = commit.epoch;
                    let current = epoch.is_none_or(|epoch| {
                        epochs.iter().any(|(own, current)| {
                            own.split('.').nth(3) == Some(shard) && *current == epoch
                        })
                    });
                    if !current {
                        return Err((
                            "fence",
                            format!(
                                "{subject} at {sequence:?} was stored under {epoch:?}; the epochs are {epochs:?}"
                            ),
                        ));
                    }
                    for command in &commit.commands {
                        if !ids.insert((subject.clone(), command.id)) && !commit.tombstone {
                            let id = command.id;
                            return Err((
                                "once",
                                format!("{subject} at {sequence:?} runs {id} a second time"),
                            ));
                        }
                    }
                    commits.push((sequence, commit));
                }
                Some(_) | None => {}
            }
        }
        Ok(())
    }
}

fn versions(previous: Option<&Commit>, commit: &Commit) -> Result<(), String> {
    let last = match previous {
        Some(previous) => previous.last,
        // What was before a tombstone may be gone where nobody wrote it down.
        None if commit.tombstone => commit.before,
        None => Version::ABSENT,
    };
    if commit.before != last {
        let before = commit.before;
        return Err(format!(
            "says that it follows {before:?}; the entity was at {last:?}"
        ));
    }
    let mut version = commit.before;
    for event in &commit.events {
        if event.version <= version {
            let next = event.version;
            return Err(format!(
                "has {next:?}, which does not rise above {version:?}"
            ));
        }
        version = event.version;
    }
    if version != commit.last {
        let said = commit.last;
        return Err(format!(
            "says that it ends at {said:?} and ends at {version:?}"
        ));
    }
    Ok(())
}

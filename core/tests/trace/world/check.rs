//! What is in the store at the end, and what must hold of it.

use super::World;
use super::place::{event_stream, namespace};
use crate::show::subject;
use std::collections::{BTreeMap, BTreeSet};
use tenure_core::format::{Commit, Ownership};
use tenure_core::id::{Epoch, Incarnation, Sequence, Version};
use tenure_core::log::Reply;
use tenure_core::port::{Message, Subject};

impl World {
    /// Says what the stream of snapshots holds.
    pub(crate) fn say_bodies(&mut self) {
        self.store.expire(self.wall());
        let bodies = self.messages(&namespace().snapshot_stream());
        if bodies.is_empty() {
            self.say("no bodies".to_owned());
        }
        for message in bodies {
            let text = self.names.message(&message);
            self.say(text);
        }
    }

    /// The messages of a stream.
    pub(crate) fn messages(&self, stream: &str) -> Vec<Message> {
        self.store.messages(stream).cloned().collect()
    }

    /// Says what the log holds.
    pub(crate) fn say_log(&mut self) {
        for message in self.messages(&event_stream()) {
            let text = self.names.message(&message);
            self.say(text);
        }
    }

    /// The commits of each entity by its subject, in the order of the log.
    pub(crate) fn commits(&self) -> BTreeMap<Subject, Vec<(Sequence, Commit)>> {
        let mut commits: BTreeMap<Subject, Vec<(Sequence, Commit)>> = BTreeMap::new();
        for message in self.messages(&event_stream()) {
            if message.subject.starts_with("bank.ev.") {
                let commit = Commit::decode(&message.payload).expect("a commit");
                let of = commits.entry(message.subject).or_default();
                of.push((message.sequence, commit));
            }
        }
        commits
    }

    /// The epoch that an ownership record is.
    pub(crate) fn recorded(&self, sequence: Sequence) -> Result<Epoch, String> {
        let messages = self.messages(&event_stream());
        let record = messages.iter().find(|m| m.sequence == sequence);
        let record = record.and_then(|m| Ownership::decode(&m.payload).ok());
        let claim = record.ok_or("an ownership record")?.claim;
        Ok(Epoch { sequence, claim })
    }

    /// The latest run of a node.
    pub(crate) fn run_of(&self, node: &str) -> Incarnation {
        let of = self.runs.iter().filter(|(_, name)| *name == node);
        let latest = of.map(|(run, _)| *run).next_back();
        latest.expect("a node that was started")
    }

    /// Checks what must hold after every story: each caller was told, no probe's claim is broken,
    /// and what was acknowledged is in the log, each commit after the one before it (P1).
    pub(crate) fn check(&mut self) {
        assert_eq!(self.probe.broken(), None, "a probe's claim is broken");
        let waiting: Vec<_> = self.callers.keys().copied().collect();
        if !waiting.is_empty() {
            self.say(format!("still waiting: {}", crate::bank::join(&waiting)));
        }
        if self.damaged {
            return;
        }
        let commits = self.commits();
        for (name, commits) in &commits {
            let mut before = (Sequence::NONE, Version::ABSENT);
            for (sequence, commit) in commits {
                if commit.tombstone {
                    let alone = before == (Sequence::NONE, Version::ABSENT);
                    assert!(alone, "{} has commits before a tombstone", subject(name));
                    before = (*sequence, commit.last);
                    continue;
                }
                let listed = commit.earlier.first().copied();
                let covered = commit.snapshot.map(|named| named.sequence);
                let predecessor = listed.or(covered).unwrap_or(Sequence::NONE);
                assert_eq!(
                    (predecessor, commit.before),
                    before,
                    "{sequence:?} does not follow its predecessor in {}",
                    subject(name)
                );
                before = (*sequence, commit.last);
            }
        }
        let stored: BTreeSet<Sequence> = commits.values().flatten().map(|(s, _)| *s).collect();
        let all = commits.values().flatten();
        let deleted = all.filter(|(_, commit)| commit.tombstone);
        let deleted = deleted.map(|(sequence, _)| *sequence).max();
        for (ticket, reply) in &self.told {
            if let Reply::Committed { sequence, .. } = reply {
                let may_be_gone = deleted.is_some_and(|tombstone| *sequence < tombstone);
                assert!(
                    stored.contains(sequence) || may_be_gone,
                    "{ticket:?} is not in the log"
                );
            }
        }
    }
}

//! The rules of the log (P1, P4), held against every commit of the streams and against what was
//! acknowledged.

use super::commit::Commit;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// An operation as its caller was told of it.
#[derive(Clone, Debug)]
pub(crate) struct Acknowledged {
    pub(crate) entity: String,
    pub(crate) command: u128,
    pub(crate) version: u64,
    pub(crate) sequence: Option<u64>,
}

/// The commits of all entities, added in the order of their sequences.
#[derive(Debug, Default)]
pub(crate) struct Log {
    entities: BTreeMap<String, Entity>,
    ids: BTreeSet<u128>,
    commands: BTreeMap<u128, Place>,
    pub(crate) commits: u64,
    wrong: Vec<String>,
}

#[derive(Debug, Default)]
struct Entity {
    subject: String,
    last: u64,
    sequences: Vec<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    entity: String,
    version: u64,
    sequence: u64,
}

impl Log {
    /// The next message of a stream that is on an entity's subject.
    pub(crate) fn add(&mut self, sequence: u64, subject: &str, payload: &[u8]) {
        match Commit::read(payload) {
            Ok(commit) => self.commit(sequence, subject, commit),
            Err(error) => {
                let wrong = format!("the message at {sequence} on {subject} is no commit: {error}");
                self.wrong.push(wrong);
            }
        }
    }

    fn commit(&mut self, sequence: u64, subject: &str, commit: Commit) {
        self.commits += 1;
        let mut wrong = |what: String| {
            let wrong = format!("the commit at {sequence} of {}: {what}", commit.entity);
            self.wrong.push(wrong);
        };
        let entity = self.entities.entry(commit.entity.clone()).or_default();
        if entity.subject.is_empty() {
            subject.clone_into(&mut entity.subject);
        }
        if entity.subject != subject {
            wrong(format!(
                "it is on {subject}, others are on {}",
                entity.subject
            ));
        }
        if !self.ids.insert(commit.id) {
            wrong(format!("a second copy of commit {:032x}", commit.id));
        }
        if commit.before != entity.last {
            wrong(format!(
                "it follows version {}, the log is at {}",
                commit.before, entity.last
            ));
        }
        let known = entity.sequences.iter().rev().copied();
        let listed = known.take(commit.earlier.len()).collect::<Vec<u64>>();
        if commit.earlier != listed {
            wrong(format!(
                "it lists {:?}, before it are {listed:?}",
                commit.earlier
            ));
        }
        let named = commit.earlier.first().copied().or(commit.covered);
        if named != entity.sequences.last().copied() {
            let before = entity.sequences.last();
            wrong(format!(
                "it names {named:?} as its predecessor, which is {before:?}"
            ));
        }
        let mut version = commit.before;
        for event in &commit.events {
            if *event != version + 1 {
                wrong(format!("an event has version {event} after {version}"));
            }
            version = *event;
        }
        if commit.last != version {
            wrong(format!(
                "it says that it ends at {}, its events at {version}",
                commit.last
            ));
        }
        for (command, version) in commit.commands {
            let place = Place {
                entity: commit.entity.clone(),
                version,
                sequence,
            };
            if let Some(other) = self.commands.insert(command, place) {
                wrong(format!("command {command:032x} is at {other:?} as well"));
            }
        }
        entity.last = commit.last;
        entity.sequences.push(sequence);
    }

    /// Each operation that was acknowledged is there as its caller was told, and no other is.
    pub(crate) fn compare(&mut self, acknowledged: impl IntoIterator<Item = Acknowledged>) {
        let mut left = std::mem::take(&mut self.commands);
        for told in acknowledged {
            let Some(place) = left.remove(&told.command) else {
                self.wrong
                    .push(format!("{told:?} was acknowledged and is not in the log"));
                continue;
            };
            let as_told = place.entity == told.entity
                && place.version == told.version
                && told
                    .sequence
                    .is_none_or(|sequence| sequence == place.sequence);
            if !as_told {
                self.wrong.push(format!(
                    "{told:?} was acknowledged and is {place:?} in the log"
                ));
            }
        }
        for (command, place) in left {
            let wrong = format!("command {command:032x} at {place:?} was never acknowledged");
            self.wrong.push(wrong);
        }
    }

    /// The sum of the versions of all entities.
    pub(crate) fn versions(&self) -> u64 {
        self.entities.values().map(|entity| entity.last).sum()
    }

    /// How many shards have a commit; the shard is the third token of a subject.
    pub(crate) fn shards(&self) -> usize {
        let subjects = self.entities.values().map(|entity| &*entity.subject);
        let shards: BTreeSet<&str> = subjects.filter_map(|name| name.split('.').nth(2)).collect();
        shards.len()
    }

    /// What is wrong, if anything is.
    pub(crate) fn verdict(&self) -> Result<(), String> {
        const SHOWN: usize = 20;
        if self.wrong.is_empty() {
            return Ok(());
        }
        let mut text = format!("{} things are wrong in the log:", self.wrong.len());
        for wrong in self.wrong.iter().take(SHOWN) {
            let _ = write!(text, "\n{wrong}");
        }
        Err(text)
    }
}

#[cfg(test)]
mod tests {
    use super::{Acknowledged, Commit, Log};

    const SUBJECT: &str = "ns.ev.7.counter.e";

    fn commits() -> Vec<(u64, Commit)> {
        let first = Commit {
            id: 1,
            entity: "e".into(),
            last: 2,
            commands: vec![(10, 1), (11, 2)],
            events: vec![1, 2],
            ..Commit::default()
        };
        let second = Commit {
            id: 2,
            before: 2,
            last: 3,
            earlier: vec![5],
            commands: vec![(12, 3)],
            events: vec![3],
            ..first.clone()
        };
        vec![(5, first), (9, second)]
    }

    fn told() -> Vec<Acknowledged> {
        let one = |command, version, sequence| Acknowledged {
            entity: "e".into(),
            command,
            version,
            sequence,
        };
        vec![one(10, 1, Some(5)), one(11, 2, None), one(12, 3, Some(9))]
    }

    fn verdict(commits: Vec<(u64, Commit)>, told: Vec<Acknowledged>) -> Result<(), String> {
        let mut log = Log::default();
        for (sequence, commit) in commits {
            log.commit(sequence, SUBJECT, commit);
        }
        log.compare(told);
        log.verdict()
    }

    /// What is found when the second commit is changed.
    fn damaged(change: impl Fn(&mut (u64, Commit))) -> String {
        let mut commits = commits();
        change(&mut commits[1]);
        verdict(commits, told()).expect_err("damage is found")
    }

    #[test]
    fn a_log_as_it_should_be_has_nothing_wrong() {
        verdict(commits(), told()).unwrap();
        let mut snapshot = commits();
        snapshot[1].1.earlier.clear();
        snapshot[1].1.covered = Some(5);
        verdict(snapshot, told()).unwrap();
    }

    #[test]
    fn each_damage_of_the_log_is_found() {
        assert!(damaged(|(_, commit)| commit.before = 1).contains("follows version 1"));
        assert!(damaged(|(_, commit)| commit.id = 1).contains("a second copy"));
        assert!(damaged(|(_, commit)| commit.earlier.clear()).contains("predecessor"));
        assert!(damaged(|(_, commit)| commit.earlier = vec![4]).contains("it lists [4]"));
        assert!(damaged(|(_, commit)| commit.events = vec![4]).contains("version 4 after 2"));
        assert!(damaged(|(_, commit)| commit.last = 4).contains("ends at 4"));
        assert!(damaged(|(_, commit)| commit.commands[0].0 = 10).contains("as well"));
        assert!(damaged(|(sequence, _)| *sequence = 8).contains("is Place"));
        let mut log = Log::default();
        log.add(1, SUBJECT, b"\xff");
        assert!(log.verdict().unwrap_err().contains("no commit"));
    }

    #[test]
    fn each_difference_to_what_callers_were_told_is_found() {
        let mut one_less = told();
        one_less.pop();
        let unasked = verdict(commits(), one_less).unwrap_err();
        assert!(unasked.contains("never acknowledged"), "{unasked}");
        let lost = verdict(commits()[..1].to_vec(), told()).unwrap_err();
        assert!(lost.contains("not in the log"), "{lost}");
        let mut other = told();
        other[0].version = 2;
        assert!(verdict(commits(), other).unwrap_err().contains("is Place"));
    }
}

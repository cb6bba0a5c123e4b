//! Lives of mortals, by all that was ever stored of them: nothing of one is in the next (V1 to V4), and what
//! one told its heir was taken before it ended (V2).

use super::entity::{Heir, How, Inherited, Mortal, MortalEvent};
use super::{Asked, Book, Told};
use crate::stage::Record;
use std::collections::{BTreeMap, BTreeSet};
use tenure_core::api::{Aggregate as _, Event};
use tenure_core::format::{Codec, Commit};
use tenure_core::id::{CommandId, Version};

/// What the judgement of a run comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Judged {
    /// What is wrong whatever comes.
    pub(in super::super) wrong: Option<String>,
    /// What is still to come.
    pub(in super::super) open: usize,
    /// How many lives ended, and of those how many while the mortal had told itself something, and while an
    /// alarm was set.
    pub(in super::super) ended: usize,
    pub(in super::super) unheard: usize,
    pub(in super::super) unrung: usize,
}

/// What was stored of the mortals and heirs of a run.
#[derive(Debug, Default)]
struct Stored {
    /// The commits of each mortal, each with its true time.
    mortals: BTreeMap<String, Vec<(u64, Commit)>>,
    /// When each number was inherited.
    inherited: BTreeMap<u64, u64>,
}

/// One life.
#[derive(Debug, Default)]
struct Life {
    did: BTreeMap<u64, How>,
    heard: BTreeSet<u64>,
    rang: BTreeSet<u64>,
    /// When it began, and when it ended, as far as it did.
    began: Option<u64>,
    ended: Option<u64>,
    /// What its commands came to.
    commands: BTreeMap<CommandId, (u64, Version)>,
}

/// Judges the lives of all mortals by what was stored, and what callers were told.
pub(in super::super) fn judge(records: &[Record], book: &Book) -> Judged {
    let mut judged = Judged::default();
    match Stored::of(records).and_then(|stored| stored.judge(&book.page(), &mut judged)) {
        Ok(()) => judged,
        Err(wrong) => Judged {
            wrong: Some(wrong),
            ..judged
        },
    }
}

impl Stored {
    fn of(records: &[Record]) -> Result<Self, String> {
        let mut stored = Self::default();
        for Record { at, message } in records {
            let kind = message.subject.split('.').nth(3);
            let is_mortal = kind == Some(Mortal::KIND);
            if !is_mortal && kind != Some(Heir::KIND) {
                continue;
            }
            let commit = Commit::decode(&message.payload).map_err(|error| error.to_string())?;
            if is_mortal {
                let mortal = commit.entity.as_str().to_owned();
                stored
                    .mortals
                    .entry(mortal)
                    .or_default()
                    .push((*at, commit));
                continue;
            }
            for event in &commit.events {
                let inherited =
                    Inherited::decode(&event.name, event.schema, Codec::Cbor, &event.data);
                let Ok(Some(Inherited { number })) = inherited else {
                    return Err(format!("{} cannot be read", commit.entity));
                };
                if stored.inherited.insert(number, *at).is_some() {
                    return Err(format!("{} inherits {number} again (P7)", commit.entity));
                }
            }
        }
        Ok(stored)
    }

    fn judge(&self, asked: &[Asked], judged: &mut Judged) -> Result<(), String> {
        let mut all = BTreeMap::new();
        let mut done = BTreeSet::new();
        for (mortal, commits) in &self.mortals {
            let lives = lives(mortal, commits)?;
            for life in &lives {
                done.extend(life.did.keys().copied());
                self.inherits(mortal, life, judged)?;
            }
            all.insert(mortal.as_str(), lives);
        }
        if let Some(number) = self.inherited.keys().find(|it| !done.contains(it)) {
            return Err(format!("{number} is inherited, and nobody did it (P7)"));
        }
        for asked in asked {
            let lives = all.get(asked.mortal.as_str());
            told(asked, lives.map_or(&[][..], |lives| lives))?;
        }
        Ok(())
    }

    /// What a life told its heirs is taken before it ends; in one that has not ended all of it is, in the end.
    fn inherits(&self, mortal: &str, life: &Life, judged: &mut Judged) -> Result<(), String> {
        let told_heir = life.did.iter().filter(|(_, how)| how.tells_heir);
        for (number, _) in told_heir {
            match (self.inherited.get(number), life.ended) {
                (None, Some(_)) => {
                    return Err(format!(
                        "{mortal} was deleted, and {number} is not inherited (V2)"
                    ));
                }
                (Some(at), Some(ended)) if *at > ended => {
                    return Err(format!(
                        "{mortal} was deleted before {number} was inherited (V2)"
                    ));
                }
                (Some(_), _) => {}
                (None, None) => judged.open += 1,
            }
        }
        let unheard = life.open(|how| how.tells_itself, &life.heard);
        let unrung = life.open(|how| how.rings_after_ms.is_some(), &life.rang);
        let ends = life.did.values().any(|how| how.ends_after_ms.is_some());
        match life.ended {
            Some(_) => {
                judged.ended += 1;
                judged.unheard += usize::from(unheard > 0);
                judged.unrung += usize::from(unrung > 0);
            }
            None => judged.open += unheard + unrung + usize::from(ends),
        }
        Ok(())
    }
}

impl Life {
    /// How many of its acts have something to come still.
    fn open(&self, has: impl Fn(&How) -> bool, came: &BTreeSet<u64>) -> usize {
        let open = self
            .did
            .iter()
            .filter(|(number, how)| has(how) && !came.contains(number));
        open.count()
    }

    /// An event of a life, of something that it did.
    fn comes(
        &self,
        (mortal, what): (&str, &str),
        number: u64,
        has: impl Fn(&How) -> bool,
    ) -> Result<(), String> {
        match self.did.get(&number) {
            Some(how) if has(how) => Ok(()),
            Some(_) | None => Err(format!(
                "{mortal} {what} {number}, which it did not do in this life (V2)"
            )),
        }
    }
}

/// The lives of a mortal, the last of which may not have ended.
fn lives(mortal: &str, commits: &[(u64, Commit)]) -> Result<Vec<Life>, String> {
    let mut lives = vec![Life::default()];
    for (at, commit) in commits {
        let Some(life) = lives.last_mut() else { break };
        for event in &commit.events {
            let decoded = MortalEvent::decode(&event.name, event.schema, Codec::Cbor, &event.data);
            let Ok(Some(happened)) = decoded else {
                return Err(format!("{mortal} cannot be read"));
            };
            let twice = match happened {
                MortalEvent::Did { number, how } => life.did.insert(number, how).is_some(),
                MortalEvent::Heard { number } => {
                    life.comes((mortal, "hears"), number, |how| how.tells_itself)?;
                    !life.heard.insert(number)
                }
                MortalEvent::Rang { number } => {
                    life.comes((mortal, "rings for"), number, |how| {
                        how.rings_after_ms.is_some()
                    })?;
                    !life.rang.insert(number)
                }
                MortalEvent::Deleted if commit.tombstone => false,
                MortalEvent::Deleted => {
                    return Err(format!("{mortal} is told to be deleted and is there (V1)"));
                }
            };
            if twice {
                return Err(format!("{mortal} has {happened:?} a second time (P4)"));
            }
            let record = commit
                .commands
                .iter()
                .find(|it| it.version == event.version);
            if let Some(record) = record {
                let done = life.did.len() as u64;
                life.commands.insert(record.id, (done, record.version));
            }
        }
        life.began.get_or_insert(*at);
        if commit.tombstone {
            life.ended = Some(*at);
            lives.push(Life::default());
        }
    }
    Ok(lives)
}

/// What a caller was told is so.
fn told(asked: &Asked, lives: &[Life]) -> Result<(), String> {
    let Asked {
        mortal, id, told, ..
    } = asked;
    let found = lives.iter().find_map(|life| life.commands.get(id));
    match (told, found) {
        (Told::Did(done, version), Some(stored)) if (*done, *version) == *stored => Ok(()),
        (Told::Did(..), found) => Err(format!(
            "{mortal}: {id} was told {told:?}; the log says {found:?} (V3, P1)"
        )),
        (Told::Nothing, Some(found)) => Err(format!(
            "{mortal}: {id} was told that nothing happened; the log says {found:?}"
        )),
        (Told::Deleted, _) if !asked.met_absence(lives) => Err(format!(
            "{mortal}: {id} was told that it is deleted, and it was there all the time (P1)"
        )),
        (Told::Deleted | Told::Nothing | Told::Unknown, _) => Ok(()),
    }
}

impl Asked {
    /// Whether its mortal was absent at some time between its call and its answer.
    fn met_absence(&self, lives: &[Life]) -> bool {
        let mut from = 0;
        lives.is_empty()
            || lives.iter().any(|life| {
                let until = life.began.unwrap_or(u64::MAX);
                let met = self.called_at <= until && from <= self.told_at;
                from = life.ended.unwrap_or(u64::MAX);
                met
            })
    }
}

#[cfg(test)]
mod tests {
    use super::{Asked, Judged, Told, judge};
    use crate::driver::work::mortal::Book;
    use crate::driver::work::mortal::entity::{How, Inherited, MortalEvent};
    use crate::stage::Record;
    use tenure_core::api::Event;
    use tenure_core::format::{Codec, CommandRecord, Commit, EventRecord, Unknown};
    use tenure_core::id::{CommandId, CommitId, KindId, LayoutId, Sequence, Version, WallTime};
    use tenure_core::name::EntityId;
    use tenure_core::port::Message;

    const HOW: How = How {
        tells_itself: true,
        tells_heir: true,
        rings_after_ms: Some(5),
        ends_after_ms: None,
    };

    fn id(number: u64) -> CommandId {
        CommandId::new(WallTime(1), number.into())
    }

    /// The commit of one event of a kind's entity at a time, which is also its version and place.
    fn record<E: Event>(kind: &str, at: u64, event: &E, tombstone: bool) -> Record {
        let version = Version(at);
        let commit = Commit {
            id: CommitId(at.into()),
            layout: LayoutId(1),
            kind: KindId(1),
            entity: EntityId::new(&format!("{kind}-0")).unwrap(),
            epoch: None,
            time: WallTime(1),
            before: Version(at - 1),
            last: version,
            earlier: Vec::new().into(),
            snapshot: None,
            horizon: WallTime(0),
            commands: vec![CommandRecord {
                id: id(at),
                version,
                outcome: bytes::Bytes::new(),
            }],
            events: vec![EventRecord {
                version,
                name: event.name().into(),
                schema: event.schema(),
                data: event.encode(Codec::Cbor).unwrap(),
            }],
            tombstone,
            metadata: Vec::new(),
            later: None,
            unknown: Unknown::default(),
        };
        Record {
            at,
            message: Message {
                subject: format!("sim.ev.0.{kind}.{kind}-0").as_str().into(),
                sequence: Sequence(at),
                stored: WallTime(1),
                expired_marker: false,
                payload: commit.encode(),
            },
        }
    }

    fn did(at: u64, number: u64) -> Record {
        record("mortal", at, &MortalEvent::Did { number, how: HOW }, false)
    }

    fn deleted(at: u64) -> Record {
        record("mortal", at, &MortalEvent::Deleted, true)
    }

    fn heard(at: u64, number: u64) -> Record {
        record("mortal", at, &MortalEvent::Heard { number }, false)
    }

    fn inherited(at: u64, number: u64) -> Record {
        record("heir", at, &Inherited { number }, false)
    }

    fn told(told: Told, (called_at, told_at): (u64, u64)) -> Book {
        let book = Book::default();
        book.page().push(Asked {
            mortal: "mortal-0".to_owned(),
            id: id(1),
            called_at,
            told_at,
            told,
        });
        book
    }

    #[test]
    fn what_a_life_leaves_to_the_next_is_seen() {
        let book = Book::default();
        let fine = [did(1, 7), inherited(2, 7), deleted(3), did(4, 8)];
        let judged = judge(&fine, &book);
        let open = Judged {
            wrong: None,
            open: 3,
            ended: 1,
            unheard: 1,
            unrung: 1,
        };
        assert_eq!(judged, open);
        let wrong = |records: &[Record]| judge(records, &book).wrong.expect("something is wrong");
        let late = [did(1, 7), inherited(2, 7), deleted(3), heard(4, 7)];
        assert!(wrong(&late).contains("did not do in this life"));
        let early = [did(1, 7), deleted(2), inherited(3, 7)];
        assert!(wrong(&early).contains("before 7 was inherited"));
        let never = [did(1, 7), deleted(2)];
        assert!(wrong(&never).contains("not inherited"));
        let twice = [did(1, 7), heard(2, 7), heard(3, 7)];
        assert!(wrong(&twice).contains("a second time"));
    }

    #[test]
    fn what_was_told_and_is_not_so_is_seen() {
        let records = [did(1, 7), inherited(2, 7), deleted(13), did(20, 8)];
        let wrong = |book: &Book| judge(&records, book).wrong;
        let at = Version(1);
        assert_eq!(wrong(&told(Told::Did(1, at), (0, 5))), None);
        assert!(wrong(&told(Told::Did(2, at), (0, 5))).is_some());
        assert!(wrong(&told(Told::Nothing, (0, 5))).is_some());
        for (when, fine) in [
            ((2, 12), false),
            ((2, 13), true),
            ((14, 15), true),
            ((21, 30), false),
        ] {
            assert_eq!(
                wrong(&told(Told::Deleted, when)).is_none(),
                fine,
                "{when:?}"
            );
        }
    }
}

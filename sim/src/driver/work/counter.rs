//! Counters, of the fenced and of the leased class: each command has an id, is asked again while
//! nobody knows what became of it, and its reply is the total after it.

use super::super::log::Log;
use super::super::sim::{Sim, Turn};
use crate::voids::{Rests, Voids};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tenure_core::api::{
    Aggregate, Answer, AnswerCx, AskError, Decide, DecideCx, Decision, Entity, Event, ExecuteError,
    KindSettings, LoadError, Messages, ReadError,
};
use tenure_core::format::Codec;
use tenure_core::id::{CommandId, Version};
use tenure_core::log::Freshness;
use tenure_core::port::Refused;
use tenure_core::step::Time;

/// Something was counted.
#[derive(Clone, Copy, Debug, tenure_macros::Event)]
#[event(name = "counted", version = 1, crate = "tenure_core::api")]
pub(super) struct Counted {
    by: u64,
}

/// Counts.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, tenure_macros::Message)]
#[message(name = "count", version = 1, crate = "tenure_core::api")]
pub(super) struct Count {
    pub(super) by: u64,
}

/// Asks for the total.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, tenure_macros::Message)]
#[message(name = "total", version = 1, crate = "tenure_core::api")]
pub(super) struct Total;

/// The domain's no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("13 is not counted")]
pub(super) struct Unlucky;

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $settings:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        pub(super) struct $name {
            total: u64,
        }

        impl Aggregate for $name {
            type Event = Counted;
            const KIND: &'static str = $kind;

            fn evolve(&mut self, counted: &Counted) {
                self.total += counted.by;
            }

            fn settings() -> KindSettings {
                $settings
            }
        }

        impl Decide<Count> for $name {
            type Reply = u64;
            type Error = Unlucky;

            fn decide(&self, count: &Count, _: &DecideCx<'_>) -> Result<Decision<Self, u64>, Unlucky> {
                let by = count.by;
                match by {
                    13 => Err(Unlucky),
                    // Nothing is stored: the answer waits for a proof.
                    0 => Ok(Decision::nothing(self.total)),
                    by => Ok(Decision::event(Counted { by }).reply(self.total + by)),
                }
            }
        }

        impl Answer<Total> for $name {
            type Reply = u64;

            fn answer(&self, _: &Total, _: &AnswerCx<'_>) -> u64 {
                self.total
            }
        }

        impl Entity for $name {
            fn messages() -> Messages<Self> {
                Messages::new().command::<Count>().query::<Total>()
            }
        }
    };
}

counter! {
    /// A counter of the fenced class.
    Counter, "counter", KindSettings::default().owned()
}

counter! {
    /// A counter of the leased class.
    Held, "held", KindSettings::default().leased()
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    /// It is done, with this total after it, at this version.
    Done(u64, Version),
    /// It surely took no effect.
    Nothing,
    /// Nobody knows.
    Unknown,
}

#[derive(Clone, Debug)]
struct Asked {
    kind: &'static str,
    entity: String,
    id: CommandId,
    by: u64,
    came: Came,
    /// When that was known, in true nanoseconds.
    at: u64,
}

/// A read that was older than what was told before.
#[derive(Debug)]
struct Stale {
    kind: &'static str,
    entity: String,
    /// In true nanoseconds.
    at: u64,
    what: String,
}

/// What an entity of a kind rests on.
fn rests(kind: &str) -> Rests {
    match kind == Held::KIND {
        true => Rests::Lease,
        false => Rests::Fence,
    }
}

/// What was asked, and what came of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Book(Arc<Mutex<Page>>);

#[derive(Debug, Default)]
struct Page {
    asked: Vec<Asked>,
    /// The highest version of each entity that a caller was told.
    told: BTreeMap<(&'static str, String), Version>,
    stale: Vec<Stale>,
    /// Somebody was told that a stream is not there.
    absent: Option<String>,
}

impl Book {
    pub(super) fn asked(&self) -> usize {
        self.page().asked.len()
    }

    fn page(&self) -> std::sync::MutexGuard<'_, Page> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self, kind: &'static str, entity: &str, version: Version) {
        let mut page = self.page();
        let told = page.told.entry((kind, entity.to_owned())).or_default();
        *told = version.max(*told);
    }

    fn known(&self, kind: &'static str, entity: &str) -> Version {
        let page = self.page();
        let told = page.told.get(&(kind, entity.to_owned()));
        told.copied().unwrap_or_default()
    }

    /// A caller that counts and reads until a time.
    pub(super) async fn caller<A>(self, (sim, client): (Sim, u64), until: Time, entities: u64)
    where
        A: Entity + Decide<Count, Reply = u64, Error = Unlucky> + Answer<Total, Reply = u64>,
    {
        let mut number = 0;
        while sim.now() < until {
            number += 1;
            let turn = sim.turn(client, number);
            let pace = Duration::from_millis(5 + turn.random(90));
            sim.sleep(pace).await;
            let entity = format!("{}-{}", A::KIND, turn.random(entities));
            let (reads, by) = (turn.random(4) == 0, turn.random(20));
            if !turn.is_asked() {
                continue;
            }
            if reads {
                self.read::<A>(&turn, &entity).await;
            } else {
                self.count::<A>(&turn, &entity, by, 6).await;
            }
        }
    }

    /// Counts once, so many tries at most.
    pub(super) async fn count<A>(&self, turn: &Turn, entity: &str, by: u64, tries: u32) -> bool
    where
        A: Entity + Decide<Count, Reply = u64, Error = Unlucky>,
    {
        let id = turn.tenure().await.command_id();
        let (mut came, mut damaged) = (Came::Nothing, false);
        for _ in 0..tries {
            let tenure = turn.tenure().await;
            let ask = tenure.entity::<A>(entity).ask(Count { by });
            let ask = ask.id(id).timeout(Duration::from_millis(1_500));
            match ask.served().await {
                Ok(served) => {
                    let receipt = served.answer;
                    self.told(A::KIND, entity, receipt.version);
                    came = Came::Done(receipt.reply, receipt.version);
                    break;
                }
                Err(error) if error.rejected().is_some() => {
                    came = Came::Nothing;
                    break;
                }
                Err(error) if error.is_unknown() || error.took_effect() => came = Came::Unknown,
                Err(AskError::Execute(ExecuteError::Expired { .. })) => {
                    came = Came::Unknown;
                    break;
                }
                // Nobody goes on from a log that lost what it had acknowledged (S12).
                Err(AskError::Execute(ExecuteError::Damaged(_))) => {
                    damaged = turn.sim.may_be_damaged();
                    break;
                }
                // What was unknown before stays so.
                Err(error) => self.told_absent(entity, &error),
            }
            let wait = Duration::from_millis(20 + turn.random(200));
            turn.sim.sleep(wait).await;
        }
        let done = matches!(came, Came::Done(..));
        let asked = Asked {
            kind: A::KIND,
            entity: entity.to_owned(),
            id,
            by,
            came,
            at: turn.sim.now().as_nanos(),
        };
        self.page().asked.push(asked);
        done || damaged || by == 13
    }

    /// Nobody removes a stream here, so nobody is told that one is not there (S10).
    fn told_absent(&self, entity: &str, error: &AskError<Unlucky>) {
        if let AskError::Execute(ExecuteError::Store(Refused::NoStream)) = error {
            let absent = &mut self.page().absent;
            absent.get_or_insert_with(|| format!("{entity}: {error}, but it is there (S10)"));
        }
    }

    /// Reads what was told before, or more (P5).
    pub(super) async fn read<A>(&self, turn: &Turn, entity: &str) -> bool
    where
        A: Entity + Answer<Total, Reply = u64>,
    {
        let known = self.known(A::KIND, entity);
        let tenure = turn.tenure().await;
        let read = tenure.entity::<A>(entity).read(Total);
        let read = read.freshness(Freshness::Linearizable);
        let read = read.timeout(Duration::from_millis(1_500));
        let served = match read.served().await {
            Ok(served) => served,
            Err(ReadError::Load(LoadError::Damaged(_))) => return turn.sim.may_be_damaged(),
            Err(_) => return false,
        };
        let version = served.answer.version;
        if version < known {
            let node = &served.node;
            let what = format!("{node} answers {entity} as of {version}; {known} was told before");
            self.page().stale.push(Stale {
                kind: A::KIND,
                entity: entity.to_owned(),
                at: turn.sim.now().as_nanos(),
                what,
            });
        }
        self.told(A::KIND, entity, version);
        true
    }

    /// Compares what callers were told with the log.
    pub(super) fn judge(&self, log: &Log, voids: &Voids) -> Result<(), String> {
        let page = self.page();
        if let Some(what) = &page.absent {
            return Err(what.clone());
        }
        let void_from = |kind: &str, entity: &str| {
            let shard = log.shard_of(kind, entity);
            voids.of((kind, entity), shard, rests(kind))
        };
        let owed = |from: Option<u64>, at: u64| from.is_none_or(|from| at < from);
        for stale in &page.stale {
            if owed(void_from(stale.kind, &stale.entity), stale.at) {
                return Err(stale.what.clone());
            }
        }
        for asked in &page.asked {
            // What an entity lost may have been acknowledged at any time before.
            let lost = voids.lost_of(asked.kind, &asked.entity).is_some();
            if lost || !owed(void_from(asked.kind, &asked.entity), asked.at) {
                continue;
            }
            let found = find(log, asked)?;
            let Asked { entity, id, by, .. } = asked;
            match (asked.came, found) {
                (Came::Done(total, version), Some(stored)) => {
                    if (total, version) != stored {
                        return Err(format!(
                            "{entity}: {id} was told {total} at {version}; the log says {stored:?}"
                        ));
                    }
                }
                // One that counts nothing stores nothing.
                (Came::Done(..), None) if *by == 0 => {}
                (Came::Done(total, _), None) => {
                    return Err(format!(
                        "{entity}: {id} was told {total} and is not in the log (P1)"
                    ));
                }
                (Came::Nothing, Some(stored)) => {
                    return Err(format!(
                        "{entity}: {id} was told that nothing happened; the log has {stored:?}"
                    ));
                }
                (Came::Nothing, None) | (Came::Unknown, _) => {}
            }
        }
        Ok(())
    }
}

/// The total and the version after a command, as the log has it.
fn find(log: &Log, asked: &Asked) -> Result<Option<(u64, Version)>, String> {
    let mut total = 0;
    for (sequence, commit) in log.of(asked.kind, &asked.entity) {
        let record = commit.commands.iter().find(|it| it.id == asked.id);
        for event in &commit.events {
            let counted = Counted::decode(&event.name, event.schema, Codec::Cbor, &event.data);
            let Ok(Some(counted)) = counted else {
                return Err(format!("{} at {sequence:?} cannot be read", asked.entity));
            };
            total += counted.by;
            if record.is_some_and(|record| record.version == event.version) {
                return Ok(Some((total, event.version)));
            }
        }
        if let Some(record) = record {
            return Ok(Some((total, record.version)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::{Asked, Book, Came, Stale};
    use crate::driver::log::Log;
    use crate::voids::Voids;
    use std::sync::Arc;
    use tenure_core::id::{CommandId, Version, WallTime};

    fn book(came: Came) -> Book {
        let book = Book::default();
        book.page().asked.push(Asked {
            kind: "counter",
            entity: "counter-1".to_owned(),
            id: CommandId::new(WallTime(1), 7),
            by: 3,
            came,
            at: 50,
        });
        book
    }

    #[test]
    fn what_was_told_and_is_not_in_the_log_is_seen() {
        let log = Log::default();
        let nothing = Voids::default();
        let done = Came::Done(3, Version(1));
        let told = book(done).judge(&log, &nothing);
        assert!(told.is_err_and(|what| what.contains("P1")));
        assert_eq!(book(Came::Nothing).judge(&log, &nothing), Ok(()));
        assert_eq!(book(Came::Unknown).judge(&log, &nothing), Ok(()));
        for (since, judged) in [(50, true), (51, false)] {
            let mut book = book(done);
            let page = Arc::get_mut(&mut book.0).expect("the only one");
            let page = page.get_mut().expect("no panic");
            page.asked[0].kind = "held";
            let voids = Voids::default().with_leased(Some(since));
            assert_eq!(book.judge(&log, &voids).is_ok(), judged, "{since}");
        }
    }

    #[test]
    fn a_read_that_is_older_than_what_was_told_is_seen() {
        let book = Book::default();
        book.told("counter", "counter-1", Version(4));
        assert_eq!(book.known("counter", "counter-1"), Version(4));
        book.page().stale.push(Stale {
            kind: "counter",
            entity: "counter-1".to_owned(),
            at: 70,
            what: "n1 answers as of 3".to_owned(),
        });
        // Those of the fenced class need no lease.
        let voids = Voids::default().with_leased(Some(10));
        assert!(book.judge(&Log::default(), &voids).is_err());
    }
}

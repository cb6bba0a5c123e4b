//! Mortals: entities that are deleted and begin anew, again and again. What one does it tells itself, an
//! heir and its alarm in the same commit, so that something of it is always under way when it is deleted.

mod entity;
mod judge;

pub(super) use entity::{Heir, Mortal};
pub(super) use judge::judge;

use super::super::sim::{Sim, Turn};
use entity::{Act, How};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tenure_core::api::{AskError, ExecuteError};
use tenure_core::id::{CommandId, Version};
use tenure_core::step::Time;

/// What was asked of mortals, and what callers were told.
#[derive(Clone, Debug, Default)]
pub(super) struct Book(Arc<Mutex<Vec<Asked>>>);

/// One command.
#[derive(Clone, Debug)]
struct Asked {
    mortal: String,
    id: CommandId,
    /// In true nanoseconds.
    called_at: u64,
    told_at: u64,
    told: Told,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// It did so many things in its life, this one among them; and its version then.
    Did(u64, Version),
    /// It is deleted.
    Deleted,
    /// That nothing happened.
    Nothing,
    /// It took effect, or nobody knows.
    Unknown,
}

impl Book {
    fn page(&self) -> std::sync::MutexGuard<'_, Vec<Asked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn asked(&self) -> usize {
        self.page().len()
    }

    /// Has mortals act, and deletes them, until a time.
    pub(super) async fn caller(self, (sim, client): (Sim, u64), until: Time, mortals: u64) {
        let mut number = 0;
        while sim.now() < until {
            number += 1;
            let turn = sim.turn(client, number);
            let pace = Duration::from_millis(10 + turn.random(150));
            sim.sleep(pace).await;
            let mortal = name(turn.random(mortals));
            let (dies, act) = (turn.random(4) == 0, act(&turn, &mortal, mortals));
            if !turn.is_asked() {
                continue;
            }
            if dies {
                self.delete(&turn, &mortal, 5).await;
            } else {
                self.act(&turn, &mortal, act, 5).await;
            }
        }
    }

    /// It acts, and is deleted at last; so many times is that tried in all.
    pub(super) async fn last(&self, turn: &Turn, mortal: u64) -> bool {
        let (id, heir) = (name(mortal), entity::heir(mortal));
        let how = How {
            tells_itself: false,
            tells_heir: true,
            rings_after_ms: None,
            ends_after_ms: None,
        };
        let number = turn.client() << 32 | mortal;
        let act = Act {
            number,
            itself: id.clone(),
            heir,
            how,
        };
        self.act(turn, &id, act, 1).await && self.delete(turn, &id, 1).await
    }

    async fn act(&self, turn: &Turn, mortal: &str, act: Act, tries: u32) -> bool {
        let id = turn.tenure().await.command_id();
        let (called_at, mut told) = (turn.sim.now().as_nanos(), Told::Nothing);
        for _ in 0..tries {
            let ask = turn
                .tenure()
                .await
                .entity::<Mortal>(mortal)
                .ask(act.clone());
            let ask = ask.id(id).timeout(Duration::from_millis(1_500));
            match ask.served().await {
                Ok(served) => {
                    told = Told::Did(served.answer.reply, served.answer.version);
                    break;
                }
                Err(error) => told = after(&error, told),
            }
            self.rest(turn).await;
        }
        let done = matches!(told, Told::Did(..)) || turn.sim.may_be_damaged();
        self.write(turn, mortal, (id, called_at), told);
        done
    }

    async fn delete(&self, turn: &Turn, mortal: &str, tries: u32) -> bool {
        let id = turn.tenure().await.command_id();
        let (called_at, mut told) = (turn.sim.now().as_nanos(), Told::Nothing);
        for _ in 0..tries {
            let ask = turn.tenure().await.entity::<Mortal>(mortal).delete();
            let ask = ask.id(id).timeout(Duration::from_millis(3_000));
            match ask.await {
                Ok(()) => {
                    told = Told::Deleted;
                    break;
                }
                Err(error) => told = after(&error, told),
            }
            self.rest(turn).await;
        }
        let done = told == Told::Deleted || turn.sim.may_be_damaged();
        self.write(turn, mortal, (id, called_at), told);
        done
    }

    async fn rest(&self, turn: &Turn) {
        let wait = Duration::from_millis(20 + turn.random(200));
        turn.sim.sleep(wait).await;
    }

    fn write(&self, turn: &Turn, mortal: &str, (id, called_at): (CommandId, u64), told: Told) {
        self.page().push(Asked {
            mortal: mortal.to_owned(),
            id,
            called_at,
            told_at: turn.sim.now().as_nanos(),
            told,
        });
    }
}

/// What is known after an error: what was unknown before stays so.
fn after<E>(error: &AskError<E>, before: Told) -> Told {
    let expired = matches!(error, AskError::Execute(ExecuteError::Expired { .. }));
    match error.is_unknown() || error.took_effect() || expired {
        true => Told::Unknown,
        false => before,
    }
}

fn name(mortal: u64) -> String {
    format!("mortal-{mortal}")
}

fn act(turn: &Turn, mortal: &str, mortals: u64) -> Act {
    let some = |percent, after_ms| {
        let (there, after_ms) = (turn.random(100) < percent, turn.random(after_ms));
        there.then_some(after_ms)
    };
    let how = How {
        tells_itself: some(40, 1).is_some(),
        tells_heir: some(50, 1).is_some(),
        rings_after_ms: some(30, 1_500),
        ends_after_ms: some(8, 1_500),
    };
    Act {
        number: turn.client() << 32 | turn.number(),
        itself: mortal.to_owned(),
        heir: entity::heir(turn.random(mortals)),
        how,
    }
}

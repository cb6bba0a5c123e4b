//! Somebody who looks at what was put aside: it is mended or not, replayed, or removed.

use super::super::super::sim::{Sim, Turn};
use super::super::consume::within;
use super::entity::Bill;
use super::{LOOKER, Outside};
use std::time::Duration;
use tenure_core::api::effect::{DeadEffect, DeadEffects};
use tenure_core::step::Time;

/// How long somebody waits for an answer.
const PATIENCE: Duration = Duration::from_secs(4);

/// How many letters are looked at each time.
const LETTERS: usize = 3;

impl Outside {
    /// Looks now and then until a time.
    pub(super) async fn looks(self, sim: Sim, until: Time) {
        let mut number = 0;
        while sim.now() < until {
            number += 1;
            let turn = sim.turn(LOOKER, number);
            let wait = Duration::from_millis(300 + turn.random(2_000));
            sim.sleep(wait).await;
            if turn.is_asked() {
                self.looks_once(&turn).await;
            }
        }
    }

    async fn looks_once(&self, turn: &Turn) {
        let letters = turn.tenure().await.dead_effects::<Bill>();
        let Some(listed) = self.listed(&turn.sim, &letters).await else {
            return;
        };
        for (letter, bill) in listed.into_iter().take(LETTERS) {
            let (removes, mends) = (turn.random(4) == 0, turn.random(2) == 0);
            if mends {
                self.book().mends(bill);
            }
            // What is not known of it the letters tell in the end.
            if removes {
                self.book().removed.insert(bill);
                drop(within(&turn.sim, PATIENCE, letters.remove(&letter.key)).await);
            } else {
                drop(within(&turn.sim, PATIENCE, letters.replay(&letter.key)).await);
            }
        }
    }

    /// What is put aside now, as far as it can be told.
    pub(super) async fn listed(
        &self,
        sim: &Sim,
        letters: &DeadEffects,
    ) -> Option<Vec<(DeadEffect, Bill)>> {
        let listed = within(sim, PATIENCE, letters.all()).await?.ok()?;
        let at = self.now();
        let mut all = Vec::new();
        for letter in listed {
            match self.book().sees(at, &letter) {
                Ok(bill) => all.push((letter, bill)),
                Err(what) => self.is_wrong(what),
            }
        }
        Some(all)
    }

    /// Replays whatever is put aside, after it was mended; how many letters there were, if that can be told.
    pub(super) async fn replays_all(&self, turn: &Turn) -> Option<usize> {
        let letters = turn.tenure().await.dead_effects::<Bill>();
        let listed = self.listed(&turn.sim, &letters).await?;
        for (letter, bill) in &listed {
            self.book().mends(*bill);
            drop(within(&turn.sim, PATIENCE, letters.replay(&letter.key)).await);
        }
        Some(listed.len())
    }
}

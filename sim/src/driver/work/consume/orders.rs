//! What people want of a running consumer.

use super::super::super::sim::Turn;
use super::Post;
use super::book::Act;
use super::run::within;
use std::time::Duration;
use tenure_core::api::consumer::{ConsumerHandle, Start};

/// How long somebody waits for what they want.
const PATIENCE: Duration = Duration::from_secs(4);

impl Post {
    /// Does one of the things that may be wanted, or none.
    pub(super) async fn disturbs(&self, turn: &Turn, run: u64, handle: &ConsumerHandle) {
        match turn.random(10) {
            0 | 1 => self.pauses(turn, handle).await,
            2 => self.rewinds(turn, run, handle).await,
            3 | 4 => self.looks_at_letters(turn, run, handle).await,
            _ => {}
        }
    }

    async fn pauses(&self, turn: &Turn, handle: &ConsumerHandle) {
        let length = Duration::from_millis(turn.random(1_500));
        // It may have ended, or not be reached: it is as it is then.
        let _ = within(&self.sim, PATIENCE, handle.pause("a test")).await;
        self.sim.sleep(length).await;
        let _ = within(&self.sim, PATIENCE, handle.resume()).await;
    }

    async fn rewinds(&self, turn: &Turn, run: u64, handle: &ConsumerHandle) {
        let status = handle.status();
        let to = match turn.random(2) {
            0 => Start::Beginning,
            _ => Start::After(status.saved.clone()),
        };
        let (ends, generation) = (self.heads(), status.generation);
        self.book.note(Act::Rewinds {
            run,
            ends,
            generation,
        });
        match within(&self.sim, PATIENCE, handle.rewind(to)).await {
            Some(Ok(to)) => {
                let generation = handle.status().generation;
                self.book.note(Act::Rewound {
                    run,
                    to,
                    generation,
                });
            }
            Some(Err(tenure_core::api::consumer::RewindError::Refused(_))) => {
                self.book.note(Act::NotRewound { run });
            }
            Some(Err(_)) | None => {}
        }
    }

    async fn looks_at_letters(&self, turn: &Turn, run: u64, handle: &ConsumerHandle) {
        let letters = handle.dead_letters();
        let Some(Ok(all)) = within(&self.sim, PATIENCE, letters.all()).await else {
            return;
        };
        for letter in all.into_iter().take(3) {
            let place = letter.place;
            let (removes, mends) = (turn.random(4) == 0, turn.random(2) == 0);
            if mends {
                self.book.mends(place);
            }
            self.book.note(Act::Letter { run, place });
            // What is not known of it the letters tell in the end.
            match removes {
                true => drop(within(&self.sim, PATIENCE, letters.remove(place)).await),
                false => drop(within(&self.sim, PATIENCE, letters.replay(place)).await),
            }
        }
    }
}

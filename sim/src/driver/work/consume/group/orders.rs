//! What people tell a group as a whole, by whichever node takes part: to pause, to go on, to begin anew.

use super::super::super::super::sim::Turn;
use super::super::run::within;
use super::Crew;
use std::time::Duration;
use tenure_core::api::consumer::{GroupHandle, Position, Start};
use tenure_core::step::Time;
use tenure_core::{Probe as _, reached};

/// How long somebody waits until the group is told.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is known of the orders of a group.
#[derive(Clone, Debug, Default)]
pub(super) struct Ordered {
    /// How many rewinds were asked for.
    pub(super) rewinds: u64,
    /// The life that somebody was told to have begun, with when that was.
    pub(super) begun: Vec<(u64, u64)>,
    /// The runs of nodes that say that the group is paused, and since when; `false`: that it is not any more.
    pub(super) says: Vec<(u64, u64, bool)>,
}

impl Crew {
    /// Somebody tells the group something now and then, until a time.
    pub(super) async fn takes_orders(self, nth: u64, until: Time) {
        let sim = self.post.sim.clone();
        // Rows of their own, beside those of the nodes.
        let client = self.post.shape.client * 100 + 99 - nth;
        let mut number = 0;
        while sim.now() < until {
            number += 1;
            let turn = sim.turn(client, number);
            sim.sleep(Duration::from_millis(500 + turn.random(5_000)))
                .await;
            if !turn.is_asked() {
                continue;
            }
            match turn.random(3) {
                0 => self.is_rewound(&turn).await,
                _ => self.is_paused(&turn).await,
            }
        }
    }

    /// A node that takes part, as is drawn.
    fn anyone(&self, turn: &Turn) -> Option<GroupHandle> {
        let parts = self.parts();
        let count = parts.running.len() as u64;
        let nth = usize::try_from(turn.random(count.max(1))).ok()?;
        parts.running.values().nth(nth).cloned()
    }

    async fn is_paused(&self, turn: &Turn) {
        let sim = &self.post.sim;
        let Some(handle) = self.anyone(turn) else {
            return;
        };
        let length = Duration::from_millis(turn.random(8_000));
        // What is not told may be stored all the same.
        let _ = within(sim, PATIENCE, handle.pause("a test")).await;
        sim.sleep(length).await;
        if let Some(handle) = self.anyone(turn) {
            let _ = within(sim, PATIENCE, handle.resume()).await;
        }
    }

    async fn is_rewound(&self, turn: &Turn) {
        let sim = &self.post.sim;
        let Some(handle) = self.anyone(turn) else {
            return;
        };
        let to = match turn.random(3) {
            0 => Start::New,
            1 => {
                let ends = sim.stage.ends();
                Start::After(ends.into_iter().map(Position::whole).collect())
            }
            _ => Start::Beginning,
        };
        self.ordered().rewinds += 1;
        if let Some(Ok(life)) = within(sim, PATIENCE, handle.rewind(to)).await {
            let at = sim.now().as_nanos();
            self.ordered().begun.push((at, life));
            reached!(sim.probe(), "world: a group was rewound");
        }
    }

    /// Has it go on where a node says that it is paused.
    pub(super) async fn goes_on(&self, core: &[usize]) {
        let paused = {
            let parts = self.parts();
            let mut well = parts.running.iter().filter(|(it, _)| core.contains(it));
            well.find(|(_, handle)| handle.status().paused.is_some())
                .map(|(_, handle)| handle.clone())
        };
        if let Some(handle) = paused {
            let _ = within(&self.post.sim, PATIENCE, handle.resume()).await;
        }
    }

    /// Writes down when a node says that the group is paused, and when that it is not, as long as it takes
    /// part.
    pub(super) async fn says(&self, run: u64, handle: &GroupHandle) {
        let mut paused = false;
        loop {
            let other = handle.until_status(|it| it.paused.is_some() != paused);
            if other.await.is_err() {
                return std::future::pending().await;
            }
            paused = !paused;
            let at = self.post.sim.now().as_nanos();
            self.ordered().says.push((run, at, paused));
            if paused {
                reached!(self.post.sim.probe(), "world: a group is paused");
            }
        }
    }
}

//! The end of a run: every consumer catches up on a node that is well (P8), and is judged.

use super::judge::{Known, Wanted, judge, missing};
use super::run::{Running, within};
use super::table::Table;
use super::{Post, Posts};
use crate::oracle::{Class, Violation};
use std::collections::BTreeSet;
use std::time::Duration;
use tenure_core::api::consumer::{EventPlace, State};
use tenure_core::step::Time;
use tenure_core::{Probe as _, reached};

/// How long somebody waits for what a consumer that is well tells.
const PATIENCE: Duration = Duration::from_secs(20);

/// Lets the consumers catch up, and judges them.
pub(in super::super) async fn finish(posts: Posts) -> Result<(), Violation> {
    for runner in posts.runners {
        runner.await;
    }
    for post in &posts.posts {
        post.ends_well().await?;
    }
    Ok(())
}

impl Post {
    async fn ends_well(&self) -> Result<(), Violation> {
        // Of what a stream lost nothing is promised, nor of what was made of it: it begins anew.
        let lost = self.sim.voids().tail_lost();
        let mut running = self.runs(lost).await?;
        let mut replayed = match self.anew() {
            Some(again) => Some((again.runs(false).await?, again)),
            None => None,
        };
        let wanted = loop {
            let (ends, wanted) = (self.heads(), self.wanted()?);
            running = self.catches_up(running, &wanted).await?;
            if let Some((replay, again)) = replayed.take() {
                replayed = Some((again.catches_up(replay, &wanted).await?, again));
            }
            // What was under way may be stored meanwhile.
            if self.heads() == ends {
                break wanted;
            }
        };
        reached!(self.sim.probe(), "world: consumers caught up");
        let known = Known {
            letters: self.letters(&mut running).await?,
            lost,
            replicated: self.sim.replicated(),
            folded: self.table.as_ref().map(Table::folded),
            replayed: replayed
                .as_ref()
                .and_then(|(_, it)| it.table.as_ref().map(Table::folded)),
        };
        for it in [Some(running), replayed.map(|(replay, _)| replay)]
            .into_iter()
            .flatten()
        {
            // It may have ended meanwhile.
            let _ = within(&self.sim, PATIENCE, it.handle.stop()).await;
        }
        judge(self, &wanted, &known)
    }

    /// Starts it until it runs.
    async fn runs(&self, reset: bool) -> Result<Running, Violation> {
        let until = self.until();
        for number in 1_000.. {
            let turn = self.sim.turn(self.shape.client, number);
            let (_, tenure) = turn.node().await;
            if let Some(running) = self.starts(&tenure, reset).await {
                return Ok(running);
            }
            if self.sim.now() >= until {
                break;
            }
            self.sim.sleep(Duration::from_millis(200)).await;
        }
        Err(self.late("does not start".into()))
    }

    /// Waits until it has caught up, and starts it again when it ends before. Gives the run that has.
    async fn catches_up(
        &self,
        mut running: Running,
        wanted: &Wanted,
    ) -> Result<Running, Violation> {
        let until = self.until();
        loop {
            let missing = missing(self, wanted);
            let Some(place) = missing.first() else {
                return Ok(running);
            };
            let status = running.handle.status();
            if self.sim.now() >= until {
                let (run, state, more) = (running.run, status.state, missing.len() - 1);
                let what =
                    format!("in run {run} ({state:?}) has not handled {place} and {more} more");
                let at = status.positions.get(usize::from(place.partition.0));
                let passed = at.is_some_and(|at| at.takes_in(place.sequence, place.index));
                return Err(match passed {
                    true => self.skips(*place, &what),
                    false => self.late(what),
                });
            }
            if status.state == State::Over {
                running = self.runs(false).await?;
            }
            self.sim.sleep(Duration::from_millis(100)).await;
        }
    }

    /// Its dead letters; it is started again when it ends over an event that comes again.
    async fn letters(&self, running: &mut Running) -> Result<BTreeSet<EventPlace>, Violation> {
        let until = self.until();
        while self.sim.now() < until {
            let letters = running.handle.dead_letters();
            if let Some(Ok(all)) = within(&self.sim, PATIENCE, letters.all()).await {
                return Ok(all.into_iter().map(|letter| letter.place).collect());
            }
            *running = self.runs(false).await?;
        }
        Err(self.late("tells no dead letters".into()))
    }

    fn until(&self) -> Time {
        self.sim.now() + self.sim.later()
    }

    fn late(&self, what: String) -> Violation {
        let name = &self.shape.name;
        Violation {
            class: Class::Liveness,
            oracle: "caught-up",
            what: format!("{name} {what} (P8)"),
        }
    }

    fn skips(&self, place: EventPlace, what: &str) -> Violation {
        let name = &self.shape.name;
        Violation {
            class: Class::Safety,
            oracle: "skipped",
            what: format!("{name} {what}, and is past {place} (C1)"),
        }
    }
}

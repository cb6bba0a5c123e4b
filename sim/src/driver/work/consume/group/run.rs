//! A node's part in a group, again and again, as of a program that takes part whenever it is started.

use super::super::super::super::sim::Turn;
use super::super::book::Act;
use super::super::run::within;
use super::Crew;
use std::time::Duration;
use tenure_core::api::Tenure;
use tenure_core::api::consumer::{ConsumerError, Group, GroupHandle, GroupStatus};
use tenure_core::step::Time;
use tokio::sync::watch;

/// How long a start may take, and how long somebody waits for an end.
const START: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(4);

/// A node's part in a group, while it lasts.
struct Part {
    run: u64,
    handle: GroupHandle,
}

impl Crew {
    /// Takes part on a node until the run is at its end.
    pub(super) async fn serves(self, node: usize, until: Time, mut over: watch::Receiver<bool>) {
        let sim = self.post.sim.clone();
        // Each node has rows of its own.
        let client = self.post.shape.client * 100 + node as u64;
        let mut number = 0;
        while !*over.borrow() {
            number += 1;
            let turn = sim.turn(client, number);
            let wait = Duration::from_millis(20 + turn.random(300));
            sim.sleep(wait).await;
            // Once everything is well every program does what it is there for.
            let well = sim.now() >= until;
            if !well && !turn.is_asked() {
                continue;
            }
            let Some(tenure) = sim.node(node) else {
                continue;
            };
            if let Some(part) = self.joins(node, &tenure).await {
                self.parts().running.insert(node, part.handle.clone());
                self.stays(&turn, &part, well, &mut over).await;
                self.parts().running.remove(&node);
            }
        }
    }

    async fn joins(&self, node: usize, tenure: &Tenure) -> Option<Part> {
        let book = &self.post.book;
        let run = book.next_run();
        self.parts().nodes.insert(run, node);
        book.note(Act::Begins {
            run,
            ends: Vec::new(),
            reset: false,
        });
        let consumer = self.post.defined(tenure, run, false);
        let consumer = consumer.start_timeout(START);
        let group = match self.partitions {
            Some(partitions) => consumer.grouped(Group::partitions(partitions)),
            None => consumer.single_leader(),
        };
        match group.start().await {
            Ok(handle) => Some(Part { run, handle }),
            Err(error) => {
                self.post.ends(run, &error);
                None
            }
        }
    }

    /// Takes part until that ends, some partition stands over an event, or the program has enough of it.
    async fn stays(&self, turn: &Turn, part: &Part, well: bool, over: &mut watch::Receiver<bool>) {
        let sim = &self.post.sim;
        let leaves = turn.random(4) == 0 && !well;
        let time = Duration::from_millis(300 + turn.random(6_000));
        let had_enough = async {
            match leaves {
                true => sim.sleep(time).await,
                false => std::future::pending().await,
            }
        };
        let stands = |status: &GroupStatus| status.partitions.iter().any(|it| it.ended.is_some());
        let stopped = async {
            part.handle.until_status(stands).await?;
            sim.sleep(Duration::from_millis(turn.random(1_500))).await;
            // Somebody looks at it before the part is started again.
            self.post.book.mends_all();
            Ok::<(), ConsumerError>(())
        };
        tokio::select! {
            biased;
            ended = part.handle.ended() => return self.ended(part, ended),
            () = self.says(part.run, &part.handle) => {}
            _ = stopped => {}
            () = had_enough => {}
            // Without a sender the run is over.
            _ = over.wait_for(|over| *over) => {}
        }
        match within(sim, PATIENCE, part.handle.stop()).await {
            Some(ended) => self.ended(part, ended),
            // It goes on ending by itself; who starts it again meanwhile is told so.
            None => self.ended(part, Ok(())),
        }
    }

    fn ended(&self, part: &Part, ended: Result<(), ConsumerError>) {
        let error = ended.err().unwrap_or(ConsumerError::Stopped);
        self.post.ends(part.run, &error);
    }
}

//! What a test of a simulated cluster holds: its nodes, its clock, its dice, its faults.

use crate::stage::Stage;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tenure_core::api::Tenure;
use tenure_core::format::TakeOver;
use tenure_core::step::{Span, Time};
use tokio::sync::oneshot;

/// A simulated cluster, for whoever tests something on it. Clones are handles of the same one.
///
/// Whoever tests is on no node: no fault befalls them, and their clock is the true one.
#[derive(Clone)]
pub struct Sim {
    pub(super) stage: Arc<dyn Stage>,
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim").finish_non_exhaustive()
    }
}

/// What runs beside a test; its end is awaited.
#[must_use = "await it, or what it does may be cut off by the end of the test"]
pub struct SimTask<T>(oneshot::Receiver<T>);

impl<T> fmt::Debug for SimTask<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimTask").finish_non_exhaustive()
    }
}

impl<T> Future for SimTask<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        // A task of a test ends or panics, which ends the run.
        Pin::new(&mut self.0)
            .poll(cx)
            .map(|ended| ended.expect("a task that was not cut off"))
    }
}

/// One question of a client of the world's own.
pub(super) struct Turn {
    pub(super) sim: Sim,
    client: u64,
    number: u64,
}

impl Turn {
    /// Whether it is asked at all.
    pub(super) fn is_asked(&self) -> bool {
        let (client, number) = (self.client, self.number);
        self.sim.stage.is_asked(client, number)
    }

    pub(super) fn random(&self, bound: u64) -> u64 {
        self.sim.stage.random(self.row() | 1, bound)
    }

    pub(super) async fn tenure(&self) -> Tenure {
        self.node().await.1
    }

    /// A node, and its handle.
    pub(super) async fn node(&self) -> (usize, Tenure) {
        self.sim.node_by(self.row()).await
    }

    pub(super) fn client(&self) -> u64 {
        self.client
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    fn row(&self) -> u64 {
        (self.client + 1) << 40 | self.number << 1
    }
}

impl Sim {
    /// A simulated cluster of some world.
    pub(crate) fn on(stage: Arc<dyn Stage>) -> Self {
        Self { stage }
    }

    /// How many nodes there are, running or not.
    pub fn nodes(&self) -> usize {
        self.stage.nodes()
    }

    /// The handle of one node, while its program runs. It ends with that run of the program: what is
    /// asked of it then is refused as stopped, or unknown.
    pub fn node(&self, node: usize) -> Option<Tenure> {
        self.stage.node(node)
    }

    /// The handle of some node whose program runs; waits for one.
    pub async fn tenure(&self) -> Tenure {
        self.node_by(0).await.1
    }

    /// The same with the node, by a row of draws.
    pub(super) async fn node_by(&self, row: u64) -> (usize, Tenure) {
        let mut ups = self.stage.ups();
        loop {
            ups.borrow_and_update();
            if let Some(found) = self.some_node(row) {
                return found;
            }
            // The world holds the other end.
            let _ = ups.changed().await;
        }
    }

    fn some_node(&self, row: u64) -> Option<(usize, Tenure)> {
        let running = self.stage.running();
        let index = self.stage.random(row, running.len() as u64);
        let node = *running.get(usize::try_from(index).ok()?)?;
        Some((node, self.stage.node(node)?))
    }

    /// One question of a client of the world's own: what it draws is of itself, so that one less
    /// leaves the others as they are.
    pub(super) fn turn(&self, client: u64, number: u64) -> Turn {
        Turn {
            sim: self.clone(),
            client,
            number,
        }
    }

    /// A number below `bound`, from the seed; 0 when `bound` is 0.
    pub fn random(&self, bound: u64) -> u64 {
        self.stage.random(1, bound)
    }

    /// True time since the start of the run.
    pub fn now(&self) -> Time {
        self.stage.now()
    }

    /// Ends after a true time.
    pub fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send + use<> {
        self.stage.sleep_until(self.now() + Span::from(time))
    }

    /// Runs something beside the test.
    pub fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> SimTask<T> {
        let (done, ended) = oneshot::channel();
        self.stage.spawn(Box::pin(async move {
            // Who does not wait needs no result.
            let _ = done.send(task.await);
        }));
        SimTask(ended)
    }

    /// Kills a node's program, as by `kill -9`: none of its tasks runs any further. It is not started
    /// again before [`start`](Self::start), unless a fault or the end of all faults does so.
    pub fn kill(&self, node: usize) {
        self.stage.kill(node);
    }

    /// Starts a node's program, unless it runs.
    pub fn start(&self, node: usize) {
        self.stage.start(node);
    }

    /// A node does nothing for a time, as after SIGSTOP, while its clock runs on.
    pub fn pause(&self, node: usize, time: Duration) {
        self.stage.pause(node, time.into());
    }

    /// From now on no fault comes, and what was broken is well again.
    pub fn heal(&self) {
        self.stage.heal(true);
    }

    /// From now on no fault comes, and a part of the nodes, one at least, is well again; the others
    /// are dead for good, or cut off. Gives those that are well.
    pub fn heal_some(&self) -> Vec<usize> {
        self.stage.heal(false)
    }

    /// How long it takes at most after everything healed until each shard of each class has an owner
    /// (P8).
    pub fn convergence(&self) -> Duration {
        self.stage.stretches().convergence.into()
    }

    /// Waits until each of these nodes runs and sees an owner for each shard of these classes, so
    /// long at most; tells what is missing then.
    ///
    /// # Errors
    ///
    /// What is missing.
    pub async fn served(
        &self,
        nodes: &[usize],
        classes: &[TakeOver],
        patience: Duration,
    ) -> Result<(), String> {
        let until = self.now() + Span::from(patience);
        loop {
            let Err(missing) = self.is_served(nodes, classes) else {
                return Ok(());
            };
            if self.now() >= until {
                return Err(missing);
            }
            self.sleep(Duration::from_millis(20)).await;
        }
    }

    fn is_served(&self, nodes: &[usize], classes: &[TakeOver]) -> Result<(), String> {
        for node in nodes {
            let Some(tenure) = self.node(*node) else {
                return Err(format!("n{node} does not run"));
            };
            let Some(cluster) = tenure.cluster() else {
                return Err(format!("n{node} is in no cluster"));
            };
            let view = cluster.view();
            for class in classes {
                if !view.is_served(*class) {
                    let owned = view.owned(*class);
                    let state = view.state();
                    return Err(format!(
                        "n{node} ({state}) sees a {class:?} shard without an owner: {owned:?}"
                    ));
                }
            }
            // A node that is not among those that are well owns nothing.
            for class in classes {
                for owner in view.owned(*class).keys() {
                    let well = |node: &usize| *owner == format!("n{node}");
                    if !nodes.iter().any(well) {
                        return Err(format!("n{node} sees {owner} own a {class:?} shard"));
                    }
                }
            }
        }
        Ok(())
    }
}

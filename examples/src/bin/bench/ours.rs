//! Tenure's side: nodes that own counters, and one that asks them.

use futures_util::future::{join_all, try_join_all};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tenure::{Counters as Counted, Tenure};
use tenure_examples::Failure;
use tenure_examples::counters::{Counters, Plan, Problem, served};
use tenure_examples::load::Side;
use tokio::time::Instant;

/// How long the cluster takes at most until every counter has an owner.
const SERVED_WITHIN: Duration = Duration::from_secs(60);

/// How long an operation that was not done is sent again before the run fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many counters are read at once.
const READS: usize = 64;

/// A cluster, and the counters of all keys.
#[derive(Debug)]
pub(crate) struct Ours {
    gateway: Tenure,
    owners: Vec<Tenure>,
    counters: Counters,
    ids: Vec<String>,
    /// How often an operation was sent again.
    repeated: AtomicU64,
}

impl Ours {
    /// Starts so many owners and waits until they own everything.
    pub(crate) async fn start(
        plan: &Plan,
        nodes: usize,
        ids: Vec<String>,
    ) -> Result<Self, Failure> {
        let names: Vec<String> = (1..=nodes).map(|node| format!("node-{node}")).collect();
        let owners = try_join_all(names.iter().map(|name| plan.owner(name))).await?;
        let gateway = plan.gateway().await?;
        let counters = Counters::of(gateway.clone(), plan.kind);
        let ours = Self {
            gateway,
            owners,
            counters,
            ids,
            repeated: AtomicU64::new(0),
        };
        let nodes = NonZeroUsize::new(nodes.min(usize::from(plan.shards)));
        let nodes = nodes.map_or(1, NonZeroUsize::get);
        match served(&ours.gateway, plan.kind, nodes, SERVED_WITHIN).await {
            Ok(()) => Ok(ours),
            Err(error) => {
                ours.stop().await;
                Err(error)
            }
        }
    }

    pub(crate) fn ids(&self) -> &[String] {
        &self.ids
    }

    pub(crate) fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }

    /// What the node that asks has counted.
    pub(crate) async fn counted(&self) -> Counted {
        self.gateway.counters().await
    }

    /// What all counters come to.
    pub(crate) async fn sum(&self) -> Result<u64, Failure> {
        let reads = stream::iter(&self.ids).map(|id| self.counters.count(id));
        let sum = reads.buffer_unordered(READS);
        Ok(sum
            .try_fold(0, |sum, count| async move { Ok(sum + count) })
            .await?)
    }

    /// Stops all nodes, who asks first.
    pub(crate) async fn stop(&self) {
        self.gateway.stop().await;
        join_all(self.owners.iter().map(|owner| owner.stop())).await;
    }
}

impl Side for Ours {
    /// An operation that surely was not done is sent again.
    async fn operate(&self, key: usize) -> Result<(), Failure> {
        let mut end = None;
        loop {
            match self.counters.add(&self.ids[key], 1).await {
                Ok(_) => return Ok(()),
                Err(problem @ (Problem::Overloaded | Problem::Unavailable(_))) => {
                    let end = *end.get_or_insert_with(|| Instant::now() + PATIENCE);
                    if Instant::now() > end {
                        return Err(problem.into());
                    }
                    self.repeated.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(problem @ (Problem::Invalid(_) | Problem::Unknown(_) | Problem::Failed(_))) => {
                    return Err(problem.into());
                }
            }
        }
    }
}

//! The nodes of this process.

use futures_util::future::{join_all, try_join_all};
use tenure::Tenure;
use tenure_examples::Failure;
use tenure_examples::counters::Plan;

/// The nodes of this process: who asks, and who own.
#[derive(Debug)]
pub(crate) struct Nodes {
    /// A node of its own that owns nothing, or the only owner.
    pub(crate) asks: Tenure,
    owners: Vec<(String, Tenure)>,
    gateway: bool,
}

impl Nodes {
    /// One node for each name, and one that asks them.
    pub(crate) async fn several(plan: &Plan, names: Vec<String>) -> Result<Self, Failure> {
        let starts = names.into_iter().map(|name| async move {
            let node = plan.owner(&name).await?;
            Ok::<_, Failure>((name, node))
        });
        let owners = try_join_all(starts).await?;
        let asks = plan.gateway().await?;
        Ok(Self {
            asks,
            owners,
            gateway: true,
        })
    }

    /// One node, which asks as well.
    pub(crate) async fn one(plan: &Plan, name: &str) -> Result<Self, Failure> {
        let asks = plan.owner(name).await?;
        Ok(Self {
            owners: vec![(name.to_owned(), asks.clone())],
            asks,
            gateway: false,
        })
    }

    /// All of them by name.
    pub(crate) fn all(&self) -> Vec<(String, Tenure)> {
        let mut all = self.owners.clone();
        if self.gateway {
            all.push(("gateway".to_owned(), self.asks.clone()));
        }
        all
    }

    /// Answers what is in hand, hands over what is owned, and leaves.
    pub(crate) async fn stop(self) {
        if self.gateway {
            self.asks.stop().await;
        }
        join_all(self.owners.iter().map(|(_, node)| node.stop())).await;
    }
}

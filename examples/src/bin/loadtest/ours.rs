//! Tenure's side: one command on a user's counter, through the user API.

use crate::block::{Failure, Side};
use crate::counter::{Add, Counter};
use crate::servers::Where;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tenure::{Repository, Tenure};
use tokio::time::Instant;

/// How long an operation is sent again before the run fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node and the counters of all users.
#[derive(Debug)]
pub(crate) struct Ours {
    pub(crate) tenure: Tenure,
    counters: Repository<Counter>,
    ids: Vec<String>,
    /// Operations that were acknowledged.
    acknowledged: AtomicU64,
    /// How often an operation was sent again.
    repeated: AtomicU64,
}

/// Starts a node; a second one of the same place has nothing in memory.
pub(crate) async fn start(place: &Where, lanes: NonZeroUsize) -> Result<Tenure, Failure> {
    let mut builder = Tenure::builder().namespace(&place.namespace).lanes(lanes);
    if let Some(replicas) = place.replicas {
        builder = builder.replicas(replicas);
    }
    Ok(builder.start(&place.url).await?)
}

impl Ours {
    pub(crate) async fn new(tenure: Tenure, users: usize) -> Result<Self, Failure> {
        Ok(Self {
            counters: tenure.repository().await?,
            tenure,
            ids: (0..users).map(|user| format!("user-{user:06}")).collect(),
            acknowledged: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
        })
    }

    pub(crate) fn ids(&self) -> &[String] {
        &self.ids
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    pub(crate) fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }

    /// The sum of all users' versions: one for each event in the log.
    pub(crate) async fn versions(&self) -> Result<u64, Failure> {
        let mut sum = 0;
        for id in &self.ids {
            sum += self.counters.version(id).await?.0;
        }
        Ok(sum)
    }
}

impl Side for Ours {
    /// An operation whose outcome is unknown is sent again with its id, so that it takes effect
    /// once, until it is acknowledged.
    async fn operate(&self, user: usize) -> Result<(), Failure> {
        let id = self.tenure.command_id();
        let mut end = None;
        loop {
            let add = self.counters.execute(&self.ids[user], Add { amount: 1 });
            match add.id(id).await {
                Ok(_) => break,
                Err(error) if !error.is_retryable() => return Err(error.into()),
                Err(error) => {
                    let end = *end.get_or_insert_with(|| Instant::now() + PATIENCE);
                    if Instant::now() > end {
                        return Err(error.into());
                    }
                    self.repeated.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

//! Tenure's side: one command on a user's counter, through the user API.

use crate::checker::Acknowledged;
use crate::options::{Cache, Options};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tenure::{Repository, Tenure};
use tenure_examples::counter::{Add, Counter};
use tenure_examples::load::{Side, Where};
use tenure_examples::{Failure, bare};
use tokio::time::Instant;

/// How long an operation is sent again before the run fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node and the counters of all users.
#[derive(Debug)]
pub(crate) struct Ours {
    pub(crate) tenure: Tenure,
    counters: Repository<Counter>,
    ids: Vec<String>,
    /// How many operations were acknowledged.
    acknowledged: AtomicU64,
    /// What was acknowledged, where it is held against the streams afterwards.
    told: Option<Mutex<Vec<Told>>>,
    /// How often an operation was sent again.
    repeated: AtomicU64,
}

/// An acknowledgement: the user's number, and what the receipt says.
#[derive(Clone, Copy, Debug)]
struct Told {
    user: usize,
    command: u128,
    version: u64,
    sequence: Option<u64>,
}

/// Starts a node; a second one of the same place has nothing in memory.
pub(crate) async fn start(place: &Where, options: &Options) -> Result<Tenure, Failure> {
    let builder = Tenure::builder().namespace(&place.namespace);
    let mut builder = builder.lanes(options.threads);
    if let Cache(Some(entities)) = options.cache {
        builder = builder.cache(entities);
    }
    if let Some(replicas) = place.replicas {
        builder = builder.replicas(replicas);
    }
    Ok(builder.start(&place.url).await?)
}

impl Ours {
    pub(crate) async fn new(
        tenure: Tenure,
        users: usize,
        keep_told: bool,
    ) -> Result<Self, Failure> {
        Ok(Self {
            counters: tenure.repository().await?,
            tenure,
            ids: (0..users).map(|user| format!("user-{user:06}")).collect(),
            acknowledged: AtomicU64::new(0),
            told: keep_told.then(Mutex::default),
            repeated: AtomicU64::new(0),
        })
    }

    pub(crate) fn ids(&self) -> &[String] {
        &self.ids
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until so many operations were acknowledged.
    pub(crate) async fn until_acknowledged(&self, operations: u64) {
        while self.acknowledged() < operations {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// What was acknowledged, as the checker takes it.
    pub(crate) fn told(&self) -> Vec<Acknowledged> {
        let told = self.told.as_ref().map(|told| {
            let told = told.lock().unwrap_or_else(PoisonError::into_inner);
            let acknowledged = told.iter().map(|told| Acknowledged {
                entity: self.ids[told.user].clone(),
                command: told.command,
                version: told.version,
                sequence: told.sequence,
            });
            acknowledged.collect()
        });
        told.unwrap_or_default()
    }

    pub(crate) fn repeated(&self) -> u64 {
        self.repeated.load(Ordering::Relaxed)
    }

    /// The sum of all users' versions: one for each event in the log.
    pub(crate) async fn versions(&self) -> Result<u64, Failure> {
        let mut sum = 0;
        for id in &self.ids {
            // After a crash a cluster may need a moment, as for the bare client's questions.
            sum += bare::patiently(|| self.counters.version(id)).await?.0;
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
        let receipt = loop {
            let add = self.counters.execute(&self.ids[user], Add { amount: 1 });
            match add.id(id).receipt().await {
                Ok(receipt) => break receipt,
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
        };
        if let Some(told) = &self.told {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            told.push(Told {
                user,
                command: receipt.id.0,
                version: receipt.version.0,
                sequence: receipt.sequence.map(|sequence| sequence.0),
            });
        }
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

//! The raw peer in memory: one task that owns a map of counters, and callers that ask it through a
//! channel and are answered through another. It keeps no event; it is what an answer from another
//! task costs at the least.

use std::collections::BTreeMap;
use tenure_examples::Failure;
use tenure_examples::load::Side;
use tokio::sync::{mpsc, oneshot};

/// As many requests as wait for a loop of a Tenure node.
const QUEUE_MAX: usize = 1_024;

#[derive(Debug)]
pub(crate) struct RawMem {
    requests: mpsc::Sender<(usize, oneshot::Sender<u64>)>,
}

impl RawMem {
    pub(crate) fn new() -> Self {
        let (requests, mut inbox) = mpsc::channel::<(usize, oneshot::Sender<u64>)>(QUEUE_MAX);
        tokio::spawn(async move {
            let mut counters = BTreeMap::<usize, u64>::new();
            while let Some((user, answer)) = inbox.recv().await {
                let counter = counters.entry(user).or_default();
                *counter += 1;
                let _ = answer.send(*counter);
            }
        });
        Self { requests }
    }
}

impl Side for RawMem {
    async fn operate(&self, user: usize) -> Result<(), Failure> {
        let (answer, answered) = oneshot::channel();
        self.requests.send((user, answer)).await?;
        answered.await?;
        Ok(())
    }
}

//! The bare client: its public API and nothing of Tenure.
//!
//! One request of the client's own for each operation, to the one of several responders that has the
//! key. Each responder has a connection of its own, as a node has, and answers from a map of counters.

use async_nats::Client;
use bytes::Bytes;
use futures_util::StreamExt as _;
use std::collections::BTreeMap;
use tenure_examples::Failure;
use tenure_examples::load::Side;
use tokio::task::JoinSet;

/// Who asks, and who answers; both end with this value.
#[derive(Debug)]
pub(crate) struct Raw {
    client: Client,
    subjects: Vec<String>,
    requests: Vec<Bytes>,
    _responders: JoinSet<()>,
}

impl Raw {
    /// So many responders below a subject, and one request for each id.
    pub(crate) async fn new(
        url: &str,
        subject: &str,
        nodes: usize,
        ids: &[String],
    ) -> Result<Self, Failure> {
        let servers = || url.split(',').collect::<Vec<_>>();
        let mut responders = JoinSet::new();
        let mut subjects = Vec::new();
        for node in 0..nodes {
            let subject = format!("{subject}.{node}");
            let client = async_nats::connect(servers()).await?;
            let requests = client.subscribe(subject.clone()).await?;
            client.flush().await?;
            responders.spawn(respond(client, requests));
            subjects.push(subject);
        }
        // The amount, and whose counter it is.
        let request = |id: &String| Bytes::from([&1_u64.to_be_bytes(), id.as_bytes()].concat());
        Ok(Self {
            client: async_nats::connect(servers()).await?,
            subjects,
            requests: ids.iter().map(request).collect(),
            _responders: responders,
        })
    }
}

async fn respond(client: Client, mut requests: async_nats::Subscriber) {
    let mut counters = BTreeMap::<Bytes, u64>::new();
    while let Some(message) = requests.next().await {
        let (Some(reply), Some((amount, id))) =
            (message.reply, message.payload.split_first_chunk::<8>())
        else {
            continue;
        };
        let amount = u64::from_be_bytes(*amount);
        let count = match counters.get_mut(id) {
            Some(count) => count,
            None => counters.entry(message.payload.slice(8..)).or_default(),
        };
        *count += amount;
        let answer = Bytes::copy_from_slice(&count.to_be_bytes());
        // Without a connection there is nobody to answer.
        if client.publish(reply, answer).await.is_err() {
            return;
        }
    }
}

impl Side for Raw {
    async fn operate(&self, key: usize) -> Result<(), Failure> {
        let subject = self.subjects[key % self.subjects.len()].clone();
        let answer = self
            .client
            .request(subject, self.requests[key].clone())
            .await?;
        if answer.payload.len() == 8 {
            Ok(())
        } else {
            Err("an answer of the bare client's is no count".into())
        }
    }
}

//! What is in Tenure's event streams, as the bare client sees it.

use async_nats::jetstream::stream::Stream;
use tenure_examples::{Failure, bare};

/// The event streams of a namespace.
#[derive(Debug)]
pub(crate) struct Stored {
    streams: Vec<Stream>,
}

/// How many messages are looked at for their mean size.
const SAMPLE: u64 = 64;

impl Stored {
    pub(crate) async fn open(url: &str, namespace: &str) -> Result<Self, Failure> {
        let context = bare::connect(url).await?;
        Ok(Self {
            streams: bare::event_streams(&context, namespace).await?,
        })
    }

    /// How many messages there are.
    pub(crate) async fn messages(&self) -> Result<u64, Failure> {
        let mut messages = 0;
        for stream in &self.streams {
            messages += bare::patiently(|| stream.get_info()).await?.state.messages;
        }
        Ok(messages)
    }

    /// The mean payload of the latest commits, in bytes.
    pub(crate) async fn payload_bytes(&self) -> Result<usize, Failure> {
        let (mut bytes, mut count) = (0, 0);
        for stream in &self.streams {
            let last = bare::patiently(|| stream.get_info())
                .await?
                .state
                .last_sequence;
            for sequence in last.saturating_sub(SAMPLE).max(1)..=last {
                // A barrier that was rolled up is not there any more.
                if let Ok(message) = stream.direct_get(sequence).await
                    && message.subject.contains(".ev.")
                {
                    bytes += message.payload.len();
                    count += 1;
                }
            }
        }
        Ok(bytes.checked_div(count).unwrap_or(0))
    }
}

//! Holds every message of the event streams against the rules of the log and against what was
//! acknowledged. It reads with the bare client and decodes by itself.

mod commit;
mod log;

pub(crate) use log::{Acknowledged, Log};

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use std::time::Duration;
use tenure_examples::{Failure, bare};
use tokio::time::Instant;

/// How long a message is asked for while a cluster has no leader.
const PATIENCE: Duration = Duration::from_secs(30);
const IN_FLIGHT: usize = 64;

/// Reads all commits of a namespace, each from the stream's leader: after a crash a replica may be
/// behind it.
pub(crate) async fn read(url: &str, namespace: &str) -> Result<Log, Failure> {
    let mut log = Log::default();
    let context = bare::connect(url).await?;
    for mut stream in bare::event_streams(&context, namespace).await? {
        let state = stream.info().await?.state.clone();
        let sequences = state.first_sequence..=state.last_sequence;
        let stream = &stream;
        let asked = futures_util::stream::iter(sequences).map(|sequence| message(stream, sequence));
        let mut found = 0;
        let mut told = asked.buffered(IN_FLIGHT);
        while let Some(message) = told.try_next().await? {
            // A barrier that was rolled up leaves a gap.
            let Some(message) = message else { continue };
            found += 1;
            if message.subject.split('.').nth(1) == Some("ev") {
                log.add(message.sequence, &message.subject, &message.payload);
            }
        }
        if found != state.messages {
            let name = &stream.cached_info().config.name;
            let messages = state.messages;
            return Err(format!("{found} messages of {messages} in {name} were read").into());
        }
    }
    Ok(log)
}

async fn message(stream: &Stream, sequence: u64) -> Result<Option<StreamMessage>, Failure> {
    let end = Instant::now() + PATIENCE;
    loop {
        match stream.get_raw_message(sequence).await {
            Ok(message) => return Ok(Some(message)),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => return Ok(None),
            Err(error) if Instant::now() > end => return Err(error.into()),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

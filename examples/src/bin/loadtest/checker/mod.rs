//! Holds every message of the event streams against the rules of the log and against what was
//! acknowledged. It reads with the bare client and decodes by itself.

mod commit;
mod log;

pub(crate) use log::{Acknowledged, Log};

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tenure_examples::{Failure, bare};

const IN_FLIGHT: usize = 64;

/// Reads all commits of a namespace, each from the stream's leader: after a crash a replica may be
/// behind it.
pub(crate) async fn read(url: &str, namespace: &str) -> Result<Log, Failure> {
    let mut log = Log::default();
    let context = bare::connect(url).await?;
    for stream in bare::event_streams(&context, namespace).await? {
        let state = bare::patiently(|| stream.get_info()).await?.state;
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
    let message = bare::patiently(|| async {
        match stream.get_raw_message(sequence).await {
            Ok(message) => Ok(Some(message)),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(error),
        }
    });
    Ok(message.await?)
}

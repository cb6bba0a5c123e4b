//! The bare client, as the load tests use it beside Tenure.

use crate::Failure;
use async_nats::jetstream;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{Context, GetStreamErrorKind};
use async_nats::jetstream::stream::Stream;
use std::future::Future;
use std::time::Duration;
use tokio::time::Instant;

/// Connects to a server, or to the first of several with commas between them that answers.
///
/// # Errors
///
/// When none does.
pub async fn connect(urls: &str) -> Result<Context, Failure> {
    let servers: Vec<&str> = urls.split(',').collect();
    let client = async_nats::connect(servers).await.map_err(|error| {
        let hosts = without_secrets(urls);
        format!("no nats-server answers at {hosts} ({error}): start one there, or leave --nats out")
    })?;
    Ok(jetstream::new(client))
}

/// How long a question is asked again while a cluster has no leader.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks until there is an answer: after a crash a cluster takes some seconds to have leaders again.
///
/// # Errors
///
/// What came of it at last.
pub async fn patiently<T, E, F>(mut ask: impl FnMut() -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let end = Instant::now() + PATIENCE;
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) if Instant::now() > end => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// The event streams of a namespace, by their numbers.
///
/// # Errors
///
/// When the server does not tell.
pub async fn event_streams(context: &Context, namespace: &str) -> Result<Vec<Stream>, Failure> {
    let mut streams = Vec::new();
    for number in 0.. {
        let name = format!("{namespace}_ev_{number}");
        let stream = patiently(|| async {
            match context.get_stream(&name).await {
                Ok(stream) => Ok(Some(stream)),
                Err(error) if absent(error.kind()) => Ok(None),
                Err(error) => Err(error),
            }
        });
        // The streams are numbered without a gap.
        match stream.await? {
            Some(stream) => streams.push(stream),
            None => break,
        }
    }
    Ok(streams)
}

fn absent(kind: GetStreamErrorKind) -> bool {
    match kind {
        GetStreamErrorKind::JetStream(told) => told.error_code() == ErrorCode::STREAM_NOT_FOUND,
        GetStreamErrorKind::EmptyName
        | GetStreamErrorKind::Request
        | GetStreamErrorKind::InvalidStreamName => false,
    }
}

/// Addresses without the users and passwords before their `@`.
fn without_secrets(urls: &str) -> String {
    let hosts = urls.split(',').map(|url| match url.rsplit_once('@') {
        Some((_, host)) => host,
        None => url,
    });
    hosts.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::without_secrets;

    #[test]
    fn no_secret_is_shown() {
        let urls = "nats://u:secret@one:4222,nats://two";
        assert_eq!(without_secrets(urls), "one:4222,nats://two");
    }
}

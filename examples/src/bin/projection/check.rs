//! The checker: reads the log by the bare client, with a decoder of its own, and adds up what is in it.

use crate::sums::Sums;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::jetstream::stream::Stream;
use ciborium::Value;
use futures_util::StreamExt as _;
use std::time::Duration;
use tenure_examples::Failure;
use tokio::time::Instant;

/// Of a commit, as DESIGN.md has it: its entity, and its events (version, name, schema, data).
const ENTITY: u64 = 4;
const EVENTS: u64 = 13;

/// Where each event stream ends.
pub(crate) async fn ends(streams: &mut [Stream]) -> Result<Vec<u64>, Failure> {
    let mut ends = Vec::new();
    for stream in streams {
        ends.push(stream.info().await?.state.last_sequence);
    }
    Ok(ends)
}

/// Reads all commits by an ordered consumer, and does with each what is wished: how many, and how long
/// that took.
pub(crate) async fn read(
    streams: &[Stream],
    namespace: &str,
    mut each: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(u64, Duration), Failure> {
    let (begun, mut messages) = (Instant::now(), 0);
    for stream in streams {
        let config = OrderedConfig {
            deliver_policy: DeliverPolicy::All,
            filter_subject: format!("{namespace}.ev.>"),
            ..OrderedConfig::default()
        };
        let mut consumer = stream.create_consumer(config).await?;
        let mut left = consumer.info().await?.num_pending;
        let mut commits = consumer.messages().await?;
        while left > 0 {
            let commit = commits.next().await.ok_or("the ordered consumer ended")??;
            each(&commit.payload)?;
            left -= 1;
            messages += 1;
        }
    }
    Ok((messages, begun.elapsed()))
}

/// Adds up what one commit holds.
pub(crate) fn add(sums: &mut Sums, payload: &[u8]) -> Result<(), Failure> {
    let commit: Value = ciborium::from_reader(payload)?;
    let wrong = || "a commit is not as DESIGN.md has it";
    let fields = commit.as_map().ok_or_else(wrong)?;
    let field = |key: u64| {
        let found = fields.iter().find(|(name, _)| *name == Value::from(key));
        found.map(|(_, value)| value)
    };
    let id = field(ENTITY).and_then(Value::as_text).ok_or_else(wrong)?;
    let Some(events) = field(EVENTS) else {
        return Ok(());
    };
    for event in events.as_array().ok_or_else(wrong)? {
        let data = event.as_array().and_then(|event| event.get(3));
        let data = data.and_then(Value::as_bytes).ok_or_else(wrong)?;
        let data: Value = ciborium::from_reader(&data[..])?;
        let amount = data.as_map().into_iter().flatten();
        let amount = amount.filter(|(name, _)| name.as_text() == Some("amount"));
        let amount = amount.filter_map(|(_, value)| value.as_integer()).next();
        let (count, sum) = sums.0.entry(id.to_owned()).or_default();
        *count += 1;
        *sum += u64::try_from(amount.ok_or_else(wrong)?)?;
    }
    Ok(())
}

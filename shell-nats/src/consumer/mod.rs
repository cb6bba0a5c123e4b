//! Consumers: opened and closed by one request each, and fetched from through a tap, which asks for
//! messages before they are taken.
//!
//! A consumer is an ephemeral pull consumer in the server's memory, without acknowledgements. What it
//! delivers does not come to the connection's inbox, as a delivered message keeps its own subject, so
//! each consumer that is fetched from has an inbox of its own ([`tap`]).

mod delivered;
mod place;
mod pulls;
mod tap;
mod taps;

pub(crate) use taps::{Fetch, Taps};

use crate::link::{Deadlines, Link, ask_api};
use crate::stream;
use serde::{Deserialize, Serialize};
use tenure_core::id::Sequence;
use tenure_core::port::{
    ConsumerInfo, ConsumerName, ConsumerSettings, Refused, Start, StoreDone, StoreReply,
    StreamName, Subject, stamp, wrong_name, wrong_settings,
};
use tenure_core::step::Outcome;

#[derive(Debug, Serialize)]
struct Create<'a> {
    stream_name: &'a str,
    config: Config<'a>,
    action: &'static str,
}

#[derive(Debug, Serialize)]
struct Config<'a> {
    name: &'a str,
    filter_subjects: Vec<&'a str>,
    deliver_policy: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    opt_start_seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    opt_start_time: Option<String>,
    ack_policy: &'static str,
    replay_policy: &'static str,
    /// In nanoseconds.
    inactive_threshold: u64,
    num_replicas: u32,
    mem_storage: bool,
}

#[derive(Debug, Deserialize)]
struct Created {
    delivered: Place,
    #[serde(default)]
    num_pending: u64,
}

#[derive(Debug, Deserialize)]
struct Place {
    #[serde(default)]
    stream_seq: u64,
}

/// Opens a consumer; the server takes one with equal settings that exists as opened.
pub(crate) async fn open(
    link: &Link,
    settings: &ConsumerSettings,
    deadlines: Deadlines,
) -> StoreReply {
    if let Err(refused) = stream::named(&settings.stream) {
        return Outcome::Refused(refused);
    }
    if let Some(wrong) = wrong_settings(settings) {
        return Outcome::Refused(Refused::BadRequest(wrong));
    }
    let subject = format!(
        "$JS.API.CONSUMER.CREATE.{}.{}",
        settings.stream, settings.name
    );
    let Ok(body) = serde_json::to_vec(&Create::of(settings)) else {
        return Outcome::Refused(Refused::BadRequest("a consumer cannot be written".into()));
    };
    match ask_api::<Created>(&link.client, &link.wire, (subject, body, true), deadlines).await {
        Outcome::Done(created) => Outcome::Done(StoreDone::Consumer(ConsumerInfo {
            after: Sequence(created.delivered.stream_seq),
            pending: created.num_pending,
        })),
        Outcome::Refused(refused) => Outcome::Refused(refused),
        Outcome::Unknown => Outcome::Unknown,
    }
}

/// Removes a consumer; one that is not there, or whose stream is not, is gone as well.
pub(crate) async fn close(
    link: &Link,
    (stream, consumer): (&StreamName, &ConsumerName),
    deadlines: Deadlines,
) -> StoreReply {
    #[derive(Deserialize)]
    struct Deleted {}
    if let Err(refused) = formed(stream, consumer) {
        return Outcome::Refused(refused);
    }
    let subject = format!("$JS.API.CONSUMER.DELETE.{stream}.{consumer}");
    let request = (subject, Vec::new(), true);
    match ask_api::<Deleted>(&link.client, &link.wire, request, deadlines).await {
        Outcome::Done(Deleted {}) | Outcome::Refused(Refused::NoConsumer | Refused::NoStream) => {
            Outcome::Done(StoreDone::Closed)
        }
        Outcome::Refused(refused) => Outcome::Refused(refused),
        Outcome::Unknown => Outcome::Unknown,
    }
}

/// Refuses names that cannot be tokens of a subject.
fn formed(stream: &str, consumer: &str) -> Result<(), Refused> {
    stream::named(stream)?;
    wrong_name(consumer).map_or(Ok(()), |wrong| Err(Refused::BadRequest(wrong)))
}

impl<'a> Create<'a> {
    fn of(settings: &'a ConsumerSettings) -> Self {
        let (deliver_policy, opt_start_seq, opt_start_time) = match settings.from {
            // The server takes no sequence 0, and none without a number.
            Start::Sequence(from) => ("by_start_sequence", Some(from.0.max(1)), None),
            Start::Time(time) => ("by_start_time", None, Some(stamp::text(time))),
            Start::New => ("new", None, None),
        };
        Self {
            stream_name: &settings.stream,
            config: Config {
                name: &settings.name,
                filter_subjects: settings.filters.iter().map(Subject::as_str).collect(),
                deliver_policy,
                opt_start_seq,
                opt_start_time,
                ack_policy: "none",
                replay_policy: "instant",
                inactive_threshold: settings.idle.as_nanos(),
                num_replicas: 1,
                mem_storage: true,
            },
            action: "create",
        }
    }
}

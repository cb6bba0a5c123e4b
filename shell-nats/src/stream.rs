//! Streams: the server's JSON and the port's settings, both ways.

use crate::link::{Deadlines, Link, ask_api};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenure_core::id::Sequence;
use tenure_core::port::{
    Discard, Persist, Refused, Republish, Retention, Storage, StoreDone, StoreReply, StreamInfo,
    StreamSettings, stamp,
};
use tenure_core::step::Outcome;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Creates a stream; the server takes one with equal settings that exists as created.
pub(crate) async fn create(
    link: &Link,
    wanted: StreamSettings,
    deadlines: Deadlines,
) -> StoreReply {
    if let Err(refused) = named(&wanted.name) {
        return Outcome::Refused(refused);
    }
    if !wanted.foreign.is_empty() {
        let text = format!(
            "{:?} are not settings of a stream of Tenure",
            wanted.foreign
        );
        return Outcome::Refused(Refused::BadRequest(text));
    }
    let subject = format!("$JS.API.STREAM.CREATE.{}", wanted.name);
    let Ok(body) = serde_json::to_vec(&Config::of(wanted)) else {
        return Outcome::Refused(Refused::BadRequest("the settings cannot be written".into()));
    };
    told(ask_api(&link.client, &link.wire, (subject, body, true), deadlines).await)
}

/// Reads a stream's settings and state.
pub(crate) async fn info(link: &Link, stream: &str, deadlines: Deadlines) -> StoreReply {
    if let Err(refused) = named(stream) {
        return Outcome::Refused(refused);
    }
    let request = (format!("$JS.API.STREAM.INFO.{stream}"), Vec::new(), false);
    told(ask_api(&link.client, &link.wire, request, deadlines).await)
}

/// Refuses a text that no stream is named by: it becomes one token of a subject.
pub(crate) fn named(stream: &str) -> Result<(), Refused> {
    let wrong = |c: char| c.is_whitespace() || c.is_control() || "./\\*>".contains(c);
    if stream.is_empty() || stream.contains(wrong) {
        return Err(Refused::BadRequest(format!(
            "{stream:?} is not the name of a stream"
        )));
    }
    Ok(())
}

fn told(answer: Outcome<Answer, Refused>) -> StoreReply {
    match answer {
        Outcome::Done(answer) => match answer.read() {
            Some(info) => Outcome::Done(StoreDone::Stream(info)),
            None => Outcome::Unknown,
        },
        Outcome::Refused(refused) => Outcome::Refused(refused),
        Outcome::Unknown => Outcome::Unknown,
    }
}

/// A stream as the server tells it.
#[derive(Debug, Deserialize)]
struct Answer {
    config: Config,
    created: String,
    state: State,
}

#[derive(Debug, Deserialize)]
struct State {
    messages: u64,
    first_seq: u64,
    last_seq: u64,
}

/// A stream's settings as the server writes them. What is missing has the server's default.
#[derive(Debug, Deserialize, Serialize)]
struct Config {
    name: String,
    #[serde(default)]
    subjects: Vec<String>,
    #[serde(default)]
    retention: WireRetention,
    #[serde(default)]
    storage: WireStorage,
    #[serde(default)]
    discard: WireDiscard,
    num_replicas: u32,
    #[serde(default)]
    max_age: u64,
    #[serde(default = "no_limit")]
    max_msgs: i64,
    #[serde(default = "no_limit")]
    max_msgs_per_subject: i64,
    #[serde(default = "no_limit")]
    max_bytes: i64,
    #[serde(default = "no_size_limit")]
    max_msg_size: i32,
    #[serde(default)]
    deny_delete: bool,
    #[serde(default)]
    deny_purge: bool,
    #[serde(default)]
    allow_rollup_hdrs: bool,
    #[serde(default)]
    allow_direct: bool,
    #[serde(default)]
    allow_atomic: bool,
    #[serde(default)]
    allow_msg_ttl: bool,
    #[serde(default, skip_serializing_if = "is_zero")]
    subject_delete_marker_ttl: u64,
    #[serde(default)]
    duplicate_window: u64,
    #[serde(default, skip_serializing_if = "WirePersist::is_default")]
    persist_mode: WirePersist,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    republish: Option<WireRepublish>,
    // What follows is read and never written: a stream of Tenure has none of it.
    #[serde(default, skip_serializing)]
    mirror: Value,
    #[serde(default, skip_serializing)]
    sources: Value,
    #[serde(default, skip_serializing)]
    subject_transform: Value,
    #[serde(default, skip_serializing)]
    sealed: bool,
    #[serde(default, skip_serializing)]
    no_ack: bool,
    #[serde(default, skip_serializing)]
    allow_msg_counter: bool,
    #[serde(default, skip_serializing)]
    allow_msg_schedules: bool,
    #[serde(default, skip_serializing)]
    first_seq: u64,
}

macro_rules! words {
    ($wire:ident, $port:ident, $default:ident { $($variant:ident $word:literal),* }) => {
        #[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
        enum $wire {
            $( #[serde(rename = $word)] $variant, )*
            #[default]
            #[serde(skip)]
            Absent,
        }
        impl $wire {
            const fn of(port: $port) -> Self {
                match port { $( $port::$variant => Self::$variant, )* }
            }
            const fn read(self) -> $port {
                match self { $( Self::$variant => $port::$variant, )* Self::Absent => $port::$default }
            }
        }
    };
}
words!(WireRetention, Retention, Limits {
    Limits "limits", Interest "interest", WorkQueue "workqueue"
});
words!(WireStorage, Storage, File { File "file", Memory "memory" });
words!(WireDiscard, Discard, Old { Old "old", New "new" });
words!(WirePersist, Persist, Default { Default "default", Async "async" });

impl WirePersist {
    /// Servers leave the default out, and older ones do not know the setting.
    fn is_default(&self) -> bool {
        self.read() == Persist::Default
    }
}

#[derive(Debug, Deserialize, Serialize)]
struct WireRepublish {
    #[serde(default)]
    src: String,
    dest: String,
    #[serde(default, skip_serializing)]
    headers_only: bool,
}

impl Config {
    fn of(settings: StreamSettings) -> Self {
        Self {
            name: settings.name.into(),
            subjects: settings.subjects,
            retention: WireRetention::of(settings.retention),
            storage: WireStorage::of(settings.storage),
            discard: WireDiscard::of(settings.discard),
            num_replicas: settings.replicas,
            max_age: settings.age_max_ns,
            max_msgs: settings.messages_max,
            max_msgs_per_subject: settings.messages_per_subject_max,
            max_bytes: settings.bytes_max,
            max_msg_size: settings.message_bytes_max,
            deny_delete: settings.deny_delete,
            deny_purge: settings.deny_purge,
            allow_rollup_hdrs: settings.allow_rollup,
            allow_direct: settings.allow_direct,
            allow_atomic: settings.allow_atomic,
            allow_msg_ttl: settings.allow_ttl,
            subject_delete_marker_ttl: settings.marker_ttl_s.saturating_mul(NANOS_PER_SECOND),
            duplicate_window: settings.dedup_window_ns,
            persist_mode: WirePersist::of(settings.persist),
            republish: settings.republish.map(|republish| WireRepublish {
                src: republish.source,
                dest: republish.destination,
                headers_only: false,
            }),
            mirror: Value::Null,
            sources: Value::Null,
            subject_transform: Value::Null,
            sealed: false,
            no_ack: false,
            allow_msg_counter: false,
            allow_msg_schedules: false,
            first_seq: 0,
        }
    }

    fn foreign(&self) -> Vec<String> {
        let present = |value: &Value| !value.is_null() && value.as_array() != Some(&Vec::new());
        let headers_only = self
            .republish
            .as_ref()
            .is_some_and(|republish| republish.headers_only);
        [
            (present(&self.mirror), "mirror"),
            (present(&self.sources), "sources"),
            (present(&self.subject_transform), "subject_transform"),
            (self.sealed, "sealed"),
            (self.no_ack, "no_ack"),
            (self.allow_msg_counter, "allow_msg_counter"),
            (self.allow_msg_schedules, "allow_msg_schedules"),
            (self.first_seq > 1, "first_seq"),
            (headers_only, "republish.headers_only"),
        ]
        .into_iter()
        .filter(|(there, _)| *there)
        .map(|(_, name)| name.to_owned())
        .collect()
    }

    fn read(self) -> StreamSettings {
        StreamSettings {
            foreign: self.foreign(),
            name: self.name.into(),
            subjects: self.subjects,
            replicas: self.num_replicas,
            storage: self.storage.read(),
            retention: self.retention.read(),
            discard: self.discard.read(),
            age_max_ns: self.max_age,
            messages_max: self.max_msgs,
            messages_per_subject_max: self.max_msgs_per_subject,
            bytes_max: self.max_bytes,
            message_bytes_max: self.max_msg_size,
            deny_delete: self.deny_delete,
            deny_purge: self.deny_purge,
            allow_rollup: self.allow_rollup_hdrs,
            allow_direct: self.allow_direct,
            allow_atomic: self.allow_atomic,
            allow_ttl: self.allow_msg_ttl,
            marker_ttl_s: self.subject_delete_marker_ttl / NANOS_PER_SECOND,
            dedup_window_ns: self.duplicate_window,
            persist: self.persist_mode.read(),
            republish: self.republish.map(|republish| Republish {
                source: republish.src,
                destination: republish.dest,
            }),
        }
    }
}

impl Answer {
    fn read(self) -> Option<StreamInfo> {
        Some(StreamInfo {
            created: stamp::parse(&self.created)?,
            settings: self.config.read().into(),
            first: Sequence(self.state.first_seq),
            last: Sequence(self.state.last_seq),
            messages: self.state.messages,
        })
    }
}

const fn no_limit() -> i64 {
    -1
}

const fn no_size_limit() -> i32 {
    -1
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks with a reference"
)]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

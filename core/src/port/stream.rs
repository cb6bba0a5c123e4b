//! Streams: the settings that the protocol needs, and the check that one has them (S3, K3).

use super::StreamName;
use crate::id::{Sequence, WallTime};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// The settings of a stream, as far as they touch the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct StreamSettings {
    /// Its name.
    pub name: StreamName,
    /// The subjects and filters that it takes in.
    pub subjects: Vec<String>,
    /// How many servers hold it.
    pub replicas: u32,
    /// Where it is kept.
    pub storage: Storage,
    /// Which messages it keeps.
    pub retention: Retention,
    /// What it does at a limit.
    pub discard: Discard,
    /// Age at which messages go, in nanoseconds; 0 is never.
    pub age_max_ns: u64,
    /// Messages at most; -1 is no limit.
    pub messages_max: i64,
    /// Messages per subject at most; -1 is no limit.
    pub messages_per_subject_max: i64,
    /// Bytes at most; -1 is no limit.
    pub bytes_max: i64,
    /// Bytes of one message at most; -1 is no limit.
    pub message_bytes_max: i32,
    /// Whether single messages cannot be deleted.
    pub deny_delete: bool,
    /// Whether the stream cannot be purged.
    pub deny_purge: bool,
    /// Whether `Nats-Rollup` is taken.
    pub allow_rollup: bool,
    /// Whether direct gets are answered.
    pub allow_direct: bool,
    /// Whether atomic batches are taken.
    pub allow_atomic: bool,
    /// Whether message TTLs are taken.
    pub allow_ttl: bool,
    /// How long a marker stays after the last message of a subject expired, in seconds; 0 is none.
    pub marker_ttl_s: u64,
    /// For how long deduplication ids are remembered, in nanoseconds.
    pub dedup_window_ns: u64,
    /// When writes are acknowledged.
    pub persist: Persist,
    /// Where stored messages are announced.
    pub republish: Option<Republish>,
    /// Settings that a stream of Tenure must not have and that this one has, by name: `mirror`,
    /// `sources`, `subject_transform`, `sealed`, `no_ack`, `allow_msg_counter`,
    /// `allow_msg_schedules`, `first_seq`.
    pub foreign: Vec<String>,
}

/// Where a stream is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Storage {
    /// In files.
    File,
    /// In memory.
    Memory,
}

/// Which messages a stream keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Retention {
    /// All, up to its limits.
    Limits,
    /// Those that some consumer still wants.
    Interest,
    /// Those that no consumer took.
    WorkQueue,
}

/// What a stream does at a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Discard {
    /// It drops its oldest messages.
    Old,
    /// It refuses new ones.
    New,
}

/// When writes are acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub enum Persist {
    /// After they are written.
    Default,
    /// Before they are written.
    Async,
}

/// Where stored messages are announced on core subjects.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct Republish {
    /// Which ones.
    pub source: String,
    /// Where.
    pub destination: String,
}

/// A stream's settings and state.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct StreamInfo {
    /// Its settings.
    pub settings: Box<StreamSettings>,
    /// When it was created, on the server's wall clock.
    pub created: WallTime,
    /// Its first sequence.
    pub first: Sequence,
    /// Its last sequence.
    pub last: Sequence,
    /// How many messages it holds.
    pub messages: u64,
}

/// One setting that is not as the protocol needs it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[error("stream {stream:?} has {setting} = {actual}; Tenure needs {needed}, because {why}")]
pub struct Mismatch {
    /// The stream.
    pub stream: String,
    /// The setting, by the server's name.
    #[cfg_attr(
        feature = "driver",
        serde(deserialize_with = "crate::driver::known_text")
    )]
    pub setting: crate::step::ProgramText,
    /// What it is.
    pub actual: String,
    /// What it must be.
    pub needed: String,
    /// What would go wrong.
    #[cfg_attr(
        feature = "driver",
        serde(deserialize_with = "crate::driver::known_text")
    )]
    pub why: crate::step::ProgramText,
}

//! A stream's settings as JSON, what the server fills in, and what it refuses.

use super::error::ApiError;
use crate::store::{first_overlap, overlap, valid};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenure_core::port::{Discard, Persist, Republish, Retention, Storage, StreamSettings};

const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// How long a name is at most.
pub(super) const NAME_LEN_MAX: usize = 255;
/// How long a description is at most.
pub(super) const DESCRIPTION_LEN_MAX: usize = 4_096;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident $word:literal),* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
        pub(crate) enum $name {
            #[default]
            $( #[serde(rename = $word)] $variant, )*
        }
    };
}
pub(crate) use words;

macro_rules! port_words {
    ($name:ident $port:ident $first:ident $first_word:literal $(, $variant:ident $word:literal)*) => {
        #[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
        pub(crate) enum $name {
            #[default]
            #[serde(rename = $first_word)]
            $first,
            $( #[serde(rename = $word)] $variant, )*
        }
        impl $name {
            const fn read(self) -> $port {
                match self {
                    Self::$first => $port::$first,
                    $( Self::$variant => $port::$variant, )*
                }
            }
        }
    };
}
port_words!(WireRetention Retention Limits "limits", Interest "interest", WorkQueue "workqueue");
port_words!(WireStorage Storage File "file", Memory "memory");
port_words!(WireDiscard Discard Old "old", New "new");
port_words!(WirePersist Persist Default "default", Async "async");

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct WireRepublish {
    #[serde(default)]
    pub(crate) src: String,
    pub(crate) dest: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) headers_only: bool,
}

/// A stream's settings. What the front does not do is in `other`, and refused.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct StreamConfig {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) subjects: Vec<String>,
    #[serde(default)]
    pub(crate) retention: WireRetention,
    #[serde(default)]
    pub(crate) max_consumers: i64,
    #[serde(default)]
    pub(crate) max_msgs: i64,
    #[serde(default)]
    pub(crate) max_bytes: i64,
    #[serde(default)]
    pub(crate) max_age: u64,
    #[serde(default)]
    pub(crate) max_msgs_per_subject: i64,
    #[serde(default)]
    pub(crate) max_msg_size: i32,
    #[serde(default)]
    pub(crate) discard: WireDiscard,
    #[serde(default)]
    pub(crate) storage: WireStorage,
    #[serde(default)]
    pub(crate) num_replicas: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) no_ack: bool,
    #[serde(default)]
    pub(crate) duplicate_window: u64,
    #[serde(default = "none")]
    pub(crate) compression: String,
    #[serde(default)]
    pub(crate) allow_direct: bool,
    #[serde(default)]
    pub(crate) mirror_direct: bool,
    #[serde(default)]
    pub(crate) sealed: bool,
    #[serde(default)]
    pub(crate) deny_delete: bool,
    #[serde(default)]
    pub(crate) deny_purge: bool,
    #[serde(default)]
    pub(crate) allow_rollup_hdrs: bool,
    #[serde(default)]
    pub(crate) consumer_limits: ConsumerLimits,
    #[serde(default)]
    pub(crate) allow_msg_ttl: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) subject_delete_marker_ttl: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) republish: Option<WireRepublish>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) metadata: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) allow_atomic: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) persist_mode: WirePersist,
    #[serde(flatten, skip_serializing)]
    pub(crate) other: BTreeMap<String, Value>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct ConsumerLimits {
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) inactive_threshold: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(crate) max_ack_pending: i64,
}

impl StreamConfig {
    /// The settings as the server takes them, of at most so many subjects.
    pub(crate) fn complete(mut self, subjects_max: usize) -> Result<Self, ApiError> {
        if !is_name(&self.name) {
            return Err(ApiError::new(
                400,
                10_052,
                "stream name is required and can not contain '.', '*', '>', path separators and white space",
            ));
        }
        self.refuse_other()?;
        if self.subjects.is_empty() {
            self.subjects.push(self.name.clone());
        }
        for limit in [
            &mut self.max_msgs,
            &mut self.max_bytes,
            &mut self.max_msgs_per_subject,
            &mut self.max_consumers,
        ] {
            *limit = if *limit > 0 { *limit } else { -1 };
        }
        if self.max_msg_size <= 0 {
            self.max_msg_size = -1;
        }
        self.num_replicas = self.num_replicas.max(1);
        if self.subject_delete_marker_ttl > 0 {
            self.allow_msg_ttl = true;
            self.allow_rollup_hdrs = true;
        }
        if let Some(republish) = &mut self.republish
            && republish.src.is_empty()
        {
            republish.src = ">".into();
        }
        if self.duplicate_window == 0 {
            let window = 120 * NANOS_PER_SECOND;
            self.duplicate_window = match self.max_age {
                0 => window,
                max_age => max_age.min(window),
            };
        }
        if self.subjects.len() > subjects_max {
            return Err(ApiError::stream_config(format_args!(
                "more than {subjects_max} subjects are not offered by the front: use wildcards"
            )));
        }
        self.check_subjects()?;
        self.check()?;
        Ok(self)
    }

    /// What the front does not do is refused, not left out.
    fn refuse_other(&self) -> Result<(), ApiError> {
        let is_set = |value: &Value| match value {
            Value::Null => false,
            Value::Bool(on) => *on,
            Value::Number(number) => number.as_f64() != Some(0.0),
            Value::String(text) => !text.is_empty(),
            Value::Array(list) => !list.is_empty(),
            Value::Object(_) => true,
        };
        let own = self.sealed.then_some("sealed");
        let mut other = self.other.iter().filter(|(_, value)| is_set(value));
        let other = other.next().map(|(name, _)| name.as_str());
        // What it may be called is known; `pedantic` asks for nothing.
        match own.or(other.filter(|name| *name != "pedantic")) {
            Some(name) => Err(ApiError::stream_config(format_args!(
                "{name} is not offered by the front: leave it out"
            ))),
            None => Ok(()),
        }
    }

    fn check_subjects(&self) -> Result<(), ApiError> {
        let mut subjects = self.subjects.iter().map(String::as_str);
        if subjects.clone().any(|subject| !valid(subject)) {
            return Err(ApiError::stream_config("invalid subject"));
        }
        if let Some(subject) = first_overlap(&mut subjects.clone()) {
            let text = format!("subject {subject:?} overlaps with {subject:?}");
            return Err(ApiError::stream_config(text));
        }
        match subjects.any(|subject| overlap(subject, "$JS.>")) {
            true => Err(ApiError::stream_config(
                "subjects that overlap with jetstream api require no-ack to be true",
            )),
            false => Ok(()),
        }
    }

    /// Where a stream republishes to must be a subject, of which the front fills in the end only.
    fn check_republish(&self) -> Result<(), ApiError> {
        let Some(WireRepublish { src, dest, .. }) = self.republishes() else {
            return Ok(());
        };
        if self.subjects.iter().any(|subject| overlap(dest, subject)) {
            return Err(ApiError::stream_config(
                "stream configuration for republish destination forms a cycle",
            ));
        }
        let tail = |filter: &str| filter == ">" || filter.ends_with(".>");
        let wild = dest.split('.').any(|token| token == "*");
        if !valid(src) || !valid(dest) || wild || tail(src) != tail(dest) {
            return Err(ApiError::stream_config(format_args!(
                "stream configuration for republish with transform from '{src}' to '{dest}' not valid"
            )));
        }
        match dest.contains(['$', '{']) {
            true => Err(ApiError::stream_config(
                "a place holder in republish.dest is not offered by the front: leave it out",
            )),
            false => Ok(()),
        }
    }

    fn check(&self) -> Result<(), ApiError> {
        if self.description.len() > DESCRIPTION_LEN_MAX {
            return Err(ApiError::stream_config(format_args!(
                "stream description is too long, maximum allowed is {DESCRIPTION_LEN_MAX}"
            )));
        }
        if self.allow_rollup_hdrs && self.deny_purge {
            return Err(ApiError::stream_config(
                "roll-ups require the purge permission",
            ));
        }
        if self.max_age > 0 && self.duplicate_window > self.max_age {
            return Err(ApiError::stream_config(
                "duplicates window can not be larger then max age",
            ));
        }
        if self.duplicate_window < NANOS_PER_SECOND / 10 {
            return Err(ApiError::stream_config(
                "duplicates window needs to be >= 100ms",
            ));
        }
        if self.max_age > 0 && self.max_age < NANOS_PER_SECOND / 10 {
            return Err(ApiError::stream_config("max age needs to be >= 100ms"));
        }
        self.check_republish()?;
        if !matches!(self.compression.as_str(), "none" | "s2") {
            let text = format!("unknown compression {:?}", self.compression);
            return Err(ApiError::invalid_json(text));
        }
        Ok(())
    }

    /// What an update must leave as it is.
    pub(crate) fn may_become(&self, new: &Self) -> Result<(), ApiError> {
        let refused = [
            (
                self.storage != new.storage,
                "stream configuration update can not change storage type",
            ),
            (
                self.retention != new.retention,
                "stream configuration update can not change retention policy to/from workqueue",
            ),
            (
                self.max_consumers != new.max_consumers,
                "stream configuration update can not change MaxConsumers",
            ),
            (
                self.deny_delete && !new.deny_delete,
                "stream configuration update can not cancel deny message deletes",
            ),
            (
                self.deny_purge && !new.deny_purge,
                "stream configuration update can not cancel deny purge",
            ),
            (
                self.allow_msg_ttl && !new.allow_msg_ttl,
                "message TTL status can not be disabled after stream creation",
            ),
            (
                self.persist_mode != new.persist_mode,
                "stream configuration update can not change persist mode",
            ),
        ];
        match refused.into_iter().find(|(changes, _)| *changes) {
            Some((_, text)) => Err(ApiError::stream_config(text)),
            None => Ok(()),
        }
    }

    /// Where it republishes to; an empty destination is none.
    fn republishes(&self) -> Option<&WireRepublish> {
        self.republish.as_ref().filter(|it| !it.dest.is_empty())
    }

    /// What the store knows of it.
    pub(crate) fn settings(&self) -> StreamSettings {
        StreamSettings {
            name: self.name.as_str().into(),
            subjects: self.subjects.clone(),
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
            republish: self.republishes().map(|republish| Republish {
                source: republish.src.clone(),
                destination: republish.dest.clone(),
            }),
            foreign: Vec::new(),
        }
    }
}

/// Whether a text can be the name of a stream or a consumer.
pub(crate) fn is_name(name: &str) -> bool {
    let wrong = |c: char| c.is_whitespace() || c.is_control() || "./\\*>".contains(c);
    !name.is_empty() && name.len() <= NAME_LEN_MAX && !name.contains(wrong)
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn none() -> String {
    "none".to_string()
}

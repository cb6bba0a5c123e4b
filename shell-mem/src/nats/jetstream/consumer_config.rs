//! A consumer's settings as JSON, what the server fills in, and what it refuses.

use super::config::{
    DESCRIPTION_LEN_MAX, NAME_LEN_MAX, StreamConfig, WireRetention, is_default, words,
};
use super::error::ApiError;
use crate::store::{first_overlap, literal, overlap, valid};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use serde_json::Value;

const NANOS_PER_MS: u64 = 1_000_000;
const SECOND: i64 = 1_000_000_000;
/// How long a message may be unacknowledged where nothing else is asked for.
const ACK_WAIT: i64 = 30 * SECOND;
/// How many messages may be unacknowledged where nothing else is asked for.
const ACK_PENDING_MAX: i64 = 1_000;
/// How many pulls may wait where nothing else is asked for.
const WAITING_MAX: i64 = 512;
/// How long a consumer without a lasting name stays unused where nothing else is asked for.
const IDLE: i64 = 5 * SECOND;

words! {
    /// Where a consumer begins.
    DeliverPolicy {
        All "all", Last "last", New "new", BySequence "by_start_sequence", ByTime "by_start_time",
        LastPerSubject "last_per_subject"
    }
}
words! {
    /// What is acknowledged.
    AckPolicy { None "none", All "all", Explicit "explicit" }
}
words! {
    /// How fast messages come.
    ReplayPolicy { Instant "instant", Original "original" }
}

/// A consumer's settings. What the front does not do is in `other`, and refused.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(super) struct ConsumerConfig {
    #[serde(skip_serializing_if = "is_default")]
    pub(super) durable_name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) name: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) description: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) deliver_subject: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) deliver_group: String,
    pub(super) deliver_policy: DeliverPolicy,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) opt_start_seq: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) opt_start_time: Option<String>,
    pub(super) ack_policy: AckPolicy,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) ack_wait: i64,
    pub(super) max_deliver: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) backoff: Vec<i64>,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) filter_subject: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) filter_subjects: Vec<String>,
    pub(super) replay_policy: ReplayPolicy,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) max_waiting: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) max_ack_pending: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) flow_control: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) headers_only: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) idle_heartbeat: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) max_batch: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) max_expires: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) max_bytes: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) inactive_threshold: i64,
    pub(super) num_replicas: i64,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) mem_storage: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "is_default")]
    pub(super) pause_until: Option<String>,
    #[serde(flatten, skip_serializing)]
    pub(super) other: BTreeMap<String, Value>,
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self {
            durable_name: String::new(),
            name: String::new(),
            description: String::new(),
            deliver_subject: String::new(),
            deliver_group: String::new(),
            deliver_policy: DeliverPolicy::All,
            opt_start_seq: 0,
            opt_start_time: None,
            ack_policy: AckPolicy::None,
            ack_wait: 0,
            max_deliver: 0,
            backoff: Vec::new(),
            filter_subject: String::new(),
            filter_subjects: Vec::new(),
            replay_policy: ReplayPolicy::Instant,
            max_waiting: 0,
            max_ack_pending: 0,
            flow_control: false,
            headers_only: false,
            idle_heartbeat: 0,
            max_batch: 0,
            max_expires: 0,
            max_bytes: 0,
            inactive_threshold: 0,
            num_replicas: 0,
            mem_storage: false,
            metadata: BTreeMap::new(),
            pause_until: None,
            other: BTreeMap::new(),
        }
    }
}

impl ConsumerConfig {
    pub(super) fn pushes(&self) -> bool {
        !self.deliver_subject.is_empty()
    }

    pub(super) fn lasts(&self) -> bool {
        !self.durable_name.is_empty()
    }

    /// The filters; none is all.
    pub(super) fn filters(&self) -> impl Iterator<Item = &str> {
        let one = Some(self.filter_subject.as_str()).filter(|filter| !filter.is_empty());
        one.into_iter()
            .chain(self.filter_subjects.iter().map(String::as_str))
    }

    /// The settings as the server takes them on a stream, with at most so many filters. Its name is given before.
    pub(super) fn complete(
        mut self,
        stream: &StreamConfig,
        filters_max: usize,
    ) -> Result<Self, ApiError> {
        self.refuse_other()?;
        if self.filter_subjects.len() > filters_max {
            let text = alloc::format!(
                "more than {filters_max} filter_subjects are not offered by the front: use wildcards"
            );
            return Err(ApiError::told(500, 10_012, text));
        }
        if !self.name.is_empty() {
            Self::check_name(&self.name)?;
        }
        if self.description.len() > DESCRIPTION_LEN_MAX {
            let text = alloc::format!(
                "consumer description is too long, maximum allowed is {DESCRIPTION_LEN_MAX}"
            );
            return Err(ApiError::told(400, 10_107, text));
        }
        self.check_times()?;
        let acked = self.ack_policy != AckPolicy::None;
        match self.backoff[..] {
            [first, ..] => self.ack_wait = first,
            [] if self.ack_wait == 0 && acked => self.ack_wait = ACK_WAIT,
            [] => {}
        }
        if self.max_deliver <= 0 {
            self.max_deliver = -1;
        }
        if self.max_ack_pending == 0 && acked {
            self.max_ack_pending = ACK_PENDING_MAX;
        }
        if self.max_waiting <= 0 && !self.pushes() {
            self.max_waiting = WAITING_MAX;
        }
        if self.inactive_threshold == 0 && !self.lasts() {
            self.inactive_threshold = IDLE;
        }
        if self.num_replicas > 1 {
            return Err(ApiError::new(
                500,
                10_074,
                "replicas > 1 not supported in non-clustered mode",
            ));
        }
        self.check_kind(stream)?;
        self.check_filters()?;
        self.check_start()?;
        Ok(self)
    }

    fn refuse_other(&self) -> Result<(), ApiError> {
        let is_set = |value: &Value| match value {
            Value::Null => false,
            Value::Bool(on) => *on,
            Value::Number(number) => number.as_f64() != Some(0.0),
            Value::String(text) => !matches!(text.as_str(), "" | "none"),
            Value::Array(list) => !list.is_empty(),
            Value::Object(_) => true,
        };
        let original = self.replay_policy == ReplayPolicy::Original;
        let own = original.then_some("replay_policy \"original\"");
        let mut other = self.other.iter().filter(|(_, value)| is_set(value));
        match own.or_else(|| other.next().map(|(name, _)| name.as_str())) {
            Some(name) => {
                let text = alloc::format!("{name} is not offered by the front: leave it out");
                Err(ApiError::told(500, 10_012, text))
            }
            None => Ok(()),
        }
    }

    fn check_times(&self) -> Result<(), ApiError> {
        if self.backoff.iter().any(|wait| *wait < 0) {
            return Err(ApiError::new(
                400,
                10_184,
                "consumer backoff needs to be positive",
            ));
        }
        if self.ack_wait < 0 {
            return Err(ApiError::new(
                400,
                10_183,
                "consumer ack wait needs to be positive",
            ));
        }
        let too_many = self.max_deliver > 0 && self.backoff.len() as i64 > self.max_deliver;
        if too_many {
            return Err(ApiError::new(
                400,
                10_116,
                "max deliver is required to be > length of backoff values",
            ));
        }
        Ok(())
    }

    fn check_kind(&self, stream: &StreamConfig) -> Result<(), ApiError> {
        let unacked = self.ack_policy == AckPolicy::None;
        let takes_work = stream.retention == WireRetention::WorkQueue;
        let to = self.deliver_subject.as_str();
        let push: &[(bool, u32, &'static str)] = &[
            (
                to.split('.').any(|token| matches!(token, "*" | ">")),
                10_079,
                "consumer deliver subject has wildcards",
            ),
            (
                !literal(to),
                10_112,
                "invalid push consumer deliver subject",
            ),
            (
                stream.subjects.iter().any(|subject| overlap(subject, to)),
                10_081,
                "consumer deliver subject forms a cycle",
            ),
            (
                self.max_waiting != 0,
                10_080,
                "consumer in push mode can not set max waiting",
            ),
            (
                self.max_ack_pending > 0 && unacked,
                10_082,
                "consumer requires ack policy for max ack pending",
            ),
            (
                self.idle_heartbeat != 0 && self.idle_heartbeat < SECOND / 10,
                10_083,
                "consumer idle heartbeat needs to be >= 100ms",
            ),
            (
                self.flow_control && self.idle_heartbeat == 0,
                10_108,
                "consumer with flow control also needs heartbeats",
            ),
        ];
        let pull: &[(bool, u32, &'static str)] = &[
            (
                unacked && takes_work,
                10_084,
                "consumer in pull mode requires explicit ack policy on workqueue stream",
            ),
            (
                self.idle_heartbeat != 0,
                10_088,
                "consumer idle heartbeat requires a push based consumer",
            ),
            (
                self.flow_control,
                10_089,
                "consumer flow control requires a push based consumer",
            ),
            (
                self.max_batch < 0,
                10_114,
                "consumer max request batch needs to be > 0",
            ),
            (
                self.max_expires != 0 && self.max_expires < NANOS_PER_MS as i64,
                10_115,
                "consumer max request expires needs to be >= 1ms",
            ),
        ];
        let refused = if self.pushes() { push } else { pull };
        match refused.iter().find(|(wrong, ..)| *wrong) {
            Some((_, err_code, text)) => Err(ApiError::new(400, *err_code, text)),
            None => Ok(()),
        }
    }

    fn check_filters(&self) -> Result<(), ApiError> {
        if !self.filter_subject.is_empty() && !self.filter_subjects.is_empty() {
            return Err(ApiError::new(
                400,
                10_136,
                "consumer cannot have both FilterSubject and FilterSubjects specified",
            ));
        }
        if self.filter_subjects.iter().any(String::is_empty) {
            return Err(ApiError::new(
                400,
                10_139,
                "consumer filter in FilterSubjects cannot be empty",
            ));
        }
        if self.filters().any(|filter| !valid(filter)) {
            return Err(ApiError::stream_config("invalid subject"));
        }
        match first_overlap(self.filters()) {
            Some(_) => Err(ApiError::new(
                400,
                10_138,
                "consumer subject filters cannot overlap",
            )),
            None => Ok(()),
        }
    }

    fn check_start(&self) -> Result<(), ApiError> {
        let (sequence, at) = (self.opt_start_seq > 0, self.opt_start_time.is_some());
        let wrong = |policy: &str, what: &str, verb: &str| {
            let text = alloc::format!(
                "consumer delivery policy is deliver {policy}, but optional {what} is {verb}set"
            );
            Err(ApiError::told(400, 10_094, text))
        };
        let policy = match self.deliver_policy {
            DeliverPolicy::All => "all",
            DeliverPolicy::Last => "last",
            DeliverPolicy::New => "new",
            DeliverPolicy::LastPerSubject if self.filters().next().is_none() => {
                return wrong("last per subject", "filter subject", "not ");
            }
            DeliverPolicy::LastPerSubject => "last per subject",
            DeliverPolicy::BySequence if !sequence => {
                return wrong("by start sequence", "start sequence", "not ");
            }
            DeliverPolicy::BySequence if at => {
                return wrong("by start sequence", "start time", "also ");
            }
            DeliverPolicy::ByTime if !at => return wrong("by start time", "start time", "not "),
            DeliverPolicy::ByTime if sequence => {
                return wrong("by start time", "start sequence", "also ");
            }
            DeliverPolicy::BySequence | DeliverPolicy::ByTime => return Ok(()),
        };
        match (sequence, at) {
            (true, _) => wrong(policy, "start sequence", "also "),
            (false, true) => wrong(policy, "start time", "also "),
            (false, false) => Ok(()),
        }
    }

    /// What an update must leave as it is.
    pub(super) fn may_become(&self, new: &Self) -> Result<(), ApiError> {
        let refused = [
            (
                self.deliver_policy != new.deliver_policy,
                "deliver policy can not be updated",
            ),
            (
                self.opt_start_seq != new.opt_start_seq,
                "start sequence can not be updated",
            ),
            (
                self.opt_start_time != new.opt_start_time,
                "start time can not be updated",
            ),
            (
                self.ack_policy != new.ack_policy,
                "ack policy can not be updated",
            ),
            (
                self.pushes() != new.pushes(),
                "can not update push consumer to pull based",
            ),
            (
                self.flow_control != new.flow_control,
                "flow control can not be updated",
            ),
            (
                self.idle_heartbeat != new.idle_heartbeat,
                "heart beats can not be updated",
            ),
            (
                self.max_waiting != new.max_waiting,
                "max waiting can not be updated",
            ),
        ];
        match refused.into_iter().find(|(changes, _)| *changes) {
            Some((_, text)) => Err(ApiError::new(500, 10_012, text)),
            None => Ok(()),
        }
    }

    /// Whether the name can be one.
    pub(super) fn check_name(name: &str) -> Result<(), ApiError> {
        if name.contains(['/', '\\']) {
            let text = "Consumer name can not contain path separators";
            return Err(ApiError::new(400, 10_127, text));
        }
        if name.contains(|c: char| c.is_whitespace() || ".*>".contains(c)) {
            return Err(ApiError::stream_config(
                "consumer name can not contain '.', '*', '>', '\\', '/'",
            ));
        }
        // The server names a folder for it.
        if name.contains('\0') || name.len() > NAME_LEN_MAX {
            let text = "error creating store for consumer";
            return Err(ApiError::new(500, 10_012, text));
        }
        Ok(())
    }

    /// A span in milliseconds, at least one where there is any.
    pub(super) fn millis(nanos: i64) -> u64 {
        u64::try_from(nanos).unwrap_or(0).div_ceil(NANOS_PER_MS)
    }
}

//! Requests that the front does not serve, each refused by name: as a server alone refuses what wants a
//! cluster, and with the server's number for a failure where the front has not got what is asked for.

use super::super::front::Front;
use super::super::wire::Publication;
use super::config::StreamConfig;
use super::consumer::Consumer;
use super::consumer_config::DeliverPolicy;
use super::error::{ApiError, BAD_REQUEST, NO_CONSUMER, NO_STREAM, STREAM_MISMATCH};
use super::streams::{is_empty, read, read_or_default};
use crate::store::literal;
use alloc::string::String;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

const NO_CLUSTER: ApiError = ApiError::new(503, 10_010, "JetStream clustering support required");

#[derive(Debug, Deserialize)]
struct Snapshot {
    #[serde(default)]
    deliver_subject: String,
}

#[derive(Debug, Deserialize)]
struct Restore {
    config: Option<StreamConfig>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reset {
    seq: u64,
}

#[derive(Debug, Deserialize)]
struct Unpin {
    #[serde(default)]
    group: String,
}

impl Front {
    /// Refuses a request about a stream. What no server knows has no answer, as there.
    pub(super) fn refuse_of_stream(&mut self, request: &str, publication: &Publication) {
        let (asked, stream) = request.rsplit_once('.').unwrap_or_default();
        let body = &publication.payload;
        let refused = |error| Err::<Value, ApiError>(error);
        match asked {
            "LEADER.STEPDOWN" => {
                self.tell(publication, "stream_leader_stepdown", refused(NO_CLUSTER));
            }
            "PEER.REMOVE" => self.tell(publication, "stream_remove_peer", refused(NO_CLUSTER)),
            "PEER.EVACUATE" => self.tell(publication, "stream_evacuate_peer", refused(NO_CLUSTER)),
            "SNAPSHOT" => {
                let error = self.no_snapshot(stream, body);
                self.tell(publication, "stream_snapshot", refused(error));
            }
            "RESTORE" => {
                let error = self.no_restore(stream, body);
                let beside = json!({ "deliver_subject": "" });
                self.tell_with(publication, "stream_restore", refused(error), beside);
            }
            _ => {}
        }
    }

    /// Refuses a request about a consumer. What no server knows has no answer, as there.
    pub(super) fn refuse_of_consumer(&mut self, request: &str, publication: &Publication) {
        let (rest, name) = request.rsplit_once('.').unwrap_or_default();
        let (asked, stream) = rest.rsplit_once('.').unwrap_or_default();
        let body = &publication.payload;
        let refused = |error| Err::<Value, ApiError>(error);
        match asked {
            "LEADER.STEPDOWN" => {
                self.tell(publication, "consumer_leader_stepdown", refused(NO_CLUSTER));
            }
            "PEER.REMOVE" => self.tell(publication, "consumer_remove_peer", refused(NO_CLUSTER)),
            "PEER.EVACUATE" => {
                self.tell(publication, "consumer_evacuate_peer", refused(NO_CLUSTER));
            }
            "UNPIN" => {
                let error = self.no_unpin(stream, name, body);
                self.tell(publication, "consumer_unpin", refused(error));
            }
            // Where there is no such consumer the server says nothing.
            "RESET" => {
                if let Some(consumer) = self.jetstream.consumer(stream, name) {
                    let error = no_reset(consumer, body);
                    let beside = json!({ "reset_seq": 0 });
                    self.tell_with(publication, "consumer_reset", refused(error), beside);
                }
            }
            _ => {}
        }
    }

    /// Why a stream is not copied to a subject.
    fn no_snapshot(&self, stream: &str, body: &Bytes) -> ApiError {
        if is_empty(body) {
            return BAD_REQUEST;
        }
        if !self.jetstream.streams.contains_key(stream) {
            return NO_STREAM;
        }
        match read::<Snapshot>(body) {
            Err(error) => error,
            Ok(Snapshot {
                deliver_subject: to,
            }) if !literal(&to) => ApiError::new(400, 10_015, "deliver subject not valid"),
            Ok(_) => ApiError::new(
                500,
                10_064,
                "snapshot failed: snapshots are not offered by the front: read the stream by a consumer",
            ),
        }
    }

    /// Why a stream is not made of what was copied.
    fn no_restore(&self, stream: &str, body: &Bytes) -> ApiError {
        if is_empty(body) {
            return BAD_REQUEST;
        }
        let config = match read::<Restore>(body) {
            Err(error) => return error,
            Ok(Restore { config }) => config.filter(|config| !config.name.is_empty()),
        };
        if let Some(config) = config {
            if config.name != stream {
                return STREAM_MISMATCH;
            }
            if let Err(error) = config.complete(self.config.filters_max) {
                return error;
            }
        }
        if self.jetstream.streams.contains_key(stream) {
            return ApiError::new(400, 10_130, "stream name already in use, cannot restore");
        }
        ApiError::new(
            500,
            10_062,
            "restore failed: snapshots are not offered by the front: make the stream and publish to it",
        )
    }

    /// Why nobody loses a consumer that is pinned to him: no consumer has groups.
    fn no_unpin(&self, stream: &str, name: &str, body: &Bytes) -> ApiError {
        match read::<Unpin>(body) {
            Err(error) => error,
            Ok(Unpin { group }) if group.is_empty() => {
                ApiError::invalid_json("consumer group not specified")
            }
            Ok(_) => match self.named_stream(stream) {
                Err(error) => error,
                Ok(there) if !there.consumers.contains_key(name) => NO_CONSUMER,
                Ok(_) => ApiError::new(
                    400,
                    10_160,
                    "Provided priority group does not exist for this consumer",
                ),
            },
        }
    }
}

/// Why a consumer does not begin anew.
fn no_reset(consumer: &Consumer, body: &Bytes) -> ApiError {
    let text = match (read_or_default(body), consumer.config.deliver_policy) {
        (Err(error), _) => return error,
        (
            Ok(Reset { seq: 1.. }),
            DeliverPolicy::New | DeliverPolicy::Last | DeliverPolicy::LastPerSubject,
        ) => "invalid reset: not allowed",
        (Ok(_), _) => {
            "invalid reset: not offered by the front: delete the consumer and make it anew"
        }
    };
    ApiError::new(400, 10_204, text)
}

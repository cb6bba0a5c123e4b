//! Refusals with the server's numbers.

use alloc::borrow::Cow;
use alloc::format;
use serde::Serialize;
use tenure_core::port::Refused;

/// The `error` of an answer.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ApiError {
    code: u16,
    err_code: u32,
    description: Cow<'static, str>,
}

impl ApiError {
    pub(crate) const fn new(code: u16, err_code: u32, description: &'static str) -> Self {
        Self {
            code,
            err_code,
            description: Cow::Borrowed(description),
        }
    }

    pub(crate) fn told(code: u16, err_code: u32, description: impl core::fmt::Display) -> Self {
        Self {
            code,
            err_code,
            description: Cow::Owned(format!("{description}")),
        }
    }

    pub(crate) fn invalid_json(error: impl core::fmt::Display) -> Self {
        Self::told(400, 10_025, format_args!("invalid JSON: {error}"))
    }

    /// A stream's settings that the server does not take.
    pub(crate) fn stream_config(reason: impl core::fmt::Display) -> Self {
        Self::told(500, 10_052, reason)
    }
}

pub(crate) const BAD_REQUEST: ApiError = ApiError::new(400, 10_003, "bad request");
pub(crate) const NOT_EMPTY: ApiError =
    ApiError::new(400, 10_038, "expected an empty request payload");
pub(crate) const NO_STREAM: ApiError = ApiError::new(404, 10_059, "stream not found");
pub(crate) const NO_CONSUMER: ApiError = ApiError::new(404, 10_014, "consumer not found");
pub(crate) const NO_MESSAGE: ApiError = ApiError::new(404, 10_037, "no message found");
pub(crate) const STREAM_MISMATCH: ApiError =
    ApiError::new(400, 10_056, "stream name in subject does not match request");

impl From<Refused> for ApiError {
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "it may have classes that are younger than this table"
    )]
    fn from(refused: Refused) -> Self {
        let (code, err_code, description) = match refused {
            Refused::WrongLast {
                actual: Some(actual),
            } => {
                let last = actual.0;
                return Self::told(400, 10_071, format_args!("wrong last sequence: {last}"));
            }
            Refused::WrongLast { actual: None } | Refused::InProcess => {
                (400, 10_164, "wrong last sequence")
            }
            Refused::DuplicateInProcess => (409, 10_158, "duplicate message id is in process"),
            Refused::DuplicateInBatch => (
                400,
                10_201,
                "atomic publish batch contains duplicate message id",
            ),
            Refused::TooManyBatches => (429, 10_210, "atomic publish too many inflight"),
            Refused::BatchIncomplete => (400, 10_176, "atomic publish batch is incomplete"),
            Refused::BatchTooLarge => (400, 10_199, "atomic publish batch is too large: 1000"),
            Refused::BatchDisabled => (400, 10_174, "atomic publish is disabled"),
            Refused::Overloaded => (429, 10_167, "too many requests"),
            Refused::TooLarge => (400, 10_054, "message size exceeds maximum allowed"),
            Refused::NoStream | Refused::NoResponders | Refused::NotConnected => return NO_STREAM,
            Refused::NoConsumer => return NO_CONSUMER,
            Refused::WrongStream => (400, 10_060, "expected stream does not match"),
            Refused::StreamExists => (
                400,
                10_058,
                "stream name already in use with a different configuration",
            ),
            Refused::SubjectOverlap => (400, 10_065, "subjects overlap with an existing stream"),
            Refused::NotFound => return NO_MESSAGE,
            Refused::RollupDisabled => (500, 10_111, "rollup not permitted"),
            Refused::TtlDisabled => (400, 10_166, "per-message TTL is disabled"),
            Refused::TtlInvalid => (400, 10_165, "invalid per-message TTL"),
            Refused::NoSpace => (503, 10_077, "maximum messages exceeded"),
            Refused::NoJetStream => (503, 10_076, "JetStream not enabled"),
            Refused::Forbidden => (500, 10_052, "invalid stream configuration"),
            Refused::Denied(text) => return Self::told(403, 10_003, text),
            Refused::BadRequest(text) => return Self::told(400, 10_003, text),
            Refused::Other { code: 10_074, text } => return Self::told(500, 10_074, text),
            Refused::Other { code, text } => return Self::told(400, code, text),
            _ => return BAD_REQUEST,
        };
        Self::new(code, err_code, description)
    }
}

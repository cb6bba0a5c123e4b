//! The server's refusals as the port's classes (S10).

use async_nats::Message;
use serde::Deserialize;
use tenure_core::id::Sequence;
use tenure_core::port::Refused;

/// The `error` of a JetStream answer.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ApiError {
    #[serde(default)]
    pub(crate) err_code: u32,
    #[serde(default)]
    pub(crate) description: String,
}

/// What an error means: `None` when it says nothing about whether the request took place.
pub(crate) fn refused(error: ApiError) -> Option<Refused> {
    let ApiError {
        err_code,
        description,
    } = error;
    Some(match err_code {
        // "JetStream system temporarily unavailable": a write may have been proposed before.
        10_008 => return None,
        10_071 => Refused::WrongLast {
            actual: told_sequence(&description),
        },
        10_164 => Refused::InProcess,
        10_158 => Refused::DuplicateInProcess,
        10_201 => Refused::DuplicateInBatch,
        10_210 => Refused::TooManyBatches,
        10_176 => Refused::BatchIncomplete,
        10_199 => Refused::BatchTooLarge,
        10_174 => Refused::BatchDisabled,
        10_167 => Refused::Overloaded,
        10_054 => Refused::TooLarge,
        10_059 => Refused::NoStream,
        10_014 => Refused::NoConsumer,
        10_060 => Refused::WrongStream,
        10_058 => Refused::StreamExists,
        10_065 => Refused::SubjectOverlap,
        10_037 => Refused::NotFound,
        10_111 => Refused::RollupDisabled,
        10_166 => Refused::TtlDisabled,
        10_165 => Refused::TtlInvalid,
        10_077 | 10_122 | 10_023 | 10_047 => Refused::NoSpace,
        10_076 | 10_039 => Refused::NoJetStream,
        10_052 | 10_109 | 10_110 => Refused::Forbidden,
        10_025 | 10_003 | 10_138 => Refused::BadRequest(description),
        code => Refused::Other {
            code,
            text: description,
        },
    })
}

/// What a status of a core answer means: `None` when the message has none or an unknown one.
pub(crate) fn status(message: &Message) -> Option<Refused> {
    let status = message.status?.as_u16();
    let text = || message.description.clone().unwrap_or_default();
    match status {
        404 => Some(Refused::NotFound),
        400 | 408 | 413 => Some(Refused::BadRequest(format!("{status} {}", text()))),
        503 => Some(Refused::NoResponders),
        _ => None,
    }
}

/// The sequence at the end of `wrong last sequence: 42`.
fn told_sequence(text: &str) -> Option<Sequence> {
    let (_, number) = text.rsplit_once(": ")?;
    number.trim().parse().ok().map(Sequence)
}

#[cfg(test)]
mod tests {
    use super::{ApiError, refused};
    use tenure_core::id::Sequence;
    use tenure_core::port::Refused;

    fn of(err_code: u32, description: &str) -> Option<Refused> {
        refused(ApiError {
            err_code,
            description: description.into(),
        })
    }

    #[test]
    fn the_actual_sequence_is_read_where_it_is_told() {
        let told = Refused::WrongLast {
            actual: Some(Sequence(42)),
        };
        assert_eq!(of(10_071, "wrong last sequence: 42"), Some(told));
        let untold = Refused::WrongLast { actual: None };
        assert_eq!(of(10_071, "wrong last sequence"), Some(untold));
    }

    #[test]
    fn what_may_have_happened_is_no_refusal() {
        assert_eq!(of(10_008, "JetStream system temporarily unavailable"), None);
    }

    #[test]
    fn a_number_without_a_class_keeps_its_text() {
        let other = Refused::Other {
            code: 10_074,
            text: "replicas > 1".into(),
        };
        assert_eq!(of(10_074, "replicas > 1"), Some(other));
    }
}

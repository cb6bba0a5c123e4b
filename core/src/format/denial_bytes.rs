//! A denial in an answer: an array that begins with its number. A reader passes over further parts,
//! and takes a number that it does not know, here or in a part, for a refusal of a newer writer.

use super::FormatError;
use super::denial::{Denial, Dropped};
use super::fields::Values;
use super::metadata::MetadataError;
use super::reader::Reader;
use crate::id::{Sequence, Version, WallTime};
use crate::log::{Damage, FoldError, Refusal, Undelivered};
use crate::port::Refused;
use alloc::string::String;
use alloc::vec::Vec;

/// The refusals of the log have the numbers below this one.
const CALLS: u64 = 32;

/// The bytes of a denial.
pub(super) fn encode(denial: &Denial) -> Vec<u8> {
    let mut out = Vec::new();
    let values = &mut Values(&mut out);
    match denial {
        Denial::Log(refusal) => log(refusal, values),
        Denial::UnknownKind { kind } => {
            values.array(2).uint(CALLS).text(kind);
        }
        Denial::UnknownMessage {
            kind,
            message,
            schema,
        } => {
            let values = values.array(4).uint(CALLS + 1).text(kind).text(message);
            values.uint(u64::from(*schema));
        }
        Denial::WrongSchema {
            message,
            sent,
            taken,
        } => {
            let values = values.array(4).uint(CALLS + 2).text(message);
            values.uint(u64::from(*sent)).uint(u64::from(*taken));
        }
        Denial::Undecodable { what, cause } => {
            values.array(3).uint(CALLS + 3).text(what).text(cause);
        }
        Denial::Overloaded => plain(CALLS + 4, values),
        Denial::Panicked { text } => {
            values.array(2).uint(CALLS + 5).text(text);
        }
        Denial::Failed { cause } => {
            values.array(2).uint(CALLS + 6).text(cause);
        }
        Denial::Reply { cause } => {
            values.array(2).uint(CALLS + 7).text(cause);
        }
        Denial::Start { cause, wait_ms } => {
            let values = values.array(3).uint(CALLS + 8).text(cause);
            values.uint(*wait_ms);
        }
        // 9 to 11 were never written.
        Denial::Deadline => plain(CALLS + 12, values),
        Denial::Cycle { kind, key } => {
            values.array(3).uint(CALLS + 13).text(kind).text(key);
        }
        Denial::ChainTooLong { hops, hops_max } => {
            let values = values.array(3).uint(CALLS + 14);
            values.uint(*hops as u64).uint(*hops_max as u64);
        }
        Denial::NoLease => plain(CALLS + 15, values),
        Denial::Stopping => plain(CALLS + 16, values),
        Denial::Halted { reason } => {
            values.array(2).uint(CALLS + 17).text(reason);
        }
        Denial::Unusable { cause } => {
            values.array(2).uint(CALLS + 18).text(cause);
        }
        Denial::Dropped(how) => {
            values.array(2).uint(CALLS + 19).uint(match how {
                Dropped::Late => 0,
                Dropped::Lost => 1,
                Dropped::Aborted => 2,
            });
        }
        Denial::Newer { number } => plain(*number, values),
    }
    out
}

fn plain(number: u64, values: &mut Values<'_>) {
    values.array(1).uint(number);
}

fn log(refusal: &Refusal, values: &mut Values<'_>) {
    match refusal {
        Refusal::Conflict { actual } => {
            values.array(2).uint(0).uint(actual.0);
        }
        Refusal::Contended { tries } => {
            values.array(2).uint(1).uint(u64::from(*tries));
        }
        Refusal::Unknown => plain(2, values),
        Refusal::Deadline => plain(3, values),
        Refusal::Expired { horizon } => {
            values.array(2).uint(4).uint(horizon.0);
        }
        Refusal::Ahead {
            ahead_ms,
            ahead_max_ms,
        } => {
            values.array(3).uint(5).uint(*ahead_ms).uint(*ahead_max_ms);
        }
        Refusal::Overloaded => plain(6, values),
        Refusal::TooLarge { bytes, bytes_max } => sizes(7, *bytes, *bytes_max, values),
        Refusal::OutcomeTooLarge { bytes, bytes_max } => sizes(8, *bytes, *bytes_max, values),
        Refusal::VersionNotRising { last, given } => {
            values.array(3).uint(9).uint(last.0).uint(given.0);
        }
        Refusal::Metadata(error) => {
            let (which, found, max) = match *error {
                MetadataError::TooManyHeaders {
                    headers,
                    headers_max,
                } => (0, headers, headers_max),
                MetadataError::TooLarge { bytes, bytes_max } => (1, bytes, bytes_max),
                MetadataError::NoName => (2, 0, 0),
            };
            let values = values.array(4).uint(10).uint(which);
            values.uint(found as u64).uint(max as u64);
        }
        Refusal::NotOwner => plain(11, values),
        Refusal::Failed(cause) => {
            values.array(2).uint(12).text(cause);
        }
        Refusal::NotLeased => plain(16, values),
        Refusal::TooManyTimers { timers, timers_max } => sizes(17, *timers, *timers_max, values),
        Refusal::TooManySends { sends, sends_max } => sizes(18, *sends, *sends_max, values),
        Refusal::Unowned => plain(19, values),
        Refusal::Undelivered(Undelivered { messages, to }) => {
            values.array(3).uint(20).uint(*messages as u64).text(to);
        }
        Refusal::Fold(error) => fold(error, values.array(7).uint(13)),
        Refusal::Damaged(Damage {
            stream,
            sequence,
            what,
        }) => {
            let values = values.array(4).uint(14).text(stream);
            values.uint(sequence.0).text(what);
        }
        Refusal::Store(refused) => store(refused, values.array(4).uint(15)),
    }
}

fn sizes(number: u64, bytes: usize, bytes_max: usize, values: &mut Values<'_>) {
    let values = values.array(3).uint(number);
    values.uint(bytes as u64).uint(bytes_max as u64);
}

fn fold(error: &FoldError, values: &mut Values<'_>) {
    let none = Version::ABSENT;
    let (which, name, schema, version, step, cause) = match error {
        FoldError::UnknownEvent {
            name,
            schema,
            version,
        } => (0, name.as_str(), *schema, *version, "", ""),
        FoldError::Undecodable {
            name,
            schema,
            version,
            cause,
        } => (1, name.as_str(), *schema, *version, "", cause.as_str()),
        FoldError::Upcast {
            name,
            schema,
            version,
            step,
            cause,
        } => (2, name.as_str(), *schema, *version, step.as_str(), &**cause),
        FoldError::Snapshot { cause } => (3, "", 0, none, "", cause.as_str()),
        FoldError::Panicked { version, cause } => (4, "", 0, *version, "", cause.as_str()),
        FoldError::Shredded {
            name,
            schema,
            version,
        } => (5, name.as_str(), *schema, *version, "", ""),
    };
    let values = values.uint(which).text(name).uint(u64::from(schema));
    values.uint(version.0).text(step).text(cause);
}

/// The refusals of a store that say nothing but their name, each at the place of its number. What is
/// added goes to the end.
static STORE: [Refused; 25] = [
    Refused::InProcess,
    Refused::DuplicateInProcess,
    Refused::DuplicateInBatch,
    Refused::TooManyBatches,
    Refused::BatchIncomplete,
    Refused::BatchTooLarge,
    Refused::BatchDisabled,
    Refused::Overloaded,
    Refused::NoResponders,
    Refused::NotConnected,
    Refused::TooLarge,
    Refused::NoStream,
    Refused::WrongStream,
    Refused::StreamExists,
    Refused::SubjectOverlap,
    Refused::NotFound,
    Refused::RollupDisabled,
    Refused::TtlDisabled,
    Refused::TtlInvalid,
    Refused::NoSpace,
    Refused::NoJetStream,
    Refused::Forbidden,
    Refused::Denied(String::new()),
    Refused::BadRequest(String::new()),
    Refused::NoConsumer,
];

/// The numbers of those that say more, beside the two texts in `STORE`.
const WRONG_LAST: u64 = 64;
const OTHER: u64 = 65;

fn store(refused: &Refused, values: &mut Values<'_>) {
    let place = |refused: &Refused| STORE.iter().position(|other| other == refused);
    let named = |refused: &Refused| place(refused).map_or(OTHER, |place| place as u64);
    let (number, value, text) = match refused {
        Refused::WrongLast { actual } => {
            let actual = actual.map_or(0, |actual| actual.0.saturating_add(1));
            (WRONG_LAST, actual, "")
        }
        Refused::Denied(text) => (named(&Refused::Denied(String::new())), 0, text.as_str()),
        Refused::BadRequest(text) => (named(&Refused::BadRequest(String::new())), 0, &**text),
        Refused::Other { code, text } => (OTHER, u64::from(*code), text.as_str()),
        Refused::InProcess
        | Refused::DuplicateInProcess
        | Refused::DuplicateInBatch
        | Refused::TooManyBatches
        | Refused::BatchIncomplete
        | Refused::BatchTooLarge
        | Refused::BatchDisabled
        | Refused::Overloaded
        | Refused::NoResponders
        | Refused::NotConnected
        | Refused::TooLarge
        | Refused::NoStream
        | Refused::NoConsumer
        | Refused::WrongStream
        | Refused::StreamExists
        | Refused::SubjectOverlap
        | Refused::NotFound
        | Refused::RollupDisabled
        | Refused::TtlDisabled
        | Refused::TtlInvalid
        | Refused::NoSpace
        | Refused::NoJetStream
        | Refused::Forbidden => (named(refused), 0, ""),
    };
    values.uint(number).uint(value).text(text);
}

/// The parts of one denial that are not read yet.
struct Parts<'r, 'b> {
    r: &'r mut Reader<'b>,
    left: usize,
}

const FIELD: &str = "refusal";

impl Parts<'_, '_> {
    fn next(&mut self) -> Result<&mut Self, FormatError> {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Ok(self)
            }
            None => Err(self.r.damaged(FIELD, "it has not all of its parts")),
        }
    }

    fn number<N: TryFrom<u64>>(&mut self) -> Result<N, FormatError> {
        self.next()?.r.number(FIELD)
    }

    fn version(&mut self) -> Result<Version, FormatError> {
        self.number().map(Version)
    }

    fn text(&mut self) -> Result<String, FormatError> {
        self.next()?.r.text(FIELD)
    }
}

/// Reads a denial.
pub(super) fn read(r: &mut Reader<'_>) -> Result<Denial, FormatError> {
    let left = r.array(FIELD, 1)?;
    let mut parts = Parts { r, left };
    let number = parts.number()?;
    let known = if number < CALLS {
        known_log(number, &mut parts)?.map(Denial::Log)
    } else {
        known_call(number, &mut parts)?
    };
    for _ in 0..parts.left {
        parts.r.skip()?;
    }
    Ok(known.unwrap_or(Denial::Newer { number }))
}

fn known_call(number: u64, p: &mut Parts<'_, '_>) -> Result<Option<Denial>, FormatError> {
    Ok(Some(match number - CALLS {
        0 => Denial::UnknownKind { kind: p.text()? },
        1 => Denial::UnknownMessage {
            kind: p.text()?,
            message: p.text()?,
            schema: p.number()?,
        },
        2 => Denial::WrongSchema {
            message: p.text()?,
            sent: p.number()?,
            taken: p.number()?,
        },
        3 => Denial::Undecodable {
            what: p.text()?,
            cause: p.text()?,
        },
        4 => Denial::Overloaded,
        5 => Denial::Panicked { text: p.text()? },
        6 => Denial::Failed { cause: p.text()? },
        7 => Denial::Reply { cause: p.text()? },
        8 => Denial::Start {
            cause: p.text()?,
            // An older writer does not say.
            wait_ms: if p.left == 0 { 0 } else { p.number()? },
        },
        12 => Denial::Deadline,
        13 => Denial::Cycle {
            kind: p.text()?,
            key: p.text()?,
        },
        19 => match p.number::<u64>()? {
            0 => Denial::Dropped(Dropped::Late),
            1 => Denial::Dropped(Dropped::Lost),
            2 => Denial::Dropped(Dropped::Aborted),
            _ => return Ok(None),
        },
        14 => Denial::ChainTooLong {
            hops: p.number()?,
            hops_max: p.number()?,
        },
        15 => Denial::NoLease,
        16 => Denial::Stopping,
        17 => Denial::Halted { reason: p.text()? },
        18 => Denial::Unusable { cause: p.text()? },
        _ => return Ok(None),
    }))
}

fn known_log(number: u64, p: &mut Parts<'_, '_>) -> Result<Option<Refusal>, FormatError> {
    Ok(Some(match number {
        0 => Refusal::Conflict {
            actual: p.version()?,
        },
        1 => Refusal::Contended { tries: p.number()? },
        2 => Refusal::Unknown,
        3 => Refusal::Deadline,
        4 => Refusal::Expired {
            horizon: WallTime(p.number()?),
        },
        5 => Refusal::Ahead {
            ahead_ms: p.number()?,
            ahead_max_ms: p.number()?,
        },
        6 => Refusal::Overloaded,
        7 => Refusal::TooLarge {
            bytes: p.number()?,
            bytes_max: p.number()?,
        },
        8 => Refusal::OutcomeTooLarge {
            bytes: p.number()?,
            bytes_max: p.number()?,
        },
        9 => Refusal::VersionNotRising {
            last: p.version()?,
            given: p.version()?,
        },
        10 => return Ok(known_metadata(p)?.map(Refusal::Metadata)),
        11 => Refusal::NotOwner,
        12 => Refusal::Failed(p.text()?),
        13 => return Ok(known_fold(p)?.map(Refusal::Fold)),
        14 => Refusal::Damaged(Damage {
            stream: p.text()?,
            sequence: Sequence(p.number()?),
            what: p.text()?,
        }),
        15 => return Ok(known_store(p)?.map(Refusal::Store)),
        16 => Refusal::NotLeased,
        17 => Refusal::TooManyTimers {
            timers: p.number()?,
            timers_max: p.number()?,
        },
        18 => Refusal::TooManySends {
            sends: p.number()?,
            sends_max: p.number()?,
        },
        19 => Refusal::Unowned,
        20 => Refusal::Undelivered(Undelivered {
            messages: p.number()?,
            to: p.text()?,
        }),
        _ => return Ok(None),
    }))
}

fn known_metadata(p: &mut Parts<'_, '_>) -> Result<Option<MetadataError>, FormatError> {
    let which: u64 = p.number()?;
    let (found, max) = (p.number()?, p.number()?);
    Ok(Some(match which {
        0 => MetadataError::TooManyHeaders {
            headers: found,
            headers_max: max,
        },
        1 => MetadataError::TooLarge {
            bytes: found,
            bytes_max: max,
        },
        2 => MetadataError::NoName,
        _ => return Ok(None),
    }))
}

fn known_fold(p: &mut Parts<'_, '_>) -> Result<Option<FoldError>, FormatError> {
    let which: u64 = p.number()?;
    let (name, schema, version) = (p.text()?, p.number()?, p.version()?);
    let (step, cause) = (p.text()?, p.text()?);
    Ok(Some(match which {
        0 => FoldError::UnknownEvent {
            name,
            schema,
            version,
        },
        1 => FoldError::Undecodable {
            name,
            schema,
            version,
            cause,
        },
        2 => FoldError::Upcast {
            name,
            schema,
            version,
            step,
            cause,
        },
        3 => FoldError::Snapshot { cause },
        4 => FoldError::Panicked { version, cause },
        5 => FoldError::Shredded {
            name,
            schema,
            version,
        },
        _ => return Ok(None),
    }))
}

fn known_store(p: &mut Parts<'_, '_>) -> Result<Option<Refused>, FormatError> {
    let number: u64 = p.number()?;
    let value: u64 = p.number()?;
    let text = p.text()?;
    let named = usize::try_from(number).ok().and_then(|n| STORE.get(n));
    Ok(match (number, named) {
        (_, Some(Refused::Denied(_))) => Some(Refused::Denied(text)),
        (_, Some(Refused::BadRequest(_))) => Some(Refused::BadRequest(text)),
        (_, Some(named)) => Some(named.clone()),
        (WRONG_LAST, None) => Some(Refused::WrongLast {
            actual: value.checked_sub(1).map(Sequence),
        }),
        (OTHER, None) => Some(Refused::Other {
            code: u32::try_from(value).unwrap_or(0),
            text,
        }),
        (_, None) => None,
    })
}

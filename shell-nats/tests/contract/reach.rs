//! Which rows of the table can be seen on nats-server 2.15.1, and why the others cannot.

use crate::table::Request::{
    self, Batch, Capabilities, CloseConsumer, CreateStream, Fetch, GetLeader, GetReplica, Latest,
    OpenConsumer, Publish, Scan, StreamInfo,
};
use crate::table::{Answer, Class};
use tenure_core::port::RefusedClass as R;

const WRITES: &[Request] = &[Publish, Batch];
const DIRECT: &[Request] = &[Latest, GetReplica, Scan];
const API: &[Request] = &[
    GetLeader,
    CreateStream,
    StreamInfo,
    OpenConsumer,
    CloseConsumer,
];
const REMOTE: &[Request] = &[
    Publish,
    Batch,
    Latest,
    GetReplica,
    GetLeader,
    Scan,
    CreateStream,
    StreamInfo,
    OpenConsumer,
    Fetch,
    CloseConsumer,
];
const ALL: &[Request] = &[
    Publish,
    Batch,
    Latest,
    GetReplica,
    GetLeader,
    Scan,
    CreateStream,
    StreamInfo,
    Capabilities,
    OpenConsumer,
    Fetch,
    CloseConsumer,
];

/// Why a row cannot be seen; `None` when it can.
pub(crate) fn impossible(Class(request, answer): Class) -> Option<&'static str> {
    let (possible, otherwise) = match answer {
        Answer::Done => return None,
        Answer::Duplicate if request == Batch => (&[][..], "a repeated id refuses it (10201)"),
        Answer::Duplicate => (&[Publish][..], "it carries no deduplication id"),
        Answer::Unknown => return None,
        Answer::Refused(refused) => refusal(request, refused),
    };
    (!possible.contains(&request)).then_some(otherwise)
}

/// Where a refusal can be seen, and why nowhere else.
fn refusal(request: Request, refused: R) -> (&'static [Request], &'static str) {
    const NO_WRITE: &str = "it writes no message";
    const NO_BATCH: &str = "it is not a batch";
    match refused {
        R::WrongLastAhead | R::WrongLastBehind => (WRITES, "it expects nothing of a subject"),
        R::WrongLastUntold => (&[], "the server says where the subject ends"),
        R::InProcess => (WRITES, "it expects nothing of a subject"),
        R::DuplicateInProcess => (WRITES, "it carries no deduplication id"),
        R::DuplicateInBatch => (&[Batch], NO_BATCH),
        R::TooManyBatches | R::BatchIncomplete | R::BatchTooLarge | R::BatchDisabled => {
            (&[Batch], NO_BATCH)
        }
        R::Overloaded => (WRITES, "it does not go through the stream's queue"),
        R::NoResponders if request == Fetch => (
            &[],
            "a consumer for which nobody answers is gone (NoConsumer)",
        ),
        R::NoResponders => (REMOTE, "it is an answer itself: without JetStream"),
        R::NotConnected | R::Denied => (ALL, ""),
        R::TooLarge => (WRITES, NO_WRITE),
        R::NoStream if DIRECT.contains(&request) || WRITES.contains(&request) => (
            &[],
            "its subject is the stream's own: nobody answers instead",
        ),
        R::NoStream if request == Fetch => {
            (&[], "nobody answers for a consumer of it (NoConsumer)")
        }
        R::NoStream if request == CloseConsumer => (&[], "what is not there is closed"),
        R::NoStream => (
            &[GetLeader, StreamInfo, OpenConsumer],
            "it asks for no stream",
        ),
        R::NoConsumer if request == CloseConsumer => (&[], "what is not there is closed"),
        R::NoConsumer => (&[Fetch], "it asks for no consumer"),
        R::WrongStream => (WRITES, NO_WRITE),
        R::StreamExists | R::SubjectOverlap => (&[CreateStream], "it creates no stream"),
        R::NotFound if request == Scan => (&[], "a scan that finds nothing is an empty page"),
        R::NotFound => (&[Latest, GetReplica, GetLeader], "it looks for no message"),
        R::RollupDisabled | R::TtlDisabled | R::TtlInvalid => (WRITES, NO_WRITE),
        R::NoSpace => (&[Publish, Batch, CreateStream], "it takes no space"),
        R::NoJetStream if request == Fetch => (
            &[],
            "a consumer for which nobody answers is gone (NoConsumer)",
        ),
        R::NoJetStream if DIRECT.contains(&request) || WRITES.contains(&request) => {
            (&[], "only the API says so: nobody answers instead")
        }
        R::NoJetStream => (API, "it is an answer itself: without JetStream"),
        R::Forbidden => (
            &[CreateStream],
            "no stream that Tenure takes is closed for it",
        ),
        R::BadRequest => (REMOTE, "it has no form that could be wrong"),
        R::Other => (
            &[CreateStream, OpenConsumer],
            "each number that it can be answered has a class",
        ),
        _ => (&[], "a class that the table does not know"),
    }
}

/// Whether the front answers so, by chance or in a scene; else why it does not.
pub(crate) fn on_front(class: Class) -> Result<(), &'static str> {
    let Class(request, answer) = class;
    if let Some(reason) = impossible(class) {
        return Err(reason);
    }
    match answer {
        Answer::Unknown => Err("it is not frozen: a server is"),
        Answer::Refused(R::Denied) => Err("it has no users"),
        Answer::Refused(R::NoJetStream) => Err("it has no accounts"),
        Answer::Refused(R::NoResponders) if !random(class, false) => {
            Err("it has JetStream as long as it is there")
        }
        Answer::Refused(R::DuplicateInProcess) => Err("it replicates nothing"),
        Answer::Refused(R::InProcess) if request == Publish => Err("it replicates nothing"),
        Answer::Refused(R::NoSpace) if request == CreateStream => {
            Err("it has no limit over all streams")
        }
        Answer::Refused(R::NotConnected | R::NoResponders) if request == Capabilities => {
            Err("what it tells of itself is known as long as it is connected")
        }
        Answer::Done | Answer::Duplicate | Answer::Refused(_) => Ok(()),
    }
}

/// Whether random requests reach a row in the end; the others need a scene.
pub(crate) fn random(class: Class, replicated: bool) -> bool {
    let Class(request, answer) = class;
    if impossible(class).is_some() {
        return false;
    }
    let Answer::Refused(refused) = answer else {
        return answer != Answer::Unknown;
    };
    let scene_only = [
        R::Overloaded,
        R::NotConnected,
        R::NoJetStream,
        R::Denied,
        R::TooManyBatches,
    ];
    if scene_only.contains(&refused) {
        return false;
    }
    // What is being replicated is there for an instant only: bursts meet it by chance.
    if refused == R::DuplicateInProcess || (refused == R::InProcess && request == Publish) {
        return replicated;
    }
    match request {
        GetLeader | StreamInfo => refused != R::NoResponders,
        CreateStream => ![R::NoResponders, R::NoSpace].contains(&refused),
        OpenConsumer | CloseConsumer => refused != R::NoResponders,
        Publish | Batch | Latest | GetReplica | Scan | Capabilities | Fetch => true,
    }
}

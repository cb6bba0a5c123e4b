//! Inputs, effects and answers in one short line each, for the story of a run.

use crate::host::Added;
use bytes::Bytes;
use std::fmt::Write;
use tenure_core::format::{Body, Call, CallTarget, Commit, Entry, FrameReader, Ownership, Return};
use tenure_core::log::{Base, Effect, Input, Ran, Reply, Work};
use tenure_core::port::{Expect, Message, Publish, StoreDone, StoreReply, StoreRequest};
use tenure_core::{Outcome, node, route, shard};

/// An input.
pub(crate) fn input(input: &Input) -> String {
    match input {
        Input::Submit(it) => format!(
            "submit {:?} to {:?} id {} {:?} by {}",
            it.ticket,
            it.entity.as_str(),
            it.id.map_or_else(|| "-".into(), |id| id.to_string()),
            it.expected,
            it.deadline
        ),
        Input::Read(it) => format!(
            "read {:?} of {:?} by {}",
            it.ticket,
            it.entity.as_str(),
            it.deadline
        ),
        Input::Kind(kind) => format!("kind {}", kind.record.name),
        Input::Stored { op, reply } => format!("{op:?} {}", answer(reply)),
        Input::Ran { op, ran } => match ran {
            Ran::Decided(decided) => {
                let mut line = format!("{op:?} decided");
                for it in decided {
                    let verdict = format!("{:?}", it.verdict);
                    let verdict = verdict.split([' ', '(']).next().unwrap_or_default();
                    let _ = write!(line, " {:?} {verdict}", it.ticket);
                }
                line
            }
            Ran::Folded(_) | Ran::Answered | Ran::Snapshotted(_) => {
                format!("{op:?} {ran:?}")
            }
        },
        Input::Tick
        | Input::Up(_)
        | Input::Down
        | Input::Claim
        | Input::Order(_)
        | Input::Run(_)
        | Input::Lease(_)
        | Input::Wall(_)
        | Input::Dispatched { .. }
        | Input::Failed(_)
        | Input::Evict => format!("{input:?}"),
    }
}

/// An effect.
pub(crate) fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Store { op, request: it } => format!("{op:?} {}", request(it)),
        Effect::Run { op, work } => match work {
            Work::Fold {
                slot,
                entity,
                base,
                commits,
                ..
            } => {
                let base = match base {
                    Base::Nothing => "nothing".into(),
                    Base::Held(_) => "what is held".into(),
                    Base::Snapshot(it) => format!("snapshot {} {:?}", it.version, it.sequence),
                };
                let mut line = format!("{op:?} fold {slot:?} {:?} on {base}", entity.as_str());
                for stored in commits {
                    let _ = write!(line, " {:?} {}", stored.sequence, commit(&stored.commit));
                }
                line
            }
            Work::Decide { .. }
            | Work::Fire { .. }
            | Work::Answer { .. }
            | Work::Snapshot { .. } => {
                format!("{op:?} {work:?}")
            }
        },
        Effect::Reply { ticket, reply } => format!("reply {ticket:?} {reply:?}"),
        Effect::Forget { .. }
        | Effect::AskWall
        | Effect::Dispatch { .. }
        | Effect::Report(_)
        | Effect::Note(_)
        | Effect::Halt(_) => {
            format!("{effect:?}")
        }
    }
}

/// A store's answer.
pub(crate) fn answer(reply: &StoreReply) -> String {
    match reply {
        Outcome::Done(StoreDone::Latest(proof)) => {
            let mut line = format!("latest up to {:?}", proof.up_to);
            for it in &proof.messages {
                let _ = write!(line, " | {}", message(it));
            }
            line
        }
        Outcome::Done(StoreDone::Message(it)) => format!("got {}", message(it)),
        Outcome::Done(StoreDone::Fetched(fetched)) => {
            let mut line = format!("fetched, {} more", fetched.pending);
            for it in &fetched.messages {
                let _ = write!(line, " | {}. {}", it.number, message(&it.message));
            }
            line
        }
        Outcome::Done(StoreDone::Published(ack)) => format!("acknowledged {:?}", ack.sequence),
        Outcome::Done(
            StoreDone::Page(_)
            | StoreDone::Stream(_)
            | StoreDone::Capabilities(_)
            | StoreDone::Consumer(_)
            | StoreDone::Closed,
        )
        | Outcome::Refused(_)
        | Outcome::Unknown => format!("{reply:?}"),
    }
}

/// A request to the store.
pub(crate) fn request(request: &StoreRequest) -> String {
    match request {
        StoreRequest::Publish(it) => format!("publish {}", publish(it)),
        StoreRequest::Batch { messages, .. } => {
            let messages: Vec<_> = messages.iter().map(publish).collect();
            format!("batch {}", messages.join(" | "))
        }
        StoreRequest::Latest { subjects, .. } => format!("latest {}", subjects.join(" ")),
        StoreRequest::Get {
            sequence, source, ..
        } => format!("get {sequence:?} from {source:?}"),
        StoreRequest::Scan { .. }
        | StoreRequest::CreateStream(_)
        | StoreRequest::StreamInfo { .. }
        | StoreRequest::Capabilities
        | StoreRequest::OpenConsumer(_) => format!("{request:?}"),
        StoreRequest::Fetch {
            consumer,
            messages_max,
            bytes_max,
            wait,
            ..
        } => format!("fetch {messages_max} or {bytes_max} B of {consumer}, within {wait}"),
        StoreRequest::CloseConsumer { consumer, .. } => format!("close {consumer}"),
    }
}

fn publish(it: &Publish) -> String {
    let expect = match &it.expect {
        Expect::Nothing => String::new(),
        Expect::OwnLast(sequence) => format!(" after {sequence:?}"),
        Expect::Fence(fence) => format!(" under {:?}", fence.sequence),
        Expect::StreamLast(sequence) => format!(" as stream's after {sequence:?}"),
    };
    format!(
        "{}{expect}{}",
        it.subject,
        payload(&it.subject, &it.payload)
    )
}

fn message(it: &Message) -> String {
    format!(
        "{} {:?}{}",
        it.subject,
        it.sequence,
        payload(&it.subject, &it.payload)
    )
}

fn payload(subject: &str, payload: &Bytes) -> String {
    match subject.split('.').nth(1) {
        Some("ev") => Commit::decode(payload).map_or_else(
            |error| format!(" {error}"),
            |it| format!(" {}", commit(&it)),
        ),
        Some("own") => Ownership::decode(payload).map_or_else(
            |error| format!(" {error}"),
            |it| format!(" {} claim {:08x}", it.node, it.claim.0 >> 96),
        ),
        Some(_) | None => String::new(),
    }
}

fn commit(it: &Commit) -> String {
    let mut line = format!("c{:08x} {}..{}", it.id.0 >> 96, it.before, it.last);
    let mut last = None;
    for event in &it.events {
        match Added::of(event) {
            Some(added) if last.replace(added.ticket) != Some(added.ticket) => {
                let _ = write!(line, " {:?}", added.ticket);
            }
            Some(_) => {}
            // One of a program's own.
            None => {
                let _ = write!(line, " {}", event.name);
            }
        }
    }
    let _ = write!(line, " lists {:?}", it.earlier);
    if let Some(snapshot) = it.snapshot {
        let _ = write!(line, " snapshot {:?}", snapshot.sequence);
    }
    line
}

/// What a frame carries.
pub(crate) fn frame(bytes: &Bytes) -> String {
    let entries = match FrameReader::open(bytes) {
        Ok(entries) => entries,
        Err(error) => return error.to_string(),
    };
    let entries: Vec<String> = entries
        .map(|entry| entry.map_or_else(|error| error.to_string(), |it| parcel(&it)))
        .collect();
    entries.join(" | ")
}

fn parcel(entry: &Entry) -> String {
    let op = entry.op;
    match &entry.body {
        Body::Request { call, .. } => format!("{op:?} asks {}", call_of(call)),
        Body::Tell { call, .. } => format!("{op:?} tells {}", call_of(call)),
        Body::Answer { returned } => match Return::decode(returned) {
            Ok(it) => format!("{op:?} answers {:?}", it.answered),
            Err(error) => format!("{op:?} answers {error}"),
        },
        Body::Withdraw
        | Body::NotOwner { .. }
        | Body::Ping
        | Body::Pong
        | Body::Newer { .. }
        | _ => format!("{op:?} {:?}", entry.body),
    }
}

fn call_of(call: &Bytes) -> String {
    let call = match Call::decode(call) {
        Ok(call) => call,
        Err(error) => return error.to_string(),
    };
    let whom = match call.target {
        CallTarget::Entity { kind, id, .. } => format!("{kind} {id:?}"),
        CallTarget::Actor { kind, key, .. } | CallTarget::Resident { kind, key } => {
            format!("{kind} {key:?}")
        }
        CallTarget::Shard(place) => format!("the owner of {place:?}"),
        CallTarget::Node => "the node".to_owned(),
    };
    let id = call.id.map_or_else(String::new, |id| format!(", id {id}"));
    format!("{whom}: {}{id}", call.message)
}

/// What any machine takes in.
pub(crate) fn any_input(it: &crate::world::Input) -> String {
    use crate::world::Input as Any;
    match it {
        Any::Log(it) => input(it),
        Any::Member(node::Input::Stored { op, reply }) => format!("{op:?} {}", answer(reply)),
        Any::Member(node::Input::Heard(it)) => format!("heard {} {:?}", it.subject, it.sequence),
        Any::Member(it) => format!("{it:?}"),
        Any::Owners(shard::Input::Stored { op, reply }) => format!("{op:?} {}", answer(reply)),
        Any::Owners(shard::Input::Heard(it)) => format!("heard {} {:?}", it.subject, it.sequence),
        Any::Owners(shard::Input::View(it)) => view(it),
        Any::Owners(it) => format!("{it:?}"),
        Any::Router(route::Input::View(it)) => view(it),
        Any::Router(route::Input::Table(it)) => format!("table {}", it.revision),
        Any::Router(it) => format!("{it:?}"),
    }
}

/// What a membership wants.
pub(crate) fn of_member(effect: &node::Effect) -> String {
    match effect {
        node::Effect::Store { op, request: it } => format!("{op:?} {}", request(it)),
        node::Effect::View(it) => view(it),
        node::Effect::Probe { .. }
        | node::Effect::Joined
        | node::Effect::Refused(_)
        | node::Effect::Rejoin { .. }
        | node::Effect::Lease(_)
        | node::Effect::Marks(_)
        | node::Effect::Left
        | node::Effect::Note(_)
        | node::Effect::Halt(_) => format!("{effect:?}"),
    }
}

/// What a node's ownership wants.
pub(crate) fn of_owners(effect: &shard::Effect) -> String {
    match effect {
        shard::Effect::Store { op, request: it } => format!("{op:?} {}", request(it)),
        shard::Effect::Table(it) => {
            let mut line = format!("table {}", it.revision);
            for (place, row) in &it.rows {
                let (letter, number) = (place.class.letter(), place.shard.0);
                let (owner, at) = (row.owner.0 >> 112, row.epoch.sequence);
                let _ = write!(line, " {letter}{number} {owner:04x} {at:?}");
            }
            line
        }
        shard::Effect::Order { .. }
        | shard::Effect::Look
        | shard::Effect::Drained
        | shard::Effect::Abandoned
        | shard::Effect::Note(_)
        | shard::Effect::Halt(_) => format!("{effect:?}"),
    }
}

/// A caller's end.
pub(crate) fn reply(it: &Reply) -> String {
    format!("{it:?}")
}

fn view(it: &node::View) -> String {
    let mut line = format!("view {} listed {}", it.revision, it.listed);
    for (name, peer) in &it.peers {
        let (run, state) = (peer.incarnation.0 >> 112, peer.state);
        let _ = write!(line, " {name} {run:04x} {state:?} {:?},", peer.standing);
    }
    for (run, standing) in &it.lingering {
        let _ = write!(line, " {:04x} {standing:?},", run.0 >> 112);
    }
    line
}

//! Requests, answers and notices of consumers in a line each.

use tenure_core::consumer::{Failure, Fault, Notice};
use tenure_core::format::{Checkpoint, Position};
use tenure_core::port::{Expect, Start, StoreDone, StoreReply, StoreRequest};
use tenure_core::step::Outcome;

pub(super) fn request_line(request: &StoreRequest) -> String {
    let name = request.name();
    match request {
        StoreRequest::Publish(publish) => {
            let expect = match &publish.expect {
                Expect::OwnLast(at) => format!(" if it ends at #{at}"),
                Expect::Nothing | Expect::Fence(_) | Expect::StreamLast(_) => String::new(),
            };
            let what = match Checkpoint::decode(&publish.payload) {
                Ok(checkpoint) => format!(
                    " {:?} gen {} run {:x}.{}",
                    checkpoint.positions,
                    checkpoint.generation,
                    checkpoint.run.0,
                    checkpoint.ordinal
                ),
                Err(_) if publish.payload.is_empty() => " nothing".to_owned(),
                Err(_) => String::new(),
            };
            format!("{name} {}{what}{expect}", publish.subject)
        }
        StoreRequest::Latest { subjects, .. } => format!("{name} {}", subjects[0]),
        StoreRequest::OpenConsumer(settings) => {
            let from = match settings.from {
                Start::Sequence(sequence) => format!("from #{sequence}"),
                Start::Time(time) => format!("from {time:?}"),
                Start::New => "from new".to_owned(),
            };
            let filters: Vec<&str> = settings.filters.iter().map(|f| f.as_str()).collect();
            format!("{name} {} {from} {}", settings.stream, filters.join(","))
        }
        StoreRequest::Fetch {
            stream,
            messages_max,
            ..
        } => format!("{name} {stream} {messages_max}"),
        StoreRequest::Get {
            stream, sequence, ..
        } => format!("{name} {stream} #{sequence}"),
        StoreRequest::Scan { filter, from, .. } => format!("{name} {filter} from #{from}"),
        StoreRequest::CreateStream(settings) => format!("{name} {}", settings.name),
        StoreRequest::StreamInfo { stream } | StoreRequest::CloseConsumer { stream, .. } => {
            format!("{name} {stream}")
        }
        StoreRequest::Batch { .. } | StoreRequest::Capabilities => name.to_owned(),
    }
}

pub(super) fn reply_line(reply: &StoreReply) -> String {
    match reply {
        Outcome::Done(done) => match done {
            StoreDone::Published(ack) => format!("#{}", ack.sequence),
            StoreDone::Latest(proof) => match proof.messages.first() {
                Some(message) => match Checkpoint::decode(&message.payload) {
                    Ok(checkpoint) => format!(
                        "#{} {:?} run {:x}.{}",
                        message.sequence,
                        checkpoint.positions,
                        checkpoint.run.0,
                        checkpoint.ordinal
                    ),
                    Err(_) => format!("#{}", message.sequence),
                },
                None => "none".to_owned(),
            },
            StoreDone::Message(message) => format!("#{}", message.sequence),
            StoreDone::Page(page) => format!("{} messages", page.messages.len()),
            StoreDone::Stream(info) => format!("ends at #{}", info.last),
            StoreDone::Capabilities(_) => "told".to_owned(),
            StoreDone::Consumer(info) => format!("after #{}, {} follow", info.after, info.pending),
            StoreDone::Fetched(fetched) => {
                let numbers = fetched.messages.iter().map(|delivered| {
                    format!("{}:#{}", delivered.number, delivered.message.sequence)
                });
                let numbers: Vec<String> = numbers.collect();
                format!("[{}], {} follow", numbers.join(" "), fetched.pending)
            }
            StoreDone::Closed => "closed".to_owned(),
        },
        Outcome::Refused(refused) => format!("refused: {refused}"),
        Outcome::Unknown => "unknown".to_owned(),
    }
}

pub(super) fn noticed(notice: &Notice) -> String {
    match notice {
        Notice::Started { positions, resumed } => {
            let how = if *resumed { "resumed" } else { "started" };
            format!("{how} at {positions:?}")
        }
        Notice::Live => "live".to_owned(),
        Notice::Behind(lag) => format!("behind by {} commits, {} events", lag.commits, lag.events),
        Notice::Stalled(reason) => format!("stalled: {reason}"),
        Notice::Progressing => "progressing".to_owned(),
        Notice::Retrying { failure, delay } => format!("{} again in {delay}", failed(failure)),
        Notice::Skipped(failure) => format!("{} is passed over", failed(failure)),
        Notice::DeadLettered(failure) => format!("{} is put aside", failed(failure)),
        Notice::Reopened { stream, why } => format!("reads {stream:?} anew: {why:?}"),
        Notice::MatchesNothing => "its filter matches nothing".to_owned(),
        Notice::Checkpointed { positions } => format!("checkpoint at {positions:?}"),
        Notice::Paused => "paused".to_owned(),
        Notice::Expired { places } => format!("{places} places expired"),
        Notice::Resumed => "resumed".to_owned(),
    }
}

fn failed(failure: &Failure) -> String {
    let Failure {
        place,
        subject,
        cause,
        text,
        tries,
    } = failure;
    format!("{place} of {} ({cause}: {text}, try {tries})", subject.id)
}

pub(super) fn ended(positions: &[Position], running: u32, fault: Option<&Fault>) -> String {
    let running = match running {
        0 => String::new(),
        running => format!(" with {running} batches running"),
    };
    match fault {
        None => format!("ended at {positions:?}{running}"),
        Some(fault) => format!("ended at {positions:?}{running}: {fault}"),
    }
}

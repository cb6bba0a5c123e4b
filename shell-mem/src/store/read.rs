//! Reads, each from one view of a stream: the present, or what a lagging replica still has.

use super::Store;
use super::filter;
use super::stream::View;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use tenure_core::id::Sequence;
use tenure_core::port::{
    Message, Page, Proof, Refused, Source, StoreDone, StoreReply, StoreRequest, StreamName, Subject,
};
use tenure_core::step::Outcome;

impl Store {
    /// Answers a read as of the present, or as of a sequence.
    pub(super) fn read(&self, request: &StoreRequest, as_of: Option<Sequence>) -> StoreReply {
        let view = |name: &StreamName| {
            let stream = self.streams.get(name)?;
            Some(as_of.map_or(stream.now(), |up_to| stream.as_of(up_to.0)))
        };
        let direct = |name| view(name).filter(|view| view.settings().allow_direct);
        let answer = match request {
            StoreRequest::Latest { stream, subjects } => direct(stream)
                .ok_or(Refused::NoResponders)
                .and_then(|view| latest(view, subjects)),
            StoreRequest::Get {
                stream,
                sequence,
                source: Source::Replica,
            } => direct(stream)
                .ok_or(Refused::NoResponders)
                .and_then(|view| get(view, *sequence)),
            StoreRequest::Get {
                stream,
                sequence,
                source: Source::Leader,
            } => {
                match view(stream) {
                    Some(view) => get(view, *sequence),
                    // One server looks at the request first, a cluster at its name.
                    None if !sequence.is_some() && !self.config.capabilities.clustered => {
                        Err(no_sequence())
                    }
                    None => Err(Refused::NoStream),
                }
            }
            StoreRequest::Scan {
                stream,
                filter,
                from,
                messages_max,
            } => direct(stream)
                .ok_or(Refused::NoResponders)
                .and_then(|view| scan(view, filter, *from, *messages_max)),
            StoreRequest::StreamInfo { stream } => view(stream)
                .map(|view| StoreDone::Stream(view.info()))
                .ok_or(Refused::NoStream),
            StoreRequest::Capabilities => {
                Ok(StoreDone::Capabilities(self.config.capabilities.clone()))
            }
            StoreRequest::Publish(_)
            | StoreRequest::Batch { .. }
            | StoreRequest::CreateStream(_)
            | StoreRequest::OpenConsumer(_)
            | StoreRequest::Fetch { .. }
            | StoreRequest::CloseConsumer { .. } => return Outcome::Unknown,
        };
        answer.map_or_else(Outcome::Refused, Outcome::Done)
    }
}

/// A subject without a message adds nothing; when no subject has one the server answers without a
/// point (K2).
fn latest(view: View<'_>, subjects: &[Subject]) -> Result<StoreDone, Refused> {
    let found: BTreeMap<Sequence, &Message> = subjects
        .iter()
        .filter_map(|subject| view.last_of(subject))
        .map(|stored| (stored.message.sequence, &stored.message))
        .collect();
    if found.is_empty() {
        return Err(Refused::NotFound);
    }
    let messages = found.into_values().cloned().collect();
    Ok(StoreDone::Latest(Proof {
        messages,
        up_to: Sequence(view.last()),
    }))
}

fn get(view: View<'_>, sequence: Sequence) -> Result<StoreDone, Refused> {
    if !sequence.is_some() {
        return Err(no_sequence());
    }
    let stored = view.at(sequence.0).ok_or(Refused::NotFound)?;
    Ok(StoreDone::Message(stored.message.clone()))
}

fn no_sequence() -> Refused {
    Refused::BadRequest("a message get needs a sequence".into())
}

fn scan(
    view: View<'_>,
    filter: &str,
    from: Sequence,
    messages_max: u32,
) -> Result<StoreDone, Refused> {
    let mut messages: Vec<Message> = Vec::new();
    let mut more = false;
    let mut take = |message: &Message| {
        more = messages.len() >= messages_max as usize;
        if !more {
            messages.push(message.clone());
        }
        !more
    };
    if filter::literal(filter) {
        view.of_subject(filter, from.0)
            .all(|stored| take(&stored.message));
    } else {
        let mut all = view.from(from.0).map(|stored| &stored.message);
        all.all(|message| !filter::matches(filter, &message.subject) || take(message));
    }
    Ok(StoreDone::Page(Page { messages, more }))
}

//! What never reaches a server, because a shell refuses it: requests whose form is wrong.

use super::filter;
use super::size::{BatchPlace, header_bytes};
use alloc::format;
use alloc::string::String;
use tenure_core::port::{
    Capabilities, Expect, Publish, Refused, StoreRequest, wrong_fetch, wrong_name, wrong_settings,
};

/// How many subjects or messages one read may ask for.
const READ_MAX: usize = 1_000;

/// Whether a shell hands a request over.
pub(super) fn check(capabilities: &Capabilities, request: &StoreRequest) -> Result<(), Refused> {
    match request {
        StoreRequest::Publish(publish) => message(capabilities, publish, None),
        StoreRequest::Batch { messages, .. } => batch(capabilities, messages),
        StoreRequest::Latest { stream, subjects } => {
            count("subjects", subjects.len())?;
            named(stream)
        }
        StoreRequest::Scan {
            stream,
            messages_max,
            ..
        } => {
            count("messages", *messages_max as usize)?;
            named(stream)
        }
        StoreRequest::Get { stream, .. } | StoreRequest::StreamInfo { stream } => named(stream),
        StoreRequest::CreateStream(settings) => {
            named(&settings.name)?;
            if settings.foreign.is_empty() {
                return Ok(());
            }
            let text = format!(
                "{:?} are not settings of a stream of Tenure",
                settings.foreign
            );
            Err(Refused::BadRequest(text))
        }
        StoreRequest::Capabilities => Ok(()),
        StoreRequest::OpenConsumer(settings) => {
            named(&settings.stream)?;
            right(wrong_settings(settings))
        }
        StoreRequest::Fetch {
            stream,
            consumer,
            messages_max,
            ..
        } => {
            named(stream)?;
            right(wrong_name(consumer).or_else(|| wrong_fetch(*messages_max)))
        }
        StoreRequest::CloseConsumer { stream, consumer } => {
            named(stream)?;
            right(wrong_name(consumer))
        }
    }
}

fn right(wrong: Option<String>) -> Result<(), Refused> {
    wrong.map_or(Ok(()), |text| Err(Refused::BadRequest(text)))
}

fn batch(capabilities: &Capabilities, messages: &[Publish]) -> Result<(), Refused> {
    let Some(first) = messages.first() else {
        return Err(Refused::BadRequest("a batch needs a message".into()));
    };
    if messages
        .iter()
        .any(|publish| publish.stream != first.stream)
    {
        return Err(Refused::BadRequest("a batch is for one stream".into()));
    }
    messages.iter().enumerate().try_for_each(|(n, publish)| {
        let place = BatchPlace::of(n + 1, messages.len());
        message(capabilities, publish, Some(place))
    })
}

fn message(
    capabilities: &Capabilities,
    publish: &Publish,
    place: Option<BatchPlace>,
) -> Result<(), Refused> {
    literal(&publish.subject)?;
    beside_subject(capabilities, publish, place)
}

/// The form of all of a message but its own subject.
pub(super) fn beside_subject(
    capabilities: &Capabilities,
    publish: &Publish,
    place: Option<BatchPlace>,
) -> Result<(), Refused> {
    match &publish.expect {
        Expect::Fence(fence) => literal(&fence.subject)?,
        Expect::Nothing | Expect::OwnLast(_) | Expect::StreamLast(_) => {}
    }
    let bytes = header_bytes(publish, place) + publish.payload.len();
    if bytes > capabilities.payload_bytes_max {
        Err(Refused::TooLarge)
    } else {
        Ok(())
    }
}

fn literal(subject: &str) -> Result<(), Refused> {
    if filter::literal(subject) {
        return Ok(());
    }
    Err(Refused::BadRequest(format!(
        "{subject:?} is not a literal subject"
    )))
}

fn named(stream: &str) -> Result<(), Refused> {
    let wrong = |c: char| c.is_whitespace() || c.is_control() || "./\\*>".contains(c);
    if stream.is_empty() || stream.contains(wrong) {
        return Err(Refused::BadRequest(format!(
            "{stream:?} is not the name of a stream"
        )));
    }
    Ok(())
}

fn count(what: &str, count: usize) -> Result<(), Refused> {
    if (1..=READ_MAX).contains(&count) {
        return Ok(());
    }
    Err(Refused::BadRequest(format!(
        "{count} {what}: 1 to {READ_MAX} can be read at once"
    )))
}

//! What a consumer may answer: a shell asks for messages before they are fetched, and which replica
//! keeps a consumer nobody knows, so each message is of some state of the stream, no earlier than the
//! one of the message before it.

use crate::same::same;
use tenure_core::id::{Sequence, WallTime};
use tenure_core::port::{
    ConsumerInfo, ConsumerSettings, Delivered, Fetched, StoreDone, StoreReply, StoreRequest,
    StreamName,
};
use tenure_core::step::{Outcome, Span};
use tenure_mem::store::{Store, matches};

/// The model after a consumer was opened or fetched from, when it allows that answer; `None` when it
/// does not, or when the answer is none of those that depend on the state of a stream.
pub(crate) fn after(
    store: &Store,
    at: WallTime,
    request: &StoreRequest,
    reply: &StoreReply,
) -> Option<Store> {
    if let Outcome::Done(StoreDone::Fetched(fetched)) = reply {
        return fetched_from(store, at, request, fetched);
    }
    let (StoreRequest::OpenConsumer(settings), Outcome::Done(StoreDone::Consumer(real))) =
        (request, reply)
    else {
        return None;
    };
    let mut there = store.consumers(at, &settings.stream);
    let is_there = there.any(|name| settings.name == *name);
    let last = store.last(&settings.stream).0;
    let mut points = (0..=last).rev().map(Sequence);
    points.find_map(|up_to| {
        let mut after = store.clone();
        let Outcome::Done(StoreDone::Consumer(model)) = after.apply_as_of(at, up_to, request)
        else {
            return None;
        };
        // One that was there stands beyond what was fetched from it.
        let allowed = is_there || stands_as(store, settings, (&model, real));
        allowed.then_some(after)
    })
}

/// Whether a consumer begins where the model's does. The server may begin later, where nothing of its
/// filters is between: it does when it is asked for a time.
fn stands_as(
    store: &Store,
    settings: &ConsumerSettings,
    (model, real): (&ConsumerInfo, &ConsumerInfo),
) -> bool {
    let mut between = store.messages(&settings.stream).filter(|message| {
        let mut filters = settings.filters.iter();
        message.sequence > model.after
            && message.sequence <= real.after
            && filters.any(|filter| matches(filter, &message.subject))
    });
    model.pending == real.pending && model.after <= real.after && between.next().is_none()
}

fn fetched_from(
    store: &Store,
    at: WallTime,
    request: &StoreRequest,
    fetched: &Fetched,
) -> Option<Store> {
    let StoreRequest::Fetch {
        stream,
        messages_max,
        bytes_max,
        ..
    } = request
    else {
        return None;
    };
    let sizes = fetched.messages.iter().map(|it| it.message.payload.len());
    let bytes: usize = sizes.sum();
    let count = fetched.messages.len();
    let fits = count <= *messages_max as usize && (count <= 1 || bytes <= *bytes_max as usize);
    // Nothing came in time; that the consumer is there is what the model must say as well.
    let mut model = store.clone();
    if !fits || !matches!(model.apply(at, request), Outcome::Done(_)) {
        return None;
    }
    let Some((last, before)) = fetched.messages.split_last() else {
        // That there is no more is known when the server says so, which it does now and then.
        return (fetched.pending <= 1).then(|| store.clone());
    };
    let mut store = store.clone();
    let mut point = 0;
    for message in before {
        (store, point) = next(&store, at, request, message, (stream, point))?;
    }
    next(&store, at, request, last, (stream, point)).map(|(store, _)| store)
}

/// The earliest state from `point` on in which a message comes next. How many follow it is not compared:
/// the server's count is a hint, and one too high at times.
fn next(
    store: &Store,
    at: WallTime,
    request: &StoreRequest,
    wanted: &Delivered,
    (stream, point): (&StreamName, u64),
) -> Option<(Store, u64)> {
    let StoreRequest::Fetch { consumer, .. } = request else {
        return None;
    };
    let one = StoreRequest::Fetch {
        stream: stream.clone(),
        consumer: consumer.clone(),
        messages_max: 1,
        bytes_max: 0,
        wait: Span::ZERO,
    };
    (point..=store.last(stream).0).find_map(|up_to| {
        let mut store = store.clone();
        let reply = store.apply_as_of(at, Sequence(up_to), &one);
        let Outcome::Done(StoreDone::Fetched(model)) = &reply else {
            return None;
        };
        let real = Outcome::Done(StoreDone::Fetched(Fetched {
            messages: vec![wanted.clone()],
            pending: model.pending,
        }));
        same(&reply, &real).then_some((store, up_to))
    })
}

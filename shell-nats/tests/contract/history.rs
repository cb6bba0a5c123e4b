//! What was asked of a disturbed cluster and what came back, checked against its log afterwards.
//!
//! While leaders come and go nobody can say in which state an answer was made. Afterwards the log
//! tells: what was acknowledged is there, once, and where it was said to be; what was not is there
//! once, whole, or not at all; and each answer was right in some state that the log went through.
//!
//! What was refused may be in the log as well: two servers take themselves for the leader for a
//! while, both get the request, and the refusal of the old one can come before the acknowledgement
//! of the new one.

use crate::same::same;
use crate::table::{Class, Table};
use std::cell::RefCell;
use std::collections::BTreeMap;
use tenure_core::driver::Shell as _;
use tenure_core::id::{Sequence, WallTime};
use tenure_core::port::{
    Message, Publish, Refused, StoreDone, StoreReply, StoreRequest, StreamSettings,
};
use tenure_core::step::Outcome;
use tenure_mem::store::{Store, StoreConfig};
use tenure_nats::NatsShell;

/// One request and its answer.
#[derive(Debug)]
struct Event {
    request: StoreRequest,
    reply: StoreReply,
    /// The highest sequence that was acknowledged before it was asked.
    acknowledged: Sequence,
}

/// All requests to one stream.
#[derive(Debug, Default)]
pub(crate) struct History {
    events: RefCell<Vec<Event>>,
    acknowledged: RefCell<Sequence>,
}

impl History {
    /// Asks, and keeps what came back.
    pub(crate) async fn ask(&self, shell: &NatsShell, request: StoreRequest) -> StoreReply {
        let acknowledged = *self.acknowledged.borrow();
        let reply = shell.store(request.clone()).await;
        if let Outcome::Done(StoreDone::Published(ack)) = &reply {
            let mut acknowledged = self.acknowledged.borrow_mut();
            *acknowledged = ack.sequence.max(*acknowledged);
        }
        let event = Event {
            request,
            reply: reply.clone(),
            acknowledged,
        };
        self.events.borrow_mut().push(event);
        reply
    }

    /// The highest acknowledged sequence.
    pub(crate) fn acknowledged(&self) -> Sequence {
        *self.acknowledged.borrow()
    }

    /// Checks all answers against the log.
    pub(crate) fn check(
        &self,
        scene: &'static str,
        (config, settings): (StoreConfig, StreamSettings),
        log: &[Message],
        table: &mut Table,
    ) -> Odd {
        let events = self.events.borrow();
        let mut model = Store::new(config);
        let created = model.apply(WallTime(1), &StoreRequest::CreateStream(settings));
        assert!(matches!(created, Outcome::Done(_)), "{created:?}");
        let places = replay(&events, &mut model, log);
        let mut odd = Odd::default();
        for (index, event) in events.iter().enumerate() {
            let placed = places.get(&index).copied();
            if let Outcome::Done(StoreDone::Published(ack)) = &event.reply {
                assert_eq!(
                    placed,
                    Some(ack.sequence),
                    "{event:?} is not in the log there"
                );
            }
            let refused = matches!(event.reply, Outcome::Refused(_));
            odd.refused_and_stored += usize::from(refused && placed.is_some());
            let class = Class::of(&event.request, &event.reply);
            if passing(&event.reply) {
                table.around(scene, class);
                continue;
            }
            let wrote = placed.is_some() && !refused;
            odd.stale += usize::from(!wrote && made_of(&model, event) < event.acknowledged);
            table.scene(scene, class);
        }
        odd
    }
}

/// Answers that only a disturbed cluster gives.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Odd {
    /// They were older than what had been acknowledged before.
    pub(crate) stale: usize,
    /// They refused a write that was stored.
    pub(crate) refused_and_stored: usize,
}

/// Plays the log's messages into the model, each with the request that it came from, and says where
/// each request ended up.
fn replay(events: &[Event], model: &mut Store, log: &[Message]) -> BTreeMap<usize, Sequence> {
    let mut owners: BTreeMap<&[u8], usize> = BTreeMap::new();
    for (index, event) in events.iter().enumerate() {
        for publish in written(&event.request) {
            let twice = owners.insert(&publish.payload, index);
            assert_eq!(twice, None, "each message has a body of its own");
        }
    }
    let mut places = BTreeMap::new();
    let mut at = 0;
    while let Some(message) = log.get(at) {
        let index = owners[&message.payload[..]];
        let request = &events[index].request;
        let members = written(request);
        for (n, member) in members.iter().enumerate() {
            let stored = log
                .get(at + n)
                .unwrap_or_else(|| panic!("{request:?} is torn"));
            assert_eq!(stored.payload, member.payload, "{request:?} is torn");
        }
        at += members.len();
        let reply = model.apply(WallTime(1), request);
        let last = log[at - 1].sequence;
        let Outcome::Done(StoreDone::Published(ack)) = reply else {
            panic!("the server stored {request:?} at {last}; the model says {reply:?}");
        };
        assert_eq!(ack.sequence, last, "{request:?}");
        assert_eq!(
            places.insert(index, last),
            None,
            "{request:?} is in the log twice"
        );
    }
    places
}

/// The latest state in which an answer is right.
fn made_of(model: &Store, event: &Event) -> Sequence {
    let last = model
        .streams()
        .map(|name| model.last(name))
        .max()
        .unwrap_or_default();
    let mut points = (0..=last.0).rev().map(Sequence);
    let right = points.find(|up_to| {
        same(
            &model.answer_as_of(WallTime(1), *up_to, &event.request),
            &event.reply,
        )
    });
    right.unwrap_or_else(|| panic!("no state of the log gives {event:?}"))
}

fn written(request: &StoreRequest) -> &[Publish] {
    match request {
        StoreRequest::Publish(publish) => std::slice::from_ref(publish),
        StoreRequest::Batch { messages, .. } => messages,
        StoreRequest::Latest { .. }
        | StoreRequest::Get { .. }
        | StoreRequest::Scan { .. }
        | StoreRequest::CreateStream(_)
        | StoreRequest::StreamInfo { .. }
        | StoreRequest::Capabilities
        | StoreRequest::OpenConsumer(_)
        | StoreRequest::Fetch { .. }
        | StoreRequest::CloseConsumer { .. } => &[],
    }
}

/// Whether an answer says nothing of the stream's state.
fn passing(reply: &StoreReply) -> bool {
    match reply {
        Outcome::Unknown => true,
        Outcome::Refused(refused) => {
            refused.passes() || matches!(refused, Refused::DuplicateInProcess)
        }
        Outcome::Done(_) => false,
    }
}

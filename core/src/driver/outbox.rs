//! How messages of commits leave a log: as commands of this node to whoever owns their receivers, by
//! the way that a caller's command takes (S18).

use super::cluster::{
    AskRequest, Asking, Courier, Incoming, Local, Outcome, Registry, Routed, Unrouted, Wanted,
    order_key,
};
use super::effects::{EffectCounts, EffectHost};
use super::host::Answer;
use super::request::Request;
use crate::api::{Ciphers, CodecError, Decrypted, PayloadPart, Serving};
use crate::format::{Answered, Call, Denial, Layout, Return};
use crate::id::WallTime;
use crate::log::{Delivery, Dispatch, Expected, Refusal};
use crate::name::KindName;
use crate::route::{Repeat, Target};
use crate::step::Time;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::sync::{mpsc, oneshot};

/// What all lanes of a node know of where messages go.
#[derive(Default)]
pub(crate) struct Outbox {
    /// Weak: a message that waits keeps no lane running.
    lanes: OnceLock<Vec<mpsc::WeakSender<Request>>>,
    kinds: OnceLock<Arc<Registry>>,
    ciphers: OnceLock<Ciphers>,
    pub(crate) effects: EffectCounts,
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Outbox").field(&self.kinds.get()).finish()
    }
}

impl Outbox {
    /// The node's lanes run.
    pub(crate) fn open(&self, lanes: &[mpsc::Sender<Request>]) {
        // A node opens it once.
        let _ = self
            .lanes
            .set(lanes.iter().map(mpsc::Sender::downgrade).collect());
    }

    /// What kinds' messages went through when they were stored.
    pub(crate) fn encrypt_by(&self, ciphers: Ciphers) {
        // A node has those that it was started with.
        let _ = self.ciphers.set(ciphers);
    }

    /// A message as it was before it was stored; else what becomes of it.
    pub(crate) fn decrypt(&self, mut dispatch: Dispatch) -> Result<Dispatch, Delivery> {
        let Some(ciphers) = self.ciphers.get() else {
            return Ok(dispatch);
        };
        let (kind, sender) = (&dispatch.kind, &dispatch.sender);
        let message = &mut dispatch.intent.message;
        let part = PayloadPart::Message(&message.name, message.schema);
        let plain = ciphers
            .of(kind)
            .decrypt((kind, sender), part, &message.data);
        match plain {
            Ok(Decrypted::Plain(data)) => {
                message.data = data;
                Ok(dispatch)
            }
            Ok(Decrypted::Shredded) => Err(Delivery::Rejected {
                cause: "its sender's key is gone".to_owned(),
            }),
            Ok(Decrypted::Damaged(cause)) => {
                tracing::warn!(%kind, %cause, "message_damaged");
                Err(Delivery::Failed)
            }
            Err(error) => {
                tracing::warn!(%kind, %error, "message_not_decrypted");
                Err(Delivery::Failed)
            }
        }
    }

    /// The kinds that the node serves: to their entities messages go.
    pub(crate) fn serve(&self, kinds: Arc<Registry>) {
        // A node serves what it was started with.
        let _ = self.kinds.set(kinds);
    }

    /// The kinds that the node serves.
    pub(crate) fn kinds(&self) -> Option<&Arc<Registry>> {
        self.kinds.get()
    }

    /// The code of the effect that a message is, if it is one.
    pub(crate) fn effect(&self, kind: &KindName) -> Option<Arc<dyn EffectHost>> {
        self.kinds.get()?.effects.get(kind).cloned()
    }

    /// Sends a message; what comes of it is told. Nobody tells when it is lost: it is sent again then.
    pub(crate) fn send(
        &self,
        dispatch: Dispatch,
        layout: &Layout,
        wall: WallTime,
        deadline: Time,
    ) -> oneshot::Receiver<Delivery> {
        let (done, delivered) = oneshot::channel();
        let Dispatch { id, intent, .. } = dispatch;
        let served = self.kinds.get().and_then(|it| it.kinds.get(&intent.kind));
        let Some(served) = served.map(Arc::clone) else {
            let kind = intent.kind;
            let cause = format!(
                "this node serves no entities of kind {kind}, and does no effect of that name; name them where the node is built (serve, effect)"
            );
            let _ = done.send(Delivery::Undeliverable { cause });
            return delivered;
        };
        let entry = served.entry();
        let shard = layout.shard_of(entry.config.record.placement, &intent.entity);
        let place = entry.place(shard);
        let key = order_key(&intent.kind, &intent.entity);
        let asking = Asking {
            place,
            kind: intent.kind,
            entity: intent.entity,
            message: (intent.message.name, intent.message.schema),
            codec: intent.codec,
            wanted: Wanted::Command {
                id,
                expected: Expected::Any,
            },
            metadata: intent.metadata,
            body: intent.message.data,
        };
        let done = Done(Mutex::new(Some(done)));
        let ask = IntentAsk(Arc::new(Carrying {
            asking,
            served,
            wall,
            deadline,
            done,
        }));
        let lanes = self.lanes.get().map_or(&[][..], Vec::as_slice);
        let lane = usize::from(shard.0).checked_rem(lanes.len());
        let lane = lane.and_then(|lane| lanes.get(lane)?.upgrade());
        let request = AskRequest {
            target: Target::Place(place),
            key,
            deadline,
            repeat: Repeat::ById,
            answered: true,
            ask: Box::new(ask),
        };
        if let Some(lane) = lane {
            // What finds no room is dropped, and with it who would tell: it is sent again.
            let _ = lane.try_send(Request::Ask(request));
        }
        delivered
    }
}

/// A message on its way.
#[derive(Clone)]
pub(crate) struct IntentAsk(Arc<Carrying>);

struct Carrying {
    asking: Asking,
    served: Arc<dyn Serving>,
    wall: WallTime,
    deadline: Time,
    done: Done,
}

struct Done(Mutex<Option<oneshot::Sender<Delivery>>>);

impl IntentAsk {
    fn tell(&self, delivery: Delivery) {
        let mut done = self.0.done.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(done) = done.take() {
            // The log that sent it may be gone.
            let _ = done.send(delivery);
        }
    }

    /// It ran on this lane.
    pub(crate) fn ended(&self, answer: Answer, outcome: Outcome) {
        self.tell(delivery(outcome.answered(answer)));
    }
}

impl Routed for IntentAsk {
    fn here(self: Box<Self>, courier: Courier) -> Local {
        let incoming = Incoming {
            asking: self.0.asking.clone(),
            wall: self.0.wall,
            deadline: self.0.deadline,
            left: None,
        };
        let courier = courier.of_intent((*self).clone());
        match self.0.served.request(incoming, courier) {
            Ok(request) => Local::Entity(request),
            Err(denial) => {
                self.tell(delivery(Answered::Refused(denial)));
                Local::Nothing
            }
        }
    }

    fn call(&self) -> Result<Call<'_>, CodecError> {
        Ok(self.0.asking.call())
    }

    fn returned(self: Box<Self>, answer: Return<'_>) {
        self.tell(delivery(answer.answered));
    }

    fn handed_over(self: Box<Self>) {}

    fn unrouted(self: Box<Self>, why: Unrouted) {
        let cause = match why {
            Unrouted::Unencodable(cause) => cause.to_string(),
            Unrouted::Route(crate::route::Refusal::TooLarge { bytes, bytes_max }) => {
                format!("its frame has {bytes} bytes, the server takes {bytes_max}")
            }
            Unrouted::Route(_) | Unrouted::Halted(_) | Unrouted::Stopped | Unrouted::Cut => {
                return self.tell(Delivery::Again);
            }
        };
        self.tell(Delivery::Undeliverable { cause });
    }

    fn is_abandoned(&self) -> bool {
        false
    }
}

/// What an answer says of a message.
fn delivery(answered: Answered) -> Delivery {
    let denial = match answered {
        Answered::Done { .. } => return Delivery::Done,
        Answered::Rejected { .. } => {
            let cause = "its domain said no".to_owned();
            return Delivery::Rejected { cause };
        }
        Answered::Refused(denial) => denial,
    };
    let stays = match &denial {
        Denial::Log(refusal) => match refusal {
            Refusal::Expired { .. }
            | Refusal::TooLarge { .. }
            | Refusal::OutcomeTooLarge { .. }
            | Refusal::VersionNotRising { .. }
            | Refusal::TooManyTimers { .. }
            | Refusal::TooManySends { .. }
            | Refusal::Unowned
            | Refusal::Metadata(_) => true,
            Refusal::Conflict { .. }
            | Refusal::Contended { .. }
            | Refusal::Failed(_)
            | Refusal::Fold(_)
            | Refusal::Damaged(_) => return Delivery::Failed,
            Refusal::Undelivered(_) => return Delivery::Waits,
            Refusal::Unknown
            | Refusal::Deadline
            | Refusal::Ahead { .. }
            | Refusal::Overloaded
            | Refusal::NotOwner
            | Refusal::NotLeased
            | Refusal::Store(_) => false,
        },
        Denial::UnknownKind { .. }
        | Denial::UnknownMessage { .. }
        | Denial::WrongSchema { .. }
        | Denial::Undecodable { .. } => true,
        // A reply that cannot be sent is that of a command that ran: it is found by its id.
        Denial::Panicked { .. }
        | Denial::Failed { .. }
        | Denial::Reply { .. }
        | Denial::Start { .. } => return Delivery::Failed,
        // The rest passes, or is of actors.
        Denial::Overloaded
        | Denial::Dropped(_)
        | Denial::Deadline
        | Denial::Cycle { .. }
        | Denial::ChainTooLong { .. }
        | Denial::NoLease
        | Denial::Stopping
        | Denial::Halted { .. }
        | Denial::Unusable { .. }
        | Denial::Newer { .. } => false,
    };
    if stays {
        let cause = denial.to_string();
        Delivery::Undeliverable { cause }
    } else {
        Delivery::Again
    }
}

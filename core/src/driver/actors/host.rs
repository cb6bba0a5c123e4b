//! Where the users' actors live: what the seat asks of them, type-erased.

use super::stage::Stage;
use crate::actor::{Ended, Ending, KindConfig, Order, Refusal, Trail, Why};
use crate::api::CodecError;
use crate::driver::cluster::Carried;
use crate::driver::lease::Permit;
use crate::format::{Codec, Denial, Metadata, Placement};
use crate::id::{Epoch, Incarnation, OpId, ShardId, Slot, Ticket};
use crate::name::{EntityId, KindName};
use crate::step::Time;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::oneshot;

/// The users' actors of one kind in one lane.
pub(crate) trait ActorHost: Send {
    /// Takes in a message under its ticket.
    fn admit(&mut self, ticket: Ticket, mail: Mail) -> Result<(), NotUnderstood>;

    /// Gives back a message that does not run; nothing when it was taken before.
    fn give_back(&mut self, ticket: Ticket) -> Option<Mail>;

    /// The messages that wait for their turn, by ticket.
    fn waiting(&self) -> Vec<Ticket>;

    /// What is to be done, as a future. It owns the actor meanwhile.
    fn begin(
        &mut self,
        scene: Scene,
        act: Act,
        resident: Option<Box<dyn Any + Send>>,
    ) -> BoxFuture<'static, Finished>;
}

/// What an actor is to do.
#[derive(Debug)]
pub(crate) enum Act {
    Activate,
    Message {
        ticket: Ticket,
        deadline: Option<Time>,
    },
    Timer {
        name: Arc<str>,
        last: bool,
    },
    Notice {
        watch: u32,
        ended: Ended,
    },
    Stop(Why),
}

/// Where and for whom it does that.
pub(crate) struct Scene {
    pub(crate) stage: Arc<Stage>,
    pub(crate) slot: Slot,
    pub(crate) op: OpId,
    pub(crate) key: EntityId,
    pub(crate) shard: Option<ShardId>,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) deadline: Option<Time>,
    pub(crate) gone: Arc<dyn Presence>,
    /// The lease under which it does that; `None` for what belongs to the node alone.
    pub(crate) permit: Option<Permit>,
}

/// Whether the caller of a turn is there still.
pub(crate) trait Presence: Send + Sync {
    /// It goes away.
    fn leave(&self);

    /// Whether it has gone.
    fn has_left(&self) -> bool;
}

/// A caller who goes away by itself, or with the caller of the turn that it asks from.
#[derive(Default)]
pub(crate) struct Waiter {
    gone: AtomicBool,
    within: Option<Arc<dyn Presence>>,
}

impl Waiter {
    /// Of what is asked from within a turn.
    pub(crate) fn within(turn: Option<Arc<dyn Presence>>) -> Self {
        Self {
            gone: AtomicBool::new(false),
            within: turn,
        }
    }
}

impl Presence for Waiter {
    fn leave(&self) {
        self.gone.store(true, Ordering::Release);
    }

    fn has_left(&self) -> bool {
        let turn = self.within.as_ref();
        self.gone.load(Ordering::Acquire) || turn.is_some_and(|turn| turn.has_left())
    }
}

/// What came of it.
pub(crate) struct Finished {
    pub(crate) ending: Ending,
    pub(crate) orders: Vec<Order>,
    /// Tasks and watches that run for the actor now.
    pub(crate) background: u32,
    /// What the caller is told.
    pub(crate) outcome: Option<Box<dyn Outcome>>,
    /// The actor.
    pub(crate) resident: Option<Box<dyn Any + Send>>,
}

/// A message, where it is: typed in this process, or bytes from another.
pub(crate) struct Mail {
    pub(crate) content: Content,
    pub(crate) metadata: Option<Arc<Metadata>>,
    /// Who waits for its answer.
    pub(crate) trail: Trail,
}

pub(crate) enum Content {
    Typed(Box<dyn Carry>),
    Wire {
        name: Cow<'static, str>,
        version: u16,
        data: Bytes,
    },
}

/// A typed message without its type.
pub(crate) trait Carry: Any + Send {
    fn name(&self) -> &'static str;
    fn version(&self) -> u16;
    fn encode(&self, codec: Codec) -> Result<Bytes, CodecError>;
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send>;
}

/// What a handler came to, without its types.
pub(crate) trait Outcome: Any + Send {
    /// Its bytes.
    fn encode(&self, codec: Codec) -> Result<Told, CodecError>;
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send>;
}

/// What a handler came to, as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Its reply.
    Reply(Bytes),
    /// Its error.
    Rejected(Bytes),
    /// It did not know the message.
    Unknown { name: String, version: u16 },
}

/// The kind does not take the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotUnderstood {
    /// It has no handler for it.
    Unknown { name: String, version: u16 },
    /// It takes another version of it.
    Version { name: String, sent: u16, taken: u16 },
    /// Its bytes are not what its name says.
    Undecodable { name: String, cause: CodecError },
}

/// A caller or watcher who waits.
pub(crate) trait ActorCaller: Send + Sync {
    /// Tells it how it ended, once; one that has gone away is told all the same.
    fn finish(&self, answer: ActorAnswer);

    /// Nobody will tell it.
    fn forget(&self);

    /// Whether it is there still, for its turn; of a watcher nobody asks.
    fn presence(self: Arc<Self>) -> Option<Arc<dyn Presence>> {
        None
    }

    /// Whether it has gone.
    fn has_left(&self) -> bool {
        false
    }

    /// Whether it wants to know on which node a message ran.
    fn wants_node(&self) -> bool {
        false
    }
}

/// A caller or watcher, until it is told.
pub(crate) struct Caller(Option<Arc<dyn ActorCaller>>);

impl Caller {
    pub(crate) fn new(caller: Arc<dyn ActorCaller>) -> Self {
        Self(Some(caller))
    }

    /// Tells it. Where its type panics over the answer it is told nothing, which it hears of as well.
    fn finish(mut self, answer: ActorAnswer) {
        if let Some(caller) = &self.0 {
            caller.finish(answer);
        }
        self.0 = None;
    }

    fn has(&self, what: impl FnOnce(&dyn ActorCaller) -> bool) -> bool {
        self.0.as_deref().is_some_and(what)
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        if let Some(caller) = self.0.take() {
            caller.forget();
        }
    }
}

/// Who is told what came of a message.
pub(crate) enum Recipient {
    /// A caller of this process.
    Here(Caller),
    /// Another lane, by the ticket under which this lane's routing serves it.
    Lane(Ticket),
}

impl Recipient {
    /// Tells a caller of this process. What goes to another lane comes back, for routing; `kind` and
    /// `key` are whom it asked.
    #[must_use]
    pub(crate) fn finish(
        self,
        kind: &ActorEntry,
        key: &EntityId,
        answer: ActorAnswer,
    ) -> Option<Carried> {
        let ticket = match self {
            Self::Here(caller) => {
                caller.finish(answer);
                return None;
            }
            Self::Lane(ticket) => ticket,
        };
        // It was not run, and runs elsewhere perhaps.
        let is_elsewhere = matches!(
            answer,
            ActorAnswer::Refused(Refusal::NotOwner | Refusal::Stopped) | ActorAnswer::Stopped
        );
        Some(if is_elsewhere {
            Carried::NotServed(ticket)
        } else {
            let answered = answer.encode(kind.codec, kind.name().as_str(), key.as_str());
            Carried::Answered(ticket, answered)
        })
    }

    /// Tells a caller of this process; only those ask others.
    pub(crate) fn tell(self, answer: ActorAnswer) {
        match self {
            Self::Here(caller) => caller.finish(answer),
            Self::Lane(_) => debug_assert!(false, "another lane's request is not routed on"),
        }
    }

    /// Whether another lane waits.
    pub(crate) fn is_served(&self) -> bool {
        matches!(self, Self::Lane(_))
    }

    /// Whether a caller of this process wants to know which node answered.
    pub(crate) fn wants_node(&self) -> bool {
        match self {
            Self::Here(caller) => caller.has(|one| one.wants_node()),
            Self::Lane(_) => false,
        }
    }

    /// Whether a caller of this process has gone. Another lane's withdraws.
    pub(crate) fn has_left(&self) -> bool {
        match self {
            Self::Here(caller) => caller.has(|one| one.has_left()),
            Self::Lane(_) => false,
        }
    }

    /// What tells a turn whether a caller of this process is there still.
    pub(crate) fn presence(&self) -> Option<Arc<dyn Presence>> {
        match self {
            Self::Here(Caller(caller)) => Arc::clone(caller.as_ref()?).presence(),
            Self::Lane(_) => None,
        }
    }
}

/// How a message's or a watch's stay ended.
pub(crate) enum ActorAnswer {
    /// It ran in this process, under this epoch of its shard.
    Ran(Box<dyn Outcome>, Option<Epoch>),
    /// It ran on another lane: what came of it, the name of its node, empty where nobody wants to know it,
    /// and the epoch.
    Told(Told, String, Option<Epoch>),
    /// It is in the mailbox, and no more is wanted.
    Taken,
    /// What was watched has ended.
    Ended(Ended),
    /// Who is there, to be watched.
    Lives(Life),
    /// As the scheduler says.
    Refused(Refusal),
    /// The kind does not take it.
    NotUnderstood(NotUnderstood),
    /// The node of this name, which is another one mostly, refused it.
    Denied(Denial, String),
    /// No such node is in the cluster; it was not sent.
    NoNode(String),
    /// Routing found nobody for it, or lost its answer.
    Unrouted(crate::route::Refusal),
    /// A machine of the node halted; it was not run.
    Halted(String),
    /// The node has stopped; it was not run.
    Stopped,
    /// The scheduler halted, or the node stopped, while it was under way; it may have run.
    Cut,
}

/// A message for an actor, on its way to the lane of its place.
pub(crate) struct ActorRequest {
    pub(crate) kind: Arc<ActorEntry>,
    pub(crate) key: EntityId,
    /// The name of the node that it belongs to, for a kind that is on each node; `None` for this one.
    pub(crate) node: Option<Arc<str>>,
    pub(crate) deadline: Time,
    /// Whether a reply is wanted; else the caller is told when it is in the mailbox.
    pub(crate) answered: bool,
    pub(crate) mail: Mail,
    /// What has not begun when it has gone is not run.
    pub(crate) caller: Recipient,
}

/// One life of an actor in its cluster, from its first message to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Life {
    /// The run of its node, the upper and the lower half of its number.
    run: (u64, u64),
    /// Its number there.
    number: u32,
}

impl Life {
    pub(crate) fn new(run: Incarnation, number: u32) -> Self {
        let low = u64::MAX;
        let run = ((run.0 >> 64) as u64, (run.0 & u128::from(low)) as u64);
        Self { run, number }
    }

    /// Its number at a run; no number of it when that is another one.
    pub(crate) fn at(self, run: Incarnation) -> u32 {
        match self == Self::new(run, self.number) {
            true => self.number,
            false => 0,
        }
    }
}

/// Whose end a watcher wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WatchWhom {
    /// That of whoever is there: of a build that does not tell lives apart.
    Whoever,
    /// Nobody's yet: it is asked who is there.
    Who,
    Life(Life),
}

/// A wish to be told when an actor ends, on its way to the lane of its place.
pub(crate) struct WatchRequest {
    pub(crate) kind: Arc<ActorEntry>,
    pub(crate) key: EntityId,
    /// As of a message.
    pub(crate) node: Option<Arc<str>>,
    pub(crate) deadline: Time,
    pub(crate) of: WatchWhom,
    pub(crate) caller: Recipient,
}

/// For tests: how a key takes turns from now on, on its way to the lane of its place.
pub(crate) struct PaceRequest {
    pub(crate) kind: Arc<ActorEntry>,
    pub(crate) key: EntityId,
    pub(crate) pace: Pace,
    /// Told when it is so.
    pub(crate) done: oneshot::Sender<()>,
}

/// How a key takes turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    Pause,
    Step,
    Resume,
}

/// A kind of actor as the handles of this process use it.
pub(crate) struct ActorEntry {
    /// What the scheduler is told.
    pub(crate) config: KindConfig,
    /// The names of the messages that it has handlers for.
    pub(crate) messages: Vec<&'static str>,
    /// How its messages are encoded, and what of a key places it.
    pub(crate) codec: Codec,
    pub(crate) placement: Placement,
    /// Whether handlers are tried in the lane before they get a task of their own.
    pub(crate) inline: bool,
    /// Tasks that run for one actor at once.
    pub(crate) tasks_max: u32,
    /// Makes the host of one lane.
    pub(crate) host: Box<HostOf>,
}

/// Makes the host of one lane for a kind.
type HostOf = dyn Fn(&Arc<ActorEntry>) -> Box<dyn ActorHost> + Send + Sync;

impl ActorEntry {
    pub(crate) fn name(&self) -> &KindName {
        &self.config.name
    }

    /// A message's name as this program has it, if it has a handler for one of that name.
    pub(crate) fn message(&self, name: &str) -> Option<&'static str> {
        self.messages.iter().copied().find(|one| *one == name)
    }
}

impl fmt::Debug for ActorEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorEntry")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

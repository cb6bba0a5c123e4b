//! The seam between the driver and a world: real NATS, memory, or a simulator.

use super::completion::Completion;
use super::ear::Ear;
use super::launch::{Launch, Launching};
use crate::id::{OpId, WallTime};
use crate::port::{Capabilities, Delivery, Heard, SendRefused, StoreReply, StoreRequest, Subject};
use crate::step::Time;
use bytes::Bytes;
use std::fmt;
use std::future::Future;
use tokio::sync::mpsc;

/// How many deliveries wait for one who listens; a shell loses or refuses what is more.
pub const DELIVERIES_MAX: usize = 65_536;

/// How many announcements wait for one who hears; a shell loses what is more.
pub const HEARD_MAX: usize = 4_096;

/// A world to run in. A shell maps and never retries or decides.
pub trait Shell: Clone + Send + Sync + 'static {
    /// This node's monotonic clock, counted from the shell's start; counts suspended time where the
    /// platform can.
    fn now(&self) -> Time;

    /// This node's wall clock. For ids, stamps and reminders, never for leases.
    fn wall(&self) -> WallTime;

    /// Fresh random bits, the key of this incarnation's dice.
    fn seed(&self) -> u128;

    /// Ends when the clock reads `at` or later. Cancel safe.
    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send;

    /// The same world, for requests to the store that rest on what was known while one link was up: as
    /// soon as the link is another one, or none, they are refused (`Refused::NotConnected`) and have
    /// surely not been handed over. What was decided before a link was lost is so never sent on the next
    /// one, however late whoever decided it hears of the loss (S8). Without it requests go by whatever
    /// link there is.
    fn during(&self, link: LinkNumber) -> Self;

    /// Executes one request and answers within `Limits::store_timeout`, beside the time that the
    /// request itself [waits](StoreRequest::patience), with `Unknown` when it does not know. Dropping
    /// the future gives the answer up, not the request.
    fn store(&self, request: StoreRequest) -> impl Future<Output = StoreReply> + Send;

    /// The same at once, for a shell that waits for nobody to know the answer; `None` when it is to
    /// be asked in another way.
    fn answer(&self, _request: &StoreRequest) -> Option<StoreReply> {
        None
    }

    /// The same without a future, for a shell that learns of all answers in one place and tells this
    /// one's there. What it does not take so it gives back, to be asked with [`store`](Self::store).
    ///
    /// # Errors
    ///
    /// Both, when the request is asked by a future.
    #[allow(
        clippy::result_large_err,
        reason = "it is moved on at once, as the reply is"
    )]
    fn submit(
        &self,
        request: StoreRequest,
        done: Completion,
    ) -> Result<(), (StoreRequest, Completion)> {
        Err((request, done))
    }

    /// What comes in by itself, from now on; begins with the link's present state. Each call gives
    /// a stream of its own.
    fn inbox(&self) -> mpsc::Receiver<Inbound>;

    /// Hands a frame over for all who listen at `to`; at once, or not at all.
    ///
    /// Nothing is certain of a frame that was handed over: it may be lost, come late or come twice.
    /// Frames of one shell to one listener keep their order. When nobody listens there, those who
    /// listen at `from` mostly get [`Delivery::NoResponders`] with `op`, later and never from within
    /// this call; a frame that was not taken in for another reason is told by nobody. `op` is named
    /// anew for each frame. Both subjects are literal ones. A frame that waits for a link ends with
    /// that link, so before the store's time-out, and is never sent on the next one (S8).
    ///
    /// # Errors
    ///
    /// When it was not handed over, and so will never arrive: no connection, no room on the way, or
    /// too large.
    fn send(&self, op: OpId, to: &Subject, from: &Subject, frame: Bytes)
    -> Result<(), SendRefused>;

    /// Listens at a literal subject, from now on until the receiver is dropped or the last clone of
    /// the shell is: what this shell hands over after this call gets to the server after it listens.
    /// Who listens twice gets everything twice.
    ///
    /// While the shell is disconnected nothing arrives and others are told that nobody listens. It
    /// listens again before [`Inbound::Connected`] is told. At most [`DELIVERIES_MAX`] wait to be
    /// taken; what is more is refused to its sender ([`SendRefused::Full`]) or lost.
    fn listen(&self, at: Subject) -> mpsc::Receiver<Delivery>;

    /// Hears what streams announce on the core subjects of a filter when they store it (their
    /// `republish`), as [`listen`](Self::listen) listens. Only a reason to look: what is announced
    /// while the shell is disconnected, or while [`HEARD_MAX`] wait to be taken, is lost.
    fn hear(&self, filter: Subject) -> mpsc::Receiver<Heard> {
        let (ear, receiver) = Ear::of_stored(HEARD_MAX);
        self.overhear(filter, ear);
        receiver
    }

    /// Has an ear take in what comes on the core subjects of a filter, stored or not, from now on until
    /// the ear is closed or the last clone of the shell is gone. What comes while the shell is
    /// disconnected is lost: when it hears again it says so ([`Ear::missed`]), before anything else.
    fn overhear(&self, filter: Subject, ear: Ear);

    /// Publishes on a literal core subject for whoever hears it at that moment; at once, or not at all.
    /// Nothing is stored, nobody tells whether anyone heard it, and nobody hears it twice.
    ///
    /// # Errors
    ///
    /// When it was not handed over, and so is heard by nobody.
    fn cast(&self, to: &Subject, payload: Bytes) -> Result<(), SendRefused>;

    /// How many deliveries and announcements were lost so far because nobody took them in in time, since
    /// the shell's start; a shell that loses none has 0.
    fn lost(&self) -> u64 {
        0
    }

    /// Starts a node in this world.
    ///
    /// A shell that writes this method out, as it stands here, has the node compiled into its own crate;
    /// otherwise each program that starts one compiles it anew, which takes most of the time that such a
    /// program needs.
    fn launch(self, launch: Launch) -> Launching {
        launch.on(self)
    }

    /// Runs a task until it ends or its handle aborts it.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> TaskHandle;
}

/// Tells one link to the store from those of the same shell before it: each has a higher number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkNumber(pub u64);

/// What comes in by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Inbound {
    /// The store is reachable (again).
    Connected(Capabilities, LinkNumber),
    /// The store is not reachable.
    Disconnected,
}

/// A running task. Dropping the handle lets the task run on.
pub struct TaskHandle {
    abort: Box<dyn Fn() + Send + Sync>,
}

impl TaskHandle {
    /// A handle that aborts by calling `abort`.
    pub fn new(abort: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            abort: Box::new(abort),
        }
    }

    /// Drops the task's future at its next await point.
    pub fn abort(&self) {
        (self.abort)();
    }
}

impl fmt::Debug for TaskHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHandle").finish_non_exhaustive()
    }
}

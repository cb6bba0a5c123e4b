//! What a user writes: the state, how events change it, and what each command decides.

use super::stored::stored_settings;
use super::{CodecError, DecideCx, Decision, Event, Message, Upcasters};
use crate::format::{Codec, Placement, TakeOver, WriteMode};
use crate::log::SnapshotPolicy;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The state of an entity, built from its events alone.
///
/// `Default` is the state before the first event. A command is decided on a clone, which becomes
/// the state when its commit is acknowledged; keep clones cheap (an `Arc` around what is large).
pub trait Aggregate: Default + Clone + Send + 'static {
    /// What can happen to it.
    type Event: Event;

    /// The stable name of the kind, in every subject of its log.
    const KIND: &'static str;

    /// The version of the state's type, as snapshots carry it. Snapshots of another version are
    /// ignored and the events are replayed instead.
    ///
    /// Raise it when the events behind a snapshot would lead to another state than the one in it:
    /// the state's own shape changed, [`evolve`](Self::evolve) did, an
    /// [upcaster](Self::upcasters) gives events another meaning, or events that were skipped
    /// ([`UnknownEvents::Skip`]) are known now. A new upcaster alone does not: it makes events
    /// readable whose effect, if there is a snapshot after them, is in it already.
    const SNAPSHOT_SCHEMA: u16 = 1;

    /// Changes the state by an event. Pure and infallible: what was decided has happened.
    fn evolve(&mut self, event: &Self::Event);

    /// How the kind is written. Mode, codec and placement are fixed at the kind's first use
    /// in a namespace.
    fn settings() -> KindSettings {
        KindSettings::default()
    }

    /// How events of types that this build has no longer become events that it has; by default
    /// there are none.
    ///
    /// They are checked before the kind is used; [`check_upcasters`](super::check_upcasters) does
    /// so in a unit test.
    fn upcasters() -> Upcasters {
        Upcasters::none()
    }

    /// The encoded state, for a snapshot; `None`, the default, means that the kind has none.
    ///
    /// With serde: `Some(codec.encode(self))`.
    fn snapshot(&self, codec: Codec) -> Option<Result<Bytes, CodecError>> {
        let _ = codec;
        None
    }

    /// The state out of [`snapshot`](Self::snapshot)'s bytes; `None`, the default, means that the
    /// kind has none.
    ///
    /// With serde: `Some(codec.decode(state))`.
    fn restore(state: &[u8], codec: Codec) -> Option<Result<Self, CodecError>> {
        let _ = (state, codec);
        None
    }
}

/// How an aggregate decides one command.
pub trait Decide<C: Message>: Aggregate {
    /// What an accepted command is answered. It is stored with the command, so that the same
    /// command id gets the same answer.
    type Reply: Serialize + DeserializeOwned + Send + 'static;
    /// The domain's no.
    type Error: Serialize + DeserializeOwned + Send + 'static;

    /// Decides a command: what happens, and what the caller is told. Pure and bounded; it may run
    /// again with a newer state when another writer was first.
    ///
    /// # Errors
    ///
    /// The domain's no; nothing is stored.
    fn decide(
        &self,
        command: &C,
        cx: &DecideCx<'_>,
    ) -> Result<Decision<Self, Self::Reply>, Self::Error>;
}

/// How a kind of entity is written, placed, encoded and read.
///
/// ```
/// use tenure_core::api::{KindSettings, UnknownEvents};
///
/// let settings = KindSettings::default()
///     .json()
///     .placed_before('/')
///     .unknown_events(UnknownEvents::Skip);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct KindSettings {
    /// Who may write (stored).
    pub mode: WriteMode,
    /// When a shard may change hands (stored).
    pub class: TakeOver,
    /// How values are encoded (stored).
    pub codec: Codec,
    /// What of the id places an entity (stored).
    pub placement: Placement,
    /// What this process does with events that it does not know.
    pub unknown_events: UnknownEvents,
    /// When this process takes snapshots, and how many are kept.
    pub snapshots: SnapshotPolicy,
    /// Whether this process keeps entities at rest in memory.
    pub cached: bool,
    /// Whether this process answers commands that stored nothing from what it holds.
    pub local_replies: bool,
}

/// What a process does with stored events that its build does not know: neither its event type
/// decodes them nor a step of its [upcasters](Aggregate::upcasters) begins with them. It is about
/// events of newer builds; a step that fails is an error under either policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownEvents {
    /// Loading fails with an error that names the event.
    #[default]
    Fail,
    /// The event is left out and counted in `Counters::events_skipped`.
    Skip,
}

impl Default for KindSettings {
    fn default() -> Self {
        Self {
            mode: WriteMode::Direct,
            class: TakeOver::Fenced,
            codec: Codec::Cbor,
            placement: Placement::Whole,
            unknown_events: UnknownEvents::Fail,
            snapshots: SnapshotPolicy::never(),
            cached: true,
            local_replies: false,
        }
    }
}

impl KindSettings {
    /// Entities are written by the owner of their shard only; a lone process becomes the owner of
    /// each shard that it uses. A shard changes hands as soon as its owner looks gone.
    pub const fn owned(mut self) -> Self {
        self.mode = WriteMode::Owned;
        self
    }

    /// As [`owned`](Self::owned), but a shard changes hands only when its owner's lease is over: so
    /// `Leased` reads are possible, which cost no round trip, and a take-over takes longer.
    pub const fn leased(mut self) -> Self {
        self.mode = WriteMode::Owned;
        self.class = TakeOver::Leased;
        self
    }

    stored_settings!("Values", "Entities whose ids");

    /// What this process does with events that it does not know.
    pub const fn unknown_events(mut self, policy: UnknownEvents) -> Self {
        self.unknown_events = policy;
        self
    }

    /// When this process takes snapshots, how many are kept and for how long. The aggregate has to
    /// implement [`Aggregate::snapshot`] and [`Aggregate::restore`].
    ///
    /// ```
    /// use tenure_core::api::{KindSettings, SnapshotPolicy};
    ///
    /// let settings = KindSettings::default().snapshots(SnapshotPolicy::every(100).keep(3));
    /// ```
    pub const fn snapshots(mut self, policy: SnapshotPolicy) -> Self {
        self.snapshots = policy;
        self
    }

    /// Whether this process keeps entities of the kind in memory when nothing is under way for them,
    /// as far as the node's cache has room; it does when this is not set. Without it each use loads
    /// its entity: for kinds with many entities that are seldom used twice.
    pub const fn cached(mut self, cached: bool) -> Self {
        self.cached = cached;
        self
    }

    /// Commands that store nothing (a rejection, no events) are answered without a proof that the
    /// state they are decided from is the latest: the kind opts out of the barrier for them, or in
    /// direct mode of the read. Such a [receipt](super::Receipt::freshness) says
    /// [`Freshness::Local`](super::Freshness::Local), and so may be the state behind a rejection. It
    /// saves a round trip to the store, and an answer may come from a state that another writer has
    /// left behind since. What is stored is as safe as ever.
    ///
    /// ```
    /// use tenure_core::api::KindSettings;
    ///
    /// let settings = KindSettings::default().owned().local_replies(true);
    /// ```
    pub const fn local_replies(mut self, local: bool) -> Self {
        self.local_replies = local;
        self
    }
}

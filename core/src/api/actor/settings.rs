//! How a kind of actor is kept and supervised.

use crate::actor::{KindConfig, OnPanic, OnStuck, Overflow};
use crate::api::stored::stored_settings;
use crate::format::{Codec, Placement};
use crate::name::KindName;
use std::time::Duration;

/// How a kind of actor is kept and supervised.
///
/// ```
/// use std::time::Duration;
/// use tenure_core::api::actor::{ActorSettings, OnPanic};
///
/// let settings = ActorSettings::default()
///     .mailbox_max(64)
///     .idle_after(Duration::from_secs(60))
///     .on_panic(OnPanic::Resume);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct ActorSettings {
    /// Messages that wait for one actor; 1,024.
    pub mailbox_max: usize,
    /// What becomes of a message for a full mailbox; it is rejected.
    pub overflow: Overflow,
    /// How long an actor rests before it goes; 10 minutes. `None`: until the node has too many.
    pub idle_after: Option<Duration>,
    /// What becomes of an actor whose handler panicked; it begins anew.
    pub on_panic: OnPanic,
    /// So many restarts within [`restart_window`](Self::restart_window), and it has failed; 10.
    pub restarts_max: u32,
    /// How far back restarts count; 60 s.
    pub restart_window: Duration,
    /// The wait before the first restart, which doubles with each; 10 ms.
    pub restart_delay_min: Duration,
    /// The longest wait before a restart, and how long a key that failed is refused; 30 s.
    pub restart_delay_max: Duration,
    /// How long a turn may take before it counts as stuck; 30 s. While a turn goes on its key takes no
    /// other message, and the hand-over of its shard waits for it.
    pub patience: Duration,
    /// What becomes of a turn that is stuck; it is counted and goes on. A turn that never ends holds its
    /// key, and a node that drains, for good then: [`OnStuck::Abort`] drops it.
    pub on_stuck: OnStuck,
    /// Tasks of one actor that run at once; 32.
    pub tasks_max: u32,
    /// Whether handlers run in the node's loop until their first wait; they do. A handler that
    /// computes for milliseconds or blocks holds everything there, on a node with one lane its
    /// heartbeats too: such a kind says `false`, and each turn gets a task.
    pub inline: bool,
    /// How messages are encoded when they cross the wire (stored).
    pub codec: Codec,
    /// What of the key places an actor (stored).
    pub placement: Placement,
}

impl Default for ActorSettings {
    fn default() -> Self {
        Self {
            mailbox_max: 1_024,
            overflow: Overflow::Reject,
            idle_after: Some(Duration::from_secs(600)),
            on_panic: OnPanic::Restart,
            restarts_max: 10,
            restart_window: Duration::from_secs(60),
            restart_delay_min: Duration::from_millis(10),
            restart_delay_max: Duration::from_secs(30),
            patience: Duration::from_secs(30),
            on_stuck: OnStuck::Count,
            tasks_max: 32,
            inline: true,
            codec: Codec::Cbor,
            placement: Placement::Whole,
        }
    }
}

impl ActorSettings {
    /// So many messages wait for one actor at most.
    pub const fn mailbox_max(mut self, messages: usize) -> Self {
        self.mailbox_max = messages;
        self
    }

    /// What becomes of a message for a full mailbox.
    pub const fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// How long an actor rests before it goes.
    pub const fn idle_after(mut self, rest: Duration) -> Self {
        self.idle_after = Some(rest);
        self
    }

    /// Actors that rest stay until the node has too many.
    pub const fn stay(mut self) -> Self {
        self.idle_after = None;
        self
    }

    /// What becomes of an actor whose handler panicked.
    pub const fn on_panic(mut self, on_panic: OnPanic) -> Self {
        self.on_panic = on_panic;
        self
    }

    /// So many restarts within a time; with one more it has failed.
    pub const fn restarts(mut self, restarts_max: u32, window: Duration) -> Self {
        self.restarts_max = restarts_max;
        self.restart_window = window;
        self
    }

    /// The wait before the first restart, which doubles with each, and the longest.
    pub const fn restart_delay(mut self, min: Duration, max: Duration) -> Self {
        self.restart_delay_min = min;
        self.restart_delay_max = max;
        self
    }

    /// How long a turn may take before it counts as stuck, and what becomes of it then. As long as it
    /// goes on, its key and the hand-over of its shard wait.
    pub const fn patience(mut self, patience: Duration, on_stuck: OnStuck) -> Self {
        self.patience = patience;
        self.on_stuck = on_stuck;
        self
    }

    /// So many tasks of one actor run at once.
    pub const fn tasks_max(mut self, tasks: u32) -> Self {
        self.tasks_max = tasks;
        self
    }

    /// Whether handlers run in the node's loop until their first wait.
    pub const fn inline(mut self, inline: bool) -> Self {
        self.inline = inline;
        self
    }

    stored_settings!("Messages", "Actors whose keys");

    /// Each shard has one actor of the kind, which the shard's owner has: it is asked by
    /// [`Tenure::shard`](crate::api::Tenure::shard), and its key is the shard's number.
    ///
    /// ```
    /// # use tenure_core::api::{Message, Tenure};
    /// # use tenure_core::api::actor::{Actor, ActorSettings, ActorError, Handle};
    /// # use tenure_core::id::ShardId;
    /// # async fn example<Census, Count>(tenure: &Tenure, count: Count) -> Result<(), ActorError<Census::Error>>
    /// # where Census: Actor + Handle<Count>, Count: Message {
    /// let settings = ActorSettings::default().per_shard();
    /// // Of a kind with these settings:
    /// tenure.shard::<Census>(ShardId(7)).ask(count).await?;
    /// # let _ = settings; Ok(()) }
    /// ```
    pub const fn per_shard(mut self) -> Self {
        self.placement = Placement::Shard;
        self
    }

    /// Each node has actors of the kind that are its own, whatever shards it owns: they are asked by
    /// [`NodeRef::actor`](crate::api::NodeRef::actor), and the node's name is their key.
    /// [`Tenure::actor`](crate::api::Tenure::actor) is one of this node, of any key.
    ///
    /// ```
    /// # use tenure_core::api::{Message, Tenure};
    /// # use tenure_core::api::actor::{Actor, ActorSettings, ActorError, Handle};
    /// # async fn example<Disk, Free>(tenure: &Tenure, free: Free) -> Result<(), ActorError<Disk::Error>>
    /// # where Disk: Actor + Handle<Free>, Free: Message {
    /// let settings = ActorSettings::default().per_node();
    /// // Of a kind with these settings:
    /// tenure.node("node-a").actor::<Disk>().ask(free).await?;
    /// # let _ = settings; Ok(()) }
    /// ```
    pub const fn per_node(mut self) -> Self {
        self.placement = Placement::Node;
        self
    }

    pub(crate) fn config(&self, name: KindName) -> KindConfig {
        KindConfig {
            name,
            mailbox_max: self.mailbox_max.max(1),
            overflow: self.overflow,
            idle_after: self.idle_after.map(Into::into),
            on_panic: self.on_panic,
            restarts_max: self.restarts_max,
            restart_window: self.restart_window.into(),
            restart_delay_min: self.restart_delay_min.into(),
            restart_delay_max: self.restart_delay_max.into(),
            patience: self.patience.into(),
            on_stuck: self.on_stuck,
        }
    }
}

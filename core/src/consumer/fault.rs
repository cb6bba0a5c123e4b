//! Why a consumer ended, or did not do what it was told, and what to do about it.

use super::{Failure, StallReason};
use crate::format::{EventPlace, FormatError, Position};
use crate::id::{GroupPart, Incarnation, LayoutId, Sequence, ShardId};
use crate::name::ConsumerName;
use crate::port::Refused;
use crate::space::SpaceError;
use alloc::string::String;

/// Whether a refusal may have gone after a while, without anybody's doing: that of a server that is busy,
/// full or not there yet. A consumer waits then and tells that it is stalled, for years if need be; it
/// ends only over what stays.
pub(crate) fn may_pass(refused: &Refused) -> bool {
    match refused {
        Refused::NoSpace | Refused::NoJetStream | Refused::Other { .. } => true,
        Refused::WrongLast { .. }
        | Refused::InProcess
        | Refused::DuplicateInProcess
        | Refused::DuplicateInBatch
        | Refused::TooManyBatches
        | Refused::BatchIncomplete
        | Refused::BatchTooLarge
        | Refused::BatchDisabled
        | Refused::Overloaded
        | Refused::NoResponders
        | Refused::NotConnected
        | Refused::TooLarge
        | Refused::NoStream
        | Refused::NoConsumer
        | Refused::WrongStream
        | Refused::StreamExists
        | Refused::SubjectOverlap
        | Refused::NotFound
        | Refused::RollupDisabled
        | Refused::TtlDisabled
        | Refused::TtlInvalid
        | Refused::Forbidden
        | Refused::Denied(_)
        | Refused::BadRequest(_) => refused.passes(),
    }
}

/// Why a consumer ended that was not told to stop. What was handled before is in its checkpoint, as far
/// as that could be stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Fault {
    /// The namespace cannot be used, or cannot any more, or the stream of the consumers cannot.
    #[error(transparent)]
    Space(SpaceError),
    /// The machine that keeps the namespace verified found its own state wrong.
    #[error(
        "the machine that keeps the namespace verified halted ({reason}): start the node again and report the recording"
    )]
    SpaceHalted {
        /// Why.
        reason: String,
    },
    /// The name belongs to a consumer that reads other events.
    #[error(
        "the consumer {name} has a checkpoint of another definition ({found:016x}, this one is {wanted:016x}): give the changed consumer another name, or start it with a reset"
    )]
    OtherDefinition {
        /// The consumer.
        name: ConsumerName,
        /// The definition's hash.
        wanted: u64,
        /// The checkpoint's.
        found: u64,
    },
    /// The name belongs to a group.
    #[error(
        "{name} is a group of {partitions} partitions: give the consumer another name, or start it as that group"
    )]
    IsGroup {
        /// The name.
        name: ConsumerName,
        /// The group's partitions.
        partitions: u16,
    },
    /// The name belongs to a consumer that is in no group.
    #[error(
        "{name} is a consumer and no group, and has a checkpoint: give the group another name, or start it as that consumer"
    )]
    IsConsumer {
        /// The name.
        name: ConsumerName,
    },
    /// The name belongs to a consumer that keeps its checkpoint with its own state.
    #[error(
        "{name} is a projection, or a consumer that keeps its checkpoint with its own state: give this one another name"
    )]
    IsElsewhere {
        /// The name.
        name: ConsumerName,
    },
    /// The name belongs to a consumer that has its checkpoint in the namespace.
    #[error(
        "{name} is a consumer that has its checkpoint in the namespace: give the projection, or what else keeps it with its own state, another name"
    )]
    HasCheckpoint {
        /// The name.
        name: ConsumerName,
    },
    /// The group reads other events.
    #[error(
        "the group {name} reads other events since node {node:?} made it ({found:016x}, this one is {wanted:016x}): give the changed group another name"
    )]
    OtherGroup {
        /// The group.
        name: ConsumerName,
        /// The definition's hash.
        wanted: u64,
        /// That of the group that is there.
        found: u64,
        /// Which node made it.
        node: String,
    },
    /// The group has another number of partitions.
    #[error(
        "the group {name} has {found} partitions since node {node:?} made it, this one is to have {wanted}: take {found}, or give the group another name"
    )]
    OtherPartitions {
        /// The group.
        name: ConsumerName,
        /// How many it is to have.
        wanted: u16,
        /// How many it has.
        found: u16,
        /// Which node made it.
        node: String,
    },
    /// The node takes part in the group already.
    #[error("this node takes part in the group {name} already: stop that first")]
    RunsHere {
        /// The group.
        name: ConsumerName,
    },
    /// A group cannot have so many partitions.
    #[error(
        "the group {name} cannot have {wanted} partitions: at least 1, and here at most {partitions_max}, as each has some of the shards"
    )]
    Partitions {
        /// The group.
        name: ConsumerName,
        /// How many it is to have.
        wanted: u16,
        /// How many it can have.
        partitions_max: u16,
    },
    /// The record of a partition is gone.
    #[error(
        "the record of partition {part} of the group {name} is gone from the store, which was to keep it, or somebody had the group forgotten: restore stream {stream:?} from a backup, or start the group anew"
    )]
    PartitionGone {
        /// The group.
        name: ConsumerName,
        /// The partition.
        part: GroupPart,
        /// The stream that it was in.
        stream: String,
    },
    /// Partitions have their checkpoints in the namespace.
    #[error(
        "the group {name} keeps its checkpoints in the namespace, one for each partition: a handler that keeps them with its own state cannot be in a group"
    )]
    GroupExternal {
        /// The group.
        name: ConsumerName,
    },
    /// A new group could not be told where it begins.
    #[error("the group {name} cannot begin with what is new: {refusal}")]
    GroupStart {
        /// The group.
        name: ConsumerName,
        /// Why.
        refusal: alloc::boxed::Box<super::group::GroupOrderRefusal>,
    },
    /// The checkpoint's positions are of another log.
    #[error(
        "the checkpoint of the consumer {name} is of layout {found}, and this namespace's is {expected}: it was copied or restored from elsewhere; start the consumer with a reset, or give it another name"
    )]
    OtherLayout {
        /// The consumer.
        name: ConsumerName,
        /// The namespace's layout.
        expected: LayoutId,
        /// The checkpoint's.
        found: LayoutId,
    },
    /// The checkpoint is that of another consumer.
    #[error(
        "the checkpoint of the consumer {name} is that of {found}: it was copied; start the consumer with a reset, or give it another name"
    )]
    OtherConsumer {
        /// The consumer.
        name: ConsumerName,
        /// Whose it is.
        found: ConsumerName,
    },
    /// There are not as many positions as streams.
    #[error(
        "a checkpoint of the consumer {name} has {found} positions, and the log has {expected} streams: it is of another log; take one of this log's"
    )]
    OtherStreams {
        /// The consumer.
        name: ConsumerName,
        /// The streams of the log.
        expected: u16,
        /// The positions.
        found: usize,
    },
    /// Somebody else runs a consumer of this name.
    #[error(
        "the consumer {name} was taken over by another run on node {node:?} ({run}): only one runs at a time; stop one of them, or give it another name"
    )]
    Superseded {
        /// The consumer.
        name: ConsumerName,
        /// Where the other run is.
        node: String,
        /// The other run.
        run: Incarnation,
    },
    /// The checkpoint that this run stored is gone.
    #[error(
        "the checkpoint of the consumer {name} is gone from the store, which was to keep it, or somebody had the consumer forgotten: start it with a reset to {positions:?}, where it stood, or restore stream {stream:?} from a backup"
    )]
    CheckpointGone {
        /// The consumer.
        name: ConsumerName,
        /// The stream that it was in.
        stream: String,
        /// Where it stood.
        positions: alloc::vec::Vec<Position>,
    },
    /// The checkpoint cannot be read.
    #[error(
        "the checkpoint of the consumer {name} cannot be read ({error}): use the program that wrote it"
    )]
    Format {
        /// The consumer.
        name: ConsumerName,
        /// What is wrong.
        error: FormatError,
    },
    /// A stream ends before what was read of it (S13).
    #[error(
        "stream {stream:?} ends at {last}, and the consumer {name} has read up to {position}: the stream lost its tail; look at what the handler did with it, then start the consumer with a reset to {last}, or restore the stream from a backup"
    )]
    TailLost {
        /// The consumer.
        name: ConsumerName,
        /// The stream.
        stream: String,
        /// Up to where it was read.
        position: Sequence,
        /// Where it ends.
        last: Sequence,
    },
    /// A stream has another commit where one came that was read (S13).
    #[error(
        "stream {stream:?} has another commit at {sequence} than the consumer {name} read there, which has read up to {position}: the stream lost its tail and grew again; look at what the handler did with it, then start the consumer with a reset to a place before that (a group is rewound to one), or restore the stream from a backup"
    )]
    TailReplaced {
        /// The consumer.
        name: ConsumerName,
        /// The stream.
        stream: String,
        /// Up to where it was read.
        position: Sequence,
        /// Where it is another one.
        sequence: Sequence,
    },
    /// An event was not handled, and the policy is to stop.
    #[error(
        "the consumer {name} stopped at event {} of {} {:?} after {} tries, because {}: {}; mend it and start again, or choose another policy",
        .failure.place, .failure.subject.kind, .failure.subject.id, .failure.tries, .failure.cause, .failure.text
    )]
    Poison {
        /// The consumer.
        name: ConsumerName,
        /// What failed.
        failure: Failure,
    },
    /// The store refuses for good.
    #[error("the store refused to {what} for the consumer {name}: {refused}")]
    Store {
        /// The consumer.
        name: ConsumerName,
        /// What was tried.
        what: String,
        /// The refusal.
        refused: Refused,
    },
    /// A handler with its own checkpoint is handed one batch at a time.
    #[error(
        "the consumer {name} keeps its checkpoint with its own state, so its events are handled one batch at a time: choose the serial order"
    )]
    NotSerial {
        /// The consumer.
        name: ConsumerName,
    },
    /// A limit or a wait is one with which it would do nothing, or nothing else.
    #[error("the consumer {name} cannot run: {what}; leave it as it is by default, or choose more")]
    Pace {
        /// The consumer.
        name: ConsumerName,
        /// What is wrong.
        what: String,
    },
    /// It begins after what is in the log.
    #[error("the consumer {name} cannot begin: {refusal}")]
    BadStart {
        /// The consumer.
        name: ConsumerName,
        /// Why.
        refusal: RewindRefusal,
    },
}

impl Fault {
    /// Whether the run's record is not where it wrote it last: another run's is there, or an older one, or none.
    /// A group goes on from what is there.
    pub fn loses_partition(&self) -> bool {
        matches!(self, Self::Superseded { .. } | Self::CheckpointGone { .. })
    }
}

/// Why a consumer was not rewound; it goes on as before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum RewindRefusal {
    /// The place is past the end of a stream.
    #[error(
        "position {wanted} is past the end of stream {stream:?}, which is {last}: choose one up to it"
    )]
    PastHead {
        /// The stream.
        stream: String,
        /// The place.
        wanted: Position,
        /// Where the stream ends.
        last: Sequence,
    },
    /// There are not as many positions as streams.
    #[error("{found} positions were given, and the log has {expected} streams: give one for each")]
    Streams {
        /// The streams of the log.
        expected: u16,
        /// The positions.
        found: usize,
    },
    /// Its checkpoint is elsewhere.
    #[error(
        "the consumer's checkpoint is with its own state: stop it, reset that state, and start it again"
    )]
    External,
    /// What has to end before did not.
    #[error("the consumer was not rewound, and goes on as before: {0}")]
    Waits(StallReason),
    /// It is not in a state to be told.
    #[error(transparent)]
    Order(#[from] OrderRefusal),
}

/// Why a consumer does not do what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum OrderRefusal {
    /// It is not running yet.
    #[error("the consumer is still starting: wait until it has started")]
    Starting,
    /// It is being rewound.
    #[error("the consumer is being rewound: wait for that")]
    Rewinding,
    /// It is at its end.
    #[error("the consumer has stopped: start it again")]
    Stopped,
    /// Too much is under way.
    #[error("too many dead letters are being looked at: wait for some of them")]
    Busy,
}

/// Why a dead letter was not dealt with; it is where it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum LetterRefusal {
    /// There is none there.
    #[error("there is no dead letter at {place}: list those that there are")]
    None {
        /// The place.
        place: EventPlace,
    },
    /// Its event is not in the log any more.
    #[error("the event at {place} is gone from the log, as its entity is: remove the dead letter")]
    EventGone {
        /// The place.
        place: EventPlace,
    },
    /// The entity's events are another partition's.
    #[error("the event at {place} is of {shard:?}, which is another partition's: replay it there")]
    OtherShard {
        /// The place.
        place: EventPlace,
        /// The shard of the entity.
        shard: ShardId,
    },
    /// The consumer's checkpoint is with its own state, which takes events in in the log's order alone.
    #[error(
        "the consumer's checkpoint is with its own state, which takes in no event out of the log's order: mend what failed and build that state anew (a projection's rebuild, or a start with a reset)"
    )]
    External,
    /// It failed again.
    #[error("the event failed again: {text}")]
    Failed {
        /// The error's text.
        text: String,
    },
    /// Somebody else wants it to be replayed, too.
    #[error("the event at {place} is being handed over for somebody else: wait for that")]
    Replaying {
        /// The place.
        place: EventPlace,
    },
    /// The event failed again meanwhile.
    #[error(
        "another dead letter of the event at {place} came meanwhile: look at it before it is removed"
    )]
    Newer {
        /// The place.
        place: EventPlace,
    },
    /// It is not of this consumer and this log.
    #[error(
        "the dead letter is of the consumer {consumer} and layout {layout}: it was copied from elsewhere; remove it"
    )]
    Foreign {
        /// The consumer that it names.
        consumer: ConsumerName,
        /// The layout that its place is of.
        layout: LayoutId,
    },
    /// A letter cannot be read.
    #[error("a dead letter cannot be read ({0}): use the program that wrote it")]
    Format(FormatError),
    /// The store refuses for good.
    #[error("the store refused: {0}")]
    Store(Refused),
    /// The consumer is not in a state to be told.
    #[error(transparent)]
    Order(#[from] OrderRefusal),
}

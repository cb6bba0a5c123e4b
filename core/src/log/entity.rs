//! One entity in memory: what its log is known to say, who waits, and what is under way.

use super::agenda::Due;
use super::earlier::Chain;
use super::ids::CommandTable;
use super::load::Load;
use super::rest::Rested;
use super::timers::ArmedTimers;
use super::undelivered::{Clear, Deletions};
use super::{Expected, Freshness, KindIndex, Provisional, Reply, SnapshotPolicy, StoredCommit};
use crate::format::{Commit, Metadata, Snapshot, SnapshotRef};
use crate::id::{CommandId, CommitId, Epoch, Sequence, Ticket, Version, WallTime};
use crate::name::EntityId;
use crate::port::{Refused, Subject};
use crate::step::{Limits, Time};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// One step of the machine, counted from its first. What was sent in a step was sent after what
/// arrived in it or before it, however coarse the clock is; no clock is in that argument (L3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Moment(pub(super) u64);

/// One entity in memory.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Entity {
    pub(super) kind: KindIndex,
    pub(super) id: EntityId,
    pub(super) subject: Subject,
    /// Callers in the order of arrival.
    pub(super) queue: VecDeque<Caller>,
    /// Deletions that others pass until its messages are delivered.
    pub(super) deletions: Option<Box<Deletions>>,
    /// What the host holds the state of; `None` when it holds none.
    pub(super) held: Option<Held>,
    /// What the host is to be told of the state that it decided last.
    pub(super) provisional: Provisional,
    pub(super) phase: Phase,
    pub(super) snapshot: Taking,
    /// So many commits had come since the last snapshot when one failed; the next waits for as
    /// many again as lie between two.
    pub(super) snapshot_failed: Option<u32>,
    /// A load replayed so much that the state is to be snapshotted.
    pub(super) replayed: bool,
    /// No bodies are left that nobody names, as far as is known.
    pub(super) swept: bool,
    /// Repetitions in a row, for the back-off.
    pub(super) tries: u32,
    /// Its place among the entities at rest; `None` while something is under way.
    pub(super) rested: Option<Rested>,
}

/// What the log is known to say of an entity whose state the host holds.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Held {
    pub(super) version: Version,
    /// The last commit.
    pub(super) sequence: Sequence,
    /// The last commit's id; `None` for an absent entity.
    pub(super) commit: Option<CommitId>,
    /// The tombstone that its log begins with, as far as it was read; none of an entity that was never
    /// deleted.
    pub(super) tombstone: Sequence,
    /// The version at which it was deleted: it is until it has another one.
    pub(super) deleted_at: Version,
    /// The last commit of which messages may be undelivered, whatever is in memory of them: none is after
    /// it.
    pub(super) sent: Sequence,
    /// Which of those commits were read for it.
    pub(super) clear: Option<Box<Clear>>,
    /// What the next commit lists: acknowledged commits since the snapshot, newest first (L5).
    pub(super) chain: Chain,
    pub(super) snapshot: Option<SnapshotRef>,
    /// When the first commit that names it was decided, on its writer's wall clock.
    pub(super) snapshot_time: WallTime,
    /// Snapshots that were current before it, newest first.
    pub(super) older: Vec<SnapshotRef>,
    /// A load found that the current snapshot cannot be used.
    pub(super) snapshot_broken: bool,
    /// Commits since the last snapshot that can be used.
    pub(super) since_snapshot: u32,
    /// When the last commit was decided, on its writer's wall clock.
    pub(super) time: WallTime,
    pub(super) ids: CommandTable,
    pub(super) timers: ArmedTimers,
    /// The state was the latest then or after: when the read that found it was sent, or the commit
    /// that passed on it.
    pub(super) confirmed: Moment,
    /// Its last commit was found in the log by a read that was sent then or later, or was stored by
    /// an attempt that was.
    pub(super) checked: Moment,
}

/// A caller that waits.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Caller {
    Command(Command),
    Reader(Reader),
}

/// A command that waits or is being decided.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Command {
    pub(super) ticket: Ticket,
    pub(super) id: Option<CommandId>,
    pub(super) expected: Expected,
    pub(super) metadata: Option<Arc<Metadata>>,
    pub(super) wall: WallTime,
    pub(super) arrived: Moment,
    /// Its node knew that the stream reaches this far.
    pub(super) at_least: Sequence,
    /// How often it was decided for nothing.
    pub(super) conflicts: u32,
    /// It is a timer of the entity that is due.
    pub(super) firing: Option<Box<Due>>,
}

/// A read that waits or is being answered.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Reader {
    pub(super) ticket: Ticket,
    pub(super) freshness: Freshness,
    pub(super) arrived: Moment,
    /// Its node knew that the stream reaches this far.
    pub(super) at_least: Sequence,
}

/// What is under way for an entity; at most one thing at a time (L1).
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Phase {
    /// Nothing.
    Idle,
    /// The log is being read.
    Load(Box<Load>, Why),
    /// The host decides.
    Decide { members: Vec<Member> },
    /// A commit is to be stored, or may have been.
    Commit(Box<Draft>, Stage),
    /// Owned mode: replies that stored nothing, or readers, wait for a barrier (S14).
    Barrier(Pledge),
    /// The host answers readers from the state at this version.
    Answer {
        /// Each with what its state is known to be.
        readers: Vec<(Ticket, Freshness)>,
        version: Version,
    },
    /// The host encodes the state for a snapshot.
    Encode,
}

/// Why the log is read.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Why {
    /// Somebody waits for the state.
    Open,
    /// Direct mode: these replies stored nothing; they leave if the state is still the latest (L3).
    Confirm(Vec<Member>),
    /// This commit may have been stored.
    Look(Box<Draft>),
}

/// What waits for a barrier.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Pledge {
    Replies(Vec<Member>),
    Readers,
}

/// A commit with the callers that wait for it.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Draft {
    pub(super) commit: Commit,
    /// The commit that it follows; a tombstone does not list it.
    pub(super) after: Sequence,
    pub(super) members: Vec<Member>,
    /// An attempt ended `Unknown`: it may have been stored.
    pub(super) doubt: bool,
    /// The store will not take it; what is left is to find out that it did not.
    pub(super) refused: Option<Refused>,
    /// The stream lost its tail since an attempt was sent: what it rests on may be gone.
    pub(super) lost: bool,
    /// The latest attempt was sent then; `None` before the first.
    pub(super) sent: Option<Moment>,
    /// The stream reached this far when the latest attempt was sent (S13).
    pub(super) sent_above: Sequence,
    /// The same of the first attempt that may have been stored: none is below it.
    pub(super) stored_above: Sequence,
    /// Owned mode: the epoch of the latest attempt.
    pub(super) sent_epoch: Option<Epoch>,
}

/// A command that the host decides or decided, and the reply that leaves when its ground is sure.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Member {
    pub(super) command: Command,
    pub(super) reply: Promise,
    /// The caller was told `Unknown` already.
    pub(super) gone: bool,
}

/// A reply in waiting.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Promise {
    /// The host has not decided it, or on what does not count any more.
    Undecided,
    /// Stored in the commit: `Reply::Committed` with this version.
    Stored(Version),
    /// As it stands.
    Other(Box<Reply>),
}

/// How far a draft is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Stage {
    /// To be sent as soon as it may.
    Ready,
    /// To be sent after a wait.
    Waiting,
    /// Sent; the answer is outstanding.
    Flying,
    /// Owned mode: `Unknown`, waits for a seal.
    Doubtful,
}

/// A snapshot on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Taking {
    /// None.
    No,
    /// Its body is being stored.
    Storing(Body),
    /// Its body is being stored, but what it was taken of does not count any more.
    Wasted(SnapshotRef),
    /// Its body is stored; the next commit names it.
    Stored(Body),
}

/// A snapshot's body that no acknowledged commit names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Body {
    pub(super) named: SnapshotRef,
    /// The last commit that it takes in. After a lost tail another one may have its sequence.
    pub(super) commit: Option<CommitId>,
    /// When it was sent; its life begins then or later.
    pub(super) sent: Time,
    /// A commit that names it was drafted. That commit may be stored whatever this node believes,
    /// so the body is deleted only when another snapshot is current.
    pub(super) offered: bool,
}

/// How many snapshots that were current before are kept in mind.
const OLDER_MAX: usize = 2 * SnapshotPolicy::KEEP_MAX as usize;

impl Caller {
    pub(super) fn ticket(&self) -> Ticket {
        match self {
            Self::Command(command) => command.ticket,
            Self::Reader(reader) => reader.ticket,
        }
    }

    /// What a read that serves it must take in, unless the stream lost its tail at `lost` or
    /// later: what was known before that does not count (S13).
    fn needs(&self, lost: Moment) -> Sequence {
        match self {
            Self::Command(command) => command.needs(lost),
            Self::Reader(reader) if reader.arrived > lost => reader.at_least,
            Self::Reader(_) => Sequence::NONE,
        }
    }
}

impl Reader {
    /// What a state that is held is to this reader, if it may be answered from it.
    pub(super) fn ground(&self, held: &Held, leased: bool) -> Option<Freshness> {
        if self.arrived <= held.confirmed {
            return Some(Freshness::Linearizable);
        }
        match self.freshness {
            Freshness::Local => Some(Freshness::Local),
            Freshness::Leased if leased => Some(Freshness::Leased),
            Freshness::Leased | Freshness::Linearizable => None,
        }
    }
}

impl Command {
    fn needs(&self, lost: Moment) -> Sequence {
        if self.arrived > lost {
            self.at_least
        } else {
            Sequence::NONE
        }
    }
}

impl Entity {
    pub(super) fn new(kind: KindIndex, id: EntityId, subject: Subject) -> Self {
        Self {
            kind,
            id,
            subject,
            queue: VecDeque::new(),
            deletions: None,
            held: None,
            provisional: Provisional::Dropped,
            phase: Phase::Idle,
            snapshot: Taking::No,
            snapshot_failed: None,
            replayed: false,
            swept: false,
            tries: 0,
            rested: None,
        }
    }

    /// The version of the state that is held.
    pub(super) fn version(&self) -> Version {
        let held = self.held.as_ref();
        held.map_or(Version::ABSENT, |held| held.version)
    }

    /// The same as users see it: a deleted entity is absent, while its versions go on (V3).
    pub(super) fn shown(&self) -> Version {
        self.held.as_ref().map_or(Version::ABSENT, Held::shown)
    }

    /// Takes out everyone who waits.
    pub(super) fn take_callers(&mut self) -> Vec<Caller> {
        let deletions = self.deletions.take();
        let deletions = deletions.into_iter().flat_map(|it| it.into_callers());
        let queue = core::mem::take(&mut self.queue);
        queue.into_iter().chain(deletions).collect()
    }

    /// Puts commands before all that wait.
    pub(super) fn first(&mut self, commands: impl DoubleEndedIterator<Item = Command>) {
        for command in commands.rev() {
            self.queue.push_front(Caller::Command(command));
        }
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        let deletions = self.deletions.as_ref();
        self.queue.len() + deletions.map_or(0, |deletions| deletions.count())
    }

    /// What a read of the log must take in to serve everyone who waits; `lost` is when the stream
    /// lost its tail last.
    pub(super) fn needs(&self, lost: Moment) -> Sequence {
        let queue = self.queue.iter().map(|caller| caller.needs(lost));
        let members: &[Member] = match &self.phase {
            Phase::Load(_, Why::Confirm(members)) => members,
            // What a commit passes on is the latest, whatever its node knew.
            Phase::Load(_, Why::Open | Why::Look(_))
            | Phase::Idle
            | Phase::Decide { .. }
            | Phase::Commit(..)
            | Phase::Barrier(_)
            | Phase::Answer { .. }
            | Phase::Encode => &[],
        };
        let members = members.iter().map(|member| member.command.needs(lost));
        queue.chain(members).max().unwrap_or(Sequence::NONE)
    }

    /// Whether its log is read, and everyone who wanted that has gone.
    pub(super) fn is_load_for_nobody(&self) -> bool {
        let nobody = match &self.phase {
            Phase::Load(_, Why::Open) => true,
            Phase::Load(_, Why::Confirm(members)) => members.is_empty(),
            // It must be known what became of a commit, whoever waits.
            Phase::Load(_, Why::Look(_))
            | Phase::Idle
            | Phase::Decide { .. }
            | Phase::Commit(..)
            | Phase::Barrier(_)
            | Phase::Answer { .. }
            | Phase::Encode => false,
        };
        nobody && self.queue.is_empty()
    }

    /// Whether it can be forgotten.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Idle)
            && self.queue.is_empty()
            && self.deletions.is_none()
            && matches!(self.snapshot, Taking::No | Taking::Stored(_))
    }
}

impl Held {
    /// The state that a snapshot's body holds. No commit that it covers names it; the ones after
    /// it tell which is current.
    pub(super) fn of_snapshot(snapshot: &Snapshot) -> Self {
        let (before, older) = match snapshot.older.split_first() {
            Some((before, older)) => (Some(*before), older.to_vec()),
            None => (None, Vec::new()),
        };
        Self {
            version: snapshot.version,
            sequence: snapshot.sequence,
            commit: None,
            tombstone: Sequence::NONE,
            deleted_at: Version::ABSENT,
            sent: snapshot.sequence,
            clear: None,
            chain: Chain::default(),
            snapshot: before,
            snapshot_time: WallTime::default(),
            older,
            snapshot_broken: false,
            since_snapshot: 0,
            time: WallTime::default(),
            ids: CommandTable::of_snapshot(snapshot),
            timers: ArmedTimers::of_snapshot(&snapshot.timers),
            confirmed: Moment::default(),
            checked: Moment::default(),
        }
    }

    /// Whether the entity is deleted.
    pub(super) fn is_deleted(&self) -> bool {
        self.tombstone.is_some() && self.deleted_at == self.version
    }

    /// The version as users see it.
    pub(super) fn shown(&self) -> Version {
        match self.is_deleted() {
            true => Version::ABSENT,
            false => self.version,
        }
    }

    /// Takes in the next commit, which was read.
    pub(super) fn absorb(&mut self, stored: &StoredCommit, limits: &Limits) {
        let StoredCommit { sequence, commit } = stored;
        self.follow(*sequence, commit, limits);
        let listed: &[Sequence] = match commit.tombstone {
            true => &[],
            false => &commit.earlier,
        };
        self.chain.follow(*sequence, listed, limits.chain_max);
        self.ids.absorb(commit, limits);
    }

    /// Takes in the next commit, which this node made, and takes its list of earlier ones out of it.
    pub(super) fn pass_on(&mut self, sequence: Sequence, commit: &mut Commit, limits: &Limits) {
        self.follow(sequence, commit, limits);
        let listed = core::mem::take(&mut commit.earlier);
        self.chain.extend(sequence, listed, limits.chain_max);
        self.ids.absorb(commit, limits);
    }

    fn follow(&mut self, sequence: Sequence, commit: &Commit, limits: &Limits) {
        self.version = commit.last;
        self.sequence = sequence;
        self.commit = Some(commit.id);
        self.time = commit.time;
        if commit.snapshot != self.snapshot {
            self.older.splice(..0, self.snapshot);
            self.older.truncate(OLDER_MAX);
            self.snapshot = commit.snapshot;
            self.older.retain(|older| Some(*older) != commit.snapshot);
            self.snapshot_time = commit.time;
            self.snapshot_broken = false;
        }
        if commit.tombstone {
            // What was before it is nobody's past any more: a sweep finds it.
            self.tombstone = sequence;
            self.deleted_at = commit.last;
            self.sent = Sequence::NONE;
            self.clear = None;
            self.older.clear();
            self.timers.clear();
        }
        if let Some(later) = &commit.later {
            self.timers.absorb(later);
            if !later.sends.is_empty() {
                self.sent = sequence;
            }
        }
        let counted = commit.earlier.len() < limits.chain_max && !self.snapshot_broken;
        self.since_snapshot = if counted {
            u32::try_from(commit.earlier.len())
                .unwrap_or(u32::MAX)
                .saturating_add(1)
        } else {
            self.since_snapshot.saturating_add(1)
        };
    }

    /// What the next commit names and lists: a snapshot that was stored since, and what came after
    /// it.
    pub(super) fn next_chain(
        &self,
        fresh: Option<SnapshotRef>,
        chain_max: usize,
    ) -> (Option<SnapshotRef>, Arc<Vec<Sequence>>) {
        // The chain falls, so what came after the snapshot is in front.
        let chain = self.chain.as_slice();
        let listed = match fresh {
            Some(fresh) => chain.partition_point(|sequence| *sequence > fresh.sequence),
            None => chain.len(),
        };
        let earlier = self.chain.first(listed.min(chain_max));
        (fresh.or(self.snapshot), earlier)
    }
}

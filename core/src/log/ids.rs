//! The command ids that an entity remembers, and the horizon below which it forgot some (S19).

use crate::format::{CommandRecord, Commit, Snapshot};
use crate::id::{CommandId, Version, WallTime};
use crate::step::Limits;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use bytes::Bytes;

/// A bounded table of command ids with what each was answered.
///
/// A fold of the commits alone decides what it holds, so every node that loads the entity has the
/// same one. Ids begin with their time, so the oldest is the first; an id that is forgotten raises
/// the horizon to its time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct CommandTable {
    /// By rising id. A new one goes to the end or near it, and the first goes first.
    known: VecDeque<Entry>,
    /// The first and the last id. Each command asks for both, and the entries are memory of their own
    /// that was not touched since the entity's command before.
    ends: Option<(CommandId, CommandId)>,
    /// The outcomes that are too long for their entries. Copies: the message that one came in must not
    /// stay in memory with it.
    longer: BTreeMap<CommandId, Bytes>,
    /// Bytes of all outcomes.
    outcome_bytes: usize,
    horizon: WallTime,
}

/// One id: 32 bytes, because a table may have thousands and each command looks at its last one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
struct Entry {
    id: CommandId,
    version: Version,
    outcome: Short,
}

/// The longest outcome that stands in the table itself, in bytes.
const SHORT_BYTES_MAX: usize = 7;

/// An encoded reply that is a number or less, as most are; a longer one stands beside the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
struct Short {
    /// One more than fits: it is a longer one.
    len: u8,
    bytes: [u8; SHORT_BYTES_MAX],
}

impl Short {
    const LONGER: Self = Self {
        len: SHORT_BYTES_MAX as u8 + 1,
        bytes: [0; SHORT_BYTES_MAX],
    };

    /// `None` when it does not fit.
    fn new(outcome: &[u8]) -> Option<Self> {
        let mut bytes = [0; SHORT_BYTES_MAX];
        let len = u8::try_from(outcome.len()).ok()?;
        bytes.get_mut(..outcome.len())?.copy_from_slice(outcome);
        Some(Self { len, bytes })
    }

    /// `None` when it is a longer one.
    fn get(&self) -> Option<&[u8]> {
        self.bytes.get(..usize::from(self.len))
    }
}

/// What an entity knows of a command id.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Known {
    /// It took effect, and this is what it was answered.
    Found { version: Version, outcome: Bytes },
    /// It may have been forgotten.
    Expired,
    /// It never took effect here.
    New,
}

impl CommandTable {
    /// What one id takes beside an outcome that does not fit into its entry.
    pub(super) const ENTRY_BYTES: usize = size_of::<Entry>();

    pub(super) fn of_snapshot(snapshot: &Snapshot) -> Self {
        let mut table = Self {
            horizon: snapshot.horizon,
            ..Self::default()
        };
        for (id, version, outcome) in &snapshot.commands {
            table.learn(*id, *version, outcome);
        }
        table
    }

    fn learn(&mut self, id: CommandId, version: Version, outcome: &[u8]) {
        let place = self.place(id);
        if let Ok(place) = place {
            self.drop_outcome(place);
        }
        self.outcome_bytes += outcome.len();
        let outcome = Short::new(outcome).unwrap_or_else(|| {
            self.longer.insert(id, Bytes::copy_from_slice(outcome));
            Short::LONGER
        });
        let entry = Entry {
            id,
            version,
            outcome,
        };
        match place {
            Ok(place) => self.known[place] = entry,
            Err(place) if place == self.known.len() => self.known.push_back(entry),
            Err(place) => self.known.insert(place, entry),
        }
        self.ends = Some(match self.ends {
            Some((first, last)) => (first.min(id), last.max(id)),
            None => (id, id),
        });
    }

    fn outcome(&self, entry: &Entry) -> Bytes {
        match entry.outcome.get() {
            Some(outcome) => Bytes::copy_from_slice(outcome),
            None => self.longer.get(&entry.id).cloned().unwrap_or_default(),
        }
    }

    /// An entry goes, or another one takes its place.
    fn drop_outcome(&mut self, place: usize) {
        let Some(entry) = self.known.get(place) else {
            return;
        };
        self.outcome_bytes -= match entry.outcome.get() {
            Some(outcome) => outcome.len(),
            None => self
                .longer
                .remove(&entry.id)
                .map_or(0, |longer| longer.len()),
        };
    }

    /// Where an id is, or would be.
    fn place(&self, id: CommandId) -> Result<usize, usize> {
        match self.ends {
            None => Err(0),
            Some((_, last)) if last < id => Err(self.known.len()),
            Some(_) => self.known.binary_search_by(|entry| entry.id.cmp(&id)),
        }
    }

    /// How many ids it holds.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// How many bytes their outcomes have.
    pub(super) fn outcome_bytes(&self) -> usize {
        self.outcome_bytes
    }

    pub(super) fn horizon(&self) -> WallTime {
        self.horizon
    }

    pub(super) fn look(&self, id: CommandId) -> Known {
        let place = self.place(id).ok();
        match place.and_then(|place| self.known.get(place)) {
            Some(entry) => Known::Found {
                version: entry.version,
                outcome: self.outcome(entry),
            },
            None if id.time() <= self.horizon => Known::Expired,
            None => Known::New,
        }
    }

    /// Takes in the ids of one commit and forgets what is over the limits.
    pub(super) fn absorb(&mut self, commit: &Commit, limits: &Limits) {
        if commit.tombstone {
            // It has all that is to be remembered.
            let horizon = self.horizon;
            *self = Self {
                horizon,
                ..Self::default()
            };
        }
        for command in &commit.commands {
            self.learn(command.id, command.version, &command.outcome);
        }
        self.forget(commit.horizon, commit.time, limits);
    }

    fn forget(&mut self, horizon: WallTime, now: WallTime, limits: &Limits) {
        self.horizon = self.horizon.max(horizon);
        let kept_since = WallTime(now.0.saturating_sub(limits.command_id_age_ms));
        while self.known.len() > limits.command_ids_min
            && let Some((first, last)) = self.ends
        {
            let time = first.time();
            if time >= kept_since && self.known.len() <= limits.command_ids_max {
                break;
            }
            self.drop_outcome(0);
            self.known.pop_front();
            self.horizon = self.horizon.max(time);
            let first = self.known.front();
            self.ends = first.map(|first| (first.id, last));
        }
    }

    /// Has a tombstone remember the ids, as far as there is room for them in bytes, and the horizon above
    /// the others. What they were answered is deleted with the entity.
    pub(super) fn bequeath(&self, tombstone: &mut Commit, room: usize) {
        let kept = (room / CommandRecord::LEN_MAX).min(self.known.len());
        let (forgotten, kept) = (self.known.len() - kept, kept);
        if let Some(last) = self.known.iter().take(forgotten).next_back() {
            tombstone.horizon = tombstone.horizon.max(last.id.time());
        }
        let remembered = self.known.iter().skip(forgotten);
        let remembered = remembered.map(|entry| CommandRecord {
            id: entry.id,
            version: entry.version,
            outcome: Bytes::new(),
        });
        tombstone.commands.reserve(kept);
        tombstone.commands.extend(remembered);
    }

    /// All ids with what they led to and were answered, oldest first.
    pub(super) fn entries(&self) -> Vec<(CommandId, Version, Bytes)> {
        let known = self.known.iter();
        known
            .map(|entry| (entry.id, entry.version, self.outcome(entry)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{CommandTable, Known};
    use crate::format::{CommandRecord, Commit, Unknown};
    use crate::id::{CommandId, CommitId, KindId, LayoutId, Version, WallTime};
    use crate::name::EntityId;
    use crate::step::Limits;
    use alloc::sync::Arc;
    use alloc::vec;
    use bytes::Bytes;

    fn commit(time: u64, id: CommandId) -> Commit {
        let outcome = Bytes::from_static(b"ok");
        Commit {
            id: CommitId(1),
            layout: LayoutId(1),
            kind: KindId(1),
            entity: EntityId::new("e").unwrap(),
            epoch: None,
            time: WallTime(time),
            before: Version(0),
            last: Version(0),
            earlier: Arc::default(),
            snapshot: None,
            horizon: WallTime(0),
            commands: vec![CommandRecord {
                id,
                version: Version(1),
                outcome,
            }],
            events: vec![],
            tombstone: false,
            metadata: vec![],
            later: None,
            unknown: Unknown::default(),
        }
    }

    #[test]
    fn the_oldest_ids_go_first_and_raise_the_horizon() {
        let limits = Limits {
            command_ids_max: 3,
            command_ids_min: 1,
            ..Limits::default()
        };
        let id = |time| CommandId::new(WallTime(time), 7);
        let mut table = CommandTable::default();
        for time in [50, 10, 30, 40] {
            table.absorb(&commit(50, id(time)), &limits);
        }
        assert_eq!(table.horizon(), WallTime(10));
        assert_eq!(table.look(id(10)), Known::Expired);
        assert_eq!(table.look(id(9)), Known::Expired);
        assert_eq!(table.look(id(20)), Known::New);
        assert!(matches!(table.look(id(30)), Known::Found { .. }));
    }

    #[test]
    fn outcomes_of_any_length_come_back() {
        assert_eq!(size_of::<super::Entry>(), 32);
        let limits = Limits::default();
        let mut table = CommandTable::default();
        for len in [0, 1, 6, 7, 8, 300] {
            let id = CommandId::new(WallTime(1_000), len as u128);
            let outcome = Bytes::from(vec![7; len]);
            let mut commit = commit(1_000, id);
            commit.commands[0].outcome = outcome.clone();
            table.absorb(&commit, &limits);
            let version = Version(1);
            assert_eq!(table.look(id), Known::Found { version, outcome });
        }
        assert_eq!(table.outcome_bytes(), 1 + 6 + 7 + 8 + 300);
        assert_eq!(table.entries().len(), 6);
        assert_eq!(table.longer.len(), 2);
        let id = CommandId::new(WallTime(1_000), 300);
        let mut again = commit(1_000, id);
        again.commands[0].outcome = Bytes::from_static(b"again");
        table.absorb(&again, &limits);
        assert_eq!(table.outcome_bytes(), 1 + 6 + 7 + 8 + 5, "in its place");
        let few = Limits {
            command_ids_min: 0,
            command_ids_max: 0,
            ..limits
        };
        table.forget(WallTime(0), WallTime(0), &few);
        assert_eq!((table.outcome_bytes(), table.longer.len()), (0, 0));
    }

    #[test]
    fn old_ids_go_by_age_down_to_the_minimum() {
        let limits = Limits {
            command_ids_min: 2,
            command_id_age_ms: 100,
            ..Limits::default()
        };
        let id = |time| CommandId::new(WallTime(time), 7);
        let mut table = CommandTable::default();
        for time in [1, 2, 3, 500] {
            table.absorb(&commit(time, id(time)), &limits);
        }
        assert_eq!(table.horizon(), WallTime(2));
        assert!(matches!(table.look(id(3)), Known::Found { .. }));
    }
}

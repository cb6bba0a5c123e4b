//! What a range leaves of a log, by looking at each commit of it.

use super::world::{STREAM, World};
use crate::chance::Chance;
use tenure_core::id::{Sequence, Version, WallTime};
use tenure_core::log::{Bounds, LoggedCommit, Range};

/// Bounds of some of the three kinds, some of them beyond what there is.
pub(crate) fn bounds(chance: &mut Chance, world: &World) -> Bounds {
    let mut some = |most: u64| chance.one_in(2).then(|| chance.below(most));
    Bounds {
        version: some(world.version.0 + 3).map(Version),
        sequence: some(world.store.last(STREAM).0 + 3).map(Sequence),
        time: some(world.now.0 + 3).map(WallTime),
    }
}

/// What is in a range, by looking at each commit.
pub(crate) fn naive(log: &[LoggedCommit], range: Range) -> Vec<LoggedCommit> {
    let Range { lower, upper } = range;
    let inside = |logged: &&LoggedCommit| {
        let LoggedCommit {
            sequence,
            stored,
            commit,
        } = logged;
        lower.version.is_none_or(|version| commit.last >= version)
            && lower.sequence.is_none_or(|first| *sequence >= first)
            && lower.time.is_none_or(|time| *stored >= time)
            && upper.version.is_none_or(|version| commit.before < version)
            && upper.sequence.is_none_or(|last| *sequence <= last)
            && upper.time.is_none_or(|time| *stored <= time)
    };
    log.iter().filter(inside).cloned().collect()
}

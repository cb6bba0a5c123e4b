//! The list of earlier commits as a commit has it, kept from one commit to the next.

use super::fields::{Values, head_len};
use crate::id::Sequence;
use alloc::vec::Vec;

/// The steps of a falling list of sequences as they are stored.
///
/// The list of an entity's next commit is the one before with a sequence in front, so nearly all of
/// its bytes are there already; to write them anew costs more than the rest of a small commit.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Steps(Vec<u8>);

impl Steps {
    /// Those of a list.
    ///
    /// # Panics
    ///
    /// When it does not strictly fall.
    pub(crate) fn of(sequences: &[Sequence]) -> Self {
        let mut bytes = Vec::new();
        Values(&mut bytes).steps(sequences, |sequence| sequence.0);
        Self(bytes)
    }

    /// The first of the list is so far below the one that is put in front of it.
    pub(crate) fn push_front(&mut self, step: u64) {
        let before = self.0.len();
        Values(&mut self.0).uint(step);
        let added = self.0.len() - before;
        self.0.rotate_right(added);
    }

    /// The last of the list, which is so far below the one before it, goes.
    pub(crate) fn pop_back(&mut self, step: u64) {
        self.0.truncate(self.0.len().saturating_sub(head_len(step)));
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

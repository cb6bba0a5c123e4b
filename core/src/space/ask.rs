//! What a namespace's machine asks the store for: one request at a time per job.

use crate::id::Ticket;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Job {
    /// The record of the import.
    Import,
    /// The layout record.
    Layout,
    /// Whether the namespace was in use.
    Used,
    /// The stream at this place of the phase's list.
    Stream(usize),
    /// The kind of this ticket.
    Kind(Ticket),
}

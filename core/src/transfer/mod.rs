//! Export and import of a namespace: its commits leave it, and become commits of a new one.
//!
//! What an entity is goes along: its events, its command ids with their outcomes, its timers, the messages
//! that it sent and whether they are done. What belongs to one namespace alone is made anew: sequences,
//! epochs, lists of earlier commits, snapshots, barriers, indexes, the ids of layout and kinds.
//!
//! ```text
//! Exporter: indexes ─▶ ends of the streams ─▶ kinds ─▶ Head ─▶ pages of commits ─▶ Finished
//!
//! Importer: commits, many entities at once, one of each in flight ─▶ all is read back and compared
//!           ─▶ the index of each shard ─▶ the import's record says that it is done ─▶ Finished
//! ```
//!
//! An index is read before the end of its stream: what it says is done was done by commits that are
//! exported. What is done later counts as not done, and comes to its receiver again, which knows it by its
//! command id.
//!
//! # Invariants
//!
//! - X1: a commit is exported after the one that it follows, and only if that was exported: what is missing
//!   is an error and never passed over.
//! - X2: a commit is imported on the condition that its subject ends with the one before it. So of all
//!   attempts, late ones and those of another run among them, one is stored.
//! - X3: what an import finds is its own work as far as it has the ids of the commits that the file has; it
//!   is never written again, and other content under one of them is an error.
//! - X4: an index and a barrier are written only on the condition that no other one came since it was
//!   looked at, and only after all commits were read back: they name what is stored.
//! - X5: the import's record says that it is done only after counts and hash of what was read back are those
//!   of the file.

mod done;
mod entity;
mod exporter;
mod fault;
mod fold;
mod importer;
mod pages;
mod plan;
mod write;

pub use exporter::{Exporter, ExporterEffect, ExporterInput, Resumed};
pub use fault::TransferFault;
pub use importer::{Importer, ImporterEffect, ImporterInput};
pub use plan::{ImportPlan, Source};

use crate::step::Span;

/// For how long nothing may go on before a transfer gives up, unless it says otherwise.
pub const PATIENCE: Span = Span::from_secs(60);

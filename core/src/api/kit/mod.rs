//! Tests of an aggregate without a store.
//!
//! - [`given`]: given events, when a command, then events, a reply or a rejection.
//! - [`golden`]: every type of event that this build reads is what it was, byte for byte, and
//!   becomes what it did.
//! - [`still_folds`]: streams that were [recorded](super::Repository::record) from a namespace lead
//!   to the states that they led to then.

mod file;
mod fold;
mod given;
mod golden;
mod recorded;
#[cfg(test)]
mod tests;
mod view;

pub use file::FileError;
pub use fold::{Difference, still_folds};
pub use given::{Given, When, given};
pub use golden::{Golden, golden};
pub use recorded::RecordedStreams;

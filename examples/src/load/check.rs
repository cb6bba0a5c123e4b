//! What every run that measures operations is refused for.

use super::{OPS_MAX, Place};

/// How much is measured, and where.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Operations.
    pub ops: u64,
    /// Operations before them.
    pub warmup: Option<u64>,
    /// Blocks that they are done in.
    pub blocks: u64,
    /// In memory, or on NATS.
    pub shell: Place,
    /// A running server.
    pub nats: Option<&'a str>,
}

impl Asked<'_> {
    /// Whether it can be run.
    ///
    /// # Errors
    ///
    /// When it cannot, with the remedy.
    pub fn check(&self) -> Result<(), String> {
        let Self {
            ops,
            warmup,
            blocks,
            shell,
            nats,
        } = *self;
        for (name, count) in [("ops", ops), ("blocks", blocks)] {
            if count == 0 {
                return Err(format!("--{name} 0 measures nothing: give 1 or more"));
            }
        }
        for (name, ops) in [("ops", ops), ("warmup", warmup.unwrap_or(0))] {
            if ops > OPS_MAX {
                return Err(format!(
                    "--{name} {ops} never ends: give {OPS_MAX} or fewer"
                ));
            }
        }
        if blocks > ops {
            return Err(format!(
                "--blocks {blocks} is more than --ops {ops}: give fewer blocks or more operations"
            ));
        }
        if nats.is_some() && shell != Place::Nats {
            return Err("--nats names a server: add --shell nats, or leave it out".into());
        }
        Ok(())
    }
}

/// Refuses counts of 0, each with what it would leave.
///
/// # Errors
///
/// When one is 0.
pub fn none_is_zero(counts: &[(&str, usize, &str)]) -> Result<(), String> {
    match counts.iter().find(|(_, count, _)| *count == 0) {
        Some((name, _, leaves)) => Err(format!("--{name} 0 {leaves}: give 1 or more")),
        None => Ok(()),
    }
}

/// Refuses more than there may be.
///
/// # Errors
///
/// When there are more.
pub fn at_most(name: &str, count: usize, count_max: usize) -> Result<(), String> {
    if count > count_max {
        return Err(format!(
            "--{name} {count} is too many: give {count_max} or fewer"
        ));
    }
    Ok(())
}

//! What must be true of sagas, each in a file of its own with the invariant that it is of (DESIGN.md, sagas).

mod course;
mod past;
mod sum;
#[cfg(test)]
mod tests;
mod whole;

pub(super) use past::Past;

use crate::oracle::{Class, Violation};

/// What is wrong, if something is.
type Judged = Result<(), String>;

/// Asks the oracles that hold at any time.
pub(super) fn judge(past: &Past) -> Result<(), Violation> {
    course::judge(past).map_err(|what| broken("course", what))
}

/// Asks those that hold when all sagas are at their ends.
pub(super) fn judge_ended(past: &Past) -> Result<(), Violation> {
    judge(past)?;
    whole::judge(past).map_err(|what| broken("whole", what))?;
    sum::judge(past).map_err(|what| broken("sum", what))
}

pub(super) fn broken(oracle: &'static str, what: String) -> Violation {
    Violation {
        class: Class::Safety,
        oracle,
        what,
    }
}

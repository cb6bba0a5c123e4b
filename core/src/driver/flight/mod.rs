//! Flights: what a node's flight recorder held, as a file, and its inputs fed once more to the machines
//! as they are built now.
//!
//! The recorder is a ring of each lane's last inputs. Between them stand *beginnings*: a machine as it was
//! before the input that follows, with the key of its dice. From there on its steps can be done again, and
//! each effect is compared with what was recorded of it, and each later beginning with the machine as it
//! has become. Inputs before a machine's first beginning in the ring are told and not fed.

mod file;
mod folder;
mod known;
mod mark;
mod rerun;
mod state;

pub use file::{Flight, FlightError, FlightFault};
pub use folder::{FlightWriteError, Flights};
pub use rerun::{Rerun, RerunStep, StepOutcome};
pub use state::{Began, State};

pub(crate) use folder::{BlackBox, FlightFolder};
pub(crate) use known::known_text;
pub(crate) use mark::{MARKS_MAX, Mark, marks_of};
pub(crate) use state::Recall;

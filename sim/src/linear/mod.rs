//! A checker of linearizability: whether what concurrent callers of an object were told could have come
//! of one order of their operations in which each takes effect at one moment between its call and its
//! end (Herlihy and Wing, 1990).
//!
//! What an object does alone is a [`Model`]; what its callers did is a list of [`Operation`]s, each on
//! one key. Keys are objects of their own, so each is searched alone (P-compositionality). An operation
//! of which nobody knows what came may take effect at any time after its call, or never.
//!
//! The search is that of Wing and Gong with Lowe's additions: it goes from end to end of operations,
//! places one as late as its end asks for, keeps in mind which configurations led nowhere, and places at
//! once what changes nothing. It ends after a budget of configurations. A history that no order explains
//! comes with a [`Witness`]: the first end that cannot be reached, and the longest order before it.
//!
//! ```
//! use tenure_sim::linear::{Ended, Operation, Register, RegisterInput, RegisterOutput, Verdict, check};
//!
//! let operation = |input, (called_at, at), output| Operation {
//!     key: "k".to_owned(),
//!     client: 1,
//!     input,
//!     called_at,
//!     ended: Ended::Told { at, output },
//! };
//! let history = [
//!     operation(RegisterInput::Write(7), (10, 20), RegisterOutput::Done),
//!     operation(RegisterInput::Read, (30, 40), RegisterOutput::Value(0)),
//! ];
//! let Verdict::Illegal(witness) = check(&Register, &history, 1_000) else {
//!     panic!("a read that is older than what was written before it");
//! };
//! assert_eq!(witness.stuck, 1);
//! ```

mod check;
mod history;
mod model;
mod register;
mod witness;

pub use check::{Verdict, check};
pub use history::{Ended, Operation};
pub use model::Model;
pub use register::{Register, RegisterInput, RegisterOutput};
pub use witness::{Placed, Witness};

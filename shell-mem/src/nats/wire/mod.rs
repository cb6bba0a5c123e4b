//! The bytes of the NATS protocol: what a client sends, what a server answers, and a block of headers.
//!
//! A [`Parser`] takes what came of one connection and gives one [`Operation`] after the other, as slices of
//! the memory that it came in. It holds no more than a line or a message that is not whole yet, and both are
//! bounded by its [`WireLimits`]. What is no protocol is a [`Violation`], after which a connection is over.

mod header;
mod operation;
mod parse;
mod reply;
mod text;
mod violation;

pub use header::{HeaderBlock, status};
pub use operation::{Operation, Publication};
pub use parse::{Parser, WireLimits};
pub(crate) use reply::{Delivered, deliver, error, info, ok, ping, pong};
pub use text::Text;
pub use violation::Violation;

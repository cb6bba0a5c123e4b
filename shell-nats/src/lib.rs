//! Tenure on NATS JetStream: the shell that binds the core to real servers.
//!
//! It executes the core's store requests over `async-nats`, maps every answer to the port's
//! classes, and never retries or decides. What it adds to the client:
//!
//! - a reply multiplexer of its own, whose asks fail at once when the connection is lost and leave
//!   nothing behind when they time out (S21);
//! - a client for each connection, so that what waits in a client's queue ends with the link
//!   instead of being sent after the next connect (S8);
//! - receivers of frames and announcements that outlive the connection (S21);
//! - batches and proof-carrying reads, which the client does not have.
//!
//! # What cannot be had
//!
//! Bytes that the operating system took, and a server or a middlebox holds, may arrive after a
//! request's deadline; the protocol is safe from them (S9). A server that goes on answering while
//! it does not read can keep what is in the client's queue beyond the deadline; the queue is
//! bounded by the requests in flight.

mod address;
mod clock;
mod consumer;
mod ears;
mod error;
mod keeper;
mod lent;
mod link;
mod options;
mod publish;
mod read;
mod refusal;
mod session;
mod shell;
mod stream;
mod submit;
mod wire;

pub use error::ConnectError;
pub use options::NatsOptions;
pub use shell::NatsShell;

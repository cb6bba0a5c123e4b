//! The front beside a real nats-server: the same bytes and the same client programs to both, and what they
//! are told compared.

mod batches;
mod clients;
mod consumers;
mod core_nats;
mod hostile;
mod line;
mod messages;
mod program;
mod python;
mod refusals;
mod server;
mod started;
mod streams;
mod updates;

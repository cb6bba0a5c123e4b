//! The driver: the one asynchronous loop that feeds machines and runs their effects through a
//! [`Shell`]. It makes no decision.
//!
//! A node has one or more *lanes*, each a task with the machines of some shards; lane 0 also opens
//! the namespace. Handles send their requests over bounded queues: when one is full the caller
//! waits, at most until its deadline. A step that panics is caught and halts its machine: who
//! waits for it is told, and everyone after.

pub(crate) mod actors;
pub(crate) mod bus;
pub(crate) mod cluster;
mod completion;
pub(crate) mod consumer;
mod counters;
mod ear;
pub(crate) mod effects;
pub(crate) mod epochs;
mod flight;
pub(crate) mod group;
mod handle;
mod handling;
mod history;
pub(crate) mod host;
mod intake;
mod join;
mod lane;
mod launch;
pub(crate) mod lease;
mod link;
mod outbox;
mod packed;
mod panics;
pub(crate) mod port;
mod pulse;
mod recorder;
mod request;
mod seat;
mod seats;
mod shell;
mod space;
mod timers;
pub(crate) mod transfer;

pub use completion::Completion;
pub use counters::Counters;
pub use ear::Ear;
pub use flight::{
    Began, Flight, FlightError, FlightFault, FlightWriteError, Flights, Rerun, RerunStep, State,
    StepOutcome,
};
pub use launch::{Launch, Launching};
pub use recorder::{Recorded, RecordedInput, Recording};
pub use shell::{DELIVERIES_MAX, HEARD_MAX, Inbound, LinkNumber, Shell, TaskHandle};

pub(crate) use consumer::ConsumeFailure;
pub(crate) use flight::known_text;
pub(crate) use handle::{Handle, NotSent, Sent};
pub(crate) use join::NotJoined;
pub(crate) use launch::LaunchFailure;
pub(crate) use request::{EntityRequest, HistoryFailure, KindFailure, What};

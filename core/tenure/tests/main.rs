//! The tests of the facade: one program, so that what they share is compiled once.

mod common;

#[path = "bus/main.rs"]
mod bus;
mod cache;
mod cipher;
#[path = "cluster/main.rs"]
mod cluster;
mod command_ids;
mod concurrency;
#[path = "consumers/main.rs"]
mod consumers;
#[path = "deletion/main.rs"]
mod deletion;
mod derive;
#[path = "effects/main.rs"]
mod effects;
mod entity;
mod faults;
mod flight;
mod golden;
mod history;
mod ids;
mod kinds;
mod kit;
mod limits;
mod log;
mod model;
mod panics;
#[path = "projections/main.rs"]
mod projections;
mod repository;
mod silent_store;
#[path = "sqlite/main.rs"]
mod sqlite;
mod start;
mod stop;
#[path = "transfer/main.rs"]
mod transfer;
mod unknown_events;

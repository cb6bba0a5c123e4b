//! T2: properties of routing, on random schedules of three nodes with a network between them.

mod acts;
#[path = "../common/chance.rs"]
#[allow(dead_code, reason = "other worlds use more of it")]
mod chance;
mod schedule;
mod world;

//! T2: properties of routing, on random schedules of three nodes with a network between them.

mod schedule;
mod world;

//! T2: who owns which shard. The map's agreement, movement and balance; and the nodes' machines with
//! the logs themselves over random histories of crashes, pauses, hints, leases and late claims.
#![allow(
    dead_code,
    reason = "the world of the text traces can do more than is needed here"
)]

#[path = "../trace/bank.rs"]
mod bank;
mod histories;
mod history;
mod late_answers;
mod map;
#[path = "../trace/owners/mod.rs"]
mod owners;
#[path = "../trace/show.rs"]
mod show;
#[path = "../trace/story.rs"]
mod story;
#[path = "../trace/world/mod.rs"]
mod world;

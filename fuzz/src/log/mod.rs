//! Nodes with one shard each over one model store, driven by choices.

pub mod cluster;
pub mod story;

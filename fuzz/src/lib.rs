//! What the fuzz targets share: worlds of machines, whose chance is the fuzzer's bytes. Each has a plain
//! test over fixed seeds beside the target.

#[path = "../../core/tests/trace/bank.rs"]
#[allow(dead_code, reason = "text traces use more of it")]
mod bank;
mod chance;
pub mod log;
pub mod node;
#[path = "../../core/tests/trace/owners/mod.rs"]
#[allow(dead_code, reason = "text traces use more of it")]
mod owners;
pub mod route;
pub mod shard;
#[path = "../../core/tests/trace/show.rs"]
#[allow(dead_code, reason = "text traces use more of it")]
mod show;
#[cfg(test)]
mod smoke;
#[path = "../../core/tests/trace/story.rs"]
#[allow(dead_code, reason = "text traces use more of it")]
mod story;
#[path = "../../core/tests/trace/world/mod.rs"]
#[allow(dead_code, reason = "text traces use more of it")]
mod world;

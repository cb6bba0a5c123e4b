//! What the fuzz targets share: worlds of machines, whose chance is the fuzzer's bytes, and the
//! decoders. `cargo fuzz` runs them guided by coverage; the program of this package and plain tests
//! run them on any toolchain.

mod actor;
#[path = "../../core/tests/trace/bank.rs"]
#[allow(dead_code, reason = "text traces use more of it")]
mod bank;
mod chance;
#[path = "../../core/tests/common/circle.rs"]
mod circle;
mod consumer;
mod decode;
mod front;
mod group;
mod history;
pub mod input;
mod lease;
mod log;
mod node;
#[path = "../../core/tests/trace/owners/mod.rs"]
#[allow(dead_code, reason = "text traces use more of it")]
mod owners;
mod projection;
mod publisher;
mod repro;
mod route;
mod shard;
#[path = "../../core/tests/trace/show.rs"]
#[allow(dead_code, reason = "text traces use more of it")]
mod show;
pub mod smaller;
mod space;
mod store;
#[path = "../../core/tests/trace/story.rs"]
#[allow(dead_code, reason = "text traces use more of it")]
mod story;
pub mod target;
mod transfer;
pub mod vary;
#[path = "../../core/tests/trace/world/mod.rs"]
#[allow(dead_code, reason = "text traces use more of it")]
mod world;

pub use target::{TARGETS, Target};

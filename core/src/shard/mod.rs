//! Which node owns which shard: the map that all nodes compute alike, and this node's part in it.
//!
//! `Owners` is the machine of one node. Out of the [`View`](crate::node::View) and the ownership
//! records it orders the logs of its shards to claim, adopt, hand over and release (S14 to S17), and
//! tells everyone who routes where each shard is ([`Table`]). It never writes an ownership record
//! itself: the log of the shard does, by CAS, and reports what came of it.
//!
//! Differing views never claim from each other: the record of a living owner is replaced by that
//! owner alone. A claim names the sequence of the record that it was judged to replace.

mod effect;
mod input;
mod judge;
mod map;
mod owners;
mod records;
mod spot;
mod table;

pub use effect::{Effect, Note, Order};
pub use input::{Input, Report};
pub use map::ShardMap;
pub use owners::{Owners, OwnersConfig};
pub use table::{Place, Row, Table};

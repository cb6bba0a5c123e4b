//! Which node owns which shard: the map that all nodes compute alike, and this node's part in it.
//!
//! `Owners` is the machine of one node. Out of the [`View`](crate::node::View) and the ownership
//! records it orders the logs of its shards to claim, adopt, hand over and release (S14 to S17), and
//! tells everyone who routes where each shard is ([`Table`]). It never writes an ownership record
//! itself: the log of the shard does, by CAS, and reports what came of it.
//!
//! # A place on one node
//!
//! ```text
//!            its own by the map, and free ─▶ Claim ┐           ┌─ another's by the map, settled; or
//!  nothing ──┤                                     ├─▶ owned ──┤  draining ─▶ HandOver or Release ─▶ nothing
//!            its record names this node ───▶ Adopt ┘           └─ its record names another; or the
//!                                                                 lease is over, and its class
//!                                                                 needs one ─▶ Drop ─▶ nothing
//! ```
//!
//! A place is free when it has no record, a released one, or one that names a run that is over; in the
//! fenced class a hint is enough (S14). A run that the view does not know is over when two lists of
//! members later it still does not.
//!
//! # Invariants
//!
//! - O1: the record of a node that looks alive is replaced by that node alone: differing views do not
//!   claim from each other (H11). A claim names the one record that it was judged to replace, and a
//!   CAS of the log decides.
//! - O2: nothing is owned without a CAS that names this run: its own claim, or the hand-over of who owned
//!   it. A record that this run had before, or sent another one in the place of, is taken up by a claim
//!   in its place, never by reading it (S11, P3).
//! - O3: without its lease a node orders nothing but `Drop`, and drops what it holds of the leased class in
//!   the step in which it ends, by the clock or by what it is told (S16, S17). What it holds of the fenced
//!   class stays until its record names another, or the node is another run (S14).
//! - O4: at most one order is under way for a place, except that `Drop` may follow any other.
//! - O5: a leased place is never claimed on a hint, nor from a run that may act yet (S14).
//! - O6: nothing is moved for a set of candidates that has not settled, nor sooner after it came.
//! - O7: a hint counts for records that were there before it: one that came since tells that its owner
//!   was there.

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

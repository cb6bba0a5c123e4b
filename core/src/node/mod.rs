//! Membership: one node's own place in the cluster, and its view of the others.
//!
//! `Node` is the machine of a node, one run of it after another. A run takes the node's name by CAS on its record's subject
//! ([`member_subject`](crate::name::Namespace::member_subject)), keeps its lease by writing that
//! record again (S16), watches the records of the others, and tells who lives ([`View`]). It never
//! decides by a marker or a missing message: a lease is over when the same revision was seen
//! unchanged for long enough on this node's own clock *and* a tombstone on it is acknowledged.
//!
//! A node of a lone program has no such machine; the log then claims what it uses.
//!
//! # The way of a run
//!
//! ```text
//!  Up ─▶ Looking ── no record, or one of a run that left or is over ──▶ Taking ── stored ─▶ Member
//!           │ ▲                                                           ▲ │                 │
//!     another run has the name                      it does not live      │ │ refused: read   ├─▶ Leaving ─▶ left
//!           ▼ └────────── look again ◀── from old state ──────────────────┼─┤                 │
//!       Contending ───────────────────────────────────────────────────────┘ │                 ├─▶ replaced
//!           │  ▲─────────────────────── another run was first ──────────────┘                 ▼
//!           └─▶ the name is taken                          Looking ◀── all told ── Renewing ◀─ expired
//! ```
//!
//! A run that the others took for over does not go on: where the node may rejoin
//! ([`NodeConfig::rejoin`]) it becomes another run ([`Effect::Rejoin`]), which owns nothing, and looks
//! again; else it ends. Where another run has the name it ends in any case, since two would take it
//! from each other for ever.
//!
//! # Invariants
//!
//! - M1: the name's record is written by CAS alone, one write waited for at a time. An attempt of
//!   unknown end is followed by one with the same expectation; what was stored is found by its own
//!   check, and extends no lease (T3).
//! - M2: a heartbeat is sent by a step alone, so a loop that hangs does not look alive.
//! - M3: the name of a run that may act still is taken only by a hint (S15), and the record then names
//!   that run until its lease is surely over. A run that is shown to live keeps its name.
//! - M4: a run is over for a view only if its record says so, or that of the next run of its name does
//!   not name it any more: someone saw its revision unchanged for the whole watch and replaced it by
//!   CAS, or it left by itself, or it was replaced and its watch is over here.
//! - M5: a run that was over once never comes back, so a claim that rests on that may arrive late. A
//!   join of unknown end counts as stored until the name's record shows that it was not.
//! - M6: nobody is buried by a node that holds no lease itself, or for what was not heard while the
//!   store took no heartbeats or the link was down.
//! - M7: a list counts only if it is whole, readable, and has a heartbeat of this node that was sent
//!   after the list before it ([`View::listed`]). So a run that two further lists lack is over, or was
//!   never a member.
//! - M8: no hint without three times no responders over 250 ms on a connection that is up for 2 s, with
//!   no sign of life since; none while more than half of the other owners, and at least two, look gone.
//! - M9: a run that follows in the same process looks for the name only when nothing of the node acts
//!   as the former one any more (`Input::Renewed`), and no answer to the former one counts for it.

mod ask;
mod bury;
mod config;
mod effect;
mod hint;
mod input;
mod join;
mod list;
mod machine;
mod own;
mod probe;
mod rejoin;
mod roster;
mod view;

pub use config::{About, ConfigError, NodeConfig};
pub use effect::{Effect, JoinError, Note};
pub use input::Input;
pub use machine::Node;
pub use view::{Peer, PeerState, Role, Standing, View};

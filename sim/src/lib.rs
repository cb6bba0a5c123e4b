//! Deterministic simulation of Tenure.
//!
//! The *pure world* runs the protocol's machines against the model store in one thread on virtual
//! time: several nodes with several shards each, callers that ask and ask again, and faults by
//! name. Each step's effects are shuffled and spread over time. After every event oracles judge
//! what was stored and what callers were told. A run is a function of its seed and its profile, so
//! a failure is a number.
//!
//! In the profiles of clusters each node has its membership, its part in who owns what and the
//! routing of its lanes as well, and they talk over a network that loses, delays, doubles and parts.
//! Their clocks run at rates of their own. Oracles watch who may act for a leased shard, that
//! everything converges in time, and that a planned movement fails nobody.
//!
//! ```
//! use tenure_sim::{Plan, Profile, World};
//!
//! let report = World::new(Plan::new(1, Profile::Calm)).run();
//! assert_eq!(report.violation, None);
//! ```
//!
//! The *driver world* runs the real driver and handlers of such clusters ([`cluster`]); what their callers
//! see of it is a [`stage`], on which the madsim world stands as well: the same over madsim's network,
//! each run in a [`process`] of its own.
//!
//! On the command line (`cargo sim` is an alias of this workspace):
//!
//! ```text
//! cargo sim run --seed 7 --profile direct --trace
//! cargo sim swarm --seeds 1000 --profile swarm
//! ```
//!
//! The exit code says what came of it: 0 nothing was broken, 2 the command line or a file is wrong, 10 a
//! safety promise was broken, 11 something good did not happen, 12 two runs of one seed differed, or a
//! flight came out in another way, 13 a panic, 14 a place that has to be passed was not.

mod apart;
mod bodies;
mod brief;
mod case;
mod clock;
mod clog;
pub mod coverage;
mod deviation;
mod draw;
mod driver;
mod explain;
mod fate;
mod history;
mod host;
mod ledger;
pub mod linear;
mod lives;
mod minimize;
mod oracle;
pub mod process;
mod profile;
mod repro;
mod rhythm;
pub mod stage;
mod swarm;
mod tamper;
mod voids;
mod waits;
mod world;

pub use bodies::{Bodies, Body};
pub use case::{Broken, Case, Ending, TestName, WorldKind, trace_hash};
pub use deviation::{Deviation, Fault, Promise, Timing, WINDOW};
pub use driver::{Found, Ran, Seeds, Sim, SimCluster, SimShell, SimTask, Verdict, cluster};
pub use explain::{explain, explain_flight};
pub use history::{Asked, Entity, History, Told, Wish};
pub use host::{Added, Answer, Build, Command, State};
pub use ledger::{Claim, Entry, Ledger, Placed};
pub use lives::{Life, Lives};
pub use minimize::{Minimized, Part, Progress, minimize};
pub use oracle::{Class, Happened, Oracle, Seen, View, Violation};
pub use profile::{ClusterPlan, Faults, Operation, Plan, Profile};
pub use repro::{Repro, VERSION as REPRO_VERSION};
pub use swarm::{Failure, Swarm, Tally, Watch};
pub use world::{Bar, Corruption, Kept, Kind, Lane, Line, Report, Sort, World};

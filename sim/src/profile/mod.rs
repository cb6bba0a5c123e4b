//! Profiles: which faults a run may have, and the plan that a seed draws from one.

mod cluster;
mod faults;
mod kinds;
mod operations;

pub use cluster::ClusterPlan;
pub use faults::Faults;
pub use kinds::Profile;
pub use operations::Operation;

use crate::draw::{Draws, What};
use crate::host::Build;
use std::collections::BTreeSet;
use tenure_core::format::WriteMode;
use tenure_core::log::SnapshotPolicy;
use tenure_core::{Limits, Span};

/// Everything that is fixed before a run starts.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// The profile.
    pub profile: Profile,
    /// How many nodes there are.
    pub nodes: usize,
    /// The write mode of each shard.
    pub shards: Vec<WriteMode>,
    /// How many event streams there are.
    pub streams: u16,
    /// Whether they are replicated.
    pub replicated: bool,
    /// What each node writes in its first life; it is upgraded by one build at each restart.
    pub builds: Vec<Build>,
    /// By how much each node's wall clock is ahead, in milliseconds.
    pub skew_ms: Vec<u64>,
    /// How many clients ask.
    pub clients: u64,
    /// How many entities each shard has.
    pub entities: u64,
    /// When snapshots of each kind's entities are taken, and how many are kept.
    pub snapshots: [SnapshotPolicy; 2],
    /// Whether each kind's entities stay in memory.
    pub cached: [bool; 2],
    /// In so many of 1,000 steps a shard is told to make room a moment later.
    pub pressure: u64,
    /// The largest message that the store takes.
    pub payload_bytes_max: usize,
    /// The mean time between two questions of a client.
    pub pace: Span,
    /// The limits of every node.
    pub limits: Limits,
    /// What goes wrong.
    pub faults: Faults,
    /// What callers do besides adding to an entity.
    pub operations: BTreeSet<Operation>,
    /// Whether commands arm timers and send messages, where the mode has them.
    pub later: bool,
    /// What the nodes are as a cluster, where they are one.
    pub cluster: Option<ClusterPlan>,
}

impl Plan {
    /// How long faults happen where nodes are no cluster.
    pub const ACTIVE: Span = Span::from_secs(8);

    /// How long faults happen: long enough for leases to end and be taken over.
    pub fn active(&self) -> Span {
        let cluster = self.cluster.as_ref();
        cluster.map_or(Self::ACTIVE, |it| {
            Span::from_secs(6) + it.terms.ttl.saturating_mul(3)
        })
    }

    /// By how much two clocks may differ over so many nanoseconds.
    pub fn drift_over(&self, nanos: u64) -> u64 {
        let cluster = self.cluster.as_ref();
        cluster.map_or(0, |it| {
            (nanos / 1_000_000 + 1) * u64::from(it.terms.drift_ppm) * 3
        })
    }

    /// From when on every shard of a cluster has an owner, if nothing went wrong.
    pub fn calm_from(&self) -> Span {
        let settle = self.limits.settle.saturating_mul(2);
        settle + Span::from_secs(2)
    }

    /// The latest time after its sending at which the bytes of a request arrive.
    pub const LATE_MAX: Span = Span::from_secs(8);

    /// The plan of a seed.
    pub fn new(seed: u64, profile: Profile) -> Self {
        let mut draws = Draws::new(seed);
        let mut range = |part, min, max| draws.range(What::Plan, part, min, max);
        let size = |n: u64| usize::try_from(n).expect("a small number");
        let nodes = match profile {
            Profile::Tail => size(range(1, 1, 3)),
            Profile::Cluster
            | Profile::Partition
            | Profile::Drift
            | Profile::TakeOver
            | Profile::Kill
            | Profile::Storm
            | Profile::Consume
            | Profile::Group
            | Profile::Effect => size(range(1, 3, 9)),
            Profile::Calm
            | Profile::Direct
            | Profile::Owned
            | Profile::Replicated
            | Profile::Churn
            | Profile::Swarm => size(range(1, 2, 4)),
        };
        let clustered = profile.is_cluster();
        let count = if clustered {
            // As many of each class.
            2 * size(range(2, 1, 6))
        } else {
            size(range(2, 1, 3))
        };
        let mode = |draw: u64| match profile {
            Profile::Direct => WriteMode::Direct,
            Profile::Owned
            | Profile::Cluster
            | Profile::Partition
            | Profile::Drift
            | Profile::TakeOver
            | Profile::Kill
            | Profile::Storm
            | Profile::Consume
            | Profile::Group
            | Profile::Effect => WriteMode::Owned,
            Profile::Calm
            | Profile::Replicated
            | Profile::Churn
            | Profile::Swarm
            | Profile::Tail => {
                if draw == 0 {
                    WriteMode::Direct
                } else {
                    WriteMode::Owned
                }
            }
        };
        let shards: Vec<_> = (0..count).map(|_| mode(range(3, 0, 1))).collect();
        let numbers = if clustered { count / 2 } else { count };
        let streams = if numbers > 1 { range(4, 1, 2) } else { 1 };
        let replicated = match profile {
            Profile::Owned => false,
            Profile::Replicated => true,
            Profile::Calm
            | Profile::Direct
            | Profile::Churn
            | Profile::Swarm
            | Profile::Tail
            | Profile::Cluster
            | Profile::Partition
            | Profile::Drift
            | Profile::TakeOver
            | Profile::Kill
            | Profile::Storm
            | Profile::Consume
            | Profile::Group
            | Profile::Effect => range(5, 0, 1) == 1,
        };
        let mut limits = Limits::default();
        limits.entities_max = size([0, 1, 2, 4, 64][size(range(6, 0, 4))]);
        limits.snapshots_unnamed_max = size([1, 64][size(range(27, 0, 1))]);
        limits.entity_queue_max = size([4, 256][size(range(7, 0, 1))]);
        limits.shard_queue_max = size([8, 1_024][size(range(8, 0, 1))]);
        limits.commit_commands_max = size([1, 3, 128][size(range(9, 0, 2))]);
        limits.commits_in_flight_max = size([1, 2, 64][size(range(10, 0, 2))]);
        limits.batch_messages_max = size([1, 2, 256][size(range(11, 0, 2))]);
        limits.chain_max = size([2, 5, 64][size(range(12, 0, 2))]);
        limits.command_ids_max = size([2, 8, 128][size(range(13, 0, 2))]);
        limits.command_ids_min = size(range(21, 1, 8)).min(limits.command_ids_max);
        limits.command_id_age_ms = [200, 2_000, 120_000][size(range(22, 0, 2))];
        limits.conflict_tries_max = [6, 256][size(range(23, 0, 1))];
        limits.store_timeout = Span::from_millis(range(14, 100, 1_500));
        limits.absent_patience = Span::from_secs(5);
        limits.lost_tail_patience = Span::from_millis(range(15, 2_000, 4_000));
        limits.retry_delay_max = Span::from_millis(range(16, 20, 500));
        limits.snapshot_bodies_max = size([1, 64][size(range(45, 0, 1))]);
        limits.snapshot_patience = Span::from_millis([0, 20, 500][size(range(47, 0, 2))]);
        limits.snapshot_chores_max = size([1, 64][size(range(46, 0, 1))]);
        if clustered {
            let millis = |part, min, max, range: &mut dyn FnMut(u64, u64, u64) -> u64| {
                Span::from_millis(range(part, min, max))
            };
            // After everything healed all nodes ask one owner at once.
            limits.entity_queue_max = limits.entity_queue_max.max(16);
            limits.shard_queue_max = limits.shard_queue_max.max(64);
            limits.forwards_in_flight_max = size([6, 1_024][size(range(87, 0, 1))]);
            limits.forwards_waiting_max = size([12, 1_024][size(range(88, 0, 1))]);
            limits.serves_max = size([24, 1_024][size(range(89, 0, 1))]);
            limits.probe_every = millis(86, 300, 1_000, &mut range);
            limits.settle = millis(80, 100, 1_000, &mut range);
            limits.owners_reread = millis(81, 1_000, 5_000, &mut range);
            limits.no_owner_patience = millis(82, 500, 3_000, &mut range);
            limits.redirect_patience = millis(83, 20, 200, &mut range);
            limits.claims_max = size([1, 4, 64][size(range(84, 0, 2))]);
            limits.hand_overs_max = size([1, 2, 8][size(range(85, 0, 2))]);
        }
        let later = shards.contains(&WriteMode::Owned) && range(90, 0, 2) > 0;
        if later {
            limits.later_delay_max = Span::from_millis(800);
            limits.wall_reread = Span::from_millis(range(91, 200, 2_000));
            limits.index_delay = Span::from_millis(range(92, 0, 1_500));
            limits.index_every = [3, 30, 1_000][size(range(93, 0, 2))];
            limits.index_page = [1, 3, 64][size(range(94, 0, 2))];
            limits.shard_timers_max = size([1, 3, 1_024][size(range(95, 0, 2))]);
            limits.firings_max = size([1, 64][size(range(96, 0, 1))]);
            limits.dispatches_max = size([1, 64][size(range(97, 0, 1))]);
            limits.undone_max = size([1, 3, 1_024][size(range(98, 0, 2))]);
            limits.aside_max = size([0, 3, 8_192][size(range(99, 0, 2))]);
            limits.receiver_undone_max = size([1, 4, 256][size(range(100, 0, 2))]);
            limits.receivers_shelved_max = size([1, 256][size(range(101, 0, 1))]);
            // What is older than a receiver remembers is not delivered; here nothing is.
            limits.command_ids_max = 8_192;
            limits.command_id_age_ms = 120_000;
        }
        let snapshots = [policy(60, &mut range), policy(70, &mut range)];
        let cached = [range(28, 0, 7) > 0, range(29, 0, 7) > 0];
        let pressure = [0, 3, 100][size(range(30, 0, 2))];
        // Where most uses read a whole log there are fewer of them.
        let loads = limits.entities_max < 2 || cached.contains(&false) || pressure > 3;
        let pace_min_ms = if loads || clustered { 60 } else { 10 };
        Self {
            seed,
            profile,
            snapshots,
            nodes,
            streams: u16::try_from(streams).expect("a small number"),
            replicated,
            builds: (0..nodes)
                .map(|_| Build::ALL[size(range(40, 0, 2))])
                .collect(),
            skew_ms: (0..nodes)
                .map(|_| range(24, 0, 1) * range(25, 0, 3_000))
                .collect(),
            clients: range(17, 1, 6),
            entities: range(18, 1, 3),
            cached,
            pressure,
            later,
            payload_bytes_max: 16_384,
            pace: Span::from_millis(range(20, pace_min_ms, 120)),
            limits,
            operations: Operation::draw(&mut draws, profile),
            faults: Faults::draw(&mut draws, profile, replicated, &shards),
            cluster: clustered.then(|| ClusterPlan::draw(&mut draws, profile, nodes, replicated)),
            shards,
        }
    }
}

/// Each way of taking snapshots, or none; as many kept as may be, and sometimes an end.
fn policy(parts: u64, range: &mut impl FnMut(u64, u64, u64) -> u64) -> SnapshotPolicy {
    let mut number = |part, min, max| {
        let number = range(parts + part, min, max);
        u32::try_from(number).expect("a small number")
    };
    let (commits, replayed) = (number(0, 1, 8), number(1, 0, 8));
    let policy = match number(2, 0, 5) {
        0 => SnapshotPolicy::never(),
        1 | 2 => SnapshotPolicy::after_load(replayed),
        3 => SnapshotPolicy::every(commits).or_after_load(replayed),
        _ => SnapshotPolicy::every(commits),
    };
    let kept = policy.keep(number(3, 1, 3));
    let (ends, life_s) = (number(4, 0, 2) == 0, number(5, 1, 6));
    if ends && !kept.is_never() {
        kept.expires_after(Span::from_secs(u64::from(life_s)))
    } else {
        kept
    }
}

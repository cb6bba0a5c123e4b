//! Profiles: which faults a run may have, and the plan that a seed draws from one.

use crate::draw::{Draws, What};
use crate::host::Build;
use std::fmt;
use std::str::FromStr;
use tenure_core::format::WriteMode;
use tenure_core::lease::Terms;
use tenure_core::log::SnapshotPolicy;
use tenure_core::{Limits, Span};

/// A family of runs. Each faulty one draws which of its faults a seed has, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// Both modes, both shapes, no fault.
    Calm,
    /// Several nodes write the same entities directly; the wire and the store misbehave.
    Direct,
    /// Nodes take shards from each other on an unreplicated store; the wire misbehaves.
    Owned,
    /// Both modes on a replicated store: leaders change, replicas lag, old leaders answer.
    Replicated,
    /// Nodes crash, pause and lose their link, and shards change hands all the time; the wire is
    /// sound.
    Churn,
    /// Everything at once, drawn anew for each seed.
    Swarm,
    /// Both modes, and the store loses acknowledged messages while every link is down. Voids P1 and
    /// what rests on it for the lost part; what comes after must hold all the same (S13).
    Tail,
    /// A cluster in which nodes join, are drained and leave, and nothing goes wrong.
    Cluster,
    /// A cluster whose network parts, whose nodes lose the store, and whose frames and announcements
    /// are lost, late, doubled and out of order.
    Partition,
    /// A cluster whose clocks run apart, and whose nodes stand still for longer than their leases.
    Drift,
    /// A cluster whose nodes are killed and started again, while the wire and the store misbehave.
    TakeOver,
    /// A cluster, and everything at once.
    Storm,
}

impl Profile {
    /// All profiles.
    pub const ALL: [Self; 12] = [
        Self::Calm,
        Self::Direct,
        Self::Owned,
        Self::Replicated,
        Self::Churn,
        Self::Swarm,
        Self::Tail,
        Self::Cluster,
        Self::Partition,
        Self::Drift,
        Self::TakeOver,
        Self::Storm,
    ];

    /// Whether its nodes are a cluster: they own shards as membership and map say.
    pub const fn is_cluster(self) -> bool {
        match self {
            Self::Cluster | Self::Partition | Self::Drift | Self::TakeOver | Self::Storm => true,
            Self::Calm
            | Self::Direct
            | Self::Owned
            | Self::Replicated
            | Self::Churn
            | Self::Swarm
            | Self::Tail => false,
        }
    }

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Direct => "direct",
            Self::Owned => "owned",
            Self::Replicated => "replicated",
            Self::Churn => "churn",
            Self::Swarm => "swarm",
            Self::Tail => "tail",
            Self::Cluster => "cluster",
            Self::Partition => "partition",
            Self::Drift => "drift",
            Self::TakeOver => "takeover",
            Self::Storm => "storm",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|profile| profile.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("there is no profile {text:?}; the profiles are {names}")
        })
    }
}

/// What befalls single requests, each in so many of 1,000, and single nodes, each every so often
/// ([`Span::ZERO`]: never).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// When a request never reaches the store.
    pub lost_request: u64,
    /// When an answer never reaches its node.
    pub lost_answer: u64,
    /// When the bytes of a request reach the store long after its sender gave up (K1).
    pub late_request: u64,
    /// When the bytes of a request reach the store again, some time later.
    pub twice: u64,
    /// When a request and its answer take long.
    pub slow: u64,
    /// When the store refuses for now: overloaded, nobody responds, too many batches.
    pub refusal: u64,
    /// When the store refuses a write for good: it is full.
    pub full: u64,
    /// When a replica that lags answers a read (K2).
    pub stale_read: u64,
    /// When a former leader answers a write from what it knows (K5).
    pub old_leader: u64,
    /// When the host cannot encode or decode a snapshot.
    pub bad_snapshot: u64,
    /// When a body is absent where it is read.
    pub absent_body: u64,
    /// When a body is read with a wrong byte.
    pub damaged_body: u64,
    /// When a leader is replaced and what it proposed is gone.
    pub leader_change: Span,
    /// When a node is gone at once; a new one comes up in its place.
    pub crash: Span,
    /// When a node stops for a while and goes on as if nothing had been.
    pub pause: Span,
    /// When a node loses its link to the store.
    pub link_down: Span,
    /// When a node claims a shard, whoever holds it.
    pub claim: Span,
    /// When the store comes back without its end (S13).
    pub lost_tail: Span,
    /// When the stream of snapshots loses bodies.
    pub lost_bodies: Span,
    /// When a frame between nodes is lost.
    pub lost_frame: u64,
    /// When a frame comes twice.
    pub frame_twice: u64,
    /// When a frame takes long, and others overtake it.
    pub late_frame: u64,
    /// When an announcement is lost; as often it is late, half as often it comes twice.
    pub lost_announcement: u64,
    /// When nodes do not hear each other for a while, or are wrongly told that nobody listens.
    pub partition: Span,
    /// When a node does not reach the store for a while.
    pub cut: Span,
    /// When the servers elect a leader and take no write.
    pub election: Span,
    /// When a node is suspended for longer than its lease.
    pub suspend: Span,
    /// When a wall clock is set.
    pub wall_step: Span,
    /// When another node joins.
    pub join: Span,
    /// When a node is drained and leaves.
    pub drain: Span,
}

/// What a run's nodes are as a cluster.
#[derive(Clone, Debug)]
pub struct ClusterPlan {
    /// Their terms of leases.
    pub terms: Terms,
    /// By how many millionths each node's clock runs too fast; negative: too slow.
    pub drift_ppm: Vec<i64>,
    /// How many lanes each node has.
    pub lanes: Vec<u16>,
    /// Each node's weight.
    pub weights: Vec<u16>,
    /// How many nodes are started at first.
    pub started: usize,
    /// Whether the network never says that nobody listens.
    pub silent: bool,
    /// Whether the last node is started under the name of the first.
    pub twin: bool,
}

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
            | Profile::Storm => size(range(1, 3, 9)),
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
            | Profile::Storm => WriteMode::Owned,
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
            | Profile::Storm => range(5, 0, 1) == 1,
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
            payload_bytes_max: 16_384,
            pace: Span::from_millis(range(20, pace_min_ms, 120)),
            limits,
            faults: Faults::draw(&mut draws, profile, replicated, &shards),
            cluster: clustered.then(|| ClusterPlan::draw(&mut draws, profile, nodes, replicated)),
            shards,
        }
    }
}

impl ClusterPlan {
    fn draw(draws: &mut Draws, profile: Profile, nodes: usize, replicated: bool) -> Self {
        let mut range = |part, min, max| draws.range(What::Plan, part, min, max);
        let size = |n: u64| usize::try_from(n).expect("a small number");
        let drifts = match profile {
            Profile::Drift => true,
            Profile::Storm => range(300, 0, 1) == 1,
            _ => false,
        };
        let drift_ppm = if drifts {
            [1_000, 10_000, 50_000][size(range(301, 0, 2))]
        } else {
            1_000
        };
        // Where servers may elect a lease outlasts it.
        let elects = replicated && matches!(profile, Profile::Storm | Profile::Drift);
        let ttl = if elects {
            Span::from_secs(10)
        } else {
            Span::from_millis(range(302, 1_000, 3_000))
        };
        let margin = Span::from_nanos(ttl.as_nanos() / [10, 5][size(range(303, 0, 1))]);
        let terms = Terms {
            ttl,
            drift_ppm,
            margin,
        };
        let bound = i64::from(drift_ppm);
        let mut clock = |node: usize| {
            let part = 310 + node as u64;
            match range(part, 0, 3) {
                0 => -bound,
                1 => bound,
                2 => 0,
                _ => range(part, 0, 2 * u64::from(drift_ppm)).cast_signed() - bound,
            }
        };
        let drift_ppm = (0..nodes).map(&mut clock).collect();
        let lanes = (0..nodes).map(|node| range(330 + node as u64, 1, 2));
        let lanes = lanes.map(|n| u16::try_from(n).expect("few")).collect();
        let even = range(350, 0, 2) > 0;
        let weight = |node: usize, range: &mut dyn FnMut(u64, u64, u64) -> u64| match even {
            true => 100,
            false => [50, 100, 200][size(range(351 + node as u64, 0, 2))],
        };
        let weights = (0..nodes).map(|node| weight(node, &mut range)).collect();
        Self {
            terms,
            drift_ppm,
            lanes,
            weights,
            started: size(range(370, 2, nodes as u64)),
            silent: profile != Profile::Cluster && range(371, 0, 3) == 0,
            twin: profile != Profile::Cluster && range(372, 0, 3) == 0,
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

impl Faults {
    /// Whether a loss voids P1 for what was lost.
    pub fn loses_acknowledged(&self) -> bool {
        self.lost_tail != Span::ZERO
    }

    fn draw(draws: &mut Draws, profile: Profile, replicated: bool, shards: &[WriteMode]) -> Self {
        let owned = shards.contains(&WriteMode::Owned);
        let mut faults = Self::default();
        if owned {
            // Shards need an owner now and then even where nothing goes wrong.
            faults.claim = Span::from_secs(4);
        }
        match profile {
            Profile::Calm => return faults,
            Profile::Cluster => {
                faults.join = Span::from_secs(3);
                faults.drain = Span::from_secs(3);
                return faults;
            }
            Profile::Direct
            | Profile::Owned
            | Profile::Replicated
            | Profile::Churn
            | Profile::Swarm
            | Profile::Tail
            | Profile::Partition
            | Profile::Drift
            | Profile::TakeOver
            | Profile::Storm => {}
        }
        // Each fault is there in two of three seeds, at a rate of the seed's own.
        let sound = matches!(
            profile,
            Profile::Churn | Profile::Drift | Profile::Partition
        );
        let mut rate = |part, per_mille_max| {
            let there = draws.chance(What::Plan, part, 667) && !sound;
            let rate = draws.range(What::Plan, part, 1, per_mille_max);
            if there { rate } else { 0 }
        };
        faults.lost_request = rate(101, 60);
        faults.lost_answer = rate(102, 60);
        faults.late_request = rate(103, 60);
        faults.twice = rate(104, 60);
        faults.slow = rate(105, 80);
        faults.refusal = rate(106, 80);
        faults.bad_snapshot = rate(107, 300);
        faults.full = rate(110, 10);
        faults.absent_body = rate(111, 200);
        faults.damaged_body = rate(112, 200);
        if replicated {
            faults.stale_read = rate(108, 300);
            faults.old_leader = rate(109, 60);
        }
        let nodes_fail = match profile {
            Profile::Churn
            | Profile::Swarm
            | Profile::Drift
            | Profile::TakeOver
            | Profile::Storm => true,
            Profile::Calm
            | Profile::Direct
            | Profile::Owned
            | Profile::Replicated
            | Profile::Tail
            | Profile::Cluster
            | Profile::Partition => false,
        };
        let mut every = |part, allowed: bool, min_ms, max_ms| {
            let there = draws.chance(What::Plan, part, 667);
            let mean = Span::from_millis(draws.range(What::Plan, part, min_ms, max_ms));
            if there && allowed { mean } else { Span::ZERO }
        };
        faults.lost_bodies = every(206, true, 1_000, 4_000);
        faults.leader_change = every(201, replicated, 300, 3_000);
        faults.crash = every(202, nodes_fail, 700, 4_000);
        faults.pause = every(203, nodes_fail, 500, 4_000);
        faults.link_down = every(204, nodes_fail, 500, 4_000);
        if profile.is_cluster() {
            let parts = matches!(profile, Profile::Partition | Profile::Storm);
            let stands = matches!(profile, Profile::Drift | Profile::Storm);
            faults.partition = every(210, parts, 1_000, 8_000);
            faults.cut = every(211, parts, 1_000, 8_000);
            faults.election = every(212, stands && replicated, 8_000, 20_000);
            faults.suspend = every(213, stands, 2_000, 10_000);
            faults.wall_step = every(214, stands, 500, 4_000);
            faults.join = every(215, true, 2_000, 8_000);
            faults.drain = every(216, true, 2_000, 8_000);
            let mut rate = |part, per_mille_max| {
                let there = draws.chance(What::Plan, part, 667) && parts;
                let rate = draws.range(What::Plan, part, 1, per_mille_max);
                if there { rate } else { 0 }
            };
            faults.lost_frame = rate(220, 100);
            faults.frame_twice = rate(221, 100);
            faults.late_frame = rate(222, 100);
            faults.lost_announcement = rate(223, 300);
            faults.claim = Span::ZERO;
        } else if owned {
            let mean = every(205, true, 100, 2_000);
            if mean != Span::ZERO {
                faults.claim = mean;
            }
        }
        if profile == Profile::Tail {
            // Bytes from before the loss would meet sequences that were given again.
            faults.late_request = 0;
            faults.twice = 0;
            faults.lost_tail = Span::from_secs(3);
        }
        faults
    }
}

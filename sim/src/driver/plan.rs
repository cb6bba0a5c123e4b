//! What is fixed before a run of the driver world begins: its nodes, their clocks and terms, and what
//! goes wrong, drawn by the pure world's plan.

use crate::deviation::{Deviation, Fault};
use crate::draw::{Draws, What};
use crate::oracle::{Class, Violation};
use crate::profile::{Faults, Profile};
use crate::stage::Stretches;
use crate::world::Corruption;
use std::collections::BTreeSet;
use tenure_core::id::Partition;
use tenure_core::lease::Terms;
use tenure_core::name::Namespace;
use tenure_core::port::{StoreRequest, StreamName};
use tenure_core::step::{Limits, Span};

/// From when on a store that breaks its word does so.
const LIES_FROM: Span = Span::from_secs(4);

/// How many removed messages of a stream a store keeps, for what lags.
pub const REMOVED_MAX: usize = 4_096;

/// What is fixed before a run begins.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) namespace: String,
    pub(crate) nodes: usize,
    pub(crate) shards: u16,
    pub(crate) streams: u16,
    pub(crate) replicated: bool,
    /// Whether the network never says that nobody listens.
    pub(crate) silent: bool,
    pub(crate) terms: Terms,
    pub(crate) drift_ppm: Vec<i64>,
    pub(crate) skew_ms: Vec<u64>,
    pub(crate) lanes: Vec<u16>,
    pub(crate) weights: Vec<u16>,
    pub(crate) limits: Limits,
    pub(crate) faults: Faults,
    /// Kinds of faults that never come.
    pub(crate) without: Vec<Fault>,
    /// Only these deviations happen; `None`: all that the seed draws.
    pub(crate) only: Option<BTreeSet<Deviation>>,
    /// The run is cut at this true time, in nanoseconds.
    pub(crate) until: Option<u64>,
    /// Whatever has not ended by then has failed.
    pub(crate) within: Span,
    /// How the store breaks its word behind the oracles' back.
    pub(crate) corruption: Option<Corruption>,
    /// What reads what is written.
    pub(crate) readers: Readers,
    /// Whether callers delete entities.
    pub(crate) deletes: bool,
    /// Whether entities have something done outside, and sagas run.
    pub(crate) effects: bool,
}

/// What runs on the nodes of a run and reads what its callers write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readers {
    /// Consumers, each on one node at a time.
    pub consumers: bool,
    /// Groups of consumers, on all of them.
    pub groups: bool,
    /// A projection, on all of them.
    pub projections: bool,
    /// Those who publish on the bus, and those who listen there.
    pub bus: bool,
}

/// The profiles of a world that runs the driver, and whose store is no cluster of servers.
pub(crate) const ON_ONE_SERVER: [Profile; 11] = [
    Profile::Calm,
    Profile::Churn,
    Profile::Cluster,
    Profile::Partition,
    Profile::Drift,
    Profile::TakeOver,
    Profile::Kill,
    Profile::Storm,
    Profile::Tail,
    Profile::Consume,
    Profile::Group,
];

/// The profiles of the madsim world.
pub(crate) const ON_MADSIM: [Profile; 12] = [
    Profile::Calm,
    Profile::Replicated,
    Profile::Churn,
    Profile::Cluster,
    Profile::Partition,
    Profile::Drift,
    Profile::TakeOver,
    Profile::Kill,
    Profile::Storm,
    Profile::Tail,
    Profile::Consume,
    Profile::Group,
];

/// The profiles of the driver world.
pub(crate) const PROFILES: [Profile; 13] = [
    Profile::Calm,
    Profile::Replicated,
    Profile::Churn,
    Profile::Cluster,
    Profile::Partition,
    Profile::Drift,
    Profile::TakeOver,
    Profile::Kill,
    Profile::Storm,
    Profile::Tail,
    Profile::Consume,
    Profile::Group,
    Profile::Effect,
];

impl Plan {
    /// The plan of a seed; so many nodes, or as many as the seed says.
    pub(crate) fn new(seed: u64, profile: Profile, nodes: Option<usize>) -> Self {
        let drawn = match profile {
            // A cluster without any of them.
            Profile::Calm => Profile::Cluster,
            // Everything at once; the same with streams that lose their ends, and with what reads them; and
            // of it what befalls nodes, or the store, alone.
            Profile::Swarm
            | Profile::Tail
            | Profile::Churn
            | Profile::Replicated
            | Profile::Consume
            | Profile::Group
            | Profile::Effect => Profile::Storm,
            Profile::Direct
            | Profile::Owned
            | Profile::Cluster
            | Profile::Partition
            | Profile::Drift
            | Profile::TakeOver
            | Profile::Kill
            | Profile::Storm => profile,
        };
        let mut base = crate::Plan::new(seed, drawn);
        base.replicated |= profile == Profile::Replicated;
        let mut cluster = base.cluster.expect("a profile of a cluster");
        let mut draws = Draws::new(seed ^ 0xD1CE);
        let mut faults = base.faults;
        if profile == Profile::Calm {
            faults = Faults::default();
        }
        // A node's program is started again by itself.
        faults.join = Span::ZERO;
        faults.claim = Span::ZERO;
        faults.bad_snapshot = 0;
        // These are of the pure world.
        (faults.held_answer, faults.seldom, faults.slow_work) = (0, 0, 0);
        (faults.overload, faults.removed_member) = (Span::ZERO, Span::ZERO);
        faults.dying_link = Span::ZERO;
        let node_count = nodes.unwrap_or(base.nodes.min(5)).max(1);
        let terms = match base.replicated {
            // The servers elect within it.
            true => Terms {
                drift_ppm: cluster.terms.drift_ppm,
                ..Terms::cluster()
            },
            false => cluster.terms,
        };
        if drawn == Profile::Storm || drawn == Profile::Drift {
            let mut every = |part, per_mille, least_ms, most_ms| {
                let there = draws.chance(What::Plan, part, per_mille);
                let mean = draws.range(What::Plan, part, least_ms, most_ms);
                if there {
                    Span::from_millis(mean)
                } else {
                    Span::ZERO
                }
            };
            faults.slow_node = every(400, 500, 1_000, 8_000);
            faults.store_step = every(401, 300, 1_000, 8_000);
            if drawn == Profile::Storm {
                // They void what is promised of the leased class, so most seeds do without.
                faults.clock_jump = every(402, 120, 1_000, 8_000);
                faults.clock_freeze = every(403, 120, 1_000, 8_000);
            }
            if drawn == Profile::Storm {
                // It voids nearly everything, so most seeds do without.
                let per_mille = if profile == Profile::Tail { 500 } else { 100 };
                faults.lost_record = every(405, per_mille, 3_000, 9_000);
            }
            if profile == Profile::Tail {
                faults.lost_tail = every(404, 1_000, 3_000, 9_000);
                // Bytes from before the loss would meet sequences that were given again.
                faults.late_request = 0;
                faults.twice = 0;
            }
        }
        match profile {
            Profile::Churn => faults = of_nodes(&faults),
            Profile::Replicated => faults = of_store(&faults, &mut draws),
            Profile::Calm
            | Profile::Direct
            | Profile::Owned
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
            | Profile::Effect => {}
        }
        let readers = with_readers(profile, &mut faults, &mut draws);
        let effects = match profile {
            Profile::Effect => true,
            Profile::Swarm | Profile::Storm => draws.chance(What::Plan, 426, 250),
            Profile::Calm
            | Profile::Direct
            | Profile::Owned
            | Profile::Replicated
            | Profile::Churn
            | Profile::Tail
            | Profile::Cluster
            | Profile::Partition
            | Profile::Drift
            | Profile::TakeOver
            | Profile::Kill
            | Profile::Consume
            | Profile::Group => false,
        };
        // What reads would have to know what it may miss; and while a shard has more messages than it has room
        // for, all its deletions wait.
        let alone = readers == Readers::default() && !effects;
        let deletes = alone && draws.chance(What::Plan, 424, 500);
        spread(&mut faults, terms.ttl, node_count);
        let mut limits = base.limits;
        if profile == Profile::Group && draws.chance(What::Plan, 425, 250) {
            // Runs come to own what others see before they have heard of the run.
            faults.lost_announcement = 900;
            limits.settle = Span::from_millis(100);
        }
        // What is older than a receiver remembers is not delivered; here nothing is.
        limits.command_ids_max = 8_192;
        limits.command_id_age_ms = 120_000;
        // Logs are long here, and where few timers are kept they are read again and again: by a message
        // at a time that takes minutes.
        limits.index_page = limits.index_page.max(16);
        cluster.drift_ppm.resize(node_count, 0);
        cluster.lanes.resize(node_count, 1);
        cluster.weights.resize(node_count, 100);
        let mut skew_ms = base.skew_ms;
        skew_ms.resize(node_count, 0);
        Self {
            seed,
            namespace: "sim".to_owned(),
            nodes: node_count,
            shards: u16::try_from(base.shards.len() / 2).expect("a small number"),
            streams: base.streams,
            replicated: base.replicated,
            silent: cluster.silent,
            terms,
            drift_ppm: cluster.drift_ppm,
            skew_ms,
            lanes: cluster.lanes,
            weights: cluster.weights,
            limits,
            faults,
            without: Vec::new(),
            only: None,
            until: None,
            within: Span::from_secs(3_600),
            corruption: None,
            readers,
            deletes,
            effects,
        }
    }

    /// Of how many servers the store is a cluster; 1: it is a single one.
    pub(crate) fn servers(&self) -> u32 {
        if self.replicated { 3 } else { 1 }
    }

    /// Whether the driver world has a profile.
    pub(crate) fn has(profile: Profile) -> bool {
        profile == Profile::Swarm || PROFILES.contains(&profile)
    }

    /// How the store breaks its word to a request: to those of event streams, once the cluster is there.
    pub(crate) fn lies(&self, now: u64, request: &StoreRequest) -> Option<Corruption> {
        let begun = now > LIES_FROM.as_nanos();
        let is_of_events = |name: &StreamName| {
            let mut streams = self.event_streams().into_iter();
            streams.any(|it| it == name.as_str())
        };
        self.corruption
            .filter(|_| begun && request.stream().is_some_and(is_of_events))
    }

    /// The names of the streams of events.
    pub(crate) fn event_streams(&self) -> Vec<String> {
        let namespace = Namespace::new(&self.namespace).expect("a name that was checked");
        let name = |stream| {
            namespace
                .event_stream(Partition(stream))
                .as_str()
                .to_owned()
        };
        (0..self.streams).map(name).collect()
    }

    /// How long faults happen: long enough for leases to end and be taken over.
    fn active(&self) -> Span {
        Span::from_secs(6) + self.terms.ttl.saturating_mul(3)
    }

    /// What is broken by a run that has not ended in time.
    pub(crate) fn unending(&self) -> Violation {
        let within = self.within;
        Violation {
            class: Class::Liveness,
            oracle: "progress",
            what: format!(
                "the test has not ended after {within} of simulated time: something that it awaits never \
                 comes, or it needs longer than `within` says"
            ),
        }
    }

    /// How long the parts of a run are.
    pub(crate) fn stretches(&self) -> Stretches {
        let limits = &self.limits;
        let again = limits.later_delay_max.saturating_mul(4) + limits.wall_reread.saturating_mul(2);
        Stretches {
            active: self.active(),
            convergence: self.convergence(),
            // Wall clocks differ: a timer is due by its owner's.
            later: again + Span::from_secs(60),
        }
    }

    /// How long it takes at most after everything healed until each shard has a living owner: the
    /// bytes that are under way have landed, the end of a lease that began last is seen and its
    /// tombstone written, twice where the node that was to take over was such a one itself; what
    /// changed by it settles and is moved, so many shards at a time; and each node reads the records
    /// again.
    fn convergence(&self) -> Span {
        let limits = &self.limits;
        let over = self.terms.watch() + self.terms.margin + limits.retry_delay_max;
        let settled = limits.settle + Span::from_nanos(limits.settle.as_nanos() / 4);
        let rounds = usize::from(self.shards) * 2;
        let rounds = rounds.div_ceil(limits.hand_overs_max.max(1)) as u64;
        let moved = (limits.retry_delay_max + Span::from_millis(100)).saturating_mul(rounds + 2);
        let reread = limits.owners_reread.saturating_mul(2);
        let late = Span::from_secs(9);
        // A program that is started anew may wait for its own name to be free.
        let boot = limits.store_timeout.saturating_mul(4);
        late + over.saturating_mul(3) + settled + moved + reread + boot + Span::from_secs(2)
    }
}

/// What reads, and what befalls it then.
fn with_readers(profile: Profile, faults: &mut Faults, draws: &mut Draws) -> Readers {
    let mut some = |part, per_mille| draws.chance(What::Plan, part, per_mille);
    let (consumers, groups) = (some(413, 250), some(420, 150));
    let (projections, bus) = (some(421, 500), some(422, 500));
    let readers = match profile {
        Profile::Consume => Readers {
            consumers: true,
            ..Readers::default()
        },
        Profile::Group => Readers {
            consumers: false,
            groups: true,
            projections,
            bus,
        },
        Profile::Swarm | Profile::Storm => Readers {
            consumers,
            groups,
            projections: groups && projections,
            bus: groups && bus,
        },
        Profile::Calm
        | Profile::Direct
        | Profile::Owned
        | Profile::Replicated
        | Profile::Churn
        | Profile::Tail
        | Profile::Cluster
        | Profile::Partition
        | Profile::Drift
        | Profile::TakeOver
        | Profile::Kill
        | Profile::Effect => Readers::default(),
    };
    if readers == Readers::default() {
        return readers;
    }
    if draws.chance(What::Plan, 414, 667) {
        faults.consumer_lost = Span::from_millis(draws.range(What::Plan, 415, 800, 5_000));
    }
    if draws.chance(What::Plan, 416, 667) {
        faults.lost_message = draws.range(What::Plan, 417, 1, 100);
    }
    if profile == Profile::Consume && draws.chance(What::Plan, 418, 150) {
        faults.lost_tail = Span::from_millis(draws.range(What::Plan, 419, 3_000, 9_000));
        // Bytes from before the loss would meet sequences that were given again.
        faults.late_request = 0;
        faults.twice = 0;
    }
    readers
}

/// A node is well for half of the time at least, whatever the seed has: else nothing is ever done. What
/// lasts comes less often where it is too much.
fn spread(faults: &mut Faults, ttl: Span, nodes: usize) {
    let second = Span::from_secs(1);
    let mut lasting = [
        (&mut faults.cut, ttl),
        (&mut faults.cut_in, ttl),
        (&mut faults.cut_out, ttl),
        (&mut faults.clog, ttl),
        (&mut faults.slow_node, ttl),
        (&mut faults.partition, ttl),
        (&mut faults.suspend, ttl.saturating_mul(2)),
        (&mut faults.crash, second),
        (&mut faults.pause, second),
        (&mut faults.link_down, second),
    ];
    let per_mille = |(mean, length): &(&mut Span, Span)| match mean.as_nanos() {
        0 => 0,
        mean => length.as_nanos().saturating_mul(1_000) / mean,
    };
    let all: u64 = lasting.iter().map(per_mille).sum();
    let most = 500 * nodes as u64;
    for (mean, _) in &mut lasting {
        let longer = u128::from(mean.as_nanos()) * u128::from(all.max(most)) / u128::from(most);
        **mean = Span::from_nanos(u64::try_from(longer).unwrap_or(u64::MAX));
    }
}

/// Of what goes wrong that which befalls nodes alone.
fn of_nodes(faults: &Faults) -> Faults {
    let often = |mean: Span, else_ms| match mean == Span::ZERO {
        true => Span::from_millis(else_ms),
        false => mean,
    };
    Faults {
        crash: often(faults.crash, 4_000),
        pause: faults.pause,
        link_down: faults.link_down,
        drain: often(faults.drain, 6_000),
        slow_node: faults.slow_node,
        ..Faults::default()
    }
}

/// Of what goes wrong that which befalls requests and the store's servers.
fn of_store(faults: &Faults, draws: &mut Draws) -> Faults {
    let mut rate = |part, per_mille_max| {
        let there = draws.chance(What::Plan, part, 667);
        let rate = draws.range(What::Plan, part, 1, per_mille_max);
        if there { rate } else { 0 }
    };
    let (stale_read, old_leader) = (rate(406, 300), rate(407, 60));
    let mut every = |part, least_ms, most_ms| {
        let there = draws.chance(What::Plan, part, 667);
        let mean = draws.range(What::Plan, part, least_ms, most_ms);
        Span::from_millis(if there { mean } else { 0 })
    };
    Faults {
        lost_request: faults.lost_request,
        lost_answer: faults.lost_answer,
        late_request: faults.late_request,
        twice: faults.twice,
        slow: faults.slow,
        refusal: faults.refusal,
        full: faults.full,
        stale_read,
        old_leader,
        absent_body: faults.absent_body,
        damaged_body: faults.damaged_body,
        lost_bodies: faults.lost_bodies,
        leader_change: every(408, 300, 3_000),
        election: every(409, 8_000, 20_000),
        store_step: faults.store_step,
        lost_announcement: faults.lost_announcement,
        ..Faults::default()
    }
}

//! What befalls requests, frames and nodes in a run, and how often.

use super::Profile;
use crate::draw::{Draws, What};
use tenure_core::Span;
use tenure_core::format::WriteMode;

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
    /// When an answer comes as its node gives up waiting.
    pub held_answer: u64,
    /// When a request that is one of few and decides much, such as a claim, is lost, or its answer is
    /// lost or held up: each in so many of 1,000, beside what befalls all requests.
    pub seldom: u64,
    /// When a host takes long over its work.
    pub slow_work: u64,
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
    /// When the store refuses most writes for a while.
    pub overload: Span,
    /// When a node's record is removed while the node lives.
    pub removed_member: Span,
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
    /// When the membership stream comes back without its end.
    pub lost_members: Span,
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
    /// When a node does not reach the store for a while, nor hears of it.
    pub cut: Span,
    /// When a node hears nothing of the store for a while, and its requests get there.
    pub cut_in: Span,
    /// When a node's requests do not reach the store for a while, and it hears of it.
    pub cut_out: Span,
    /// When a node's link holds up what goes over it for a while.
    pub clog: Span,
    /// When a node hears from the store later and later, and then nothing for longer than its lease.
    pub dying_link: Span,
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
    /// When one node at a time is gone, or stands still for longer than its lease.
    pub kill: Span,
    /// When all that a node does takes long for a while.
    pub slow_node: Span,
    /// Whether nodes' monotonic clocks run too fast or too slow, each within the bound that leases rest on.
    pub drift: bool,
    /// When a node's monotonic clock jumps forward by more than any bound.
    pub clock_jump: Span,
    /// When a node's monotonic clock stands still while the node runs.
    pub clock_freeze: Span,
    /// When the store's wall clock is set.
    pub store_step: Span,
    /// When the latest ownership record of a shard is deleted.
    pub lost_record: Span,
    /// When the store forgets the consumers of a stream.
    pub consumer_lost: Span,
    /// When a message that a fetch brings is lost on its way.
    pub lost_message: u64,
}

impl Faults {
    pub(super) fn draw(
        draws: &mut Draws,
        profile: Profile,
        replicated: bool,
        shards: &[WriteMode],
    ) -> Self {
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
            Profile::Kill => {
                faults.drift = draws.chance(What::Plan, 235, 500);
                faults.kill = Span::from_secs(1);
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
            | Profile::Storm
            | Profile::Consume
            | Profile::Group
            | Profile::Effect => {}
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
        // A sound wire loses nothing, and may be slow all the same.
        let mut slowness = |part, per_mille_max| {
            let there = draws.chance(What::Plan, part, 500);
            let rate = draws.range(What::Plan, part, 1, per_mille_max);
            if there { rate } else { 0 }
        };
        faults.held_answer = slowness(113, 40);
        faults.slow_work = slowness(115, 20);
        let seldom = slowness(114, 200);
        if !matches!(profile, Profile::Churn | Profile::Drift) {
            faults.seldom = seldom;
        }
        let drifts = profile == Profile::Drift || draws.chance(What::Plan, 235, 667);
        faults.drift = profile.is_cluster() && drifts;
        let nodes_fail = match profile {
            Profile::Churn
            | Profile::Swarm
            | Profile::Drift
            | Profile::TakeOver
            | Profile::Kill
            | Profile::Storm
            | Profile::Consume
            | Profile::Group
            | Profile::Effect => true,
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
        faults.overload = every(207, !sound, 1_000, 5_000);
        faults.leader_change = every(201, replicated, 300, 3_000);
        faults.crash = every(202, nodes_fail, 700, 4_000);
        faults.pause = every(203, nodes_fail, 500, 4_000);
        faults.link_down = every(204, nodes_fail, 500, 4_000);
        faults.slow_node = every(229, nodes_fail, 1_000, 8_000);
        let parts = match profile {
            Profile::Swarm
            | Profile::Partition
            | Profile::Storm
            | Profile::Consume
            | Profile::Group
            | Profile::Effect => true,
            Profile::Calm
            | Profile::Direct
            | Profile::Owned
            | Profile::Replicated
            | Profile::Churn
            | Profile::Tail
            | Profile::Cluster
            | Profile::Drift
            | Profile::TakeOver
            | Profile::Kill => false,
        };
        faults.cut_in = every(230, parts, 1_000, 8_000);
        faults.cut_out = every(231, parts, 1_000, 8_000);
        faults.clog = every(232, parts, 1_000, 8_000);
        if profile.is_cluster() {
            let stands = matches!(profile, Profile::Drift | Profile::Storm);
            faults.partition = every(210, parts, 1_000, 8_000);
            faults.cut = every(211, parts, 1_000, 8_000);
            faults.dying_link = every(230, parts || stands, 2_000, 10_000);
            faults.election = every(212, stands && replicated, 8_000, 20_000);
            faults.suspend = every(213, stands, 2_000, 10_000);
            faults.removed_member = every(219, parts || stands, 2_000, 10_000);
            faults.wall_step = every(214, stands, 500, 4_000);
            faults.store_step = every(224, stands, 1_000, 8_000);
            faults.join = every(215, true, 2_000, 8_000);
            faults.drain = every(216, true, 2_000, 8_000);
            // They void what is promised of the leased class, so most seeds do without.
            let wrong = |part, draws: &mut Draws| {
                let there = profile == Profile::Storm && draws.chance(What::Plan, part, 120);
                let mean = draws.range(What::Plan, part + 1, 1_000, 8_000);
                Span::from_millis(if there { mean } else { 0 })
            };
            faults.clock_jump = wrong(225, draws);
            faults.clock_freeze = wrong(227, draws);
            let loses = profile == Profile::Storm && draws.chance(What::Plan, 217, 250);
            if loses {
                let mean = draws.range(What::Plan, 218, 3_000, 12_000);
                faults.lost_members = Span::from_millis(mean);
            }
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
        // It voids nearly everything of the shards that it meets, so most seeds do without.
        let deleted = draws.chance(What::Plan, 233, 100);
        let mean = draws.range(What::Plan, 234, 3_000, 9_000);
        if deleted && owned && profile.is_everything() {
            faults.lost_record = Span::from_millis(mean);
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

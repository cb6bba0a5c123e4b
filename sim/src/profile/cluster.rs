//! What a run's nodes are as a cluster: their leases, clocks, lanes and weights.

use super::Profile;
use crate::draw::{Draws, What};
use tenure_core::Span;
use tenure_core::lease::Terms;

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
    /// Whether a node that was taken for over joins again by itself; else its program is started again.
    pub rejoin: bool,
    /// Whether the last node only asks, and owns nothing.
    pub client: bool,
}

impl ClusterPlan {
    pub(super) fn draw(
        draws: &mut Draws,
        profile: Profile,
        nodes: usize,
        replicated: bool,
    ) -> Self {
        let mut range = |part, min, max| draws.range(What::Plan, part, min, max);
        let size = |n: u64| usize::try_from(n).expect("a small number");
        let drifts = match profile {
            Profile::Drift => true,
            Profile::Storm
            | Profile::Consume
            | Profile::Group
            | Profile::Effect
            | Profile::Kill => range(300, 0, 1) == 1,
            Profile::Calm
            | Profile::Direct
            | Profile::Owned
            | Profile::Replicated
            | Profile::Churn
            | Profile::Swarm
            | Profile::Tail
            | Profile::Cluster
            | Profile::Partition
            | Profile::TakeOver => false,
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
            started: match profile {
                Profile::Kill => nodes,
                Profile::Calm
                | Profile::Direct
                | Profile::Owned
                | Profile::Replicated
                | Profile::Churn
                | Profile::Swarm
                | Profile::Tail
                | Profile::Cluster
                | Profile::Partition
                | Profile::Drift
                | Profile::TakeOver
                | Profile::Storm
                | Profile::Consume
                | Profile::Group
                | Profile::Effect => size(range(370, 2, nodes as u64)),
            },
            silent: profile != Profile::Cluster && range(371, 0, 3) == 0,
            rejoin: range(374, 0, 3) > 0,
            client: nodes > 3 && range(373, 0, 3) == 0,
            twin: !matches!(profile, Profile::Cluster | Profile::Kill) && range(372, 0, 3) == 0,
        }
    }
}

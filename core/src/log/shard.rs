//! The machine itself: one step, routed to the concern that it is about.

use super::{Effect, Input, ShardConfig};
use crate::step::{Cx, Deadline, Effects, Limits, Machine};

/// The event log of one (class, shard) on one node.
#[derive(Clone, Debug)]
pub struct Shard {
    config: ShardConfig,
    limits: Limits,
}

impl Shard {
    /// A shard that knows nothing yet and waits for `Input::Up`.
    pub fn new(config: ShardConfig, limits: Limits) -> Self {
        Self { config, limits }
    }

    /// What this shard is.
    pub fn config(&self) -> &ShardConfig {
        &self.config
    }

    /// The limits it keeps.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
}

impl Machine for Shard {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, _: &mut Cx<'_>, _: Input, _: &mut Effects<Effect>) {}

    fn next_deadline(&self) -> Option<Deadline> {
        None
    }
}

//! What a store learns when a run begins.

use super::StoreError;
use super::keeper::Keeper;
use crate::format::{Mark, Position, Unknown};
use crate::id::{Incarnation, LayoutId};
use crate::name::ConsumerName;
use crate::projection::StateFault;

/// A run of a projection that takes its state over.
#[derive(Clone, Debug)]
pub struct Claim {
    pub(super) projection: ConsumerName,
    pub(super) layout: LayoutId,
    pub(super) streams: u16,
    pub(super) definition: u64,
    pub(super) version: u32,
    pub(super) run: Incarnation,
    pub(super) node: String,
    /// Whatever is there is replaced.
    pub(super) reset: bool,
    pub(super) keeper: Keeper,
}

/// Where a run goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// From the state that is there; the mark that says whose it is now.
    Goes(Mark),
    /// With the first event and an empty state, whatever is there; the mark to begin with.
    Begins(Mark),
}

impl Claim {
    /// The projection.
    pub fn projection(&self) -> &str {
        self.projection.as_str()
    }

    /// The version of what it makes of events.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Whether it begins anew whatever is there, also what cannot be read.
    pub fn is_reset(&self) -> bool {
        self.reset
    }

    /// What becomes of the state whose mark was found, and of one without a mark.
    ///
    /// # Errors
    ///
    /// When the state is of another log, of another projection, of other events or of a newer version, and
    /// no reset is wished for.
    pub fn judge(&self, found: Option<&Mark>) -> Result<Standing, StoreError> {
        let Some(found) = found else {
            return Ok(Standing::Begins(self.first(1)));
        };
        let next = Standing::Begins(self.first(found.generation.saturating_add(1)));
        if self.reset {
            return Ok(next);
        }
        let projection = self.projection.clone();
        if found.layout != self.layout || found.positions.len() != usize::from(self.streams) {
            return Err(StoreError::State(StateFault::OtherLayout {
                projection,
                expected: self.layout,
                found: found.layout,
            }));
        }
        if found.projection != projection {
            return Err(StoreError::State(StateFault::OtherProjection {
                projection,
                found: found.projection.clone(),
            }));
        }
        if found.version > self.version {
            return Err(StoreError::State(StateFault::NewerVersion {
                projection,
                wanted: self.version,
                found: found.version,
            }));
        }
        if found.version < self.version {
            return Ok(next);
        }
        if found.definition != self.definition {
            return Err(StoreError::State(StateFault::OtherDefinition {
                projection,
                wanted: self.definition,
                found: found.definition,
            }));
        }
        let mark = self.mark(found.generation, found.positions.clone());
        let unknown = found.unknown.clone();
        Ok(Standing::Goes(Mark { unknown, ..mark }))
    }

    /// The mark of a state that holds nothing yet, in the so manieth life.
    pub fn first(&self, generation: u64) -> Mark {
        self.mark(generation, vec![Position::START; usize::from(self.streams)])
    }

    fn mark(&self, generation: u64, positions: Vec<Position>) -> Mark {
        Mark {
            layout: self.layout,
            projection: self.projection.clone(),
            definition: self.definition,
            version: self.version,
            generation,
            positions,
            run: self.run,
            node: self.node.clone(),
            time: self.keeper.wall(),
            state: None,
            unknown: Unknown::default(),
        }
    }
}

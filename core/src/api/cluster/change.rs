//! Changing what a node says of itself while it runs.

use crate::node::{About, ConfigError};
use std::collections::BTreeMap;

/// What a node is to say of itself from now on; what is not named stays as it is.
///
/// ```
/// use tenure_core::api::NodeChange;
///
/// let change = NodeChange::new().weight(50).label("disk", "slow").without_label("draining");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "it changes nothing until a cluster handle's `describe` is given it"]
pub struct NodeChange {
    labels: BTreeMap<String, Option<String>>,
    zone: Option<Option<String>>,
    weight: Option<u16>,
    program: Option<String>,
}

/// A node says of itself what it said before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DescribeError {
    /// It would say too much.
    #[error(transparent)]
    Config(ConfigError),
    /// It is no member any more.
    #[error("this node is not in the cluster any more: it is {0}")]
    Gone(String),
    /// Its queue was full for as long as its `timeout`.
    #[error("too many requests are under way on this node; try again later")]
    Overloaded,
    /// It has stopped.
    #[error("the node has stopped")]
    Stopped,
}

impl NodeChange {
    /// A change of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A label, new or in the place of one of its name.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), Some(value.into()));
        self
    }

    /// No label of this name.
    pub fn without_label(mut self, name: impl Into<String>) -> Self {
        self.labels.insert(name.into(), None);
        self
    }

    /// Where it stands.
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.zone = Some(Some(zone.into()));
        self
    }

    /// No word of where it stands.
    pub fn without_zone(mut self) -> Self {
        self.zone = Some(None);
        self
    }

    /// Its share of the shards beside the others' weights; 0 owns nothing. Shards move when the change
    /// has settled, as when a node came or went.
    pub fn weight(mut self, weight: u16) -> Self {
        self.weight = Some(weight);
        self
    }

    /// The version of the program, for people.
    pub fn program(mut self, version: impl Into<String>) -> Self {
        self.program = Some(version.into());
        self
    }

    /// What it says then, who said this before.
    pub(crate) fn of(self, mut about: About) -> About {
        for (name, value) in self.labels {
            match value {
                Some(value) => drop(about.labels.insert(name, value)),
                None => drop(about.labels.remove(&name)),
            }
        }
        about.zone = self.zone.unwrap_or(about.zone);
        about.weight = self.weight.unwrap_or(about.weight);
        about.program = self.program.unwrap_or(about.program);
        about
    }
}

//! What a node is, what it says of itself, and whether it can.

use super::Role;
use crate::format::{FrameVersions, Member, MemberState, TakeOver, Unknown};
use crate::id::Incarnation;
use crate::lease::{Terms, TermsError};
use crate::name::{ConsumerName, KindName, Namespace, NodeName};
use crate::step::Limits;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

/// What a node is, and what it says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct NodeConfig {
    /// The namespace.
    pub namespace: Namespace,
    /// The node's name.
    pub name: NodeName,
    /// This run of it.
    pub incarnation: Incarnation,
    /// What the namespace's nodes agree on about leases.
    pub terms: Terms,
    /// What it says of itself.
    pub about: About,
    /// Whether it joins again by itself, as another run, when this one was taken for over.
    pub rejoin: bool,
}

/// What a node says of itself to the others.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct About {
    /// Whether it may own shards.
    pub role: Role,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
    /// Where it stands, such as a rack or a data centre.
    pub zone: Option<String>,
    /// Its share of the shards beside the others' weights; 100 is the usual one, 0 owns nothing.
    pub weight: u16,
    /// The classes whose shards it may own: those of which its program has a kind or an actor.
    pub classes: BTreeSet<TakeOver>,
    /// The kinds of entities and actors that it serves. `None`: its program is older than this field,
    /// and may serve any.
    pub kinds: Option<BTreeSet<KindName>>,
    /// The groups of consumers of which it takes partitions.
    pub groups: BTreeSet<ConsumerName>,
    /// How many lanes it listens on; a shard's requests go to lane `shard mod lanes`.
    pub lanes: u16,
    /// The versions of frames that it reads and writes.
    pub frames: FrameVersions,
    /// The version of the program, for people.
    pub program: String,
}

/// A configuration that cannot be, and what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum ConfigError {
    /// The terms of leases cannot work.
    #[error(transparent)]
    Terms(TermsError),
    /// It listens nowhere.
    #[error("a node listens on at least one lane; give it one")]
    NoLanes,
    /// It says too much of itself.
    #[error(
        "what the node says of itself has {bytes} bytes, {bytes_max} are allowed (member_bytes_max); shorten its labels, serve fewer kinds, or run fewer groups"
    )]
    TooLarge {
        /// Its size, in bytes.
        bytes: usize,
        /// What is allowed, in bytes.
        bytes_max: usize,
    },
}

impl NodeConfig {
    /// Whether a node can be so. `clustered`: the store is a cluster of servers.
    ///
    /// ```
    /// use tenure_core::id::Incarnation;
    /// use tenure_core::lease::Terms;
    /// use tenure_core::name::{Namespace, NodeName};
    /// use tenure_core::node::{About, NodeConfig, Role};
    /// use tenure_core::{Limits, Span};
    ///
    /// let config = NodeConfig {
    ///     namespace: Namespace::new("bank")?,
    ///     name: NodeName::new("node-1")?,
    ///     incarnation: Incarnation(0x14c0),
    ///     terms: Terms::of_ttl(Span::from_secs(3)),
    ///     about: About::new(Role::Owner),
    ///     rejoin: true,
    /// };
    /// assert!(config.check(&Limits::default(), false).is_ok());
    /// let error = config.check(&Limits::default(), true).unwrap_err();
    /// assert!(error.to_string().contains("make its ttl longer"));
    /// # Ok::<_, tenure_core::name::NameError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When it cannot; the error says what to change.
    pub fn check(&self, limits: &Limits, clustered: bool) -> Result<(), ConfigError> {
        self.terms.check(clustered).map_err(ConfigError::Terms)?;
        if self.about.lanes == 0 {
            return Err(ConfigError::NoLanes);
        }
        let bytes = self.about.stored_bytes(self.terms);
        let bytes_max = limits.member_bytes_max;
        if bytes > bytes_max {
            return Err(ConfigError::TooLarge { bytes, bytes_max });
        }
        Ok(())
    }
}

impl About {
    /// The usual of a role: one lane, a weight of 100, no labels, no classes, no kinds, no groups.
    pub fn new(role: Role) -> Self {
        Self {
            role,
            labels: BTreeMap::new(),
            zone: None,
            weight: 100,
            classes: BTreeSet::new(),
            kinds: Some(BTreeSet::new()),
            groups: BTreeSet::new(),
            lanes: 1,
            frames: FrameVersions::THIS,
            program: String::new(),
        }
    }

    /// The kinds that it serves and another does not; none when one of the two does not say.
    pub fn kinds_beyond(&self, other: &Self) -> Vec<KindName> {
        match (&self.kinds, &other.kinds) {
            (Some(mine), Some(theirs)) => mine.difference(theirs).cloned().collect(),
            (None, _) | (_, None) => Vec::new(),
        }
    }

    /// At most how many bytes it takes in a record, the record's own fields with it.
    pub(super) fn stored_bytes(&self, terms: Terms) -> usize {
        let record = Member {
            incarnation: Incarnation(0),
            state: MemberState::Up,
            beats: 0,
            terms,
            about: self.clone(),
            replaced: Vec::new(),
            marks: Vec::new(),
            unknown: Unknown::default(),
        };
        record.encoded_len_max()
    }
}

#[cfg(test)]
mod tests {
    use super::{About, ConfigError, NodeConfig};
    use crate::id::Incarnation;
    use crate::lease::Terms;
    use crate::name::{Namespace, NodeName};
    use crate::node::Role;
    use crate::step::Limits;
    use alloc::string::ToString;

    #[test]
    fn a_node_that_cannot_be_is_told_so() {
        let config = |about| NodeConfig {
            namespace: Namespace::new("bank").unwrap(),
            name: NodeName::new("a").unwrap(),
            incarnation: Incarnation(1),
            terms: Terms::single(),
            about,
            rejoin: true,
        };
        let limits = Limits::default();
        let usual = About::new(Role::Client);
        assert_eq!(config(usual.clone()).check(&limits, false), Ok(()));
        let mut wordy = usual.clone();
        wordy
            .labels
            .insert("text".into(), "x".repeat(limits.member_bytes_max));
        let error = config(wordy).check(&limits, false).unwrap_err().to_string();
        assert!(
            error.contains("16384 are allowed (member_bytes_max)"),
            "{error}"
        );
        let deaf = About { lanes: 0, ..usual };
        assert_eq!(
            config(deaf).check(&limits, false),
            Err(ConfigError::NoLanes)
        );
    }
}

//! What a node says of itself when it is asked.

use crate::driver::cluster::Membership;
use crate::format::{Codec, TakeOver};
use crate::id::{ClaimId, Epoch, Incarnation, Sequence, ShardId};
use crate::node::Role;
use crate::shard::Place;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How it crosses the wire.
pub(crate) const INFO_CODEC: Codec = Codec::Cbor;

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NodeInfo {
    /// Its name.
    pub name: String,
    /// This run of it, in hexadecimal digits.
    pub run: String,
    /// The version of its program.
    pub program: String,
    /// The kinds of entities and actors that it serves, by name; none when its program is too old to
    /// say.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Where it stands.
    pub zone: Option<String>,
    /// Its share of the shards.
    pub weight: u16,
    /// Whether it only asks.
    pub client: bool,
    /// How many lanes it listens on.
    pub lanes: u16,
    /// The shards that it owns, with their epochs.
    pub shards: Vec<OwnedShard>,
}

/// A shard that a node owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OwnedShard {
    /// Its number.
    pub shard: u16,
    /// Whether it is of the leased class.
    pub leased: bool,
    /// The sequence of the record that is its epoch.
    pub epoch: u64,
    /// The claim id in that record.
    pub claim: u128,
}

impl OwnedShard {
    /// Which shard of which class.
    pub fn place(&self) -> Place {
        Place {
            class: if self.leased {
                TakeOver::Leased
            } else {
                TakeOver::Fenced
            },
            shard: ShardId(self.shard),
        }
    }

    /// Its fencing token.
    pub fn epoch(&self) -> Epoch {
        Epoch {
            sequence: Sequence(self.epoch),
            claim: ClaimId(self.claim),
        }
    }
}

impl NodeInfo {
    /// What lane 0 told of a run of this node.
    pub(crate) fn of(membership: &Membership, run: Incarnation, name: &str) -> Self {
        let about = membership.view.peer_of(run).map(|(_, peer)| &peer.about);
        let rows = membership.table.rows.iter();
        let owned = rows.filter(|(_, row)| row.owner == run);
        Self {
            name: name.to_owned(),
            run: run.to_string(),
            program: about.map_or_else(String::new, |about| about.program.clone()),
            kinds: about
                .and_then(|about| about.kinds.as_ref())
                .map_or_else(Vec::new, |kinds| {
                    kinds.iter().map(ToString::to_string).collect()
                }),
            labels: about.map_or_else(BTreeMap::new, |about| about.labels.clone()),
            zone: about.and_then(|about| about.zone.clone()),
            weight: about.map_or(0, |about| about.weight),
            client: about.is_some_and(|about| about.role == Role::Client),
            lanes: about.map_or(0, |about| about.lanes),
            shards: owned
                .map(|(place, row)| OwnedShard {
                    shard: place.shard.0,
                    leased: place.class == TakeOver::Leased,
                    epoch: row.epoch.sequence.0,
                    claim: row.epoch.claim.0,
                })
                .collect(),
        }
    }
}

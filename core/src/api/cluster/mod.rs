//! A node's place in a cluster: how it joins, what it sees, and how it leaves.

mod change;
mod handle;
mod info;
mod options;
mod view;

pub use change::{DescribeError, NodeChange};
pub use handle::{ClusterHandle, NodeRef, ShardRef, WaitError};
pub use info::{NodeInfo, OwnedShard};
pub use options::Cluster;
pub use view::{ClusterView, NodeView};

pub(crate) use info::INFO_CODEC;

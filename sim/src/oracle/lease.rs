//! At most one node acts for a leased shard at any time (P3): the times in which nodes may act for
//! one do not overlap, in truth, whatever their clocks show within the bound.

use super::{Happened, Oracle, Seen, View};
use std::collections::BTreeMap;
use tenure_core::Span;

type Node = (usize, u32);

#[derive(Debug, Default)]
pub(super) struct Lease {
    /// Until when each node may act, by shard.
    acts: BTreeMap<usize, BTreeMap<Node, u64>>,
}

impl Oracle for Lease {
    fn name(&self) -> &'static str {
        "lease"
    }

    fn judge(&mut self, _: View<'_>, seen: Seen<'_>) -> Result<(), String> {
        let Seen::Cluster(happened) = seen else {
            return Ok(());
        };
        match happened {
            Happened::Acts {
                shard,
                node,
                at,
                until,
            } => {
                let acts = self.acts.entry(shard).or_default();
                acts.retain(|other, until| *other != node && *until > at);
                let Some(until) = until.filter(|until| *until > at) else {
                    return Ok(());
                };
                if let Some(((other, life), end)) = acts.first_key_value() {
                    let (name, own) = node;
                    return Err(format!(
                        "n{name}.{own} may act for s{shard}, and n{other}.{life} may for another {}",
                        Span::from_nanos(end.saturating_sub(at))
                    ));
                }
                acts.insert(node, until);
                Ok(())
            }
            Happened::Gone { node } => {
                for acts in self.acts.values_mut() {
                    acts.remove(&node);
                }
                Ok(())
            }
            Happened::Claimed { .. } => Ok(()),
        }
    }
}

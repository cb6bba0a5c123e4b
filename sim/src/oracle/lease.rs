//! At most one node acts for a leased shard at any time (P3): the times in which nodes may act for
//! one do not overlap, in truth, whatever their clocks show within the bound. And none of them answers
//! by its lease while another may act, though nothing has changed yet (P5).

use super::{Happened, Oracle, Seen, View};
use std::collections::BTreeMap;
use tenure_core::Span;
use tenure_core::id::Ticket;
use tenure_core::log::Freshness;

type Node = (usize, u32);

#[derive(Debug, Default)]
pub(super) struct Lease {
    /// Until when each node may act, by shard.
    acts: BTreeMap<usize, BTreeMap<Node, u64>>,
    /// Readers whose answer was begun while another node could act, and that node.
    beside: BTreeMap<(Node, Ticket), Node>,
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
            Happened::Answers {
                shard,
                node,
                at,
                readers,
            } => {
                let acts = self.acts.get(&shard).into_iter().flatten();
                let mut others = acts.filter(|(other, until)| **other != node && **until > at);
                if let Some((other, _)) = others.next() {
                    let of_it = readers.iter().map(|reader| ((node, *reader), *other));
                    self.beside.extend(of_it);
                }
                Ok(())
            }
            Happened::Answered {
                node,
                reader,
                freshness,
            } => {
                let beside = self.beside.remove(&(node, reader));
                if let Some((other, life)) = beside
                    && freshness == Freshness::Leased
                {
                    let (name, own) = node;
                    return Err(format!(
                        "n{name}.{own} answers {reader:?} by its lease, and n{other}.{life} may act"
                    ));
                }
                Ok(())
            }
            Happened::Gone { node } => {
                self.beside.retain(|(of, _), _| *of != node);
                for acts in self.acts.values_mut() {
                    acts.remove(&node);
                }
                Ok(())
            }
            Happened::Claimed { .. } | Happened::Departs { .. } => Ok(()),
        }
    }
}

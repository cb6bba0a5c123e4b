//! A handler of a partition acts only while the partition's record names its node: between the claim of its
//! run and the next one, in true time (Q1, Q2, Q4, P3). Held against that as long as leases mean something.

use super::Judged;
use super::past::Past;

pub(super) fn judge(past: &Past<'_>) -> Judged {
    for doing in past.doings().filter(|it| past.is_leased(it.at)) {
        let (run, place, at) = (doing.run, doing.place, doing.at);
        let Some((part, node)) = past.part_of(place).zip(past.nodes.get(&run)) else {
            continue;
        };
        let node = format!("n{node}");
        let record = past.record_at(part, at);
        let owner = record.filter(|record| record.owner.is_some());
        let owner = owner.map(|record| record.node.as_str());
        if owner != Some(node.as_str()) {
            return Err(format!(
                "run {run} on {node} acts for {place} of partition {part} at {at} ns, which is that of {owner:?}"
            ));
        }
    }
    Ok(())
}

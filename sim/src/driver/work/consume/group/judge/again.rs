//! What the stored record of a partition has behind it is not handed over again: whoever owns it goes on from
//! there (Q3). As long as leases mean something; a node that acts beside the owner goes by its own knowledge.

use super::super::super::judge::takes_in;
use super::Judged;
use super::past::Past;

pub(super) fn judge(past: &Past<'_>) -> Judged {
    for doing in past
        .doings()
        .filter(|it| it.begins && past.is_leased(it.at))
    {
        let (run, place) = (doing.run, doing.place);
        let Some(part) = past.part_of(place) else {
            continue;
        };
        let record = past.record_at(part, doing.at);
        if let Some(record) = record.filter(|it| takes_in(&it.positions, place)) {
            let positions = &record.positions;
            return Err(format!(
                "run {run} hands {place} over, which the checkpoint of partition {part} at {positions:?} has behind it"
            ));
        }
    }
    Ok(())
}

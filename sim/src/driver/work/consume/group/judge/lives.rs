//! What a group is told counts once: lives follow each other, each rewind that was asked for begins one at most,
//! and no partition is in a life that the group has not begun (Q7).

use super::Judged;
use super::past::Past;
use std::collections::BTreeMap;

pub(super) fn judge(past: &Past<'_>) -> Judged {
    let mut before = 1;
    for (at, told) in &past.stored.orders {
        if told.life != before && told.life != before + 1 {
            let life = told.life;
            return Err(format!(
                "the group comes from life {before} to {life} at {at} ns"
            ));
        }
        before = told.life;
    }
    let asked = past.ordered.rewinds;
    if before - 1 > asked {
        return Err(format!(
            "the group is in life {before}, and {asked} rewinds were asked for"
        ));
    }
    answers(past)?;
    for (part, records) in &past.stored.records {
        for (at, record) in records {
            let (life, group) = (record.generation, past.life_at(*at));
            if life > group {
                return Err(format!(
                    "partition {part} is in life {life} at {at} ns, and the group in {group}"
                ));
            }
        }
    }
    Ok(())
}

/// Who was told that a life has begun was told so after it had, and nobody else of the same.
fn answers(past: &Past<'_>) -> Judged {
    let mut told: BTreeMap<u64, u64> = BTreeMap::new();
    for (at, life) in &past.ordered.begun {
        if past.life_at(*at) < *life {
            return Err(format!(
                "somebody is told of life {life} at {at} ns, which has not begun"
            ));
        }
        if told.insert(*life, *at).is_some() {
            return Err(format!("two rewinds are told that they began life {life}"));
        }
    }
    Ok(())
}

//! A run ends for a reason that is there: it is superseded by another one that ran beside it, a stream has
//! lost its end when one had, an event stops it when that is its policy (C5, C7).

use super::super::book::{Act, Why};
use super::past::Past;
use super::{Judged, Known};
use std::collections::BTreeMap;
use tenure_core::api::consumer::Then;

pub(super) fn judge(past: &Past<'_>, known: &Known) -> Judged {
    // When each run began and ended, by the acts' numbers.
    let mut runs: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
    for (n, (_, act)) in past.acts.iter().enumerate() {
        if let Act::Begins { run, .. } = act {
            runs.insert(*run, (n, usize::MAX));
        }
        if let Act::Ended { run, .. } = act
            && let Some((_, end)) = runs.get_mut(run)
        {
            *end = n;
        }
    }
    for (_, act) in past.acts {
        let Act::Ended { run, why } = act else {
            continue;
        };
        let (began, ended) = runs.get(run).copied().unwrap_or_default();
        let beside = |(other, (from, to)): (&u64, &(usize, usize))| {
            other != run && *from < ended && *to > began
        };
        let has_reason = match why {
            Why::Stopped | Why::Store => true,
            Why::Superseded => runs.iter().any(beside),
            Why::TailLost => known.lost,
            Why::Poison => past.shape.policy.then == Then::Stop,
            Why::Other(_) => false,
        };
        if !has_reason {
            return Err(format!("run {run} ended without a reason: {why:?}"));
        }
    }
    Ok(())
}

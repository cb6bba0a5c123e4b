//! How long after its commit an event is in the state, at a rate.

use crate::sums::Sums;
use hdrhistogram::Histogram;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tenure::projection::{Memory, Projection};
use tenure::{Repository, Sequence};
use tenure_examples::Failure;
use tenure_examples::counter::{Add, Counter};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Delays, and how fast commits came.
#[derive(Debug)]
pub(crate) struct Delays {
    pub(crate) micros: Histogram<u64>,
    pub(crate) per_s: f64,
}

/// Commits so many commands each second, by a timetable. An event is in the state when whoever reads it sees
/// it, and its delay counts from the commit's acknowledgement.
pub(crate) async fn measure(
    counters: &Repository<Counter>,
    projection: &Projection<Memory<Sums>>,
    ids: &[String],
    (rate, seconds): (u32, u32),
) -> Result<Delays, Failure> {
    // When the projection had seen each place.
    let seen = Mutex::new(Vec::<(Sequence, Instant)>::new());
    let note = |status: &tenure::consumer::Status| {
        let upto = status
            .seen
            .first()
            .map_or(Sequence::NONE, |seen| seen.sequence);
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.last().is_none_or(|(last, _)| *last < upto) {
            seen.push((upto, Instant::now()));
        }
        false
    };
    let commits = commit(counters, ids, rate, seconds);
    let (commits, per_s) = tokio::select! {
        ended = projection.until_status(note) => return Err(format!("it ended: {ended:?}").into()),
        commits = commits => commits?,
    };
    let last = commits.iter().map(|(sequence, _)| *sequence).max();
    let last = last.unwrap_or(Sequence::NONE);
    // The last ones are waited for; who noted is gone, so their time is now.
    let patience = Duration::from_secs(60);
    projection
        .seen_at(tenure::consumer::Partition(0), last, patience)
        .await?;
    let mut seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    seen.push((last, Instant::now()));
    let mut micros = Histogram::new(3)?;
    for (sequence, acknowledged) in commits {
        let at = seen.partition_point(|(upto, _)| *upto < sequence);
        let delay = match seen.get(at) {
            Some((_, at)) => at.saturating_duration_since(acknowledged),
            None => continue,
        };
        micros.record(u64::try_from(delay.as_micros())?)?;
    }
    Ok(Delays { micros, per_s })
}

/// The commits with when each was acknowledged, and how many came in a second.
async fn commit(
    counters: &Repository<Counter>,
    ids: &[String],
    rate: u32,
    seconds: u32,
) -> Result<(Vec<(Sequence, Instant)>, f64), Failure> {
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = JoinSet::new();
    let (begin, all) = (Instant::now(), u64::from(rate) * u64::from(seconds));
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    let (mut sent, mut ids) = (0_u64, ids.iter().cycle());
    while sent < all {
        ticks.tick().await;
        let due = begin.elapsed().as_micros() * u128::from(rate) / 1_000_000;
        while u128::from(sent) < due && sent < all {
            sent += 1;
            let Some(id) = ids.next().cloned() else { break };
            let (counters, acknowledged) = (counters.clone(), Arc::clone(&acknowledged));
            tasks.spawn(async move {
                let receipt = counters.execute(&id, Add { amount: 1 }).receipt().await?;
                let now = Instant::now();
                let mut all = acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
                all.extend(receipt.sequence.map(|sequence| (sequence, now)));
                Ok::<(), Failure>(())
            });
            while let Some(done) = tasks.try_join_next() {
                done??;
            }
        }
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    let elapsed = begin.elapsed();
    let all = Arc::into_inner(acknowledged).ok_or("a command is under way")?;
    let all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    let count = u32::try_from(all.len())?;
    Ok((all, f64::from(count) / elapsed.as_secs_f64()))
}

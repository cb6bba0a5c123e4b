//! A run: events arrive while the process that projects them is killed, and then it is measured.

use crate::check;
use crate::delay::{self, Delays};
use crate::fleet::Victim;
use crate::options::Options;
use crate::poison::{self, Flat};
use crate::sums::{Sums, in_memory, read_sqlite};
use crate::victim::Told;
use async_nats::jetstream::stream::Stream;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tenure::projection::Snapshots;
use tenure::{Repository, Tenure};
use tenure_examples::counter::{Add, Counter};
use tenure_examples::load::{Progress, Where, Wish, drawn_seed, round};
use tenure_examples::{Failure, bare};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How fast something is read, in events per second.
#[derive(Clone, Copy, Debug)]
struct Rates {
    ours: f64,
    bare: f64,
}

pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    let seed = options.seed.unwrap_or_else(drawn_seed);
    let place = Where::prepare(Wish {
        place: options.shell,
        nats: options.nats.as_deref(),
        replicas: None,
        prefix: "projection",
        seed,
    })
    .await?;
    let folder = std::env::temp_dir().join(format!("tenure-projection-{seed:016x}"));
    std::fs::create_dir_all(&folder)?;
    let ran = told(&options, &place, &folder, seed).await;
    std::fs::remove_dir_all(&folder)?;
    place.clean().await?;
    let told = ran?;
    if options.json {
        println!("{told}");
    }
    Ok(())
}

async fn told(
    options: &Options,
    place: &Where,
    folder: &std::path::Path,
    seed: u64,
) -> Result<Value, Failure> {
    let builder = Tenure::builder().namespace(&place.namespace);
    let tenure = builder.start(&place.url).await?;
    let counters = tenure.repository::<Counter>().await?;
    let ids: Arc<[String]> = (0..options.keys).map(|n| format!("counter-{n}")).collect();
    // Killed while events arrive.
    let (victim, kills) = arrive(options, place, folder, &counters, &ids).await?;
    let context = bare::connect(&place.url).await?;
    let mut streams = bare::event_streams(&context, &place.namespace).await?;
    let ends = check::ends(&mut streams).await?;
    let projected = victim.finish(&ends).await?;
    let replayed = replay(&streams, &place.namespace).await?;
    let equal = held(&projected, &read_sqlite(folder)?, &replayed, options)?;
    println!(
        "killed {kills} times: both projections are what the replay of {} events comes to",
        replayed.events()
    );
    // What it costs.
    let rates = rates(&tenure, &streams, &place.namespace, options.events).await?;
    println!(
        "built anew at {:.0} events/s, the bare ordered consumer reads {:.0}: ratio {:.3}",
        rates.ours,
        rates.bare,
        rates.ours / rates.bare
    );
    let delays = delays(&tenure, &counters, &ids, options).await?;
    let delay = |at: f64| delays.micros.value_at_percentile(at);
    println!(
        "at {:.0} events/s an event is in the state {} µs after its commit, p99 {} µs",
        delays.per_s,
        delay(50.0),
        delay(99.0)
    );
    let Flat { before, after } = poison::measure(&tenure, options.retries).await?;
    println!(
        "{} tries of a poison event: {} KiB after a tenth of them, {} KiB after all",
        options.retries,
        before.unwrap_or(0) / 1_024,
        after.unwrap_or(0) / 1_024
    );
    tenure.stop().await;
    Ok(json!({
        "seed": seed,
        "events": replayed.events(),
        "keys": options.keys,
        "kills": kills,
        "equal": equal,
        "restored": projected.restored,
        "folded_by_the_last": projected.folded,
        "events_per_s": round(rates.ours, 1),
        "bare_per_s": round(rates.bare, 1),
        "ratio": round(rates.ours / rates.bare, 4),
        "rate": round(delays.per_s, 1),
        "delay_p50_us": delay(50.0),
        "delay_p99_us": delay(99.0),
        "retries": options.retries,
        "rss_before_bytes": before,
        "rss_after_bytes": after,
        "threads": options.threads,
    }))
}

/// Stores all events, and kills who projects them meanwhile; who does so in the end.
async fn arrive(
    options: &Options,
    place: &Where,
    folder: &std::path::Path,
    counters: &Repository<Counter>,
    ids: &Arc<[String]>,
) -> Result<(Victim, usize), Failure> {
    let progress = Progress::new(options.events);
    let done = Arc::new(AtomicU64::new(0));
    let mut writers = JoinSet::new();
    let next = Arc::new(AtomicU64::new(0));
    for _ in 0..options.outstanding {
        let (counters, ids, progress) = (counters.clone(), Arc::clone(ids), progress.clone());
        let (next, done, events) = (Arc::clone(&next), Arc::clone(&done), options.events);
        writers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= events {
                    return Ok::<(), Failure>(());
                }
                let id = usize::try_from(number).map_or(0, |n| n % ids.len());
                let amount = number % 97 + 1;
                counters.execute(&ids[id], Add { amount }).await?;
                done.fetch_add(1, Ordering::Relaxed);
                progress.one();
            }
        });
    }
    let mut victim = Victim::start(options, place, folder).await?;
    let mut kills = 0;
    for kill in 1..=options.kill as u64 {
        // Spread over the events, the last one before they end.
        let at = options.events * kill / (options.kill as u64 + 1);
        while done.load(Ordering::Relaxed) < at && !writers.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
            while let Some(ended) = writers.try_join_next() {
                ended??;
            }
        }
        victim.kill().await?;
        kills += 1;
        victim = Victim::start(options, place, folder).await?;
    }
    while let Some(ended) = writers.join_next().await {
        ended??;
    }
    progress.end();
    Ok((victim, kills))
}

async fn replay(streams: &[Stream], namespace: &str) -> Result<Sums, Failure> {
    let mut sums = Sums::default();
    check::read(streams, namespace, |payload| check::add(&mut sums, payload)).await?;
    Ok(sums)
}

/// Whether both projections are what the replay is, and that is what was stored.
fn held(told: &Told, table: &Sums, replayed: &Sums, options: &Options) -> Result<bool, Failure> {
    if replayed.events() != options.events {
        let (stored, read) = (options.events, replayed.events());
        return Err(format!("{stored} events were stored, and {read} are read back").into());
    }
    for (where_it_is, sums) in [("in memory", &told.sums), ("in SQLite", table)] {
        if sums != replayed {
            let (held, replayed) = (sums.events(), replayed.events());
            return Err(format!(
                "the projection {where_it_is} holds {held} events and not what the replay of {replayed} comes to"
            )
            .into());
        }
    }
    Ok(true)
}

/// How fast a projection is built from the first event, beside the bare client's ordered consumer; each
/// twice in turn, the better one of each.
async fn rates(
    tenure: &Tenure,
    streams: &[Stream],
    namespace: &str,
    events: u64,
) -> Result<Rates, Failure> {
    #[allow(clippy::cast_precision_loss, reason = "fewer than 2^40 events")]
    let rate = |events: u64, took: Duration| events as f64 / took.as_secs_f64();
    let mut best = Rates {
        ours: 0.0,
        bare: 0.0,
    };
    for turn in 0..2 {
        let (messages, took) = check::read(streams, namespace, |_| Ok(())).await?;
        best.bare = best.bare.max(rate(messages, took));
        let begun = Instant::now();
        let name = format!("again-{turn}");
        let projection = in_memory(tenure, &name, Snapshots::default())
            .start()
            .await?;
        let all = |status: &tenure::consumer::Status| status.handled >= events;
        projection.until_status(all).await?;
        best.ours = best.ours.max(rate(events, begun.elapsed()));
        projection.stop().await?;
    }
    Ok(best)
}

async fn delays(
    tenure: &Tenure,
    counters: &Repository<Counter>,
    ids: &[String],
    options: &Options,
) -> Result<Delays, Failure> {
    // From the snapshot of what was built before.
    let projection = in_memory(tenure, "again-0", Snapshots::default())
        .start()
        .await?;
    projection.live().await?;
    let asked = (options.rate, options.seconds);
    let delays = delay::measure(counters, &projection, ids, asked).await?;
    projection.stop().await?;
    Ok(delays)
}

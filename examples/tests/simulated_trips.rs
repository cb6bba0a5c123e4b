//! Sagas, effects and the bus on simulated clusters: whatever befalls nodes, store and network, trips are
//! booked as a whole or undone, what was intended is done, and what was stored is handed over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tenure::CommandOf;
use tenure::bus::Published;
use tenure::effect::{EffectCall, EffectPolicy};
use tenure::prelude::*;
use tenure::saga::{Saga, SagaPhase, SagaStatus, Start, Status};
use tenure::sim::{Seeds, Sim};
use tenure_examples::trip::{Booking, Fill, Left, Notice, Stock, Trip};

/// How many trips are booked, and events published.
const TRIPS: usize = 6;

/// What the outside was told of each trip, by the keys of effects; seeds run beside each other, and their
/// trips have names of their own.
static OUTSIDE: Mutex<BTreeMap<String, BTreeSet<String>>> = Mutex::new(BTreeMap::new());

/// Has something done, again and again until it is; with one id it is done once.
async fn done<A, C>(sim: &Sim, id: &str, command: impl Fn() -> C)
where
    A: Entity + Decide<C>,
    C: CommandOf<A>,
{
    let command_id = sim.tenure().await.command_id();
    loop {
        let entity = sim.tenure().await.entity::<A>(id);
        let ask = entity.ask(command()).id(command_id);
        if ask.timeout(Duration::from_secs(1)).await.is_ok() {
            return;
        }
        sim.sleep(Duration::from_millis(100)).await;
    }
}

async fn left(sim: &Sim, stock: &str) -> i64 {
    loop {
        let stock = sim.tenure().await.entity::<Stock>(stock);
        let read = stock.read(Left).freshness(Freshness::Linearizable);
        if let Ok(left) = read.await {
            return left;
        }
        sim.sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until a trip is at its end.
async fn ended(sim: &Sim, trip: &str) -> SagaStatus {
    loop {
        let trip = sim.tenure().await.entity::<Saga<Trip>>(trip);
        if let Ok(status) = trip.read(Status).await
            && matches!(status.phase, SagaPhase::Completed | SagaPhase::Compensated)
        {
            return status;
        }
        sim.sleep(Duration::from_millis(100)).await;
    }
}

/// Under how many keys the outside was told of a trip.
fn keys_of(trip: &str) -> usize {
    let outside = OUTSIDE.lock().unwrap_or_else(PoisonError::into_inner);
    outside.get(trip).map_or(0, BTreeSet::len)
}

async fn trips(sim: Sim) {
    let tag = sim.random(u64::MAX);
    let stocks = [("seats", 10, 1), ("rooms", 10, 1), ("rich", 10_000, 900)];
    for (stock, by, _) in stocks {
        done::<Stock, _>(&sim, stock, || Fill { by }).await;
    }
    let names: Vec<String> = (0..TRIPS).map(|n| format!("{tag}-{n}")).collect();
    for (n, name) in names.iter().enumerate() {
        let card = if n % 3 == 2 { "poor" } else { "rich" };
        let booking = || {
            Start(Booking {
                card: card.to_owned(),
                cents: 900,
            })
        };
        done::<Saga<Trip>, _>(&sim, name, booking).await;
    }
    sim.heal();
    let mut booked = 0;
    for (n, name) in names.iter().enumerate() {
        let phase = ended(&sim, name).await.phase;
        assert!(
            n % 3 != 2 || phase == SagaPhase::Compensated,
            "{n}: {phase:?}"
        );
        booked += i64::from(phase == SagaPhase::Completed);
        if phase == SagaPhase::Completed {
            // Each step has one effect, intended once: three keys, however often each was called.
            while keys_of(name) < 3 {
                sim.sleep(Duration::from_millis(100)).await;
            }
            assert_eq!(keys_of(name), 3, "{name}");
        }
    }
    for (stock, was, each) in stocks {
        assert_eq!(
            left(&sim, stock).await,
            was - booked * each,
            "{stock}, {booked} booked"
        );
    }
}

#[test]
fn trips_are_booked_as_a_whole_or_undone() {
    let name = "simulated_trips::trips_are_booked_as_a_whole_or_undone";
    let seeds = Seeds::new(name, "tenure-examples");
    seeds.count(8).faults("storm").run(
        |cluster| {
            let cluster = cluster.nodes(3).serve::<Stock>().serve::<Saga<Trip>>();
            cluster.effect(
                EffectPolicy::default(),
                |call: EffectCall<Notice>| async move {
                    let mut outside = OUTSIDE.lock().unwrap_or_else(PoisonError::into_inner);
                    let keys = outside.entry(call.effect.booking.clone()).or_default();
                    keys.insert(call.key());
                },
            )
        },
        trips,
    );
}

/// Events that are stored while nodes die get to a subscription that goes on wherever it is begun again.
async fn stored_events(sim: Sim) {
    let heard = Arc::new(Mutex::new(BTreeSet::new()));
    for n in 0..TRIPS {
        let booking = format!("trip-{n}");
        loop {
            let bus = sim.tenure().await.bus();
            let notice = Notice {
                booking: booking.clone(),
            };
            let publish = bus.publish("trips.booked", &notice).durable();
            if publish.timeout(Duration::from_secs(2)).await.is_ok() {
                break;
            }
            sim.sleep(Duration::from_millis(100)).await;
        }
    }
    sim.heal();
    loop {
        let bus = sim.tenure().await.bus();
        let hears = Arc::clone(&heard);
        let durable = bus.durable("audit", "trips.*");
        let started = durable.start(move |event: Published| {
            let notice = event.decode::<Notice>().expect("a notice");
            let mut heard = hears.lock().unwrap_or_else(PoisonError::into_inner);
            heard.insert(notice.booking);
            async {}
        });
        if let Ok(audit) = started.await {
            // It ends when its node does.
            let _ = audit.live().await;
        }
        let count = heard.lock().unwrap_or_else(PoisonError::into_inner).len();
        if count == TRIPS {
            return;
        }
        sim.sleep(Duration::from_millis(100)).await;
    }
}

#[test]
fn what_was_stored_on_the_bus_is_handed_over() {
    let name = "simulated_trips::what_was_stored_on_the_bus_is_handed_over";
    let seeds = Seeds::new(name, "tenure-examples");
    seeds
        .count(8)
        .faults("churn")
        .run(|cluster| cluster.nodes(3).serve::<Stock>(), stored_events);
}

//! Sagas, effects and the bus on simulated clusters: whatever befalls nodes, store and network, trips are
//! booked as a whole or undone, what was intended is done, and what was stored is handed over.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tenure::CommandOf;
use tenure::bus::Published;
use tenure::effect::{EffectCall, EffectHandler, EffectPolicy};
use tenure::prelude::*;
use tenure::saga::{Saga, SagaPhase, SagaStatus, Start, Status};
use tenure::sim::{Seeds, Sim};
use tenure_examples::trip::{Booking, Fill, Left, Notice, Stock, Trip};

/// How many trips are booked, and events published.
const TRIPS: usize = 6;

thread_local! {
    /// What the outside was told of each trip: by the keys of effects, how often. Each run has a thread of its
    /// own, on which all of it happens.
    static OUTSIDE: RefCell<BTreeMap<String, BTreeMap<String, u32>>> = RefCell::default();
}

/// Tells the outside.
fn notices() -> EffectHandler {
    EffectHandler::new(
        EffectPolicy::default(),
        |call: EffectCall<Notice>| async move {
            OUTSIDE.with_borrow_mut(|outside| {
                let keys = outside.entry(call.effect.booking.clone()).or_default();
                *keys.entry(call.key()).or_default() += 1;
            });
        },
    )
}

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

/// How often the outside was told of a trip under each key.
fn told_of(trip: &str) -> Vec<u32> {
    OUTSIDE.with_borrow(|outside| {
        let keys = outside.get(trip);
        keys.map_or_else(Vec::new, |keys| keys.values().copied().collect())
    })
}

#[tenure::sim_test(seeds = 8, faults = "storm", nodes = 3, serve(Stock, Saga<Trip>), effect(notices))]
async fn trips_are_booked_as_a_whole_or_undone(sim: Sim) {
    let stocks = [("seats", 10, 1), ("rooms", 10, 1), ("rich", 10_000, 900)];
    for (stock, by, _) in stocks {
        done::<Stock, _>(&sim, stock, || Fill { by }).await;
    }
    let names: Vec<String> = (0..TRIPS).map(|n| format!("trip-{n}")).collect();
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
            while told_of(name).len() < 3 {
                sim.sleep(Duration::from_millis(100)).await;
            }
            assert_eq!(told_of(name).len(), 3, "{name}");
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

/// The mistake: an outside that does not look at keys does some of it again.
async fn each_call_counts(sim: Sim) {
    done::<Stock, _>(&sim, "seats", || Fill { by: 10 }).await;
    for n in 0..TRIPS {
        let booking = || {
            Start(Booking {
                card: "seats".to_owned(),
                cents: 1,
            })
        };
        done::<Saga<Trip>, _>(&sim, &format!("trip-{n}"), booking).await;
    }
    sim.heal();
    for n in 0..TRIPS {
        ended(&sim, &format!("trip-{n}")).await;
    }
    // What was called twice was so by now, or is in another seed.
    let told = (0..TRIPS).flat_map(|n| told_of(&format!("trip-{n}")));
    assert_eq!(told.filter(|times| *times > 1).count(), 0);
}

#[test]
fn an_outside_that_does_not_look_at_keys_is_found() {
    let name = "simulated_trips::an_outside_that_does_not_look_at_keys_is_found";
    let seeds = Seeds::new(name, "tenure-examples");
    let found = seeds.count(100).faults("storm").find(
        |cluster| {
            let cluster = cluster.nodes(3).serve::<Stock>().serve::<Saga<Trip>>();
            cluster.effect_handler(notices())
        },
        each_call_counts,
    );
    let told = found.expect("a seed in which a call comes again");
    assert!(told.to_string().contains("left == right"), "{told}");
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

//! Books trips over entities of several shards: a seat, a room, and the money for both. A booking that
//! fails half way is undone, the last step first, also when the node that carried it out is gone.

use std::error::Error;
use std::time::Duration;
use tenure::effect::{EffectCall, EffectPolicy};
use tenure::prelude::*;
use tenure::saga::{Saga, SagaPhase, Start, Status};
use tenure_examples::trip::{Booking, Fill, Left, Notice, Stock, Trip};

async fn node(place: &str, name: &str) -> Result<Tenure, Box<dyn Error>> {
    let cluster = Cluster::named(name).settle(Duration::from_millis(50));
    let builder = Tenure::builder()
        .namespace("trips")
        .shards(16)
        .cluster(cluster);
    let builder = builder.serve::<Stock>().serve::<Saga<Trip>>();
    // Called at least once for each; a mail server would look at the key.
    let builder = builder.effect(
        EffectPolicy::default(),
        |call: EffectCall<Notice>| async move {
            let _notice = (call.effect.booking.as_str(), call.key());
        },
    );
    Ok(builder.start(place).await?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let place = std::env::args().nth(1);
    let place = place.unwrap_or_else(|| "mem:trips".to_owned());
    let (here, there) = (node(&place, "a").await?, node(&place, "b").await?);
    let patience = Duration::from_secs(30);
    for (stock, by) in [
        ("seats", 10),
        ("rooms", 10),
        ("rich", 100_000),
        ("poor", 100),
    ] {
        here.entity::<Stock>(stock)
            .ask(Fill { by })
            .timeout(patience)
            .await?;
    }
    for n in 0..8 {
        let card = if n % 4 == 3 { "poor" } else { "rich" };
        let booking = Booking {
            card: card.to_owned(),
            cents: 900,
        };
        let trip = there.entity::<Saga<Trip>>(format!("trip-{n}"));
        trip.ask(Start(booking)).timeout(patience).await?;
    }
    // It does not stop, it is gone: the other one goes on with what it had begun.
    drop(there);
    let mut booked = 0;
    for n in 0..8 {
        let trip = here.entity::<Saga<Trip>>(format!("trip-{n}"));
        let status = loop {
            let read = trip.read(Status).timeout(patience).await;
            match read {
                Ok(status) if status.phase == SagaPhase::Completed => break status,
                Ok(status) if status.phase == SagaPhase::Compensated => break status,
                Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        match status.why {
            None => {
                booked += 1;
                println!("trip-{n} is booked");
            }
            Some(why) => println!("trip-{n} is not booked: {why}"),
        }
    }
    for (stock, was, each) in [("seats", 10, 1), ("rooms", 10, 1), ("rich", 100_000, 900)] {
        let left = here.entity::<Stock>(stock).read(Left);
        let left = left
            .freshness(Freshness::Linearizable)
            .timeout(patience)
            .await?;
        println!("{left} left of {stock}");
        if left != was - booked * each {
            return Err(
                format!("{booked} trips are booked, and {left} of {stock} are left").into(),
            );
        }
    }
    here.stop().await;
    Ok(())
}

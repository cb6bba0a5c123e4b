//! Books trips over entities of several shards: a seat, a room, and the money for both. A booking that
//! fails half way is undone, the last step first, also when the node that carried it out is gone.

use clap::Parser;
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;
use tenure::effect::{EffectCall, EffectPolicy};
use tenure::prelude::*;
use tenure::saga::{Saga, SagaPhase, Start, Status};
use tenure_examples::cli::ended;
use tenure_examples::load::drawn_seed;
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

/// Books trips over seats, rooms and money, while one of two nodes dies.
///
/// It may be run again in the same place: each run books trips of its own.
#[derive(Clone, Debug, Parser)]
struct Options {
    /// Where the nodes meet: in memory as mem:NAME, or a nats-server such as nats://localhost:4222
    #[arg(default_value = "mem:trips")]
    place: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Options { place } = Options::parse();
    ended(run(&place).await)
}

async fn run(place: &str) -> Result<(), Box<dyn Error>> {
    let (here, there) = (node(place, "a").await?, node(place, "b").await?);
    let patience = Duration::from_secs(30);
    let left = async |stock: &str| {
        let left = here.entity::<Stock>(stock).read(Left);
        left.freshness(Freshness::Linearizable)
            .timeout(patience)
            .await
    };
    let before = [
        left("seats").await?,
        left("rooms").await?,
        left("rich").await?,
    ];
    let poor = 100 - left("poor").await?;
    let run = drawn_seed();
    let trip = |n| format!("trip-{run}-{n}");
    for (stock, by) in [
        ("seats", 10),
        ("rooms", 10),
        ("rich", 100_000),
        ("poor", poor),
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
        let trip = there.entity::<Saga<Trip>>(trip(n));
        trip.ask(Start(booking)).timeout(patience).await?;
    }
    // It does not stop, it is gone: the other one goes on with what it had begun.
    drop(there);
    let mut booked = 0;
    for n in 0..8 {
        let trip = here.entity::<Saga<Trip>>(trip(n));
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
    let filled = [("seats", 10, 1), ("rooms", 10, 1), ("rich", 100_000, 900)];
    for ((stock, more, each), before) in filled.into_iter().zip(before) {
        let left = left(stock).await?;
        println!("{left} left of {stock}");
        if left != before + more - booked * each {
            return Err(
                format!("{booked} trips are booked, and {left} of {stock} are left").into(),
            );
        }
    }
    here.stop().await;
    Ok(())
}

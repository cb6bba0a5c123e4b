//! How long a program keeps a projection that it started.

use super::super::super::sim::{Sim, Turn};
use super::super::consume::within;
use super::run::PATIENCE;
use std::future::Future;
use std::time::Duration;
use tenure_core::api::projection::{Projection, ProjectionError, ProjectionStore};
use tokio::sync::watch;

/// It is read until it ends, or its program has enough of it; what it ended with.
pub(super) async fn lasts<St: ProjectionStore>(
    sim: &Sim,
    (turn, well): (&Turn, bool),
    projection: &Projection<St>,
    reads: impl Future<Output = ()>,
    over: &mut watch::Receiver<bool>,
) -> Result<(), ProjectionError> {
    let stops = turn.random(3) == 0 && !well;
    let time = Duration::from_millis(300 + turn.random(6_000));
    let had_enough = async {
        match stops {
            true => sim.sleep(time).await,
            false => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        ended = projection.ended() => return ended,
        () = reads => {}
        () = had_enough => {}
        // Without a sender the run is over.
        _ = over.wait_for(|over| *over) => {}
    }
    within(sim, PATIENCE, projection.stop())
        .await
        .unwrap_or(Ok(()))
}

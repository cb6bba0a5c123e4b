//! Blue and green: a projection is built anew beside the one that serves, and takes its place in one step.

use super::handle::Inner;
use super::host::{AWAY_MAX, AWAY_MIN};
use super::run::{Begin, Run};
use super::{Projection, ProjectionStore, RebuildError, StoreError};
use crate::api::consumer::ConsumerError;
use crate::consumer::Status;
use crate::format::Position;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Who pauses the one that serves, for people.
const BY: &str = "its rebuild";

impl<St: ProjectionStore> Projection<St> {
    /// Builds it anew from the first event beside itself, and puts the new one in its place when that has
    /// caught up. Until then the old one serves and goes on; for the moment of the change it is paused, so
    /// that whoever has [seen](Self::seen) a commit sees it after that as well. The dead letters whose
    /// events the new one has taken in are removed.
    ///
    /// Cancel safe: it goes on.
    ///
    /// # Errors
    ///
    /// When one is under way, or the new one fails; the old one serves on then.
    pub async fn rebuild(&self) -> Result<(), RebuildError> {
        let under_way = || RebuildError::UnderWay {
            name: self.name().to_owned(),
        };
        if !self.run().is_serving() {
            return Err(under_way());
        }
        let rebuilding = &self.inner.rebuilding;
        if !rebuilding.send_if_modified(|begun| !std::mem::replace(begun, true)) {
            return Err(under_way());
        }
        let (done, rebuilt) = oneshot::channel();
        let inner = Arc::clone(&self.inner);
        let building = async move {
            let rebuilt = inner.rebuild().await;
            inner.rebuilding.send_replace(false);
            // Who does not wait any more looks at the status.
            let _ = done.send(rebuilt);
        };
        drop(self.inner.tenure.inner.handle.spawn(Box::pin(building)));
        match rebuilt.await {
            Ok(rebuilt) => rebuilt,
            Err(_) => Err(RebuildError::Blue(ConsumerError::NodeStopped.into())),
        }
    }
}

/// What became of green.
enum Built {
    /// It is in blue's place.
    Switched,
    /// It is not.
    Failed(RebuildError),
    /// Its store did not tell before blue ended.
    InDoubt(RebuildError),
}

impl<St: ProjectionStore> Inner<St> {
    pub(super) fn is_rebuilding(&self) -> bool {
        *self.rebuilding.borrow()
    }

    async fn rebuild(&self) -> Result<(), RebuildError> {
        let blue = Arc::clone(&self.run.borrow());
        let name = self.plan.name.as_str();
        tracing::info!(projection = name, "projection_rebuild_began");
        let failed = |error: StoreError| RebuildError::Green(self.plan.store_error(error));
        let store = Arc::new(blue.shared.store.green().await.map_err(failed)?);
        let green = Run::start(&self.tenure, &self.plan, Arc::clone(&store), Begin::Green);
        let green = match green.await {
            Ok(green) => green,
            Err(error) => {
                store.discard().await;
                return Err(RebuildError::Green(error));
            }
        };
        let ready = tokio::select! {
            biased;
            ended = blue.consumer.ended() => Err(blue_ended(&blue, ended)),
            ready = self.catches_up(&blue, &green) => ready,
        };
        // What is folded during the switch may not be in what that stores.
        let mark = green.shared.mark().clone();
        let built = match ready {
            Ok(was_paused) => self.switch(&blue, &green, was_paused).await,
            Err(error) => Built::Failed(error),
        };
        let (left, how) = match &built {
            Built::Switched => (&blue, "projection_rebuilt"),
            Built::Failed(_) | Built::InDoubt(_) => (&green, "projection_rebuild_failed"),
        };
        tracing::info!(projection = name, "{how}");
        // It had to end in any case; with what error means nothing any more.
        let _ = left.stop(self.tenure.inner.stop_timeout).await;
        match built {
            Built::Switched => {
                left.shared.store.discard().await;
                green.shared.clear_letters(&mark).await;
                Ok(())
            }
            Built::Failed(error) => {
                left.shared.store.discard().await;
                Err(error)
            }
            // What the next start may find is not discarded.
            Built::InDoubt(error) => Err(error),
        }
    }

    /// Waits until green has caught up, and is as far as blue, which is paused. Whether it was before.
    async fn catches_up(&self, blue: &Run<St>, green: &Run<St>) -> Result<bool, RebuildError> {
        let of_green = |error| RebuildError::Green(green.shared.why(error));
        let of_blue = |error| RebuildError::Blue(blue.shared.why(error));
        green.consumer.live().await.map_err(of_green)?;
        let paused = blue.consumer.status().paused;
        if paused.is_none() {
            blue.consumer.pause(BY).await.map_err(of_blue)?;
        }
        let even = async {
            let still = |status: &Status| status.running == 0;
            blue.consumer.until_status(still).await.map_err(of_blue)?;
            let upto = blue.consumer.status().seen;
            let far = |status: &Status| is_as_far(&status.seen, &upto);
            green.consumer.until_status(far).await.map_err(of_green)?;
            match &paused {
                Some(by) => green.consumer.pause(by.clone()).await.map_err(of_green),
                None => Ok(()),
            }
        };
        let even = even.await;
        if even.is_err() && paused.is_none() {
            blue.consumer.resume().await.map_err(of_blue)?;
        }
        even.map(|()| paused.is_some())
    }

    /// Puts green in blue's place.
    async fn switch(&self, blue: &Run<St>, green: &Arc<Run<St>>, was_paused: bool) -> Built {
        let promoted = tokio::select! {
            biased;
            promoted = self.promote(blue, green) => promoted,
            ended = blue.consumer.ended() => return Built::InDoubt(blue_ended(blue, ended)),
        };
        let error = match promoted {
            Ok(()) => {
                drop(self.run.send_replace(Arc::clone(green)));
                return Built::Switched;
            }
            Err(error @ StoreError::NodeStopped) => {
                return Built::InDoubt(RebuildError::Green(self.plan.store_error(error)));
            }
            Err(error) => RebuildError::Green(self.plan.store_error(error)),
        };
        let resumed = match was_paused {
            true => Ok(()),
            false => blue.consumer.resume().await,
        };
        Built::Failed(match resumed {
            Ok(()) => error,
            Err(stopped) => RebuildError::Blue(blue.shared.why(stopped)),
        })
    }

    /// Has green's store take blue's place. One that is away may have done so, and is asked until it tells.
    async fn promote(&self, blue: &Run<St>, green: &Run<St>) -> Result<(), StoreError> {
        let clock = &green.shared.claim.keeper.clock;
        let mut wait = AWAY_MIN;
        loop {
            let away = match green.shared.store.promote().await {
                Err(away @ StoreError::Away(_)) => away,
                promoted => return promoted,
            };
            let projection = self.plan.name.as_str();
            tracing::warn!(projection, error = %away, "projection_store_away");
            blue.shared.trouble().unsettled = Some(away);
            clock.sleep_until(clock.now() + wait).await;
            wait = wait.saturating_mul(2).min(AWAY_MAX);
        }
    }
}

fn blue_ended<St: ProjectionStore>(
    blue: &Run<St>,
    ended: Result<(), ConsumerError>,
) -> RebuildError {
    let error = ended.err().unwrap_or(ConsumerError::Stopped);
    RebuildError::Blue(blue.shared.why(error))
}

fn is_as_far(seen: &[Position], upto: &[Position]) -> bool {
    seen.iter().zip(upto).all(|(seen, upto)| seen >= upto)
}

//! Blue and green: a projection is built anew beside the one that serves, and takes its place in one step.

use super::handle::Inner;
use super::run::Run;
use super::{Projection, ProjectionStore, RebuildError, StoreError};
use crate::api::consumer::ConsumerError;
use crate::consumer::Status;
use crate::format::Position;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::oneshot;

/// Who pauses the one that serves, for people.
const BY: &str = "its rebuild";

impl<St: ProjectionStore> Projection<St> {
    /// Builds it anew from the first event beside itself, and puts the new one in its place when that has
    /// caught up. Until then the old one serves and goes on; for the moment of the change it is paused, so
    /// that whoever has [seen](Self::seen) a commit sees it after that as well.
    ///
    /// Cancel safe: it goes on.
    ///
    /// # Errors
    ///
    /// When one is under way, or the new one fails; the old one serves on then.
    pub async fn rebuild(&self) -> Result<(), RebuildError> {
        if self.inner.rebuilding.swap(true, Ordering::AcqRel) {
            let name = self.name().to_owned();
            return Err(RebuildError::UnderWay { name });
        }
        let (done, rebuilt) = oneshot::channel();
        let inner = Arc::clone(&self.inner);
        let building = async move {
            let rebuilt = inner.rebuild().await;
            inner.rebuilding.store(false, Ordering::Release);
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

impl<St: ProjectionStore> Inner<St> {
    pub(super) fn is_rebuilding(&self) -> bool {
        self.rebuilding.load(Ordering::Acquire)
    }

    async fn rebuild(&self) -> Result<(), RebuildError> {
        let blue = Arc::clone(&self.run.borrow());
        let name = self.plan.name.as_str();
        tracing::info!(projection = name, "projection_rebuild_began");
        let failed = |error: StoreError| RebuildError::Green(self.plan.store_error(error));
        let store = Arc::new(blue.shared.store.green().await.map_err(failed)?);
        let green = Run::start(&self.tenure, &self.plan, Arc::clone(&store), false);
        let green = match green.await {
            Ok(green) => green,
            Err(error) => {
                store.discard().await;
                return Err(RebuildError::Green(error));
            }
        };
        let built = tokio::select! {
            biased;
            ended = blue.consumer.ended() => {
                let error = ended.err().unwrap_or(ConsumerError::Stopped);
                Err(RebuildError::Blue(blue.shared.why(error)))
            }
            built = self.replace(&blue, &green) => built,
        };
        let (left, how) = match &built {
            Ok(()) => (&blue, "projection_rebuilt"),
            Err(_) => (&green, "projection_rebuild_failed"),
        };
        tracing::info!(projection = name, "{how}");
        // It had to end in any case; with what error means nothing any more.
        let _ = left.stop(self.tenure.inner.stop_timeout).await;
        left.shared.store.discard().await;
        built
    }

    /// Waits until green has caught up, and puts it in blue's place.
    async fn replace(&self, blue: &Run<St>, green: &Arc<Run<St>>) -> Result<(), RebuildError> {
        let of_green = |error| RebuildError::Green(green.shared.why(error));
        let of_blue = |error| RebuildError::Blue(blue.shared.why(error));
        green.consumer.live().await.map_err(of_green)?;
        let paused = blue.consumer.status().paused;
        if paused.is_none() {
            blue.consumer.pause(BY).await.map_err(of_blue)?;
        }
        let changed = async {
            let still = |status: &Status| status.running == 0;
            blue.consumer.until_status(still).await.map_err(of_blue)?;
            let upto = blue.consumer.status().seen;
            let far = |status: &Status| is_as_far(&status.seen, &upto);
            green.consumer.until_status(far).await.map_err(of_green)?;
            let promoted = green.shared.store.promote().await;
            promoted.map_err(|error| RebuildError::Green(self.plan.store_error(error)))
        };
        let changed = changed.await;
        match (&changed, paused) {
            (Ok(()), paused) => {
                drop(self.run.send_replace(Arc::clone(green)));
                if let Some(by) = paused {
                    green.consumer.pause(by).await.map_err(of_green)?;
                }
            }
            (Err(_), None) => blue.consumer.resume().await.map_err(of_blue)?,
            (Err(_), Some(_)) => {}
        }
        changed
    }
}

fn is_as_far(seen: &[Position], upto: &[Position]) -> bool {
    seen.iter().zip(upto).all(|(seen, upto)| seen >= upto)
}

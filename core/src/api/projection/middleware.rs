//! What stands around folds: it sees each one before and after, and changes nothing of it.

use crate::api::consumer::{EventInfo, HandlerError, Logged, Measured, Traced};
use crate::consumer::Given;
use crate::driver::consumer::Clocked;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Stands around the folds of a projection. The first one that was added is the outermost.
///
/// The state depends on the events and their folds alone (P6), so a middleware sees and changes nothing: it
/// cannot leave a fold out, run it twice, or have it come to something else. Nor does it wait, as a fold
/// does not: [`TimedOut`](crate::api::consumer::TimedOut) and [`Retried`](crate::api::consumer::Retried)
/// are for consumers, and what is tried again here says
/// [`failing`](super::ProjectionBuilder::failing).
///
/// A fold may run several times for one event, after something failed or was lost; each of these runs is
/// seen.
///
/// ```
/// use tenure_core::api::consumer::EventInfo;
/// use tenure_core::api::projection::{FoldMiddleware, FoldOutcome, FoldRun};
///
/// struct Failures(std::sync::atomic::AtomicU64);
///
/// impl FoldMiddleware for Failures {
///     fn around(&self, _: &EventInfo<'_>, fold: FoldRun<'_>) -> FoldOutcome {
///         let outcome = fold.run();
///         if outcome.error().is_some() {
///             self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
///         }
///         outcome
///     }
/// }
/// ```
pub trait FoldMiddleware: Send + Sync + 'static {
    /// Runs the fold that is inside, and tells what that came to.
    fn around(&self, event: &EventInfo<'_>, fold: FoldRun<'_>) -> FoldOutcome;
}

/// What is inside of a middleware: the next one, and in the end the fold.
pub struct FoldRun<'a> {
    rest: &'a [Arc<dyn FoldMiddleware>],
    event: &'a EventInfo<'a>,
    fold: &'a mut dyn FnMut() -> Result<(), HandlerError>,
    clock: &'a Clocked,
}

/// What a fold came to. Nobody makes one but by [`FoldRun::run`].
#[derive(Debug)]
#[must_use = "it is what the middleware ends with"]
pub struct FoldOutcome(Result<(), HandlerError>);

impl FoldRun<'_> {
    /// Runs it.
    pub fn run(self) -> FoldOutcome {
        match self.rest.split_first() {
            Some((first, rest)) => first.around(self.event, FoldRun { rest, ..self }),
            None => FoldOutcome((self.fold)()),
        }
    }

    /// How long ago this node started, on its own clock.
    pub fn now(&self) -> Duration {
        now(self.clock)
    }
}

impl fmt::Debug for FoldRun<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FoldRun")
            .field("middlewares", &self.rest.len())
            .finish_non_exhaustive()
    }
}

impl FoldOutcome {
    /// Why the event was not folded; `None` when it was.
    pub fn error(&self) -> Option<&HandlerError> {
        self.0.as_ref().err()
    }
}

fn now(clock: &Clocked) -> Duration {
    Duration::from_nanos(clock.now().as_nanos())
}

/// What stands around all folds of a projection.
pub(super) struct FoldInside {
    pub(super) projection: String,
    pub(super) around: Vec<Arc<dyn FoldMiddleware>>,
    pub(super) clock: Clocked,
}

impl FoldInside {
    /// Runs the fold of an event inside of the middleware.
    pub(super) fn run(
        &self,
        given: &Given,
        fold: &mut dyn FnMut() -> Result<(), HandlerError>,
    ) -> Result<(), HandlerError> {
        let run = FoldRun {
            rest: &self.around,
            event: &EventInfo::of(&self.projection, given),
            fold,
            clock: &self.clock,
        };
        run.run().0
    }
}

impl FoldMiddleware for Logged {
    fn around(&self, event: &EventInfo<'_>, fold: FoldRun<'_>) -> FoldOutcome {
        let (outcome, took) = timed(fold);
        Self::log(event, took, outcome.error());
        outcome
    }
}

impl FoldMiddleware for Traced {
    fn around(&self, event: &EventInfo<'_>, fold: FoldRun<'_>) -> FoldOutcome {
        Self::span(event).in_scope(|| fold.run())
    }
}

impl FoldMiddleware for Measured {
    fn around(&self, event: &EventInfo<'_>, fold: FoldRun<'_>) -> FoldOutcome {
        let (outcome, took) = timed(fold);
        self.note(event, took, outcome.error().is_none());
        outcome
    }
}

/// Runs a fold, and how long it took.
fn timed(fold: FoldRun<'_>) -> (FoldOutcome, Duration) {
    let clock = fold.clock;
    let began = now(clock);
    let outcome = fold.run();
    (outcome, now(clock).saturating_sub(began))
}

//! What keeps a projection's state.

use super::{Claim, FoldBatch, StoreError};
use crate::format::Mark;
use std::future::{Future, ready};
use std::time::Duration;

/// Keeps the state of a projection together with its [`Mark`]: both change in one step, or neither does.
///
/// One batch is stored at a time. A store that answers is believed; one that cannot says
/// [`StoreError::Away`] and is asked the same again, also when it does not know whether it has stored:
/// [`Claim::judge`] and [`FoldBatch::judge`] say what to make of the mark that is there.
///
/// ```
/// use std::sync::Mutex;
/// use tenure_core::api::projection::{Claim, FoldBatch, Mark, ProjectionStore, Standing, StoreError};
///
/// /// A table in memory; a database does all of it in one transaction.
/// #[derive(Default)]
/// struct Table(Mutex<(Vec<String>, Option<Mark>)>);
///
/// impl ProjectionStore for Table {
///     type State = Vec<String>;
///
///     async fn open(&self, claim: &Claim) -> Result<Option<Mark>, StoreError> {
///         let (rows, mark) = &mut *self.0.lock().unwrap();
///         let taken = match claim.judge(mark.as_ref())? {
///             Standing::Goes(mark) => mark,
///             Standing::Begins(mark) => {
///                 rows.clear();
///                 mark
///             }
///         };
///         *mark = Some(taken.clone());
///         Ok(Some(taken))
///     }
///
///     async fn store(&self, batch: FoldBatch<Vec<String>>) -> Result<(), StoreError> {
///         let (rows, mark) = &mut *self.0.lock().unwrap();
///         if batch.judge(mark.as_ref())? {
///             let mut changed = rows.clone();
///             batch.fold(&mut changed)?;
///             (*rows, *mark) = (changed, Some(batch.mark().clone()));
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait ProjectionStore: Sized + Send + Sync + 'static {
    /// What folds change: a state, or a transaction.
    type State: 'static;

    /// Takes the state over for a run, and tells its mark, with the run in it; `None` when it begins with
    /// the first event and has no mark yet. From then on no other run's batches are stored.
    fn open(&self, claim: &Claim) -> impl Future<Output = Result<Option<Mark>, StoreError>> + Send;

    /// Folds a batch into the state and stores it with [`FoldBatch::mark`], in one step.
    fn store(
        &self,
        batch: FoldBatch<Self::State>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Does what is due beside the batches; tells after how long it is to be asked again at the latest.
    /// Called after batches too, and maybe while one is stored.
    fn settle(
        &self,
        _when: Settle,
    ) -> impl Future<Output = Result<Option<Duration>, StoreError>> + Send {
        ready(Ok(None))
    }

    /// An empty store of the same kind, in which the projection is built anew beside this one.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoGreen`] where that cannot be, as it is without an implementation.
    fn green(&self) -> impl Future<Output = Result<Self, StoreError>> + Send {
        ready(Err(StoreError::NoGreen))
    }

    /// Whether it is filled beside one that serves until then, and waits to be
    /// [promoted](Self::promote): made by [`green`](Self::green), or opened where an older version was.
    fn is_beside(&self) -> bool {
        false
    }

    /// This one has caught up: from now on readers see it, and a start finds it, in place of the one that it
    /// was filled beside. In one step. After [`StoreError::Away`] it is asked again, and may be there already.
    fn promote(&self) -> impl Future<Output = Result<(), StoreError>> + Send {
        ready(Ok(()))
    }

    /// It is not wanted any more: another one took its place, or it was to take another one's and has not.
    fn discard(&self) -> impl Future<Output = ()> + Send {
        ready(())
    }
}

/// When a store is asked to settle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settle {
    /// Time has passed, or batches were stored.
    Now,
    /// The projection has caught up.
    CaughtUp,
    /// It stops, and nothing comes after it.
    Stop,
}

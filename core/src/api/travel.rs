//! An entity's state as it was at a place in its log.

use super::entities::{fold_event, restore};
use super::error::Whom;
use super::history::{Pages, Point};
use super::{Aggregate, KindHandle, LoadError, Loaded};
use crate::format::Snapshot;
use crate::id::{Sequence, Version};
use crate::log::{HistoryPage, LoggedCommit, Range};
use crate::name::EntityId;
use std::sync::Arc;

/// The state at a place, from the newest snapshot at or below it that can be used.
pub(crate) async fn load_at<A: Aggregate>(
    kind: &KindHandle<A>,
    entity: EntityId,
    at: Point,
) -> Result<Loaded<A>, LoadError> {
    let range = Range {
        upper: at.bounds(),
        ..Range::default()
    };
    let mut below: Option<Sequence> = None;
    let mut ignored = 0;
    loop {
        let (tenure, entry) = (kind.tenure.clone(), Arc::clone(&kind.entry));
        let pages = Pages::new(tenure, entry, entity.clone());
        let mut pages = pages.of_state(range, below, ignored);
        let Some(page) = pages.next().await? else {
            return Err(not_found(pages.whom()));
        };
        if let (Point::Version(asked), Some(actual)) = (at, page.last)
            && actual < asked
            && actual != Version::ABSENT
        {
            let Whom { kind, id } = pages.whom();
            return Err(LoadError::Ahead {
                kind,
                id,
                asked,
                actual,
            });
        }
        let past = match &page.snapshot {
            None => Recalled::nothing(kind, at),
            Some(snapshot) => match Recalled::of_snapshot(kind, at, snapshot) {
                Ok(past) => past,
                Err(cause) => {
                    let (entity, cause) = (entity.as_str(), cause.to_string());
                    tracing::warn!(kind = %kind.facts.kind, entity, cause, "snapshot_ignored");
                    below = Some(snapshot.sequence);
                    ignored += 1;
                    continue;
                }
            },
        };
        return past.fold(pages, page).await;
    }
}

/// A state on its way to a place.
struct Recalled<'k, A: Aggregate> {
    kind: &'k KindHandle<A>,
    at: Point,
    state: A,
    version: Version,
}

impl<'k, A: Aggregate> Recalled<'k, A> {
    fn nothing(kind: &'k KindHandle<A>, at: Point) -> Self {
        Self {
            kind,
            at,
            state: A::default(),
            version: Version::ABSENT,
        }
    }

    fn of_snapshot(
        kind: &'k KindHandle<A>,
        at: Point,
        snapshot: &Snapshot,
    ) -> Result<Self, crate::log::FoldError> {
        Ok(Self {
            kind,
            at,
            state: restore(&kind.facts, snapshot)?,
            version: snapshot.version,
        })
    }

    async fn fold(mut self, mut pages: Pages, first: HistoryPage) -> Result<Loaded<A>, LoadError> {
        let mut next = Some(first);
        while let Some(page) = next {
            if page.deleted {
                // What would lead to the place is gone.
                return Err(not_found(pages.whom()));
            }
            for logged in page.commits {
                self = self.after(&logged, &pages)?;
            }
            next = pages.next().await?;
        }
        if self.version == Version::ABSENT {
            return Err(not_found(pages.whom()));
        }
        Ok(Loaded {
            state: self.state,
            version: self.version,
        })
    }

    /// The state after a commit, up to the version that is wanted.
    fn after(mut self, logged: &LoggedCommit, pages: &Pages) -> Result<Self, LoadError> {
        let most = match self.at {
            Point::Version(version) => version,
            Point::Sequence(_) | Point::Time(_) => Version(u64::MAX),
        };
        let events = logged.commit.events.iter();
        for record in events.take_while(|record| record.version <= most) {
            let of = (&logged.commit.entity, record);
            self.state = fold_event(&self.kind.facts, self.state, of)
                .map_err(|cause| LoadError::fold(pages.whom(), cause))?;
            self.version = record.version;
        }
        if logged.commit.tombstone {
            (self.state, self.version) = (A::default(), Version::ABSENT);
        }
        Ok(self)
    }
}

fn not_found(Whom { kind, id }: Whom) -> LoadError {
    LoadError::NotFound { kind, id }
}

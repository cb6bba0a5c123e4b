//! Forward pages: scans of the subject, which count up to the proven head.

use super::machine::{Next, Plan, State};
use super::{Cursor, History, HistoryRefusal};
use crate::id::{Sequence, Version};
use crate::port::{Page, StoreRequest};
use crate::step::{Cx, Time};
use alloc::format;
use alloc::vec::Vec;

/// Where a forward page is.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Scan {
    /// The entity's last commit as of the first page.
    pub(super) head: Sequence,
    /// What comes after this is wanted.
    pub(super) sequence: Sequence,
    /// The entity's version there, if it is known.
    pub(super) version: Option<Version>,
    /// Since when the answers end before the head.
    pub(super) short_since: Option<Time>,
}

impl History {
    /// Scans from behind a sequence on.
    pub(super) fn scan(
        &self,
        now: Time,
        head: Sequence,
        sequence: Sequence,
        version: Option<Version>,
    ) -> Next {
        let scan = Scan {
            head,
            sequence,
            version,
            short_since: None,
        };
        Next::State(State::Wanted {
            at: now,
            plan: Plan::Scan(scan),
        })
    }

    pub(super) fn scan_request(&self, scan: &Scan) -> StoreRequest {
        let upper = self.ask.range.upper;
        // No more than the range has sequences, and no more than it has versions, if each commit
        // has an event.
        let sequences = upper
            .sequence
            .map(|last| last.0.saturating_sub(scan.sequence.0));
        let versions = match (upper.version, scan.version) {
            (Some(last), Some(version)) => Some(last.0.saturating_sub(version.0)),
            (Some(_) | None, _) => None,
        };
        let most = [sequences, versions].into_iter().flatten().min();
        let most = most.and_then(|most| u32::try_from(most.max(1)).ok());
        StoreRequest::Scan {
            stream: self.ask.stream.clone(),
            filter: self.ask.subject.clone(),
            from: Sequence(scan.sequence.0 + 1),
            messages_max: most.map_or(self.ask.commits_max, |most| most.min(self.ask.commits_max)),
        }
    }

    /// Takes in a page of the subject.
    pub(super) fn scanned(&mut self, cx: &mut Cx<'_>, page: &Page, mut scan: Scan) -> Next {
        let range = self.ask.range;
        let head = scan.head;
        let (mut commits, mut read, mut over) = (Vec::new(), false, false);
        for message in page.messages.iter().filter(|m| m.sequence <= head) {
            let logged = match self.decode(message) {
                Ok(logged) => logged,
                Err(damage) => return Next::Done(Err(HistoryRefusal::Damaged(damage))),
            };
            // The first commit after a deletion follows nothing that is there.
            if let Some(version) = scan.version
                && logged.commit.before != version
                && !logged.commit.tombstone
            {
                let what = format!(
                    "it follows version {}, the commit before it ends at {version}",
                    logged.commit.before
                );
                let damage = self.damage(logged.sequence, what);
                return Next::Done(Err(HistoryRefusal::Damaged(damage)));
            }
            read = true;
            (scan.sequence, scan.version) = (logged.sequence, Some(logged.commit.last));
            if range.is_above(&logged) {
                over = true;
                break;
            }
            let version = range.upper.version;
            over = version.is_some_and(|version| logged.commit.last >= version)
                || range
                    .upper
                    .sequence
                    .is_some_and(|last| logged.sequence >= last);
            if !range.is_below(&logged) {
                commits.push(logged);
            }
            if over {
                break;
            }
        }
        if scan.sequence < head && !read {
            let first = page.messages.first().map(|message| self.decode(message));
            if let Some(Ok(first)) = first
                && first.commit.tombstone
            {
                // It was deleted since, and what is left to be read with it.
                return self.deleted(cx, commits);
            }
            crate::reached!(
                cx,
                "history: a scan that ends before the head is asked again"
            );
            let since = *scan.short_since.get_or_insert(cx.now);
            if cx.now.since(since) > self.limits.absent_patience {
                let damage = self.damage(head, "no replica has the commits up to it".into());
                return Next::Done(Err(HistoryRefusal::Damaged(damage)));
            }
            return self.again(cx, Plan::Scan(scan));
        }
        let next = match scan.version {
            Some(version) if !over && scan.sequence < head => Some(Cursor::After {
                head,
                sequence: scan.sequence,
                version,
            }),
            Some(_) | None => None,
        };
        Next::Done(Ok(self.page(commits, next)))
    }
}

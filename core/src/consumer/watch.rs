//! What a consumer knows of its own progress: live or behind, stalled and why.

use super::feed::{Feed, Way};
use super::machine::{Consumer, Job, Phase};
use super::status::longer_than;
use super::{Effect, Lag, Notice, Stall, StallReason, State, Status};
use crate::format::Position;
use crate::id::{Sequence, WallTime};
use crate::port::Refused;
use crate::step::{Cx, Effects, Span, Time};
use alloc::string::{String, ToString};

/// What is counted and watched.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Watch {
    /// All that was in the log is handled.
    pub(super) live: bool,
    /// A checkpoint was there at the start.
    pub(super) resumed: bool,
    pub(super) handled: u64,
    pub(super) failures: u64,
    pub(super) skipped: u64,
    pub(super) dead_lettered: u64,
    pub(super) checkpoints: u64,
    pub(super) reopened: u64,
    pub(super) expired: u64,
    /// It began before the first event, and nothing came so far that its filter lets through.
    unmatched: bool,
    /// So it was when it turned live, though there were events.
    matches_nothing: bool,
    /// When something was done last, or came after nothing was to do.
    progress_at: Time,
    /// There is something to do.
    busy: bool,
    stalled: Option<Stall>,
    /// What the store refused last, for now.
    pub(super) refused: Option<(Job, Refused)>,
    /// When the oldest event that waits makes it fall behind.
    behind_at: Option<Time>,
}

impl Watch {
    /// Something came that the filter lets through.
    pub(super) fn matched(&mut self) {
        (self.unmatched, self.matches_nothing) = (false, false);
    }

    /// Something was done.
    pub(super) fn progress(&mut self, now: Time) {
        self.progress_at = now;
    }
}

impl Consumer {
    /// What is not handled.
    pub fn lag(&self) -> Lag {
        let oldest = self.feeds.iter().filter_map(|feed| {
            let (_, item) = feed.items.first_key_value()?;
            Some(item.stored)
        });
        let oldest: Option<WallTime> = oldest.min();
        let age_ms = oldest.map_or(0, |oldest| self.wall.0.saturating_sub(oldest.0));
        Lag {
            commits: self.feeds.iter().map(Feed::lag).sum(),
            events: self.queue.events,
            oldest,
            age: Span::from_millis(age_ms),
        }
    }

    /// Events are handed over from now on.
    pub(super) fn begin_watch(&mut self, now: Time) {
        let mut feeds = self.feeds.iter();
        self.watch.unmatched = feeds.all(|feed| feed.position == Position::START);
        self.watch.matches_nothing = false;
        self.watch.live = false;
        self.watch.progress(now);
    }

    /// Commits that were fetched and are not handled.
    pub fn held(&self) -> u64 {
        self.queue.commits
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        let watch = &self.watch;
        Status {
            state: self.state(),
            paused: self.pause.as_ref().map(|pause| pause.by.clone()),
            positions: self.positions(),
            seen: self.feeds.iter().map(Feed::seen).collect(),
            saved: self.record.saved.clone(),
            generation: self.record.generation,
            lag: self.lag(),
            stalled: watch.stalled.clone(),
            waits_for: self.is_starting().then(|| self.start_reason()),
            running: u32::try_from(self.queue.running.len()).unwrap_or(u32::MAX),
            handled: watch.handled,
            failures: watch.failures,
            skipped: watch.skipped,
            dead_lettered: watch.dead_lettered,
            checkpoints: watch.checkpoints,
            reopened: watch.reopened,
            expired: watch.expired,
            matches_nothing: watch.matches_nothing,
        }
    }

    /// Looks at live or behind, and at whether there is progress.
    pub(super) fn watch_progress(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        if !self.is_watched() {
            return;
        }
        if matches!(self.phase, Phase::Running) {
            self.turn(cx, out);
        }
        let busy = self.has_to_do();
        if !(busy && self.watch.busy) {
            self.watch.progress_at = cx.now;
        }
        self.watch.busy = busy;
        let (now, progress_at) = (cx.now, self.watch.progress_at);
        match &self.watch.stalled {
            Some(stall) if progress_at > stall.since => {
                crate::reached!(cx, "consumer: progressing again");
                self.watch.stalled = None;
                self.notice(Notice::Progressing, out);
            }
            None if busy && longer_than(progress_at, now, self.config.pace.stall_after) => {
                crate::reached!(cx, "consumer: stalled");
                let reason = self.stall_reason();
                self.watch.stalled = Some(Stall {
                    since: progress_at,
                    reason: reason.clone(),
                });
                self.notice(Notice::Stalled(reason), out);
            }
            Some(_) => {
                let reason = self.stall_reason();
                if let Some(stall) = &mut self.watch.stalled {
                    stall.reason = reason;
                }
            }
            None => {}
        }
    }

    /// Turns to live when all is handled that was there, and back when too much waits, or for too long.
    fn turn(&mut self, cx: &mut Cx<'_>, out: &mut Effects<Effect>) {
        let lag = self.lag();
        // By the store's count, of which it is known when it is handled, and which has nothing but what is wanted.
        let pending: u64 = self.feeds.iter().map(|feed| feed.pending).sum();
        let much = pending.saturating_add(lag.events) > self.config.pace.behind_events;
        let age_ms = lag.age.as_millis();
        let behind_ms = self.config.pace.behind_ms;
        self.watch.behind_at = None;
        if self.watch.live {
            if much || age_ms >= behind_ms {
                crate::reached!(cx, "consumer: fell behind");
                self.watch.live = false;
                for feed in &mut self.feeds {
                    feed.falls_behind();
                }
                self.notice(Notice::Behind(lag), out);
            } else if lag.oldest.is_some() {
                let left = Span::from_millis(behind_ms - age_ms);
                self.watch.behind_at = Some(cx.now + left);
            }
            return;
        }
        let reached = self.feeds.iter().all(Feed::has_caught_up);
        if reached && !much && age_ms < behind_ms {
            let anything = self.feeds.iter().any(|feed| feed.head > Sequence(1));
            if self.watch.unmatched && anything && !self.watch.matches_nothing {
                crate::reached!(cx, "consumer: a filter matches nothing");
                self.watch.matches_nothing = true;
                self.notice(Notice::MatchesNothing, out);
            }
            crate::reached!(cx, "consumer: live");
            self.watch.live = true;
            self.record.wanted = true;
            self.notice(Notice::Live, out);
        }
    }

    /// Whether there is progress to be seen. A stop has an end of its own.
    fn is_watched(&self) -> bool {
        match self.phase {
            Phase::Waiting
            | Phase::Reading
            | Phase::Opening
            | Phase::Claiming
            | Phase::Running
            | Phase::Rewinding(_) => true,
            Phase::Stopping { .. } | Phase::Over | Phase::Halted => false,
        }
    }

    fn is_starting(&self) -> bool {
        self.state() == State::Starting
    }

    /// Whether anything waits for the handler or for the store, or it is on its way elsewhere.
    fn has_to_do(&self) -> bool {
        let goes = self.is_starting() || matches!(self.phase, Phase::Rewinding(_));
        goes || !self.lag().is_none() || self.trouble().is_some() || !self.puts.is_empty()
    }

    /// What the store does not do.
    fn trouble(&self) -> Option<(Job, u32)> {
        let feeds = (0_u16..).zip(&self.feeds);
        let mut jobs = feeds.filter_map(|(n, feed)| {
            let job = match &feed.way {
                Way::Unwanted => return None,
                Way::Closed | Way::Looking if self.asks.tries(Job::Recall(n)) > 0 => Job::Recall(n),
                Way::Closed | Way::Looking => Job::Look(n),
                Way::Opening(_) => Job::Open(n, feed.openings),
                Way::Open { .. } => {
                    let fetch = Job::Fetch(n, feed.openings);
                    let tries = |job| self.asks.tries(job);
                    // A look that was tried again is forgotten when a fetch was answered.
                    let tries = tries(fetch).max(tries(Job::Look(n)));
                    return (tries > 0).then_some((fetch, tries));
                }
            };
            Some((job, self.asks.tries(job)))
        });
        let writes = [Job::Write, Job::Read];
        let mut written = writes.into_iter().filter_map(|job| {
            let tries = self.asks.tries(job);
            (tries > 0).then_some((job, tries))
        });
        jobs.next().or_else(|| written.next())
    }

    /// What a start waits for.
    fn start_reason(&self) -> StallReason {
        match self.asks.hardest() {
            Some((job, tries)) => self.store_reason(job, tries),
            None => StallReason::unconnected(),
        }
    }

    fn store_reason(&self, job: Job, tries: u32) -> StallReason {
        let refused = self.watch.refused.as_ref().filter(|(of, _)| *of == job);
        StallReason::Store {
            what: job.to_string(),
            tries,
            refused: refused.map(|(_, refused)| refused.clone()),
        }
    }

    pub(super) fn stall_reason(&self) -> StallReason {
        if self.is_starting() {
            return self.start_reason();
        }
        if let Some(pause) = &self.pause
            && matches!(self.phase, Phase::Running)
        {
            return StallReason::Paused {
                by: pause.by.clone(),
            };
        }
        if let Some(run) = self.queue.oldest_run() {
            return StallReason::Handler {
                place: self.first_of(run),
                since: run.since,
            };
        }
        let retried = self.queue.next_retried();
        if let Some((place, tries)) = retried.and_then(|key| self.first_waiting(key)) {
            return StallReason::Retrying { place, tries };
        }
        let put = self.puts.keys().next().map(|place| {
            let job = Job::Put(*place);
            (job, self.asks.tries(job))
        });
        let Some((job, tries)) = put.or_else(|| self.trouble()) else {
            return StallReason::Store {
                what: String::from("send events"),
                tries: 0,
                refused: None,
            };
        };
        self.store_reason(job, tries)
    }

    /// When progress is to be looked at.
    pub(super) fn watch_at(&self) -> Option<Time> {
        if !self.is_watched() {
            return None;
        }
        let waits = self.watch.stalled.is_none() && self.has_to_do();
        let stall = waits.then(|| self.watch.progress_at + self.config.pace.stall_after);
        let runs = matches!(self.phase, Phase::Running);
        let behind = self.watch.behind_at.filter(|_| runs);
        [stall, behind].into_iter().flatten().min()
    }
}

//! An entity's history, page by page.

mod pages;
mod past;
mod point;
mod wanted;

pub(crate) use pages::Pages;
pub use past::Past;
pub use point::Point;

use super::LoadError;
use super::upcast::Decoded;
use crate::format::EventRecord;
use crate::id::{CommandId, Sequence, Version, WallTime};
use crate::log::{Cursor, FoldError, LoggedCommit, PAGE_COMMITS_MAX};
use std::collections::VecDeque;
use std::fmt;
use wanted::Wanted;

/// How a stored event becomes typed ones; none leave it out.
type Decoder<E> = Box<dyn Fn(&EventRecord) -> Result<Decoded<E>, FoldError> + Send + Sync>;

/// An entity's events as of the first page, read page by page as they are asked for.
///
/// Bounds (`from…`, `to…`, [`since`](Self::since), [`until`](Self::until), each of them in the
/// range) decide what is read: a place in the middle is found by a few single reads, and nothing
/// beyond the other end is read but for the rest of a page. What else is asked for is looked for
/// in what is read. A range that ends before it begins is a mistake and
/// [told as one](LoadError::Range).
///
/// ```no_run
/// # use tenure_core::api::{History, LoadError};
/// # use std::time::{Duration, SystemTime};
/// # async fn print<E: std::fmt::Debug + Send + 'static>(
/// #     history: History<E>,
/// #     yesterday: SystemTime,
/// # ) -> Result<(), LoadError> {
/// let mut history = history
///     .since(yesterday)
///     .events(["deposited", "withdrawn"])
///     .correlation("order-17")
///     .backward()
///     .limit(10);
/// while let Some(past) = history.next().await? {
///     println!("{} {:?} {:?}", past.version, past.metadata().header_value("user"), past.event);
/// }
/// # Ok(()) }
/// ```
#[must_use = "a history is read when it is asked for the next event"]
pub struct History<E> {
    pages: Pages,
    decode: Decoder<E>,
    name: fn(&E) -> &str,
    wanted: Wanted,
    backward: bool,
    page: u32,
    /// How many events are told at most, and how many of them are left.
    limit: Option<u64>,
    left: Option<u64>,
    here: VecDeque<Past<E>>,
}

impl<E> fmt::Debug for History<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History")
            .field("entity", &self.pages.entity)
            .field("backward", &self.backward)
            .field("range", &self.pages.range)
            .field("wanted", &self.wanted)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl<E> History<E> {
    pub(crate) fn new(pages: Pages, decode: Decoder<E>, name: fn(&E) -> &str) -> Self {
        Self {
            page: pages.commits_max,
            pages,
            decode,
            name,
            wanted: Wanted::default(),
            backward: false,
            limit: None,
            left: None,
            here: VecDeque::new(),
        }
    }

    /// Newest first, from the end of the range on; begins anew, as everything here does.
    pub fn backward(mut self) -> Self {
        self.backward = true;
        self.anew()
    }

    /// Events of this version or a later one.
    pub fn from_version(mut self, version: Version) -> Self {
        self.pages.range.lower.version = Some(version);
        self.anew()
    }

    /// Events of this version or an earlier one.
    pub fn to_version(mut self, version: Version) -> Self {
        self.pages.range.upper.version = Some(version);
        self.anew()
    }

    /// Events whose commit is at this sequence of the entity's stream or a later one.
    pub fn from_sequence(mut self, sequence: Sequence) -> Self {
        self.pages.range.lower.sequence = Some(sequence);
        self.anew()
    }

    /// Events whose commit is at this sequence of the entity's stream or an earlier one.
    pub fn to_sequence(mut self, sequence: Sequence) -> Self {
        self.pages.range.upper.sequence = Some(sequence);
        self.anew()
    }

    /// Events that were stored at this time or later, on the store's clock
    /// ([`Past::stored`]).
    pub fn since(mut self, time: impl Into<WallTime>) -> Self {
        self.pages.range.lower.time = Some(time.into());
        self.anew()
    }

    /// Events that were stored at this time or earlier, on the store's clock
    /// ([`Past::stored`]).
    pub fn until(mut self, time: impl Into<WallTime>) -> Self {
        self.pages.range.upper.time = Some(time.into());
        self.anew()
    }

    /// Events of these names; as they are called now, where they were called otherwise once.
    pub fn events<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.wanted.names = names.into_iter().map(Into::into).collect();
        self.anew()
    }

    /// Events of this command. They are in one commit, and nothing is read after it.
    pub fn command(mut self, id: CommandId) -> Self {
        self.wanted.command = Some(id);
        self.anew()
    }

    /// Events of one piece of work: those with this [`correlation_id`](Past::correlation_id), the
    /// command that began it among them.
    pub fn correlation(mut self, id: impl fmt::Display) -> Self {
        self.wanted.correlation = Some(id.to_string());
        self.anew()
    }

    /// Events whose command had this header with this value; several headers are all required.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.wanted.headers.push((name.into(), value.into()));
        self.anew()
    }

    /// At most this many events.
    pub fn limit(mut self, events: u64) -> Self {
        self.limit = Some(events);
        self.anew()
    }

    /// How many commits are read at once, 1 to 256; 64 when it is not set.
    pub fn page(mut self, commits: u32) -> Self {
        self.page = commits.clamp(1, PAGE_COMMITS_MAX);
        self
    }

    fn anew(mut self) -> Self {
        self.here.clear();
        self.left = self.limit;
        self.pages.cursor = Some(if self.backward {
            Cursor::Newest
        } else {
            Cursor::Oldest
        });
        self
    }

    /// The next event; `None` at the end.
    ///
    /// Cancel safe: an event is lost by no dropped future.
    ///
    /// # Errors
    ///
    /// When a page cannot be read, an event cannot be decoded, or the range ends before it begins.
    pub async fn next(&mut self) -> Result<Option<Past<E>>, LoadError> {
        self.check()?;
        if self.left == Some(0) {
            return Ok(None);
        }
        while self.here.is_empty() {
            let here = self.pages.cursor.clone();
            self.pages.commits_max = self.commits_max();
            let Some(page) = self.pages.next().await? else {
                return Ok(None);
            };
            match self.told(&page.commits) {
                Ok(events) => self.here.extend(events),
                Err(error) => {
                    // The page is not left out: whoever asks again gets it, or the error, again.
                    self.pages.cursor = here;
                    return Err(error);
                }
            }
            if page
                .commits
                .iter()
                .any(|logged| self.wanted.is_met(&logged.commit))
            {
                self.pages.cursor = None;
            }
        }
        self.left = self.left.map(|left| left - 1);
        Ok(self.here.pop_front())
    }

    /// The events of the next page that has any; `None` at the end.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub async fn next_page(&mut self) -> Result<Option<Vec<Past<E>>>, LoadError> {
        let Some(first) = self.next().await? else {
            return Ok(None);
        };
        let mut page = vec![first];
        while self.left != Some(0)
            && let Some(past) = self.here.pop_front()
        {
            self.left = self.left.map(|left| left - 1);
            page.push(past);
        }
        Ok(Some(page))
    }

    /// All events that are left.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub async fn collect(mut self) -> Result<Vec<Past<E>>, LoadError> {
        let mut all = Vec::new();
        while let Some(past) = self.next().await? {
            all.push(past);
        }
        Ok(all)
    }

    /// How many commits are read next: no more than events are wanted, where each commit has one
    /// that is.
    fn commits_max(&self) -> u32 {
        match self.left {
            Some(left) if self.wanted.is_all() => {
                let left = u32::try_from(left).unwrap_or(u32::MAX);
                self.page.min(left.max(1))
            }
            Some(_) | None => self.page,
        }
    }

    fn check(&self) -> Result<(), LoadError> {
        let (lower, upper) = (self.pages.range.lower, self.pages.range.upper);
        let number = |version: Version| version.0;
        let bounds = [
            (
                "version",
                lower.version.map(number),
                upper.version.map(number),
            ),
            (
                "sequence",
                lower.sequence.map(|s| s.0),
                upper.sequence.map(|s| s.0),
            ),
            ("time", lower.time.map(|t| t.0), upper.time.map(|t| t.0)),
        ];
        for (bound, from, to) in bounds {
            if let (Some(from), Some(to)) = (from, to)
                && from > to
            {
                return Err(LoadError::Range { bound, from, to });
            }
        }
        Ok(())
    }

    /// The events of some commits that are told, in the history's direction.
    fn told(&self, commits: &[LoggedCommit]) -> Result<Vec<Past<E>>, LoadError> {
        let mut told = Vec::new();
        for LoggedCommit {
            sequence,
            stored,
            commit,
        } in commits
        {
            let begin = told.len();
            for (index, record) in commit.events.iter().enumerate() {
                let past = Past::of(commit, (index, record), *sequence, *stored);
                if !self.wanted.takes(&self.pages.range, &past) {
                    continue;
                }
                let decoded = (self.decode)(record);
                let decoded = decoded.map_err(|cause| LoadError::fold(self.pages.whom(), cause));
                let named = decoded?.filter(|event| self.wanted.takes_name((self.name)(event)));
                told.extend(named.map(|event| past.clone().with(event)));
            }
            if self.backward {
                told[begin..].reverse();
            }
        }
        Ok(told)
    }
}

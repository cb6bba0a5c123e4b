//! Places in an entity's log, as callers name them.

use crate::id::{Sequence, Version, WallTime};
use crate::log::Bounds;
use std::time::{SystemTime, UNIX_EPOCH};

/// A place in an entity's log: what [`Repository::load_at`](crate::api::Repository::load_at) goes
/// back to. Each comes from its plain value, times also from [`SystemTime`].
///
/// ```
/// # use tenure_core::api::Point;
/// # use tenure_core::id::{Version, WallTime};
/// # use std::time::{Duration, UNIX_EPOCH};
/// assert_eq!(Point::from(Version(7)), Point::Version(Version(7)));
/// let noon = UNIX_EPOCH + Duration::from_secs(43_200);
/// assert_eq!(Point::from(noon), Point::Time(WallTime(43_200_000)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The entity's version.
    Version(Version),
    /// A sequence of the entity's stream, as receipts and histories tell it.
    Sequence(Sequence),
    /// A time on the store's clock.
    Time(WallTime),
}

impl From<Version> for Point {
    fn from(version: Version) -> Self {
        Self::Version(version)
    }
}

impl From<Sequence> for Point {
    fn from(sequence: Sequence) -> Self {
        Self::Sequence(sequence)
    }
}

impl From<WallTime> for Point {
    fn from(time: WallTime) -> Self {
        Self::Time(time)
    }
}

impl From<SystemTime> for Point {
    fn from(time: SystemTime) -> Self {
        Self::Time(time.into())
    }
}

/// Whole milliseconds; times before 1970 become 1970.
impl From<SystemTime> for WallTime {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

impl Point {
    /// Everything up to it.
    pub(crate) fn bounds(self) -> Bounds {
        let none = Bounds::default();
        match self {
            Self::Version(version) => Bounds {
                version: Some(version),
                ..none
            },
            Self::Sequence(sequence) => Bounds {
                sequence: Some(sequence),
                ..none
            },
            Self::Time(time) => Bounds {
                time: Some(time),
                ..none
            },
        }
    }
}

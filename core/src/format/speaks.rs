//! Which versions of the frames' format a program reads and writes, and which one two of them use.

/// The versions of frames, calls and returns that a program reads and writes; they rise together.
///
/// ```
/// use tenure_core::format::FrameVersions;
///
/// let (older, newer) = (FrameVersions::new(1, 2), FrameVersions::new(2, 4));
/// assert_eq!(older.common(newer), Some(2));
/// assert_eq!(FrameVersions::new(1, 1).common(newer), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "driver", derive(serde::Serialize, serde::Deserialize))]
pub struct FrameVersions {
    /// The lowest.
    pub min: u8,
    /// The highest.
    pub max: u8,
}

impl FrameVersions {
    /// What this program reads and writes.
    pub const THIS: Self = Self::new(1, 1);

    /// The versions from one to another.
    pub const fn new(min: u8, max: u8) -> Self {
        Self { min, max }
    }

    /// The version that two programs use with each other: the highest that both have. `None`: they
    /// cannot talk, and the older one is to be upgraded.
    pub fn common(self, other: Self) -> Option<u8> {
        let version = self.max.min(other.max);
        (version >= self.min.max(other.min)).then_some(version)
    }
}

impl Default for FrameVersions {
    fn default() -> Self {
        Self::THIS
    }
}

#[cfg(test)]
mod tests {
    use super::FrameVersions;

    #[test]
    fn two_programs_agree_on_the_highest_common_version() {
        for (a, b) in (0..5).flat_map(|a| (a..5).map(move |b| (a, b))) {
            for (c, d) in (0..5).flat_map(|c| (c..5).map(move |d| (c, d))) {
                let (one, other) = (FrameVersions::new(a, b), FrameVersions::new(c, d));
                let both = (0..5).rfind(|v| (a..=b).contains(v) && (c..=d).contains(v));
                assert_eq!(one.common(other), both, "{one:?} {other:?}");
                assert_eq!(other.common(one), both);
            }
        }
    }
}

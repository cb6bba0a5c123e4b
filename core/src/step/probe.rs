//! Probes: what must, may and must not be seen while machines run.

use alloc::collections::BTreeMap;

/// Where `always!`, `sometimes!`, `reached!` and `never!` report: counters in production, coverage
/// in simulation.
pub trait Probe {
    /// A site was passed; `holds` is its condition.
    fn hit(&mut self, site: &'static Site, holds: bool);
}

/// One place in the code that reports to a [`Probe`].
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    /// What is claimed of it.
    pub kind: SiteKind,
    /// Its name, unique in the crate.
    pub name: &'static str,
    /// The file it stands in.
    pub file: &'static str,
    /// The line it stands on.
    pub line: u32,
}

/// What is claimed of a [`Site`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SiteKind {
    /// The condition holds each time.
    Always,
    /// The condition holds at least once in a good set of runs.
    Sometimes,
    /// The place is reached at least once in a good set of runs.
    Reached,
    /// The place is never reached.
    Never,
}

/// A probe that keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct SilentProbe;

impl Probe for SilentProbe {
    fn hit(&mut self, _: &'static Site, _: bool) {}
}

/// A probe that counts, per site, how often its condition held and how often it did not.
#[derive(Clone, Debug, Default)]
pub struct CountingProbe {
    counts: BTreeMap<&'static Site, (u64, u64)>,
}

impl CountingProbe {
    /// Each site that was passed, with how often its condition held and how often it did not.
    pub fn counts(&self) -> impl Iterator<Item = (&'static Site, u64, u64)> {
        self.counts
            .iter()
            .map(|(site, (held, failed))| (*site, *held, *failed))
    }

    /// The first site whose claim was broken.
    pub fn broken(&self) -> Option<&'static Site> {
        self.counts.iter().find_map(|(site, (held, failed))| {
            let broken = match site.kind {
                SiteKind::Always => *failed > 0,
                SiteKind::Never => *held > 0,
                SiteKind::Sometimes | SiteKind::Reached => false,
            };
            broken.then_some(*site)
        })
    }

    /// Adds the counts of another probe.
    pub fn absorb(&mut self, other: &Self) {
        for (site, (held, failed)) in &other.counts {
            let entry = self.counts.entry(site).or_default();
            entry.0 += held;
            entry.1 += failed;
        }
    }
}

impl Probe for CountingProbe {
    fn hit(&mut self, site: &'static Site, holds: bool) {
        let entry = self.counts.entry(site).or_default();
        if holds {
            entry.0 += 1;
        } else {
            entry.1 += 1;
        }
    }
}

/// Claims that a condition holds each time.
#[macro_export]
macro_rules! always {
    ($cx:expr, $holds:expr, $name:literal) => {
        $crate::site!($cx, $crate::SiteKind::Always, $holds, $name)
    };
}

/// Claims that a condition holds at least once in a good set of runs.
#[macro_export]
macro_rules! sometimes {
    ($cx:expr, $holds:expr, $name:literal) => {
        $crate::site!($cx, $crate::SiteKind::Sometimes, $holds, $name)
    };
}

/// Claims that a place is reached at least once in a good set of runs.
#[macro_export]
macro_rules! reached {
    ($cx:expr, $name:literal) => {
        $crate::site!($cx, $crate::SiteKind::Reached, true, $name)
    };
}

/// Claims that a place is never reached.
#[macro_export]
macro_rules! never {
    ($cx:expr, $name:literal) => {
        $crate::site!($cx, $crate::SiteKind::Never, true, $name)
    };
}

/// Reports a site; the other probe macros are written with it.
#[doc(hidden)]
#[macro_export]
macro_rules! site {
    ($cx:expr, $kind:expr, $holds:expr, $name:literal) => {{
        static SITE: $crate::Site = $crate::Site {
            kind: $kind,
            name: $name,
            file: file!(),
            line: line!(),
        };
        let holds: bool = $holds;
        $cx.probe.hit(&SITE, holds);
        holds
    }};
}

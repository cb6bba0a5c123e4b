//! Probes: what must, may and must not be seen while machines run.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

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
    /// Where each site's counts are.
    sites: BTreeMap<&'static Site, usize>,
    /// How often its condition held and how often it did not.
    counts: Vec<(u64, u64)>,
    /// Of sites that were passed lately, by their addresses: each request passes the same few, and a look
    /// through their names for each would be a good part of what it costs.
    lately: [(usize, usize); LATELY],
}

/// How many sites are found by their addresses.
const LATELY: usize = 32;

impl CountingProbe {
    /// Each site that was passed, with how often its condition held and how often it did not.
    pub fn counts(&self) -> impl Iterator<Item = (&'static Site, u64, u64)> {
        self.sites.iter().map(|(site, place)| {
            let (held, failed) = self.counts[*place];
            (*site, held, failed)
        })
    }

    /// The first site whose claim was broken.
    pub fn broken(&self) -> Option<&'static Site> {
        self.counts().find_map(|(site, held, failed)| {
            let broken = match site.kind {
                SiteKind::Always => failed > 0,
                SiteKind::Never => held > 0,
                SiteKind::Sometimes | SiteKind::Reached => false,
            };
            broken.then_some(site)
        })
    }

    /// Adds the counts of another probe.
    pub fn absorb(&mut self, other: &Self) {
        for (site, held, failed) in other.counts() {
            self.add(site, held, failed);
        }
    }

    /// A site was passed so often with its condition held, and so often without.
    pub fn add(&mut self, site: &'static Site, held: u64, failed: u64) {
        let place = self.place(site);
        self.counts[place].0 += held;
        self.counts[place].1 += failed;
    }

    fn place(&mut self, site: &'static Site) -> usize {
        let next = self.counts.len();
        let place = *self.sites.entry(site).or_insert(next);
        if place == next {
            self.counts.push((0, 0));
        }
        place
    }
}

impl Probe for CountingProbe {
    fn hit(&mut self, site: &'static Site, holds: bool) {
        let address = core::ptr::from_ref(site).addr();
        let near = (address / size_of::<Site>()) % LATELY;
        let (of, mut place) = self.lately[near];
        if of != address {
            place = self.place(site);
            self.lately[near] = (address, place);
        }
        let entry = &mut self.counts[place];
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

#[cfg(test)]
mod tests {
    use super::{CountingProbe, LATELY, Probe, Site, SiteKind};
    use alloc::boxed::Box;
    use alloc::vec::Vec;

    #[test]
    fn each_site_has_its_counts_whichever_was_passed_before() {
        let site = |line| Site {
            kind: SiteKind::Always,
            name: "a site",
            file: "a file",
            line,
        };
        let sites = (0..4 * LATELY as u32).map(|line| &*Box::leak(Box::new(site(line))));
        let sites: Vec<&'static Site> = sites.collect();
        // The same again at another address.
        let again: &'static Site = Box::leak(Box::new(site(0)));
        let mut probe = CountingProbe::default();
        for round in 0..3_u32 {
            for site in &sites {
                probe.hit(site, site.line != 7 || round > 0);
            }
            probe.hit(again, true);
        }
        let mut all = probe.clone();
        all.absorb(&probe);
        for (of, times) in [(&probe, 1), (&all, 2)] {
            assert_eq!(of.broken(), Some(sites[7]));
            let counts: Vec<_> = of.counts().collect();
            assert_eq!(counts.len(), sites.len());
            for ((site, held, failed), passed) in counts.into_iter().zip(&sites) {
                let expected = match site.line {
                    0 => (6 * times, 0),
                    7 => (2 * times, times),
                    _ => (3 * times, 0),
                };
                assert_eq!((site, (held, failed)), (*passed, expected));
            }
        }
    }
}

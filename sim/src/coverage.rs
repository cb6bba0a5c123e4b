//! Which places of the code runs have to come by: every `sometimes!` and `reached!`, with the worlds
//! that come there.

use crate::case::WorldKind;
use std::collections::BTreeMap;
use tenure_core::step::CountingProbe;

/// A line for each place: where it is seen, and its name. A test compares it with the sources.
const SITES: &str = include_str!("sites.txt");

/// Where a place is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SeenIn {
    /// In the pure world.
    Pure,
    /// In some world, by so few seeds that no run is asked for it.
    Rarely,
    /// In the worlds that run the driver.
    Driver,
    /// Where nodes speak NATS to servers.
    Nats,
    /// By tests of the driver: no world does what leads there.
    Tests,
    /// By properties and traces of its machine alone: no world does what leads there.
    Alone,
}

/// Every place, by name.
///
/// # Panics
///
/// When the list is malformed, which its test sees first.
pub fn sites() -> BTreeMap<&'static str, SeenIn> {
    let lines = SITES.lines().filter(|line| !line.starts_with('#'));
    let site = |line: &'static str| {
        let (seen, name) = line
            .split_once(' ')
            .expect("where it is seen, and its name");
        let seen = match seen {
            "pure" => SeenIn::Pure,
            "rarely" => SeenIn::Rarely,
            "driver" => SeenIn::Driver,
            "nats" => SeenIn::Nats,
            "tests" => SeenIn::Tests,
            "alone" => SeenIn::Alone,
            other => panic!("{other:?} is nowhere: pure, rarely, driver, nats, tests or alone"),
        };
        (name, seen)
    };
    lines.map(site).collect()
}

/// The places that a world has to come by and has not.
pub fn missing(world: WorldKind, probe: &CountingProbe) -> Vec<&'static str> {
    let mut wanted = sites();
    let own = match world {
        WorldKind::Pure => SeenIn::Pure,
        WorldKind::Driver | WorldKind::Madsim => SeenIn::Driver,
        WorldKind::Nats => SeenIn::Nats,
    };
    wanted.retain(|_, seen| *seen == own);
    for (site, held, _) in probe.counts() {
        if held > 0 {
            wanted.remove(site.name);
        }
    }
    wanted.into_keys().collect()
}

/// How many histories had too many orders for the budget of the checker that looks for one: nobody judged
/// them.
pub fn given_up(probe: &CountingProbe) -> u64 {
    let mut counts = probe.counts();
    let site = counts.find(|(site, ..)| site.name == "world: too many orders to look at");
    site.map_or(0, |(_, held, _)| held)
}

/// The places that were passed least often, with how often.
pub fn rarest(probe: &CountingProbe, count: usize) -> Vec<(&'static str, u64)> {
    let sites = probe.counts().map(|(site, held, _)| (site.name, held));
    let mut sites: Vec<_> = sites.filter(|(_, held)| *held > 0).collect();
    sites.sort_by_key(|(name, held)| (*held, *name));
    sites.truncate(count);
    sites
}

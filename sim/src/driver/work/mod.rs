//! What the cluster of the driver world is asked by its own callers, and what must come of it: counters
//! with command ids and repetitions, registers whose answers some order has to explain, transfers whose sum
//! stays, reminders, mortals that are deleted and begin anew, actors of which one at a time acts, effects outside, sagas, a bus,
//! and what reads all of it: consumers, groups of them and projections.

mod alarm;
mod bus;
mod consume;
mod counter;
mod mortal;
mod operations;
mod outside;
mod project;
mod purse;
mod register;
mod round;
mod saga;
mod sentry;
mod witness;

pub(super) use outside::Outside;
pub(super) use round::work;

use super::cluster::SimCluster;

/// What every node serves.
pub(super) fn served(cluster: SimCluster) -> SimCluster {
    cluster
        .serve::<counter::Counter>()
        .serve::<counter::Held>()
        .serve::<register::Register>()
        .serve::<register::Kept>()
        .serve::<purse::Purse>()
        .serve::<alarm::Alarm>()
        .serve::<mortal::Mortal>()
        .serve::<mortal::Heir>()
        .actor::<sentry::Sentry>()
}

/// The same with effects, which an outside carries out, and with sagas.
pub(super) fn with_effects(cluster: SimCluster, outside: &Outside) -> SimCluster {
    saga::served(outside.served(cluster))
}

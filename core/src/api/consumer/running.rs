//! What runs on this node, by name.

use crate::driver::consumer::Told;
use crate::driver::group::GroupTold;
use crate::name::ConsumerName;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

/// The consumers and parts of groups that a node runs.
#[derive(Debug, Default)]
pub(in crate::api) struct Running(Mutex<BTreeMap<ConsumerName, Vec<Runs>>>);

/// One of them, by what it says of itself.
#[derive(Clone, Debug)]
pub(super) enum Runs {
    Consumer(watch::Receiver<Told>),
    Group(watch::Receiver<GroupTold>),
}

impl Runs {
    fn is_over(&self) -> bool {
        // Without a sender its lane is gone.
        match self {
            Self::Consumer(told) => told.has_changed().is_err() || told.borrow().ended.is_some(),
            Self::Group(told) => told.has_changed().is_err() || told.borrow().ended.is_some(),
        }
    }

    /// Who paused it.
    pub(super) fn paused(&self) -> Option<String> {
        match self {
            Self::Consumer(told) => told.borrow().status.paused.clone(),
            Self::Group(told) => told.borrow().status.paused.clone(),
        }
    }
}

impl Running {
    /// One began. Those that are over are let go.
    pub(super) fn begun(&self, name: &ConsumerName, runs: Runs) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, runs| {
            runs.retain(|it| !it.is_over());
            !runs.is_empty()
        });
        all.entry(name.clone()).or_default().push(runs);
    }

    /// The last one of a name that began and is not over.
    pub(super) fn of(&self, name: &ConsumerName) -> Option<Runs> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut runs = all.get(name)?.iter().rev();
        runs.find(|it| !it.is_over()).cloned()
    }
}

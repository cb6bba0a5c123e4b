//! A lane's way to the store: over the link of which it knows, and over no other.

use super::Who;
use crate::driver::shell::{LinkNumber, Shell};
use crate::id::OpId;
use crate::port::StoreRequest;

/// The shell during one link, and which one that is: none before the lane was told of any.
pub(super) struct Way<S> {
    pub(super) shell: S,
    pub(super) link: Option<LinkNumber>,
}

/// A request to the store that waits for room among those in flight.
pub(super) struct Queued {
    pub(super) who: Who,
    pub(super) op: OpId,
    pub(super) request: StoreRequest,
    /// The link that it is for.
    pub(super) link: Option<LinkNumber>,
}

impl<S: Shell> Way<S> {
    pub(super) fn new(shell: &S) -> Self {
        Self {
            shell: shell.clone(),
            link: None,
        }
    }

    /// The lane knows that this link is up.
    pub(super) fn see(&mut self, shell: &S, link: LinkNumber) {
        if self.link != Some(link) {
            self.shell = shell.during(link);
            self.link = Some(link);
        }
    }
}

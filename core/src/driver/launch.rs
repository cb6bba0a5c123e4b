//! How a node starts in a world.

use super::flight::Flights;
use super::handle::Handle;
use super::shell::Shell;
use crate::space::{SpaceError, SpaceWish};
use crate::step::Limits;
use futures_util::future::BoxFuture;
use std::fmt;

/// A node that is to be started: what [`Shell::launch`] is given.
#[derive(Clone, Debug)]
pub struct Launch {
    pub(crate) wish: SpaceWish,
    pub(crate) node: String,
    pub(crate) lanes: usize,
    pub(crate) queue_max: usize,
    pub(crate) limits: Limits,
    pub(crate) flights: Option<Flights>,
}

impl Launch {
    /// Starts it in a world.
    #[must_use = "nothing starts before it is awaited"]
    pub fn on<S: Shell>(self, shell: S) -> Launching {
        Launching {
            limits: self.limits,
            node: Box::pin(Handle::launch(shell, self)),
        }
    }
}

/// A node that starts.
pub struct Launching {
    pub(crate) limits: Limits,
    pub(crate) node: BoxFuture<'static, Result<Handle, LaunchFailure>>,
}

impl fmt::Debug for Launching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launching").finish_non_exhaustive()
    }
}

/// Why a node did not start.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum LaunchFailure {
    Space(SpaceError),
    Halted(String),
    /// The namespace was not open in time.
    Timeout,
}

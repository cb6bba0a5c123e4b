//! Loopback ports that nobody else takes, not even while a server is down between kill and restart.

use crate::{ServerError, Trying};
use std::fs::{self, File};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ranges from which operating systems give ports to outgoing connections (32768 on
/// Linux), so that no client takes the port of a server that is down.
const FIRST: u16 = 14_000;
const LAST: u16 = 31_999;

/// A port, held by a lock on a file that all processes of this machine share.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) number: u16,
    _lock: File,
}

impl Port {
    /// A port on which nobody listens and which no other holder of a [`Port`] has.
    pub(crate) fn free() -> Result<Self, ServerError> {
        static TRIED: AtomicU16 = AtomicU16::new(0);
        let folder = std::env::temp_dir().join("tenure-nats-server-ports");
        fs::create_dir_all(&folder).trying(|| format!("cannot create {}", folder.display()))?;
        let span = LAST - FIRST + 1;
        // Processes begin at different places, so that they seldom meet.
        let start =
            u16::try_from(std::process::id().wrapping_mul(61) % u32::from(span)).unwrap_or(0);
        for _ in 0..span {
            let step = TRIED.fetch_add(1, Ordering::Relaxed);
            let number = FIRST + (start + step % span) % span;
            let path = folder.join(number.to_string());
            let lock =
                File::create(&path).trying(|| format!("cannot create {}", path.display()))?;
            if lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", number)).is_ok() {
                return Ok(Self {
                    number,
                    _lock: lock,
                });
            }
        }
        Err(ServerError::NoPort {
            from: FIRST,
            to: LAST,
        })
    }
}

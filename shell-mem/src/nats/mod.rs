//! The front: a server that speaks the NATS protocol over the model store, as a machine without I/O.
//!
//! [`Front::step`] takes what happened at a time, most of all bytes that came of a connection. What it has
//! for connections is taken with [`Front::take`], of those that [`Front::next_ready`] names, and
//! [`Front::next_wake`] says when time alone changes something. It reads no clock and draws its chance from a
//! seed, so a run is a function of its inputs. Streams, their checks and their refusals are the
//! [`Store`](crate::store::Store)'s; here are connections, subjects, JetStream's requests, and consumers.
//!
//! It is one server without a cluster and without accounts, users or TLS. Streams have no mirrors, sources,
//! transforms, counters and schedules, and no advisories are sent; each is refused by name where it is asked
//! for. What a client may make it hold is bounded by [`FrontConfig`].
//!
//! ```
//! use bytes::BytesMut;
//! use tenure_core::id::WallTime;
//! use tenure_mem::nats::{ConnectionId, Front, FrontConfig, Input};
//!
//! let mut front = Front::new(FrontConfig::default());
//! let (at, alice) = (WallTime(0), ConnectionId(1));
//! front.step(at, Input::Opened(alice));
//! let came = BytesMut::from(&b"CONNECT {}\r\nSUB a.* 1\r\nPUB a.b 2\r\nhi\r\n"[..]);
//! front.step(at, Input::Received(alice, came));
//! assert_eq!(front.next_ready(), Some(alice));
//! let told = front.take(alice).bytes;
//! assert!(told.starts_with(b"INFO {") && told.ends_with(b"MSG a.b 1 2\r\nhi\r\n"));
//! ```

mod config;
mod connection;
mod core_nats;
mod dice;
mod front;
mod jetstream;
#[cfg(feature = "listen")]
mod listen;
mod router;
#[cfg(test)]
mod tests;
pub mod wire;

pub use config::FrontConfig;
pub use connection::{ConnectionId, Outgoing};
pub use front::{Front, Input};
#[cfg(feature = "listen")]
pub use listen::{Listener, serve};

//! Opening one connection of our own, which ends when its link does.
//!
//! The client's own reconnection is not used: it would keep what waits in its queue and send it
//! afterwards, long after the request's deadline (K1, "late attempt"). Each connection is a client
//! of its own; when the link is lost, the client ends and its queue goes with it (S8).

use crate::ConnectError;
use crate::address::Address;
use crate::ears::Lost;
use crate::link::{Deadlines, ask_api};
use crate::options::NatsOptions;
use crate::wire::Wire;
use async_nats::{Client, ReconnectToServer, ServerAddr, Subscriber};
use futures_util::StreamExt as _;
use serde::Deserialize;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, ready};
use std::time::Duration;
use tenure_core::port::{Capabilities, Refused, ServerVersion};
use tenure_core::step::Outcome;
use tokio::time::Instant;

/// Where nothing listens: port 0 stands for no port. The client is sent here instead of back to
/// its server.
const NOWHERE: &str = "nats://127.0.0.1:0";

/// How many answers are taken before the clock is looked at.
const RECEIVE_MAX: usize = 256;

/// A connection whose inbox nobody reads yet.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) address: Address,
    pub(crate) client: Client,
    pub(crate) wire: Arc<Wire>,
    pub(crate) inbox: Subscriber,
    pub(crate) version: ServerVersion,
}

/// Connects to one server, once.
pub(crate) async fn open(
    options: &NatsOptions,
    address: &Address,
    lost: &Arc<Lost>,
) -> Result<Session, ConnectError> {
    let url = address.url();
    let here: ServerAddr = url.parse().map_err(|_| not_an_address(&url))?;
    let nowhere: ServerAddr = NOWHERE.parse().map_err(|_| not_an_address(NOWHERE))?;
    let wire = Wire::new(inbox(&options.inbox_prefix));
    let (listener, lost) = (Arc::clone(&wire), Arc::clone(lost));
    let used = AtomicBool::new(false);
    let client = options
        .client(address)?
        .event_callback(move |event| {
            listener.take_event(&event, &lost);
            std::future::ready(())
        })
        // The first time here, from then on nowhere, of which the client has enough after one
        // attempt: it ends.
        .reconnect_to_server_callback(move |servers, _| {
            let place = usize::from(used.swap(true, Ordering::Relaxed));
            let target = servers.into_iter().nth(place);
            let delay = Some(Duration::ZERO);
            std::future::ready(target.map(|server| ReconnectToServer {
                addr: server.addr,
                delay,
            }))
        })
        .max_reconnects(1)
        .connect([here, nowhere].as_slice())
        .await
        .map_err(|error| ConnectError::of(address, &error))?;
    let version = version(&url, &client)?;
    let inbox = subscribe(&client, &wire)
        .await
        .map_err(|reason| ConnectError::Unreachable {
            server: address.to_string(),
            reason,
        })?;
    Ok(Session {
        address: address.clone(),
        client,
        wire,
        inbox,
        version,
    })
}

/// Listens on the wire's inbox.
pub(crate) async fn subscribe(client: &Client, wire: &Wire) -> Result<Subscriber, String> {
    client
        .subscribe(wire.filter())
        .await
        .map_err(|error| error.to_string())
}

/// Takes answers to their asks until the client ends, and ends those that are due without one. The
/// wire is closed then.
///
/// `store_timeout` is that of the asks. One takes three fifths of it at least, from when it is
/// entered until it is due: that it is looked for every fifth finds each one in time.
pub(crate) async fn receive(mut inbox: Subscriber, wire: Arc<Wire>, store_timeout: Duration) {
    let mut look = pin!(tokio::time::sleep(store_timeout / 5));
    poll_fn(|cx| {
        loop {
            while look.as_mut().poll(cx).is_ready() {
                let now = Instant::now();
                let next = now + store_timeout / 5;
                let due = wire.expire(now);
                look.as_mut().reset(due.map_or(next, |due| due.min(next)));
            }
            for _ in 0..RECEIVE_MAX {
                match ready!(inbox.poll_next_unpin(cx)) {
                    Some(message) => wire.deliver(message),
                    None => return Poll::Ready(()),
                }
            }
        }
    })
    .await;
    wire.close();
}

/// An inbox that nobody else has.
pub(crate) fn inbox(prefix: &str) -> String {
    format!("{prefix}.{:032x}", random())
}

/// 128 fresh bits from the operating system.
///
/// # Panics
///
/// When the operating system has none: nothing that is named by them would be safe.
pub(crate) fn random() -> u128 {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("random bits from the operating system");
    u128::from_le_bytes(bytes)
}

/// The version of the server that the client is connected to, when Tenure runs on it.
pub(crate) fn version(server: &str, client: &Client) -> Result<ServerVersion, ConnectError> {
    supported(server, &client.server_info().version)
}

fn supported(server: &str, text: &str) -> Result<ServerVersion, ConnectError> {
    let server = server.to_owned();
    match ServerVersion::parse(text) {
        None => Err(ConnectError::UnknownVersion {
            server,
            version: text.into(),
        }),
        Some(version) if !version.supported() => Err(ConnectError::TooOld { server, version }),
        Some(version) => Ok(version),
    }
}

/// Whether the account has JetStream.
#[derive(Debug)]
pub(crate) enum JetStream {
    Yes,
    No(String),
    Denied(String),
    Silent(String),
}

/// Asks whether the account has JetStream, once.
pub(crate) async fn jetstream(
    client: &Client,
    wire: &Arc<Wire>,
    deadlines: Deadlines,
) -> JetStream {
    /// Any answer without an error will do.
    #[derive(Deserialize)]
    struct AccountInfo {}
    let request = ("$JS.API.INFO".to_owned(), Vec::new(), false);
    match ask_api::<AccountInfo>(client, wire, request, deadlines).await {
        Outcome::Done(AccountInfo {}) => JetStream::Yes,
        Outcome::Refused(Refused::NoJetStream) => {
            JetStream::No("JetStream is not enabled for the account".into())
        }
        Outcome::Refused(Refused::NoResponders) if !client.server_info().jetstream => {
            JetStream::No("the server runs without JetStream".into())
        }
        Outcome::Refused(Refused::Denied(text)) => JetStream::Denied(text),
        Outcome::Refused(other) => JetStream::Silent(format!("{other:?}")),
        Outcome::Unknown => JetStream::Silent("no answer in time".into()),
    }
}

/// What the connected store is and can do, as far as the connection itself tells.
///
/// A server that names a cluster is part of one, be it the only one there: event streams then
/// default to three replicas, and the server refuses those that it cannot place.
pub(crate) fn capabilities(
    client: &Client,
    version: ServerVersion,
    jetstream: bool,
) -> Capabilities {
    let info = client.server_info();
    Capabilities {
        version,
        payload_bytes_max: client.max_payload(),
        clustered: info.cluster.is_some_and(|name| !name.is_empty()),
        jetstream,
    }
}

fn not_an_address(url: &str) -> ConnectError {
    ConnectError::BadUrl {
        url: url.into(),
        reason: "the client does not take it",
    }
}

#[cfg(test)]
mod tests {
    use super::supported;
    use crate::ConnectError;

    #[test]
    fn an_old_server_is_refused_by_its_version() {
        let address = "nats://old:1";
        assert!(supported(address, "2.15.1").is_ok());
        let error = supported(address, "2.10.29").unwrap_err();
        assert!(matches!(error, ConnectError::TooOld { .. }));
        let text = error.to_string();
        assert!(
            text.contains("nats://old:1") && text.contains("2.10.29"),
            "{text}"
        );
        assert!(text.contains("2.14.4"), "{text}");
        let error = supported(address, "").unwrap_err();
        assert!(matches!(error, ConnectError::UnknownVersion { .. }));
    }
}

//! Keeping a connection: the task that serves the present one and opens the next.

use crate::ConnectError;
use crate::address::Address;
use crate::ears::Ears;
use crate::link::{Deadlines, Link};
use crate::options::NatsOptions;
use crate::session::{self, JetStream, Session};
use async_nats::Client;
use std::sync::Arc;
use std::time::Duration;
use tenure_core::driver::LinkNumber;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

/// The connection of the moment; `None` while there is none.
pub(crate) type Present = watch::Sender<Option<Arc<Link>>>;

/// How long to wait before JetStream is asked again while a cluster elects.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// How long a new connection waits for JetStream's answer when it had one before.
const ASK_ONCE: Duration = Duration::from_secs(1);

/// Connects to the first server that takes us. Fails with the first error that says more than
/// that nobody is there.
pub(crate) async fn first(
    options: &NatsOptions,
    addresses: &[Address],
    ears: &Ears,
) -> Result<Session, ConnectError> {
    let mut failed: Option<ConnectError> = None;
    for address in addresses {
        match session::open(options, address, ears.lost()).await {
            Ok(session) => return Ok(session),
            Err(error) => {
                let vague = matches!(failed, None | Some(ConnectError::Unreachable { .. }));
                if vague {
                    failed = Some(error);
                }
            }
        }
    }
    Err(failed.unwrap_or_else(|| ConnectError::BadUrl {
        url: String::new(),
        reason: "there is no address",
    }))
}

/// Serves connections, one after the other, until it is aborted. Reports once whether the first
/// one is of use.
pub(crate) async fn keep(
    options: NatsOptions,
    mut servers: Servers,
    first: Session,
    (present, ears): (Arc<Present>, Arc<Ears>),
    ready: oneshot::Sender<Result<(), ConnectError>>,
) {
    let mut ready = Some(ready);
    let mut session = first;
    let mut number = 0;
    loop {
        number += 1;
        let (client, address) = (session.client.clone(), session.address.clone());
        serve(&options, (session, number), (&present, &ears), ready.take()).await;
        present.send_replace(None);
        // What it told last: servers come and go while a connection lasts.
        servers.learn(&client, &address);
        tracing::warn!("disconnected from NATS");
        session = reopen(&options, &mut servers, &ears).await;
        tracing::info!(server = %session.address, "connected to NATS again");
    }
}

/// Reads answers until the connection is lost, and meanwhile finds out what it can do.
async fn serve(
    options: &NatsOptions,
    (session, number): (Session, u64),
    (present, ears): (&Present, &Ears),
    ready: Option<oneshot::Sender<Result<(), ConnectError>>>,
) {
    let Session {
        address,
        client,
        wire,
        inbox,
        version,
    } = session;
    let announce = async {
        let found = match &ready {
            Some(_) => {
                let patience = options.connect_timeout.max(options.store_timeout);
                settled(&client, &wire, patience).await
            }
            None => session::jetstream(&client, &wire, Deadlines::start(ASK_ONCE)).await,
        };
        let server = address.to_string();
        let failure = match found {
            JetStream::Yes => None,
            JetStream::No(reason) => Some(ConnectError::NoJetStream { server, reason }),
            JetStream::Denied(reason) => {
                let inbox = options.inbox_prefix.clone();
                Some(ConnectError::Denied {
                    server,
                    reason,
                    inbox,
                })
            }
            JetStream::Silent(reason) => Some(ConnectError::Silent { server, reason }),
        };
        // A server that does not answer now may be electing; its streams may be well. One that
        // answers without JetStream says so in the capabilities.
        let jetstream = !matches!(failure, Some(ConnectError::NoJetStream { .. }));
        let failed = failure.is_some();
        if let (Some(error), None) = (&failure, &ready) {
            tracing::warn!(%error, "connected, and JetStream is not there");
        }
        if ready.is_none() || !failed {
            let capabilities = session::capabilities(&client, version, jetstream);
            let (client, wire) = (client.clone(), Arc::clone(&wire));
            let link = Link {
                client,
                wire,
                number: LinkNumber(number),
                session: number,
                capabilities,
            };
            ears.present(Arc::new(link), present).await;
        }
        if let Some(ready) = ready {
            let _ = ready.send(failure.map_or(Ok(()), Err));
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        () = session::receive(inbox, Arc::clone(&wire), options.store_timeout) => {}
        () = announce => {}
    }
    wire.close();
}

/// Asks whether there is JetStream until that is known.
async fn settled(client: &Client, wire: &Arc<crate::wire::Wire>, patience: Duration) -> JetStream {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let found = session::jetstream(client, wire, Deadlines::start(left)).await;
        match found {
            JetStream::Silent(_) if Instant::now() + ASK_AGAIN < deadline => {
                tokio::time::sleep(ASK_AGAIN).await;
            }
            JetStream::Yes | JetStream::No(_) | JetStream::Denied(_) | JetStream::Silent(_) => {
                return found;
            }
        }
    }
}

/// Tries all servers in turn, with a wait that grows to a quarter of a second (S22).
async fn reopen(options: &NatsOptions, servers: &mut Servers, ears: &Ears) -> Session {
    let mut failures: u32 = 0;
    let mut told = None;
    loop {
        let wait = Duration::from_millis(20).saturating_mul(failures);
        tokio::time::sleep(wait.min(Duration::from_millis(250))).await;
        let address = servers.next();
        match session::open(options, &address, ears.lost()).await {
            Ok(session) => return session,
            Err(error) => {
                failures = failures.saturating_add(1);
                // Each reason is told once, not four times in a second.
                if told.as_ref() != Some(&error) {
                    tracing::warn!(%error, "not connected to NATS");
                    told = Some(error);
                }
            }
        }
    }
}

/// The servers that are known, and whose turn it is.
#[derive(Debug)]
pub(crate) struct Servers {
    own: Vec<Address>,
    learnt: Vec<Address>,
    turn: usize,
}

impl Servers {
    pub(crate) fn new(own: Vec<Address>) -> Self {
        Self {
            own,
            learnt: Vec::new(),
            turn: 0,
        }
    }

    /// Replaces what was learnt by what this server tells of its cluster. The turn goes to the
    /// server after this one.
    fn learn(&mut self, client: &Client, address: &Address) {
        let told = client.server_info().connect_urls;
        let siblings = told.iter().filter_map(|url| address.sibling(url));
        let known = |other: &Address| self.own.iter().any(|own| own.url() == other.url());
        self.learnt = siblings.filter(|sibling| !known(sibling)).collect();
        let here = self.all().position(|known| known.url() == address.url());
        self.turn = here.map_or(0, |place| place + 1);
    }

    fn all(&self) -> impl Iterator<Item = &Address> {
        self.own.iter().chain(&self.learnt)
    }

    fn next(&mut self) -> Address {
        let count = self.own.len() + self.learnt.len();
        let place = self.turn % count;
        self.turn = place + 1;
        // There is at least one: the first connection was made with it.
        self.all()
            .nth(place)
            .cloned()
            .unwrap_or_else(|| self.own[0].clone())
    }
}

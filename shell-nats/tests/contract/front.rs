//! The front on a port of its own, in the place of a server: the same requests and scenes, and those that only
//! it can have.

use crate::alphabet::message;
use crate::stage::one_of_each;
use crate::table::{Class, Table};
use crate::world::{ask, until};
use std::net::SocketAddr;
use tenure_core::driver::Shell as _;
use tenure_core::port::{Refused, StoreReply, StoreRequest};
use tenure_core::step::{Outcome, Span};
use tenure_mem::nats::{Front, FrontConfig, Listener};
use tenure_nats::{NatsOptions, NatsShell};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A front that ends with this.
#[derive(Debug)]
pub(crate) struct FrontServer {
    url: String,
    task: JoinHandle<()>,
}

impl FrontServer {
    pub(crate) async fn start() -> Self {
        Self::with(FrontConfig::default()).await
    }

    pub(crate) async fn with(mut config: FrontConfig) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let socket = TcpListener::bind(any).await.expect("a free port");
        let at = socket.local_addr().expect("an address");
        config.port = at.port();
        let listener = Listener::new(Front::new(config));
        let task = tokio::spawn(async move {
            listener.serve(socket).await.expect("it serves");
        });
        Self {
            url: format!("nats://{at}"),
            task,
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    async fn shell(&self) -> NatsShell {
        let options = NatsOptions::new(self.url()).store_timeout(Span::from_secs(1));
        let shell = NatsShell::connect(options).await;
        shell.expect("the front is there")
    }

    /// Ends it, and with it its connections.
    fn end(&self) {
        self.task.abort();
    }
}

impl Drop for FrontServer {
    fn drop(&mut self) {
        self.end();
    }
}

/// The scenes that it has by itself.
pub(crate) async fn scenes(table: &mut Table) {
    full_queue(table).await;
    gone(table).await;
}

/// Asks everything until each answer is of the wanted class, and notes it.
async fn all_become(
    (name, shell): (&'static str, &NatsShell),
    table: &mut Table,
    wanted: impl Fn(&StoreRequest, &StoreReply) -> bool,
) {
    for request in one_of_each() {
        let reply = until(shell, &request, |reply| wanted(&request, reply)).await;
        table.around(name, Class::of(&request, &reply));
    }
}

/// A stream whose queue is full takes nothing: single messages and batches are refused.
async fn full_queue(table: &mut Table) {
    let mut config = FrontConfig::default();
    config.store.in_flight_max = 0;
    let front = FrontServer::with(config).await;
    let shell = front.shell().await;
    let mut streams = one_of_each().into_iter();
    let create = streams.find(|it| matches!(it, StoreRequest::CreateStream(_)));
    let writes = vec![
        create.expect("one makes a stream"),
        StoreRequest::Publish(message("S", "s.0")),
        crate::stage::batch(1),
    ];
    for request in writes {
        let (_, _, seen) = ask(&shell, vec![request]).await;
        for seen in seen {
            let refused = Outcome::Refused(Refused::Overloaded);
            let made = matches!(seen.request, StoreRequest::CreateStream(_));
            assert!(made || seen.reply == refused, "{seen:?}");
            if !made {
                table.scene(
                    "front with a full queue",
                    Class::of(&seen.request, &seen.reply),
                );
            }
        }
    }
}

async fn gone(table: &mut Table) {
    let front = FrontServer::start().await;
    let shell = front.shell().await;
    front.end();
    let not_connected =
        |_: &StoreRequest, reply: &StoreReply| *reply == Outcome::Refused(Refused::NotConnected);
    all_become(("front gone", &shell), table, not_connected).await;
    let reply = shell.store(StoreRequest::Capabilities).await;
    assert_eq!(reply, Outcome::Refused(Refused::NotConnected));
}

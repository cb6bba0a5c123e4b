//! The network between nodes (S21): one text for each test, run on the shell in memory and on the
//! one on a real server.

mod frames;
mod heard;
mod lost;
mod mem;
mod nats;

use crate::scene::{connected, next, within};
use bytes::Bytes;
use tenure_core::driver::{Inbound, Shell};
use tenure_core::id::OpId;
use tenure_core::port::{Delivery, StoreRequest, Subject};
use tenure_core::step::Outcome;
use tenure_mem::MemShell;
use tenure_nats::NatsShell;
use tenure_nats_server::NatsServer;
use tokio::sync::mpsc;

/// Two nodes on one store, each with a link of its own.
trait Pair {
    type Shell: Shell;

    async fn start() -> Self;
    fn one(&self) -> &Self::Shell;
    fn two(&self) -> &Self::Shell;
    /// How many messages were dropped for want of room, as the shells count them.
    fn lost(&self) -> u64 {
        self.one().lost() + self.two().lost()
    }
    /// Both links go.
    fn part(&self);
    /// What was there comes back.
    fn mend(&self);
    /// The shells, and what they need to stay connected.
    fn apart(self) -> ([Self::Shell; 2], Option<NatsServer>);
}

struct Mem([MemShell; 2]);

impl Pair for Mem {
    type Shell = MemShell;

    async fn start() -> Self {
        let one = MemShell::fresh();
        let two = one.beside();
        Self([one, two])
    }

    fn one(&self) -> &MemShell {
        &self.0[0]
    }

    fn two(&self) -> &MemShell {
        &self.0[1]
    }

    fn part(&self) {
        self.one().cut(true);
        self.two().cut(true);
    }

    fn mend(&self) {
        self.one().cut(false);
        self.two().cut(false);
    }

    fn apart(self) -> ([MemShell; 2], Option<NatsServer>) {
        (self.0, None)
    }
}

struct Nats {
    server: NatsServer,
    shells: [NatsShell; 2],
}

impl Pair for Nats {
    type Shell = NatsShell;

    async fn start() -> Self {
        let server = NatsServer::start().unwrap();
        let one = NatsShell::connect(server.url()).await.unwrap();
        let two = NatsShell::connect(server.url()).await.unwrap();
        let shells = [one, two];
        Self { server, shells }
    }

    fn one(&self) -> &NatsShell {
        &self.shells[0]
    }

    fn two(&self) -> &NatsShell {
        &self.shells[1]
    }

    fn part(&self) {
        self.server.kill().unwrap();
    }

    fn mend(&self) {
        self.server.restart().unwrap();
    }

    fn apart(self) -> ([NatsShell; 2], Option<NatsServer>) {
        (self.shells, Some(self.server))
    }
}

/// Runs each body on both.
macro_rules! on_both {
    ($($body:ident),* $(,)?) => {
        mod in_memory {
            $(#[tokio::test]
            async fn $body() {
                super::$body(<super::super::Mem as super::super::Pair>::start().await).await;
            })*
        }
        mod on_nats {
            $(#[tokio::test]
            async fn $body() {
                super::$body(<super::super::Nats as super::super::Pair>::start().await).await;
            })*
        }
    };
}
use on_both;

/// Waits until the store has taken what this shell handed over before.
async fn settled(shell: &impl Shell) {
    let reply = within("the store", shell.store(StoreRequest::Capabilities)).await;
    assert!(matches!(reply, Outcome::Done(_)), "{reply:?}");
}

/// Listens, and waits until others find that.
async fn listen(shell: &impl Shell, at: &str) -> mpsc::Receiver<Delivery> {
    let deliveries = shell.listen(at.into());
    settled(shell).await;
    deliveries
}

/// Sends a frame that is taken.
fn send(shell: &impl Shell, op: u64, (to, from): (&str, &str), frame: &'static str) {
    let (to, from) = (Subject::from(to), Subject::from(from));
    let sent = shell.send(OpId(op), &to, &from, Bytes::from_static(frame.as_bytes()));
    assert_eq!(sent, Ok(()), "frame {op}");
}

async fn delivery(deliveries: &mut mpsc::Receiver<Delivery>) -> Delivery {
    let delivery = within("a delivery", deliveries.recv()).await;
    delivery.expect("a shell that lives")
}

fn frame(text: &'static str) -> Delivery {
    Delivery::Frame(Bytes::from_static(text.as_bytes()))
}

/// Waits until a shell that was connected is not, and its store says so.
async fn disconnected(inbox: &mut mpsc::Receiver<Inbound>) {
    while next(inbox).await != Inbound::Disconnected {}
}

//! What the tests are written with: a server and a shell on it, short requests, and waits for a
//! state with a deadline.

use async_nats::Subscriber;
use bytes::Bytes;
use std::future::Future;
use std::time::Duration;
use tenure_core::driver::{Inbound, Shell};
use tenure_core::id::Sequence;
use tenure_core::port::{
    Ack, Capabilities, Expect, Message, Publish, Refused, Rollup, StoreDone, StoreReply,
    StoreRequest, StreamInfo, StreamSettings,
};
use tenure_core::step::Outcome;
use tenure_nats::{NatsOptions, NatsShell};
use tenure_nats_server::NatsServer;
use tokio::sync::mpsc;

/// How long a test waits for a state before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A server of the test's own and a shell on it.
pub(crate) struct Scene {
    pub(crate) server: NatsServer,
    pub(crate) shell: NatsShell,
}

impl Scene {
    pub(crate) async fn start() -> Self {
        let server = NatsServer::start().unwrap();
        Self::on(server, |options| options).await
    }

    pub(crate) async fn on(
        server: NatsServer,
        with: impl FnOnce(NatsOptions) -> NatsOptions,
    ) -> Self {
        let shell = NatsShell::connect(with(NatsOptions::new(server.url())))
            .await
            .unwrap();
        Self { server, shell }
    }

    /// With an event stream `S` on `s.>`.
    pub(crate) async fn with_stream() -> Self {
        let scene = Self::start().await;
        scene.shell.created(events("S", "s.>")).await;
        scene
    }
}

/// Short forms of requests.
pub(crate) trait Asks {
    async fn ask(&self, request: StoreRequest) -> StoreReply;

    async fn created(&self, settings: StreamSettings) -> StreamInfo {
        match self.ask(StoreRequest::CreateStream(settings)).await {
            Outcome::Done(StoreDone::Stream(info)) => info,
            other => panic!("not created: {other:?}"),
        }
    }

    async fn publish(&self, message: Publish) -> StoreReply {
        self.ask(StoreRequest::Publish(message)).await
    }

    async fn published(&self, message: Publish) -> Sequence {
        let reply = self.publish(message).await;
        acknowledged(reply)
    }

    async fn get(&self, sequence: u64, source: tenure_core::port::Source) -> StoreReply {
        let sequence = Sequence(sequence);
        self.ask(StoreRequest::Get {
            stream: "S".into(),
            sequence,
            source,
        })
        .await
    }
}

impl Asks for NatsShell {
    async fn ask(&self, request: StoreRequest) -> StoreReply {
        self.store(request).await
    }
}

pub(crate) fn acknowledged(reply: StoreReply) -> Sequence {
    match reply {
        Outcome::Done(StoreDone::Published(Ack {
            sequence,
            duplicate: false,
        })) => sequence,
        other => panic!("not stored: {other:?}"),
    }
}

pub(crate) fn refused(reply: StoreReply) -> Refused {
    match reply {
        Outcome::Refused(refused) => refused,
        other => panic!("not refused: {other:?}"),
    }
}

/// A message for stream `S`.
pub(crate) fn message(subject: &str, body: &'static str) -> Publish {
    Publish {
        stream: "S".into(),
        subject: subject.into(),
        expect: Expect::Nothing,
        rollup: Rollup::No,
        dedup: None,
        ttl_s: None,
        payload: Bytes::from_static(body.as_bytes()),
    }
}

/// The settings of an event stream (K3).
pub(crate) fn events(name: &str, subject: &str) -> StreamSettings {
    StreamSettings::event_log(name.into(), vec![subject.into()], 1)
}

/// The subjects and bodies of messages.
pub(crate) fn texts(messages: &[Message]) -> Vec<(&str, u64, &str)> {
    let text = |message: &Message| {
        std::str::from_utf8(&message.payload)
            .unwrap()
            .to_owned()
            .leak()
    };
    messages
        .iter()
        .map(|m| (m.subject.as_str(), m.sequence.0, &*text(m)))
        .collect()
}

/// Waits for the end of something that must end.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {PATIENCE:?}"),
    }
}

/// The next thing that comes in by itself.
pub(crate) async fn next(inbox: &mut mpsc::Receiver<Inbound>) -> Inbound {
    within("the inbox", inbox.recv())
        .await
        .expect("an open inbox")
}

/// Waits for a connection, past anything else.
pub(crate) async fn connected(inbox: &mut mpsc::Receiver<Inbound>) -> Capabilities {
    loop {
        if let Inbound::Connected(capabilities, _) = next(inbox).await {
            return capabilities;
        }
    }
}

/// A client of the server's that listens on a filter. What the shell asks there stays in flight
/// until it is answered.
pub(crate) async fn listen(server: &NatsServer, filter: &str) -> (async_nats::Client, Subscriber) {
    let client = async_nats::connect(server.url()).await.unwrap();
    let listening = client.subscribe(filter.to_owned()).await.unwrap();
    // An answer on the same connection: the server has taken the subscription.
    client.request("$JS.API.INFO", Bytes::new()).await.unwrap();
    (client, listening)
}

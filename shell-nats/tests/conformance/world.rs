//! A place to run in, its store as it is below the framework, and waits for a state with a
//! deadline.

use async_nats::jetstream;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tenure::{Builder, MemShell, NatsShell, Shell as _, Tenure, TenureError};
use tenure_core::port::{
    Capabilities, Expect, Publish, Rollup, StoreDone, StoreReply, StoreRequest, StreamSettings,
};
use tenure_core::step::Outcome;
use tenure_nats_server::{NatsServer, NatsServerBuilder};

/// How long a test may take, and a wait for a state, before it has failed.
const PATIENCE: Duration = Duration::from_secs(50);

/// One namespace of a store, in memory or on a server.
pub(crate) struct World {
    pub(crate) namespace: String,
    store: Store,
}

enum Store {
    Mem(String),
    Nats(Arc<NatsServer>),
}

/// What is stored in one stream: its last sequence, and how many messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) last: u64,
    pub(crate) messages: u64,
}

/// One stored message.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) subject: String,
    pub(crate) sequence: u64,
    pub(crate) payload: Bytes,
}

/// A namespace that no other test has.
fn namespace() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("conformance-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

impl World {
    /// An empty store in memory.
    pub(crate) fn mem() -> Self {
        let namespace = namespace();
        Self {
            store: Store::Mem(namespace.clone()),
            namespace,
        }
    }

    /// A fresh namespace on the server that the tests share.
    pub(crate) fn nats() -> Self {
        static SHARED: OnceLock<Arc<NatsServer>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| Arc::new(NatsServer::start().unwrap()));
        Self::on(Arc::clone(shared))
    }

    /// A fresh namespace on a server of its own.
    pub(crate) fn alone(server: NatsServerBuilder) -> Self {
        Self::on(Arc::new(server.start().unwrap()))
    }

    fn on(server: Arc<NatsServer>) -> Self {
        Self {
            namespace: namespace(),
            store: Store::Nats(server),
        }
    }

    /// The same store, and another namespace.
    pub(crate) fn neighbour(&self) -> Self {
        let store = match &self.store {
            Store::Mem(name) => Store::Mem(name.clone()),
            Store::Nats(server) => Store::Nats(Arc::clone(server)),
        };
        Self {
            namespace: namespace(),
            store,
        }
    }

    /// An empty store of its own that takes messages up to a size.
    pub(crate) fn with_max_payload(&self, bytes: usize) -> Self {
        match &self.store {
            Store::Mem(_) => Self::mem_with(|capabilities| capabilities.payload_bytes_max = bytes),
            Store::Nats(_) => {
                Self::alone(NatsServer::builder().config(format!("max_payload: {bytes}")))
            }
        }
    }

    /// A store in memory that says something else of itself.
    pub(crate) fn mem_with(change: impl FnOnce(&mut Capabilities)) -> Self {
        let world = Self::mem();
        MemShell::named(&world.namespace)
            .with_store(|store| change(&mut store.config_mut().capabilities));
        world
    }

    /// The place, as `start` takes it.
    pub(crate) fn place(&self) -> String {
        match &self.store {
            Store::Mem(name) => format!("mem:{name}"),
            Store::Nats(server) => server.url(),
        }
    }

    /// The server.
    pub(crate) fn server(&self) -> &NatsServer {
        match &self.store {
            Store::Mem(_) => panic!("a store in memory has no server"),
            Store::Nats(server) => server,
        }
    }

    /// A node that is to be started here.
    pub(crate) fn builder(&self) -> Builder {
        Tenure::builder()
            .namespace(&self.namespace)
            .timeout(Duration::from_secs(20))
    }

    /// One more node: as good as another process, since nodes share nothing but the store.
    pub(crate) async fn node(&self) -> Tenure {
        self.start(self.builder()).await.unwrap()
    }

    /// Starts a node here.
    pub(crate) async fn start(&self, node: Builder) -> Result<Tenure, TenureError> {
        node.start(&self.place()).await
    }

    /// What the namespace's streams hold, by stream, read past the framework.
    pub(crate) async fn extents(&self) -> BTreeMap<String, Extent> {
        let prefix = format!("{}_", self.namespace);
        let mut extents = BTreeMap::new();
        match &self.store {
            Store::Mem(name) => MemShell::named(name).with_store(|store| {
                for stream in store.streams().filter(|name| name.starts_with(&prefix)) {
                    let extent = Extent {
                        last: store.last(stream).0,
                        messages: store.messages(stream).count() as u64,
                    };
                    extents.insert(stream.to_owned(), extent);
                }
            }),
            Store::Nats(_) => {
                let mut streams = self.jetstream().await.streams();
                while let Some(info) = streams.try_next().await.unwrap() {
                    if info.config.name.starts_with(&prefix) {
                        let extent = Extent {
                            last: info.state.last_sequence,
                            messages: info.state.messages,
                        };
                        extents.insert(info.config.name, extent);
                    }
                }
            }
        }
        extents
    }

    /// What one stream of the namespace holds: `ctl`, `ev_0` or `snap`.
    pub(crate) async fn extent(&self, stream: &str) -> Extent {
        let name = format!("{}_{stream}", self.namespace);
        self.extents().await[&name]
    }

    /// What the namespace's event streams hold.
    pub(crate) async fn events_stored(&self) -> BTreeMap<String, Extent> {
        let events = format!("{}_ev_", self.namespace);
        let mut extents = self.extents().await;
        extents.retain(|name, extent| name.starts_with(&events) && extent.last > 0);
        extents
    }

    /// The messages of one stream of the namespace that a filter takes in, read past the framework
    /// as any tool does: on a server through a consumer.
    pub(crate) async fn messages(&self, stream: &str, filter: &str) -> Vec<Stored> {
        let name = format!("{}_{stream}", self.namespace);
        match &self.store {
            Store::Mem(store) => MemShell::named(store).with_store(|store| {
                let all = store.messages(&name).filter(|m| takes(filter, &m.subject));
                all.map(|message| Stored {
                    subject: message.subject.clone().into(),
                    sequence: message.sequence.0,
                    payload: message.payload.clone(),
                })
                .collect()
            }),
            Store::Nats(_) => {
                let stream = self.jetstream().await.get_stream(&name).await.unwrap();
                let config = pull::Config {
                    filter_subject: filter.to_owned(),
                    ack_policy: AckPolicy::None,
                    ..pull::Config::default()
                };
                let consumer = stream.create_consumer(config).await.unwrap();
                let mut stored = Vec::new();
                // A fetch ends with what is there: a message that the consumer counted may expire
                // before it is delivered, and would be waited for without end.
                loop {
                    let before = stored.len();
                    let mut fetched = consumer.fetch().max_messages(500).messages().await.unwrap();
                    while let Some(message) = fetched.next().await {
                        let message = message.unwrap();
                        stored.push(Stored {
                            subject: message.subject.to_string(),
                            sequence: message.info().unwrap().stream_sequence,
                            payload: message.payload.clone(),
                        });
                    }
                    if stored.len() == before {
                        break;
                    }
                }
                stored
            }
        }
    }

    /// All commits of a kind, whatever their ids.
    pub(crate) async fn commits(&self, kind: &str) -> Vec<Stored> {
        let filter = format!("{}.ev.*.{kind}.*", self.namespace);
        self.messages("ev_0", &filter).await
    }

    /// Asks the store itself, as somebody else could.
    pub(crate) async fn ask(&self, request: StoreRequest) -> StoreReply {
        match &self.store {
            Store::Mem(name) => MemShell::named(name).store(request).await,
            Store::Nats(server) => {
                let shell = NatsShell::connect(server.url()).await.unwrap();
                shell.store(request).await
            }
        }
    }

    /// Publishes a message to a stream of the namespace past the framework.
    pub(crate) async fn publish(&self, stream: &str, subject: &str, payload: &[u8]) {
        let publish = Publish {
            stream: format!("{}_{stream}", self.namespace).into(),
            subject: subject.into(),
            expect: Expect::Nothing,
            rollup: Rollup::No,
            dedup: None,
            ttl_s: None,
            payload: Bytes::copy_from_slice(payload),
        };
        match self.ask(StoreRequest::Publish(publish)).await {
            Outcome::Done(StoreDone::Published(_)) => {}
            other => panic!("not published: {other:?}"),
        }
    }

    /// Creates a stream past the framework.
    pub(crate) async fn create_stream(&self, settings: StreamSettings) {
        match self.ask(StoreRequest::CreateStream(settings)).await {
            Outcome::Done(StoreDone::Stream(_)) => {}
            other => panic!("not created: {other:?}"),
        }
    }

    /// A client of the server's, with the rights of whoever needs none.
    pub(crate) async fn jetstream(&self) -> jetstream::Context {
        let client = async_nats::connect(self.server().url()).await.unwrap();
        jetstream::new(client)
    }

    /// A text without what differs between two runs.
    pub(crate) fn anonymous(&self, text: &str) -> String {
        without_ids(&without_ports(&text.replace(&self.namespace, "<ns>")))
    }

    /// Whether the store is a server.
    pub(crate) fn on_nats(&self) -> bool {
        matches!(self.store, Store::Nats(_))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        match &self.store {
            Store::Mem(name) => MemShell::forget(name),
            Store::Nats(_) => {}
        }
    }
}

/// Whether a subject filter takes in a subject.
fn takes(filter: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    for wanted in filter.split('.') {
        match (wanted, tokens.next()) {
            (">", Some(_)) => return true,
            (_, None) => return false,
            ("*", Some(_)) => {}
            (wanted, Some(token)) if wanted != token => return false,
            (_, Some(_)) => {}
        }
    }
    tokens.next().is_none()
}

/// A text with `<server>` for each address that the tests did not write themselves.
fn without_ports(text: &str) -> String {
    const HOST: &str = "127.0.0.1:";
    let mut parts = text.split(HOST);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(part.len());
        match &part[..end] {
            "" | "4222" => out = out + HOST + part,
            _ => out = out + "<server>" + &part[end..],
        }
    }
    out
}

/// A text with `<id>` for each id of 128 bits, with hyphens or without, and for each time in it.
fn without_ids(text: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(word) {
        let (before, from) = rest.split_at(start);
        let (token, after) = from.split_at(from.find(|c| !word(c)).unwrap_or(from.len()));
        let hex = |token: &str| token.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
        let digits = |token: &str| token.chars().all(|c| c.is_ascii_digit());
        out += before;
        out += match token.len() {
            32 | 36 if hex(token) => "<id>",
            8 | 13 if digits(token) => "<ms>",
            _ => token,
        };
        rest = after;
    }
    out + rest
}

/// Waits for the end of something that must end.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {PATIENCE:?}"),
    }
}

/// Asks again and again until the answer is yes.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) {
    within(what, async {
        while !ask().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

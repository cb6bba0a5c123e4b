//! Where a scene plays: a server with one stream, the same in the model, and a shell in between.

use crate::alphabet::{message, settings};
use crate::front::FrontServer;
use crate::same::same;
use crate::table::{Class, Table};
use crate::world::{config, until};
use tenure_core::driver::Shell as _;
use tenure_core::id::{BatchId, Sequence};
use tenure_core::port::{
    ConsumerSettings, Source, Start, StoreReply, StoreRequest, StreamName, StreamSettings,
};
use tenure_core::step::Span;
use tenure_mem::store::Store;
use tenure_nats::{NatsOptions, NatsShell};
use tenure_nats_server::{NatsServer, NatsServerBuilder};

/// Where a scene plays that does nothing to its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Server,
    Front,
}

enum Serving {
    Server(Box<NatsServer>),
    Front(FrontServer),
}

/// A server with one stream, the same in the model, and a shell in between.
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    serving: Serving,
    pub(crate) shell: NatsShell,
    pub(crate) model: Store,
}

impl Stage {
    pub(crate) async fn new(
        name: &'static str,
        server: NatsServerBuilder,
        stream: StreamSettings,
    ) -> Self {
        let server = server.start().expect("a server");
        Self::on(name, Serving::Server(Box::new(server)), stream).await
    }

    async fn on(name: &'static str, serving: Serving, stream: StreamSettings) -> Self {
        println!("scene: {name}");
        let options = NatsOptions::new(serving.url()).user("u", "p");
        let options = options.store_timeout(Span::from_secs(1));
        let shell = NatsShell::connect(options)
            .await
            .expect("the server is there");
        let mut model = Store::new(config(&shell).await);
        let create = StoreRequest::CreateStream(stream);
        let real = shell.store(create.clone()).await;
        assert!(
            same(&model.apply(shell.wall(), &create), &real),
            "{name}: {real:?}"
        );
        Self {
            name,
            serving,
            shell,
            model,
        }
    }

    pub(crate) async fn plain(name: &'static str) -> Self {
        Self::new(name, NatsServer::builder(), settings("S", 1)).await
    }

    /// A server as it is, or a front.
    pub(crate) async fn at(place: Place, name: &'static str, stream: StreamSettings) -> Self {
        match place {
            Place::Server => Self::new(name, NatsServer::builder(), stream).await,
            Place::Front => {
                let front = FrontServer::start().await;
                Self::on(name, Serving::Front(front), stream).await
            }
        }
    }

    pub(crate) fn url(&self) -> String {
        self.serving.url()
    }

    /// The server, in a scene that does something to it.
    pub(crate) fn server(&self) -> &NatsServer {
        match &self.serving {
            Serving::Server(server) => server,
            Serving::Front(_) => panic!("{} does something to a server", self.name),
        }
    }

    /// Asks both, and notes an answer that is the same.
    pub(crate) async fn both(&mut self, table: &mut Table, request: StoreRequest) -> StoreReply {
        let model = self.model.apply(self.shell.wall(), &request);
        let real = self.shell.store(request.clone()).await;
        let name = self.name;
        assert!(
            same(&model, &real),
            "{name}: {request:?}\nreal {real:?}\nmodel {model:?}"
        );
        table.scene(name, Class::of(&request, &real));
        real
    }

    /// Stores messages on both sides.
    pub(crate) async fn store(&mut self, count: u64) {
        for n in 0..count {
            let publish = StoreRequest::Publish(message("S", &format!("s.{}", n % 3)));
            let model = self.model.apply(self.shell.wall(), &publish);
            let real = self.shell.store(publish).await;
            assert!(
                same(&model, &real),
                "{}: {real:?}, not {model:?}",
                self.name
            );
        }
    }

    /// Asks everything until the server's answer is of the wanted class, and notes it.
    pub(crate) async fn all_become(
        &self,
        table: &mut Table,
        wanted: impl Fn(&StoreRequest, &StoreReply) -> bool,
    ) {
        for request in one_of_each() {
            let reply = until(&self.shell, &request, |reply| wanted(&request, reply)).await;
            table.around(self.name, Class::of(&request, &reply));
        }
    }
}

impl Serving {
    fn url(&self) -> String {
        match self {
            Self::Server(server) => server.url(),
            Self::Front(front) => front.url().into(),
        }
    }
}

/// A request of each kind that a healthy server takes.
pub(crate) fn one_of_each() -> Vec<StoreRequest> {
    let stream = || StreamName::from("S");
    let get = |source| StoreRequest::Get {
        stream: stream(),
        sequence: Sequence(1),
        source,
    };
    vec![
        StoreRequest::Publish(message("S", "s.0")),
        batch(1),
        StoreRequest::Latest {
            stream: stream(),
            subjects: vec!["s.0".into()],
        },
        get(Source::Replica),
        get(Source::Leader),
        StoreRequest::Scan {
            stream: stream(),
            filter: "s.>".into(),
            from: Sequence(1),
            messages_max: 10,
        },
        StoreRequest::CreateStream(settings("S", 1)),
        StoreRequest::StreamInfo { stream: stream() },
        StoreRequest::OpenConsumer(ConsumerSettings {
            stream: stream(),
            name: "c".into(),
            filters: vec!["s.>".into()],
            from: Start::Sequence(Sequence(1)),
            idle: Span::from_secs(60),
        }),
        StoreRequest::Fetch {
            stream: stream(),
            consumer: "c".into(),
            messages_max: 10,
            bytes_max: 1 << 20,
            wait: Span::from_secs(30),
        },
        StoreRequest::CloseConsumer {
            stream: stream(),
            consumer: "c".into(),
        },
    ]
}

/// Whether a request is about a consumer, which a shell asks for messages before they are fetched: what
/// comes of it when others write meanwhile is not what a store with nothing on its way says.
pub(crate) fn is_of_a_consumer(request: &StoreRequest) -> bool {
    match request {
        StoreRequest::OpenConsumer(_)
        | StoreRequest::Fetch { .. }
        | StoreRequest::CloseConsumer { .. } => true,
        StoreRequest::Publish(_)
        | StoreRequest::Batch { .. }
        | StoreRequest::Latest { .. }
        | StoreRequest::Get { .. }
        | StoreRequest::Scan { .. }
        | StoreRequest::CreateStream(_)
        | StoreRequest::StreamInfo { .. }
        | StoreRequest::Capabilities => false,
    }
}

/// A batch under an id of its own.
pub(crate) fn batch(count: usize) -> StoreRequest {
    #[allow(
        clippy::disallowed_methods,
        reason = "each attempt has an id of its own"
    )]
    let id = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let id = BatchId(id.unwrap().as_nanos());
    StoreRequest::Batch {
        id,
        messages: vec![message("S", "s.0"); count],
    }
}

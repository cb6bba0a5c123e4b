//! The traps of `reference/nats.md`, §0, that need a queue that is full or a server that is away
//! for a while; each by its number, on a real server and on the front.

use crate::front::FrontServer;
use crate::stage::Place;
use crate::traps::{PATIENCE, SECOND, Sprung, number, on_server_and_front, publish, stream};
use crate::world::block_on;
use async_nats::jetstream;
use async_nats::{Client, ConnectOptions, Event};
use futures_util::{StreamExt as _, stream as futures};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use tenure_mem::nats::FrontConfig;
use tenure_nats_server::NatsServer;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

on_server_and_front!(
    what_is_published_without_an_acknowledgement_is_lost_in_silence,
    a_frozen_server_is_not_noticed_by_default,
    a_client_that_was_away_for_long_waits_for_seconds,
);

/// 15. The stream's queue takes no more, and only who waits for an acknowledgement hears of it.
async fn what_is_published_without_an_acknowledgement_is_lost_in_silence(place: Place) {
    const BURST: u64 = 5_000;
    let at = match place {
        Place::Server => {
            let server = NatsServer::builder().jetstream_config("max_buffered_msgs: 1");
            Sprung::Server(Box::new(server.start().expect("a server")))
        }
        Place::Front => {
            let mut config = FrontConfig::default();
            config.store.in_flight_max = 0;
            Sprung::Front(FrontServer::with(config).await)
        }
    };
    let client = at.client().await;
    let js = stream(&client, jetstream::stream::Config::default()).await;
    let mut sent = 0;
    let lost = async {
        loop {
            for _ in 0..BURST {
                let told = client.publish("s.a", "body".into()).await;
                told.expect("the client takes it");
            }
            client.flush().await.expect("the server has all");
            sent += BURST;
            let stored = settled(&js).await;
            sent += u64::from(place == Place::Server);
            if stored < sent {
                return;
            }
        }
    };
    timeout(PATIENCE, lost).await.expect("some are lost");
    let refused = async {
        loop {
            let told = futures::iter(0..100).map(|_| publish(&js, &[]));
            let told: Vec<_> = told.buffer_unordered(100).collect().await;
            let mut refused = told.iter().filter_map(|told| told.as_ref().err());
            if refused.any(|error| number(error) == Some(10_167)) {
                return;
            }
        }
    };
    timeout(PATIENCE, refused)
        .await
        .expect("who waits hears it");
}

/// The last sequence, when all that the server took is stored. A front whose queue takes nothing stores nothing.
async fn settled(js: &jetstream::Context) -> u64 {
    for _ in 0..100 {
        if let Ok(sequence) = publish(js, &[]).await {
            return sequence;
        }
        sleep(Duration::from_millis(10)).await;
    }
    let mut stream = js.get_stream("S").await.expect("the stream");
    stream
        .info()
        .await
        .expect("a description")
        .state
        .last_sequence
}

/// A server that can be frozen: its connections stay open and nothing is answered.
enum Freezer {
    Server(Box<NatsServer>),
    /// A front on a thread of its own, which stands still when told, until this ends.
    Front {
        url: String,
        freeze: Option<oneshot::Sender<()>>,
        _thaw: mpsc::Sender<()>,
    },
}

impl Freezer {
    fn at(place: Place) -> Self {
        match place {
            Place::Server => Self::Server(Box::new(NatsServer::start().expect("a server"))),
            Place::Front => Self::front(),
        }
    }

    fn front() -> Self {
        let (freeze, frozen) = oneshot::channel();
        let (thaw, thawed) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let serve = async move {
            let front = FrontServer::start().await;
            tell.send(front.url().to_owned()).expect("it is awaited");
            if frozen.await.is_ok() {
                // The thread serves nothing while it waits here.
                thawed.recv().expect_err("nothing is sent");
            }
        };
        thread::spawn(|| block_on(serve));
        Self::Front {
            url: told.recv().expect("it starts"),
            freeze: Some(freeze),
            _thaw: thaw,
        }
    }

    fn url(&self) -> String {
        match self {
            Self::Server(server) => server.url(),
            Self::Front { url, .. } => url.clone(),
        }
    }

    fn freeze(&mut self) {
        match self {
            Self::Server(server) => server.pause().expect("it is frozen"),
            Self::Front { freeze, .. } => {
                let freeze = freeze.take().expect("it is frozen once");
                freeze.send(()).expect("it serves");
            }
        }
    }
}

/// 16. By default a client asks once a minute; one that asks each second notices it after three.
async fn a_frozen_server_is_not_noticed_by_default(place: Place) {
    let mut at = Freezer::at(place);
    let (patient, no_notice) = noticing(&at.url(), ConnectOptions::new()).await;
    let options = ConnectOptions::new().ping_interval(SECOND);
    let (_brisk, notice) = noticing(&at.url(), options).await;
    at.freeze();
    let noticed = async {
        while !notice.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, noticed).await.expect("it notices");
    assert!(!no_notice.load(Ordering::Relaxed));
    let state = patient.connection_state();
    assert_eq!(state, async_nats::connection::State::Connected);
}

/// A client, and whether it noticed that its server is gone.
async fn noticing(url: &str, options: ConnectOptions) -> (Client, Arc<AtomicBool>) {
    let told = Arc::new(AtomicBool::new(false));
    let event = Arc::clone(&told);
    let options = options.event_callback(move |it| {
        let gone = matches!(it, Event::Disconnected);
        event.fetch_or(gone, Ordering::Relaxed);
        async {}
    });
    let client = options.connect(url).await.expect("it is there");
    (client, told)
}

/// 17. By default each wait is twice the one before, up to four seconds: so long a server that is back is alone.
async fn a_client_that_was_away_for_long_waits_for_seconds(place: Place) {
    let at = Sprung::at(place).await;
    let port = at.url().rsplit(':').next().and_then(|it| it.parse().ok());
    let there = SocketAddr::from(([127, 0, 0, 1], port.expect("a port")));
    let _client = at.client().await;
    at.end();
    let bound = async {
        loop {
            match TcpListener::bind(there).await {
                Ok(socket) => return socket,
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
        }
    };
    let socket = timeout(PATIENCE, bound).await.expect("the port is free");
    // Each attempt is turned away, until none comes for long; and then one does.
    let waits = async { while timeout(2 * SECOND, socket.accept()).await.is_ok() {} };
    timeout(PATIENCE, waits)
        .await
        .expect("it waits for seconds");
    let again = timeout(PATIENCE, socket.accept()).await;
    again.expect("it tries on").expect("it is heard");
}

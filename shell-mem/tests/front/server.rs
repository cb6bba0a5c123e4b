//! The two servers, and the comparison.

use std::net::SocketAddr;
use std::time::Duration;
use tenure_mem::nats::{Front, FrontConfig, Listener};
use tenure_nats_server::NatsServer;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long a scene may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A front on a port of its own. It ends with this.
pub(crate) struct FrontServer {
    pub(crate) listener: Listener,
    pub(crate) url: String,
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
        let serving = listener.clone();
        let task = tokio::spawn(async move {
            serving.serve(socket).await.expect("it serves");
        });
        Self {
            listener,
            url: format!("nats://{at}"),
            task,
        }
    }

    /// Waits until it serves no more.
    pub(crate) async fn ended(&mut self) {
        let ended = timeout(PATIENCE, &mut self.task).await;
        ended
            .expect("it ends in time")
            .expect("it serves until then");
    }
}

impl Drop for FrontServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Plays a scene on a real server and on the front, which must tell the same.
pub(crate) async fn same(scene: impl AsyncFn(&str) -> Vec<String>) {
    let server = NatsServer::start().expect("a nats-server");
    let real = timeout(PATIENCE, scene(&server.url())).await;
    let real = real.expect("the scene ends on the server");
    let front = FrontServer::start().await;
    let told = timeout(PATIENCE, scene(&front.url)).await;
    let told = told.expect("the scene ends on the front");
    let both = real.iter().zip(&told).filter(|(real, front)| real != front);
    let differ: Vec<String> = both
        .map(|(real, front)| format!("server: {real}\n front: {front}\n"))
        .collect();
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    assert_eq!(real.len(), told.len(), "{real:#?}\n{told:#?}");
}

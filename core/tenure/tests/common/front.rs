//! The front, on a thread and a port of its own.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use tenure_mem::nats::{Front, FrontConfig, Listener};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// A front that ends with this.
#[derive(Debug)]
pub struct FrontServer {
    url: String,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FrontServer {
    /// One without streams.
    pub fn start() -> Self {
        let (end, ends) = oneshot::channel();
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.expect("a runtime").block_on(async {
                let any = SocketAddr::from(([127, 0, 0, 1], 0));
                let socket = TcpListener::bind(any).await.expect("a free port");
                let at = socket.local_addr().expect("an address");
                let mut config = FrontConfig::default();
                config.port = at.port();
                let listener = Listener::new(Front::new(config));
                tell.send(at).expect("somebody waits for it");
                tokio::select! {
                    served = listener.serve(socket) => served.expect("it serves"),
                    _ = ends => {}
                }
            });
        });
        let at = told.recv().expect("it listens");
        Self {
            url: format!("nats://{at}"),
            end: Some(end),
            thread: Some(thread),
        }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for FrontServer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.end.take().map(|end| end.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

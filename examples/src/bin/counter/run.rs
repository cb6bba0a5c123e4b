//! One run from the first node to the last.

use crate::http;
use crate::metrics::Metrics;
use crate::nodes::Nodes;
use crate::options::Options;
use crate::processes::Processes;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;
use tenure_examples::Failure;
use tenure_examples::counters::{Counters, Plan, served};
use tenure_examples::end;
use tenure_examples::load::Place;
use tenure_nats_server::NatsServer;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long the cluster takes at most until every counter has an owner.
const SERVED_WITHIN: Duration = Duration::from_secs(60);

/// How long those who have asked are answered, at most, when the process is to end.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// The two servers of HTTP.
struct Desks {
    counters: Option<(TcpListener, SocketAddr)>,
    metrics: Option<(TcpListener, SocketAddr)>,
}

/// Serves until the process is asked to end.
pub(crate) async fn run(options: Options) -> Result<(), Failure> {
    // Before the nodes: an address that is taken is told at once.
    let desks = Desks::open(&options).await?;
    if options.bare {
        let metrics = Arc::new(Metrics::bare());
        let asked = pin!(end::asked_to(options.until_input_ends)?);
        let counters = Counters::Bare(std::sync::Mutex::default());
        return desks.serve(counters, metrics, asked).await;
    }
    let server = match (options.shell, &options.nats) {
        (Place::Nats, None) => Some(NatsServer::start()?),
        (Place::Mem, _) | (Place::Nats, Some(_)) => None,
    };
    let place = match (&server, &options.nats) {
        (Some(server), _) => server.url(),
        (None, Some(url)) => url.clone(),
        (None, None) => format!("mem:{}", options.namespace),
    };
    let plan = Plan {
        place,
        namespace: options.namespace.clone(),
        shards: options.shards,
        kind: options.kind,
        lanes: options.threads,
        queue_max: options.queue,
        idle_after: options
            .idle_after_ms
            .map(|ms| Duration::from_millis(ms.get())),
    };
    let mut processes = Processes::default();
    let nodes = match &options.name {
        Some(name) => Nodes::one(&plan, name).await?,
        None => {
            let names = (1..=options.nodes)
                .map(|node| format!("node-{node}"))
                .collect();
            let mut here = names;
            if options.processes {
                processes = Processes::start(&options, &plan, here)?;
                here = Vec::new();
            }
            Nodes::several(&plan, here).await?
        }
    };
    let ended = desks.until_ended(&nodes, &processes, &options).await;
    nodes.stop().await;
    let stopped = processes.stop().await;
    drop(server);
    ended.and(stopped)
}

impl Desks {
    async fn open(options: &Options) -> Result<Self, Failure> {
        let mut desks = Self {
            counters: None,
            metrics: None,
        };
        if let Some(at) = options.http.0 {
            desks.counters = Some(http::bind("http", at).await?);
        }
        if let Some(at) = options.metrics.0 {
            desks.metrics = Some(http::bind("metrics", at).await?);
        }
        Ok(desks)
    }

    async fn until_ended(
        self,
        nodes: &Nodes,
        processes: &Processes,
        options: &Options,
    ) -> Result<(), Failure> {
        let owners = options.owners_min();
        let ready = served(&nodes.asks, options.kind, owners, SERVED_WITHIN);
        // Before anything is told: who reads it may end this process at once.
        let mut asked = pin!(end::asked_to(options.until_input_ends)?);
        tokio::select! {
            ready = ready => ready?,
            () = &mut asked => return Ok(()),
        }
        let metrics = Arc::new(Metrics::of(nodes.all(), processes.metrics(), options.kind));
        let counters = Counters::of(nodes.asks.clone(), options.kind);
        self.serve(counters, metrics, asked).await
    }

    async fn serve(
        self,
        counters: Counters,
        metrics: Arc<Metrics>,
        asked: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<(), Failure> {
        let (end, ended) = watch::channel(());
        let mut metrics_task = None;
        if let Some((listener, at)) = self.metrics {
            println!("metrics on http://{at}/metrics");
            let routes = http::metrics_route(Arc::clone(&metrics));
            metrics_task = Some(tokio::spawn(http::serve(
                listener,
                routes,
                closed(ended.clone()),
            )));
        }
        let mut counters_task: Option<JoinHandle<std::io::Result<()>>> = None;
        if let Some((listener, at)) = self.counters {
            println!("serving on http://{at}");
            let routes = http::routes(counters, metrics);
            counters_task = Some(tokio::spawn(http::serve(listener, routes, closed(ended))));
        }
        asked.await;
        drop(end);
        for task in [counters_task, metrics_task].into_iter().flatten() {
            // Who does not take its answer is not waited for.
            if let Ok(served) = tokio::time::timeout(ANSWERED_WITHIN, task).await {
                served??;
            }
        }
        Ok(())
    }
}

/// Ends when the sender is gone.
async fn closed(mut ended: watch::Receiver<()>) {
    while ended.changed().await.is_ok() {}
}

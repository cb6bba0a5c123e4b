//! The store goes away under a cluster and comes back: every increment that was acknowledged is there
//! once, and the cluster serves again.

use crate::cluster::nodes::{PATIENCE, builder, is_spread, wait};
use crate::common::{Count, Put, Till};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tenure::{MemShell, Tenure};
use tokio::task::JoinHandle;

const NAMES: [&str; 3] = ["a", "b", "c"];
const TILLS: usize = 24;

/// For how long there is no store.
const DOWN: Duration = Duration::from_millis(700);

/// Puts cents into tills without end, each under an id, and insists until it is acknowledged.
struct Load {
    over: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<i64>>,
}

impl Load {
    fn on(nodes: &[Tenure]) -> Self {
        let over = Arc::<AtomicBool>::default();
        let acknowledged = Arc::<AtomicU64>::default();
        let tasks = (0..TILLS).map(|n| {
            let node = &nodes[n % nodes.len()];
            let till = node.entity::<Till>(format!("till-{n}"));
            let ids: Vec<_> = (0..20_000).map(|_| node.command_id()).collect();
            let (over, acknowledged) = (Arc::clone(&over), Arc::clone(&acknowledged));
            tokio::spawn(async move {
                let mut cents = 0;
                for id in ids {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    loop {
                        let put = till.ask(Put { cents: 1 }).id(id);
                        match put.timeout(Duration::from_secs(2)).await {
                            Ok(_) => break,
                            Err(error) => {
                                let again = error.is_unknown() || error.is_retryable();
                                assert!(again, "till {n}: {error}");
                            }
                        }
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    cents += 1;
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                cents
            })
        });
        let tasks = tasks.collect();
        Self {
            over,
            acknowledged,
            tasks,
        }
    }

    /// Waits until so many more were acknowledged.
    async fn more(&self, puts: u64) {
        let enough = self.acknowledged.load(Ordering::Relaxed) + puts;
        let waited = tokio::time::timeout(PATIENCE, async {
            while self.acknowledged.load(Ordering::Relaxed) < enough {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        waited.await.expect("the load goes on");
    }

    /// Ends it, and reads every till from another node than the one that was asked.
    async fn end(self, nodes: &[Tenure]) {
        self.over.store(true, Ordering::Relaxed);
        for (n, task) in self.tasks.into_iter().enumerate() {
            let cents = tokio::time::timeout(PATIENCE, task).await;
            let cents = cents.expect("it ends").expect("it may insist");
            let till = nodes[(n + 1) % nodes.len()].entity::<Till>(format!("till-{n}"));
            assert_eq!(till.read(Count).await.unwrap().0, cents, "till {n}");
        }
    }
}

async fn is_whole(nodes: &[Tenure]) {
    for node in nodes {
        wait(node, |view| is_spread(view, &NAMES)).await;
    }
}

#[tokio::test]
async fn what_is_acknowledged_outlives_a_store_that_cannot_be_reached() {
    let shell = MemShell::fresh();
    let mut shells = Vec::new();
    let mut nodes = Vec::new();
    for name in NAMES {
        let shell = shell.beside();
        nodes.push(builder(name).start_with(shell.clone()).await.unwrap());
        shells.push(shell);
    }
    is_whole(&nodes).await;
    let load = Load::on(&nodes);
    load.more(500).await;
    for shell in &shells {
        shell.cut(true);
    }
    tokio::time::sleep(DOWN).await;
    for shell in &shells {
        shell.cut(false);
    }
    load.more(500).await;
    is_whole(&nodes).await;
    load.end(&nodes).await;
}

#[cfg(feature = "nats")]
#[tokio::test]
async fn what_is_acknowledged_outlives_a_restart_of_the_server() {
    let world = crate::common::World::nats();
    let server = world.server().expect("a server");
    let nodes = crate::cluster::nodes::cluster(&world, &NAMES).await;
    let load = Load::on(&nodes);
    for _ in 0..3 {
        load.more(500).await;
        server.kill().expect("it runs");
        tokio::time::sleep(DOWN).await;
        server.restart().expect("it starts on its store");
        load.more(500).await;
        is_whole(&nodes).await;
    }
    load.end(&nodes).await;
    let mut unknown = 0;
    for node in &nodes {
        let counters = node.counters().await;
        assert_eq!((counters.halts, counters.lost_tails), (0, 0));
        unknown += counters.store_unknown;
    }
    assert!(
        unknown > 0,
        "nothing was under way when the server was killed"
    );
}

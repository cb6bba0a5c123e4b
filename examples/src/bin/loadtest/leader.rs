//! Kills the leader of an event stream while operations are under way, and starts it again later.

use crate::ours::Ours;
use std::sync::Arc;
use tenure_examples::Failure;
use tenure_nats_server::Cluster;
use tokio::task::spawn_blocking;

/// When the leader goes and comes back, in acknowledged operations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) kill_at: u64,
    pub(crate) restart_at: u64,
}

/// Kills the server that leads a stream, as `kill -9` does, and returns its name when it runs
/// again.
pub(crate) async fn kill(
    cluster: Arc<Cluster>,
    stream: String,
    ours: Arc<Ours>,
    plan: Plan,
) -> Result<String, Failure> {
    ours.until_acknowledged(plan.kill_at).await;
    let servers = Arc::clone(&cluster);
    let leader = spawn_blocking(move || {
        let leader = servers.stream_leader(&stream)?;
        servers.servers()[leader].kill()?;
        Ok::<_, Failure>(leader)
    });
    let leader = leader.await??;
    ours.until_acknowledged(plan.restart_at).await;
    let restarted = spawn_blocking(move || {
        cluster.servers()[leader].restart()?;
        cluster.wait_ready()?;
        Ok::<_, Failure>(cluster.servers()[leader].name().to_owned())
    });
    restarted.await?
}

//! The process that is killed: it runs two projections until it is told up to where, and then tells what
//! they come to.

use crate::options::Options;
use crate::sums::{Sums, in_memory, in_sqlite};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;
use tenure::consumer::Partition;
use tenure::projection::Snapshots;
use tenure::{Sequence, Tenure};
use tenure_examples::Failure;
use tokio::io::{AsyncBufReadExt as _, BufReader};

/// How long it may take to fold what is left.
const PATIENCE: Duration = Duration::from_secs(600);

/// What it tells when all is done.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Told {
    /// The state in memory.
    pub(crate) sums: Sums,
    /// Whether this run went on from a snapshot, and how many events it folded itself.
    pub(crate) restored: bool,
    pub(crate) folded: u64,
    pub(crate) snapshots: u64,
}

pub(crate) async fn run(options: Options, folder: PathBuf) -> Result<(), Failure> {
    let url = options.nats.as_deref().ok_or("a victim is told a server")?;
    let tenure = Tenure::builder()
        .namespace(&options.namespace)
        .start(url)
        .await?;
    let often = Snapshots {
        every: 20_000,
        within: Duration::from_secs(1),
    };
    let memory = in_memory(&tenure, "sums", often).start().await?;
    let table = in_sqlite(&tenure, &folder).start().await?;
    println!("started");
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let Some(line) = lines.next_line().await? else {
        // Whoever started it is gone.
        return Ok(());
    };
    for (stream, upto) in (0_u16..).zip(line.split_whitespace()) {
        let (stream, upto) = (Partition(stream), Sequence(upto.parse()?));
        memory.seen_at(stream, upto, PATIENCE).await?;
        table.seen_at(stream, upto, PATIENCE).await?;
    }
    memory.stop().await?;
    table.stop().await?;
    let status = memory.store().status();
    let told = Told {
        sums: memory.read(Clone::clone),
        restored: status.restored,
        folded: status.folded,
        snapshots: status.snapshots,
    };
    println!("{}", serde_json::to_string(&told)?);
    tenure.stop().await;
    Ok(())
}

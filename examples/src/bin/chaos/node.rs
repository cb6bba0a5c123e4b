//! A node in a process of its own: it owns what falls to it until it is asked to end, or is no member
//! any more.

use crate::kinds::{Live, Tally};
use crate::options::NodeOptions;
use tenure::{Cluster, Tenure};
use tenure_examples::{Failure, end};

/// What a node prints when it is a member.
pub(crate) const JOINED: &str = "joined";

/// Runs until SIGTERM, which hands over what is owned, or until the run that started it has ended.
pub(crate) async fn run(options: NodeOptions) -> Result<(), Failure> {
    let tenure = Tenure::builder()
        .namespace(&options.namespace)
        .shards(options.shards)
        .cluster(Cluster::named(&options.name))
        .serve::<Tally>()
        .actor::<Live>()
        .start(&*options.nats)
        .await?;
    let asked = end::asked_to(true)?;
    println!("{JOINED}");
    let gone = tokio::select! {
        () = asked => None,
        cause = no_member_any_more(&tenure) => Some(cause),
    };
    if let Some(cause) = gone {
        return Err(format!("{}: {cause}", options.name).into());
    }
    tenure.stop().await;
    Ok(())
}

/// Ends with the cause when the node is no member any more.
async fn no_member_any_more(tenure: &Tenure) -> String {
    let Some(mut cluster) = tenure.cluster() else {
        return "it is in no cluster".to_owned();
    };
    while cluster.changed().await.is_some() {}
    let view = cluster.view();
    view.cause().unwrap_or_else(|| view.state().to_owned())
}

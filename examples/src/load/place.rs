//! Where a run takes place: in memory, on servers of its own, or on those that were named.

use crate::options::{Options, Place};
use async_nats::jetstream::context::Context;
use std::sync::Arc;
use tenure_examples::{Failure, bare};
use tenure_nats_server::{Cluster, NatsServer};

/// The place of one run.
#[derive(Debug)]
pub(crate) struct Where {
    /// What a node is started with.
    pub(crate) url: String,
    /// The namespace, in which nothing is before the run.
    pub(crate) namespace: String,
    /// How many servers hold each stream, where that was asked for.
    pub(crate) replicas: Option<u32>,
    /// Of this run alone: stopped and removed with this value.
    servers: Servers,
}

#[derive(Debug)]
enum Servers {
    None,
    Given,
    One(#[allow(dead_code, reason = "it is stopped when this is dropped")] Box<NatsServer>),
    Several(Arc<Cluster>),
}

impl Where {
    /// Starts what has to be started. The namespace's name has the seed in it, so that runs on one
    /// server keep apart.
    pub(crate) async fn prepare(options: &Options, seed: u64) -> Result<Self, Failure> {
        let namespace = format!("load{seed:016x}");
        let (url, servers) = match (options.shell, &options.nats, options.replicas) {
            (Place::Mem, _, _) => (format!("mem:{namespace}"), Servers::None),
            (Place::Nats, Some(url), _) => (url.clone(), Servers::Given),
            (Place::Nats, None, None | Some(1)) => {
                let server = NatsServer::start()?;
                (server.url(), Servers::One(server.into()))
            }
            (Place::Nats, None, Some(size)) => {
                let cluster = Cluster::start(usize::try_from(size)?)?;
                (cluster.url(), Servers::Several(Arc::new(cluster)))
            }
        };
        let place = Self {
            url,
            namespace,
            replicas: options.replicas,
            servers,
        };
        if let Servers::Given = place.servers {
            place.must_be_unused().await?;
        }
        Ok(place)
    }

    /// The cluster of this run alone, if it has one.
    pub(crate) fn cluster(&self) -> Option<Arc<Cluster>> {
        match &self.servers {
            Servers::None | Servers::Given | Servers::One(_) => None,
            Servers::Several(cluster) => Some(Arc::clone(cluster)),
        }
    }

    /// What the raw peer's streams are called by; as long as the namespace.
    pub(crate) fn raw_namespace(&self) -> String {
        self.namespace.replacen("load", "peer", 1)
    }

    /// Removes what the run left on servers that are not its own.
    pub(crate) async fn clean(&self) -> Result<(), Failure> {
        match self.servers {
            Servers::None | Servers::One(_) | Servers::Several(_) => Ok(()),
            Servers::Given => {
                let context = bare::connect(&self.url).await?;
                for stream in self.streams(&context).await? {
                    context.delete_stream(stream).await?;
                }
                Ok(())
            }
        }
    }

    async fn must_be_unused(&self) -> Result<(), Failure> {
        let context = bare::connect(&self.url).await?;
        match self.streams(&context).await?.first() {
            Some(stream) => Err(format!(
                "stream {stream:?} is of another run with this seed: give another --seed, or \
                 delete the stream"
            )
            .into()),
            None => Ok(()),
        }
    }

    /// The streams of this run that are there.
    async fn streams(&self, context: &Context) -> Result<Vec<String>, Failure> {
        use futures_util::TryStreamExt as _;
        let names: Vec<String> = context.stream_names().try_collect().await?;
        let of_raw = format!("{}_", self.raw_namespace());
        let of_ours = format!("{}_", self.namespace);
        let of_this_run = |name: &String| name.starts_with(&of_ours) || name.starts_with(&of_raw);
        Ok(names.into_iter().filter(of_this_run).collect())
    }
}

//! Where a run takes place: in memory, on servers of its own, or on those that were named.

use crate::{Failure, bare};
use async_nats::jetstream::context::Context;
use clap::ValueEnum;
use std::sync::Arc;
use tenure_nats_server::{Cluster, NatsServer};

/// What kind of place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Place {
    /// In memory.
    Mem,
    /// On NATS.
    Nats,
}

/// What place is wished for.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// What kind of place.
    pub place: Place,
    /// Servers that run; without them some are started.
    pub nats: Option<&'a str>,
    /// How many servers hold each stream.
    pub replicas: Option<u32>,
    /// What the namespace's name begins with: letters, and not `peer`.
    pub prefix: &'a str,
    /// The rest of the namespace's name, so that runs on one server keep apart.
    pub seed: u64,
}

/// The place of one run.
#[derive(Debug)]
pub struct Where {
    /// What a node is started with.
    pub url: String,
    /// The namespace, in which nothing is before the run.
    pub namespace: String,
    raw_namespace: String,
    /// How many servers hold each stream, where that was asked for.
    pub replicas: Option<u32>,
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
    /// Starts what has to be started.
    ///
    /// # Errors
    ///
    /// When a server does not start or answer, or has streams of another run with this seed.
    pub async fn prepare(wish: Wish<'_>) -> Result<Self, Failure> {
        let namespace = format!("{}{:016x}", wish.prefix, wish.seed);
        let raw_namespace = format!("peer{:016x}", wish.seed);
        let (url, servers) = match (wish.place, wish.nats, wish.replicas) {
            (Place::Mem, _, _) => (format!("mem:{namespace}"), Servers::None),
            (Place::Nats, Some(url), _) => (url.to_owned(), Servers::Given),
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
            raw_namespace,
            replicas: wish.replicas,
            servers,
        };
        if let Servers::Given = place.servers {
            place.must_be_unused().await?;
        }
        Ok(place)
    }

    /// The cluster of this run alone, if it has one.
    pub fn cluster(&self) -> Option<Arc<Cluster>> {
        match &self.servers {
            Servers::None | Servers::Given | Servers::One(_) => None,
            Servers::Several(cluster) => Some(Arc::clone(cluster)),
        }
    }

    /// What the raw peer's streams are called by.
    pub fn raw_namespace(&self) -> &str {
        &self.raw_namespace
    }

    /// Removes what the run left on servers that are not its own.
    ///
    /// # Errors
    ///
    /// When they do not let it.
    pub async fn clean(&self) -> Result<(), Failure> {
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

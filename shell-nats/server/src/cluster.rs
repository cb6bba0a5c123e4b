//! Several nats-servers on loopback, with routes between all of them.

use crate::ports::Port;
use crate::process::until;
use crate::{NatsServer, NatsServerBuilder, ServerError};
use serde_json::Value;

/// A cluster of nats-servers with JetStream.
#[derive(Debug)]
pub struct Cluster {
    servers: Vec<NatsServer>,
}

/// How a [`Cluster`] is to be.
#[derive(Clone, Debug)]
#[must_use = "a builder starts nothing until `start`"]
pub struct ClusterBuilder {
    size: usize,
    server: NatsServerBuilder,
}

impl ClusterBuilder {
    /// Adds configuration text to each server, in nats-server's own language.
    pub fn config(mut self, text: impl AsRef<str>) -> Self {
        self.server = self.server.config(text);
        self
    }

    /// Adds configuration text to each server's `jetstream` block.
    pub fn jetstream_config(mut self, text: impl AsRef<str>) -> Self {
        self.server = self.server.jetstream_config(text);
        self
    }

    /// Starts the servers and waits until each is ready and knows the leader.
    pub fn start(self) -> Result<Cluster, ServerError> {
        let mut servers = Vec::with_capacity(self.size);
        for number in 0..self.size {
            servers.push(
                self.server
                    .clone()
                    .make(format!("n{number}"), Some(Port::free()?))?,
            );
        }
        let routes: Vec<u16> = servers.iter().filter_map(NatsServer::route_port).collect();
        for server in &servers {
            server.set_routes(routes.clone());
            server.launch()?;
        }
        let cluster = Cluster { servers };
        cluster.wait_ready()?;
        Ok(cluster)
    }
}

impl Cluster {
    /// How a cluster of `size` servers is to be.
    pub fn builder(size: usize) -> ClusterBuilder {
        ClusterBuilder {
            size,
            server: NatsServer::builder(),
        }
    }

    /// Starts a cluster of `size` servers.
    pub fn start(size: usize) -> Result<Self, ServerError> {
        Self::builder(size).start()
    }

    /// The servers; names and places stay over restarts.
    pub fn servers(&self) -> &[NatsServer] {
        &self.servers
    }

    /// The addresses of all servers, with commas between them.
    pub fn url(&self) -> String {
        self.servers
            .iter()
            .map(NatsServer::url)
            .collect::<Vec<_>>()
            .join(",")
    }

    /// Waits until each server is ready and knows the leader.
    pub fn wait_ready(&self) -> Result<(), ServerError> {
        self.servers.iter().try_for_each(NatsServer::wait_ready)
    }

    /// The place of the server that leads a stream of the default account; waits until there is
    /// one, as servers that run see it.
    pub fn stream_leader(&self, stream: &str) -> Result<usize, ServerError> {
        let leader = || {
            let page = "/jsz?accounts=true&streams=true&config=false";
            let pages = self
                .servers
                .iter()
                .filter_map(|server| server.monitor(page).ok());
            let name = pages.filter_map(|page| leader_of(&page, stream)).next()?;
            self.servers.iter().position(|server| server.name() == name)
        };
        until(leader, || ServerError::NotReady {
            last: format!("stream {stream:?} has no leader"),
            log: String::new(),
        })
    }
}

fn leader_of(page: &Value, stream: &str) -> Option<String> {
    let accounts = page["account_details"].as_array()?;
    let streams = accounts
        .iter()
        .filter_map(|account| account["stream_detail"].as_array());
    let detail = streams.flatten().find(|detail| detail["name"] == stream)?;
    detail["cluster"]["leader"]
        .as_str()
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
}

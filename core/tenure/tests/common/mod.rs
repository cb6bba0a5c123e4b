//! What the tests share: a world to run in, and an aggregate to run.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    unused_macros,
    reason = "each test uses a part"
)]

mod account;
mod far;
mod faulty;
#[cfg(feature = "nats")]
mod front;
mod heard;
mod places;
mod tally;
mod till;
mod witness;

pub use account::*;
pub use far::{Far, LEG};
pub use faulty::{Fate, FaultyShell};
#[cfg(feature = "nats")]
pub use front::FrontServer;
pub use heard::Heard;
pub use places::*;
pub use tally::*;
pub use till::*;
pub use witness::*;

use std::sync::atomic::{AtomicU32, Ordering};
use tenure::{Builder, MemShell, Repository, Tenure};

/// A place with a store that lives as long as this does. Nodes started in it see one store.
pub struct World {
    place: String,
    #[cfg(feature = "nats")]
    server: Option<tenure_nats_server::NatsServer>,
    #[cfg(feature = "nats")]
    front: Option<FrontServer>,
}

impl World {
    /// In memory.
    pub fn mem() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            place: format!("mem:world-{n}"),
            #[cfg(feature = "nats")]
            server: None,
            #[cfg(feature = "nats")]
            front: None,
        }
    }

    /// On a nats-server of its own.
    #[cfg(feature = "nats")]
    pub fn nats() -> Self {
        let server = tenure_nats_server::NatsServer::start().expect("a nats-server");
        Self {
            place: server.url(),
            server: Some(server),
            front: None,
        }
    }

    /// On a front of its own, which is a server in memory for the client of real ones.
    #[cfg(feature = "nats")]
    pub fn front() -> Self {
        let front = FrontServer::start();
        Self {
            place: front.url().into(),
            server: None,
            front: Some(front),
        }
    }

    /// The server, where there is one.
    #[cfg(feature = "nats")]
    pub fn server(&self) -> Option<&tenure_nats_server::NatsServer> {
        self.server.as_ref()
    }

    /// What a builder's `start` takes.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// A node on this world's store, with an empty memory.
    pub async fn node(&self) -> Tenure {
        self.start(Tenure::builder().namespace("bank")).await
    }

    /// The accounts of a new node.
    pub async fn accounts(&self) -> Repository<Account> {
        let node = self.node().await;
        node.repository().await.expect("a repository")
    }

    /// A node of one's own making.
    pub async fn start(&self, builder: Builder) -> Tenure {
        builder.start(&self.place).await.expect("a node")
    }
}

/// Waits until nothing is under way in a node; an entity is at rest a moment after its last answer.
pub async fn idle(node: &Tenure) -> tenure::Counters {
    let idle = async {
        loop {
            let counters = node.counters().await;
            if counters.requests_waiting + counters.store_in_flight + counters.store_waiting == 0 {
                return counters;
            }
            tokio::task::yield_now().await;
        }
    };
    match tokio::time::timeout(std::time::Duration::from_secs(30), idle).await {
        Ok(counters) => counters,
        Err(_) => panic!(
            "the node does not come to rest: {:?}",
            node.counters().await
        ),
    }
}

/// Runs each test in memory and, where this build has it, on a real nats-server.
macro_rules! on_both_shells {
    ($($name:ident),* $(,)?) => {
        mod mem {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name(&crate::common::World::mem()).await;
                }
            )*
        }

        #[cfg(feature = "nats")]
        mod nats {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name(&crate::common::World::nats()).await;
                }
            )*
        }
    };
}
pub(crate) use on_both_shells;

/// The same, and on the front besides.
macro_rules! on_both_shells_and_the_front {
    ($($name:ident),* $(,)?) => {
        crate::common::on_both_shells!($($name),*);

        #[cfg(feature = "nats")]
        mod front {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name(&crate::common::World::front()).await;
                }
            )*
        }
    };
}
pub(crate) use on_both_shells_and_the_front;

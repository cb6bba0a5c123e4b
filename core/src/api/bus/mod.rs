//! The bus: events that any code publishes on topics, for whoever is interested, on whatever node.
//!
//! What is published *live* goes over the network to those who listen at that moment: at most once, to each
//! of them. A slow one loses events by the rule that it chose, and is told how many; nobody waits for it.
//! What is published *durably* is stored first, for a stated time. A durable subscription is a consumer: it
//! has a name, is handed what was stored since it stood there last, at least once, and keeps its checkpoint
//! in the namespace. Who listens live hears what is durable as well, when it is stored.
//!
//! An event is a [`Message`]: a stable name, a version and serde's value, which goes as CBOR. Facts that
//! entities decide belong into the log; its events are read by [consumers](crate::api::consumer).
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use tenure_core::api::bus::{BusError, Next};
//! use tenure_core::api::Tenure;
//!
//! #[derive(Serialize, Deserialize, tenure_macros::Message)]
//! #[message(name = "paid", version = 1, crate = "tenure_core::api")]
//! struct Paid { order: String, cents: u64 }
//!
//! async fn example(tenure: Tenure) -> Result<(), Box<dyn std::error::Error>> {
//!     let bus = tenure.bus();
//!     let mut orders = bus.subscribe("orders.*.paid").start()?;
//!     bus.publish("orders.eu.paid", &Paid { order: "17".to_owned(), cents: 900 }).await?;
//!     while let Some(next) = orders.next().await {
//!         match next {
//!             Next::Event(event) => println!("{} {}", event.topic(), event.decode::<Paid>()?.cents),
//!             Next::Gap(gap) => println!("{} were lost", gap.dropped),
//!         }
//!     }
//!     Ok(())
//! }
//! ```

mod durable;
mod error;
mod event;
mod publish;
mod subscribe;

pub(in crate::api) use durable::NotOfType;
pub use durable::{DurableBuilder, DurableError, Published};
pub use error::{BusError, DecodeError};
pub use event::BusEvent;
pub(crate) use event::decode;
pub use publish::{KEEP, Publish};
pub use subscribe::{Listen, Subscription};

pub use crate::bus::{Gap, Next, Overflow, Pattern, Topic, TopicError};

use super::{Message, Tenure};
use crate::name::Namespace;

/// The bus of a namespace; see [`Tenure::bus`].
#[derive(Clone, Debug)]
pub struct Bus {
    tenure: Tenure,
    reach: Reach,
}

/// Whose events are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    One(Namespace),
    All,
}

impl Tenure {
    /// The bus of this node's namespace.
    pub fn bus(&self) -> Bus {
        Bus {
            tenure: self.clone(),
            reach: Reach::One(self.namespace().clone()),
        }
    }

    /// The bus of another namespace in the same place, where the node was started with the
    /// [right](crate::api::StartOptions::bus_namespaces) to it. Only what is live can be had of it.
    ///
    /// # Errors
    ///
    /// When the name cannot be one, or is none of those.
    pub fn bus_of(&self, namespace: &str) -> Result<Bus, BusError> {
        let namespace = Namespace::new(namespace)?;
        let own = self.namespace();
        let allowed = &self.inner.bus_namespaces;
        let named = |name: &String| name == "*" || name == namespace.as_str();
        if namespace != *own && !allowed.iter().any(named) {
            let own = own.clone();
            return Err(BusError::NamespaceNotAllowed { namespace, own });
        }
        Ok(Bus {
            tenure: self.clone(),
            reach: Reach::One(namespace),
        })
    }

    /// The buses of all namespaces in the same place, to listen to, where the node was started with the
    /// right to all (`"*"`).
    ///
    /// # Errors
    ///
    /// When it was not.
    pub fn bus_of_all(&self) -> Result<Bus, BusError> {
        if !self.inner.bus_namespaces.iter().any(|name| name == "*") {
            let own = self.namespace().clone();
            return Err(BusError::AllNotAllowed { own });
        }
        Ok(Bus {
            tenure: self.clone(),
            reach: Reach::All,
        })
    }
}

impl Bus {
    /// An event, to be published on a topic; live, unless it is made [durable](Publish::durable).
    pub fn publish<M: Message>(&self, topic: &str, event: &M) -> Publish {
        Publish::new(self, topic, event)
    }

    /// Listens to topics of a pattern: `*` stands for any one token, `>` at the end for one or more.
    pub fn subscribe(&self, pattern: &str) -> Listen {
        Listen::new(self, pattern)
    }

    /// Has a handler told what is published durably on topics of a pattern, from where a subscription of
    /// this name stood last.
    pub fn durable(&self, name: &str, pattern: &str) -> DurableBuilder {
        DurableBuilder::new(self, name, pattern)
    }

    /// The one namespace whose bus it is.
    fn namespace(&self) -> Result<&Namespace, BusError> {
        match &self.reach {
            Reach::One(namespace) => Ok(namespace),
            Reach::All => Err(BusError::OneNamespace),
        }
    }

    /// What is stored is this namespace's own.
    fn own(&self) -> Result<(), BusError> {
        let own = self.tenure.namespace();
        match &self.reach {
            Reach::One(namespace) if namespace == own => Ok(()),
            Reach::One(_) | Reach::All => Err(BusError::DurableElsewhere { own: own.clone() }),
        }
    }
}

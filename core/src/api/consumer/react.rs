//! Policies: whenever something happened, commands to entities, each of which takes effect once.

use super::{Consumed, ConsumerBuilder, Handler, HandlerError};
use crate::api::tenure::Inner;
use crate::api::{Aggregate, Decide, Entity, Message, Tenure};
use crate::format::Metadata;
use crate::id::CommandId;
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::sync::{Arc, Weak};

/// A command that an event leads to; see [`ConsumerBuilder::react`].
#[must_use = "a reaction is one of what a policy returns"]
pub struct Reaction {
    /// To whom which command goes: it is part of the command's id, and where it stands among others is not.
    what: Vec<u8>,
    give: Box<dyn FnOnce(Sending) -> BoxFuture<'static, Result<(), HandlerError>> + Send>,
}

/// From where a reaction is sent, under which id, and what it says of itself.
struct Sending {
    tenure: Tenure,
    id: CommandId,
    metadata: Metadata,
}

impl Reaction {
    /// A command to an entity: of a kind, or a [saga](crate::api::saga) that is to
    /// [start](crate::api::saga::Start).
    pub fn send<B, M>(id: impl Into<String>, command: M) -> Self
    where
        B: Entity + Decide<M, Error: Display>,
        M: Message,
    {
        let entity = id.into();
        let mut what = Vec::new();
        for part in [B::KIND, &entity, M::NAME] {
            what.extend_from_slice(part.as_bytes());
            // No name has it.
            what.push(0);
        }
        let give = move |sending: Sending| -> BoxFuture<'static, Result<(), HandlerError>> {
            Box::pin(async move {
                let Sending {
                    tenure,
                    id,
                    metadata,
                } = sending;
                let asked = tenure.entity::<B>(&entity).ask(command);
                match asked.id(id).metadata(metadata).await {
                    Ok(_) => Ok(()),
                    Err(error) => {
                        let (kind, command) = (B::KIND, M::NAME);
                        Err(format!("{kind} {entity:?} did not take {command}: {error}").into())
                    }
                }
            })
        };
        Self {
            what,
            give: Box::new(give),
        }
    }
}

impl fmt::Debug for Reaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reaction").finish_non_exhaustive()
    }
}

impl ConsumerBuilder {
    /// A policy: whenever an event of a kind happens, these commands are given, one after another, to entities
    /// wherever they are, so also to [sagas](crate::api::saga). Pure: what it returns depends on the event alone.
    ///
    /// Each command has an id that is made of the consumer's name, the event, the entity and the command's name;
    /// of several with the same name to the same entity the order counts. So it takes effect once, however often
    /// the event comes: after a crash, after a rewind, when a dead letter of it is replayed, and when another build
    /// returns others beside it. That holds as P4 does, within what the receiver remembers of ids: always the last 64
    /// commands, and those of two minutes (8,192 at most). A command of an event that is older than all of these is
    /// refused as expired, as it may have been taken before, and is the event's failure: also the first time, as
    /// when the consumer was away for long. A rebuild over a receiver that goes on gives such events. Let the
    /// [policy](Self::failing) put them aside where somebody can look at them.
    ///
    /// A command that is not taken, also one that its entity says no to, is a failure of the event, by the
    /// consumer's [policy](Self::failing). Those before it took effect, and are not given again with it.
    ///
    /// ```
    /// use tenure_core::api::consumer::{Consumed, ConsumerError, Reaction};
    /// use tenure_core::api::saga::{Process, Saga, Start};
    /// # use tenure_core::api::*;
    /// # #[derive(Clone, Default)] struct Order;
    /// # #[derive(Debug, tenure_macros::Event)] #[event(crate = "tenure_core::api")]
    /// # enum OrderEvent { #[event(name = "placed", version = 1)] Placed { cents: u64 } }
    /// # impl Aggregate for Order {
    /// #     type Event = OrderEvent;
    /// #     const KIND: &'static str = "order";
    /// #     fn evolve(&mut self, _: &OrderEvent) {}
    /// # }
    /// # struct Shipping;
    /// # impl Process for Shipping {
    /// #     const KIND: &'static str = "shipping";
    /// #     type Input = u64;
    /// #     fn steps(_: &str, _: &u64) -> Vec<saga::Step> { Vec::new() }
    /// # }
    /// # async fn example(tenure: Tenure) -> Result<(), ConsumerError> {
    /// tenure
    ///     .consumer("ship-what-is-placed")
    ///     .react::<Order>(|event: &Consumed<OrderEvent>| match event.event {
    ///         OrderEvent::Placed { cents } => {
    ///             vec![Reaction::send::<Saga<Shipping>, _>(event.id().as_str(), Start(cents))]
    ///         }
    ///     })
    ///     .start()
    ///     .await?;
    /// # Ok(()) }
    /// ```
    pub fn react<A: Aggregate>(
        self,
        policy: impl Fn(&Consumed<A::Event>) -> Vec<Reaction> + Send + Sync + 'static,
    ) -> Self {
        let (consumer, node) = self.name_and_node();
        self.kind::<A>(Reacts {
            policy,
            consumer,
            node,
        })
    }
}

/// A handler that gives commands. It keeps no node running.
struct Reacts<F> {
    policy: F,
    consumer: String,
    node: Weak<Inner>,
}

impl<E, F> Handler<E> for Reacts<F>
where
    E: Send + 'static,
    F: Fn(&Consumed<E>) -> Vec<Reaction> + Send + Sync + 'static,
{
    async fn handle(&self, event: Consumed<E>) -> Result<(), HandlerError> {
        let reactions = (self.policy)(&event);
        let (origin, metadata) = (self.origin(&event), Metadata::caused_by(&event));
        let time = event.time;
        drop(event);
        let mut alike = BTreeMap::<Vec<u8>, u32>::new();
        for Reaction { what, give } in reactions {
            let inner: Arc<Inner> = self.node.upgrade().ok_or("the node has stopped")?;
            let mut bytes = origin.clone();
            bytes.extend_from_slice(&what);
            let before = alike.entry(what).or_default();
            bytes.extend_from_slice(&before.to_be_bytes());
            *before += 1;
            let key = inner.handle.layout().key;
            let sending = Sending {
                tenure: Tenure { inner },
                // Its time is that of the event's commit, so that its age is known.
                id: CommandId::new(time, key.hash128(b'p', bytes)),
                metadata: metadata.clone(),
            };
            give(sending).await?;
        }
        Ok(())
    }
}

impl<F> Reacts<F> {
    /// What the ids of an event's commands are made of: the same each time that it comes, and of no other event or
    /// consumer.
    fn origin<E>(&self, event: &Consumed<E>) -> Vec<u8> {
        let mut bytes = self.consumer.as_bytes().to_vec();
        // No name has it.
        bytes.push(0);
        // Not of the event's sequence: after a lost tail a stream gives those again.
        bytes.extend_from_slice(&event.commit.0.to_be_bytes());
        bytes.extend_from_slice(&event.place().index.to_be_bytes());
        bytes.extend_from_slice(&event.part().to_be_bytes());
        bytes
    }
}

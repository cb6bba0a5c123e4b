//! Actors of shards and of nodes, and one that asks others.

use super::witness::{Look, Lookout, Seen, Witness};
use serde::{Deserialize, Serialize};
use tenure::ShardId;
use tenure::actor::{Actor, ActorCx, ActorSettings, Handle, Handlers, InitError};
use tenure::prelude::*;

/// Says where it is and how often it was asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// Its key.
    pub key: String,
    /// Its node.
    pub node: String,
    /// Its shard.
    pub shard: Option<u16>,
    /// How often it was asked.
    pub asked: u64,
}

/// Asks where an actor is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "find", version = 1)]
pub struct Find;

macro_rules! found {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $settings:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name {
            asked: u64,
        }

        impl Actor for $name {
            const KIND: &'static str = $kind;

            fn settings() -> ActorSettings {
                $settings
            }

            async fn init(_: &mut ActorCx<Self>) -> Result<Self, InitError> {
                Ok(Self { asked: 0 })
            }

            fn handlers(handlers: Handlers<Self>) -> Handlers<Self> {
                handlers.on::<Find>()
            }
        }

        impl Handle<Find> for $name {
            type Reply = Found;
            type Error = Never;

            async fn handle(&mut self, _: Find, cx: &mut ActorCx<Self>) -> Result<Found, Never> {
                self.asked += 1;
                Ok(Found {
                    key: cx.key().to_owned(),
                    node: cx.node().to_owned(),
                    shard: cx.shard().map(|shard| shard.0),
                    asked: self.asked,
                })
            }
        }
    };
}

found! {
    /// One for each shard.
    Census, "census", ActorSettings::default().per_shard()
}

found! {
    /// One for each node.
    Disk, "disk", ActorSettings::default().per_node()
}

/// Asks others for its caller.
#[derive(Debug)]
pub struct Broker;

/// Whom a broker asks.
#[derive(Clone, Debug, Serialize, Deserialize, Message)]
#[message(name = "relay", version = 1)]
pub enum Relay {
    /// An entity, by a command.
    Entity(String),
    /// An entity, by a query.
    Read(String),
    /// An actor.
    Actor(String),
    /// The actor of a shard.
    Shard(u16),
    /// The actor of a node.
    Node(String),
}

/// What a broker was told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Relayed {
    /// By a witness or a lookout.
    Seen(Seen),
    /// By a census or a disk.
    Found(Found),
}

impl Actor for Broker {
    const KIND: &'static str = "broker";

    async fn init(_: &mut ActorCx<Self>) -> Result<Self, InitError> {
        Ok(Self)
    }

    fn handlers(handlers: Handlers<Self>) -> Handlers<Self> {
        handlers.on::<Relay>()
    }
}

impl Handle<Relay> for Broker {
    type Reply = Relayed;
    type Error = String;

    async fn handle(&mut self, relay: Relay, cx: &mut ActorCx<Self>) -> Result<Relayed, String> {
        let look = Look { keep: false };
        match relay {
            Relay::Entity(id) => {
                let asked = cx.entity::<Witness>(&id).ask(look).await;
                asked.map(Relayed::Seen).map_err(|e| e.to_string())
            }
            Relay::Read(id) => {
                let read = cx.entity::<Witness>(&id).read(look).await;
                read.map(Relayed::Seen).map_err(|e| e.to_string())
            }
            Relay::Actor(key) => {
                let asked = cx.actor::<Lookout>(&key).ask(look).await;
                asked.map(Relayed::Seen).map_err(|e| e.to_string())
            }
            Relay::Shard(shard) => {
                let asked = cx.shard_actor::<Census>(ShardId(shard)).ask(Find).await;
                asked.map(Relayed::Found).map_err(|e| e.to_string())
            }
            Relay::Node(node) => {
                let asked = cx.node_actor::<Disk>(&node).ask(Find).await;
                asked.map(Relayed::Found).map_err(|e| e.to_string())
            }
        }
    }
}

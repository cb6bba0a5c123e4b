//! What users are promised, shown on both shells: each test runs in memory and on a real
//! nats-server, which the tests of this binary share through namespaces of their own.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test fails on whatever it does not expect"
)]

/// Makes `mem::name` and `nats::name` of each test, a function of a [`World`](crate::world::World).
macro_rules! on_both_shells {
    ($($name:ident),* $(,)?) => {
        mod mem {
            $(#[tokio::test]
            async fn $name() {
                let world = crate::world::World::mem();
                crate::world::within(stringify!($name), super::$name(&world)).await;
            })*
        }
        mod nats {
            $(#[tokio::test]
            async fn $name() {
                let world = crate::world::World::nats();
                crate::world::within(stringify!($name), super::$name(&world)).await;
            })*
        }
    };
}

mod bad_input;
mod cache;
mod counter;
mod defects;
mod histories;
mod metadata;
mod repository;
mod snapshot;
mod store;
mod travel;
mod upcasters;
mod world;

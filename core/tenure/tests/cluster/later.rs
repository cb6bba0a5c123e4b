//! Reminders and messages of decisions that cannot be, and what is told of them.

use crate::common::{World, on_both_shells};
use crate::nodes::{self, wait};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tenure::prelude::*;
use tenure::{Cluster, TakeOver};

on_both_shells!(
    a_kind_without_owners_has_no_reminders,
    a_message_that_its_kind_does_not_list_is_refused,
);

#[derive(Clone, Debug, PartialEq, Event)]
#[event(name = "reserved", version = 1)]
struct Reserved;

#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "reserve", version = 1)]
struct Reserve;

#[derive(Clone, Copy, Debug, Serialize, Deserialize, Message)]
#[message(name = "unlisted", version = 1)]
struct Unlisted;

macro_rules! kind {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $settings:expr, $message:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        struct $name;

        impl Aggregate for $name {
            type Event = Reserved;
            const KIND: &'static str = $kind;

            fn evolve(&mut self, _: &Reserved) {}

            fn settings() -> KindSettings {
                $settings
            }
        }

        impl Decide<$message> for $name {
            type Reply = ();
            type Error = Never;

            fn decide(
                &self,
                _: &$message,
                _: &DecideCx<'_>,
            ) -> Result<Decision<Self, ()>, Never> {
                let soon = Duration::from_secs(60);
                Ok(Decision::event(Reserved).remind("later", soon, $message))
            }
        }
    };
}

kind! {
    /// Anyone writes it.
    Loose, "loose", KindSettings::default(), Reserve
}

impl Entity for Loose {
    fn messages() -> Messages<Self> {
        Messages::new().command::<Reserve>()
    }
}

kind! {
    /// It reminds itself by what it does not list.
    Careless, "careless", KindSettings::default().owned(), Unlisted
}

impl Entity for Careless {
    fn messages() -> Messages<Self> {
        Messages::new()
    }
}

async fn a_kind_without_owners_has_no_reminders(world: &World) {
    let node = world.node().await;
    let loose = node.repository::<Loose>().await.unwrap();
    let refused = loose.execute("it", Reserve).await.unwrap_err();
    let ExecuteError::Unowned { kind } = &refused else {
        panic!("{refused:?}");
    };
    assert_eq!(kind.as_str(), "loose");
    assert!(refused.to_string().contains("owned()"), "{refused}");
    let absent = loose.load("it").await;
    assert!(
        matches!(absent, Err(LoadError::NotFound { .. })),
        "{absent:?}"
    );
}

async fn a_message_that_its_kind_does_not_list_is_refused(world: &World) {
    let builder = nodes::node(Cluster::named("a")).serve::<Careless>();
    let node = world.start(builder).await;
    wait(&node, |view| view.is_served(TakeOver::Fenced)).await;
    let careless = node.repository::<Careless>().await.unwrap();
    let refused = careless.execute("it", Unlisted).await.unwrap_err();
    let text = refused.to_string();
    assert!(matches!(refused, ExecuteError::Failed(_)), "{refused:?}");
    assert!(
        text.contains("unlisted v1") && text.contains("Entity::messages"),
        "{text}"
    );
}

//! What users are told, collected from attempts that must fail and write nothing.

use crate::world::{World, within};
use std::error::Error;
use std::fmt::Debug;
use std::future::Future;

/// What was tried, and the error's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    tried: String,
    text: String,
}

/// What the attempts of one scene were told.
#[derive(Debug, Default)]
pub(crate) struct Page {
    told: Vec<Told>,
}

impl Page {
    /// Tries what must be refused; nothing may have been written to the namespace meanwhile.
    pub(crate) async fn refused<T, E>(
        &mut self,
        world: &World,
        tried: &str,
        attempt: impl IntoFuture<Output = Result<T, E>>,
    ) -> E
    where
        T: Debug,
        E: Error,
    {
        let before = world.extents().await;
        let error = self.fails(world, tried, attempt).await;
        assert_eq!(
            world.extents().await,
            before,
            "{tried}: something was written"
        );
        error
    }

    /// Tries to open what must be refused; no event stream may have been written to meanwhile.
    /// For what only making the first streams reveals: the records of a new namespace are made
    /// before its event streams are.
    pub(crate) async fn not_opened<T, E>(
        &mut self,
        world: &World,
        tried: &str,
        attempt: impl IntoFuture<Output = Result<T, E>>,
    ) -> E
    where
        T: Debug,
        E: Error,
    {
        let before = world.events_stored().await;
        let error = self.fails(world, tried, attempt).await;
        let after = world.events_stored().await;
        assert_eq!(after, before, "{tried}: something was written");
        error
    }

    /// Tries what must fail, where nobody can look at the store.
    pub(crate) async fn fails<T, E>(
        &mut self,
        world: &World,
        tried: &str,
        attempt: impl IntoFuture<Output = Result<T, E>>,
    ) -> E
    where
        T: Debug,
        E: Error,
    {
        let error = match within(tried, attempt.into_future()).await {
            Ok(done) => panic!("{tried}: done, {done:?}"),
            Err(error) => error,
        };
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text += &format!("\n  because: {cause}");
            source = cause.source();
        }
        let tried = tried.to_owned();
        let text = world.anonymous(&text);
        self.told.push(Told { tried, text });
        error
    }

    pub(crate) fn into_told(self) -> Vec<Told> {
        self.told
    }
}

/// Plays a scene in a runtime of its own.
pub(super) fn play(scene: impl Future<Output = Vec<Told>>) -> Vec<Told> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(scene)
}

/// One scene on the page.
pub(super) fn print(mem: Option<&[Told]>, nats: &[Told]) -> String {
    let line = |shell: &str, told: &Told| {
        let text = told.text.replace('\n', "\n  ");
        format!("- {}{shell}\n  {text}\n", told.tried)
    };
    let mut text = String::new();
    match mem {
        Some(mem) => {
            assert_eq!(mem.len(), nats.len());
            for (mem, nats) in mem.iter().zip(nats) {
                if mem == nats {
                    text += &line("", mem);
                } else {
                    text += &line(" (mem)", mem);
                    text += &line(" (nats)", nats);
                }
            }
        }
        None => nats.iter().for_each(|told| text += &line("", told)),
    }
    text + "\n"
}

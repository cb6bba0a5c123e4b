//! The actors of one kind in one lane.

use super::background::Background;
use super::cx::{ActorCx, Timers};
use super::handlers::Handlers;
use super::job::Job;
use super::{Actor, Watched};
use crate::actor::{Ending, Trail};
use crate::driver::actors::host::{
    Act, ActorEntry, ActorHost, Finished, Mail, NotUnderstood, Outcome, Scene,
};
use crate::driver::host::panic_text;
use crate::format::Metadata;
use crate::id::Ticket;
use crate::tickets::Tickets;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// One actor, and what most have nothing of.
pub(crate) struct Resident<A: Actor> {
    pub(super) actor: A,
    pub(super) more: Option<Box<More<A>>>,
}

/// What most actors have nothing of.
pub(super) struct More<A: Actor> {
    pub(super) timers: Timers<A>,
    pub(super) background: Option<Box<Background>>,
}

impl<A: Actor> Default for More<A> {
    fn default() -> Self {
        Self {
            timers: Timers::new(),
            background: None,
        }
    }
}

/// The actors of one kind in one lane.
pub(crate) struct Residents<A: Actor> {
    entry: Arc<ActorEntry>,
    handlers: Arc<Handlers<A>>,
    mail: Tickets<Waits<A>>,
}

/// A message that waits for its turn.
struct Waits<A: Actor> {
    job: Box<dyn Job<A>>,
    metadata: Option<Arc<Metadata>>,
    trail: Trail,
}

impl<A: Actor> Residents<A> {
    pub(super) fn new(entry: Arc<ActorEntry>, handlers: Arc<Handlers<A>>) -> Self {
        Self {
            entry,
            handlers,
            mail: Tickets::default(),
        }
    }
}

impl<A: Actor> ActorHost for Residents<A> {
    fn admit(&mut self, ticket: Ticket, mail: Mail) -> Result<(), NotUnderstood> {
        let waits = Waits {
            job: self.handlers.job(mail.content, self.entry.codec)?,
            metadata: mail.metadata,
            trail: mail.trail,
        };
        self.mail.insert(ticket, waits);
        Ok(())
    }

    fn give_back(&mut self, ticket: Ticket) -> Option<Mail> {
        self.mail.remove(ticket).map(|waits| Mail {
            content: waits.job.content(),
            metadata: waits.metadata,
            trail: waits.trail,
        })
    }

    fn waiting(&self) -> Vec<Ticket> {
        self.mail.iter().map(|(ticket, _)| ticket).collect()
    }

    fn begin(
        &mut self,
        scene: Scene,
        act: Act,
        resident: Option<Box<dyn Any + Send>>,
    ) -> BoxFuture<'static, Finished> {
        let mut cx = ActorCx::new(scene, Arc::clone(&self.entry));
        if matches!(act, Act::Activate) {
            return Box::pin(activate::<A>(cx));
        }
        let resident = resident.and_then(|one| one.downcast::<Resident<A>>().ok());
        let Some(mut resident) = resident else {
            // The scheduler runs nothing on an actor that was not made (A2).
            return Box::pin(std::future::ready(Finished::dropped()));
        };
        let more = resident.more.as_mut();
        let more = more.map(|more| (more.background.take(), std::mem::take(&mut more.timers)));
        if let Some((background, timers)) = more {
            cx.enters(background, timers);
        }
        match act {
            Act::Message { ticket, .. } => match self.mail.remove(ticket) {
                Some(waits) => {
                    cx.for_caller(waits.metadata, waits.trail);
                    waits.job.run(resident, cx)
                }
                // It was given back meanwhile; the actor is as it was.
                None => {
                    let ending = Ending::Withdrawn;
                    Box::pin(std::future::ready(finish(resident, cx, ending, None)))
                }
            },
            Act::Timer { name, last } => match cx.timer_job(&name, last) {
                Some(job) => job.run(resident, cx),
                None => Box::pin(std::future::ready(finish(resident, cx, Ending::Ok, None))),
            },
            Act::Notice { watch, ended } => Box::pin(async move {
                let whom = Watched::new(watch, ended);
                let actor = &mut resident.actor;
                let told = async { actor.ended(whom, &mut cx).await };
                let ending = ending(AssertUnwindSafe(told).catch_unwind().await);
                finish(resident, cx, ending, None)
            }),
            Act::Stop(why) => Box::pin(async move {
                let actor = &mut resident.actor;
                let stopped = async { actor.stop(why, &mut cx).await };
                let ending = ending(AssertUnwindSafe(stopped).catch_unwind().await);
                finish(resident, cx, ending, None)
            }),
            Act::Activate => unreachable!("it returned above"),
        }
    }
}

async fn activate<A: Actor>(mut cx: ActorCx<A>) -> Finished {
    let made = async { A::init(&mut cx).await };
    match AssertUnwindSafe(made).catch_unwind().await {
        Ok(Ok(actor)) => {
            let resident = Box::new(Resident { actor, more: None });
            finish(resident, cx, Ending::Ok, None)
        }
        Ok(Err(error)) => Finished::failed(Ending::Failed(error.cause)),
        Err(panic) => Finished::failed(Ending::Panicked(panic_text(panic))),
    }
}

fn ending(ended: Result<(), Box<dyn Any + Send>>) -> Ending {
    match ended {
        Ok(()) => Ending::Ok,
        Err(panic) => Ending::Panicked(panic_text(panic)),
    }
}

/// The actor comes back with what its context was told.
pub(super) fn finish<A: Actor>(
    mut resident: Box<Resident<A>>,
    cx: ActorCx<A>,
    ending: Ending,
    outcome: Option<Box<dyn Outcome>>,
) -> Finished {
    let left = cx.leaves();
    let running = left.background.as_ref().map_or(0, |one| one.running());
    if left.background.is_some() || !left.timers.is_empty() {
        let more = resident.more.get_or_insert_default();
        more.background = left.background;
        more.timers = left.timers;
    }
    let bare = |more: &mut Box<More<A>>| more.timers.is_empty() && more.background.is_none();
    resident.more.take_if(bare);
    Finished {
        ending,
        orders: left.orders,
        background: running,
        outcome,
        resident: Some(resident),
    }
}

impl Finished {
    /// Nothing is left of it.
    pub(crate) fn dropped() -> Self {
        Self::failed(Ending::Dropped)
    }

    fn failed(ending: Ending) -> Self {
        Self {
            ending,
            orders: Vec::new(),
            background: 0,
            outcome: None,
            resident: None,
        }
    }
}

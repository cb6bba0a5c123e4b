//! Vaults, between which sagas move money, and guards, who may say no, late, or nothing. Both take steps as
//! they are to be taken (Z3): what each did is kept by its key, an undo takes back that alone, and a step
//! that comes after its undo is refused.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use tenure_core::api::saga::{Process, ReplyTo, Step};
use tenure_core::api::{
    Aggregate, CodecError, Decide, DecideCx, Decision, Entity, KindSettings, Messages, Never,
    SnapshotPolicy,
};
use tenure_core::format::Codec;

/// What is told of a step that is refused.
pub(super) const NO: &str = "no";

/// What is in a vault at first.
pub(super) const AT_FIRST: i64 = 100;

/// How often an undo is sent: no saga is stuck here, as each entity is back in the end.
const UNDO_TRIES_MAX: u32 = u32::MAX;

/// What happens to a vault or a guard.
#[derive(Clone, Debug, PartialEq, Eq, tenure_macros::Event)]
#[event(crate = "tenure_core::api")]
pub(super) enum StepEvent {
    /// A step is done: by so much there is more.
    #[event(name = "step-done", version = 1)]
    Done { step: String, by: i64 },
    /// It is done no more, or never will be.
    #[event(name = "step-undone", version = 1)]
    Undone { step: String },
    /// An undo is put off.
    #[event(name = "undo-put-off", version = 1)]
    PutOff { step: String },
}

/// What somebody who takes a step does beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Manner {
    /// Tells at once what came of it.
    Prompt,
    /// Refuses.
    Refuses,
    /// Tells it so much later.
    Late { after_ms: u64 },
    /// Tells nothing.
    Silent,
}

/// A step: so much more, or less.
#[derive(Clone, Debug, Serialize, Deserialize, tenure_macros::Message)]
#[message(name = "take-step", version = 1, crate = "tenure_core::api")]
pub(super) struct TakeStep {
    pub(super) by: i64,
    pub(super) manner: Manner,
    pub(super) to: ReplyTo,
}

/// Undoes it, also when it did not come yet; the first time it may be put off.
#[derive(Clone, Debug, Serialize, Deserialize, tenure_macros::Message)]
#[message(name = "undo-step", version = 1, crate = "tenure_core::api")]
pub(super) struct UndoStep {
    pub(super) put_off: bool,
    pub(super) to: ReplyTo,
}

/// What is told late.
#[derive(Clone, Debug, Serialize, Deserialize, tenure_macros::Message)]
#[message(name = "tell-step", version = 1, crate = "tenure_core::api")]
pub(super) struct TellStep {
    to: ReplyTo,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Stands {
    Done(i64),
    PutOff(Option<i64>),
    Undone,
}

/// A vault or a guard.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Steps {
    gained: i64,
    steps: BTreeMap<String, Stands>,
}

impl Steps {
    fn takes_in(&mut self, event: &StepEvent) {
        match event {
            StepEvent::Done { step, by } => {
                self.gained += by;
                self.steps.insert(step.clone(), Stands::Done(*by));
            }
            StepEvent::PutOff { step } => {
                let by = self.done(step);
                self.steps.insert(step.clone(), Stands::PutOff(by));
            }
            StepEvent::Undone { step } => {
                self.gained -= self.done(step).unwrap_or(0);
                self.steps.insert(step.clone(), Stands::Undone);
            }
        }
    }

    /// By how much there is more by a step that is not undone.
    fn done(&self, step: &str) -> Option<i64> {
        match self.steps.get(step)? {
            Stands::Done(by) => Some(*by),
            Stands::PutOff(by) => *by,
            Stands::Undone => None,
        }
    }

    fn takes<A>(&self, take: &TakeStep, left: i64) -> Decision<A, ()>
    where
        A: Entity<Event = StepEvent> + Decide<TellStep>,
    {
        let TakeStep { by, manner, to } = take;
        let step = to.key();
        // What was undone before it came is not done any more.
        if self.steps.contains_key(&step) || left + by < 0 || *manner == Manner::Refuses {
            return Decision::nothing(()).report(to, Err(NO.to_owned()));
        }
        let done = Decision::event(StepEvent::Done { step, by: *by });
        match manner {
            Manner::Prompt | Manner::Refuses => done.report(to, Ok(())),
            Manner::Silent => done,
            Manner::Late { after_ms } => {
                let (after, to) = (Duration::from_millis(*after_ms), to.clone());
                done.remind(format!("tell-{}", to.saga()), after, TellStep { to })
            }
        }
    }

    fn undoes<A>(&self, undo: &UndoStep) -> Decision<A, ()>
    where
        A: Aggregate<Event = StepEvent>,
    {
        let step = undo.to.key();
        let decision = match self.steps.get(&step) {
            Some(Stands::Undone) => Decision::nothing(()),
            None | Some(Stands::Done(_)) if undo.put_off => {
                let put_off = Decision::event(StepEvent::PutOff { step });
                return put_off.report(&undo.to, Err("not now".to_owned()));
            }
            None | Some(Stands::Done(_) | Stands::PutOff(_)) => {
                Decision::event(StepEvent::Undone { step })
            }
        };
        decision.report(&undo.to, Ok(()))
    }
}

macro_rules! takes_steps {
    ($(#[$doc:meta])* $name:ident is $kind:literal has $left:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Serialize, Deserialize)]
        pub(super) struct $name(Steps);

        impl Aggregate for $name {
            type Event = StepEvent;
            const KIND: &'static str = $kind;

            fn evolve(&mut self, event: &StepEvent) {
                self.0.takes_in(event);
            }

            fn settings() -> KindSettings {
                let snapshots = SnapshotPolicy::every(9);
                KindSettings::default().owned().snapshots(snapshots)
            }

            fn snapshot(&self, codec: Codec) -> Option<Result<bytes::Bytes, CodecError>> {
                Some(codec.encode(self))
            }

            fn restore(state: &[u8], codec: Codec) -> Option<Result<Self, CodecError>> {
                Some(codec.decode(state))
            }
        }

        impl Decide<TakeStep> for $name {
            type Reply = ();
            type Error = Never;

            fn decide(&self, take: &TakeStep, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
                let left: fn(&Steps) -> i64 = $left;
                Ok(self.0.takes(take, left(&self.0)))
            }
        }

        impl Decide<UndoStep> for $name {
            type Reply = ();
            type Error = Never;

            fn decide(&self, undo: &UndoStep, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
                Ok(self.0.undoes(undo))
            }
        }

        impl Decide<TellStep> for $name {
            type Reply = ();
            type Error = Never;

            fn decide(&self, tell: &TellStep, _: &DecideCx<'_>) -> Result<Decision<Self, ()>, Never> {
                Ok(Decision::nothing(()).report(&tell.to, Ok(())))
            }
        }

        impl Entity for $name {
            fn messages() -> Messages<Self> {
                let steps = Messages::new().command::<TakeStep>().command::<UndoStep>();
                steps.command::<TellStep>()
            }
        }
    };
}

takes_steps! {
    /// A vault: it has no step that takes more than is in it.
    Vault is "vault" has |steps| AT_FIRST + steps.gained
}

takes_steps! {
    /// A guard.
    Guard is "guard" has |_| 0
}

/// Moves money from one vault to another, past a guard.
#[derive(Debug)]
pub(super) struct Move;

/// What is moved, and how those take it whom it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) from: String,
    pub(super) past: String,
    pub(super) to: String,
    pub(super) amount: i64,
    /// How each of the three steps is taken.
    pub(super) manners: [Manner; 3],
    /// Whether undoing is put off the first time.
    pub(super) put_off: bool,
    /// Whether what the guard did stays.
    pub(super) stays: bool,
    pub(super) timeout_ms: u64,
}

impl Process for Move {
    const KIND: &'static str = "move";
    type Input = Order;

    fn steps(_: &str, order: &Order) -> Vec<Step> {
        let Order {
            amount,
            manners,
            put_off,
            ..
        } = *order;
        let timeout = Duration::from_millis(order.timeout_ms);
        let take = |by, nth: usize| {
            let manner = manners[nth];
            move |to| TakeStep { by, manner, to }
        };
        let undo = move |to| UndoStep { put_off, to };
        let guard = Step::send::<Guard, _>(&order.past, take(0, 1)).timeout(timeout);
        vec![
            Step::send::<Vault, _>(&order.from, take(-amount, 0))
                .undo::<Vault, _>(&order.from, undo)
                .undo_tries_max(UNDO_TRIES_MAX)
                .timeout(timeout),
            match order.stays {
                true => guard,
                false => guard
                    .undo::<Guard, _>(&order.past, undo)
                    .undo_tries_max(UNDO_TRIES_MAX),
            },
            Step::send::<Vault, _>(&order.to, take(amount, 2))
                .undo::<Vault, _>(&order.to, undo)
                .undo_tries_max(UNDO_TRIES_MAX)
                .timeout(timeout),
        ]
    }
}

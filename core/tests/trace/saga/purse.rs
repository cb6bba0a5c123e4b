//! What sagas of stories move money between: it keeps what each step did, as an entity of a saga has to.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tenure_core::api::saga::ReplyTo;
use tenure_core::api::{
    Aggregate, CodecError, Decide, DecideCx, Decision, Entity, Event, KindSettings, Message,
    Messages, Never,
};
use tenure_core::format::Codec;

#[derive(Clone, Debug, Default)]
pub(super) struct Purse {
    cents: i64,
    /// By how much each step moved it; by nothing where that was undone, perhaps before it came.
    steps: BTreeMap<String, Option<i64>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum PurseEvent {
    Filled { cents: i64 },
    Moved { step: String, cents: i64 },
    Undone { step: String },
}

impl Event for PurseEvent {
    const TYPES: &'static [(&'static str, u16)] = &[("filled", 1), ("moves", 1), ("undoes", 1)];

    fn name(&self) -> &'static str {
        match self {
            Self::Filled { .. } => "filled",
            Self::Moved { .. } => "moves",
            Self::Undone { .. } => "undoes",
        }
    }

    fn schema(&self) -> u16 {
        1
    }

    fn encode(&self, codec: Codec) -> Result<bytes::Bytes, CodecError> {
        codec.encode(self)
    }

    fn decode(_: &str, _: u16, codec: Codec, data: &[u8]) -> Result<Option<Self>, CodecError> {
        codec.decode(data).map(Some)
    }
}

impl Aggregate for Purse {
    type Event = PurseEvent;
    const KIND: &'static str = "purse";

    fn evolve(&mut self, event: &PurseEvent) {
        match event {
            PurseEvent::Filled { cents } => self.cents += cents,
            PurseEvent::Moved { step, cents } => {
                self.cents += cents;
                self.steps.insert(step.clone(), Some(*cents));
            }
            PurseEvent::Undone { step } => {
                let moved = self.steps.insert(step.clone(), None);
                self.cents -= moved.flatten().unwrap_or(0);
            }
        }
    }

    fn settings() -> KindSettings {
        KindSettings::default().owned()
    }
}

macro_rules! message {
    ($name:ident { $($field:ident: $type:ty),* }, $wire:literal) => {
        #[derive(Clone, Debug, Serialize, Deserialize)]
        pub(super) struct $name {
            $(pub(super) $field: $type,)*
        }

        impl Message for $name {
            const NAME: &'static str = $wire;
            const VERSION: u16 = 1;
        }
    };
}
message!(
    Take {
        cents: i64,
        to: ReplyTo
    },
    "take"
);
message!(
    Give {
        cents: i64,
        to: ReplyTo
    },
    "give"
);
message!(Undo { to: ReplyTo }, "undo");

type Decided = Result<Decision<Purse, ()>, Never>;

impl Purse {
    pub(super) fn cents(&self) -> i64 {
        self.cents
    }

    /// Moves by so much, unless the step was undone already or there is not enough.
    fn moved(&self, cents: i64, to: &ReplyTo) -> Decided {
        let step = to.key();
        match self.steps.get(&step) {
            // It came before.
            Some(Some(_)) => return Ok(Decision::nothing(()).report(to, Ok(()))),
            Some(None) => {
                let why = "it was undone before it came".to_owned();
                return Ok(Decision::nothing(()).report(to, Err(why)));
            }
            None => {}
        }
        if self.cents + cents < 0 {
            let why = format!("there are {}", self.cents);
            return Ok(Decision::nothing(()).report(to, Err(why)));
        }
        let moved = Decision::event(PurseEvent::Moved { step, cents });
        Ok(moved.report(to, Ok(())))
    }
}

impl Decide<Take> for Purse {
    type Reply = ();
    type Error = Never;

    fn decide(&self, Take { cents, to }: &Take, _: &DecideCx<'_>) -> Decided {
        self.moved(-cents, to)
    }
}

impl Decide<Give> for Purse {
    type Reply = ();
    type Error = Never;

    fn decide(&self, Give { cents, to }: &Give, _: &DecideCx<'_>) -> Decided {
        self.moved(*cents, to)
    }
}

impl Decide<Undo> for Purse {
    type Reply = ();
    type Error = Never;

    fn decide(&self, Undo { to }: &Undo, _: &DecideCx<'_>) -> Decided {
        let step = to.key();
        let decision = match self.steps.get(&step) {
            Some(None) => Decision::nothing(()),
            Some(Some(_)) | None => Decision::event(PurseEvent::Undone { step }),
        };
        Ok(decision.report(to, Ok(())))
    }
}

impl Entity for Purse {
    fn messages() -> Messages<Self> {
        let commands = Messages::new().command::<Take>();
        commands.command::<Give>().command::<Undo>()
    }
}

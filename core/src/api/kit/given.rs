//! Given, when, then.

use crate::api::contexts::{Said, Scene};
use crate::api::plans::{CommandOf, Plans, When as Due};
use crate::api::{Aggregate, CodecError, Decide, DecideCx, Entity, Event, Message, Metadata};
use crate::format::{Codec, Intent, Later, MessageRecord, Timer};
use crate::id::{CommandId, ShardId, Version, WallTime};
use crate::name::{EntityId, KindName, Namespace};
use std::fmt::{self, Debug};
use std::sync::Arc;

/// An aggregate with a past. See [`given`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Given<A> {
    state: A,
    version: Version,
    id: EntityId,
    said: Said,
}

/// What a command came to. See [`given`].
pub struct When<A: Aggregate, R, E> {
    before: A,
    time: WallTime,
    result: Result<Came<A, R>, E>,
}

struct Came<A: Aggregate, R> {
    events: Vec<A::Event>,
    reply: R,
    later: Later,
}

impl<A: Aggregate, R, E> fmt::Debug for When<A, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("When")
            .field("accepted", &self.result.is_ok())
            .finish_non_exhaustive()
    }
}

/// Begins a test: these events happened.
///
/// Each event goes through its encoded form, as it would through the log.
///
/// ```
/// # use tenure_core::api::{kit::given, Aggregate, Decide, DecideCx, Decision};
/// # use serde::{Serialize, Deserialize};
/// # #[derive(Clone, Debug, Default)] struct Account { cents: i64 }
/// # #[derive(Debug, PartialEq, tenure_macros::Event)] #[event(crate = "tenure_core::api")]
/// # enum AccountEvent {
/// #     #[event(name = "deposited", version = 1)] Deposited { cents: i64 },
/// #     #[event(name = "withdrawn", version = 1)] Withdrawn { cents: i64 },
/// # }
/// # use AccountEvent::{Deposited, Withdrawn};
/// # impl Aggregate for Account {
/// #     type Event = AccountEvent;
/// #     const KIND: &'static str = "account";
/// #     fn evolve(&mut self, event: &AccountEvent) {
/// #         match event { Deposited { cents } => self.cents += cents, Withdrawn { cents } => self.cents -= cents }
/// #     }
/// # }
/// # #[derive(Serialize, Deserialize, tenure_macros::Message)] #[message(name = "withdraw", version = 1, crate = "tenure_core::api")]
/// # struct Withdraw { cents: i64 }
/// # #[derive(Debug, PartialEq, Serialize, Deserialize)] struct Insufficient;
/// # impl Decide<Withdraw> for Account {
/// #     type Reply = i64; type Error = Insufficient;
/// #     fn decide(&self, c: &Withdraw, _: &DecideCx<'_>) -> Result<Decision<Self, i64>, Insufficient> {
/// #         if c.cents > self.cents { return Err(Insufficient); }
/// #         Ok(Decision::event(Withdrawn { cents: c.cents }).reply(self.cents - c.cents))
/// #     }
/// # }
/// given::<Account>([Deposited { cents: 100 }])
///     .when(Withdraw { cents: 30 })
///     .then([Withdrawn { cents: 30 }])
///     .replies(70);
///
/// given::<Account>([]).when(Withdraw { cents: 1 }).rejects(Insufficient);
/// ```
///
/// # Panics
///
/// When an event does not survive its encoding.
#[track_caller]
pub fn given<A: Aggregate>(events: impl IntoIterator<Item = A::Event>) -> Given<A> {
    let codec = A::settings().codec;
    let mut state = A::default();
    let mut version = Version::ABSENT;
    for event in events {
        state.evolve(&through_the_log(&event, codec));
        version = version.next();
    }
    Given {
        state,
        version,
        id: EntityId::new("entity").expect("a plain id"),
        said: Said::default(),
    }
}

impl<A: Aggregate> Given<A> {
    /// The entity's id, as the decision sees it.
    ///
    /// # Panics
    ///
    /// When the id cannot be one.
    #[track_caller]
    pub fn id(mut self, id: &str) -> Self {
        self.id = match EntityId::new(id) {
            Ok(id) => id,
            Err(error) => panic!("{error}"),
        };
        self
    }

    /// The time, as the decision sees it.
    pub fn time(mut self, time: WallTime) -> Self {
        self.said.time = time;
        self
    }

    /// When the caller gives up, as the decision sees it; nobody waits when it is not set.
    pub fn deadline(mut self, deadline: WallTime) -> Self {
        self.said.deadline = Some(deadline);
        self
    }

    /// What the command says of itself, as the decision sees it.
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.said.metadata = Some(Arc::new(metadata));
        self
    }

    /// The state that the events led to.
    pub fn state(&self) -> &A {
        &self.state
    }

    /// The command is decided.
    ///
    /// # Panics
    ///
    /// When the kind's name cannot be one, or what was decided cannot be encoded.
    #[must_use = "say what should have come of it: `then`, `nothing`, `replies` or `rejects`"]
    #[track_caller]
    pub fn when<C: Message>(
        self,
        command: C,
    ) -> When<A, <A as Decide<C>>::Reply, <A as Decide<C>>::Error>
    where
        A: Decide<C>,
    {
        let codec = A::settings().codec;
        let namespace = Namespace::new("test").expect("a plain name");
        let kind = match KindName::new(A::KIND) {
            Ok(kind) => kind,
            Err(error) => panic!("{error}"),
        };
        let cx = DecideCx {
            scene: Scene {
                namespace: &namespace,
                kind: &kind,
                entity: &self.id,
                version: self.version,
                node: "test",
                shard: ShardId(0),
                epoch: None,
            },
            said: &self.said,
            command: CommandId::new(self.said.time, 0),
        };
        let by = (cx.command, &self.said);
        let result = self.state.decide(&command, &cx).map(|decision| Came {
            events: decision
                .events
                .iter()
                .map(|event| through_the_log(event, codec))
                .collect(),
            reply: through_bytes(&decision.reply, codec),
            later: later(decision.plans, by),
        });
        When {
            before: self.state,
            time: self.said.time,
            result,
        }
    }
}

impl<A: Aggregate, R, E> When<A, R, E> {
    /// These events happened, and no others.
    ///
    /// # Panics
    ///
    /// When others did, or the command was rejected.
    #[track_caller]
    pub fn then(self, events: impl IntoIterator<Item = A::Event>) -> Self
    where
        A::Event: PartialEq + Debug,
        E: Debug,
    {
        let expected: Vec<A::Event> = events.into_iter().collect();
        match &self.result {
            Ok(came) => assert!(
                came.events == expected,
                "other events than expected\n  expected: {expected:?}\n  happened: {:?}",
                came.events
            ),
            Err(error) => panic!("rejected with {error:?}\n  expected: {expected:?}"),
        }
        self
    }

    /// Nothing happened, though the command was accepted: no event, no reminder, no message.
    ///
    /// # Panics
    ///
    /// When something did, or the command was rejected.
    #[track_caller]
    pub fn nothing(self) -> Self
    where
        A::Event: PartialEq + Debug,
        E: Debug,
    {
        let this = self.then([]);
        let later = this.later();
        assert!(later.is_empty(), "nothing was expected\n  left: {later:?}");
        this
    }

    /// The entity is reminded so: of this name, at this time, by this message. There may be more
    /// reminders.
    ///
    /// # Panics
    ///
    /// When it is not, or the command was rejected.
    #[track_caller]
    pub fn then_reminds(self, name: &str, when: impl Into<Due>, message: &impl CommandOf<A>) -> Self
    where
        A: Entity,
        E: Debug,
    {
        let when = when.into();
        let due = when.due(self.time);
        let message = record(message, A::settings().codec);
        let period_ms = when.period_ms().unwrap_or_else(|why| panic!("it {why}"));
        let later = self.later();
        let is_so = |timer: &Timer| {
            (timer.name.as_str(), timer.due, timer.period_ms) == (name, due, period_ms)
                && timer.message == message
        };
        assert!(
            later.armed.iter().any(is_so),
            "no such reminder\n  expected: {name:?} at {due:?} every {period_ms} ms: {message:?}\n  armed:    {:?}",
            later.armed
        );
        self
    }

    /// A reminder of this name is called off.
    ///
    /// # Panics
    ///
    /// When it is not, or the command was rejected.
    #[track_caller]
    pub fn then_cancels(self, name: &str) -> Self
    where
        E: Debug,
    {
        let cancelled = &self.later().cancelled;
        assert!(
            cancelled.iter().any(|it| it.as_str() == name),
            "no reminder {name:?} is called off\n  called off: {cancelled:?}"
        );
        self
    }

    /// This message is sent to this entity. There may be more messages.
    ///
    /// # Panics
    ///
    /// When it is not, or the command was rejected.
    #[track_caller]
    pub fn then_sends<B: Entity>(self, id: &str, message: &impl CommandOf<B>) -> Self
    where
        E: Debug,
    {
        let message = record(message, B::settings().codec);
        let sends = &self.later().sends;
        let is_so = |intent: &Intent| {
            (intent.kind.as_str(), intent.entity.as_str()) == (B::KIND, id)
                && intent.message == message
        };
        assert!(
            sends.iter().any(is_so),
            "no such message\n  expected: {} {id:?}: {message:?}\n  sent:     {sends:?}",
            B::KIND
        );
        self
    }

    /// This effect is to be done. There may be more effects.
    ///
    /// # Panics
    ///
    /// When it is not, or the command was rejected.
    #[track_caller]
    pub fn then_calls<M: Message>(self, effect: &M) -> Self
    where
        E: Debug,
    {
        let data = Codec::Cbor
            .encode(effect)
            .expect("an effect that can be encoded");
        let wanted = crate::api::effect::intent(M::NAME, M::VERSION, data);
        let wanted = wanted.expect("an effect that can have its name");
        let sends = &self.later().sends;
        let is_so =
            |intent: &Intent| (&intent.kind, &intent.message) == (&wanted.kind, &wanted.message);
        assert!(
            sends.iter().any(is_so),
            "no such effect\n  expected: {:?}\n  wanted:   {sends:?}",
            wanted.message
        );
        self
    }

    /// What happened: nothing when the command was rejected.
    pub fn events(&self) -> &[A::Event] {
        self.result.as_ref().map_or(&[], |came| &came.events)
    }

    /// What is left to be done, as the log takes it: to go on with what it leads to.
    ///
    /// # Panics
    ///
    /// When the command was rejected.
    #[track_caller]
    pub fn later(&self) -> &Later
    where
        E: Debug,
    {
        match &self.result {
            Ok(came) => &came.later,
            Err(error) => panic!("rejected with {error:?}"),
        }
    }

    /// The caller was told this.
    ///
    /// # Panics
    ///
    /// When it was told something else.
    #[track_caller]
    pub fn replies(self, expected: R) -> Self
    where
        R: PartialEq + Debug,
        E: Debug,
    {
        match &self.result {
            Ok(came) => assert!(
                came.reply == expected,
                "another reply than expected\n  expected: {expected:?}\n  replied:  {:?}",
                came.reply
            ),
            Err(error) => panic!("rejected with {error:?}\n  expected reply: {expected:?}"),
        }
        self
    }

    /// The domain said no, with this error.
    ///
    /// # Panics
    ///
    /// When it said something else.
    #[track_caller]
    pub fn rejects(self, expected: E) -> Self
    where
        A::Event: Debug,
        E: PartialEq + Debug,
    {
        match &self.result {
            Ok(came) => panic!(
                "accepted, with {:?}\n  expected rejection: {expected:?}",
                came.events
            ),
            Err(error) => assert!(
                *error == expected,
                "another rejection than expected\n  expected: {expected:?}\n  rejected: {error:?}"
            ),
        }
        self
    }

    /// What the events led to, to go on from.
    pub fn state(self) -> A {
        let mut state = self.before;
        for event in self.result.iter().flat_map(|came| &came.events) {
            state.evolve(event);
        }
        state
    }
}

/// What is left to be done, as the log would take it.
#[track_caller]
fn later<A: Aggregate>(plans: Option<Box<Plans<A>>>, by: (CommandId, &Said)) -> Later {
    let Some(plans) = plans else {
        return Later::default();
    };
    let messages = plans.messages.map(|messages| messages());
    match plans.resolve(messages.as_ref(), by) {
        Ok(later) => later,
        Err(cause) => panic!("the decision cannot be stored: {cause}"),
    }
}

#[track_caller]
fn record<M: Message>(message: &M, codec: Codec) -> MessageRecord {
    MessageRecord {
        name: M::NAME.into(),
        schema: M::VERSION,
        data: match codec.encode(message) {
            Ok(data) => data,
            Err(error) => panic!("the message cannot be encoded: {error}"),
        },
    }
}

#[track_caller]
fn through_the_log<E: Event>(event: &E, codec: Codec) -> E {
    let (name, schema) = (event.name(), event.schema());
    let decoded = event
        .encode(codec)
        .and_then(|data| E::decode(name, schema, codec, &data));
    match decoded {
        Ok(Some(event)) => event,
        Ok(None) => panic!("event {name:?} version {schema} is encoded but not decoded"),
        Err(error) => {
            panic!("event {name:?} version {schema} does not survive its encoding: {error}")
        }
    }
}

#[track_caller]
fn through_bytes<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T, codec: Codec) -> T {
    let decoded: Result<T, CodecError> = codec.encode(value).and_then(|bytes| codec.decode(&bytes));
    match decoded {
        Ok(value) => value,
        Err(error) => panic!("the reply does not survive its encoding: {error}"),
    }
}

//! The handler of an effect, and how often it is tried.

use super::aside::{Aside, DeadEffect, PutAside, Said};
use super::{ID_HEADER, KEY_HEADER, KIND_HEADER, effect_kind};
use crate::api::consumer::HandlerOutcome;
use crate::api::metadata::EMPTY;
use crate::api::model::EffectModel;
use crate::api::{Aggregate, Message};
use crate::driver::consumer::Clocked;
use crate::driver::effects::{Called, EffectHost};
use crate::format::{Codec, DeadLetter, Intent, MessageRecord, Metadata};
use crate::id::{CommandId, WallTime};
use crate::log::Dispatch;
use crate::name::{EntityId, KindName};
use crate::step::Time;
use futures_util::future::BoxFuture;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// How long a call may take, and how often it is tried before the effect is put aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct EffectPolicy {
    /// How long one call may take; then it is dropped at its next await, and counts as failed.
    pub timeout: Duration,
    /// How often it is tried. The wait between two tries begins with 2 ms and doubles up to 30 s
    /// ([`Limits::later_delay_max`](crate::step::Limits::later_delay_max)). Who takes a shard over counts anew.
    pub tries_max: u32,
}

impl Default for EffectPolicy {
    /// 30 s for each of 20 tries, which wait for some three minutes in all.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            tries_max: 20,
        }
    }
}

impl EffectPolicy {
    /// How long one call may take.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How often it is tried, at least once.
    pub const fn tries_max(mut self, tries: u32) -> Self {
        self.tries_max = tries;
        self
    }
}

/// An effect that is to be done.
///
/// Time and sleep come from here, so that handlers can be simulated.
pub struct EffectCall<M> {
    /// What is to be done.
    pub effect: M,
    wanted_by: (KindName, EntityId),
    dispatch: Dispatch,
    clock: Clocked,
}

impl<M: fmt::Debug> fmt::Debug for EffectCall<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EffectCall")
            .field("effect", &self.effect)
            .field("key", &self.key())
            .finish_non_exhaustive()
    }
}

impl<M> EffectCall<M> {
    /// The idempotency key: the same for each call of this effect, by whatever node, also when it is
    /// replayed, and of no other.
    pub fn key(&self) -> String {
        key_of(&self.dispatch)
    }

    /// The kind of the entity whose decision wanted it.
    pub fn kind(&self) -> &KindName {
        &self.wanted_by.0
    }

    /// That entity.
    pub fn id(&self) -> &EntityId {
        &self.wanted_by.1
    }

    /// The how manieth try of this owner it is, from 1.
    pub fn attempt(&self) -> u32 {
        self.dispatch.tries.saturating_add(1)
    }

    /// The command that wanted it as its cause, and the piece of work that it belongs to.
    pub fn metadata(&self) -> &Metadata {
        self.dispatch.intent.metadata.as_deref().unwrap_or(&EMPTY)
    }

    /// This node's monotonic clock.
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// Waits. Cancel safe.
    pub fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send + 'static {
        self.clock.sleep_until(self.clock.now() + time.into())
    }
}

fn header<'d>(dispatch: &'d Dispatch, name: &str) -> Option<&'d str> {
    dispatch.intent.metadata.as_deref()?.header_value(name)
}

fn key_of(dispatch: &Dispatch) -> String {
    header(dispatch, KEY_HEADER).map_or_else(|| dispatch.id.to_string(), str::to_owned)
}

/// The entity whose decision wanted an effect: of one that is replayed, the first one.
fn wanted_by(dispatch: &Dispatch) -> (KindName, EntityId) {
    let kind = header(dispatch, KIND_HEADER).and_then(|kind| KindName::new(kind).ok());
    let id = header(dispatch, ID_HEADER).and_then(|id| EntityId::new(id).ok());
    kind.zip(id)
        .unwrap_or_else(|| (dispatch.kind.clone(), dispatch.sender.clone()))
}

/// As much of a text as a dead letter keeps.
fn short(mut text: String) -> String {
    crate::text::cut(&mut text, DeadLetter::TEXT_BYTES_MAX);
    text
}

/// The code that does the effects of one type. In a cluster every node that owns shards has the same ones.
#[derive(Clone)]
pub struct EffectHandler {
    name: &'static str,
    version: u16,
    pub(crate) host: Arc<dyn EffectHost>,
}

impl fmt::Debug for EffectHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EffectHandler").field(&self.name).finish()
    }
}

impl EffectHandler {
    /// Calls a function for each effect of its type.
    pub fn new<M, F, Fut>(policy: EffectPolicy, handler: F) -> Self
    where
        M: Message,
        F: Fn(EffectCall<M>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: HandlerOutcome> + Send + 'static,
    {
        let handles = Handles {
            policy,
            handler,
            effect: PhantomData::<fn(M)>,
        };
        Self {
            name: M::NAME,
            version: M::VERSION,
            host: Arc::new(handles),
        }
    }

    /// What it does, for a model.
    pub(crate) fn model(&self) -> EffectModel {
        EffectModel::new(self.name, self.version)
    }

    /// What its effects are dispatched as the kind of.
    pub(crate) fn kind(&self) -> Result<KindName, String> {
        effect_kind(self.name)
    }
}

struct Handles<M, F> {
    policy: EffectPolicy,
    handler: F,
    effect: PhantomData<fn(M)>,
}

impl<M, F, Fut> EffectHost for Handles<M, F>
where
    M: Message,
    F: Fn(EffectCall<M>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: HandlerOutcome> + Send + 'static,
{
    fn call(&self, dispatch: Dispatch, clock: Clocked) -> BoxFuture<'static, Called> {
        let record = &dispatch.intent.message;
        if (record.name.as_ref(), record.schema) != (M::NAME, M::VERSION) {
            let (name, schema) = (record.name.to_string(), record.schema);
            let cause = format!(
                "this build does the effect {} v{}, and {name} v{schema} is wanted: deploy one that does",
                M::NAME,
                M::VERSION
            );
            return Box::pin(std::future::ready(Called::Undeliverable(cause)));
        }
        let policy = self.policy;
        let effect = match dispatch.intent.codec.decode(&record.data) {
            Ok(effect) => effect,
            Err(cause) => {
                let cause = format!("the effect cannot be decoded: {cause}");
                return Box::pin(std::future::ready(Called::Undeliverable(cause)));
            }
        };
        let call = EffectCall {
            effect,
            wanted_by: wanted_by(&dispatch),
            dispatch: dispatch.clone(),
            clock: clock.clone(),
        };
        let late = clock.sleep_until(clock.now() + policy.timeout.into());
        // What it does before its first await is in the task as well.
        let calling = (self.handler)(call);
        Box::pin(async move {
            let ended = tokio::select! {
                biased;
                outcome = calling => outcome.into_result().map_err(|error| error.to_string()),
                () = late => Err(format!("it did not end within {:?}", policy.timeout)),
            };
            match ended {
                Ok(()) => Called::Done,
                Err(text) => failed(policy, dispatch, text, &clock),
            }
        })
    }

    fn panicked(&self, dispatch: Dispatch, panic: &str, clock: &Clocked) -> Called {
        let text = format!("it panicked: {panic}");
        failed(self.policy, dispatch, text, clock)
    }
}

/// What becomes of an effect whose call failed.
fn failed(policy: EffectPolicy, dispatch: Dispatch, text: String, clock: &Clocked) -> Called {
    let tries = dispatch.tries.saturating_add(1);
    let name = dispatch.intent.message.name.to_string();
    tracing::warn!(
        effect = name,
        key = key_of(&dispatch),
        tries,
        text,
        "effect_failed"
    );
    if tries < policy.tries_max {
        return Called::Again;
    }
    let wall = clock.wall();
    match aside(&dispatch, (name, tries, text), wall) {
        Ok(letter) => Called::Aside(Box::new(letter)),
        Err(cause) => Called::Undeliverable(cause),
    }
}

/// The message that puts an effect aside. What it is about is known by its key there, so each attempt at
/// it has an id of its own: one as old as the effect might be forgotten (S19).
fn aside(
    dispatch: &Dispatch,
    (effect, tries, text): (String, u32, String),
    wall: WallTime,
) -> Result<Dispatch, String> {
    let record = &dispatch.intent.message;
    let (kind, id) = wanted_by(dispatch);
    let letter = DeadEffect {
        key: key_of(dispatch),
        effect: effect.clone(),
        version: record.schema,
        data: record.data.clone(),
        kind: kind.to_string(),
        id: id.as_str().to_owned(),
        tries,
        text: short(text),
        time_ms: wall.0,
        said: Box::new(Said::new(
            dispatch.intent.metadata.as_deref().unwrap_or(&EMPTY),
        )),
    };
    let data = Codec::Cbor.encode(&PutAside { letter });
    let data = data.map_err(|cause| format!("it cannot be put aside: {cause}"))?;
    Ok(Dispatch {
        id: CommandId::new(wall, dispatch.id.0.rotate_left(32)),
        kind: dispatch.kind.clone(),
        sender: dispatch.sender.clone(),
        intent: Intent {
            kind: KindName::new(Aside::KIND).map_err(|error| error.to_string())?,
            entity: EntityId::new(&effect).map_err(|error| error.to_string())?,
            codec: Codec::Cbor,
            message: MessageRecord {
                name: PutAside::NAME.into(),
                schema: PutAside::VERSION,
                data,
            },
            metadata: dispatch.intent.metadata.clone(),
        },
        tries: 0,
    })
}

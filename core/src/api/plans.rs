//! What a decision leaves to be done later: reminders, and messages to other entities.

use super::contexts::Said;
use super::{Aggregate, CodecError, Decide, Entity, Message, Messages};
use crate::format::{Codec, Intent, Later, MessageRecord, Metadata, Timer, WriteMode};
use crate::id::{CommandId, WallTime};
use crate::name::{EntityId, KindName, TimerName};
use std::sync::Arc;
use std::time::Duration;

/// When a reminder comes, and whether it comes again.
///
/// ```
/// use std::time::Duration;
/// use tenure_core::api::When;
/// use tenure_core::id::WallTime;
///
/// let once = When::after(Duration::from_secs(60));
/// let daily = When::at(WallTime(1_700_000_000_000)).again_every(Duration::from_secs(86_400));
/// let each_minute = When::every(Duration::from_secs(60));
/// assert_eq!(once, Duration::from_secs(60).into());
/// # let _ = (daily, each_minute);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct When {
    first: First,
    period: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    At(WallTime),
    After(Duration),
}

impl When {
    /// At a time, by the wall clock of whoever owns the entity then; at once when it has passed.
    pub const fn at(time: WallTime) -> Self {
        let first = First::At(time);
        Self {
            first,
            period: None,
        }
    }

    /// So long after the command's [time](super::DecideCx::time), to the millisecond.
    pub const fn after(time: Duration) -> Self {
        let first = First::After(time);
        Self {
            first,
            period: None,
        }
    }

    /// So long after the command's time, and again each time that as much has passed, until it is
    /// cancelled. Whole milliseconds, at least one. Periods that were missed are not made up for.
    pub const fn every(period: Duration) -> Self {
        Self::after(period).again_every(period)
    }

    /// And again each time that so much has passed, as of [`every`](Self::every).
    pub const fn again_every(mut self, period: Duration) -> Self {
        self.period = Some(period);
        self
    }

    pub(crate) fn due(self, now: WallTime) -> WallTime {
        match self.first {
            First::At(time) => time,
            First::After(time) => WallTime(now.0.saturating_add(millis(time))),
        }
    }

    /// 0 for once.
    pub(crate) fn period_ms(self) -> Result<u64, String> {
        match self.period.map(millis) {
            Some(0) => Err("comes again every 0 ms; its period is at least 1 ms".to_owned()),
            period => Ok(period.unwrap_or(0)),
        }
    }
}

impl From<Duration> for When {
    fn from(time: Duration) -> Self {
        Self::after(time)
    }
}

impl From<WallTime> for When {
    fn from(time: WallTime) -> Self {
        Self::at(time)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A command that the entities of a kind decide. It is implemented for each [`Message`] that the
/// kind has a [`Decide`] for, and nobody else implements it.
#[diagnostic::on_unimplemented(
    message = "`{B}` decides no `{Self}`",
    label = "implement `Decide<{Self}>` for `{B}`"
)]
pub trait CommandOf<B: Entity>: Message + sealed::Sealed<B> {}

impl<B: Entity + Decide<M>, M: Message> CommandOf<B> for M {}

mod sealed {
    #[allow(
        unnameable_types,
        reason = "it seals `CommandOf`: nobody else can implement it"
    )]
    pub trait Sealed<B> {}

    impl<B: super::Entity + super::Decide<M>, M: super::Message> Sealed<B> for M {}
}

/// What a decision leaves to be done later, until the log takes it.
pub(crate) struct Plans<A: Aggregate> {
    /// What the entity takes, if it reminds itself: a reminder comes by its stored name.
    pub(crate) messages: Option<fn() -> Messages<A>>,
    plans: Vec<Plan>,
}

enum Plan {
    Remind {
        name: String,
        when: When,
        message: Encoded,
    },
    Cancel {
        name: String,
    },
    /// A message. One that says nothing of itself is of the command's piece of work, and caused by it.
    Intent(Result<Intent, String>),
}

/// A message in the codec of its kind.
struct Encoded {
    of: (&'static str, u16),
    data: Result<bytes::Bytes, CodecError>,
}

impl Encoded {
    fn new<M: Message>(message: &M, codec: Codec) -> Self {
        Self {
            of: (M::NAME, M::VERSION),
            data: codec.encode(message),
        }
    }

    fn record(self) -> Result<MessageRecord, String> {
        let (name, schema) = self.of;
        let data = self
            .data
            .map_err(|cause| format!("the message {name} cannot be encoded: {cause}"))?;
        Ok(MessageRecord {
            name: name.into(),
            schema,
            data,
        })
    }
}

impl<A: Aggregate> Plans<A> {
    pub(crate) fn new() -> Self {
        Self {
            messages: None,
            plans: Vec::new(),
        }
    }

    pub(crate) fn cancel(&mut self, name: String) {
        self.plans.push(Plan::Cancel { name });
    }

    pub(crate) fn send<B: Entity, M: CommandOf<B>>(&mut self, id: &str, message: &M) {
        self.intent(message_to::<B, M>(id, message));
    }

    /// A message that is made already.
    pub(crate) fn intent(&mut self, intent: Result<Intent, String>) {
        self.plans.push(Plan::Intent(intent));
    }

    /// As the log takes it; an error says why it cannot be.
    pub(crate) fn resolve(
        self,
        takes: Option<&Messages<A>>,
        (command, said): (CommandId, &Said),
    ) -> Result<Later, String> {
        let mut later = Later::default();
        for plan in self.plans {
            let mut next = Later::default();
            match plan {
                Plan::Remind {
                    name,
                    when,
                    message,
                } => {
                    if !takes.is_some_and(|messages| messages.takes(message.of)) {
                        return Err(not_listed(A::KIND, message.of));
                    }
                    let period_ms = when.period_ms();
                    next.armed.push(Timer {
                        period_ms: period_ms.map_err(|why| format!("timer {name:?} {why}"))?,
                        name: timer_name(&name)?,
                        due: when.due(said.time),
                        message: message.record()?,
                    });
                }
                Plan::Cancel { name } => next.cancelled.push(timer_name(&name)?),
                Plan::Intent(intent) => {
                    let mut intent = intent?;
                    let caused = || Arc::new(caused_by(command, said.metadata()));
                    intent.metadata.get_or_insert_with(caused);
                    next.sends.push(intent);
                }
            }
            later.extend(next);
        }
        Ok(later)
    }
}

/// A message to an entity, as a commit has it; an error says why its kind cannot be sent it.
pub(crate) fn message_to<B: Entity, M: CommandOf<B>>(
    id: &str,
    message: &M,
) -> Result<Intent, String> {
    let settings = B::settings();
    let (kind, name) = (B::KIND, (M::NAME, M::VERSION));
    match settings.mode {
        WriteMode::Direct => {
            return Err(format!(
                "{kind} is in direct mode, and messages are sent to entities that have owners: use the kind with KindSettings::owned()"
            ));
        }
        WriteMode::Owned if B::messages().takes(name) => {}
        WriteMode::Owned => return Err(not_listed(kind, name)),
    }
    Ok(Intent {
        kind: KindName::new(kind).map_err(|error| error.to_string())?,
        entity: EntityId::new(id).map_err(|error| error.to_string())?,
        codec: settings.codec,
        message: Encoded::new(message, settings.codec).record()?,
        metadata: None,
    })
}

impl<A: Entity> Plans<A> {
    pub(crate) fn remind<M: CommandOf<A>>(&mut self, name: String, when: When, message: &M) {
        self.messages = Some(A::messages);
        self.plans.push(Plan::Remind {
            name,
            when,
            message: Encoded::new(message, A::settings().codec),
        });
    }
}

fn timer_name(name: &str) -> Result<TimerName, String> {
    TimerName::new(name).map_err(|error| error.to_string())
}

fn not_listed(kind: &str, (name, version): (&str, u16)) -> String {
    format!(
        "{kind} does not list the message {name} v{version} that it is to be sent: add it to Entity::messages"
    )
}

/// What a message says of itself that a command sends: the same piece of work, caused by the command.
fn caused_by(command: CommandId, metadata: &Metadata) -> Metadata {
    let cause = command.to_string();
    let correlation = metadata.correlation_id().unwrap_or(&cause);
    let next = Metadata::new().correlation(correlation).causation(&cause);
    match metadata.trace() {
        Some(trace) => next.trace_context(trace.clone()),
        None => next,
    }
}

//! Timers and messages of commands: what they say follows from who asked, so that whoever finds one
//! stored, or its effect, can tell whose it is.

use super::{Added, Build, Host, State};
use bytes::{BufMut, Bytes, BytesMut};
use tenure_core::format::{Codec, Intent, Later, MessageRecord, Timer};
use tenure_core::id::{Ticket, WallTime};
use tenure_core::log::{Firing, NewEvent, Verdict};
use tenure_core::name::{EntityId, KindName, TimerName};

/// Tickets of firings and of messages begin here. They are multiples of three: they say nothing of
/// themselves.
const FIRINGS: u64 = 1 << 40;
const MESSAGES: u64 = 1 << 50;

/// What a command leaves to be done later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wished {
    /// A timer.
    Arm {
        slot: u8,
        due: WallTime,
        period_ms: u64,
        /// The domain will reject its message.
        rejected: bool,
    },
    /// No timer.
    Cancel { slot: u8 },
    /// A message to an entity, by its kind and its names.
    Send {
        kind: &'static str,
        shard: usize,
        number: u64,
    },
}

impl Wished {
    pub(super) fn later(self, ticket: Ticket) -> Later {
        let name = |slot: u8| TimerName::new(&format!("t{slot}")).expect("a legal name");
        let message = |flag: bool| {
            let mut data = BytesMut::with_capacity(9);
            data.put_u64(ticket.0);
            data.put_u8(u8::from(flag));
            MessageRecord {
                name: "later".into(),
                schema: 1,
                data: data.freeze(),
            }
        };
        let mut later = Later::default();
        match self {
            Self::Arm {
                slot,
                due,
                period_ms,
                rejected,
            } => later.armed.push(Timer {
                name: name(slot),
                due,
                period_ms,
                message: message(rejected),
            }),
            Self::Cancel { slot } => later.cancelled.push(name(slot)),
            Self::Send {
                kind,
                shard,
                number,
            } => later.sends.push(Intent {
                kind: KindName::new(kind).expect("a legal name"),
                entity: EntityId::new(&format!("e {shard}.{number}")).expect("a legal id"),
                codec: Codec::Cbor,
                message: message(false),
                metadata: None,
            }),
        }
        later
    }
}

/// Who armed a timer or sent a message, and the flag that came with it.
pub(crate) fn whose(message: &MessageRecord) -> (Ticket, bool) {
    let (ticket, flag) = message.data.split_at(8);
    let ticket = u64::from_be_bytes(ticket.try_into().expect("eight bytes"));
    (Ticket(ticket), flag == [1])
}

/// The ticket of the event of a firing.
pub(crate) fn firing_ticket(timer: &Timer) -> Ticket {
    let (armed, _) = whose(&timer.message);
    Ticket(3 * (FIRINGS + (armed.0 << 20 | timer.due.0 & 0xF_FFFF)))
}

/// The ticket of the effect of a message.
pub(crate) fn message_ticket(message: &MessageRecord) -> Ticket {
    let (sent, _) = whose(message);
    Ticket(3 * (MESSAGES + sent.0))
}

/// What an event's ticket says that it is the effect of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Of a caller's command.
    Command,
    /// Of a timer.
    Firing,
    /// Of a message.
    Message,
}

pub(crate) fn effect_of(ticket: Ticket) -> Effect {
    match ticket.0 / 3 {
        n if n >= MESSAGES => Effect::Message,
        n if n >= FIRINGS => Effect::Firing,
        _ => Effect::Command,
    }
}

impl Host {
    /// Decides a timer's message.
    pub(super) fn fire(
        build: Build,
        firing: &Firing,
        state: State,
    ) -> Result<(Verdict, State), String> {
        let timer = &firing.timer;
        if firing.wall < timer.due {
            return Err(format!(
                "timer {} is due at {} and fires at {}",
                timer.name, timer.due, firing.wall
            ));
        }
        let (_, rejected) = whose(&timer.message);
        if rejected {
            return Ok((Verdict::Rejected, state));
        }
        let event = Added {
            ticket: firing_ticket(timer),
            index: 0,
            amount: 1,
            seen: state.digest,
        };
        let (name, schema, data) = build.write(&event, 0);
        let events = vec![NewEvent {
            version: None,
            name: name.into(),
            schema,
            data,
        }];
        let verdict = Verdict::Accepted {
            events,
            outcome: Bytes::from_static(b"fired"),
            record: false,
            later: None,
            delete: false,
        };
        Ok((verdict, state.after(state.version.next(), &event)))
    }
}

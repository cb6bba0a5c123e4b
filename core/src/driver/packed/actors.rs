//! Inputs of actors as plain bytes.

use super::{HEAD, Rest, place_bytes, place_of};
use crate::actor::{Ask, Ending, Input, Trail};
use crate::id::{OpId, Slot, Ticket};
use crate::log::KindIndex;
use crate::name::EntityId;
use crate::step::Time;

const TURN: u8 = 0;
const ASK: u8 = 1;
const DONE: u8 = 2;

/// Appends an input to a buffer, behind a `HEAD` that is free; whether it is one of those that come with
/// each message.
#[inline]
pub(in crate::driver) fn pack_actors(input: &Input, into: &mut Vec<u8>) -> bool {
    if let Input::Turn = input {
        into.extend_from_slice(&[TURN; HEAD + 1]);
    } else if let Input::Ask(Ask {
        ticket,
        kind,
        key,
        place: Some(place),
        deadline,
        trail,
        crosses: false,
        answered,
    }) = input
        && trail.hops().is_empty()
    {
        let mut bytes = [ASK; HEAD + 23];
        bytes[HEAD + 1] = u8::from(*answered);
        bytes[HEAD + 2..HEAD + 5].copy_from_slice(&place_bytes(*place));
        bytes[HEAD + 5..HEAD + 7].copy_from_slice(&kind.0.to_le_bytes());
        bytes[HEAD + 7..HEAD + 15].copy_from_slice(&ticket.0.to_le_bytes());
        bytes[HEAD + 15..].copy_from_slice(&deadline.as_nanos().to_le_bytes());
        into.extend_from_slice(&bytes);
        into.extend_from_slice(key.as_str().as_bytes());
    } else if let Input::Done {
        slot,
        op,
        ending: Ending::Ok,
        orders,
        background: 0,
    } = input
        && orders.is_empty()
    {
        let mut bytes = [DONE; HEAD + 17];
        bytes[HEAD + 1..HEAD + 9].copy_from_slice(&slot.0.to_le_bytes());
        bytes[HEAD + 9..].copy_from_slice(&op.0.to_le_bytes());
        into.extend_from_slice(&bytes);
    } else {
        return false;
    }
    true
}

/// The input again; `None` when the bytes are not what [`pack_actors`] has behind its head.
pub(in crate::driver) fn unpack_actors(bytes: &[u8]) -> Option<Input> {
    let mut rest = Rest(bytes);
    let [tag] = rest.array()?;
    Some(match tag {
        TURN => Input::Turn,
        ASK => {
            let [answered] = rest.array()?;
            let place = Some(place_of(rest.array()?));
            let kind = KindIndex(u16::from_le_bytes(rest.array()?));
            let ticket = Ticket(rest.u64()?);
            let deadline = Time::from_nanos(rest.u64()?);
            Input::Ask(Ask {
                ticket,
                kind,
                key: EntityId::new(std::str::from_utf8(rest.0).ok()?).ok()?,
                place,
                deadline,
                trail: Trail::default(),
                crosses: false,
                answered: answered != 0,
            })
        }
        DONE => Input::Done {
            slot: Slot(rest.u64()?),
            op: OpId(rest.u64()?),
            ending: Ending::Ok,
            orders: Vec::new(),
            background: 0,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{HEAD, pack_actors, unpack_actors};
    use crate::actor::{Ask, Ending, Hop, Input, Order, Trail};
    use crate::format::TakeOver;
    use crate::id::{OpId, ShardId, Slot, Ticket};
    use crate::log::KindIndex;
    use crate::name::{EntityId, KindName};
    use crate::shard::Place;
    use crate::step::Time;

    #[test]
    fn what_comes_with_each_message_comes_back_as_it_was() {
        let key = EntityId::new("zoë").unwrap();
        let place = Place {
            class: TakeOver::Leased,
            shard: ShardId(515),
        };
        let ask = Ask {
            ticket: Ticket(u64::MAX - 3),
            kind: KindIndex(260),
            key: key.clone(),
            place: Some(place),
            deadline: Time::from_nanos(1 << 50),
            trail: Trail::default(),
            crosses: false,
            answered: true,
        };
        let done = |ending, orders, background| Input::Done {
            slot: Slot(1 << 33 | 4),
            op: OpId(u64::MAX),
            ending,
            orders,
            background,
        };
        let packed = [
            Input::Turn,
            Input::Ask(ask.clone()),
            done(Ending::Ok, Vec::new(), 0),
        ];
        for input in packed {
            let mut bytes = Vec::new();
            assert!(pack_actors(&input, &mut bytes), "{input:?}");
            assert_eq!(unpack_actors(&bytes[HEAD..]), Some(input));
        }
        let kind = KindName::new("cart").unwrap();
        let trail = Trail::default().and(Hop { kind, key });
        let kept_whole = [
            Input::Tick,
            Input::Ask(Ask {
                trail,
                ..ask.clone()
            }),
            Input::Ask(Ask { place: None, ..ask }),
            done(Ending::Dropped, Vec::new(), 0),
            done(Ending::Ok, vec![Order::Passivate], 0),
            done(Ending::Ok, Vec::new(), 1),
        ];
        for input in kept_whole {
            let mut bytes = Vec::new();
            assert!(
                !pack_actors(&input, &mut bytes) && bytes.is_empty(),
                "{input:?}"
            );
        }
    }
}

//! Inputs of routing as plain bytes.

use super::{HEAD, Rest, place_bytes, place_of};
use crate::id::{Incarnation, OpId, Ticket};
use crate::route::{Address, Asked, Input, Repeat, Returned, Target};
use crate::step::{Span, Time};

const ASK: u8 = 0;
const ANSWER: u8 = 1;
const REQUEST: u8 = 2;
const SERVED: u8 = 3;

/// Appends an input to a buffer, behind a `HEAD` that is free; whether it is one of those that come with
/// each request.
#[inline]
pub(in crate::driver) fn pack_route(input: &Input, into: &mut Vec<u8>) -> bool {
    if let Input::Ask(Asked {
        ticket,
        target: Target::Place(place),
        key,
        deadline,
        repeat,
        answered,
        doubt: None,
    }) = input
    {
        let repeat = match repeat {
            Repeat::Never => 0,
            Repeat::ById => 1,
            Repeat::Reads => 2,
        };
        let mut bytes = [ASK; HEAD + 30];
        bytes[HEAD + 1] = repeat;
        bytes[HEAD + 2] = u8::from(*answered);
        bytes[HEAD + 3..HEAD + 6].copy_from_slice(&place_bytes(*place));
        bytes[HEAD + 6..HEAD + 14].copy_from_slice(&ticket.0.to_le_bytes());
        bytes[HEAD + 14..HEAD + 22].copy_from_slice(&key.to_le_bytes());
        bytes[HEAD + 22..].copy_from_slice(&deadline.as_nanos().to_le_bytes());
        into.extend_from_slice(&bytes);
    } else if let Input::Returned {
        op,
        returned: Returned::Answer,
    } = input
    {
        numbered(into, ANSWER, op.0);
    } else if let Input::Request {
        from,
        op,
        target: Target::Place(place),
        ttl,
    } = input
    {
        let mut bytes = [REQUEST; HEAD + 38];
        bytes[HEAD + 1..HEAD + 4].copy_from_slice(&place_bytes(*place));
        bytes[HEAD + 4..HEAD + 6].copy_from_slice(&from.lane.to_le_bytes());
        bytes[HEAD + 6..HEAD + 14].copy_from_slice(&op.0.to_le_bytes());
        bytes[HEAD + 14..HEAD + 22].copy_from_slice(&ttl.as_nanos().to_le_bytes());
        bytes[HEAD + 22..].copy_from_slice(&from.incarnation.0.to_le_bytes());
        into.extend_from_slice(&bytes);
    } else if let Input::Served(ticket) = input {
        numbered(into, SERVED, ticket.0);
    } else {
        return false;
    }
    true
}

fn numbered(into: &mut Vec<u8>, tag: u8, number: u64) {
    let mut bytes = [tag; HEAD + 9];
    bytes[HEAD + 1..].copy_from_slice(&number.to_le_bytes());
    into.extend_from_slice(&bytes);
}

/// The input again; `None` when the bytes are not what [`pack_route`] has behind its head.
pub(in crate::driver) fn unpack_route(bytes: &[u8]) -> Option<Input> {
    let mut rest = Rest(bytes);
    let [tag] = rest.array()?;
    Some(match tag {
        ASK => {
            let [repeat, answered] = rest.array()?;
            Input::Ask(Asked {
                target: Target::Place(place_of(rest.array()?)),
                ticket: Ticket(rest.u64()?),
                key: rest.u64()?,
                deadline: Time::from_nanos(rest.u64()?),
                repeat: match repeat {
                    0 => Repeat::Never,
                    1 => Repeat::ById,
                    _ => Repeat::Reads,
                },
                answered: answered != 0,
                doubt: None,
            })
        }
        ANSWER => Input::Returned {
            op: OpId(rest.u64()?),
            returned: Returned::Answer,
        },
        REQUEST => {
            let target = Target::Place(place_of(rest.array()?));
            let lane = u16::from_le_bytes(rest.array()?);
            let op = OpId(rest.u64()?);
            let ttl = Span::from_nanos(rest.u64()?);
            let incarnation = Incarnation(u128::from_le_bytes(rest.array()?));
            let from = Address { incarnation, lane };
            Input::Request {
                from,
                op,
                target,
                ttl,
            }
        }
        SERVED => Input::Served(Ticket(rest.u64()?)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{HEAD, pack_route, unpack_route};
    use crate::format::TakeOver;
    use crate::id::{Incarnation, OpId, ShardId, Ticket};
    use crate::route::{Address, Asked, Input, Lost, Repeat, Returned, Target};
    use crate::shard::Place;
    use crate::step::{Span, Time};

    #[test]
    fn what_comes_with_each_request_comes_back_as_it_was() {
        let incarnation = Incarnation(u128::MAX - 7);
        let place = |class, shard| {
            let shard = ShardId(shard);
            Target::Place(Place { class, shard })
        };
        let (fenced, leased) = (place(TakeOver::Fenced, 259), place(TakeOver::Leased, 7));
        let asked = Asked {
            ticket: Ticket(u64::MAX - 1),
            target: fenced,
            key: 1 << 63,
            deadline: Time::from_nanos(1 << 40),
            repeat: Repeat::Reads,
            answered: false,
            doubt: None,
        };
        let other = Asked {
            target: leased,
            repeat: Repeat::ById,
            answered: true,
            ..asked
        };
        let never = Asked {
            repeat: Repeat::Never,
            ..asked
        };
        let request = Input::Request {
            from: Address {
                incarnation,
                lane: 300,
            },
            op: OpId(u64::MAX - 2),
            target: leased,
            ttl: Span::from_millis(5),
        };
        let answer = Input::Returned {
            op: OpId(9),
            returned: Returned::Answer,
        };
        let asks = [asked, other, never].map(Input::Ask);
        let rest = [request, answer, Input::Served(Ticket(3))];
        for input in asks.into_iter().chain(rest) {
            let mut bytes = Vec::new();
            assert!(pack_route(&input, &mut bytes), "{input:?}");
            let (cut, bytes) = (&bytes[HEAD..bytes.len() - 1], &bytes[HEAD..]);
            assert_eq!(unpack_route(bytes), Some(input));
            assert_eq!(unpack_route(cut), None, "cut short");
        }
        let doubt = Some(Lost::Deadline);
        let kept_whole = [
            Input::Ask(Asked { doubt, ..asked }),
            Input::Ask(Asked {
                target: Target::Node(incarnation),
                ..asked
            }),
            Input::Returned {
                op: OpId(9),
                returned: Returned::NotOwner(None),
            },
        ];
        for input in kept_whole {
            let mut bytes = Vec::new();
            assert!(
                !pack_route(&input, &mut bytes) && bytes.is_empty(),
                "{input:?}"
            );
        }
    }
}

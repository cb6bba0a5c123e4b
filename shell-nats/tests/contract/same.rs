//! When two answers are the same: in everything but stamps and texts.

use tenure_core::id::WallTime;
use tenure_core::port::{Fetched, Message, Refused, StoreDone, StoreReply, StreamInfo};
use tenure_core::step::Outcome;

/// Whether two answers are the same up to stamps and texts.
pub(crate) fn same(model: &StoreReply, real: &StoreReply) -> bool {
    match (model, real) {
        (Outcome::Done(model), Outcome::Done(real)) => same_done(model, real),
        (Outcome::Refused(model), Outcome::Refused(real)) => same_refused(model, real),
        (Outcome::Unknown, Outcome::Unknown) => true,
        (Outcome::Done(_), Outcome::Refused(_) | Outcome::Unknown)
        | (Outcome::Refused(_), Outcome::Done(_) | Outcome::Unknown)
        | (Outcome::Unknown, Outcome::Done(_) | Outcome::Refused(_)) => false,
    }
}

fn same_done(model: &StoreDone, real: &StoreDone) -> bool {
    let unstamped = |message: &Message| Message {
        stored: WallTime(0),
        ..message.clone()
    };
    let all = |messages: &[Message]| messages.iter().map(unstamped).collect::<Vec<_>>();
    match (model, real) {
        (StoreDone::Latest(a), StoreDone::Latest(b)) => {
            a.up_to == b.up_to && all(&a.messages) == all(&b.messages)
        }
        (StoreDone::Message(a), StoreDone::Message(b)) => unstamped(a) == unstamped(b),
        (StoreDone::Page(a), StoreDone::Page(b)) => {
            a.more == b.more && all(&a.messages) == all(&b.messages)
        }
        (StoreDone::Stream(a), StoreDone::Stream(b)) => {
            let undated = |info: &StreamInfo| StreamInfo {
                created: WallTime(0),
                ..info.clone()
            };
            undated(a) == undated(b)
        }
        (StoreDone::Fetched(a), StoreDone::Fetched(b)) => {
            let numbered = |fetched: &Fetched| {
                let each = fetched.messages.iter();
                let each = each.map(|it| (it.number, unstamped(&it.message)));
                each.collect::<Vec<_>>()
            };
            a.pending == b.pending && numbered(a) == numbered(b)
        }
        (a, b) => a == b,
    }
}

fn same_refused(model: &Refused, real: &Refused) -> bool {
    match (model, real) {
        (Refused::Denied(_), Refused::Denied(_))
        | (Refused::BadRequest(_), Refused::BadRequest(_)) => true,
        (Refused::Other { code: a, .. }, Refused::Other { code: b, .. }) => a == b,
        (a, b) => a == b,
    }
}

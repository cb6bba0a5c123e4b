//! What befalls a request on its way to the store and back: drawn alike in every world, each kind
//! from a row of its own.

use crate::deviation::Fault;
use crate::draw::{Draws, What};
use crate::profile::Faults;
use tenure_core::id::Sequence;
use tenure_core::port::{Expect, Refused, StoreRequest};

/// What befalls a request that reaches the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Fine,
    Lost,
    LostAnswer,
    SlowAnswer,
    /// It comes when its sender has nearly given up, or just after.
    HeldAnswer,
    Refused,
    Full,
    Stale,
}

/// All that was drawn for a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drawn {
    pub(crate) fate: Fate,
    /// It never reaches the store.
    pub(crate) lost: bool,
    /// It does so long after its sender gave up.
    pub(crate) late: bool,
    /// Its bytes come again.
    pub(crate) twice: bool,
    /// It takes long on its way there.
    pub(crate) slow_there: bool,
}

/// Draws what befalls a request of a node. Each kind of fault has its draw, whether it comes to
/// pass or not. `cut`: the node does not reach the store.
pub(crate) fn draw(
    draws: &mut Draws,
    faults: &Faults,
    part: u64,
    request: &StoreRequest,
    (healed, cut): (bool, bool),
) -> Drawn {
    let writes = request.writes();
    let seldom = match faults.seldom {
        0 => 0,
        rate if is_seldom(request) => rate,
        _ => 0,
    };
    let mut drawn = [false; 13];
    for (index, (fault, rate)) in [
        (Fault::LostRequest, faults.lost_request),
        (Fault::LateRequest, faults.late_request),
        (Fault::RequestTwice, faults.twice),
        (Fault::Slow, faults.slow),
        (Fault::LostAnswer, faults.lost_answer),
        (Fault::Refusal, faults.refusal),
        (Fault::StaleRead, faults.stale_read),
        (Fault::OldLeader, faults.old_leader),
        (Fault::Full, faults.full),
        (Fault::HeldAnswer, faults.held_answer),
        (Fault::LostRequest, seldom),
        (Fault::LostAnswer, seldom),
        (Fault::HeldAnswer, seldom),
    ]
    .into_iter()
    .enumerate()
    {
        let row = part << 8 | index as u64;
        drawn[index] = rate > 0 && !healed && draws.strikes(fault, (What::Fate, row), rate);
    }
    let [
        lost,
        late,
        twice,
        slow,
        lost_answer,
        refusal,
        stale_read,
        old_leader,
        full,
        held,
        seldom_lost,
        seldom_unanswered,
        seldom_held,
    ] = drawn;
    let lost = lost || seldom_lost || cut;
    let late = late && writes;
    let slow_back = slow && draws.chance(What::Fate, part << 8 | 0xFF, 500);
    let fate = if lost || late {
        Fate::Lost
    } else if refusal {
        Fate::Refused
    } else if writes && full {
        Fate::Full
    } else if (!writes && stale_read) || (writes && old_leader) {
        Fate::Stale
    } else if lost_answer || seldom_unanswered {
        Fate::LostAnswer
    } else if held || seldom_held {
        Fate::HeldAnswer
    } else if slow_back {
        Fate::SlowAnswer
    } else {
        Fate::Fine
    };
    // What is refused is refused in all its copies.
    let taken = matches!(
        fate,
        Fate::Fine | Fate::LostAnswer | Fate::SlowAnswer | Fate::HeldAnswer
    );
    Drawn {
        fate,
        lost,
        late,
        twice: twice && taken,
        slow_there: slow && !slow_back,
    }
}

/// Whether a request is one of those that are few and decide much: a record of who owns a shard, and
/// what is the first of its subject. Among all others their bad moments would hardly ever meet.
fn is_seldom(request: &StoreRequest) -> bool {
    match request {
        StoreRequest::Publish(publish) => {
            let first = publish.expect == Expect::OwnLast(Sequence::NONE);
            first || publish.subject.as_str().split('.').nth(1) == Some("own")
        }
        StoreRequest::Batch { .. }
        | StoreRequest::Latest { .. }
        | StoreRequest::Get { .. }
        | StoreRequest::Scan { .. }
        | StoreRequest::CreateStream(_)
        | StoreRequest::StreamInfo { .. }
        | StoreRequest::Capabilities => false,
    }
}

/// The refusals that pass, of which a store gives one to such a request.
pub(crate) fn passing_refusals(request: &StoreRequest) -> &'static [Refused] {
    match request {
        StoreRequest::Batch { .. } => &[
            Refused::Overloaded,
            Refused::NoResponders,
            Refused::TooManyBatches,
        ],
        StoreRequest::Publish(_) => &[Refused::Overloaded, Refused::NoResponders],
        StoreRequest::Latest { .. }
        | StoreRequest::Get { .. }
        | StoreRequest::Scan { .. }
        | StoreRequest::CreateStream(_)
        | StoreRequest::StreamInfo { .. }
        | StoreRequest::Capabilities => &[Refused::NoResponders],
    }
}

/// Whether a write would be refused if its bytes came again: one that only carries a fence would
/// not, and relies on a transport that brings nothing twice.
pub(crate) fn checks_itself(request: &StoreRequest) -> bool {
    match request {
        StoreRequest::Publish(publish) => matches!(publish.expect, Expect::OwnLast(_)),
        StoreRequest::Batch { .. } => true,
        StoreRequest::Latest { .. }
        | StoreRequest::Get { .. }
        | StoreRequest::Scan { .. }
        | StoreRequest::CreateStream(_)
        | StoreRequest::StreamInfo { .. }
        | StoreRequest::Capabilities => false,
    }
}

//! What befalls a request on its way to the store and back: drawn alike in every world, each kind
//! from a row of its own.

use crate::deviation::Fault;
use crate::draw::{Draws, What};
use crate::profile::Faults;
use tenure_core::id::Sequence;
use tenure_core::port::{Expect, Refused, StoreDone, StoreReply, StoreRequest};
use tenure_core::step::CountingProbe;
use tenure_core::{Outcome, Probe as _, reached};

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
    // Each kind has its row, whether it can befall this request or not, and is noted only where it does.
    let mut strikes = |row, fault, rate, befalls| {
        let row = (What::Fate, part << 8 | row);
        rate > 0 && !healed && draws.strikes(fault, row, if befalls { rate } else { 0 })
    };
    let lost = strikes(0, Fault::LostRequest, faults.lost_request, true);
    let late = strikes(1, Fault::LateRequest, faults.late_request, writes);
    let slow = strikes(3, Fault::Slow, faults.slow, true);
    let lost_answer = strikes(4, Fault::LostAnswer, faults.lost_answer, true);
    let refusal = strikes(5, Fault::Refusal, faults.refusal, true);
    let stale_read = strikes(6, Fault::StaleRead, faults.stale_read, !writes);
    let old_leader = strikes(7, Fault::OldLeader, faults.old_leader, writes);
    let full = strikes(8, Fault::Full, faults.full, writes);
    let held = strikes(9, Fault::HeldAnswer, faults.held_answer, true);
    let seldom_lost = strikes(10, Fault::LostRequest, seldom, true);
    let seldom_unanswered = strikes(11, Fault::LostAnswer, seldom, true);
    let seldom_held = strikes(12, Fault::HeldAnswer, seldom, true);
    let lost = lost || seldom_lost || cut;
    let slow_back = slow && draws.chance(What::Fate, part << 8 | 0xFF, 500);
    let fate = if lost || late {
        Fate::Lost
    } else if refusal {
        Fate::Refused
    } else if full {
        Fate::Full
    } else if stale_read || old_leader {
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
    let row = (What::Fate, part << 8 | 2);
    let rate = if taken { faults.twice } else { 0 };
    let twice = faults.twice > 0 && !healed && draws.strikes(Fault::RequestTwice, row, rate);
    Drawn {
        fate,
        lost,
        late,
        twice,
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
        | StoreRequest::Capabilities
        | StoreRequest::OpenConsumer(_)
        | StoreRequest::Fetch { .. }
        | StoreRequest::CloseConsumer { .. } => false,
    }
}

/// What the store says to a request that it refuses: for now, or for good.
pub(crate) fn refusal(draws: &mut Draws, part: u64, fate: Fate, request: &StoreRequest) -> Refused {
    let (row, refusals) = match fate == Fate::Full {
        true => (part | 1 << 32, final_refusals(request)),
        false => (part, passing_refusals(request)),
    };
    let index = draws.below(What::Refusal, row, refusals.len() as u64);
    refusals[usize::try_from(index).expect("an index fits")].clone()
}

/// The refusals for good, of which a store gives one to such a write. The second says that no leader
/// ever took it in.
fn final_refusals(request: &StoreRequest) -> &'static [Refused] {
    static SINGLE: [Refused; 2] = [Refused::NoSpace, Refused::Denied(String::new())];
    static BATCH: [Refused; 3] = [
        Refused::NoSpace,
        Refused::Denied(String::new()),
        Refused::DuplicateInBatch,
    ];
    match request {
        StoreRequest::Batch { .. } => &BATCH,
        StoreRequest::Publish(_)
        | StoreRequest::Latest { .. }
        | StoreRequest::Get { .. }
        | StoreRequest::Scan { .. }
        | StoreRequest::CreateStream(_)
        | StoreRequest::StreamInfo { .. }
        | StoreRequest::Capabilities
        | StoreRequest::OpenConsumer(_)
        | StoreRequest::Fetch { .. }
        | StoreRequest::CloseConsumer { .. } => &SINGLE,
    }
}

/// Where the places that were passed are counted.
struct Passed<'a> {
    probe: &'a mut CountingProbe,
}

/// An answer about bodies of snapshots as a node hears it: they may be absent, or damaged.
pub(crate) fn bodies(
    draws: &mut Draws,
    faults: &Faults,
    part: u64,
    probe: &mut CountingProbe,
    reply: StoreReply,
) -> StoreReply {
    let Outcome::Done(StoreDone::Latest(mut proof)) = reply else {
        return reply;
    };
    let passed = Passed { probe };
    let row = |index| (What::Snapshot, part << 8 | index);
    if draws.strikes(Fault::AbsentBody, row(0), faults.absent_body) {
        reached!(passed, "fault: a body is absent");
        return Outcome::Refused(Refused::NotFound);
    }
    if draws.strikes(Fault::DamagedBody, row(1), faults.damaged_body) {
        reached!(passed, "fault: a body is damaged");
        for message in &mut proof.messages {
            let mut bytes = message.payload.to_vec();
            if let Some(byte) = bytes.last_mut() {
                *byte ^= 1;
            }
            message.payload = bytes.into();
        }
    }
    Outcome::Done(StoreDone::Latest(proof))
}

/// An answer with messages of a stream as a node hears it: one of them may be lost on its way. Not the last
/// one: that would be found with the next one that comes, whenever that is.
pub(crate) fn delivered(
    draws: &mut Draws,
    faults: &Faults,
    part: u64,
    probe: &mut CountingProbe,
    reply: StoreReply,
) -> StoreReply {
    let Outcome::Done(StoreDone::Fetched(mut fetched)) = reply else {
        return reply;
    };
    let count = fetched.messages.len() as u64;
    let rate = if count > 1 { faults.lost_message } else { 0 };
    if draws.strikes(Fault::LostMessage, (What::Delivery, part << 8), rate) {
        reached!(Passed { probe }, "fault: a message is lost on its way");
        let lost = draws.below(What::Delivery, part << 8 | 1, count - 1);
        let lost = usize::try_from(lost).expect("an index fits");
        fetched.messages.remove(lost);
    }
    Outcome::Done(StoreDone::Fetched(fetched))
}

/// How far back a replica that lags is on its stream (of which `last` is the last message): a stream's
/// anchor is as old as the stream.
pub(crate) fn lag(draws: &mut Draws, part: u64, last: Sequence) -> Sequence {
    let back = draws.range(What::Lag, part, 1, 12);
    Sequence(last.0.saturating_sub(back).max(1))
}

/// The refusals that pass, of which a store gives one to such a request.
fn passing_refusals(request: &StoreRequest) -> &'static [Refused] {
    match request {
        StoreRequest::Batch { .. } => &[
            Refused::Overloaded,
            Refused::NoResponders,
            Refused::TooManyBatches,
            Refused::InProcess,
            Refused::DuplicateInProcess,
        ],
        StoreRequest::Publish(_) => &[
            Refused::Overloaded,
            Refused::NoResponders,
            Refused::InProcess,
            Refused::DuplicateInProcess,
        ],
        StoreRequest::Latest { .. }
        | StoreRequest::Get { .. }
        | StoreRequest::Scan { .. }
        | StoreRequest::CreateStream(_)
        | StoreRequest::StreamInfo { .. }
        | StoreRequest::Capabilities
        | StoreRequest::OpenConsumer(_)
        | StoreRequest::CloseConsumer { .. } => &[Refused::NoResponders],
        // Nobody who answers for a consumer is a consumer that is gone.
        StoreRequest::Fetch { .. } => &[Refused::NoConsumer],
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
        | StoreRequest::Capabilities
        | StoreRequest::OpenConsumer(_)
        | StoreRequest::Fetch { .. }
        | StoreRequest::CloseConsumer { .. } => false,
    }
}

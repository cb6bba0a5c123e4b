//! Which faults a world with real links has beside those of single requests and frames, and what of
//! them is drawn.

use super::setting::{Setting, Weather};
use crate::apart::Shape;
use crate::deviation::{Deviation, Fault};
use crate::draw::{Draws, What};
use crate::driver::plan::Plan;
use crate::driver::{Rhythm, rhythm};
use crate::profile::Profile;
use crate::world::{Kind, Lane};
use tenure_core::id::Partition;
use tenure_core::step::Span;

/// Which direction of a node's link is clogged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// What it is sent.
    In,
    /// What it sends.
    Out,
    /// Both.
    Both,
}

/// What befalls the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Befalls {
    /// A node's program is killed, and started again after a time.
    Dies {
        /// The node.
        node: usize,
        /// How long it is away.
        away: Span,
    },
    /// A node does nothing for a time.
    Pauses {
        /// The node.
        node: usize,
        /// How long.
        length: Span,
        /// Its link is gone when it goes on.
        suspended: bool,
    },
    /// A node's link breaks, and it gets no other for a time.
    LinkDown {
        /// The node.
        node: usize,
        /// How long.
        length: Span,
    },
    /// Bytes of some nodes do not come through for a time; their links hold.
    Clogged {
        /// The nodes.
        nodes: Vec<usize>,
        /// Which bytes.
        way: Way,
        /// How long.
        length: Span,
    },
    /// Nodes do not hear each other for a time, as [`Setting::reach`] says, and some do not reach the
    /// store.
    Parted {
        /// Those that do not reach the store.
        cut: Vec<usize>,
        /// How long.
        length: Span,
    },
    /// A node's program is told to stop, and started again after a time.
    Stops {
        /// The node.
        node: usize,
        /// How long it is away then.
        away: Span,
    },
    /// The store's server is killed, or stands still, and is back after a time with all that it stored.
    StoreGone {
        /// It is killed: all links break.
        killed: bool,
        /// How long.
        length: Span,
    },
    /// A stream comes back without its last messages.
    Loses {
        /// The stream.
        stream: String,
        /// How many.
        messages: u64,
        /// All links break with it.
        links: bool,
    },
    /// What was drawn took place already.
    Done,
}

/// Whether a profile has a network that is slow and loses.
const fn is_rough(profile: Profile) -> bool {
    match profile {
        Profile::Storm | Profile::Swarm | Profile::Partition | Profile::Drift => true,
        Profile::Calm
        | Profile::Direct
        | Profile::Owned
        | Profile::Replicated
        | Profile::Churn
        | Profile::Tail
        | Profile::Cluster
        | Profile::TakeOver
        | Profile::Kill => false,
    }
}

/// What of a plan is otherwise in a world with real links: its store is one server, which may be gone
/// for a time; clocks keep their bounds.
pub(super) fn plan(plan: &mut Plan, profile: Profile, draws: &mut Draws) {
    let there = draws.chance(What::Plan, 410, 500);
    let mean = Span::from_millis(draws.range(What::Plan, 410, 4_000, 15_000));
    let faults = &mut plan.faults;
    faults.election = match there && matches!(profile, Profile::Storm | Profile::Swarm) {
        true => mean,
        false => Span::ZERO,
    };
    faults.leader_change = Span::ZERO;
    faults.slow_node = Span::ZERO;
    faults.clock_jump = Span::ZERO;
    faults.clock_freeze = Span::ZERO;
    faults.store_step = Span::ZERO;
    faults.stale_read = 0;
    faults.old_leader = 0;
}

/// How the network is while faults come.
pub(super) fn weather(draws: &mut Draws, profile: Profile) -> Weather {
    let longest = draws.pick(What::Plan, 411, &[2, 2, 10, 40]);
    let lossy = draws.chance(What::Plan, 412, 333);
    let lost_per_mille = draws.range(What::Plan, 412, 1, 20);
    if !is_rough(profile) {
        return Weather::FAIR;
    }
    Weather {
        latency: (Span::from_micros(50), Span::from_millis(longest)),
        lost_per_mille: if lossy { lost_per_mille } else { 0 },
    }
}

/// How long until a kind of fault comes next.
pub(super) fn wait(setting: &mut Setting, fault: Fault) -> Option<Span> {
    let Rhythm { what, mean, .. } = rhythm(fault, &setting.plan.faults)?;
    if mean == Span::ZERO || setting.healed {
        return None;
    }
    let longest = mean.saturating_mul(2);
    Some(setting.draws.span(what, 0, Span::ZERO, longest))
}

/// What befalls the cluster when a fault is due; `lives`: whether each node's program runs.
pub(super) fn befall(setting: &mut Setting, fault: Fault, lives: &[bool]) -> Option<Befalls> {
    let Rhythm { what, .. } = rhythm(fault, &setting.plan.faults)?;
    if setting.healed {
        return None;
    }
    let nodes = setting.plan.nodes;
    let due = setting.draws.deviations.due(fault);
    let Deviation::Fault { number, .. } = due else {
        unreachable!("a fault that is due is a fault");
    };
    // Each time has rows of its own, so that one less leaves the others as they are.
    let rows = number << 8;
    let node = setting.draws.below(what, rows | 1, nodes as u64);
    let node = usize::try_from(node).expect("an index fits");
    let parts = fault == Fault::Partition;
    let shape = parts.then(|| Shape::draw(&mut setting.draws, nodes));
    if !setting.draws.deviations.happens(due) {
        return None;
    }
    let Some(befalls) = befalls(setting, fault, (what, rows), (node, lives[node]), shape) else {
        setting.draws.deviations.take_back(due);
        return None;
    };
    setting.note(6, &[fault as u64, node as u64]);
    let (now, story) = (setting.now(), format!("{befalls:?}"));
    let lane = Lane::Node(node);
    setting.trace.tell(now, lane, Kind::Fault, || {
        format!("FAULT {fault}: n{node} {story}")
    });
    Some(befalls)
}

fn befalls(
    setting: &mut Setting,
    fault: Fault,
    (what, rows): (What, u64),
    (node, lives): (usize, bool),
    shape: Option<Shape>,
) -> Option<Befalls> {
    let ttl = setting.plan.terms.ttl;
    let streams = u64::from(setting.plan.streams);
    let namespace = setting.namespace().clone();
    let draws = &mut setting.draws;
    let mut length = |least, most| draws.span(what, rows | 2, least, most);
    let ms = Span::from_millis;
    match fault {
        Fault::Crash => {
            let away = length(ms(1), ms(1_500));
            lives.then_some(Befalls::Dies { node, away })
        }
        Fault::Kill => {
            let away = length(ttl, ttl.saturating_mul(3));
            lives.then_some(Befalls::Dies { node, away })
        }
        Fault::Pause => {
            let length = length(ms(1), ttl.saturating_mul(2));
            let suspended = false;
            lives.then_some(Befalls::Pauses {
                node,
                length,
                suspended,
            })
        }
        Fault::Suspend => {
            let length = length(ttl, ttl.saturating_mul(3));
            let suspended = true;
            lives.then_some(Befalls::Pauses {
                node,
                length,
                suspended,
            })
        }
        Fault::LinkDown => {
            let length = length(ms(1), ms(1_000));
            lives.then_some(Befalls::LinkDown { node, length })
        }
        Fault::Cut => {
            let length = length(ms(10), ttl.saturating_mul(2));
            let way = draws.pick(what, rows | 3, &[Way::Both, Way::Both, Way::In, Way::Out]);
            let nodes = vec![node];
            Some(Befalls::Clogged { nodes, way, length })
        }
        Fault::Partition => {
            let length = length(ms(50), ttl.saturating_mul(2));
            let before = setting.apart.cut.clone();
            setting.apart.part(&shape?);
            let cut = setting.apart.cut.difference(&before).copied().collect();
            Some(Befalls::Parted { cut, length })
        }
        Fault::Drain | Fault::Join => {
            let away = length(ms(200), ms(3_000));
            lives.then_some(Befalls::Stops { node, away })
        }
        Fault::Election => {
            let length = length(ms(100), ms(4_000));
            let killed = draws.chance(what, rows | 3, 500);
            Some(Befalls::StoreGone { killed, length })
        }
        Fault::LostTail => {
            let stream = u16::try_from(draws.below(what, rows | 4, streams));
            let stream = namespace.event_stream(Partition(stream.expect("a small number")));
            Some(Befalls::Loses {
                stream: stream.as_str().to_owned(),
                messages: draws.range(what, rows | 5, 1, 12),
                links: true,
            })
        }
        Fault::LostMembers => Some(Befalls::Loses {
            stream: namespace.member_stream().as_str().to_owned(),
            messages: draws.range(what, rows | 5, 1, 40),
            links: true,
        }),
        Fault::LostBodies => Some(Befalls::Loses {
            stream: namespace.snapshot_stream().as_str().to_owned(),
            messages: draws.range(what, rows | 5, 1, 6),
            links: false,
        }),
        Fault::WallStep => {
            setting.skew_ms[node] = draws.range(what, rows | 2, 0, 20_000);
            Some(Befalls::Done)
        }
        // They befall single requests and frames, or belong to other worlds.
        Fault::LostRequest
        | Fault::LostAnswer
        | Fault::LateRequest
        | Fault::RequestTwice
        | Fault::Slow
        | Fault::Refusal
        | Fault::Full
        | Fault::StaleRead
        | Fault::OldLeader
        | Fault::SuccessorHears
        | Fault::BadSnapshot
        | Fault::AbsentBody
        | Fault::DamagedBody
        | Fault::LeaderChange
        | Fault::LostWithLink
        | Fault::WrongClaim
        | Fault::Pressure
        | Fault::LostFrame
        | Fault::FrameTwice
        | Fault::LateFrame
        | Fault::LostAnnouncement
        | Fault::LateAnnouncement
        | Fault::AnnouncementTwice
        | Fault::LostDelivery
        | Fault::StrayDelivery
        | Fault::SlowNode
        | Fault::ClockJump
        | Fault::ClockFreeze
        | Fault::StoreStep
        | Fault::LostRecord
        | Fault::HeldAnswer
        | Fault::Overload
        | Fault::SlowWork
        | Fault::RemovedMember
        | Fault::LateLink
        | Fault::GivenUp => None,
    }
}

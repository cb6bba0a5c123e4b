//! What the faults with a rhythm of their own come to in a world with real links, and what of them is
//! drawn.

use super::setting::{Setting, Weather};
use crate::apart::Way;
use crate::deviation::Fault;
use crate::draw::{Draws, What};
use crate::driver::plan::Plan;
use crate::profile::Profile;
use crate::rhythm::{Mishap, Rhythm, Trouble};
use crate::world::{Kind, Lane};
use tenure_core::id::Sequence;
use tenure_core::name::Namespace;
use tenure_core::port::{Message, Subject};
use tenure_core::step::Span;
use tenure_core::{Probe as _, reached};

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
    /// The store's servers elect: [nobody leads](Setting::leader) for a time.
    Elects {
        /// One of them, which is killed and back after that time.
        server: Option<usize>,
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
    /// All that a node does takes long for a time.
    Slows {
        /// The node.
        node: usize,
        /// How long.
        length: Span,
    },
    /// Another server leads a stream: what was proposed and is not stored is gone.
    Leads {
        /// The stream.
        stream: String,
    },
    /// Somebody with raw rights deletes one of the latest [ownership records](ownership_records) of a
    /// stream.
    LosesRecord {
        /// The stream.
        stream: String,
        /// Which of them, round and round.
        index: u64,
    },
    /// A node's clock has jumped.
    ClockJumps {
        /// By how much.
        by: Span,
    },
    /// A node's clock stands still until it is [told to go on](Setting::thaw).
    ClockStops {
        /// The node.
        node: usize,
        /// For how long.
        length: Span,
    },
    /// The way between a node and its server ends, and neither end is told.
    HalfOpen {
        /// The node.
        node: usize,
    },
    /// A node takes nothing of what its server has for it.
    TakesNothing {
        /// The node.
        node: usize,
        /// How long.
        length: Span,
    },
    /// All nodes' links break at once, and each may have another at once.
    AllLinksBreak,
    /// All servers are killed, and are back after a time without what they had in memory alone.
    Restarts {
        /// How long.
        length: Span,
    },
    /// The store forgets the consumers of a stream.
    ForgetsConsumers {
        /// The stream.
        stream: String,
    },
    /// A wall clock was set.
    WallSet {
        /// By how much it is ahead now, in milliseconds.
        ahead_ms: u64,
    },
}

/// The latest ownership record of each shard among the messages of a stream.
pub fn ownership_records<'m>(
    namespace: &Namespace,
    messages: impl Iterator<Item = &'m Message>,
) -> Vec<(Subject, Sequence)> {
    let owned = format!("{namespace}.own.");
    let mut latest = std::collections::BTreeMap::new();
    for message in messages {
        if message.subject.starts_with(&owned) {
            latest.insert(message.subject.clone(), message.sequence);
        }
    }
    latest.into_iter().collect()
}

/// Whether a profile has a network that is slow and loses.
const fn is_rough(profile: Profile) -> bool {
    match profile {
        Profile::Storm
        | Profile::Consume
        | Profile::Group
        | Profile::Effect
        | Profile::Swarm
        | Profile::Partition
        | Profile::Drift => true,
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

/// What of a plan is otherwise in a world with real links: its servers may all be gone for a time.
pub(super) fn plan(plan: &mut Plan, profile: Profile, draws: &mut Draws) {
    let there = draws.chance(What::Plan, 410, 500);
    let mean = Span::from_millis(draws.range(What::Plan, 410, 4_000, 15_000));
    plan.faults.election = match there
        && matches!(
            profile,
            Profile::Storm
                | Profile::Consume
                | Profile::Group
                | Profile::Effect
                | Profile::Swarm
                | Profile::Replicated
        ) {
        true => mean,
        false => Span::ZERO,
    };
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
    let rhythm = Rhythm::of(fault, &setting.plan.faults).filter(|_| !setting.healed)?;
    rhythm.wait(&mut setting.draws)
}

/// What befalls the cluster when a fault is due; `lives`: whether each node's program runs.
pub(super) fn befall(setting: &mut Setting, fault: Fault, lives: &[bool]) -> Option<Befalls> {
    let rhythm = Rhythm::of(fault, &setting.plan.faults).filter(|_| !setting.healed)?;
    let nodes = setting.plan.nodes;
    let mishap = rhythm.comes(&mut setting.draws, nodes)?;
    let node = mishap.node;
    let Some(befalls) = befalls(setting, &mishap, lives[node]) else {
        setting.draws.deviations.take_back(mishap.due);
        return None;
    };
    setting.note(6, &[fault as u64, node as u64]);
    let story = format!("FAULT {fault}: n{node} {befalls:?}");
    setting.tells((Lane::Node(node), Kind::Fault), 0, || story);
    Some(befalls)
}

fn befalls(setting: &mut Setting, it: &Mishap, lives: bool) -> Option<Befalls> {
    let ttl = setting.plan.terms.ttl;
    let (now, node, (what, rows)) = (setting.now(), it.node, it.rows);
    let ms = Span::from_millis;
    let (short, two_leases, over) = (ms(10), ttl.saturating_mul(2), ttl.saturating_mul(3));
    let servers = setting.wire.map_or(1, |wire| wire.servers as u64);
    let draws = &mut setting.draws;
    Some(match it.trouble {
        Trouble::Crash => {
            let away = it.length(draws, ms(1), ms(1_500));
            let node = lives.then_some(node)?;
            reached!(setting, "fault: crash");
            Befalls::Dies { node, away }
        }
        Trouble::Kill => {
            let away = it.length(draws, ttl, over);
            let node = lives.then_some(node)?;
            reached!(setting, "fault: kill");
            Befalls::Dies { node, away }
        }
        Trouble::Pause => {
            let length = it.length(draws, ms(1), two_leases);
            let node = lives.then_some(node)?;
            reached!(setting, "fault: pause");
            Befalls::Pauses {
                node,
                length,
                suspended: false,
            }
        }
        Trouble::Suspend => {
            let length = it.length(draws, ttl, over);
            let node = lives.then_some(node)?;
            reached!(setting, "fault: suspend");
            Befalls::Pauses {
                node,
                length,
                suspended: true,
            }
        }
        Trouble::SlowNode => {
            let length = it.length(draws, ms(100), two_leases);
            reached!(setting, "fault: slow node");
            Befalls::Slows { node, length }
        }
        Trouble::LinkDown => {
            let length = it.length(draws, ms(1), ms(1_000));
            let node = lives.then_some(node)?;
            reached!(setting, "fault: link down");
            Befalls::LinkDown { node, length }
        }
        Trouble::Cut => {
            let length = it.length(draws, short, two_leases);
            reached!(setting, "fault: cut from the store");
            let (nodes, way) = (vec![node], Way::Both);
            Befalls::Clogged { nodes, way, length }
        }
        Trouble::CutIn => {
            let length = it.length(draws, short, two_leases);
            reached!(setting, "fault: nothing is heard of the store");
            let (nodes, way) = (vec![node], Way::In);
            Befalls::Clogged { nodes, way, length }
        }
        Trouble::CutOut => {
            let length = it.length(draws, short, two_leases);
            reached!(setting, "fault: requests do not reach the store");
            let (nodes, way) = (vec![node], Way::Out);
            Befalls::Clogged { nodes, way, length }
        }
        Trouble::Clog => {
            let length = it.length(draws, short, ms(1_000));
            let way = it.way(draws);
            reached!(setting, "fault: a link is clogged");
            let nodes = vec![node];
            Befalls::Clogged { nodes, way, length }
        }
        Trouble::Partition => {
            let length = it.length(draws, ms(50), two_leases);
            let before = setting.apart.clone();
            setting.apart.part(it.shape.as_ref()?);
            let is_new = |node: &usize| setting.apart.is_mute(*node) && !before.is_mute(*node);
            let cut = (0..setting.plan.nodes).filter(is_new).collect();
            reached!(setting, "fault: partition");
            Befalls::Parted { cut, length }
        }
        Trouble::Drain => {
            let away = it.length(draws, ms(200), ms(3_000));
            let node = lives.then_some(node)?;
            reached!(setting, "fault: a node is drained");
            Befalls::Stops { node, away }
        }
        Trouble::Election => {
            let killed = draws.chance(what, rows | 3, 500);
            let elects = draws.chance(what, rows | 4, 667);
            let server = draws.below(what, rows | 5, servers);
            reached!(setting, "fault: election");
            if !(elects && setting.is_clustered()) {
                let length = it.length(&mut setting.draws, ms(100), ms(4_000));
                return Some(Befalls::StoreGone { killed, length });
            }
            let length = it.length(&mut setting.draws, ms(4_000), ms(8_000));
            setting.elect(length);
            // The only one would take core NATS with it.
            let server = (killed && servers > 1).then_some(server);
            let server = server.map(|server| usize::try_from(server).expect("few servers"));
            Befalls::Elects { server, length }
        }
        Trouble::LeaderChange => {
            let stream = it.stream(draws, setting.plan.streams);
            reached!(setting, "fault: leader change");
            Befalls::Leads {
                stream: setting.event_stream(stream),
            }
        }
        Trouble::LostTail => {
            let stream = it.stream(draws, setting.plan.streams);
            let messages = it.lost(draws, 12);
            reached!(setting, "fault: lost tail");
            Befalls::Loses {
                stream: setting.event_stream(stream),
                messages,
                links: true,
            }
        }
        Trouble::LostMembers => {
            let messages = it.lost(draws, 40);
            reached!(setting, "fault: the membership stream loses its tail");
            Befalls::Loses {
                stream: setting.namespace().member_stream().as_str().to_owned(),
                messages,
                links: true,
            }
        }
        Trouble::LostBodies => {
            let messages = it.lost(draws, 6);
            reached!(setting, "fault: lost bodies");
            Befalls::Loses {
                stream: setting.namespace().snapshot_stream().as_str().to_owned(),
                messages,
                links: false,
            }
        }
        Trouble::LostRecord => {
            let stream = it.stream(draws, setting.plan.streams);
            let index = draws.below(what, rows | 5, 1 << 20);
            reached!(setting, "fault: an ownership record is deleted");
            Befalls::LosesRecord {
                stream: setting.event_stream(stream),
                index,
            }
        }
        Trouble::ConsumerLost => {
            let stream = it.stream(draws, setting.plan.streams);
            reached!(setting, "fault: consumers are forgotten");
            Befalls::ForgetsConsumers {
                stream: setting.event_stream(stream),
            }
        }
        Trouble::WallStep => {
            let ahead_ms = it.ahead_ms(draws);
            setting.skew_ms[node] = ahead_ms;
            reached!(setting, "fault: a wall clock is set");
            Befalls::WallSet { ahead_ms }
        }
        Trouble::StoreStep => {
            let ahead_ms = it.ahead_ms(draws);
            setting.store_skew_ms = ahead_ms;
            reached!(setting, "fault: the store's wall clock is set");
            Befalls::WallSet { ahead_ms }
        }
        Trouble::ClockJump => {
            let by = it.length(draws, short, two_leases);
            let node = lives.then_some(node)?;
            setting.clocks[node].jump(now, by);
            reached!(setting, "fault: a clock jumps");
            Befalls::ClockJumps { by }
        }
        Trouble::ClockFreeze => {
            let length = it.length(draws, short, two_leases);
            let node = lives.then_some(node)?;
            setting.clocks[node].freeze(now, true);
            reached!(setting, "fault: a clock stands still");
            Befalls::ClockStops { node, length }
        }
    })
}

//! What befalls connections, and what goes over them, in the world whose nodes speak NATS to servers: there
//! what is carried is bytes, and what a store is asked is seen by its servers alone.

use super::faults::Befalls;
use super::setting::Setting;
use crate::case::{Case, WorldKind};
use crate::deviation::{Deviation, Fault};
use crate::draw::{Draws, What};
use crate::driver::plan::Plan;
use crate::profile::Profile;
use crate::world::{Kind, Lane};
use tenure_core::step::Span;
use tenure_core::{Probe as _, reached};

/// The latest time after its sending at which the bytes of a request arrive.
const LATE_MAX: Span = Span::from_secs(8);

/// How many bytes may wait for a client before its server ends it as too slow; and where a projection keeps its
/// state in several messages, which are read at once.
const PENDING_BYTES_MAX: usize = 256 << 10;
const PENDING_BYTES_MAX_OF_PARTS: usize = 8 << 20;

/// How many faults of a kind that nothing else would make good come after everything healed, at most: few enough
/// to be caught up with in time (P8).
const LEFT_MAX: u64 = 2;

/// The wire of a run: what is fixed of it before the run begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WirePlan {
    /// How many servers there are, of which a node is connected to one at a time.
    pub servers: usize,
    /// Whether they say that they are a cluster, so that streams have replicas and what owners write comes in
    /// batches (S8). What is stored is with all of them at once.
    pub clustered: bool,
    /// How many bytes a connection takes or gives at once at most; `None`: all.
    pub piece_max: Option<usize>,
    /// How many bytes may wait for a client before its server ends it as too slow.
    pub pending_bytes_max: usize,
    /// How long it is between two of each on average; zero is never.
    half_open: Span,
    slow_reader: Span,
    storm: Span,
    restart: Span,
}

/// What a client asks a server to do, as far as what befalls it depends on that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// To store something.
    Write {
        /// It would be refused if its bytes came again.
        checks_itself: bool,
    },
    /// To tell something of what is stored.
    Read {
        /// Any replica may.
        by_replica: bool,
    },
    /// To deliver what a consumer has.
    Pull,
    /// To bring something to another node, and to say when there is nobody.
    Frame,
    /// To bring something to whoever hears it now.
    Cast,
}

/// How the bytes of a client get to its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carriage {
    /// After so long, and what follows them waits.
    pub after: Span,
    /// They do not come over this connection.
    pub lost: bool,
    /// They come by other ways, each after so long.
    pub copies: Vec<Span>,
    /// The server has nobody who answers.
    pub refused: bool,
}

impl Carried {
    /// Whether it is for a leader: while there is none nobody takes it.
    pub fn is_for_leader(self) -> bool {
        match self {
            Self::Write { .. } | Self::Pull => true,
            Self::Read { by_replica } => !by_replica,
            Self::Frame | Self::Cast => false,
        }
    }
}

impl Carriage {
    /// At once.
    pub const THERE: Self = Self {
        after: Span::ZERO,
        lost: false,
        copies: Vec::new(),
        refused: false,
    };
}

impl WirePlan {
    /// That of a case; `None` in worlds without such connections.
    pub(super) fn of(case: &Case) -> Option<Self> {
        if case.world != WorldKind::Nats {
            return None;
        }
        let mut draws = Draws::new(case.seed ^ 0x317E);
        let servers = draws.range(What::Plan, 430, 1, 3);
        let pieces = draws.chance(What::Plan, 431, 333);
        let piece_max = draws.pick(What::Plan, 432, &[1, 7, 64, 1_000]);
        let mut every = |part, per_mille, least_ms, most_ms| {
            let there = draws.chance(What::Plan, part, per_mille);
            let mean = draws.range(What::Plan, part, least_ms, most_ms);
            match there {
                true => Span::from_millis(mean),
                false => Span::ZERO,
            }
        };
        let mut plan = Self {
            servers: usize::try_from(servers).expect("few servers"),
            clustered: false,
            piece_max: None,
            pending_bytes_max: PENDING_BYTES_MAX,
            half_open: every(433, 500, 2_000, 10_000),
            slow_reader: every(434, 500, 2_000, 10_000),
            storm: every(435, 400, 3_000, 12_000),
            restart: every(436, 400, 5_000, 20_000),
        };
        match case.profile {
            Profile::Storm | Profile::Swarm | Profile::Consume | Profile::Group | Profile::Tail => {
                plan.piece_max = pieces.then_some(piece_max);
            }
            Profile::Calm
            | Profile::Direct
            | Profile::Owned
            | Profile::Replicated
            | Profile::Churn
            | Profile::Cluster
            | Profile::Partition
            | Profile::Drift
            | Profile::TakeOver
            | Profile::Kill
            | Profile::Effect => {
                let none = Span::ZERO;
                (plan.half_open, plan.slow_reader) = (none, none);
                (plan.storm, plan.restart) = (none, none);
            }
        }
        Some(plan)
    }

    /// What of a plan is otherwise where servers speak NATS: no replica lags, and timers of a server go by its
    /// wall clock here.
    pub(super) fn adapt(&mut self, plan: &mut Plan) {
        self.clustered = std::mem::take(&mut plan.replicated);
        if plan.readers.projections {
            self.pending_bytes_max = PENDING_BYTES_MAX_OF_PARTS;
        }
        let faults = &mut plan.faults;
        (faults.stale_read, faults.old_leader) = (0, 0);
        (faults.leader_change, faults.store_step) = (Span::ZERO, Span::ZERO);
        // A network that brings something twice is no TCP, and what is full says so to everyone.
        (faults.frame_twice, faults.full) = (0, 0);
        (faults.absent_body, faults.damaged_body) = (0, 0);
    }

    /// How long it is between two of a fault of connections, and the row of its draws.
    fn mean(&self, fault: Fault) -> Option<(What, Span)> {
        let all = [
            (Fault::HalfOpen, What::HalfOpen, self.half_open),
            (Fault::SlowReader, What::SlowReader, self.slow_reader),
            (Fault::ConnectionStorm, What::ConnectionStorm, self.storm),
            (Fault::ServerRestart, What::ServerRestart, self.restart),
        ];
        let found = all.into_iter().find(|(it, ..)| *it == fault);
        let (_, what, mean) = found?;
        (mean != Span::ZERO).then_some((what, mean))
    }
}

/// How long until a fault of connections comes next.
pub(super) fn wait(setting: &mut Setting, fault: Fault) -> Option<Span> {
    let (what, mean) = setting.wire?.mean(fault)?;
    let longest = mean.saturating_mul(2);
    (!setting.healed).then(|| setting.draws.span(what, 0, Span::ZERO, longest))
}

/// What befalls connections when a fault of theirs is due.
pub(super) fn befall(setting: &mut Setting, fault: Fault, lives: &[bool]) -> Option<Befalls> {
    let (what, _) = setting.wire?.mean(fault).filter(|_| !setting.healed)?;
    let draws = &mut setting.draws;
    let due = draws.deviations.due(fault);
    let Deviation::Fault { number, .. } = due else {
        unreachable!("a fault that is due is a fault");
    };
    let rows = number << 8;
    let node = draws.below(what, rows | 1, lives.len() as u64);
    let node = usize::try_from(node).expect("an index fits");
    let (least, most) = (Span::from_millis(10), Span::from_millis(4_000));
    let length = draws.span(what, rows | 2, least, most);
    if !draws.deviations.happens(due) {
        return None;
    }
    let is_of_node = matches!(fault, Fault::HalfOpen | Fault::SlowReader);
    if is_of_node && !lives[node] {
        draws.deviations.take_back(due);
        return None;
    }
    let befalls = if fault == Fault::HalfOpen {
        reached!(setting, "fault: a connection is half open");
        Befalls::HalfOpen { node }
    } else if fault == Fault::SlowReader {
        reached!(setting, "fault: a client takes nothing");
        Befalls::TakesNothing { node, length }
    } else if fault == Fault::ConnectionStorm {
        reached!(setting, "fault: all connections break");
        Befalls::AllLinksBreak
    } else {
        reached!(setting, "fault: the servers lose their memory");
        Befalls::Restarts { length }
    };
    setting.note(6, &[fault as u64, node as u64]);
    let story = format!("FAULT {fault}: {befalls:?}");
    setting.tells((Lane::World, Kind::Fault), 0, || story);
    Some(befalls)
}

impl Setting {
    /// How the bytes of a node's operation get to its server.
    pub fn carriage(&mut self, node: usize, carried: Carried) -> Carriage {
        let (part, faults) = (node as u64, self.plan.faults);
        let (writes, checks_itself) = match carried {
            Carried::Write { checks_itself } => (true, checks_itself),
            Carried::Read { .. } | Carried::Pull | Carried::Frame | Carried::Cast => (false, false),
        };
        let asks = match carried {
            Carried::Write { .. } | Carried::Read { .. } | Carried::Pull => true,
            Carried::Frame | Carried::Cast => false,
        };
        let row = |index| (What::Fate, part << 8 | index);
        let mut strikes = |index, fault, rate, befalls| {
            rate > 0 && self.strikes(fault, row(index), if befalls { rate } else { 0 })
        };
        let lost = strikes(0, Fault::LostRequest, faults.lost_request, asks);
        let late = strikes(1, Fault::LateRequest, faults.late_request, writes);
        let twice = strikes(2, Fault::RequestTwice, faults.twice, checks_itself);
        let slow = strikes(3, Fault::Slow, faults.slow, asks);
        let refused = strikes(5, Fault::Refusal, faults.refusal, asks);
        let is_frame = carried == Carried::Frame;
        let lost_frame = strikes(6, Fault::LostFrame, faults.lost_frame, is_frame);
        let late_frame = strikes(7, Fault::LateFrame, faults.late_frame, is_frame);
        let pulls = carried == Carried::Pull && faults.lost_request > 0;
        let lost = self.is_left(Fault::LostRequest, row(11), if pulls { 150 } else { 0 }) || lost;
        let mut span = |what, least, most| self.draws.span(what, part, least, most);
        let slowly = span(What::Travel, Span::from_millis(5), Span::from_millis(200));
        let lately = span(What::Late, slowly, LATE_MAX);
        let frame_after = span(What::Frame, Span::ZERO, Span::from_secs(2));
        if lost_frame || late_frame {
            // Whom it was for is seen by nobody here.
            self.voids.disordered(node, None, self.now());
        }
        if lost {
            reached!(self, "fault: lost request");
        }
        if late {
            reached!(self, "fault: late request");
        }
        if twice {
            reached!(self, "fault: request twice");
        }
        if slow {
            reached!(self, "fault: slow request");
        }
        if refused {
            reached!(self, "fault: refusal that passes");
        }
        if lost_frame {
            reached!(self, "fault: lost frame");
        }
        if late_frame {
            reached!(self, "fault: late frame");
        }
        let mut copies = Vec::new();
        if late {
            copies.push(lately.max(self.plan.limits.store_timeout));
        } else if twice && !lost {
            copies.push(lately);
        }
        if late_frame && !lost_frame {
            copies.push(frame_after);
        }
        Carriage {
            after: if slow { slowly } else { Span::ZERO },
            lost: lost || late || lost_frame || late_frame,
            copies,
            refused,
        }
    }

    /// After how long, beside its way, a server's answer gets to a node, if it does.
    pub fn answer(&mut self, node: usize) -> Vec<Span> {
        let (part, faults) = (node as u64, self.plan.faults);
        let row = |index| (What::Fate, part << 8 | index);
        let lost = self.strikes(Fault::LostAnswer, row(4), faults.lost_answer);
        let answers = faults.lost_answer > 0;
        let lost = self.is_left(Fault::LostAnswer, row(12), if answers { 20 } else { 0 }) || lost;
        let held = self.strikes(Fault::HeldAnswer, row(9), faults.lost_answer);
        // Its asker has given up by then, and asks otherwise.
        let longest = self.plan.limits.store_timeout.saturating_mul(2);
        let after = self
            .draws
            .span(What::Late, part | 1 << 32, Span::ZERO, longest);
        if lost {
            reached!(self, "fault: lost answer");
            return Vec::new();
        }
        if held {
            reached!(self, "fault: slow answer");
            return vec![after];
        }
        vec![Span::ZERO]
    }

    /// After how long, beside its way, a message of an answer gets to a node, if it does: a client that does
    /// not keep up drops some.
    pub fn part(&mut self, node: usize) -> Vec<Span> {
        let row = (What::Fate, (node as u64) << 8 | 10);
        // An answer has many.
        if self.strikes(Fault::LostAnswer, row, self.plan.faults.lost_answer / 4) {
            reached!(self, "fault: a part of an answer is lost");
            return Vec::new();
        }
        vec![Span::ZERO]
    }

    /// After how long, beside its way, what a consumer delivers gets to a node, if it does.
    pub fn delivery(&mut self, node: usize, is_last: bool) -> Vec<Span> {
        let rate = self.plan.faults.lost_message;
        let row = |index| (What::Delivery, (node as u64) << 8 | index);
        let lost = self.strikes(Fault::LostMessage, row(0), rate);
        let tells = is_last && rate > 0;
        if self.is_left(Fault::LostMessage, row(1), if tells { 300 } else { 0 }) || lost {
            reached!(self, "fault: a message is lost on its way");
            return Vec::new();
        }
        vec![Span::ZERO]
    }

    /// After how long, beside its way, what was cast gets to a node, if it does; it comes once at most.
    pub fn cast(&mut self, node: usize) -> Vec<Span> {
        let mut copies = self.announcement(node);
        copies.truncate(1);
        copies
    }

    /// Whether a fault comes after everything healed: one of those that only who was to hear something finds
    /// out, by that it does not. While others come, one of them nearly always does what makes it good.
    fn is_left(&mut self, fault: Fault, row: (What, u64), per_mille: u64) -> bool {
        let left = self.left.get(&fault).copied().unwrap_or(0);
        let is_due = self.healed && per_mille > 0 && left < LEFT_MAX;
        let comes = is_due && self.draws.strikes(fault, row, per_mille);
        self.left.insert(fault, left + u64::from(comes));
        comes
    }

    /// The node among those that are well whose connection is half open as everything heals.
    pub fn half_open(&mut self, core: &[usize]) -> Option<usize> {
        let (what, _) = self.wire?.mean(Fault::HalfOpen)?;
        let number = self.draws.below(what, 2, core.len() as u64);
        let node = *core.get(usize::try_from(number).ok()?)?;
        if !self.is_left(Fault::HalfOpen, (what, 1), 500) {
            return None;
        }
        reached!(self, "fault: a connection is half open");
        self.tells((Lane::Node(node), Kind::Fault), 0, || {
            format!("FAULT {}: n{node}, as everything heals", Fault::HalfOpen)
        });
        Some(node)
    }

    /// The wire of the run, where nodes speak NATS.
    pub fn wire(&self) -> Option<WirePlan> {
        self.wire
    }
}

#[cfg(test)]
mod tests {
    use super::{Carriage, Carried, LEFT_MAX};
    use crate::case::{Case, WorldKind};
    use crate::deviation::Fault;
    use crate::driver::Keep;
    use crate::profile::Profile;
    use crate::stage::{Befalls, Setting};
    use tenure_core::step::Span;

    fn setting(seed: u64, profile: Profile) -> Setting {
        let case = Case {
            world: WorldKind::Nats,
            ..Case::new(seed, profile)
        };
        Setting::new(&case, Keep::Nothing).expect("a profile of this world")
    }

    fn carriages(setting: &mut Setting) -> Vec<Carriage> {
        let checks_itself = true;
        let all = [
            Carried::Write { checks_itself },
            Carried::Read { by_replica: true },
            Carried::Pull,
            Carried::Frame,
            Carried::Cast,
        ];
        let mut carriages = Vec::new();
        for _ in 0..100 {
            for carried in all {
                carriages.push(setting.carriage(0, carried));
            }
            carriages.extend(setting.answer(0).iter().map(|after| Carriage {
                after: *after,
                ..Carriage::THERE
            }));
        }
        carriages
    }

    #[test]
    fn a_seed_draws_the_same_again_and_another_draws_otherwise() {
        let of = |seed| carriages(&mut setting(seed, Profile::Storm));
        assert_eq!(of(7), of(7));
        let all: Vec<_> = (0..8).map(of).collect();
        assert!(all.iter().any(|one| *one != all[0]));
        let wires: Vec<_> = (0..20)
            .map(|seed| setting(seed, Profile::Storm).wire())
            .collect();
        for servers in 1..=3 {
            let has = |wire: &Option<super::WirePlan>| wire.is_some_and(|it| it.servers == servers);
            assert!(wires.iter().any(has), "no seed has {servers} servers");
        }
        let clustered = wires.iter().filter(|it| it.is_some_and(|it| it.clustered));
        assert!((1..20).contains(&clustered.count()));
    }

    #[test]
    fn after_everything_healed_little_befalls_connections() {
        let mut left = Vec::new();
        for seed in 0..20 {
            let mut setting = setting(seed, Profile::Consume);
            let nowhere = setting.half_open(&[0]);
            assert_eq!(nowhere, None, "nothing healed yet");
            setting.heal(true);
            let half_open = usize::from(setting.half_open(&[0]).is_some());
            let all = carriages(&mut setting);
            let befell = all.iter().filter(|it| **it != Carriage::THERE);
            assert!(befell.clone().all(|it| it.lost && it.copies.is_empty()));
            let pulls = befell.count();
            let answers = 600 - all.len();
            assert_eq!(setting.part(0), [Span::ZERO]);
            let lost = |setting: &mut Setting, is_last| {
                let all = (0..100).filter(|_| setting.delivery(0, is_last).is_empty());
                all.count()
            };
            assert_eq!(lost(&mut setting, false), 0);
            let messages = lost(&mut setting, true);
            left.push([half_open, pulls, answers, messages]);
            let lives = vec![true; setting.nodes()];
            for fault in Fault::ALL {
                assert_eq!(setting.wait(fault), None);
                assert_eq!(setting.befall(fault, &lives), None);
            }
        }
        let most = |fault: usize| left.iter().map(|it| it[fault]).max();
        let all: Vec<_> = (0..4).map(most).collect();
        let max = Some(LEFT_MAX as usize);
        assert_eq!(all, [Some(1), max, max, max]);
    }

    #[test]
    fn each_fault_of_connections_comes_in_some_seed_and_none_in_a_calm_one() {
        let faults = [
            Fault::HalfOpen,
            Fault::SlowReader,
            Fault::ConnectionStorm,
            Fault::ServerRestart,
        ];
        let comes = |fault, profile, seed| {
            let mut setting = setting(seed, profile);
            let lives = vec![true; setting.nodes()];
            setting.wait(fault).is_some() && setting.befall(fault, &lives).is_some()
        };
        for fault in faults {
            assert!(
                (0..20).any(|seed| comes(fault, Profile::Storm, seed)),
                "{fault}"
            );
            assert!(
                !(0..20).any(|seed| comes(fault, Profile::Calm, seed)),
                "{fault}"
            );
        }
    }

    #[test]
    fn a_connection_of_a_node_that_is_dead_is_not_half_open() {
        let mut befallen = Vec::new();
        for seed in 0..20 {
            let mut setting = setting(seed, Profile::Storm);
            let lives = vec![false; setting.nodes()];
            befallen.extend(setting.befall(Fault::HalfOpen, &lives));
            befallen.extend(setting.befall(Fault::ConnectionStorm, &lives));
        }
        assert!(befallen.contains(&Befalls::AllLinksBreak));
        assert!(befallen.iter().all(|it| *it == Befalls::AllLinksBreak));
    }
}

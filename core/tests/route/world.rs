//! Three routers, a network between them, and logs that run what they own.

use crate::chance::Chance;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use tenure_core::format::{FrameVersions, TakeOver};
use tenure_core::id::{ClaimId, Epoch, Incarnation, OpId, Sequence, ShardId, Ticket};
use tenure_core::name::NodeName;
use tenure_core::node::{About, Peer, PeerState, Role, Standing, View};
use tenure_core::route::{
    Address, Asked, Effect, Input, Lost, Refusal, Repeat, Returned, Router, RouterConfig, Target,
};
use tenure_core::shard::{Place, Row, Table};
use tenure_core::step::CountingProbe;
use tenure_core::{Cx, Dice, Effects, Limits, Machine, Span, Time};

pub(crate) const NODES: usize = 3;
pub(crate) const PLACES: u16 = 4;

/// A request, named by who asked and his ticket.
pub(crate) type Name = (usize, Ticket);

/// All nodes, and what is between them.
pub(crate) struct World {
    pub(crate) nodes: Vec<Node>,
    /// Who owns each place, by the log of the store: the truth.
    pub(crate) owners: BTreeMap<Place, Row>,
    pub(crate) now: Time,
    /// What is on its way, by sender and receiver, in the order in which it was sent.
    pub(crate) wires: BTreeMap<(usize, usize), VecDeque<Packet>>,
    /// What became of each request.
    pub(crate) ends: BTreeMap<Name, End>,
    pub(crate) asked: BTreeMap<Name, Asked>,
    /// The requests in the order in which they ran.
    pub(crate) ran: Vec<Name>,
    /// To how many each request was forwarded when it may have run already.
    tickets: u64,
    sequence: u64,
    revision: u64,
    dice: Dice,
    chance: Chance,
}

/// One node: its router, and its log of what it may run.
pub(crate) struct Node {
    router: Router,
    pub(crate) alive: bool,
    pub(crate) up: bool,
    /// What its callers asked, by operation.
    sent: BTreeMap<OpId, Ticket>,
    /// What is to be run here, by key: its own callers' and others'.
    pub(crate) mailbox: VecDeque<Job>,
    probe: CountingProbe,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Job {
    Own(Asked),
    Served { ticket: Ticket, name: Name },
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Packet {
    Request {
        op: OpId,
        name: Name,
        ttl: Span,
        /// The network doubled it: of a copy nobody says that it was not taken in.
        copied: bool,
    },
    Returned {
        op: OpId,
        returned: Returned,
    },
    Withdraw {
        op: OpId,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Told,
    Refused(Refusal),
    Cancelled,
}

fn copy(packet: Packet) -> Packet {
    match packet {
        Packet::Request { op, name, ttl, .. } => Packet::Request {
            op,
            name,
            ttl,
            copied: true,
        },
        other @ (Packet::Returned { .. } | Packet::Withdraw { .. }) => other,
    }
}

pub(crate) fn incarnation(node: usize) -> Incarnation {
    Incarnation(node as u128 + 1)
}

fn index(incarnation: Incarnation) -> usize {
    incarnation.0 as usize - 1
}

pub(crate) fn place(shard: u16) -> Place {
    Place {
        class: TakeOver::Fenced,
        shard: ShardId(shard),
    }
}

impl World {
    pub(crate) fn new(chance: Chance) -> Self {
        let mut limits = Limits::default();
        limits.forwards_in_flight_max = 8;
        limits.forwards_waiting_max = 12;
        limits.serves_max = 64;
        let node = |n| {
            let config = RouterConfig {
                incarnation: incarnation(n),
                lane: 0,
                lanes: 1,
            };
            Node {
                router: Router::new(config, limits),
                alive: true,
                up: true,
                sent: BTreeMap::new(),
                mailbox: VecDeque::new(),
                probe: CountingProbe::default(),
            }
        };
        let mut world = Self {
            nodes: (0..NODES).map(node).collect(),
            owners: BTreeMap::new(),
            now: Time::ZERO,
            wires: BTreeMap::new(),
            ends: BTreeMap::new(),
            asked: BTreeMap::new(),
            ran: Vec::new(),
            tickets: 0,
            sequence: 0,
            revision: 0,
            dice: Dice::new(1),
            chance,
        };
        for node in 0..NODES {
            world.step(node, Input::Up);
            world.show_view(node);
        }
        world
    }

    /// A random number below a bound.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.chance.below(bound)
    }

    /// Whether what a node is to hand over, so many requests, may have company.
    pub(crate) fn has_company(&self, node: usize, held: usize) -> bool {
        self.nodes[node].router.has_company(held)
    }

    pub(crate) fn counts(&self, node: usize) -> tenure_core::route::RouterCounts {
        self.nodes[node].router.counts()
    }

    pub(crate) fn step(&mut self, node: usize, input: Input) {
        if !self.nodes[node].alive {
            return;
        }
        let mut out = Effects::new(10_000);
        let at = &mut self.nodes[node];
        let mut cx = Cx {
            now: self.now,
            dice: self.dice,
            probe: &mut at.probe,
        };
        at.router.step(&mut cx, input, &mut out);
        assert_eq!(at.probe.broken(), None);
        let counts = at.router.counts();
        let all = counts.waiting + counts.in_flight;
        let bounded = counts.in_flight <= 8 * (NODES - 1) && all <= 12 + 8 * NODES;
        assert!(bounded, "R7: {counts:?}");
        let effects: Vec<Effect> = out.drain().collect();
        effects
            .into_iter()
            .for_each(|effect| self.run(node, effect));
    }

    fn run(&mut self, node: usize, effect: Effect) {
        let from = Address {
            incarnation: incarnation(node),
            lane: 0,
        };
        match effect {
            Effect::Here { ticket, doubt } => {
                let asked = self.asked[&(node, ticket)];
                let asked = Asked { doubt, ..asked };
                self.nodes[node].mailbox.push_back(Job::Own(asked));
            }
            Effect::Forward {
                ticket,
                op,
                to,
                ttl,
            } => {
                let name = (node, ticket);
                assert!(!self.ends.contains_key(&name), "{name:?} is over");
                self.nodes[node].sent.insert(op, ticket);
                self.send(
                    node,
                    to,
                    Packet::Request {
                        op,
                        name,
                        ttl,
                        copied: false,
                    },
                );
            }
            Effect::Told { ticket, op, .. } => {
                let asked = self.nodes[node].sent.get(&op);
                assert_eq!(asked, Some(&ticket), "{op:?} is of another request");
                let name = (node, ticket);
                assert!(
                    self.ran.contains(&name),
                    "{name:?} was told and did not run"
                );
                self.over(name, End::Told);
            }
            Effect::Refused { ticket, refusal } => self.over((node, ticket), End::Refused(refusal)),
            Effect::Withdraw { to, op } => self.send(node, to, Packet::Withdraw { op }),
            Effect::Serve {
                ticket, from, op, ..
            } => {
                let asker = index(from.incarnation);
                let name = (asker, self.nodes[asker].sent[&op]);
                self.nodes[node]
                    .mailbox
                    .push_back(Job::Served { ticket, name });
            }
            Effect::Unserve { ticket: dropped } => {
                let other =
                    |job: &Job| !matches!(job, Job::Served { ticket, .. } if *ticket == dropped);
                self.nodes[node].mailbox.retain(other);
            }
            Effect::Answer { to, op, .. } => {
                let returned = Returned::Answer;
                self.send(node, to, Packet::Returned { op, returned });
            }
            Effect::NotOwner { to, op, owner } => {
                let returned = Returned::NotOwner(owner);
                self.send(node, to, Packet::Returned { op, returned });
            }
            // The asker is told as of an answer, and the world takes it for one that ran nothing.
            Effect::Decline { to, op, .. } => {
                let returned = Returned::NotOwner(None);
                self.send(node, to, Packet::Returned { op, returned });
            }
            Effect::Hint { of } | Effect::Alive { of } => assert_ne!(of, from.incarnation),
            Effect::Halt(reason) => panic!("node {node}: {reason}"),
        }
    }

    fn send(&mut self, from: usize, to: Address, packet: Packet) {
        let to = index(to.incarnation);
        assert_ne!(from, to, "nothing is sent to oneself");
        self.wires.entry((from, to)).or_default().push_back(packet);
    }

    /// Delivers the packet at a place of a wire.
    pub(crate) fn deliver(&mut self, (from, to): (usize, usize), at: usize, twice: bool) {
        let Some(wire) = self.wires.get_mut(&(from, to)) else {
            return;
        };
        let Some(packet) = wire.remove(at) else {
            return;
        };
        if twice {
            wire.push_back(copy(packet));
        }
        let there = self.nodes[to].alive && self.nodes[to].up;
        let address = Address {
            incarnation: incarnation(from),
            lane: 0,
        };
        match packet {
            Packet::Request { op, copied, .. } if !there => {
                if !twice && !copied && self.nodes[from].up {
                    self.step(from, Input::NoResponders(op));
                }
            }
            Packet::Request { op, name, ttl, .. } => {
                let target = self.asked[&name].target;
                self.step(
                    to,
                    Input::Request {
                        from: address,
                        op,
                        target,
                        ttl,
                    },
                );
            }
            Packet::Returned { op, returned } if there => {
                self.step(to, Input::Returned { op, returned });
            }
            Packet::Withdraw { op } if there => {
                self.step(to, Input::Withdrawn { from: address, op })
            }
            Packet::Returned { .. } | Packet::Withdraw { .. } => {}
        }
    }

    fn over(&mut self, name: Name, end: End) {
        let before = self.ends.insert(name, end);
        assert_eq!(before, None, "R1: {name:?} ends again, {end:?}");
    }

    pub(crate) fn ask(
        &mut self,
        node: usize,
        at: Place,
        key: u64,
        (ttl, repeat): (Span, Repeat),
    ) -> Name {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let asked = Asked {
            ticket,
            target: Target::Place(at),
            key,
            deadline: self.now + ttl,
            repeat,
            answered: true,
            doubt: None,
        };
        self.asked.insert((node, ticket), asked);
        self.step(node, Input::Ask(asked));
        (node, ticket)
    }

    pub(crate) fn cancel(&mut self, name: Name) {
        let (node, ticket) = name;
        let here = self.nodes[node].mailbox.iter();
        let mut here = here.filter(|job| matches!(job, Job::Own(asked) if asked.ticket == ticket));
        if self.ends.contains_key(&name) || here.next().is_some() || !self.nodes[node].alive {
            return;
        }
        self.over(name, End::Cancelled);
        self.step(node, Input::Cancel(ticket));
    }

    fn name_of(node: usize, job: &Job) -> Name {
        match job {
            Job::Own(asked) => (node, asked.ticket),
            Job::Served { name, .. } => *name,
        }
    }

    fn owns(&self, node: usize, job: &Job) -> bool {
        match self.asked[&Self::name_of(node, job)].target {
            Target::Place(place) => {
                let row = self.owners.get(&place);
                row.is_some_and(|row| row.owner == incarnation(node))
            }
            Target::Node(_) => true,
        }
    }

    /// The log of a node runs what is first in its mailbox, if it owns its place.
    pub(crate) fn work(&mut self, node: usize) {
        if self.nodes[node].alive
            && let Some(job) = self.nodes[node].mailbox.pop_front()
        {
            self.turn(node, job);
        }
    }

    fn turn(&mut self, node: usize, job: Job) {
        let (name, owns) = (Self::name_of(node, &job), self.owns(node, &job));
        if owns {
            self.ran.push(name);
        }
        match (job, owns) {
            (Job::Own(_), true) => self.over(name, End::Told),
            (Job::Own(asked), false) => self.step(node, Input::NotHere(asked)),
            (Job::Served { ticket, .. }, true) => self.step(node, Input::Served(ticket)),
            (Job::Served { ticket, .. }, false) => self.step(node, Input::NotServed(ticket)),
        }
    }

    /// Whether a request for a place is on its way to a node, or waits in it, or the node's word that
    /// it does not own a place is on its way.
    pub(crate) fn is_awaited(&self, place: Place, node: usize) -> bool {
        let target = Target::Place(place);
        let is_for = |name: Name| self.asked[&name].target == target;
        let mut wires = self.wires.iter();
        let said = wires.any(|((from, to), wire)| {
            wire.iter().any(|packet| match packet {
                Packet::Request { name, .. } => *to == node && is_for(*name),
                Packet::Returned { returned, .. } => match returned {
                    Returned::NotOwner(_) => *from == node,
                    Returned::Answer => false,
                },
                Packet::Withdraw { .. } => false,
            })
        });
        let mut mailbox = self.nodes[node].mailbox.iter();
        said || mailbox.any(|job| is_for(Self::name_of(node, job)))
    }

    /// A place changes hands.
    pub(crate) fn hand(&mut self, place: Place, to: Option<usize>) {
        self.sequence += 1;
        match to {
            None => drop(self.owners.remove(&place)),
            Some(node) => {
                let epoch = Epoch {
                    sequence: Sequence(self.sequence),
                    claim: ClaimId(0),
                };
                let owner = incarnation(node);
                self.owners.insert(place, Row { owner, epoch });
            }
        }
    }

    /// A node hears where everything is. Its log hears it first, and gives back what it may not run.
    pub(crate) fn show_table(&mut self, node: usize) {
        let mailbox = std::mem::take(&mut self.nodes[node].mailbox);
        let (owned, lost): (VecDeque<Job>, VecDeque<Job>) =
            mailbox.into_iter().partition(|job| self.owns(node, job));
        self.nodes[node].mailbox = owned;
        lost.into_iter().for_each(|job| self.turn(node, job));
        self.revision += 1;
        let table = Table {
            revision: self.revision,
            rows: self.owners.clone(),
        };
        self.step(node, Input::Table(Arc::new(table)));
    }

    /// A node hears who is there.
    pub(crate) fn show_view(&mut self, node: usize) {
        self.revision += 1;
        let peer = |n: usize| {
            let about = About {
                role: Role::Owner,
                labels: BTreeMap::new(),
                zone: None,
                weight: 100,
                classes: BTreeSet::new(),
                kinds: None,
                groups: BTreeSet::new(),
                lanes: 1,
                frames: FrameVersions::THIS,
                program: String::new(),
            };
            let peer = Peer {
                incarnation: incarnation(n),
                about,
                state: PeerState::Up,
                standing: Standing::Living,
            };
            (NodeName::new(&format!("n{n}")).unwrap(), peer)
        };
        let alive = (0..NODES).filter(|n| self.nodes[*n].alive);
        let view = View {
            revision: self.revision,
            peers: alive.map(peer).collect(),
            ..View::default()
        };
        self.step(node, Input::View(Arc::new(view)));
    }

    /// A node is gone for good, with its callers and what was on its way from it.
    pub(crate) fn crash(&mut self, node: usize) {
        self.nodes[node].alive = false;
        self.nodes[node].mailbox.clear();
        self.wires.retain(|(from, _), _| *from != node);
        for (place, row) in self.owners.clone() {
            if row.owner == incarnation(node) {
                let other = (0..NODES).find(|n| self.nodes[*n].alive);
                self.hand(place, other);
            }
        }
    }

    /// A node's link goes, with what was on its way, or comes.
    pub(crate) fn link(&mut self, node: usize, up: bool) {
        if self.nodes[node].up == up {
            return;
        }
        self.nodes[node].up = up;
        if !up {
            self.wires.retain(|(from, _), _| *from != node);
        }
        self.step(node, if up { Input::Up } else { Input::Down });
    }

    pub(crate) fn advance(&mut self, by: Span) {
        let end = self.now + by;
        loop {
            let due = |n: &usize| self.nodes[*n].alive;
            let next = (0..NODES).filter(due).filter_map(|n| {
                let at = self.nodes[n].router.next_deadline()?;
                Some((at.at, n))
            });
            let Some((at, node)) = next.min().filter(|(at, _)| *at <= end) else {
                break;
            };
            self.now = self.now.max(at);
            self.step(node, Input::Tick);
        }
        self.now = end;
    }

    /// Everything that can be delivered and run is, until there is no more.
    pub(crate) fn settle(&mut self) {
        for _ in 0..10_000 {
            let wires: Vec<_> = self.wires.iter().filter(|(_, w)| !w.is_empty()).collect();
            let wires: Vec<_> = wires.into_iter().map(|(wire, _)| *wire).collect();
            let busy = self.nodes.iter().any(|node| !node.mailbox.is_empty());
            if wires.is_empty() && !busy {
                return;
            }
            wires
                .into_iter()
                .for_each(|wire| self.deliver(wire, 0, false));
            (0..NODES).for_each(|node| self.work(node));
        }
        panic!("requests go round and round");
    }

    /// Whether a refusal says that nothing happened.
    pub(crate) fn says_nothing_happened(end: End) -> bool {
        match end {
            End::Refused(Refusal::Unknown(lost)) => match lost {
                Lost::Deadline | Lost::Gone(_) | Lost::Disconnected => false,
            },
            End::Refused(_) => true,
            End::Told | End::Cancelled => false,
        }
    }
}

//! A node as a member of a cluster: its membership, its part in who owns what, the routing of its
//! lanes, and how they and the logs speak with each other, as the driver's lanes would.

mod holds;
mod rejoin;
mod serve;

pub(super) use holds::Holds;
pub(super) use rejoin::run_of;
pub(super) use serve::Begun;

use super::World;
use super::event::{Deed, Event, Input, Part, Place};
use super::network::Parcel;
use super::node::breach;
use super::seat::Seat;
use crate::draw::What;
use crate::host::Answer;
use crate::oracle::{Class, Violation};
use crate::world::story::Kind;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tenure_core::format::{FrameVersions, TakeOver};
use tenure_core::id::{Incarnation, OpId, Sequence, Ticket};
use tenure_core::log::{self, Reply};
use tenure_core::name::NodeName;
use tenure_core::node::{self, About, JoinError, NodeConfig, Role};
use tenure_core::route::{self, Address, Router, RouterConfig};
use tenure_core::shard::{self, Owners, OwnersConfig, Report};
use tenure_core::{Dice, Probe as _, Span, reached};

/// What a node has besides its logs.
pub(super) struct Seats {
    pub(super) incarnation: Incarnation,
    pub(super) member: Seat<node::Node>,
    pub(super) owners: Seat<Owners>,
    pub(super) routers: Vec<Seat<Router>>,
    /// When the latest message within the node arrives, by whom it is for: they keep their order.
    posted: BTreeMap<Part, u64>,
    /// How far the streams reached when the membership was told last.
    marks_told: Vec<Sequence>,
    pub(super) draining: bool,
    /// Machines that do not act as the present run yet.
    pub(super) renewing: usize,
    pub(super) holds: Holds,
    /// What runs in the logs, by the ticket that it has there.
    pub(super) begun: BTreeMap<Ticket, Begun>,
    pub(super) next_begun: u64,
    /// Requests that came and were not begun yet.
    pub(super) came: BTreeMap<(u16, Address, OpId), Came>,
    /// Answers to what was served, until they are sent.
    pub(super) served: BTreeMap<(u16, Ticket), Ended>,
    /// Answers that came back, until their callers are told.
    pub(super) returned: BTreeMap<(u16, OpId), Ended>,
    /// What waits to be sent, by lane and destination.
    pub(super) outbox: BTreeMap<(u16, Address), Vec<Parcel>>,
}

/// A request as it came from another lane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Came {
    /// The ticket of its caller, whoever asks.
    pub(super) caller: Ticket,
    pub(super) at_least: Sequence,
    /// When it was sent, in true nanoseconds.
    pub(super) sent: u64,
}

/// What a caller is told, and what its host answered.
pub(super) type Ended = (Reply, Option<Answer>);

impl Seats {
    pub(super) fn lanes(&self) -> u16 {
        u16::try_from(self.routers.len()).expect("few lanes")
    }
}

impl World {
    /// The machines of a node's new life in a cluster.
    pub(super) fn seats(&mut self, node: usize, incarnation: Incarnation, dice: Dice) -> Seats {
        let cluster = self.plan.cluster.as_ref().expect("a plan of a cluster");
        let limits = self.plan.limits;
        let name = self.name_of(node);
        let classes = BTreeSet::from([TakeOver::Fenced, TakeOver::Leased]);
        let lanes = cluster.lanes[node];
        let about = About {
            role: if cluster.client && node + 1 == self.plan.nodes {
                Role::Client
            } else {
                Role::Owner
            },
            labels: BTreeMap::new(),
            zone: None,
            weight: cluster.weights[node],
            classes: classes.clone(),
            kinds: Some(BTreeSet::new()),
            groups: BTreeSet::new(),
            lanes,
            frames: FrameVersions::THIS,
            program: "1".into(),
        };
        let config = NodeConfig {
            namespace: self.namespace.clone(),
            name: name.clone(),
            incarnation,
            terms: cluster.terms,
            about,
            rejoin: cluster.rejoin,
        };
        let clock = self.nodes[node].clock(self.now);
        let member = node::Node::new(config, limits, clock);
        let config = OwnersConfig {
            namespace: self.namespace.clone(),
            layout: Arc::clone(&self.layout_record),
            name,
            incarnation,
            classes,
        };
        let owners = Owners::new(config, limits);
        let router = |lane| {
            let config = RouterConfig {
                incarnation,
                lane,
                lanes,
            };
            let dice = dice.fork(Part::Router(lane).number());
            Seat::new(Router::new(config, limits), dice)
        };
        Seats {
            incarnation,
            member: Seat::new(member, dice.fork(Part::Member.number())),
            owners: Seat::new(owners, dice.fork(Part::Owners.number())),
            routers: (0..lanes).map(router).collect(),
            posted: BTreeMap::new(),
            marks_told: Vec::new(),
            draining: false,
            renewing: 0,
            holds: Holds::default(),
            begun: BTreeMap::new(),
            next_begun: 1,
            came: BTreeMap::new(),
            served: BTreeMap::new(),
            returned: BTreeMap::new(),
            outbox: BTreeMap::new(),
        }
    }

    /// A node's name. One may be started under the name of another by mistake.
    pub(super) fn name_of(&self, node: usize) -> NodeName {
        let twin = self.plan.cluster.as_ref().is_some_and(|it| it.twin);
        let number = if twin && node + 1 == self.plan.nodes {
            0
        } else {
            node
        };
        NodeName::new(&format!("n{number}")).expect("a node's name")
    }

    /// Sends something from one machine of a node to another, in order.
    pub(super) fn post_within(&mut self, to: Place, input: impl Into<Input>) {
        let wait = self.moment(What::Within, to.row());
        let latest = self.nodes[to.node].seats_mut().posted.entry(to.part);
        let latest = latest.or_default();
        *latest = (*latest + 1).max(self.now + wait.as_nanos());
        let wait = Span::from_nanos(*latest - self.now);
        self.deliver_after(wait, to, input);
    }

    pub(super) fn step_member(
        &mut self,
        place: Place,
        input: node::Input,
    ) -> Result<(), Violation> {
        if let node::Input::Tick = input {
            self.tell_marks(place);
        }
        let (now, effects_max) = (self.now, self.plan.limits.effects_max);
        let node = &mut self.nodes[place.node];
        let clock = node.clock(now);
        let seat = &mut node.seats_mut().member;
        let ticked = matches!(input, node::Input::Tick);
        let mut effects = seat.step(clock, &mut self.probe, input, effects_max);
        seat.spins(ticked && effects.is_empty())?;
        self.draws.shuffle(What::Shuffle, place.row(), &mut effects);
        for effect in effects {
            self.tell(place, Kind::Does, || {
                format!("{place} -> {}", crate::brief::of_member(&effect))
            });
            self.member_wants(place, effect)?;
        }
        self.wake(place);
        Ok(())
    }

    /// How far the streams reach goes out with the next heartbeat (S13).
    fn tell_marks(&mut self, place: Place) {
        let node = &mut self.nodes[place.node];
        let partitions = self.layout_record.partitions();
        let marks: Vec<_> = partitions
            .map(|stream| node.marks.get(&stream).copied().unwrap_or_default())
            .collect();
        let seats = node.seats_mut();
        if seats.marks_told != marks {
            seats.marks_told.clone_from(&marks);
            self.post_within(place, node::Input::Marks(marks));
        }
    }

    fn member_wants(&mut self, place: Place, effect: node::Effect) -> Result<(), Violation> {
        match effect {
            node::Effect::Store { op, request } => self.soon(place, Deed::Store { op, request }),
            node::Effect::Probe { to } => {
                let to = Address {
                    incarnation: to,
                    lane: 0,
                };
                self.post_parcel(place.beside(Part::Router(0)), to, Parcel::Ping);
            }
            node::Effect::Joined => {
                reached!(self, "world: a node joined");
                self.joined(place);
            }
            node::Effect::Refused(error) => return self.refused(place, &error),
            node::Effect::Rejoin { run, .. } => return self.rejoins(place, run),
            node::Effect::View(view) => {
                self.post_within(
                    place.beside(Part::Owners),
                    shard::Input::View(Arc::clone(&view)),
                );
                for lane in 0..self.nodes[place.node].seats().lanes() {
                    let to = place.beside(Part::Router(lane));
                    self.post_within(to, route::Input::View(Arc::clone(&view)));
                }
            }
            node::Effect::Lease(lease) => {
                self.post_within(place.beside(Part::Owners), shard::Input::Lease(lease));
                for shard in 0..self.plan.shards.len() {
                    if self.spot(shard).class == TakeOver::Leased {
                        let to = place.beside(Part::Log(shard));
                        self.post_within(to, log::Input::Lease(lease));
                    }
                }
            }
            node::Effect::Marks(marks) => {
                for (stream, mark) in self.layout_record.partitions().zip(marks) {
                    let known = self.nodes[place.node].marks.entry(stream).or_default();
                    *known = mark.max(*known);
                }
            }
            node::Effect::Left => {
                reached!(self, "world: a node left");
                self.exits(place);
            }
            node::Effect::Note(note) => return self.member_notes(place, &note),
            node::Effect::Halt(reason) => {
                return Err(breach(Class::Safety, format!("{place} halts: {reason}")));
            }
        }
        Ok(())
    }

    fn member_notes(&mut self, place: Place, note: &node::Note) -> Result<(), Violation> {
        use node::Note;
        let _: bool = match note {
            Note::LeaseLost => reached!(self, "world: a node lost its lease"),
            Note::ClockGap => reached!(self, "world: a node met a gap in its clock"),
            Note::Over(..) => reached!(self, "world: a node was taken for over"),
            Note::Hinted(..) => reached!(self, "world: a node looked gone"),
            Note::Back(..) => reached!(self, "world: a node that looked gone was there"),
            Note::NetworkSuspect => reached!(self, "world: the network was suspect"),
            Note::LostTail if self.members_lost => {
                reached!(
                    self,
                    "world: a node noticed that the membership stream lost its tail"
                )
            }
            Note::Unreadable(_)
            | Note::OtherTerms(_)
            | Note::OtherKinds { .. }
            | Note::TooManyMembers
            | Note::LostTail => {
                return Err(breach(
                    Class::Safety,
                    format!("{place} says {note:?}, and there is no reason for it"),
                ));
            }
            Note::NotYetMember(_) | Note::Joined(..) | Note::Left(..) | _ => true,
        };
        Ok(())
    }

    /// A node is no member any more: its program ends, and is started again.
    fn refused(&mut self, place: Place, error: &JoinError) -> Result<(), Violation> {
        let legal = match error {
            JoinError::NameTaken { .. } | JoinError::Replaced { .. } => true,
            JoinError::Expired { .. } => !self.plan.cluster.as_ref().is_some_and(|it| it.rejoin),
            JoinError::Store(_) => self.plan.faults.full > 0,
            JoinError::OtherTerms { .. } | JoinError::Full { .. } => false,
            JoinError::Unreadable { .. } => false,
            _ => false,
        };
        if !legal {
            return Err(breach(
                Class::Safety,
                format!("{place} is refused: {error}"),
            ));
        }
        reached!(self, "world: a node was refused");
        if let JoinError::NameTaken { .. } | JoinError::Replaced { .. } = error
            && self.plan.cluster.as_ref().is_some_and(|it| it.twin)
        {
            // One of two under the name is enough.
            self.nodes[place.node].seats_mut().draining = true;
        }
        self.exits(place);
        Ok(())
    }

    /// The program of a node ends in a moment.
    fn exits(&mut self, place: Place) {
        let wait = self.draws.span(
            What::Exit,
            place.row(),
            Span::from_millis(1),
            Span::from_millis(20),
        );
        self.at(wait, Event::Exit { place });
    }

    pub(super) fn step_owners(
        &mut self,
        place: Place,
        input: shard::Input,
    ) -> Result<(), Violation> {
        let (now, effects_max) = (self.now, self.plan.limits.effects_max);
        let node = &mut self.nodes[place.node];
        let clock = node.clock(now);
        let seat = &mut node.seats_mut().owners;
        let ticked = matches!(input, shard::Input::Tick);
        let mut effects = seat.step(clock, &mut self.probe, input, effects_max);
        seat.spins(ticked && effects.is_empty())?;
        self.draws.shuffle(What::Shuffle, place.row(), &mut effects);
        for effect in effects {
            self.tell(place, Kind::Does, || {
                format!("{place} -> {}", crate::brief::of_owners(&effect))
            });
            self.owners_want(place, effect)?;
        }
        self.wake(place);
        Ok(())
    }

    fn owners_want(&mut self, place: Place, effect: shard::Effect) -> Result<(), Violation> {
        match effect {
            shard::Effect::Store { op, request } => self.soon(place, Deed::Store { op, request }),
            shard::Effect::Order { place: spot, order } => {
                let to = place.beside(Part::Log(self.index_of(spot)));
                self.post_within(to, log::Input::Order(order));
            }
            shard::Effect::Look => {
                self.post_within(place.beside(Part::Member), node::Input::Look);
            }
            shard::Effect::Table(table) => {
                for lane in 0..self.nodes[place.node].seats().lanes() {
                    let to = place.beside(Part::Router(lane));
                    self.post_within(to, route::Input::Table(Arc::clone(&table)));
                }
            }
            shard::Effect::Drained => {
                reached!(self, "world: a node was drained");
                self.post_within(place.beside(Part::Member), node::Input::Leave);
            }
            shard::Effect::Abandoned => {
                reached!(self, "world: a node had no time to hand over");
                self.post_within(place.beside(Part::Member), node::Input::Leave);
            }
            shard::Effect::Note(note) => match note {
                shard::Note::TakingOver { hint, .. } => {
                    if hint {
                        reached!(self, "world: a shard is taken over on a hint");
                    } else {
                        reached!(self, "world: a shard is taken over");
                    }
                }
                shard::Note::HandingOver { .. } => {
                    reached!(self, "world: a shard is handed over");
                }
                shard::Note::Kept { .. } => {
                    reached!(self, "world: a shard that is not left in time is kept");
                }
                shard::Note::Adopted { .. } => {
                    reached!(self, "world: a shard is adopted");
                }
                shard::Note::LeaseOver { .. } => {
                    reached!(self, "world: a node dropped all as its lease was over");
                }
                shard::Note::Failed { .. } => {
                    reached!(self, "world: an order failed");
                }
                shard::Note::Unreadable { place: spot, cause } => {
                    return Err(breach(
                        Class::Safety,
                        format!("{place} cannot read the record of {spot:?}: {cause}"),
                    ));
                }
                _ => {}
            },
            shard::Effect::Halt(reason) => {
                return Err(breach(Class::Safety, format!("{place} halts: {reason}")));
            }
        }
        Ok(())
    }

    /// A log tells what became of an order, or of its epoch.
    pub(super) fn reported(
        &mut self,
        place: Place,
        shard: usize,
        report: Report,
    ) -> Result<(), Violation> {
        if self.nodes[place.node].seats.is_none() {
            // The one owner there claims by itself.
            return Ok(());
        }
        self.holds_by_report(place, shard, &report)?;
        let spot = self.spot(shard);
        let input = shard::Input::Report {
            place: spot,
            report,
        };
        self.post_within(place.beside(Part::Owners), input);
        Ok(())
    }
}

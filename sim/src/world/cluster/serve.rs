//! Requests: from a caller into the routing of its lane, from there into a log here or on another
//! node, and their answers back.

use super::{Came, Ended};
use crate::brief;
use crate::draw::What;
use crate::history::Asked as Question;
use crate::host::Answer;
use crate::oracle::{Class, Violation};
use crate::world::World;
use crate::world::corrupt::Corruption;
use crate::world::event::{Part, Place};
use crate::world::network::Parcel;
use crate::world::node::breach;
use crate::world::story::Kind;
use tenure_core::id::{OpId, Sequence, Ticket};
use tenure_core::log::{self, Read, Refusal, Reply, Submit, Work};
use tenure_core::node;
use tenure_core::route::{self, Asked, Declined, Effect, Lost, Repeat, Returned, Target};
use tenure_core::{Probe as _, Span, Time, reached};

/// How much later than its deadline a request may be decided: what an effect waits at most.
const SLACK: Span = Span::from_millis(50);

/// What runs in a log.
#[derive(Clone, Copy, Debug)]
pub(in crate::world) struct Begun {
    whose: Whose,
    /// The ticket of its caller.
    caller: Ticket,
    /// After this it must not be decided any more, in true nanoseconds.
    pub(in crate::world) limit: u64,
}

#[derive(Clone, Copy, Debug)]
enum Whose {
    /// A caller of this node.
    Here(Asked),
    /// Another lane's, under this ticket of the routing.
    Served(u16, Ticket),
    /// Nobody's any more.
    Nobody,
}

impl World {
    /// A caller asks a node of a cluster, which may be any.
    pub(in crate::world) fn ask_cluster(
        &mut self,
        place: Place,
        question: &Question,
        deadline: Time,
    ) -> Result<(), Violation> {
        let shard = question.entity.shard;
        let spot = self.spot(shard);
        let repeat = match (question.wish.command, question.wish.id) {
            (None, _) => Repeat::Reads,
            (Some(_), Some(_)) => Repeat::ById,
            (Some(_), None) => Repeat::Never,
        };
        let asked = Asked {
            ticket: question.ticket,
            target: Target::Place(spot),
            key: question.wish.entity as u64,
            deadline,
            repeat,
            answered: true,
            doubt: None,
        };
        let lane = spot.shard.0 % self.nodes[place.node].seats().lanes();
        let to = place.beside(Part::Router(lane));
        self.deliver(to, route::Input::Ask(asked))
    }

    pub(in crate::world) fn step_router(
        &mut self,
        place: Place,
        lane: u16,
        input: route::Input,
    ) -> Result<(), Violation> {
        let (now, effects_max) = (self.now, self.plan.limits.effects_max);
        let node = &mut self.nodes[place.node];
        let clock = node.clock(now);
        let seat = &mut node.seats_mut().routers[usize::from(lane)];
        let ticked = matches!(input, route::Input::Tick);
        let mut effects = seat.step(clock, &mut self.probe, input, effects_max);
        seat.spins(ticked && effects.is_empty())?;
        self.draws.shuffle(What::Shuffle, place.row(), &mut effects);
        for effect in effects {
            self.tell(place, Kind::Does, || format!("{place} -> {effect:?}"));
            self.router_wants(place, lane, effect)?;
        }
        self.wake(place);
        Ok(())
    }

    fn router_wants(&mut self, place: Place, lane: u16, effect: Effect) -> Result<(), Violation> {
        match effect {
            Effect::Here { ticket, doubt } => self.begin_here(place, lane, ticket, doubt),
            Effect::Forward {
                ticket,
                op,
                to,
                ttl,
            } => {
                let Some(asked) = self.history.asked(ticket) else {
                    return Err(breach(
                        Class::Safety,
                        format!("{place} forwards {ticket:?}"),
                    ));
                };
                let shard = asked.entity.shard;
                let parcel = Parcel::Request {
                    op,
                    target: Target::Place(self.spot(shard)),
                    ttl,
                    caller: ticket,
                    at_least: self.mark(place.node, shard),
                    sent: self.now,
                };
                self.post_parcel(place, to, parcel);
                Ok(())
            }
            Effect::Told { ticket, op, doubt } => {
                let seats = self.nodes[place.node].seats_mut();
                let Some((reply, answer)) = seats.returned.remove(&(lane, op)) else {
                    return Err(breach(
                        Class::Safety,
                        format!("{place} has no answer to {op:?} for {ticket:?}"),
                    ));
                };
                self.end_of(place, ticket, doubted(reply, doubt), answer)
            }
            Effect::Refused { ticket, refusal } => {
                let reply = Reply::Refused(refused(refusal));
                self.end_of(place, ticket, reply, None)
            }
            Effect::Withdraw { to, op } => {
                self.post_parcel(place, to, Parcel::Withdraw { op });
                Ok(())
            }
            Effect::Serve {
                ticket,
                from,
                op,
                target: _,
                deadline,
            } => {
                let seats = self.nodes[place.node].seats_mut();
                let Some(came) = seats.came.remove(&(lane, from, op)) else {
                    return Err(breach(
                        Class::Safety,
                        format!("{place} serves {op:?} of {from:?}, which never came"),
                    ));
                };
                self.begin_served(place, lane, ticket, came, deadline)
            }
            Effect::Unserve { ticket } => {
                let seats = self.nodes[place.node].seats_mut();
                let mut begun = seats.begun.values_mut();
                let served = |it: &&mut Begun| matches!(it.whose, Whose::Served(l, t) if (l, t) == (lane, ticket));
                if let Some(begun) = begun.find(served) {
                    begun.whose = Whose::Nobody;
                }
                Ok(())
            }
            Effect::Answer { ticket, to, op } => {
                let seats = self.nodes[place.node].seats_mut();
                let Some((reply, answer)) = seats.served.remove(&(lane, ticket)) else {
                    return Err(breach(
                        Class::Safety,
                        format!("{place} has no answer to send for {ticket:?}"),
                    ));
                };
                let answer = Parcel::Answer {
                    op,
                    ended: Box::new((reply, answer)),
                };
                self.post_parcel(place, to, answer);
                Ok(())
            }
            Effect::NotOwner { to, op, owner } => {
                reached!(self, "world: a node says that it is not the owner");
                self.post_parcel(place, to, Parcel::NotOwner { op, owner });
                Ok(())
            }
            Effect::Decline { to, op, why } => {
                let refusal = match why {
                    Declined::Expired => Refusal::Deadline,
                    Declined::Overloaded => Refusal::Overloaded,
                };
                let ended = Box::new((Reply::Refused(refusal), None));
                self.post_parcel(place, to, Parcel::Answer { op, ended });
                Ok(())
            }
            Effect::Hint { of } => {
                let to = place.beside(Part::Member);
                self.post_within(to, node::Input::NoResponders { of });
                Ok(())
            }
            Effect::Alive { of } => {
                let to = place.beside(Part::Member);
                self.post_within(to, node::Input::Alive { of });
                Ok(())
            }
            Effect::Halt(reason) => Err(breach(Class::Safety, format!("{place} halts: {reason}"))),
        }
    }

    fn begin_here(
        &mut self,
        place: Place,
        lane: u16,
        ticket: Ticket,
        doubt: Option<Lost>,
    ) -> Result<(), Violation> {
        let Some(question) = self.history.asked(ticket).cloned() else {
            return Err(breach(Class::Safety, format!("{place} begins {ticket:?}")));
        };
        let spot = self.spot(question.entity.shard);
        let repeat = match (question.wish.command, question.wish.id) {
            (None, _) => Repeat::Reads,
            (Some(_), Some(_)) => Repeat::ById,
            (Some(_), None) => Repeat::Never,
        };
        let clock = self.nodes[place.node].clock;
        let deadline = clock.at(question.due);
        debug_assert_eq!(lane, spot.shard.0 % self.nodes[place.node].seats().lanes());
        let asked = Asked {
            ticket,
            target: Target::Place(spot),
            key: question.wish.entity as u64,
            deadline,
            repeat,
            answered: true,
            doubt,
        };
        let begun = Begun {
            whose: Whose::Here(asked),
            caller: ticket,
            limit: question.due + question.stopped,
        };
        let at_least = self.mark(place.node, question.entity.shard);
        self.begin_in_log(place, begun, &question, at_least, deadline)
    }

    fn begin_served(
        &mut self,
        place: Place,
        lane: u16,
        ticket: Ticket,
        came: Came,
        deadline: Time,
    ) -> Result<(), Violation> {
        reached!(self, "world: a request is served for another node");
        let Some(question) = self.history.asked(came.caller).cloned() else {
            return Err(breach(Class::Safety, format!("{place} serves nobody")));
        };
        // What its way took, and by how much the two clocks may differ over its patience.
        let way = self.now - came.sent;
        let drift = self.plan.drift_over(question.due - question.at);
        let begun = Begun {
            whose: Whose::Served(lane, ticket),
            caller: came.caller,
            limit: question.due + question.stopped + way + drift,
        };
        self.begin_in_log(place, begun, &question, came.at_least, deadline)
    }

    fn begin_in_log(
        &mut self,
        place: Place,
        begun: Begun,
        question: &Question,
        at_least: Sequence,
        deadline: Time,
    ) -> Result<(), Violation> {
        let (wish, entity) = (question.wish, &question.entity);
        let wall = self.wall_of(place.node);
        let node = &mut self.nodes[place.node];
        let seats = node.seats_mut();
        let ticket = Ticket(seats.next_begun);
        seats.next_begun += 1;
        seats.begun.insert(ticket, begun);
        let (kind, id) = (entity.kind, entity.id.clone());
        let input = match wish.command {
            None => log::Input::Read(Read {
                ticket,
                kind,
                entity: id,
                freshness: wish.freshness,
                at_least,
                deadline,
            }),
            Some(command) => {
                let host = &mut node.shards[entity.shard].host;
                host.take(ticket, question.ticket, command);
                log::Input::Submit(Submit {
                    ticket,
                    kind,
                    entity: id,
                    id: wish.id,
                    expected: wish.expected,
                    metadata: crate::host::metadata(question.ticket),
                    wall,
                    at_least,
                    deadline,
                })
            }
        };
        self.post_within(place.beside(Part::Log(entity.shard)), input);
        Ok(())
    }

    /// A log replied to what was begun in it.
    pub(in crate::world) fn log_replied(
        &mut self,
        place: Place,
        shard: usize,
        ticket: Ticket,
        reply: Reply,
        answer: Option<Answer>,
    ) -> Result<(), Violation> {
        let seats = self.nodes[place.node].seats_mut();
        let Some(begun) = seats.begun.remove(&ticket) else {
            return Err(breach(
                Class::Safety,
                format!("{place} replies twice to {ticket:?} (L6)"),
            ));
        };
        let reply = self.misreplied(reply);
        let curt = self.corruption == Some(Corruption::Curt);
        let turned_away = reply == Reply::Refused(Refusal::NotOwner) && !curt;
        self.tell(place, Kind::Does, || {
            format!(
                "{place} has for {:?}: {}",
                begun.caller,
                brief::reply(&reply)
            )
        });
        match begun.whose {
            Whose::Nobody => Ok(()),
            Whose::Here(asked) if turned_away => {
                let lane = self.spot(shard).shard.0 % self.nodes[place.node].seats().lanes();
                let to = place.beside(Part::Router(lane));
                self.post_within(to, route::Input::NotHere(asked));
                Ok(())
            }
            Whose::Here(asked) => {
                self.end_of(place, asked.ticket, doubted(reply, asked.doubt), answer)
            }
            Whose::Served(lane, ticket) => {
                let to = place.beside(Part::Router(lane));
                if turned_away {
                    self.post_within(to, route::Input::NotServed(ticket));
                } else {
                    let seats = self.nodes[place.node].seats_mut();
                    seats.served.insert((lane, ticket), (reply, answer));
                    self.post_within(to, route::Input::Served(ticket));
                }
                Ok(())
            }
        }
    }

    /// An answer came back to a lane.
    pub(in crate::world) fn came_back(
        &mut self,
        to: Place,
        lane: u16,
        op: OpId,
        ended: Ended,
    ) -> Result<(), Violation> {
        let seats = self.nodes[to.node].seats_mut();
        seats.returned.insert((lane, op), ended);
        let returned = Returned::Answer;
        self.deliver(to, route::Input::Returned { op, returned })
    }

    /// No request is decided after its deadline, but for what its way took and the clocks differ.
    pub(in crate::world) fn in_time(
        &self,
        place: Place,
        shard: usize,
        work: &Work,
    ) -> Result<(), Violation> {
        let Some(seats) = &self.nodes[place.node].seats else {
            return Ok(());
        };
        let Work::Decide { commands, .. } = work else {
            return Ok(());
        };
        for (ticket, _) in commands {
            let Some(begun) = seats.begun.get(ticket) else {
                continue;
            };
            let asked = self.history.asked(begun.caller);
            let timed = asked.map_or(!self.leased_void, |asked| !asked.untimed);
            let late = self.now.saturating_sub(begun.limit);
            if timed && late > SLACK.as_nanos() {
                return Err(breach(
                    Class::Safety,
                    format!(
                        "{place} decides {:?} of s{shard} {} after its deadline",
                        begun.caller,
                        Span::from_nanos(late)
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// What a caller is told when an earlier attempt may have run, or may still come to: that the last one
/// stored nothing is not the whole truth.
fn doubted(reply: Reply, doubt: Option<Lost>) -> Reply {
    match reply {
        Reply::Nothing { .. } | Reply::Refused(_) if doubt.is_some() => {
            Reply::Refused(Refusal::Unknown)
        }
        reply @ (Reply::Committed { .. }
        | Reply::Nothing { .. }
        | Reply::Found { .. }
        | Reply::Read { .. }
        | Reply::Refused(_)) => reply,
    }
}

/// What a caller is told whom routing refuses.
fn refused(refusal: route::Refusal) -> Refusal {
    match refusal {
        route::Refusal::NoOwner(_) | route::Refusal::NoNode(_) => Refusal::NotOwner,
        route::Refusal::Overloaded => Refusal::Overloaded,
        route::Refusal::TooLarge { bytes, bytes_max } => Refusal::TooLarge { bytes, bytes_max },
        route::Refusal::Deadline => Refusal::Deadline,
        route::Refusal::Unknown(_) => Refusal::Unknown,
        refusal @ (route::Refusal::NoCommonVersion(_) | _) => {
            Refusal::Failed(format!("{refusal:?}"))
        }
    }
}

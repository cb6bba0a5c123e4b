//! What one lane keeps of its node's cluster.

use super::courier::{Carried, Routed, Tray};
use super::machine::MachineSeat;
use super::post::Post;
use super::{Direction, Enrol, Enrolment, MemberState, Membership, Registry, Tiding};
use crate::driver::group::GroupWish;
use crate::driver::lane::{NodeFacts, Who};
use crate::driver::shell::Shell;
use crate::format::{Answered, Call};
use crate::id::{Incarnation, OpId, Ticket};
use crate::name::ConsumerName;
use crate::node::{self, JoinError, Node, Standing, View};
use crate::port::{Delivery, Heard};
use crate::route::{self, Address, Asked, Router, RouterConfig};
use crate::shard::{self, Owners, OwnersConfig, Place, Report};
use crate::step::{Dice, Span, Time};
use crate::tickets::Tickets;
use bytes::Bytes;
use futures_util::FutureExt;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// A node that looks gone is told of to lane 0 at most this often by one lane; it counts them over
/// a longer time (S15).
const TIDINGS_EVERY: Span = Span::from_millis(20);

/// How often it is looked who of those that wait for other nodes has gone: so long at most does a
/// request run on for nobody before its lane is told.
const SWEEP_EVERY: Span = Span::from_millis(50);

/// The part of a lane's dice that its routing draws from.
const DICE_PART: u64 = 1 << 34;

/// What one lane keeps of its node's cluster.
pub(crate) struct Net {
    pub(crate) here: Address,
    pub(crate) registry: Arc<Registry>,
    pub(crate) router: MachineSeat<Router>,
    /// What the router wants done, between two steps.
    pub(crate) wanted: Vec<route::Effect>,
    /// What the router is to be told.
    pub(crate) due: VecDeque<route::Input>,
    /// Requests of callers of this node that are with the router.
    pub(crate) asks: Tickets<Held>,
    /// What runs here for other lanes.
    pub(crate) serving: Tickets<Serving>,
    pub(crate) tray: Arc<Tray>,
    pub(crate) carried: Vec<Carried>,
    pub(crate) post: Post,
    pub(crate) lease: Option<Time>,
    /// When it is looked next who of those that wait for other nodes has gone.
    pub(crate) sweep_at: Time,
    pub(crate) membership: watch::Receiver<Membership>,
    /// The view and the table that the router has.
    seen_view: Option<Arc<View>>,
    seen_table: Option<Arc<shard::Table>>,
    pub(crate) reports: mpsc::UnboundedSender<(Place, Report)>,
    pub(crate) lead: Option<Lead>,
    directions: mpsc::UnboundedReceiver<Direction>,
    deliveries: mpsc::Receiver<Delivery>,
    tidings: mpsc::Sender<Tiding>,
    pub(crate) group_wishes: mpsc::UnboundedSender<GroupWish>,
    /// When a node was told of last.
    told: BTreeMap<Incarnation, Time>,
}

/// What comes with inputs of the router's, for the effects that they lead to.
#[derive(Default)]
pub(crate) struct Along<'a> {
    /// The requests of another lane.
    pub(crate) requests: VecDeque<Requested<'a>>,
    /// The bytes of answers.
    pub(crate) answers: VecDeque<(OpId, &'a Bytes)>,
}

/// A request of another lane, until the router says what to do with it.
pub(crate) struct Requested<'a> {
    /// Its operation there.
    pub(crate) op: OpId,
    pub(crate) call: Call<'a>,
    /// Whether its caller waits for the answer.
    pub(crate) answered: bool,
}

impl<'a> Along<'a> {
    /// The request of an operation. They are looked for in their order, so it is mostly the first.
    pub(crate) fn request(&mut self, op: OpId) -> Option<Requested<'a>> {
        let nth = self.requests.iter().position(|one| one.op == op)?;
        self.requests.remove(nth)
    }

    /// The bytes that answer an operation, in the same way.
    pub(crate) fn answer(&mut self, op: OpId) -> Option<&'a Bytes> {
        let nth = self.answers.iter().position(|(of, _)| *of == op)?;
        self.answers.remove(nth).map(|(_, bytes)| bytes)
    }
}

/// A request of another lane that runs here, for as long as somebody waits for its answer.
#[derive(Debug)]
pub(crate) struct Serving {
    /// `None` for what belongs to the node.
    pub(crate) place: Option<Place>,
    /// The ticket under which an actor has it.
    pub(crate) actor: Option<Ticket>,
    /// What came of it, until the router says where to send it.
    pub(crate) answered: Option<Answered>,
}

/// A request of a caller of this node that is with the router.
pub(crate) struct Held {
    pub(crate) ask: Box<dyn Routed>,
    pub(crate) asked: Asked,
    /// Whether it was ever sent.
    pub(crate) sent: bool,
}

/// What lane 0 has beside that: the machines of membership and ownership.
pub(crate) struct Lead {
    pub(crate) node: MachineSeat<Node>,
    pub(crate) owners: MachineSeat<Owners>,
    pub(crate) node_wants: Vec<node::Effect>,
    pub(crate) owners_want: Vec<shard::Effect>,
    pub(crate) membership: watch::Sender<Membership>,
    pub(crate) directions: Vec<mpsc::UnboundedSender<Direction>>,
    /// Lanes that do not act as the present run yet.
    renewing: Vec<oneshot::Receiver<()>>,
    reports: mpsc::UnboundedReceiver<(Place, Report)>,
    tidings: mpsc::Receiver<Tiding>,
    group_wishes: mpsc::UnboundedReceiver<GroupWish>,
    members: mpsc::Receiver<Heard>,
    owned: mpsc::Receiver<Heard>,
    /// Numbers the pings.
    pub(crate) pings: u64,
    /// What the other lanes were asked last, when, and how long they may take to answer.
    pub(crate) beat: u64,
    pub(crate) beat_at: Time,
    pub(crate) patience: Span,
    /// Writes of the membership that are not begun, since a lane does not turn.
    pub(crate) withheld: Vec<OpId>,
    /// Whether it is no member any more because something of it halted.
    pub(crate) is_over: bool,
    /// The groups of which something may act on this node, each with whether it takes partitions.
    pub(crate) groups: BTreeMap<ConsumerName, bool>,
    /// It leaves as soon as none of them does.
    pub(crate) is_leaving: bool,
    /// Whether it hands over what it owns, and has.
    pub(crate) is_draining: bool,
    pub(crate) is_drained: bool,
}

/// What comes to a lane from the cluster.
pub(crate) enum NetEvent {
    Delivered(Delivery),
    Directed(Direction),
    /// All lanes act as the present run.
    Renewed,
    /// What lane 0 tells of the cluster changed.
    Changed,
    Reported(Place, Report),
    Tiding(Tiding),
    GroupWish(GroupWish),
    MemberHeard(Heard),
    OwnerHeard(Heard),
}

/// Where what comes to a lane from the cluster waits, but for what lane 0 tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Directions,
    /// Lane 0 only, as the five that follow.
    Renewals,
    Reports,
    Tidings,
    GroupWishes,
    Owners,
    Members,
    Deliveries,
}

impl Source {
    pub(crate) const ALL: [Self; 8] = [
        Self::Directions,
        Self::Renewals,
        Self::Reports,
        Self::Tidings,
        Self::GroupWishes,
        Self::Owners,
        Self::Members,
        Self::Deliveries,
    ];
}

impl Lead {
    fn new<S: Shell>(
        enrolment: Enrolment,
        shell: &S,
        facts: &NodeFacts,
        (dice, now): (Dice, Time),
    ) -> Self {
        let Enrolment {
            config,
            layout,
            membership,
            directions,
            reports,
            tidings,
            group_wishes,
        } = enrolment;
        let (namespace, limits) = (&facts.namespace, facts.limits);
        let members = shell.hear(namespace.members_heard_filter());
        let owned = shell.hear(namespace.owners_heard_filter());
        let owners = OwnersConfig {
            namespace: namespace.clone(),
            layout,
            name: config.name.clone(),
            incarnation: config.incarnation,
            classes: config.about.classes.clone(),
        };
        let owners = Owners::new(owners, limits);
        let patience = config.terms.margin;
        let node = Node::new(config, limits, now);
        let effects_max = limits.effects_max;
        Self {
            node: MachineSeat::new(Who::Node, node, dice.fork(1), effects_max),
            owners: MachineSeat::new(Who::Owners, owners, dice.fork(2), effects_max),
            node_wants: Vec::new(),
            owners_want: Vec::new(),
            membership,
            directions,
            renewing: Vec::new(),
            reports,
            tidings,
            group_wishes,
            members,
            owned,
            pings: 0,
            beat: 0,
            beat_at: now,
            patience,
            withheld: Vec::new(),
            is_over: false,
            groups: BTreeMap::new(),
            is_leaving: false,
            is_draining: false,
            is_drained: false,
        }
    }

    /// This node is another run of itself now, and acts as nobody until it is a member.
    pub(crate) fn rejoin(&self, run: Incarnation, cause: JoinError) {
        self.membership.send_modify(|membership| {
            membership.state = MemberState::Rejoining(cause);
            membership.run = run;
            membership.rejoins += 1;
            membership.lease = None;
        });
    }

    /// Has every lane act as another run of the node, one order after another.
    pub(crate) fn direct_run(&mut self, run: Incarnation) {
        self.renewing.clear();
        for lane in &self.directions {
            let (done, told) = oneshot::channel();
            // Without its lane the node is at its end.
            if lane.send(Direction::Run(run, done)).is_ok() {
                self.renewing.push(told);
            }
        }
    }

    /// This node's own standing.
    pub(crate) fn state(&self) -> watch::Ref<'_, Membership> {
        self.membership.borrow()
    }

    /// This node's standing is this now.
    pub(crate) fn set_state(&self, state: MemberState) {
        self.say(|_| Some(state));
    }

    /// The next standing, if it changes.
    pub(crate) fn say(&self, next: impl FnOnce(&MemberState) -> Option<MemberState>) {
        self.membership.send_if_modified(|membership| {
            let next = match next(&membership.state) {
                Some(next) if !membership.state.is_final() => next,
                Some(_) | None => return false,
            };
            membership.state = next;
            true
        });
    }
}

impl Net {
    /// Enrols a lane: it listens from now on.
    pub(crate) fn new<S: Shell>(
        enrol: Enrol,
        shell: &S,
        facts: &NodeFacts,
        (index, run, now): (usize, Incarnation, Time),
        dice: Dice,
    ) -> (Self, oneshot::Sender<()>) {
        let Enrol {
            registry,
            membership,
            directions,
            reports,
            tidings,
            group_wishes,
            lead,
            lanes,
            listening,
        } = enrol;
        let here = Address {
            incarnation: run,
            lane: u16::try_from(index).expect("fewer lanes than 65,536"),
        };
        let limits = facts.limits;
        let router = RouterConfig {
            incarnation: here.incarnation,
            lane: here.lane,
            lanes,
        };
        let router = Router::new(router, limits);
        let dice = dice.fork(DICE_PART | index as u64);
        let router = MachineSeat::new(Who::Router, router, dice, limits.effects_max);
        let post = Post::new(here, facts.namespace.clone());
        let deliveries = shell.listen(post.subject().clone());
        let net = Self {
            here,
            registry,
            router,
            wanted: Vec::new(),
            due: VecDeque::new(),
            asks: Tickets::default(),
            serving: Tickets::default(),
            tray: Arc::default(),
            carried: Vec::new(),
            post,
            lease: None,
            sweep_at: now + SWEEP_EVERY,
            membership,
            seen_view: None,
            seen_table: None,
            reports,
            lead: lead.map(|lead| Lead::new(lead, shell, facts, (dice, now))),
            directions,
            deliveries,
            tidings,
            group_wishes,
            told: BTreeMap::new(),
        };
        (net, listening)
    }

    /// The lane is of another run of the node from now on, and listens at its address. Frames that were
    /// not sent are lost with the former one.
    pub(crate) fn become_run<S: Shell>(
        &mut self,
        run: Incarnation,
        shell: &S,
        facts: &NodeFacts,
        payload_bytes_max: usize,
    ) {
        self.here.incarnation = run;
        self.post = Post::new(self.here, facts.namespace.clone());
        self.post.payload_bytes_max(payload_bytes_max);
        self.deliveries = shell.listen(self.post.subject().clone());
        (self.seen_view, self.seen_table) = (None, None);
        self.told.clear();
    }

    /// What comes next. Cancel safe.
    pub(crate) async fn next(&mut self) -> NetEvent {
        tokio::select! {
            biased;
            Some(direction) = self.directions.recv() => NetEvent::Directed(direction),
            Ok(()) = self.membership.changed() => NetEvent::Changed,
            event = lead_next(&mut self.lead) => event,
            Some(delivery) = self.deliveries.recv() => NetEvent::Delivered(delivery),
            else => std::future::pending().await,
        }
    }

    /// What is here already from a source.
    pub(crate) fn next_of(&mut self, source: Source) -> Option<NetEvent> {
        let lead = self.lead.as_mut();
        match source {
            Source::Directions => self.directions.try_recv().ok().map(NetEvent::Directed),
            Source::Renewals => {
                let renewing = &mut lead.filter(|lead| !lead.renewing.is_empty())?.renewing;
                all_told(renewing)
                    .now_or_never()
                    .map(|()| NetEvent::Renewed)
            }
            Source::Reports => {
                let reported = lead?.reports.try_recv().ok();
                reported.map(|(place, report)| NetEvent::Reported(place, report))
            }
            Source::Tidings => lead?.tidings.try_recv().ok().map(NetEvent::Tiding),
            Source::GroupWishes => lead?.group_wishes.try_recv().ok().map(NetEvent::GroupWish),
            Source::Owners => lead?.owned.try_recv().ok().map(NetEvent::OwnerHeard),
            Source::Members => lead?.members.try_recv().ok().map(NetEvent::MemberHeard),
            Source::Deliveries => self.deliveries.try_recv().ok().map(NetEvent::Delivered),
        }
    }

    /// What lane 0 tells of the cluster, and which of view and table are others than were seen last.
    pub(crate) fn see_membership(&mut self) -> (Membership, bool, bool) {
        let membership = self.membership.borrow_and_update().clone();
        let other_view = !self
            .seen_view
            .as_ref()
            .is_some_and(|seen| Arc::ptr_eq(seen, &membership.view));
        let other_table = !self
            .seen_table
            .as_ref()
            .is_some_and(|seen| Arc::ptr_eq(seen, &membership.table));
        self.seen_view = Some(Arc::clone(&membership.view));
        self.seen_table = Some(Arc::clone(&membership.table));
        (membership, other_view, other_table)
    }

    /// Tells lane 0 of another node, unless it was told a moment ago.
    pub(crate) fn tell(&mut self, now: Time, tiding: Tiding) {
        let (Tiding::NoResponders(of) | Tiding::Alive(of)) = tiding;
        let told = self.told.get(&of);
        if told.is_some_and(|told| now.since(*told) < TIDINGS_EVERY) {
            return;
        }
        // Without room it is told another time: lane 0 looks for itself too.
        if self.tidings.try_send(tiding).is_ok() {
            self.told.insert(of, now);
        }
    }

    /// Whether lane 0 told something that this lane has not seen.
    pub(crate) fn has_news(&self) -> bool {
        self.membership.has_changed().unwrap_or(false)
    }

    /// Whether it is not sure that a node lives.
    pub(crate) fn is_doubted(&self, of: Incarnation) -> bool {
        match self.membership.borrow().view.standing(of) {
            Some(Standing::Hinted) => true,
            Some(Standing::Living | Standing::Over) | None => self.told.contains_key(&of),
        }
    }

    /// When a sweep is due, if anybody waits.
    pub(crate) fn next_sweep(&self) -> Option<Time> {
        (!self.asks.is_empty()).then_some(self.sweep_at)
    }

    /// Tells routing who has gone of those that wait for other nodes.
    pub(crate) fn sweep(&mut self, now: Time) {
        if now < self.sweep_at {
            return;
        }
        self.sweep_at = now + SWEEP_EVERY;
        let gone = |held: &Held| held.asked.answered && held.ask.is_abandoned();
        let gone = self.asks.iter().filter(|(_, held)| gone(held));
        let gone: Vec<Ticket> = gone.map(|(ticket, _)| ticket).collect();
        for ticket in gone {
            self.asks.remove(ticket);
            self.due.push_back(route::Input::Cancel(ticket));
        }
    }

    /// Keeps nothing of nodes that are gone.
    pub(crate) fn forget_gone(&mut self) {
        let view = Arc::clone(&self.membership.borrow().view);
        let is_there = |of| view.peer_of(of).is_some();
        self.told.retain(|of, _| is_there(*of));
        self.post.keep(is_there);
    }
}

/// Waits until all have told. Cancel safe.
async fn all_told(waiting: &mut Vec<oneshot::Receiver<()>>) {
    while let Some(one) = waiting.last_mut() {
        // A lane that is gone acts as nobody.
        let _ = one.await;
        waiting.pop();
    }
}

async fn lead_next(lead: &mut Option<Lead>) -> NetEvent {
    let Some(lead) = lead else {
        return std::future::pending().await;
    };
    tokio::select! {
        biased;
        () = all_told(&mut lead.renewing), if !lead.renewing.is_empty() => NetEvent::Renewed,
        Some((place, report)) = lead.reports.recv() => NetEvent::Reported(place, report),
        Some(tiding) = lead.tidings.recv() => NetEvent::Tiding(tiding),
        Some(wish) = lead.group_wishes.recv() => NetEvent::GroupWish(wish),
        Some(heard) = lead.owned.recv() => NetEvent::OwnerHeard(heard),
        Some(heard) = lead.members.recv() => NetEvent::MemberHeard(heard),
        else => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::{Along, Requested};
    use crate::format::{Call, CallTarget};
    use crate::id::OpId;
    use bytes::Bytes;

    #[test]
    fn what_came_along_is_found_by_its_operation() {
        let bytes = [1, 2, 3].map(|n| Bytes::from(vec![n]));
        let mut along = Along::default();
        for (op, bytes) in (1..).zip(&bytes) {
            along.answers.push_back((OpId(op), bytes));
            let call = Call::new(CallTarget::Node, "", 0, bytes.clone());
            let answered = true;
            let op = OpId(10 * op);
            along.requests.push_back(Requested { op, call, answered });
        }
        // The router passes over the first, and asks for none twice.
        assert_eq!(along.answer(OpId(2)), Some(&bytes[1]));
        assert_eq!(along.answer(OpId(2)), None);
        assert_eq!(along.answer(OpId(3)), Some(&bytes[2]));
        let body = |along: &mut Along<'_>, op| along.request(OpId(op)).map(|one| one.call.body);
        assert_eq!(body(&mut along, 1), None, "an answer's");
        assert_eq!(body(&mut along, 30), Some(bytes[2].clone()));
        assert_eq!(body(&mut along, 10), Some(bytes[0].clone()));
    }
}

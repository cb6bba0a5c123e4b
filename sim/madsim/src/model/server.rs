//! The store's server: the shell in memory behind an address. Each connection has a link of the
//! shell's own, so who listens where, and who hears that nobody does, is the shell's.

use super::wire::{AskId, Down, EarId, Passing, SERVER, Up};
use crate::cluster::{Cluster, Kept, lock};
use bytes::Bytes;
use madsim::net::{Endpoint, Receiver, Sender};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tenure_core::driver::{Ear, HEARD_MAX, Shell as _};
use tenure_core::id::{OpId, Sequence};
use tenure_core::port::{Delivery, Refused, StoreDone, StoreReply, StoreRequest, Subject};
use tenure_core::step::{Outcome, Span};
use tenure_mem::MemShell;
use tenure_mem::store::{ProposalId, Store};
use tenure_sim::stage::{Leader, Passage, Reach};
use tenure_sim::{Kind, Lane};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until};

/// How long a connection may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// How long after it brought nothing a fetch looks again.
const FETCH_AGAIN: Duration = Duration::from_millis(10);

/// A subject at which nobody listens.
const NOWHERE: &str = "nowhere";

/// Takes connections until its node ends.
pub(crate) async fn serve(cluster: Arc<Cluster>) {
    let endpoint = loop {
        match Endpoint::bind(SERVER).await {
            Ok(endpoint) => break endpoint,
            // What had the address before is not quite gone.
            Err(_) => sleep(Duration::from_millis(1)).await,
        }
    };
    loop {
        let Ok((to, from, _)) = endpoint.accept1().await else {
            return;
        };
        let serves = Connection::new(&cluster);
        madsim::task::spawn(serves.run(to, from));
    }
}

/// One node's connection.
struct Connection {
    cluster: Arc<Cluster>,
    node: usize,
    shell: MemShell,
    downs: mpsc::UnboundedSender<Down>,
    told: mpsc::UnboundedReceiver<Down>,
    ears: BTreeMap<EarId, AbortHandle>,
}

impl Connection {
    fn new(cluster: &Arc<Cluster>) -> Self {
        let (downs, told) = mpsc::unbounded_channel();
        Self {
            cluster: Arc::clone(cluster),
            node: 0,
            shell: cluster.model().store.beside(),
            downs,
            told,
            ears: BTreeMap::new(),
        }
    }

    /// Carries what both ends tell each other until the connection breaks.
    async fn run(mut self, to: Sender, mut from: Receiver) -> io::Result<()> {
        let mut silent_at = Instant::now() + SILENCE_MAX;
        loop {
            tokio::select! {
                biased;
                down = self.told.recv() => {
                    let down = down.expect("this end has the other one, too");
                    to.send(Box::new(down)).await?;
                }
                up = from.recv() => {
                    silent_at = Instant::now() + SILENCE_MAX;
                    let up = up?.downcast::<Up>().expect("what a node tells");
                    self.takes(*up);
                }
                () = sleep_until(silent_at) => return Ok(()),
            }
        }
    }

    fn takes(&mut self, up: Up) {
        match up {
            Up::Hello(node) => self.node = node,
            Up::Ready => {
                let server = self
                    .cluster
                    .with_store(|store| store.config().capabilities.clone());
                self.tell(Down::Welcome(server));
            }
            Up::Ask(ask, request) => self.ask(ask, request),
            Up::Listen(ear, at) => self.listen(ear, at),
            Up::Hear(ear, filter) => self.hear(ear, filter),
            Up::Deaf(ear) => {
                if let Some(ear) = self.ears.remove(&ear) {
                    ear.abort();
                }
            }
            Up::Frame {
                op,
                to,
                back,
                bytes,
                event,
            } => self.frame(op, (to, back), bytes, event),
            Up::Cast(to, payload) => {
                // It is not stored: what is refused is lost.
                let _ = self.shell.cast(&to, payload);
            }
            Up::Ping => self.tell(Down::Pong),
        }
    }

    fn tell(&self, down: Down) {
        // The other end of the channel is here.
        let _ = self.downs.send(down);
    }

    fn ask(&self, ask: u64, request: StoreRequest) {
        let cluster = Arc::clone(&self.cluster);
        let (node, downs) = (self.node, self.downs.clone());
        let last = last_of(&cluster, &request);
        let mut setting = cluster.setting();
        let passage = setting.passage(node, &request, last);
        let told = format!("{ask} {request:?} {passage:?}");
        setting.note(2, &[node as u64, ask]);
        setting.bytes(told.as_bytes());
        let event = setting.tells((Lane::Node(node), Kind::Does), 0, || {
            format!("n{node} asks {told}")
        });
        drop(setting);
        let by = By { node, ask, event };
        madsim::task::spawn(async move {
            let reply = passes(&cluster, by, &request, passage).await;
            if let Some((reply, event)) = reply {
                let reply = cluster.setting().heard(node, &request, reply);
                // Nobody waits when the connection is over.
                let _ = downs.send(Down::Answer(ask, reply, event));
            }
        });
    }

    fn listen(&mut self, ear: EarId, at: Subject) {
        let (cluster, node, downs) = (Arc::clone(&self.cluster), self.node, self.downs.clone());
        let mut deliveries = self.shell.listen(at);
        let forwards = madsim::task::spawn(async move {
            while let Some(delivery) = deliveries.recv().await {
                let delivery = match delivery {
                    Delivery::NoResponders(op) => Some(Delivery::NoResponders(op)),
                    Delivery::Frame(bytes) => comes_through(&cluster, node, bytes),
                };
                if let Some(delivery) = delivery
                    && downs.send(Down::Delivered(ear, delivery)).is_err()
                {
                    return;
                }
            }
        });
        self.ears.insert(ear, forwards.abort_handle());
    }

    fn hear(&mut self, ear: EarId, filter: Subject) {
        let (cluster, node, downs) = (Arc::clone(&self.cluster), self.node, self.downs.clone());
        let (all, mut announcements) = Ear::of_all(HEARD_MAX);
        self.shell.overhear(filter, all);
        let forwards = madsim::task::spawn(async move {
            while let Some(heard) = announcements.recv().await {
                let copies = cluster.setting().announcement(node);
                // What is cast comes once at most.
                let copies_max = if heard.sequence.is_some() {
                    copies.len()
                } else {
                    1
                };
                for after in copies.into_iter().take(copies_max) {
                    let (downs, heard) = (downs.clone(), heard.clone());
                    if after == Span::ZERO {
                        // Nobody hears it when the connection is over.
                        let _ = downs.send(Down::Heard(ear, heard));
                        continue;
                    }
                    madsim::task::spawn(async move {
                        sleep(after.into()).await;
                        let _ = downs.send(Down::Heard(ear, heard));
                    });
                }
            }
        });
        self.ears.insert(ear, forwards.abort_handle());
    }

    fn frame(&self, op: OpId, (to, back): (Subject, Subject), bytes: Bytes, event: u64) {
        let copies = self.cluster.setting().frame(self.node);
        let passing = Passing {
            from: self.node,
            op,
            event,
            back,
            bytes,
        };
        let wrapped = passing.wrapped();
        for (copy, after) in copies.into_iter().enumerate() {
            let (to, wrapped) = (to.clone(), wrapped.clone());
            // That nobody takes in a second copy says nothing of the first.
            let back = if copy == 0 {
                passing.back.clone()
            } else {
                NOWHERE.into()
            };
            if after == Span::ZERO {
                // What is refused for want of room is lost.
                let _ = self.shell.send(op, &to, &back, wrapped);
                continue;
            }
            let server = self.cluster.model().store.clone();
            madsim::task::spawn(async move {
                sleep(after.into()).await;
                let _ = server.send(op, &to, &back, wrapped);
            });
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        for ear in self.ears.values() {
            ear.abort();
        }
    }
}

/// Lets a time pass, if there is one.
async fn pass(time: Span) {
    if time != Span::ZERO {
        sleep(time.into()).await;
    }
}

/// A frame gets to a node, unless the network between it and the sender is parted.
fn comes_through(cluster: &Cluster, node: usize, bytes: Bytes) -> Option<Delivery> {
    let passing = Passing::unwrapped(bytes).expect("a frame that this server wrapped");
    let mut setting = cluster.setting();
    let reach = setting.reach(passing.from, node);
    let (from, op) = (passing.from, passing.op);
    setting.tells(
        (Lane::Node(node), Kind::Takes),
        passing.event,
        || match reach {
            Reach::Through => format!("n{node} hears {op:?} of n{from}"),
            Reach::Silent => format!("n{node} does not hear {op:?} of n{from}"),
            Reach::Denied => format!("n{from} hears wrongly that n{node} is not there for {op:?}"),
        },
    );
    drop(setting);
    match reach {
        Reach::Through => Some(Delivery::Frame(passing.bytes)),
        Reach::Silent => None,
        Reach::Denied => {
            // Whoever listens at `back` hears that nobody does at this address.
            let (nowhere, back) = (NOWHERE.into(), passing.back);
            let _ = cluster
                .model()
                .store
                .send(passing.op, &nowhere, &back, Bytes::new());
            None
        }
    }
}

/// The last message of the stream that a request is about.
fn last_of(cluster: &Cluster, request: &StoreRequest) -> Sequence {
    let stream = request.stream();
    stream.map_or(Sequence::NONE, |stream| {
        cluster.with_store(|store| store.last(stream))
    })
}

/// Whose request it is, and where the story tells of it.
#[derive(Clone, Copy)]
struct By {
    node: usize,
    ask: AskId,
    event: u64,
}

/// A request of a node goes its way; what the node hears, if anything, and where the story tells of it.
async fn passes(
    cluster: &Arc<Cluster>,
    by: By,
    request: &StoreRequest,
    passage: Passage,
) -> Option<(StoreReply, u64)> {
    match passage {
        Passage::Lost => None,
        Passage::Late(after) => {
            sleep(after.into()).await;
            answer(cluster, by, request).await;
            None
        }
        Passage::Refused { refused, heard } => {
            if heard {
                later(cluster, by, request, Span::ZERO);
            }
            let reply = Outcome::Refused(refused);
            let event = answers(cluster, by, &reply);
            Some((reply, event))
        }
        Passage::Stale { there, up_to } => {
            pass(there).await;
            let wall = cluster.store_wall();
            let reply = cluster.with_store(|store| {
                if request.moves_consumer() {
                    store.apply_as_of(wall, up_to, request)
                } else {
                    store.answer_as_of(wall, up_to, request)
                }
            });
            if let Outcome::Refused(refused) = &reply
                && cluster
                    .setting()
                    .heard_by_successor(by.node, refused, request)
            {
                later(cluster, by, request, Span::ZERO);
            }
            let event = answers(cluster, by, &reply);
            (reply != Outcome::Unknown).then_some((reply, event))
        }
        Passage::Taken { there, again, back } => {
            if let Some(again) = again {
                later(cluster, by, request, there + again);
            }
            pass(there).await;
            let reply = answer_in_time(cluster, by, request).await;
            pass(back?).await;
            reply
        }
    }
}

/// The store carries a request out; one that may wait is carried out again until it brings something or
/// has waited.
async fn answer_in_time(
    cluster: &Arc<Cluster>,
    by: By,
    request: &StoreRequest,
) -> Option<(StoreReply, u64)> {
    let over = Instant::now() + Duration::from(request.patience());
    loop {
        let reply = answer(cluster, by, request).await;
        let waits = matches!(
            &reply,
            Some((Outcome::Done(StoreDone::Fetched(fetched)), _)) if fetched.messages.is_empty()
        );
        if !waits || Instant::now() >= over {
            return reply;
        }
        sleep_until(over.min(Instant::now() + FETCH_AGAIN)).await;
    }
}

/// The store carries a request out after a time, and nobody waits for an answer.
fn later(cluster: &Arc<Cluster>, by: By, request: &StoreRequest, after: Span) {
    let (cluster, request) = (Arc::clone(cluster), request.clone());
    madsim::task::spawn(async move {
        pass(after).await;
        answer(&cluster, by, &request).await;
    });
}

/// Writes that a leader took in and no quorum has yet: those of a stream commit in their order.
#[derive(Default)]
pub(crate) struct Proposals(BTreeMap<String, VecDeque<Proposal>>);

struct Proposal {
    id: ProposalId,
    committed: oneshot::Sender<StoreReply>,
}

impl Proposals {
    /// They never commit.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    fn add(&mut self, stream: &str, id: ProposalId) -> oneshot::Receiver<StoreReply> {
        let (committed, reply) = oneshot::channel();
        let queue = self.0.entry(stream.to_owned()).or_default();
        queue.push_back(Proposal { id, committed });
        reply
    }

    /// The oldest of a stream that its leader still has, and how many before it were lost.
    fn oldest(&mut self, stream: &str, store: &Store) -> (Option<Proposal>, u64) {
        let mut lost = 0;
        while let Some(proposal) = self.0.get_mut(stream).and_then(VecDeque::pop_front) {
            if store.proposal_stream(proposal.id).is_some() {
                return (Some(proposal), lost);
            }
            lost += 1;
        }
        (None, lost)
    }
}

/// The store carries a request out; `None` when what was proposed is lost.
async fn answer(
    cluster: &Arc<Cluster>,
    by: By,
    request: &StoreRequest,
) -> Option<(StoreReply, u64)> {
    if request.writes() {
        let leader = cluster.setting().leader();
        match leader {
            Leader::There => {}
            Leader::Silent => return None,
            Leader::Absent => {
                let reply = Outcome::Refused(Refused::NoResponders);
                let event = answers(cluster, by, &reply);
                return Some((reply, event));
            }
        }
    }
    let wall = cluster.store_wall();
    let proposed = cluster.with_store(|store| {
        if store.next_expiry().is_some_and(|expiry| expiry <= wall) {
            store.expire(wall);
        }
        let stream = request.stream();
        let last = stream.map_or(Sequence::NONE, |stream| store.last(stream));
        let tampered = cluster.setting().tampered(last, request);
        let proposed = tampered.and_then(|request| store.propose(wall, &request));
        match proposed {
            Ok(id) => {
                let stream = store.proposal_stream(id).expect("it was just proposed");
                let reply = lock(&cluster.model().proposals).add(stream, id);
                Ok((stream.to_owned(), reply))
            }
            Err(reply) => {
                let as_of = |up_to| store.answer_as_of(wall, up_to, request);
                let mut setting = cluster.setting();
                setting.writes_down(&Kept(store));
                Err(setting.falsified(last, as_of, (request, reply)))
            }
        }
    });
    let reply = match proposed {
        Err(reply) => reply,
        Ok((stream, reply)) => {
            let wait = cluster.setting().consensus();
            sleep(wait.into()).await;
            commit(cluster, &stream);
            reply.await.ok()?
        }
    };
    let event = answers(cluster, by, &reply);
    Some((reply, event))
}

/// The store answers; where the story tells of it.
fn answers(cluster: &Cluster, by: By, reply: &StoreReply) -> u64 {
    let By { node, ask, event } = by;
    let told = format!("{reply:?}");
    let mut setting = cluster.setting();
    setting.note(3, &[]);
    setting.bytes(told.as_bytes());
    setting.tells((Lane::Store, Kind::Does), event, || {
        format!("store answers n{node} {ask} {told}")
    })
}

/// A quorum has the oldest proposal of a stream.
fn commit(cluster: &Arc<Cluster>, stream: &str) {
    let wall = cluster.store_wall();
    cluster.with_store(|store| {
        let (oldest, lost) = lock(&cluster.model().proposals).oldest(stream, store);
        for _ in 0..lost {
            cluster.setting().proposal_was_lost();
        }
        if let Some(Proposal { id, committed }) = oldest {
            let reply = store.commit(wall, id);
            cluster.setting().writes_down(&Kept(store));
            // Nobody waits when its connection is over.
            let _ = committed.send(reply);
        }
    });
}

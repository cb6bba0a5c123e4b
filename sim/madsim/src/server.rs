//! The store's server: the shell in memory behind an address. Each connection has a link of the
//! shell's own, so who listens where, and who hears that nobody does, is the shell's.

use crate::cluster::{Cluster, Corruption};
use crate::wire::{Down, EarId, Passing, SERVER, Up};
use bytes::Bytes;
use madsim::net::{Endpoint, Receiver, Sender};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tenure_core::driver::Shell as _;
use tenure_core::id::OpId;
use tenure_core::port::{Delivery, Expect, StoreReply, StoreRequest, Subject};
use tenure_core::step::{Outcome, Span};
use tenure_mem::MemShell;
use tenure_sim::stage::{Passage, Reach};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until};

/// How long a connection may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(5);

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
            shell: cluster.store.beside(),
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
                    .store
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
            } => self.frame(op, (to, back), bytes),
            Up::Ping => self.tell(Down::Pong),
        }
    }

    fn tell(&self, down: Down) {
        // The other end of the channel is here.
        let _ = self.downs.send(down);
    }

    fn ask(&self, ask: u64, request: StoreRequest) {
        let cluster = Arc::clone(&self.cluster);
        let passage = cluster.setting().passage(self.node, &request);
        let (node, told) = (self.node, format!("{ask} {request:?} {passage:?}"));
        let mut setting = cluster.setting();
        setting.note(2, &[node as u64, ask]);
        setting.bytes(told.as_bytes());
        setting.tell(node, || format!("n{node} asks {told}"));
        drop(setting);
        let downs = self.downs.clone();
        match passage {
            Passage::Lost => {}
            Passage::Late(after) => {
                madsim::task::spawn(async move {
                    sleep(after.into()).await;
                    answer(&cluster, &request);
                });
            }
            Passage::Refused(refused) => {
                self.tell(Down::Answer(ask, Outcome::Refused(refused)));
            }
            Passage::Taken { there, again, back } => {
                madsim::task::spawn(async move {
                    pass(there).await;
                    let reply = answer(&cluster, &request);
                    if let Some(back) = back {
                        let downs = downs.clone();
                        madsim::task::spawn(async move {
                            pass(back).await;
                            // Nobody waits when the connection is over.
                            let _ = downs.send(Down::Answer(ask, reply));
                        });
                    }
                    if let Some(again) = again {
                        sleep(again.into()).await;
                        answer(&cluster, &request);
                    }
                });
            }
        }
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
        let mut announcements = self.shell.hear(filter);
        let forwards = madsim::task::spawn(async move {
            while let Some(heard) = announcements.recv().await {
                let copies = cluster.setting().announcement(node);
                for after in copies {
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

    fn frame(&self, op: OpId, (to, back): (Subject, Subject), bytes: Bytes) {
        let copies = self.cluster.setting().frame(self.node);
        let passing = Passing {
            from: self.node,
            op,
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
            let server = self.cluster.store.clone();
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
    let reach = cluster.setting().reach(passing.from, node);
    match reach {
        Reach::Through => Some(Delivery::Frame(passing.bytes)),
        Reach::Silent => None,
        Reach::Denied => {
            // Whoever listens at `back` hears that nobody does at this address.
            let (nowhere, back) = (NOWHERE.into(), passing.back);
            let _ = cluster
                .store
                .send(passing.op, &nowhere, &back, Bytes::new());
            None
        }
    }
}

/// The store carries a request out.
fn answer(cluster: &Cluster, request: &StoreRequest) -> StoreReply {
    let reply = match cluster.corruption {
        None => cluster.store.answer(request),
        Some(Corruption::Unchecked) => cluster.store.answer(&unchecked(request.clone())),
    };
    let reply = reply.expect("the shell in memory answers at once");
    let told = format!("{reply:?}");
    let mut setting = cluster.setting();
    setting.note(3, &[]);
    setting.bytes(told.as_bytes());
    reply
}

/// The request without what it expects: a store that does not look.
fn unchecked(mut request: StoreRequest) -> StoreRequest {
    match &mut request {
        StoreRequest::Publish(publish) => publish.expect = Expect::Nothing,
        StoreRequest::Batch { messages, .. } => {
            for publish in messages {
                publish.expect = Expect::Nothing;
            }
        }
        StoreRequest::Latest { .. }
        | StoreRequest::Get { .. }
        | StoreRequest::Scan { .. }
        | StoreRequest::CreateStream(_)
        | StoreRequest::StreamInfo { .. }
        | StoreRequest::Capabilities => {}
    }
    request
}

//! A node's link to the store's server, as a client keeps one: it connects again when it breaks, asks
//! whether the other end lives, and tells its node.

use super::shell::NodeShell;
use super::wire::{AskId, Down, EarId, SERVER, Up};
use crate::cluster::lock;
use bytes::Bytes;
use madsim::net::{self, Endpoint, Sender};
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;
use tenure_core::driver::{Completion, DELIVERIES_MAX, Ear, Inbound, LinkNumber};
use tenure_core::id::OpId;
use tenure_core::port::{
    Capabilities, Delivery, Refused, SendRefused, StoreReply, StoreRequest, Subject,
};
use tenure_core::step::Outcome;
use tenure_sim::{Kind, Lane};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

/// How often the other end is asked whether it lives.
const PING_EVERY: Duration = Duration::from_millis(1_000);

/// How long it may be silent.
const SILENCE_MAX: Duration = Duration::from_millis(2_500);

/// How long until the next attempt to connect.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// A node's link, and who waits at it.
#[derive(Default)]
pub(crate) struct Link {
    /// To the server, while there is a connection.
    up: Option<mpsc::UnboundedSender<Up>>,
    /// What the server is, while it is welcome there.
    server: Option<Capabilities>,
    /// How often it was.
    welcomes: u64,
    asks: BTreeMap<AskId, Completion>,
    ears: BTreeMap<EarId, Receiver>,
    inboxes: Vec<mpsc::Sender<Inbound>>,
    names: u64,
}

enum Receiver {
    Listens(Subject, mpsc::Sender<Delivery>),
    Hears(Subject, Ear),
}

impl Receiver {
    fn told(&self, ear: EarId) -> Up {
        match self {
            Self::Listens(at, _) => Up::Listen(ear, at.clone()),
            Self::Hears(filter, _) => Up::Hear(ear, filter.clone()),
        }
    }
}

/// An answer, and who waits for it.
struct Told {
    ask: AskId,
    done: Completion,
    reply: StoreReply,
    /// Where the story tells of it.
    event: u64,
}

impl Link {
    fn name(&mut self) -> u64 {
        self.names += 1;
        self.names
    }

    /// Tells the server, when there is one.
    fn tell(&self, up: Up) {
        if let Some(to) = &self.up {
            // A connection that ended takes nothing.
            let _ = to.send(up);
        }
    }

    fn number(&self) -> LinkNumber {
        LinkNumber(self.welcomes)
    }

    /// Asks the store; `None` when the answer is told already.
    pub(crate) fn ask(
        &mut self,
        request: StoreRequest,
        during: Option<LinkNumber>,
        done: Completion,
    ) -> Option<AskId> {
        let is_meant = during.is_none_or(|during| during == self.number());
        if self.server.is_none() || !is_meant {
            done.tell(Outcome::Refused(Refused::NotConnected));
            return None;
        }
        let ask = self.name();
        self.asks.insert(ask, done);
        self.tell(Up::Ask(ask, request));
        Some(ask)
    }

    /// Nobody waits for an answer any more.
    pub(crate) fn give_up(&mut self, ask: AskId) -> Option<Completion> {
        self.asks.remove(&ask)
    }

    pub(crate) fn inbox(&mut self) -> mpsc::Receiver<Inbound> {
        let (to, inbox) = mpsc::channel(256);
        let news = match &self.server {
            Some(server) => Inbound::Connected(server.clone(), self.number()),
            None => Inbound::Disconnected,
        };
        // The channel is empty, and its receiver is here.
        let _ = to.try_send(news);
        self.inboxes.push(to);
        inbox
    }

    pub(crate) fn frame(
        &mut self,
        op: OpId,
        (to, back): (&Subject, &Subject),
        bytes: Bytes,
        event: u64,
    ) -> Result<(), SendRefused> {
        self.may_send(bytes.len())?;
        let (to, back) = (to.clone(), back.clone());
        self.tell(Up::Frame {
            op,
            to,
            back,
            bytes,
            event,
        });
        Ok(())
    }

    pub(crate) fn listen(
        &mut self,
        at: Subject,
    ) -> (EarId, mpsc::Sender<Delivery>, mpsc::Receiver<Delivery>) {
        let (to, listening) = mpsc::channel(DELIVERIES_MAX);
        let ear = self.new_ear(Receiver::Listens(at, to.clone()));
        (ear, to, listening)
    }

    pub(crate) fn overhear(&mut self, filter: Subject, ear: Ear) -> EarId {
        self.new_ear(Receiver::Hears(filter, ear))
    }

    pub(crate) fn cast(&mut self, to: &Subject, payload: Bytes) -> Result<(), SendRefused> {
        self.may_send(payload.len())?;
        self.tell(Up::Cast(to.clone(), payload));
        Ok(())
    }

    /// Whether so many bytes may be handed to the network now.
    fn may_send(&self, bytes: usize) -> Result<(), SendRefused> {
        let Some(server) = &self.server else {
            return Err(SendRefused::NotConnected);
        };
        let bytes_max = server.payload_bytes_max;
        match bytes > bytes_max {
            true => Err(SendRefused::TooLarge { bytes, bytes_max }),
            false => Ok(()),
        }
    }

    fn new_ear(&mut self, ear: Receiver) -> EarId {
        let name = self.name();
        self.tell(ear.told(name));
        self.ears.insert(name, ear);
        name
    }

    /// Nobody listens or hears there any more.
    pub(crate) fn deaf(&mut self, ear: EarId) {
        if self.ears.remove(&ear).is_some() {
            self.tell(Up::Deaf(ear));
        }
    }

    fn news(&mut self, news: &Inbound) {
        self.inboxes.retain(|inbox| !inbox.is_closed());
        for inbox in &self.inboxes {
            // Whoever takes nothing for so long finds the link's present state in the next news.
            let _ = inbox.try_send(news.clone());
        }
    }

    /// A connection begins: who listens does so again.
    fn begins(&mut self, node: usize) -> mpsc::UnboundedReceiver<Up> {
        let (up, ups) = mpsc::unbounded_channel();
        self.up = Some(up);
        self.tell(Up::Hello(node));
        for (name, ear) in &self.ears {
            self.tell(ear.told(*name));
        }
        self.tell(Up::Ready);
        ups
    }

    /// The connection is over: what was asked on it nobody knows. Gives who has to hear that.
    fn ends(&mut self) -> BTreeMap<AskId, Completion> {
        self.up = None;
        if self.server.take().is_some() {
            self.news(&Inbound::Disconnected);
        }
        std::mem::take(&mut self.asks)
    }

    /// Takes in what the server tells.
    fn takes(&mut self, down: Down) -> Option<Told> {
        match down {
            Down::Welcome(server) => {
                self.server = Some(server.clone());
                self.welcomes += 1;
                for ear in self.ears.values() {
                    if let Receiver::Hears(_, to) = ear {
                        to.missed();
                    }
                }
                self.news(&Inbound::Connected(server, self.number()));
            }
            Down::Answer(ask, reply, event) => {
                let done = self.asks.remove(&ask)?;
                return Some(Told {
                    ask,
                    done,
                    reply,
                    event,
                });
            }
            Down::Delivered(ear, delivery) => {
                if let Some(Receiver::Listens(_, to)) = self.ears.get(&ear) {
                    // One that is full loses it.
                    let _ = to.try_send(delivery);
                }
            }
            Down::Heard(ear, heard) => {
                if let Some(Receiver::Hears(_, to)) = self.ears.get(&ear) {
                    // One that is full loses it.
                    to.take(heard);
                }
            }
            Down::Pong => {}
        }
        None
    }
}

/// Keeps a node's link up, unless it is `held` down; ends with the node.
pub(crate) async fn keep(shell: NodeShell, mut held: watch::Receiver<u64>) {
    loop {
        let until = *held.borrow_and_update();
        let now = shell.cluster.now();
        if until > now {
            sleep(Duration::from_nanos(until - now)).await;
            continue;
        }
        if let Ok((to, from)) = connect().await {
            let ups = lock(&shell.link).begins(shell.node);
            let ended = connection(&shell, (to, from), ups, &mut held).await;
            let (node, why) = (shell.node, ended.to_string());
            shell
                .cluster
                .setting()
                .tell(node, || format!("n{node} loses its link: {why}"));
            let unknown = lock(&shell.link).ends();
            // Each tells that nobody knows.
            drop(unknown);
        }
        sleep(AGAIN_AFTER).await;
    }
}

async fn connect() -> io::Result<(Sender, net::Receiver)> {
    let endpoint = Endpoint::bind("0.0.0.0:0").await?;
    let server = SERVER.parse().expect("an address");
    endpoint.connect1(server).await
}

/// Carries what both ends tell each other until the link breaks; why it did.
async fn connection(
    shell: &NodeShell,
    (to, mut from): (Sender, net::Receiver),
    mut ups: mpsc::UnboundedReceiver<Up>,
    held: &mut watch::Receiver<u64>,
) -> io::Error {
    let mut heard_at = Instant::now();
    let mut ping_at = heard_at + PING_EVERY;
    loop {
        let up = tokio::select! {
            biased;
            _ = held.changed() => return io::Error::other("it is cut"),
            up = ups.recv() => match up {
                Some(up) => up,
                None => return io::Error::other("its node ended"),
            },
            down = from.recv() => {
                let down = match down {
                    Ok(down) => down.downcast::<Down>().expect("what a server tells"),
                    Err(error) => return error,
                };
                heard_at = Instant::now();
                let told = lock(&shell.link).takes(*down);
                if let Some(Told { ask, done, reply, event }) = told {
                    let node = shell.node;
                    let hears = (Lane::Node(node), Kind::Takes);
                    let mut setting = shell.cluster.setting();
                    setting.tells(hears, event, || format!("n{node} hears {ask}"));
                    drop(setting);
                    done.tell(reply);
                }
                continue;
            }
            () = sleep_until(ping_at) => {
                let now = Instant::now();
                if now.duration_since(heard_at) > SILENCE_MAX {
                    return io::Error::other("the server is silent");
                }
                ping_at = now + PING_EVERY;
                Up::Ping
            }
        };
        if let Err(error) = to.send(Box::new(up)).await {
            return error;
        }
    }
}

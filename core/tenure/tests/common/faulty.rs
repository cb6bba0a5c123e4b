//! A world in memory whose store can be made to misbehave.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tenure::{Bytes, MemShell};
use tenure_core::driver::{Ear, Inbound, LinkNumber, Shell, TaskHandle};
use tenure_core::id::{OpId, WallTime};
use tenure_core::port::{
    Capabilities, Delivery, Refused, SendRefused, StoreReply, StoreRequest, Subject,
};
use tenure_core::step::{Outcome, Span, Time};
use tokio::sync::{mpsc, watch};

/// What is done to a request; `None` lets it through.
pub type Fault = Box<dyn FnMut(&StoreRequest) -> Option<Fate> + Send>;

/// What becomes of a request.
pub enum Fate {
    /// It is answered with this, and never reaches the store.
    Answer(StoreReply),
    /// It reaches the store, but its answer is this.
    Instead(StoreReply),
    /// It gets no answer.
    Silence,
    /// It waits on its way until this says so.
    Held(watch::Receiver<bool>),
    /// It is lost, and its sender gives up when this says so.
    Lost(watch::Receiver<bool>),
}

/// A shell in memory with a fault.
#[derive(Clone)]
pub struct FaultyShell {
    mem: MemShell,
    fault: Arc<Mutex<Fault>>,
    inboxes: Arc<Mutex<Vec<mpsc::Sender<Inbound>>>>,
    /// How many links there were.
    links: Arc<AtomicU64>,
    /// The only link over which requests go, if one is named.
    during: Option<LinkNumber>,
    /// By how much its clock is ahead of the one in memory, in nanoseconds.
    ahead: Arc<AtomicU64>,
    /// The largest message that its server says it takes, if not the usual one.
    payload_bytes_max: Option<usize>,
}

impl FaultyShell {
    pub fn new() -> Self {
        Self {
            mem: MemShell::fresh(),
            fault: Arc::new(Mutex::new(Box::new(|_| None))),
            inboxes: Arc::default(),
            links: Arc::new(AtomicU64::new(1)),
            during: None,
            ahead: Arc::default(),
            payload_bytes_max: None,
        }
    }

    /// One whose server says that it takes messages of so many bytes.
    pub fn taking(payload_bytes_max: usize) -> Self {
        Self {
            payload_bytes_max: Some(payload_bytes_max),
            ..Self::new()
        }
    }

    /// What its clock is ahead by, in nanoseconds: whoever raises it seems to have taken so long.
    pub fn ahead(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.ahead)
    }

    /// The same store, without a fault.
    pub fn healthy(&self) -> MemShell {
        self.mem.clone()
    }

    /// The connection goes.
    pub fn disconnect(&self) {
        self.tell(&Inbound::Disconnected);
    }

    /// The connection is there again.
    pub fn connect(&self) {
        self.links.fetch_add(1, Ordering::Relaxed);
        self.tell(&self.connected());
    }

    fn connected(&self) -> Inbound {
        let capabilities = self
            .mem
            .with_store(|store| store.config().capabilities.clone());
        let usual = capabilities.payload_bytes_max;
        let payload_bytes_max = self.payload_bytes_max.unwrap_or(usual);
        let capabilities = Capabilities {
            payload_bytes_max,
            ..capabilities
        };
        Inbound::Connected(capabilities, self.link())
    }

    fn link(&self) -> LinkNumber {
        LinkNumber(self.links.load(Ordering::Relaxed))
    }

    fn tell(&self, inbound: &Inbound) {
        let mut inboxes = self.inboxes.lock().unwrap_or_else(PoisonError::into_inner);
        // Nodes that ended listen no more.
        inboxes.retain(|inbox| !inbox.is_closed());
        for inbox in inboxes.iter() {
            inbox.try_send(inbound.clone()).expect("room in the inbox");
        }
    }

    /// From now on requests go through this.
    pub fn set(&self, fault: impl FnMut(&StoreRequest) -> Option<Fate> + Send + 'static) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(fault);
    }
}

impl Shell for FaultyShell {
    fn now(&self) -> Time {
        self.mem.now() + Span::from_nanos(self.ahead.load(Ordering::Relaxed))
    }

    fn wall(&self) -> WallTime {
        self.mem.wall()
    }

    fn seed(&self) -> u128 {
        self.mem.seed()
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send {
        let ahead = self.ahead.load(Ordering::Relaxed);
        let at = Time::from_nanos(at.as_nanos().saturating_sub(ahead));
        self.mem.sleep_until(at)
    }

    fn during(&self, link: LinkNumber) -> Self {
        Self {
            during: Some(link),
            ..self.clone()
        }
    }

    async fn store(&self, request: StoreRequest) -> StoreReply {
        if self.during.is_some_and(|during| during != self.link()) {
            return Outcome::Refused(Refused::NotConnected);
        }
        let fate = {
            let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
            fault(&request)
        };
        match fate {
            None => self.mem.store(request).await,
            Some(Fate::Answer(reply)) => reply,
            Some(Fate::Instead(reply)) => {
                self.mem.store(request).await;
                reply
            }
            Some(Fate::Silence) => std::future::pending().await,
            Some(Fate::Held(mut until)) => {
                // A sender that is gone says so too.
                let _ = until.wait_for(|released| *released).await;
                self.mem.store(request).await
            }
            Some(Fate::Lost(mut until)) => {
                let _ = until.wait_for(|released| *released).await;
                Outcome::Unknown
            }
        }
    }

    fn inbox(&self) -> mpsc::Receiver<Inbound> {
        let (sender, receiver) = mpsc::channel(16);
        let mut inboxes = self.inboxes.lock().unwrap_or_else(PoisonError::into_inner);
        // The channel is empty, and its receiver is here.
        let _ = sender.try_send(self.connected());
        inboxes.push(sender);
        receiver
    }

    fn send(
        &self,
        op: OpId,
        to: &Subject,
        from: &Subject,
        frame: Bytes,
    ) -> Result<(), SendRefused> {
        self.mem.send(op, to, from, frame)
    }

    fn listen(&self, at: Subject) -> mpsc::Receiver<Delivery> {
        self.mem.listen(at)
    }

    fn overhear(&self, filter: Subject, ear: Ear) {
        self.mem.overhear(filter, ear);
    }

    fn cast(&self, to: &Subject, payload: Bytes) -> Result<(), SendRefused> {
        self.mem.cast(to, payload)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> TaskHandle {
        self.mem.spawn(task)
    }
}

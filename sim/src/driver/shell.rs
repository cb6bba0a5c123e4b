//! The shell of a simulated node: its clock, its way to the store, its network, its tasks.

use super::world::{Home, Timer, World};
use crate::draw::What;
use bytes::Bytes;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tenure_core::driver::{
    Completion, Ear, Inbound, Launch, Launching, LinkNumber, Shell, TaskHandle,
};
use tenure_core::id::{OpId, WallTime};
use tenure_core::port::{Delivery, SendRefused, StoreReply, StoreRequest, Subject};
use tenure_core::step::{Span, Time};
use tokio::sync::mpsc;

/// The shell of one life of a simulated node. With the life's end it is a shell to nowhere.
#[derive(Clone)]
pub struct SimShell {
    pub(super) world: Arc<World>,
    pub(super) home: Home,
    /// Whether requests to the store are taken without a future, as real shells may.
    submits: bool,
    store_timeout: Span,
    /// The only link over which requests go, if one is named.
    during: Option<LinkNumber>,
}

impl SimShell {
    pub(super) fn new(world: Arc<World>, home: Home, submits: bool, store_timeout: Span) -> Self {
        Self {
            world,
            home,
            submits,
            store_timeout,
            during: None,
        }
    }

    fn ask(&self, request: StoreRequest, done: Completion) {
        let way = (self.home, self.during);
        self.world
            .state()
            .request(way, self.store_timeout, request, done);
    }
}

impl fmt::Debug for SimShell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimShell")
            .field("home", &self.home)
            .finish_non_exhaustive()
    }
}

impl Shell for SimShell {
    fn now(&self) -> Time {
        let state = self.world.state();
        state.clock(self.home).at(state.now)
    }

    fn wall(&self) -> WallTime {
        self.world.state().wall(self.home)
    }

    fn seed(&self) -> u128 {
        let row = self.home.node as u64;
        self.world.state().draws.bits(What::NodeKey, row)
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send {
        Sleep::new(&self.world, self.home, at)
    }

    fn during(&self, link: LinkNumber) -> Self {
        Self {
            during: Some(link),
            ..self.clone()
        }
    }

    async fn store(&self, request: StoreRequest) -> StoreReply {
        let (done, answer) = Completion::alone();
        self.ask(request, done);
        answer.await
    }

    fn submit(
        &self,
        request: StoreRequest,
        done: Completion,
    ) -> Result<(), (StoreRequest, Completion)> {
        if !self.submits {
            return Err((request, done));
        }
        self.ask(request, done);
        Ok(())
    }

    fn inbox(&self) -> mpsc::Receiver<Inbound> {
        self.world.state().inbox(self.home)
    }

    fn send(
        &self,
        op: OpId,
        to: &Subject,
        from: &Subject,
        frame: Bytes,
    ) -> Result<(), SendRefused> {
        self.world.state().frame(self.home, op, (to, from), frame)
    }

    fn listen(&self, at: Subject) -> mpsc::Receiver<Delivery> {
        self.world.state().listen(self.home, at)
    }

    fn overhear(&self, filter: Subject, ear: Ear) {
        self.world.state().overhear(self.home, filter, ear);
    }

    fn cast(&self, to: &Subject, payload: Bytes) -> Result<(), SendRefused> {
        self.world.state().cast(self.home, to, payload)
    }

    fn launch(self, launch: Launch) -> Launching {
        launch.on(self)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> TaskHandle {
        let id = self.world.state().spawn(self.home, Box::pin(task));
        let world = Arc::downgrade(&self.world);
        TaskHandle::new(move || {
            if let Some(world) = world.upgrade() {
                world.state().abort(id);
            }
        })
    }
}

/// Ends when a clock shows a time.
pub(super) struct Sleep {
    world: Arc<World>,
    home: Home,
    at: Time,
    key: Option<u64>,
}

impl Sleep {
    pub(super) fn new(world: &Arc<World>, home: Home, at: Time) -> Self {
        Self {
            world: Arc::clone(world),
            home,
            at,
            key: None,
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut state = this.world.state();
        let now = state.now;
        if state.clock(this.home).at(now) >= this.at {
            return Poll::Ready(());
        }
        // One that belongs to a life that ended goes by the tester's clock.
        let home = match state.lives(this.home) {
            true => this.home,
            false => Home::TESTER,
        };
        let key = *this.key.get_or_insert_with(|| state.network.next_key());
        let cause = match home {
            Home::TESTER => state.trace.event(),
            Home { .. } => 0,
        };
        let node = state.node_mut(home).expect("a home that lives");
        let waker = cx.waker().clone();
        let old = node.timers.insert((this.at, key), Timer { waker, cause });
        drop(state);
        drop(old);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        let mut state = self.world.state();
        let of_home = state
            .node_mut(self.home)
            .and_then(|node| node.timers.remove(&(self.at, key)));
        let of_tester = state.tester.timers.remove(&(self.at, key));
        drop(state);
        drop((of_home, of_tester));
    }
}

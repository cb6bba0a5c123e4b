//! The shell in memory: the model store behind a lock, with tokio's clock and tasks.

use crate::net::{LinkId, Network};
use crate::store::{Store, StoreConfig};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};
use tenure_core::driver::{Ear, Inbound, Launch, Launching, LinkNumber, Shell, TaskHandle};
use tenure_core::id::{OpId, Sequence, WallTime};
use tenure_core::port::{
    Delivery, Heard, Refused, SendRefused, StoreDone, StoreReply, StoreRequest, Subject,
};
use tenure_core::step::{Outcome, Span, Time};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

/// The worlds that have a name: the only state of this crate that a process shares.
static NAMED: Mutex<BTreeMap<String, Arc<World>>> = Mutex::new(BTreeMap::new());

/// A world in memory: nothing to install, nothing that outlives the process.
///
/// It runs in any tokio runtime that has time enabled. Clones share the store and the link to it,
/// as those of a connection do; a shell [beside](Self::beside) it, or another of the same name, has
/// a link of its own. A frame that finds no room at a listener is refused to its sender
/// (`SendRefused::Full`): none is lost.
///
/// ```
/// use tenure_core::api::{StartOptions, start_with};
/// use tenure_mem::MemShell;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let tenure = start_with(MemShell::fresh(), StartOptions::new("bank")).await?;
/// tenure.stop().await;
/// # Ok::<_, Box<dyn std::error::Error>>(()) })?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MemShell {
    link: Arc<Link>,
    /// The only link over which requests go, if one is named.
    during: Option<LinkNumber>,
    boot: Instant,
}

/// What the shells of one store share. When both locks are held, the store's was taken first.
struct World {
    store: Mutex<Store>,
    network: Mutex<Network>,
    /// As the store's configuration says, to be read without its lock.
    payload_bytes_max: AtomicUsize,
    /// Tells fetches that wait that something was stored.
    stored: Notify,
    /// How many wait.
    fetches: AtomicUsize,
}

/// One shell with its clones, as a connection is to a server. It ends with the last of them.
struct Link {
    world: Arc<World>,
    id: LinkId,
    state: watch::Sender<LinkState>,
}

/// Whether a link is up, and how often it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LinkState {
    up: bool,
    number: LinkNumber,
}

impl World {
    fn new(store: Store) -> Arc<Self> {
        let payload_bytes_max = store.config().capabilities.payload_bytes_max;
        Arc::new(Self {
            store: Mutex::new(store),
            network: Mutex::default(),
            payload_bytes_max: AtomicUsize::new(payload_bytes_max),
            stored: Notify::new(),
            fetches: AtomicUsize::new(0),
        })
    }

    /// Lets fetches that wait look again. Who began to wait before the store was changed is counted
    /// by then, as each looks at the store under its lock after it is counted.
    fn look_again(&self) {
        if self.fetches.load(Ordering::Relaxed) > 0 {
            self.stored.notify_waiters();
        }
    }

    /// Looks at the store or changes it; what it announces is heard in the order in which it was
    /// stored.
    fn with_store<T>(&self, look: impl FnOnce(&mut Store) -> T) -> T {
        let mut store = lock(&self.store);
        let seen = look(&mut store);
        let announcements = store.take_announcements();
        if !announcements.is_empty() {
            lock(&self.network).announce(announcements);
        }
        seen
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        lock(&self.world.network).leave(self.id);
    }
}

impl MemShell {
    /// A shell on an empty store of its own.
    pub fn fresh() -> Self {
        Self::on(Store::new(StoreConfig::default()))
    }

    /// A shell on the store of that name, shared by all of them in this process. It is made empty
    /// at first use and lives as long as the process, or until it is [forgotten](Self::forget).
    pub fn named(name: &str) -> Self {
        let world = Arc::clone(
            lock(&NAMED)
                .entry(name.to_owned())
                .or_insert_with(|| World::new(Store::new(StoreConfig::default()))),
        );
        Self::link(world)
    }

    /// Lets go of the store of that name. Shells that are on it stay on it; the next one of the
    /// name begins with an empty store.
    pub fn forget(name: &str) {
        lock(&NAMED).remove(name);
    }

    /// A shell on a store that was made before.
    pub fn on(store: Store) -> Self {
        Self::link(World::new(store))
    }

    /// Another shell on the same store, with a link and a clock of its own, as another process has.
    ///
    /// ```
    /// use tenure_mem::MemShell;
    ///
    /// let one = MemShell::fresh();
    /// let other = one.beside();
    /// other.cut(true);
    /// assert!(one.is_up() && !other.is_up());
    /// ```
    #[must_use]
    pub fn beside(&self) -> Self {
        Self::link(Arc::clone(&self.link.world))
    }

    fn link(world: Arc<World>) -> Self {
        let id = lock(&world.network).join();
        let state = watch::Sender::new(LinkState {
            up: true,
            number: LinkNumber(1),
        });
        Self {
            link: Arc::new(Link { world, id, state }),
            during: None,
            boot: Instant::now(),
        }
    }

    /// Cuts this shell and its clones off, or ends that: requests and frames are refused, what it
    /// listens to hears nothing, others are told that nobody listens there, and its inbox tells it.
    pub fn cut(&self, cut: bool) {
        let Link { world, id, state } = &*self.link;
        lock(&world.network).cut(*id, cut);
        state.send_if_modified(|state| {
            state.number.0 += u64::from(!cut && !state.up);
            std::mem::replace(&mut state.up, !cut) == cut
        });
    }

    /// Whether the link is up: it is not [cut](Self::cut).
    pub fn is_up(&self) -> bool {
        self.link.state.borrow().up
    }

    /// Whether requests may go: the link is up, and the one that was named if one was.
    fn may_ask(&self) -> bool {
        let LinkState { up, number } = *self.link.state.borrow();
        up && self.during.is_none_or(|during| during == number)
    }

    /// Whether so many bytes may be handed to the network now.
    fn may_send(&self, bytes: usize) -> Result<(), SendRefused> {
        if !self.is_up() {
            return Err(SendRefused::NotConnected);
        }
        let world = &self.link.world;
        let bytes_max = world.payload_bytes_max.load(Ordering::Relaxed);
        match bytes > bytes_max {
            true => Err(SendRefused::TooLarge { bytes, bytes_max }),
            false => Ok(()),
        }
    }

    fn ask(&self, request: &StoreRequest) -> StoreReply {
        if !self.may_ask() {
            return Outcome::Refused(Refused::NotConnected);
        }
        let at = self.wall();
        let mut changes = request.writes();
        let reply = self.link.world.with_store(|store| {
            if store.next_expiry().is_some_and(|expiry| expiry <= at) {
                // It may leave markers.
                changes |= store.expire(at) > 0;
            }
            store.apply(at, request)
        });
        if changes {
            self.link.world.look_again();
        }
        reply
    }

    /// Answers a fetch when there is something, or when it has waited. One whose link is cut meanwhile
    /// does not know what would have come.
    async fn fetch(&self, request: &StoreRequest) -> StoreReply {
        let world = &self.link.world;
        let mut state = self.link.state.subscribe();
        let now = *state.borrow_and_update();
        let cut = async move {
            // The link is here, so it ends with a cut.
            let _ = state.wait_for(|state| *state != now || !now.up).await;
        };
        let over = tokio::time::sleep(request.patience().into());
        let (mut cut, mut over) = (pin!(cut), pin!(over));
        let _counted = Counted::new(&world.fetches);
        loop {
            let mut stored = pin!(world.stored.notified());
            stored.as_mut().enable();
            let reply = self.ask(request);
            if !brought_nothing(&reply) {
                return reply;
            }
            tokio::select! {
                biased;
                () = &mut cut => return Outcome::Unknown,
                () = &mut over => return reply,
                () = stored => {}
            }
        }
    }

    /// Looks at the store, or damages it, as tests do.
    pub fn with_store<T>(&self, look: impl FnOnce(&mut Store) -> T) -> T {
        let world = &self.link.world;
        let seen = world.with_store(|store| {
            let seen = look(store);
            let payload_bytes_max = store.config().capabilities.payload_bytes_max;
            world
                .payload_bytes_max
                .store(payload_bytes_max, Ordering::Relaxed);
            seen
        });
        world.look_again();
        seen
    }
}

/// One of those that wait, for as long as it does.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether it is the answer to a fetch for which there was nothing.
fn brought_nothing(reply: &StoreReply) -> bool {
    matches!(reply, Outcome::Done(StoreDone::Fetched(fetched)) if fetched.messages.is_empty())
}

/// Tells each change of a link until nobody takes it or the link ends. Who is slow hears of fewer
/// changes, and never of two without the other between them.
async fn tell_changes(
    link: Weak<Link>,
    mut changes: watch::Receiver<LinkState>,
    mut told: LinkState,
    to: mpsc::Sender<Inbound>,
) {
    loop {
        tokio::select! {
            biased;
            () = to.closed() => return,
            changed = changes.changed() => if changed.is_err() { return },
        }
        let now = *changes.borrow_and_update();
        // It was cut and is whole again since it was looked at last, or changed once.
        let cut = LinkState { up: false, ..told };
        let news = match (told.up, now.up) {
            (true, true) => &[cut, now][..],
            (true, false) | (false, true) => &[now][..],
            (false, false) => &[][..],
        };
        for state in news {
            let Some(link) = link.upgrade() else { return };
            let inbound = inbound(&link, *state);
            drop(link);
            if to.send(inbound).await.is_err() {
                return;
            }
        }
        told = now;
    }
}

fn inbound(link: &Link, state: LinkState) -> Inbound {
    if state.up {
        let capabilities = lock(&link.world.store).config().capabilities.clone();
        Inbound::Connected(capabilities, state.number)
    } else {
        Inbound::Disconnected
    }
}

impl fmt::Debug for MemShell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemShell").finish_non_exhaustive()
    }
}

impl Shell for MemShell {
    fn now(&self) -> Time {
        Time::ZERO + Span::from(self.boot.elapsed())
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "a shell is where the wall clock is read"
    )]
    fn wall(&self) -> WallTime {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        WallTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn seed(&self) -> u128 {
        // Each `RandomState` hashes under a key from the operating system.
        let half = || u128::from(RandomState::new().build_hasher().finish());
        half() << 64 | half()
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send {
        tokio::time::sleep_until(self.boot + at.since(Time::ZERO).into())
    }

    fn during(&self, link: LinkNumber) -> Self {
        Self {
            during: Some(link),
            ..self.clone()
        }
    }

    async fn store(&self, request: StoreRequest) -> StoreReply {
        match request.patience() {
            Span::ZERO => self.ask(&request),
            _ => self.fetch(&request).await,
        }
    }

    fn answer(&self, request: &StoreRequest) -> Option<StoreReply> {
        let reply = self.ask(request);
        let waits = request.patience() > Span::ZERO && brought_nothing(&reply);
        (!waits).then_some(reply)
    }

    fn inbox(&self) -> mpsc::Receiver<Inbound> {
        let (sender, receiver) = mpsc::channel(16);
        let changes = self.link.state.subscribe();
        let state = *changes.borrow();
        // The channel is empty, and its receiver is here.
        let _ = sender.try_send(inbound(&self.link, state));
        tokio::spawn(tell_changes(
            Arc::downgrade(&self.link),
            changes,
            state,
            sender,
        ));
        receiver
    }

    fn send(
        &self,
        op: OpId,
        to: &Subject,
        from: &Subject,
        frame: Bytes,
    ) -> Result<(), SendRefused> {
        self.may_send(frame.len())?;
        lock(&self.link.world.network).send(op, (to, from), &frame)
    }

    fn listen(&self, at: Subject) -> mpsc::Receiver<Delivery> {
        lock(&self.link.world.network).listen(self.link.id, at)
    }

    fn overhear(&self, filter: Subject, ear: Ear) {
        lock(&self.link.world.network).overhear(self.link.id, filter, ear);
    }

    fn cast(&self, to: &Subject, payload: Bytes) -> Result<(), SendRefused> {
        self.may_send(payload.len())?;
        lock(&self.link.world.network).heard(&Heard {
            subject: to.clone(),
            sequence: Sequence::NONE,
            payload,
        });
        Ok(())
    }

    /// Announcements and answers "nobody listens" that this shell was not told, because what it was told
    /// before waited to be taken in.
    fn lost(&self) -> u64 {
        lock(&self.link.world.network).lost(self.link.id)
    }

    fn launch(self, launch: Launch) -> Launching {
        launch.on(self)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> TaskHandle {
        let task = tokio::spawn(task).abort_handle();
        TaskHandle::new(move || task.abort())
    }
}

/// The model is a pure machine: a panic of another thread leaves nothing half done that its
/// asserts would not find again.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

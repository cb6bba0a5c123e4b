//! The shell in memory: the model store behind a lock, with tokio's clock and tasks.

use crate::store::{Store, StoreConfig};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tenure_core::driver::{Completion, Inbound, Shell, TaskHandle};
use tenure_core::id::WallTime;
use tenure_core::port::{StoreReply, StoreRequest};
use tenure_core::step::{Span, Time};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// The stores that have a name: the only state of this crate that a process shares.
static NAMED: Mutex<BTreeMap<String, Arc<Mutex<Store>>>> = Mutex::new(BTreeMap::new());

/// A world in memory: nothing to install, nothing that outlives the process.
///
/// It runs in any tokio runtime that has time enabled. Clones share the store.
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
    store: Arc<Mutex<Store>>,
    boot: Instant,
}

impl MemShell {
    /// A shell on an empty store of its own.
    pub fn fresh() -> Self {
        Self::on(Store::new(StoreConfig::default()))
    }

    /// A shell on the store of that name, shared by all of them in this process. It is made empty
    /// at first use and lives as long as the process, or until it is [forgotten](Self::forget).
    pub fn named(name: &str) -> Self {
        let store = Arc::clone(
            lock(&NAMED)
                .entry(name.to_owned())
                .or_insert_with(|| Arc::new(Mutex::new(Store::new(StoreConfig::default())))),
        );
        Self {
            store,
            boot: Instant::now(),
        }
    }

    /// Lets go of the store of that name. Shells that are on it stay on it; the next one of the
    /// name begins with an empty store.
    pub fn forget(name: &str) {
        lock(&NAMED).remove(name);
    }

    /// A shell on a store that was made before.
    pub fn on(store: Store) -> Self {
        Self {
            store: Arc::new(Mutex::new(store)),
            boot: Instant::now(),
        }
    }

    fn answer(&self, request: &StoreRequest) -> StoreReply {
        let at = self.wall();
        let mut store = lock(&self.store);
        if store.next_expiry().is_some_and(|expiry| expiry <= at) {
            store.expire(at);
        }
        let reply = store.apply(at, request);
        // Nobody listens for announcements here.
        drop(store.take_announcements());
        reply
    }

    /// Looks at the store, or damages it, as tests do.
    pub fn with_store<T>(&self, look: impl FnOnce(&mut Store) -> T) -> T {
        look(&mut lock(&self.store))
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

    async fn store(&self, request: StoreRequest) -> StoreReply {
        self.answer(&request)
    }

    fn submit(
        &self,
        request: StoreRequest,
        done: Completion,
    ) -> Result<(), (StoreRequest, Completion)> {
        done.tell(self.answer(&request));
        Ok(())
    }

    fn inbox(&self) -> mpsc::Receiver<Inbound> {
        let (sender, receiver) = mpsc::channel(1);
        let capabilities = lock(&self.store).config().capabilities.clone();
        // The channel is empty, and its receiver is here.
        let _ = sender.try_send(Inbound::Connected(capabilities));
        receiver
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

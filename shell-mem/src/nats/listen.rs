//! The front on tokio's TCP: a thin shell, which reads, writes, and wakes the machine in time.

use super::connection::{ConnectionId, Outgoing};
use super::front::{Front, Input};
use bytes::BytesMut;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tenure_core::id::WallTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How many bytes are read at once.
const READ_BYTES: usize = 64 << 10;
/// How long nothing is looked at where nothing is due.
const IDLE: Duration = Duration::from_secs(60);
/// How long the listener waits when the operating system gives it no connection.
const RETRY: Duration = Duration::from_millis(50);

/// A front behind a TCP port. Clones are of the same one.
#[derive(Clone, Debug)]
pub struct Listener {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Something is due sooner than it was.
    sooner: Notify,
    /// The server is to end.
    ends: Notify,
}

#[derive(Debug)]
struct State {
    front: Front,
    /// Tells a connection's writer that there is something for it.
    writers: BTreeMap<ConnectionId, Arc<Notify>>,
    last: u64,
    due: Option<WallTime>,
}

impl Listener {
    /// A front that nobody is connected to.
    pub fn new(front: Front) -> Self {
        let state = State {
            front,
            writers: BTreeMap::new(),
            last: 0,
            due: None,
        };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                sooner: Notify::new(),
                ends: Notify::new(),
            }),
        }
    }

    /// Tells clients that the server ends; their connections end after the configured time, and then
    /// [`serve`](Self::serve) does.
    pub fn lame_duck(&self) {
        self.step(Input::LameDuck);
        self.shared.ends.notify_one();
    }

    /// Looks at the front.
    pub fn with_front<T>(&self, look: impl FnOnce(&Front) -> T) -> T {
        look(&self.state().front)
    }

    /// Serves connections of a socket until the server was to end ([`lame_duck`](Self::lame_duck)) and nobody
    /// is connected any more, or the future is dropped, which ends them all.
    ///
    /// # Errors
    ///
    /// When the socket has no address.
    pub async fn serve(&self, socket: TcpListener) -> io::Result<()> {
        socket.local_addr()?;
        let mut tasks = JoinSet::new();
        let waker = self.clone();
        tasks.spawn(async move { waker.wake().await });
        while !self.with_front(Front::has_ended) {
            tokio::select! {
                biased;
                accepted = socket.accept() => match accepted {
                    Ok((stream, _)) => {
                        let listener = self.clone();
                        tasks.spawn(async move { listener.connection(stream).await });
                    }
                    // No more files, for one: who is connected is served.
                    Err(_) => tokio::time::sleep(RETRY).await,
                },
                // One that ended is forgotten.
                Some(_) = tasks.join_next() => {}
                () = self.shared.ends.notified() => {}
            }
        }
        Ok(())
    }

    /// Wakes the machine when something is due.
    async fn wake(&self) {
        loop {
            let due = {
                let mut state = self.state();
                state.due = state.front.next_wake();
                state.due
            };
            let wait = due.map_or(IDLE, |due| {
                Duration::from_millis(due.0.saturating_sub(now().0)).min(IDLE)
            });
            tokio::select! {
                biased;
                () = self.shared.sooner.notified() => {}
                () = tokio::time::sleep(wait) => self.step(Input::Woken),
            }
        }
    }

    async fn connection(&self, stream: TcpStream) {
        // Without it the connection is slower, and nothing else.
        let _ = stream.set_nodelay(true);
        let (from, to) = stream.into_split();
        let notify = Arc::new(Notify::new());
        let connection = {
            let mut state = self.state();
            state.last += 1;
            let connection = ConnectionId(state.last);
            state.writers.insert(connection, Arc::clone(&notify));
            connection
        };
        self.step(Input::Opened(connection));
        let end = tokio::select! {
            biased;
            end = self.write(connection, &notify, to) => end,
            () = self.read(connection, from) => Input::Closed(connection),
        };
        self.state().writers.remove(&connection);
        self.step(end);
    }

    async fn read(&self, connection: ConnectionId, mut from: OwnedReadHalf) {
        let mut room = BytesMut::new();
        loop {
            let missing = self.state().front.missing(connection);
            room.reserve(missing.max(READ_BYTES));
            match from.read_buf(&mut room).await {
                Ok(0) | Err(_) => return,
                Ok(_) => self.step(Input::Received(connection, room.split())),
            }
        }
    }

    /// Writes what there is for a connection, until it ends: how it does.
    async fn write(
        &self,
        connection: ConnectionId,
        notify: &Notify,
        mut to: OwnedWriteHalf,
    ) -> Input {
        let deadline = Duration::from_millis(self.with_front(Front::write_deadline_ms));
        loop {
            let Outgoing { bytes, ends } = self.state().front.take(connection);
            if !bytes.is_empty() {
                match timeout(deadline, to.write_all(&bytes)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return Input::Closed(connection),
                    Err(_) => return Input::Stuck(connection),
                }
            }
            if ends {
                // It is closed in any case.
                let _ = to.shutdown().await;
                return Input::Closed(connection);
            }
            if bytes.is_empty() {
                notify.notified().await;
            }
        }
    }

    fn step(&self, input: Input) {
        let mut state = self.state();
        state.front.step(now(), input);
        while let Some(connection) = state.front.next_ready() {
            if let Some(writer) = state.writers.get(&connection) {
                writer.notify_one();
            }
        }
        let due = state.front.next_wake();
        if due.is_some_and(|due| state.due.is_none_or(|before| due < before)) {
            state.due = due;
            self.shared.sooner.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves a front at an address until the future is dropped, or the front has ended.
///
/// # Errors
///
/// When the address cannot be listened to.
pub async fn serve(front: Front, at: SocketAddr) -> io::Result<()> {
    Listener::new(front)
        .serve(TcpListener::bind(at).await?)
        .await
}

#[allow(
    clippy::disallowed_methods,
    reason = "a shell is where the wall clock is read"
)]
fn now() -> WallTime {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    WallTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

//! The shell: requests to the present connection, clocks, tasks, and what comes in by itself.

use crate::ConnectError;
use crate::clock::{self, Clock};
use crate::consumer::{self, Fetch, Taps};
use crate::ears::Ears;
use crate::keeper::{self, Present, Servers};
use crate::link::{Deadlines, Link, cast_now, send_now};
use crate::options::{IN_FLIGHT_MAX, NatsOptions};
use crate::session::{self, JetStream};
use crate::submit::submit;
use crate::wire::Wire;
use crate::{lent, publish, read, stream};
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tenure_core::driver::{
    Completion, Ear, Inbound, Launch, Launching, LinkNumber, Shell, TaskHandle,
};
use tenure_core::id::{OpId, WallTime};
use tenure_core::port::{
    ConsumerName, Delivery, Refused, SendRefused, StoreDone, StoreReply, StoreRequest, StreamName,
    Subject,
};
use tenure_core::step::{Outcome, Span, Time};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// The longest single sleep: the runtime's clock may stand still while the machine is suspended,
/// the shell's does not, so it is looked at now and then.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// Tenure's seam to NATS JetStream. Clones share one connection, which ends with the last of them.
#[derive(Clone)]
pub struct NatsShell {
    inner: Arc<Inner>,
    /// The only connection over which requests go, if one is named.
    during: Option<LinkNumber>,
}

struct Inner {
    clock: Clock,
    store_timeout: Duration,
    in_flight: Arc<Semaphore>,
    present: Arc<Present>,
    ears: Arc<Ears>,
    taps: Taps,
    // Ends the connection when the last clone goes.
    _keeper: Keeper,
}

/// The task that keeps the connection.
struct Keeper(JoinHandle<()>);

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl NatsShell {
    /// Connects. Fails when no server can be reached now; later losses are mended by the shell.
    /// Dropping the future gives the connection up.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), tenure_nats::ConnectError> {
    /// let shell = tenure_nats::NatsShell::connect("nats://127.0.0.1:4222").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect(options: impl Into<NatsOptions>) -> Result<Self, ConnectError> {
        let options = options.into();
        let addresses = options.addresses()?;
        let ears = Arc::new(Ears::default());
        let session = keeper::first(&options, &addresses, &ears).await?;
        let present: Arc<Present> = Arc::new(watch::Sender::new(None));
        let (sender, ready) = oneshot::channel();
        let (store_timeout, in_flight_max) = (options.store_timeout, options.in_flight_max);
        let server = session.address.to_string();
        // Unconstrained: a receive loop that yields by count falls behind its subscription, and
        // the client then drops answers.
        let task = tokio::spawn(tokio::task::coop::unconstrained(keeper::keep(
            options,
            Servers::new(addresses),
            session,
            (Arc::clone(&present), Arc::clone(&ears)),
            sender,
        )));
        let shell = Self::new((present, ears), Keeper(task), store_timeout, in_flight_max);
        match ready.await {
            Ok(Ok(())) => Ok(shell),
            Ok(Err(error)) => Err(error),
            Err(_) => {
                let reason = "the connection was lost at once".into();
                Err(ConnectError::Unreachable { server, reason })
            }
        }
    }

    /// Uses a client that the program has. A request is answered `Unknown` after `store_timeout`.
    ///
    /// Two things are weaker than with a connection of the shell's own. The client reconnects by
    /// itself and then sends what waited in its queue, so a write may be stored long after its
    /// outcome was `Unknown`; the protocol is safe from such late attempts (S9), they cost time.
    /// And the client does not pass on what the server says of missing rights: such a request ends
    /// `Unknown` after its time-out, not `Denied`. That it is disconnected is seen within 50 ms.
    pub async fn with_client(
        client: async_nats::Client,
        store_timeout: Span,
    ) -> Result<Self, ConnectError> {
        let store_timeout = Duration::from(store_timeout);
        let server = "the lent client's server";
        let inbox = client.new_inbox();
        let wire = Wire::new(inbox.clone());
        let unreachable = |reason| ConnectError::Unreachable {
            server: server.into(),
            reason,
        };
        if client.connection_state() != async_nats::connection::State::Connected {
            return Err(unreachable("the client is not connected".into()));
        }
        let answers = session::subscribe(&client, &wire)
            .await
            .map_err(unreachable)?;
        session::version(server, &client)?;
        let present: Arc<Present> = Arc::new(watch::Sender::new(None));
        let ears = Arc::new(Ears::default());
        let link = lent::link(&client, &wire, LinkNumber(1)).map(Arc::new);
        let task = lent::watch(
            client.clone(),
            Arc::clone(&wire),
            answers,
            (Arc::clone(&present), Arc::clone(&ears)),
            store_timeout,
        );
        present.send_replace(link);
        let task = Keeper(tokio::spawn(tokio::task::coop::unconstrained(task)));
        let shell = Self::new((present, ears), task, store_timeout, IN_FLIGHT_MAX);
        let server = server.to_owned();
        match session::jetstream(&client, &wire, Deadlines::start(store_timeout)).await {
            JetStream::Yes => Ok(shell),
            JetStream::No(reason) => Err(ConnectError::NoJetStream { server, reason }),
            JetStream::Denied(reason) => Err(ConnectError::Denied {
                server,
                reason,
                inbox,
            }),
            JetStream::Silent(reason) => Err(ConnectError::Silent { server, reason }),
        }
    }

    fn new(
        (present, ears): (Arc<Present>, Arc<Ears>),
        keeper: Keeper,
        store_timeout: Duration,
        in_flight_max: usize,
    ) -> Self {
        let inner = Inner {
            clock: Clock::start(),
            store_timeout,
            in_flight: Arc::new(Semaphore::new(in_flight_max)),
            present,
            ears,
            taps: Taps::default(),
            _keeper: keeper,
        };
        Self {
            inner: Arc::new(inner),
            during: None,
        }
    }

    /// How many requests wait for an answer on the present connection.
    pub fn waiting(&self) -> usize {
        self.present()
            .as_ref()
            .map_or(0, |link| link.wire.waiting())
    }

    pub(crate) fn store_timeout(&self) -> Duration {
        self.inner.store_timeout
    }

    /// The connection of the moment, which cannot change while this is held.
    pub(crate) fn present(&self) -> watch::Ref<'_, Option<Arc<Link>>> {
        self.inner.present.borrow()
    }

    /// The connection over which a request may go now.
    fn passable(&self) -> Option<Arc<Link>> {
        let present = self.present();
        present.as_ref().filter(|link| self.may_use(link)).cloned()
    }

    /// Whether requests may go over a connection.
    pub(crate) fn may_use(&self, link: &Link) -> bool {
        self.during.is_none_or(|during| during == link.number)
    }

    /// The right to have one more request in flight, if nobody waits for one. It is held over the
    /// request.
    pub(crate) fn turn(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.inner.in_flight).try_acquire_owned().ok()
    }

    /// Executes a request, after a wait for its turn.
    pub(crate) async fn execute(&self, request: StoreRequest) -> StoreReply {
        if let StoreRequest::Fetch {
            stream,
            consumer,
            messages_max,
            bytes_max,
            wait,
        } = request
        {
            let fetch = Fetch {
                messages_max,
                bytes_max,
                wait: wait.into(),
            };
            return self.fetch((stream, consumer), fetch).await;
        }
        let deadlines = Deadlines::start(self.inner.store_timeout);
        // A refusal from here is definite, as nothing was handed over.
        let turn = tokio::time::timeout_at(deadlines.hand_over, self.inner.in_flight.acquire());
        let Ok(permit) = turn.await else {
            return Outcome::Refused(Refused::Overloaded);
        };
        let Some(link) = self.passable() else {
            return Outcome::Refused(Refused::NotConnected);
        };
        if let StoreRequest::CloseConsumer { stream, consumer } = &request {
            self.inner.taps.close(stream, consumer);
        }
        let reply = execute(&link, request, deadlines).await;
        drop(permit);
        reply
    }

    /// A fetch mostly waits for what is not stored yet, and takes no other request's turn meanwhile.
    async fn fetch(&self, key: (StreamName, ConsumerName), fetch: Fetch) -> StoreReply {
        match self.passable() {
            Some(link) => self.inner.taps.fetch(&link, key, fetch).await,
            None => Outcome::Refused(Refused::NotConnected),
        }
    }
}

async fn execute(link: &Link, request: StoreRequest, deadlines: Deadlines) -> StoreReply {
    match request {
        StoreRequest::Publish(message) => publish::one(link, message, deadlines).await,
        StoreRequest::Batch { id, messages } => publish::batch(link, id, messages, deadlines).await,
        StoreRequest::Latest { stream, subjects } => {
            read::latest(link, &stream, &subjects, deadlines).await
        }
        StoreRequest::Get {
            stream,
            sequence,
            source,
        } => read::get(link, &stream, (sequence, source), deadlines).await,
        StoreRequest::Scan {
            stream,
            filter,
            from,
            messages_max,
        } => read::scan(link, &stream, &filter, (from, messages_max), deadlines).await,
        StoreRequest::CreateStream(settings) => stream::create(link, settings, deadlines).await,
        StoreRequest::StreamInfo { stream } => stream::info(link, &stream, deadlines).await,
        StoreRequest::Capabilities => capabilities(link, deadlines).await,
        StoreRequest::OpenConsumer(settings) => consumer::open(link, &settings, deadlines).await,
        StoreRequest::CloseConsumer { stream, consumer } => {
            consumer::close(link, (&stream, &consumer), deadlines).await
        }
        StoreRequest::Fetch { .. } => unreachable!("a fetch goes by a tap"),
    }
}

async fn capabilities(link: &Link, deadlines: Deadlines) -> StoreReply {
    let version = link.capabilities.version.clone();
    let found = |jetstream| {
        let capabilities = session::capabilities(&link.client, version, jetstream);
        Outcome::Done(StoreDone::Capabilities(capabilities))
    };
    match session::jetstream(&link.client, &link.wire, deadlines).await {
        JetStream::Yes => found(true),
        JetStream::No(_) => found(false),
        JetStream::Denied(text) => Outcome::Refused(Refused::Denied(text)),
        JetStream::Silent(_) => Outcome::Unknown,
    }
}

impl Shell for NatsShell {
    fn now(&self) -> Time {
        self.inner.clock.now()
    }

    fn wall(&self) -> WallTime {
        clock::wall()
    }

    fn seed(&self) -> u128 {
        session::random()
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send {
        let clock = self.inner.clock;
        async move {
            loop {
                let left = Duration::from(at.since(clock.now()));
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(SLEEP_MAX)).await;
            }
        }
    }

    fn during(&self, link: LinkNumber) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            during: Some(link),
        }
    }

    async fn store(&self, request: StoreRequest) -> StoreReply {
        let (done, answer) = Completion::alone();
        match submit(self, request, done) {
            Ok(()) => answer.await,
            Err((request, _)) => self.execute(request).await,
        }
    }

    fn submit(
        &self,
        request: StoreRequest,
        done: Completion,
    ) -> Result<(), (StoreRequest, Completion)> {
        submit(self, request, done)
    }

    fn inbox(&self) -> mpsc::Receiver<Inbound> {
        let (sender, receiver) = mpsc::channel(16);
        tokio::spawn(announce(self.inner.present.subscribe(), sender));
        receiver
    }

    fn send(
        &self,
        op: OpId,
        to: &Subject,
        from: &Subject,
        frame: Bytes,
    ) -> Result<(), SendRefused> {
        match &*self.present() {
            Some(link) => send_now(&link.client, op, (to, from), frame),
            None => Err(SendRefused::NotConnected),
        }
    }

    fn listen(&self, at: Subject) -> mpsc::Receiver<Delivery> {
        self.inner.ears.listen(at, &self.inner.present)
    }

    fn overhear(&self, filter: Subject, ear: Ear) {
        self.inner.ears.overhear(filter, ear, &self.inner.present);
    }

    fn cast(&self, to: &Subject, payload: Bytes) -> Result<(), SendRefused> {
        match &*self.present() {
            Some(link) => cast_now(&link.client, to, payload),
            None => Err(SendRefused::NotConnected),
        }
    }

    /// Frames and announcements that were dropped because they were not taken in time, together with how
    /// often the client said that it dropped messages. Of a lent client only the former.
    fn lost(&self) -> u64 {
        self.inner.ears.lost().so_far()
    }

    fn launch(self, launch: Launch) -> Launching {
        launch.on(self)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> TaskHandle {
        let task = tokio::spawn(task);
        TaskHandle::new(move || task.abort())
    }
}

/// Tells each change of the connection. A listener that is slow hears of fewer connections, and
/// never of two without the loss between them.
async fn announce(mut present: watch::Receiver<Option<Arc<Link>>>, to: mpsc::Sender<Inbound>) {
    let mut told = None;
    let mut first = true;
    loop {
        let link = present.borrow_and_update().clone();
        let number = link.as_ref().map(|link| link.number);
        let lost = first && number.is_none() || told.is_some() && number != told;
        if lost && to.send(Inbound::Disconnected).await.is_err() {
            return;
        }
        if let Some(link) = link.filter(|_| number != told) {
            let (capabilities, link) = (link.capabilities.clone(), link.number);
            if to
                .send(Inbound::Connected(capabilities, link))
                .await
                .is_err()
            {
                return;
            }
        }
        (told, first) = (number, false);
        tokio::select! {
            biased;
            () = to.closed() => return,
            changed = present.changed() => if changed.is_err() { return },
        }
    }
}

impl fmt::Debug for NatsShell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsShell")
            .field("connected", &self.present().is_some())
            .finish_non_exhaustive()
    }
}

//! What the shell listens to: receivers outlive connections, their subscriptions do not.
//!
//! A subscription is made before anything else is handed over on a new connection, so before the
//! shell says that it is connected. A client of the user's keeps its subscriptions itself.

use crate::keeper::Present;
use crate::link::Link;
use async_nats::{Client, Message, StatusCode, SubscribeError, Subscriber, header};
use futures_util::{FutureExt as _, StreamExt as _};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tenure_core::driver::{DELIVERIES_MAX, Ear};
use tenure_core::id::{OpId, Sequence};
use tenure_core::port::{Delivery, Heard, Subject};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::task::coop::unconstrained;

/// How many frames are taken before the answers "nobody listens" are looked at.
const FRAMES_MAX: usize = 256;

/// All who listen and hear on one shell. What they wait for ends with it.
#[derive(Debug, Default)]
pub(crate) struct Ears {
    ears: Mutex<Table>,
    lost: Arc<Lost>,
}

#[derive(Debug, Default)]
struct Table {
    serial: u64,
    ears: Vec<Held>,
}

/// One receiver that was given out.
#[derive(Debug)]
struct Held {
    key: u64,
    what: What,
    /// The session on whose client it is subscribed.
    session: Option<u64>,
    relay: Option<AbortHandle>,
}

/// What is listened to, and where it goes.
#[derive(Clone, Debug)]
enum What {
    Frames {
        at: Subject,
        to: mpsc::Sender<Delivery>,
    },
    Heard {
        filter: Subject,
        to: Ear,
    },
}

/// The subscriptions of one ear on one client.
enum Subscribed {
    Frames {
        frames: Subscriber,
        /// What the server answers when nobody listened where a frame went.
        statuses: Subscriber,
    },
    Heard(Subscriber),
}

/// How many messages were dropped because they were not taken in time.
#[derive(Debug, Default)]
pub(crate) struct Lost {
    all: AtomicU64,
    /// How often a client said that a subscription of its own did not keep up.
    slow: AtomicU64,
}

impl Lost {
    /// Counts one that a client dropped.
    pub(crate) fn count_slow(&self) {
        self.slow.fetch_add(1, Ordering::Relaxed);
        self.count();
    }

    fn slow(&self) -> u64 {
        self.slow.load(Ordering::Relaxed)
    }

    /// Counts one, and tells of it the less often the more there are.
    pub(crate) fn count(&self) {
        let lost = self.all.fetch_add(1, Ordering::Relaxed) + 1;
        if lost.is_power_of_two() {
            tracing::warn!(
                lost,
                "messages were dropped: their receiver did not keep up"
            );
        }
    }

    pub(crate) fn so_far(&self) -> u64 {
        self.all.load(Ordering::Relaxed)
    }
}

impl Ears {
    pub(crate) fn lost(&self) -> &Arc<Lost> {
        &self.lost
    }

    pub(crate) fn listen(&self, at: Subject, present: &Present) -> mpsc::Receiver<Delivery> {
        let (to, receiver) = mpsc::channel(DELIVERIES_MAX);
        self.add(What::Frames { at, to }, present);
        receiver
    }

    pub(crate) fn overhear(&self, filter: Subject, ear: Ear, present: &Present) {
        self.add(What::Heard { filter, to: ear }, present);
    }

    /// Subscribes on the present connection, ahead of whatever is handed over next; without one,
    /// with the next.
    fn add(&self, what: What, present: &Present) {
        let mut table = self.table();
        table.ears.retain(|ear| !ear.what.is_closed());
        table.serial += 1;
        let key = table.serial;
        let (mut session, mut relay) = (None, None);
        if let Some(link) = &*present.borrow() {
            let task = subscribe_now(what.clone(), &link.client, &self.lost);
            (session, relay) = (Some(link.session), Some(task));
        }
        table.ears.push(Held {
            key,
            what,
            session,
            relay,
        });
    }

    /// Makes a connection the present one, when all who listen are subscribed on its client.
    pub(crate) async fn present(&self, link: Arc<Link>, present: &Present) {
        // A lent client keeps its subscriptions, and heard nothing between two connections.
        for ear in &self.table().ears {
            if ear.session == Some(link.session) {
                ear.what.missed();
            }
        }
        while let Some((key, what)) = self.next_without(&link, present) {
            let subscribed = what.subscribe(&link.client).await;
            let mut table = self.table();
            let Some(ear) = table.ears.iter_mut().find(|ear| ear.key == key) else {
                continue;
            };
            ear.session = Some(link.session);
            // Of a client that has ended the keeper hears otherwise.
            if let Ok(subscribed) = subscribed {
                what.missed();
                let relay = subscribed.relay(what, Arc::clone(&self.lost));
                ear.relay = Some(tokio::spawn(unconstrained(relay)).abort_handle());
            }
        }
    }

    /// The next who is not subscribed on this link's client. When there is none the link is made
    /// the present one: who listens from then on subscribes there at once.
    fn next_without(&self, link: &Arc<Link>, present: &Present) -> Option<(u64, What)> {
        let mut table = self.table();
        table.ears.retain(|ear| !ear.what.is_closed());
        let mut ears = table.ears.iter();
        let next = ears.find(|ear| ear.session != Some(link.session));
        if next.is_none() {
            present.send_replace(Some(Arc::clone(link)));
        }
        next.map(|ear| (ear.key, ear.what.clone()))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.ears.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ears {
    fn drop(&mut self) {
        // A subscription would keep its client's connection.
        for ear in &self.table().ears {
            if let Some(relay) = &ear.relay {
                relay.abort();
            }
        }
    }
}

/// Subscribes at once while the client's queue has room, and else when it has.
fn subscribe_now(what: What, client: &Client, lost: &Arc<Lost>) -> AbortHandle {
    let (client, lost) = (client.clone(), Arc::clone(lost));
    let mut subscribing = Box::pin({
        let what = what.clone();
        async move { what.subscribe(&client).await }
    });
    // Unconstrained: it would else wait for a turn of this task, with room in the queue.
    let subscribed = unconstrained(&mut subscribing).now_or_never();
    let relay = async move {
        let subscribed = match subscribed {
            Some(subscribed) => subscribed,
            None => subscribing.await,
        };
        if let Ok(subscribed) = subscribed {
            subscribed.relay(what, lost).await;
        }
    };
    tokio::spawn(unconstrained(relay)).abort_handle()
}

impl What {
    fn is_closed(&self) -> bool {
        match self {
            Self::Frames { to, .. } => to.is_closed(),
            Self::Heard { to, .. } => to.is_closed(),
        }
    }

    /// What came since the last connection ended was missed.
    fn missed(&self) {
        match self {
            Self::Frames { .. } => {}
            Self::Heard { to, .. } => to.missed(),
        }
    }

    async fn subscribe(&self, client: &Client) -> Result<Subscribed, SubscribeError> {
        Ok(match self {
            Self::Frames { at, .. } => Subscribed::Frames {
                frames: client.subscribe(at.to_string()).await?,
                statuses: client.subscribe(format!("{at}.*")).await?,
            },
            Self::Heard { filter, .. } => {
                Subscribed::Heard(client.subscribe(filter.to_string()).await?)
            }
        })
    }
}

impl Subscribed {
    /// Takes what comes to its receiver until that is dropped or the client ends.
    ///
    /// To be run unconstrained: a receive loop that yields by count falls behind its subscription,
    /// and the client then drops messages.
    async fn relay(self, what: What, lost: Arc<Lost>) {
        match (self, what) {
            (
                Self::Frames {
                    mut frames,
                    mut statuses,
                },
                What::Frames { at, to },
            ) => {
                let mut closed = pin!(to.closed());
                poll_fn(|cx| {
                    if closed.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(());
                    }
                    poll_frames((&mut frames, &mut statuses), (&at, &to), &lost, cx)
                })
                .await;
            }
            (Self::Heard(mut subscribed), What::Heard { to, .. }) => {
                let mut closed = pin!(to.closed());
                let mut slow = lost.slow();
                poll_fn(|cx| {
                    if closed.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(());
                    }
                    while let Some(message) = ready!(subscribed.poll_next_unpin(cx)) {
                        // The client dropped something, of this subscription perhaps.
                        let now = lost.slow();
                        if std::mem::replace(&mut slow, now) != now {
                            to.missed();
                        }
                        if !to.take(heard(message)) {
                            lost.count();
                        }
                    }
                    Poll::Ready(())
                })
                .await;
            }
            (Self::Frames { .. }, What::Heard { .. }) | (Self::Heard(_), What::Frames { .. }) => {
                unreachable!("a subscription is made for what it is relayed to")
            }
        }
    }
}

/// Takes frames and answers until there are none, and others' turn comes after as many as a
/// receiver holds.
fn poll_frames(
    (frames, statuses): (&mut Subscriber, &mut Subscriber),
    (at, to): (&str, &mpsc::Sender<Delivery>),
    lost: &Lost,
    cx: &mut Context<'_>,
) -> Poll<()> {
    for _ in 0..DELIVERIES_MAX / FRAMES_MAX {
        let mut more = true;
        for _ in 0..FRAMES_MAX {
            match frames.poll_next_unpin(cx) {
                Poll::Ready(Some(message)) => pass_on(to, Delivery::Frame(message.payload), lost),
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => {
                    more = false;
                    break;
                }
            }
        }
        while let Poll::Ready(message) = statuses.poll_next_unpin(cx) {
            let Some(message) = message else {
                return Poll::Ready(());
            };
            if let Some(op) = no_responders(at, &message) {
                pass_on(to, Delivery::NoResponders(op), lost);
            }
        }
        if !more {
            return Poll::Pending;
        }
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

fn pass_on<T>(to: &mpsc::Sender<T>, what: T, lost: &Lost) {
    match to.try_send(what) {
        // Who is gone misses nothing.
        Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
        Err(mpsc::error::TrySendError::Full(_)) => lost.count(),
    }
}

/// The operation of which the server says on `<at>.<op>` that nobody listened.
fn no_responders(at: &str, message: &Message) -> Option<OpId> {
    if message.status != Some(StatusCode::NO_RESPONDERS) {
        return None;
    }
    let op = message.subject.strip_prefix(at)?.strip_prefix('.')?;
    op.parse().ok().map(OpId)
}

/// What came; what names no sequence is of no stream.
fn heard(message: Message) -> Heard {
    let headers = message.headers.as_ref();
    let sequence = headers.and_then(|headers| headers.get(header::NATS_SEQUENCE));
    let sequence = sequence.and_then(|sequence| sequence.as_str().parse().ok());
    Heard {
        subject: Subject::from(message.subject.as_str()),
        sequence: sequence.map_or(Sequence::NONE, Sequence),
        payload: message.payload,
    }
}

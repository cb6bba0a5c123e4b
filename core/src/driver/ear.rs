//! Where a shell puts what it hears.

use crate::port::Heard;
use futures_util::future::BoxFuture;
use std::fmt;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Takes in what a shell hears, at once. Clones are the same ear.
#[derive(Clone)]
pub struct Ear(Arc<dyn Hearing>);

/// What is behind an ear. Nothing of it waits: a shell calls it where it reads its connection.
pub(crate) trait Hearing: Send + Sync {
    /// Takes something in; whether there was room.
    fn take(&self, heard: Heard) -> bool;

    /// Something may have been missed since the last call.
    fn missed(&self);

    fn is_closed(&self) -> bool;

    /// Ends when nobody hears any more.
    fn closed(&self) -> BoxFuture<'static, ()>;
}

impl fmt::Debug for Ear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ear")
            .field("closed", &self.is_closed())
            .finish()
    }
}

impl Ear {
    pub(crate) fn new(hearing: Arc<dyn Hearing>) -> Self {
        Self(hearing)
    }

    /// One that hears what streams announce, of which at most so many wait for the receiver; what is not
    /// stored is none of it.
    pub fn of_stored(waiting_max: usize) -> (Self, mpsc::Receiver<Heard>) {
        let (to, receiver) = mpsc::channel(waiting_max);
        let of_all = false;
        (Self(Arc::new(Channel { to, of_all })), receiver)
    }

    /// The same of everything, stored or not.
    pub fn of_all(waiting_max: usize) -> (Self, mpsc::Receiver<Heard>) {
        let (to, receiver) = mpsc::channel(waiting_max);
        let of_all = true;
        (Self(Arc::new(Channel { to, of_all })), receiver)
    }

    /// The same ear; `tap` is told first of each thing that it takes in, and by `None` that something may have
    /// been missed.
    #[must_use]
    pub fn tapped(self, tap: impl Fn(Option<&Heard>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Tapped { ear: self, tap }))
    }

    /// Takes in what was heard; `false` when it is lost for want of room.
    pub fn take(&self, heard: Heard) -> bool {
        self.0.take(heard)
    }

    /// Says that something may have been missed: the link was gone for a while, or did not keep up.
    pub fn missed(&self) {
        self.0.missed();
    }

    /// Whether nobody hears any more.
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Ends when nobody hears any more. Cancel safe.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + use<> {
        self.0.closed()
    }
}

struct Channel {
    to: mpsc::Sender<Heard>,
    of_all: bool,
}

impl Hearing for Channel {
    fn take(&self, heard: Heard) -> bool {
        // Anybody may publish there; what names no sequence is of no stream.
        if !self.of_all && !heard.sequence.is_some() {
            return true;
        }
        match self.to.try_send(heard) {
            // Who is gone misses nothing.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => true,
            Err(mpsc::error::TrySendError::Full(_)) => false,
        }
    }

    /// What is announced is only a reason to look, and who hears it looks by itself as well.
    fn missed(&self) {}

    fn is_closed(&self) -> bool {
        self.to.is_closed()
    }

    fn closed(&self) -> BoxFuture<'static, ()> {
        let to = self.to.clone();
        Box::pin(async move { to.closed().await })
    }
}

struct Tapped<T> {
    ear: Ear,
    tap: T,
}

impl<T: Fn(Option<&Heard>) + Send + Sync> Hearing for Tapped<T> {
    fn take(&self, heard: Heard) -> bool {
        (self.tap)(Some(&heard));
        self.ear.take(heard)
    }

    fn missed(&self) {
        (self.tap)(None);
        self.ear.missed();
    }

    fn is_closed(&self) -> bool {
        self.ear.is_closed()
    }

    fn closed(&self) -> BoxFuture<'static, ()> {
        self.ear.0.closed()
    }
}

//! Where statements run: on a thread of their own, since they block, or in place for a simulation.

use crate::life::Life;
use std::fmt;
use std::sync::{Mutex, PoisonError, mpsc};
use tenure_core::api::projection::StoreError;
use tokio::sync::oneshot;

type Work = Box<dyn FnOnce(&mut Life) + Send>;

pub(crate) enum Worker {
    Thread(mpsc::Sender<Work>),
    InPlace(Box<Mutex<Life>>),
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Thread(_) => "Thread",
            Self::InPlace(_) => "InPlace",
        })
    }
}

impl Worker {
    /// A thread that ends when the worker is dropped and its work is done.
    pub(crate) fn thread(mut life: Life) -> std::io::Result<Self> {
        let (works, work) = mpsc::channel::<Work>();
        let run = move || {
            while let Ok(work) = work.recv() {
                work(&mut life);
            }
        };
        let named = std::thread::Builder::new().name("tenure-sqlite".to_owned());
        named.spawn(run)?;
        Ok(Self::Thread(works))
    }

    pub(crate) fn in_place(life: Life) -> Self {
        Self::InPlace(Box::new(Mutex::new(life)))
    }

    /// Runs something there.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Life) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let works = match self {
            Self::Thread(works) => works,
            Self::InPlace(life) => {
                return Ok(work(
                    &mut life.lock().unwrap_or_else(PoisonError::into_inner),
                ));
            }
        };
        let (done, result) = oneshot::channel();
        let work: Work = Box::new(move |life| {
            // Who went away needs no result.
            let _ = done.send(work(life));
        });
        let ended = || StoreError::failed("its thread ended by a panic");
        works.send(work).map_err(|_| ended())?;
        result.await.map_err(|_| ended())
    }
}

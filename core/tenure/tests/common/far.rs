//! A server that is some way off: each message takes its time on a clock that a test lets run.

use std::future::Future;
use std::time::Duration;
use tenure::{Bytes, MemShell};
use tenure_core::driver::{Ear, Inbound, LinkNumber, Shell, TaskHandle};
use tenure_core::id::{OpId, WallTime};
use tenure_core::port::{Delivery, Heard, SendRefused, StoreReply, StoreRequest, Subject};
use tenure_core::step::Time;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// From a node to the server, and from the server to a node.
pub const LEG: Duration = Duration::from_millis(1);

/// A server that is a leg away from each node; what is under way at once does not wait for each other.
#[derive(Clone)]
pub struct Far(MemShell);

impl Far {
    /// Away from this store.
    pub fn new(store: MemShell) -> Self {
        Self(store)
    }
}

impl Shell for Far {
    fn now(&self) -> Time {
        self.0.now()
    }

    fn wall(&self) -> WallTime {
        self.0.wall()
    }

    fn seed(&self) -> u128 {
        self.0.seed()
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send {
        self.0.sleep_until(at)
    }

    fn during(&self, link: LinkNumber) -> Self {
        Self(self.0.during(link))
    }

    async fn store(&self, request: StoreRequest) -> StoreReply {
        sleep(LEG).await;
        let reply = self.0.store(request).await;
        sleep(LEG).await;
        reply
    }

    fn inbox(&self) -> mpsc::Receiver<Inbound> {
        self.0.inbox()
    }

    fn send(
        &self,
        op: OpId,
        to: &Subject,
        from: &Subject,
        frame: Bytes,
    ) -> Result<(), SendRefused> {
        let (shell, to, from) = (self.0.clone(), to.clone(), from.clone());
        tokio::spawn(async move {
            sleep(2 * LEG).await;
            // Nobody is cut off here.
            let _ = shell.send(op, &to, &from, frame);
        });
        Ok(())
    }

    fn listen(&self, at: Subject) -> mpsc::Receiver<Delivery> {
        self.0.listen(at)
    }

    fn hear(&self, filter: Subject) -> mpsc::Receiver<Heard> {
        let mut near = self.0.hear(filter);
        let (sender, far) = mpsc::channel(4_096);
        tokio::spawn(async move {
            while let Some(heard) = near.recv().await {
                let sender = sender.clone();
                tokio::spawn(async move {
                    sleep(LEG).await;
                    // Who listened may have ended.
                    let _ = sender.send(heard).await;
                });
            }
        });
        far
    }

    fn overhear(&self, filter: Subject, ear: Ear) {
        self.0.overhear(filter, ear);
    }

    fn cast(&self, to: &Subject, payload: Bytes) -> Result<(), SendRefused> {
        self.0.cast(to, payload)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> TaskHandle {
        self.0.spawn(task)
    }
}

//! A write of one message, which is nearly every commit: it goes without a future, a timer, a task
//! or a box of its own, and its answer is told where it arrives.

use crate::link::{self, Deadlines};
use crate::publish;
use crate::shell::NatsShell;
use crate::wire::Answer;
use tenure_core::driver::Completion;
use tenure_core::port::{Refused, StoreRequest, StreamName};
use tenure_core::step::Outcome;
use tokio::sync::OwnedSemaphorePermit;

/// Who is told the acknowledgement of a write.
#[derive(Debug)]
pub(crate) struct Told {
    done: Completion,
    stream: StreamName,
    _turn: Option<OwnedSemaphorePermit>,
}

impl Told {
    pub(crate) fn new(
        done: Completion,
        stream: StreamName,
        turn: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self {
            done,
            stream,
            _turn: turn,
        }
    }

    /// Tells the answer; none when the connection is lost or the ask was due.
    pub(crate) fn tell(self, answer: Option<Answer>) {
        let asked = answer.map_or(Outcome::Unknown, link::replied);
        self.done.tell(publish::acknowledged(asked, &self.stream));
    }

    /// Tells that nothing was handed over.
    pub(crate) fn refuse(self, refused: Refused) {
        self.done.tell(Outcome::Refused(refused));
    }
}

/// Hands a write of one message over, if that takes no wait. All else is given back.
#[allow(
    clippy::result_large_err,
    reason = "what is given back is moved on at once"
)]
pub(crate) fn submit(
    shell: &NatsShell,
    request: StoreRequest,
    done: Completion,
) -> Result<(), (StoreRequest, Completion)> {
    let publish = match request {
        StoreRequest::Publish(publish) => publish,
        request @ (StoreRequest::Batch { .. }
        | StoreRequest::Latest { .. }
        | StoreRequest::Get { .. }
        | StoreRequest::Scan { .. }
        | StoreRequest::CreateStream(_)
        | StoreRequest::StreamInfo { .. }
        | StoreRequest::Capabilities
        | StoreRequest::OpenConsumer(_)
        | StoreRequest::Fetch { .. }
        | StoreRequest::CloseConsumer { .. }) => return Err((request, done)),
    };
    let Some(turn) = shell.turn() else {
        return Err((StoreRequest::Publish(publish), done));
    };
    let told = Told::new(done, publish.stream.clone(), Some(turn));
    let present = shell.present();
    let Some(link) = present.as_ref().filter(|link| shell.may_use(link)) else {
        told.refuse(Refused::NotConnected);
        return Ok(());
    };
    let message = match publish::outgoing(&publish) {
        Ok(message) => message,
        Err(refused) => {
            told.refuse(refused);
            return Ok(());
        }
    };
    let Deadlines { answer, .. } = Deadlines::start(shell.store_timeout());
    link::hand_over_now(&link.client, &link.wire, message, (answer, told))
        .map_err(|told| (StoreRequest::Publish(publish), told.done))
}

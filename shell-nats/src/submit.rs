//! A store request on its way. One message, which is nearly every commit, goes without a timer, a
//! task or a box of its own; all else goes the long way.

use crate::link::{self, Deadlines};
use crate::publish;
use crate::shell::NatsShell;
use crate::wire::Waiting;
use futures_util::future::BoxFuture;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tenure_core::port::{Publish, Refused, StoreReply, StoreRequest, StreamName};
use tenure_core::step::Outcome;
use tokio::sync::SemaphorePermit;

/// A store request on its way.
pub(crate) struct Submit<'a> {
    shell: &'a NatsShell,
    way: Way<'a>,
}

enum Way<'a> {
    /// One message that has not been handed over.
    Short(Option<Publish>),
    /// One message that was handed over; the wire ends the wait when its time is over.
    Handed {
        waiting: Waiting,
        stream: StreamName,
        _turn: SemaphorePermit<'a>,
    },
    /// Everything that takes several messages, or has to wait for its turn.
    Long(BoxFuture<'a, StoreReply>),
}

impl<'a> Submit<'a> {
    pub(crate) fn new(shell: &'a NatsShell, request: StoreRequest) -> Self {
        let way = match request {
            StoreRequest::Publish(publish) => Way::Short(Some(publish)),
            request @ (StoreRequest::Batch { .. }
            | StoreRequest::Latest { .. }
            | StoreRequest::Get { .. }
            | StoreRequest::Scan { .. }
            | StoreRequest::CreateStream(_)
            | StoreRequest::StreamInfo { .. }
            | StoreRequest::Capabilities) => Way::Long(Box::pin(shell.execute(request))),
        };
        Self { shell, way }
    }

    /// The next part of the way, or why nothing was handed over.
    fn begin(&self, publish: Publish) -> Result<Way<'a>, Refused> {
        let shell = self.shell;
        let long = |publish| {
            let request = StoreRequest::Publish(publish);
            Ok(Way::Long(Box::pin(shell.execute(request))))
        };
        let Some(turn) = shell.turn() else {
            return long(publish);
        };
        let present = shell.present();
        let Some(link) = &*present else {
            return Err(Refused::NotConnected);
        };
        let message = publish::outgoing(&publish)?;
        let Deadlines { answer, .. } = Deadlines::start(shell.store_timeout());
        match link::hand_over_now(&link.client, &link.wire, message, answer) {
            Some(Ok(waiting)) => Ok(Way::Handed {
                waiting,
                stream: publish.stream,
                _turn: turn,
            }),
            Some(Err(refused)) => Err(refused),
            None => {
                // The long way takes a turn of its own.
                drop((turn, present));
                long(publish)
            }
        }
    }
}

impl Future for Submit<'_> {
    type Output = StoreReply;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<StoreReply> {
        loop {
            match &mut self.way {
                Way::Short(publish) => {
                    let publish = publish.take().expect("it is taken once, here");
                    match self.begin(publish) {
                        Ok(way) => self.way = way,
                        Err(refused) => return Poll::Ready(Outcome::Refused(refused)),
                    }
                }
                Way::Handed {
                    waiting, stream, ..
                } => {
                    let answer = ready!(Pin::new(waiting).poll(cx));
                    let asked = answer.map_or(Outcome::Unknown, link::replied);
                    return Poll::Ready(publish::acknowledged(asked, stream));
                }
                Way::Long(way) => return way.as_mut().poll(cx),
            }
        }
    }
}

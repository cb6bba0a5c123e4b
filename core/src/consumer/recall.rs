//! Whether a stream is the one that was read before: the last commit that came is looked at again before more
//! of it is read (C7).

use super::fault::may_pass;
use super::feed::Way;
use super::machine::{Consumer, Job};
use super::take::Misfit;
use super::{Effect, Fault};
use crate::format::Witness;
use crate::port::{self, Message, Refused, StoreDone, StoreReply, StoreRequest};
use crate::step::{Cx, Effects, Outcome};

impl Consumer {
    pub(super) fn recall_request(&self, n: u16) -> Option<StoreRequest> {
        let feed = self.feeds.get(usize::from(n))?;
        Some(StoreRequest::Get {
            stream: feed.stream.clone(),
            sequence: feed.last_known()?.sequence,
            source: port::Source::Leader,
        })
    }

    pub(super) fn recalled(
        &mut self,
        cx: &mut Cx<'_>,
        n: u16,
        reply: StoreReply,
        out: &mut Effects<Effect>,
    ) -> Result<(), Misfit> {
        let job = Job::Recall(n);
        match reply {
            Outcome::Done(StoreDone::Message(message)) => {
                self.asks.done(job);
                match self.knows(n, &message) {
                    true => self.open(cx, n, out),
                    false => self.is_another(cx, n, out),
                }
            }
            Outcome::Done(_) => return Err(Misfit),
            // Its entity was deleted since, or its server lags: that tells nothing.
            Outcome::Refused(Refused::NotFound) => {
                crate::reached!(cx, "consumer: the commit of its position is absent");
                self.asks.done(job);
                self.open(cx, n, out);
            }
            // As a server says, too, that may not know of it yet.
            Outcome::Refused(Refused::NoStream) => {
                if let Some(feed) = self.feeds.get_mut(usize::from(n)) {
                    feed.way = Way::Looking;
                }
                self.asks.abandon(job);
                self.again(cx, Job::Look(n));
            }
            Outcome::Refused(refused) if may_pass(&refused) => self.again_after(cx, job, refused),
            Outcome::Refused(refused) => self.refused(cx, job, refused, out),
            Outcome::Unknown => {
                crate::reached!(cx, "consumer: the commit of its position is not told");
                self.again(cx, job);
            }
        }
        Ok(())
    }

    /// Whether a message is the one that came from there.
    fn knows(&self, n: u16, message: &Message) -> bool {
        let feed = self.feeds.get(usize::from(n));
        let Some(known) = feed.and_then(|feed| feed.last_known()) else {
            return true;
        };
        let (source, layout) = (&self.config.definition.source, self.config.layout.id);
        let subject = source
            .subject(&self.config.wish.namespace, &message.subject)
            .ok();
        let commit = subject.and_then(|it| source.commit(layout, &it, &message.payload).ok());
        commit.is_some_and(|commit| Witness::of(message.sequence, commit.id) == known)
    }

    /// The stream lost its tail and grew again.
    fn is_another(&mut self, cx: &mut Cx<'_>, n: u16, out: &mut Effects<Effect>) {
        crate::reached!(cx, "consumer: a stream lost its tail and grew again");
        let Some(feed) = self.feeds.get(usize::from(n)) else {
            return;
        };
        let fault = Fault::TailReplaced {
            name: self.config.definition.name.clone(),
            stream: feed.stream.as_str().into(),
            position: feed.known(),
            sequence: feed.last_known().map_or(feed.known(), |it| it.sequence),
        };
        self.fail(cx, fault, out);
    }
}

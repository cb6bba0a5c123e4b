//! A lane's requests to the store, and their answers.

use super::way::{Queued, Way};
use super::{Env, Lane, Who};
use crate::driver::completion::{Answered, Asked, Completion};
use crate::driver::shell::Shell;
use crate::flow::{Room, StreamAt};
use crate::id::{OpId, Partition};
use crate::log::{HistoryInput, Input, mark};
use crate::port::{Refused, StoreReply, StoreRequest};
use crate::step::Outcome;
use crate::{bus, consumer, node, shard};
use tokio::sync::oneshot;

impl<S: Shell> Lane<S> {
    pub(super) fn answered(&mut self, answered: Answered) {
        let Answered { asked, reply } = answered;
        let Asked {
            who,
            op,
            wrote,
            stream,
        } = asked;
        if let Some(next) = stream.and_then(|stream| self.window.answered(stream)) {
            self.begin(next, stream);
        }
        if let Some((partition, sequence)) = wrote.zip(mark::told(&reply)) {
            self.facts.high_water.raise(partition, sequence);
        }
        self.counters.store_unknown += u64::from(matches!(reply, Outcome::Unknown));
        let now = self.now;
        match who {
            Who::Space => {
                if let Some(space) = &mut self.space {
                    space.stored(&mut env!(self, now), op, reply);
                }
                self.after(who);
            }
            Who::Shard(key) => {
                if let Some(seat) = self.seats.get_mut(&key) {
                    seat.feed(&mut env!(self, now), Input::Stored { op, reply });
                }
                self.after(who);
            }
            Who::History(n) => self.feed_history(n, HistoryInput::Stored { op, reply }),
            Who::Consumer(n) => {
                let wall = self.shell.wall();
                self.feed_consumer(n, consumer::Input::Stored { op, reply, wall });
            }
            Who::Bus => self.feed_bus(bus::Input::Stored { op, reply }),
            Who::Keeper(n) => {
                if let Some(done) = self.keepers.remove(&n) {
                    // One that went away needs no answer.
                    let _ = done.send(reply);
                }
            }
            Who::Group(n) => {
                let wall = self.shell.wall();
                self.feed_group(n, consumer::group::Input::Stored { op, reply, wall });
            }
            // They ask the store for nothing.
            Who::Router | Who::Actors => {}
            Who::Node => self.member(node::Input::Stored { op, reply }),
            Who::Owners => self.own(shard::Input::Stored { op, reply }),
        }
    }

    /// Code of this process keeps a state in the store; it takes the answer in by itself.
    pub(super) fn keeper_asks(&mut self, request: StoreRequest, done: oneshot::Sender<StoreReply>) {
        self.tickets += 1;
        let n = self.tickets;
        self.keepers.insert(n, done);
        self.ask(Who::Keeper(n), OpId(n), request);
    }

    /// A request to the store: it is begun when there is room for it among those in flight.
    pub(super) fn ask(&mut self, who: Who, op: OpId, request: StoreRequest) {
        self.counters.store_requests += 1;
        let room = match (who, request.stream()) {
            (Who::Shard(_) | Who::History(_), Some(stream)) => Some(self.window.enter(stream)),
            // The namespace's own requests are few, and everything waits for them; the cluster's are
            // too, and a lease waits for nobody.
            // A fetch waits for what comes, so it is in nobody's way.
            // The bus holds `publications_max` itself.
            (
                Who::Space
                | Who::Consumer(_)
                | Who::Bus
                | Who::Keeper(_)
                | Who::Group(_)
                | Who::Router
                | Who::Node
                | Who::Owners
                | Who::Actors,
                _,
            )
            | (Who::Shard(_) | Who::History(_), None) => None,
        };
        let queued = Queued {
            who,
            op,
            request,
            link: self.way_of(who).link,
        };
        match room {
            Some(Room::Full(stream)) => self.window.wait(stream, queued),
            Some(Room::Entered(stream)) => self.begin(queued, Some(stream)),
            None => self.begin(queued, None),
        }
    }

    /// The way to the store on whose knowledge a machine's requests rest.
    fn way_of(&self, who: Who) -> &Way<S> {
        match who == Who::Space {
            true => &self.opening,
            false => &self.way,
        }
    }

    /// The event stream whose mark the answer to a request of a shard raises.
    pub(super) fn wrote(&self, who: Who, request: &StoreRequest) -> Option<Partition> {
        match (who, &self.layout) {
            (Who::Shard(key), Some(layout)) => {
                let counts = mark::counts(self.seats.get(&key)?.stream(), request);
                counts.then(|| layout.stream_of(key.shard))
            }
            (
                Who::Shard(_)
                | Who::Space
                | Who::History(_)
                | Who::Consumer(_)
                | Who::Bus
                | Who::Keeper(_)
                | Who::Group(_)
                | Who::Router
                | Who::Node
                | Who::Owners
                | Who::Actors,
                _,
            ) => None,
        }
    }

    /// Hands a request to the shell; it is in a stream's window, if it is in any.
    fn begin(&mut self, queued: Queued, stream: Option<StreamAt>) {
        let Queued {
            who,
            op,
            request,
            link,
        } = queued;
        let wrote = self.wrote(who, &request);
        let asked = Asked {
            who,
            op,
            wrote,
            stream,
        };
        let way = self.way_of(who);
        if link != way.link {
            // It waited for room, and its link is gone.
            let reply = Outcome::Refused(Refused::NotConnected);
            return self.ready.push_back(Answered { asked, reply });
        }
        if let Some(reply) = way.shell.answer(&request) {
            return self.ready.push_back(Answered { asked, reply });
        }
        let done = Completion::new(asked, &self.answers);
        self.submitted += 1;
        if let Err((request, done)) = self.way_of(who).shell.submit(request, done) {
            let shell = self.way_of(who).shell.clone();
            self.ops.push(Box::pin(async move {
                done.tell(shell.store(request).await);
            }));
        }
    }
}

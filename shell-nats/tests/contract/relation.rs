//! The model as a relation: which answers of a real server it allows, and the states it may then be
//! in.
//!
//! Requests that are asked at once may take place in any order; on a replicated stream they are
//! proposed and committed in any order that keeps each stream's own, and whoever reads from a
//! replica may read any state that there was. What is over may go at any time. All of that is
//! searched; an answer that no order gives is a mismatch, and then the model is wrong.

use crate::cursor;
use crate::same::same;
use crate::table::{Class, Table};
use std::collections::VecDeque;
use tenure_core::id::{Sequence, WallTime};
use tenure_core::port::{Refused, Source, StoreReply, StoreRequest};
use tenure_core::step::Outcome;
use tenure_mem::store::{ProposalId, Store, StoreConfig};

/// A request and what the real server answered.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    pub(crate) request: StoreRequest,
    pub(crate) reply: StoreReply,
}

/// The states that the real server may be in.
#[derive(Clone, Debug)]
pub(crate) struct Relation {
    states: Vec<Store>,
    replicated: bool,
    /// How many answers came from a state that was not the last one.
    pub(crate) stale: u64,
}

/// How many states are followed; beyond that the run is not telling enough.
const STATES_MAX: usize = 64;
/// How many steps one search may take.
const STEPS_MAX: usize = 200_000;

impl Relation {
    pub(crate) fn new(config: StoreConfig, replicated: bool) -> Self {
        Self {
            states: vec![Store::new(config)],
            replicated,
            stale: 0,
        }
    }

    /// One state that may be.
    pub(crate) fn state(&self) -> &Store {
        &self.states[0]
    }

    /// Takes in what was asked at once between two times, and how it was answered.
    pub(crate) fn observe(
        &mut self,
        from: WallTime,
        to: WallTime,
        burst: &[Observed],
        table: &mut Table,
    ) -> Result<(), String> {
        let mut search = Search {
            from,
            to,
            burst,
            replicated: self.replicated,
            found: Vec::new(),
            steps: 0,
            stale: 0,
            nearest: Nearest::default(),
        };
        for state in &self.states {
            let todo = (0..burst.len()).collect();
            search.go(Place {
                store: state.clone(),
                todo,
                pending: VecDeque::new(),
            });
        }
        if search.found.is_empty() {
            return Err(search.nearest.report(burst, &self.states[0]));
        }
        self.stale += search.stale;
        self.states = search.found;
        assert!(
            self.states.len() <= STATES_MAX,
            "more than {STATES_MAX} states are possible"
        );
        for seen in burst {
            table.seen(self.replicated, Class::of(&seen.request, &seen.reply));
        }
        Ok(())
    }
}

/// A point of the search.
#[derive(Clone)]
struct Place {
    store: Store,
    /// What was not begun, in the order of asking.
    todo: Vec<usize>,
    /// What was proposed and not committed.
    pending: VecDeque<(ProposalId, usize)>,
}

struct Search<'a> {
    from: WallTime,
    to: WallTime,
    burst: &'a [Observed],
    replicated: bool,
    found: Vec<Store>,
    steps: usize,
    stale: u64,
    nearest: Nearest,
}

impl Search<'_> {
    fn go(&mut self, place: Place) {
        self.steps += 1;
        assert!(
            self.steps < STEPS_MAX,
            "a burst of {} asks for too long a search",
            self.burst.len()
        );
        if place.todo.is_empty() && place.pending.is_empty() {
            return self.end(place.store);
        }
        for (n, &index) in place.todo.iter().enumerate() {
            let mut todo = place.todo.clone();
            todo.remove(n);
            self.begin(&place, todo, index);
        }
        for (n, &(id, index)) in place.pending.iter().enumerate() {
            let stream = place.store.proposal_stream(id);
            let earlier = place.pending.iter().take(n);
            if earlier
                .into_iter()
                .any(|(other, _)| place.store.proposal_stream(*other) == stream)
            {
                continue;
            }
            let mut next = place.clone();
            next.pending.remove(n);
            let reply = next.store.commit(self.from, id);
            if self.allowed(index, &reply) {
                self.go(next);
            }
        }
        if let Some(over) = place.store.first_over().filter(|over| *over <= self.to) {
            let mut next = place;
            next.store.expire(over);
            self.go(next);
        }
    }

    fn begin(&mut self, place: &Place, todo: Vec<usize>, index: usize) {
        let request = &self.burst[index].request;
        if self.replicated && from_a_replica(request) {
            return self.go(Place {
                todo,
                ..place.clone()
            });
        }
        let reply = &self.burst[index].reply;
        if let Some(store) = cursor::after(&place.store, self.from, request, reply) {
            return self.go(Place {
                store,
                todo,
                pending: place.pending.clone(),
            });
        }
        let mut store = place.store.clone();
        let mut pending = place.pending.clone();
        match store.propose(self.from, request) {
            Ok(id) => pending.push_back((id, index)),
            Err(reply) if self.allowed(index, &reply) => {}
            Err(reply) => match first_refusal(&place.store, self.from, request, &reply) {
                Some(other) if self.allowed(index, &other) => {}
                Some(_) | None => return,
            },
        }
        self.go(Place {
            store,
            todo,
            pending,
        });
    }

    /// What replicas were asked is looked at last: the state at the end knows all that were before.
    fn end(&mut self, store: Store) {
        let mut stale = 0;
        for (index, seen) in self.burst.iter().enumerate() {
            if !self.replicated || !from_a_replica(&seen.request) {
                continue;
            }
            let last = store.last(stream_read(&seen.request)).0;
            let mut points = (0..=last).rev().map(Sequence);
            let point = points.position(|up_to| {
                let reply = store.answer_as_of(self.from, up_to, &seen.request);
                self.allowed(index, &reply)
            });
            match point {
                Some(0) => {}
                Some(_) => stale += 1,
                None => return,
            }
        }
        let print = |store: &Store| {
            let streams = store
                .streams()
                .map(|name| (name.to_owned(), store.last(name)));
            let streams: Vec<_> = streams.collect();
            let messages = |(name, _): &(String, Sequence)| -> Vec<_> {
                store
                    .messages(name)
                    .map(|m| (m.sequence, m.payload.clone()))
                    .collect()
            };
            let messages: Vec<_> = streams.iter().map(messages).collect();
            (streams, messages)
        };
        if !self.found.iter().any(|other| print(other) == print(&store)) {
            self.stale = stale;
            self.found.push(store);
        }
    }

    fn allowed(&mut self, index: usize, reply: &StoreReply) -> bool {
        let seen = &self.burst[index];
        let allowed = same(reply, &seen.reply);
        if !allowed {
            self.nearest.note(index, reply);
        }
        allowed
    }
}

/// Where nobody takes a batch's last message, that is mostly told first; but the stream's refusal of
/// its first one is on its way as well.
fn first_refusal(
    store: &Store,
    at: WallTime,
    request: &StoreRequest,
    reply: &StoreReply,
) -> Option<StoreReply> {
    let (StoreRequest::Batch { id, messages }, Outcome::Refused(Refused::NoResponders)) =
        (request, reply)
    else {
        return None;
    };
    let alone = StoreRequest::Batch {
        id: *id,
        messages: messages.first().cloned().into_iter().collect(),
    };
    let reply = store.clone().propose(at, &alone).err()?;
    let by_its_stream = matches!(
        reply,
        Outcome::Refused(Refused::BatchDisabled | Refused::TooLarge | Refused::TooManyBatches)
    );
    by_its_stream.then_some(reply)
}

/// What the model would have answered instead.
#[derive(Default)]
struct Nearest(Vec<(usize, StoreReply)>);

impl Nearest {
    fn note(&mut self, index: usize, reply: &StoreReply) {
        if self.0.len() < 8 && !self.0.iter().any(|known| known == &(index, reply.clone())) {
            self.0.push((index, reply.clone()));
        }
    }

    fn report(&self, burst: &[Observed], state: &Store) -> String {
        let mut text = String::from("the model allows none of these answers:\n");
        for (n, seen) in burst.iter().enumerate() {
            text += &format!(
                "{n}: {}\n   real:  {}\n",
                short(&seen.request),
                short(&seen.reply)
            );
            for (_, reply) in self.0.iter().filter(|(index, _)| *index == n) {
                text += &format!("   model: {}\n", short(reply));
            }
        }
        for stream in state.streams() {
            let messages = state.messages(stream).rev().take(12);
            let messages: Vec<_> = messages
                .map(|m| format!("{}@{}", m.subject, m.sequence.0))
                .collect();
            text += &format!(
                "{stream} ends at {}: {}\n",
                state.last(stream),
                messages.join(" ")
            );
        }
        text
    }
}

fn short(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    match text.char_indices().nth(1_500) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Whether any replica may answer.
fn from_a_replica(request: &StoreRequest) -> bool {
    match request {
        StoreRequest::Latest { .. }
        | StoreRequest::Get {
            source: Source::Replica,
            ..
        }
        | StoreRequest::Scan { .. } => true,
        StoreRequest::Get {
            source: Source::Leader,
            ..
        }
        | StoreRequest::Publish(_)
        | StoreRequest::Batch { .. }
        | StoreRequest::CreateStream(_)
        | StoreRequest::StreamInfo { .. }
        | StoreRequest::Capabilities
        | StoreRequest::OpenConsumer(_)
        | StoreRequest::Fetch { .. }
        | StoreRequest::CloseConsumer { .. } => false,
    }
}

fn stream_read(request: &StoreRequest) -> &str {
    match request {
        StoreRequest::Latest { stream, .. }
        | StoreRequest::Get { stream, .. }
        | StoreRequest::Scan { stream, .. }
        | StoreRequest::StreamInfo { stream } => stream,
        StoreRequest::Publish(_)
        | StoreRequest::Batch { .. }
        | StoreRequest::CreateStream(_)
        | StoreRequest::Capabilities
        | StoreRequest::OpenConsumer(_)
        | StoreRequest::Fetch { .. }
        | StoreRequest::CloseConsumer { .. } => "",
    }
}

#[cfg(test)]
mod tests {
    use super::{Observed, Relation};
    use crate::alphabet::{message, settings};
    use crate::table::Table;
    use tenure_core::id::{Sequence, WallTime};
    use tenure_core::port::{Ack, Expect, Publish, Refused, StoreDone, StoreReply, StoreRequest};
    use tenure_core::step::Outcome;
    use tenure_mem::store::StoreConfig;

    const T0: WallTime = WallTime(1_000_000);

    fn relation(replicas: u32) -> Relation {
        let config = match replicas {
            1 => StoreConfig::default(),
            servers => StoreConfig::clustered(servers),
        };
        let mut relation = Relation::new(config, replicas > 1);
        let create = StoreRequest::CreateStream(settings("S", replicas));
        let reply = relation.states[0].clone().apply(T0, &create);
        let seen = [Observed {
            request: create,
            reply,
        }];
        relation
            .observe(T0, T0, &seen, &mut Table::default())
            .expect("it is created");
        relation
    }

    fn first(reply: StoreReply) -> Observed {
        let expect = Expect::OwnLast(Sequence::NONE);
        let request = StoreRequest::Publish(Publish {
            expect,
            ..message("S", "s.a")
        });
        Observed { request, reply }
    }

    fn stored(sequence: u64) -> StoreReply {
        let ack = Ack {
            sequence: Sequence(sequence),
            duplicate: false,
        };
        Outcome::Done(StoreDone::Published(ack))
    }

    fn refused(refused: Refused) -> StoreReply {
        Outcome::Refused(refused)
    }

    #[test]
    fn what_the_model_does_not_allow_is_a_mismatch() {
        for wrong in [stored(2), refused(Refused::NotFound), Outcome::Unknown] {
            let told = relation(1).observe(T0, T0, &[first(wrong)], &mut Table::default());
            assert!(told.expect_err("a wrong answer").contains("model: Done"));
        }
        assert!(
            relation(1)
                .observe(T0, T0, &[first(stored(1))], &mut Table::default())
                .is_ok()
        );
    }

    #[test]
    fn what_is_asked_at_once_takes_place_in_some_order() {
        let ahead = refused(Refused::WrongLast {
            actual: Some(Sequence(1)),
        });
        for (one, other, allowed) in [
            (stored(1), ahead.clone(), true),
            (ahead.clone(), stored(1), true),
            (stored(1), stored(1), false),
            (ahead.clone(), ahead.clone(), false),
            (stored(1), refused(Refused::InProcess), false),
        ] {
            let seen = [first(one), first(other)];
            let told = relation(1).observe(T0, T0, &seen, &mut Table::default());
            assert_eq!(told.is_ok(), allowed, "{seen:?}");
        }
    }

    #[test]
    fn only_a_replicated_stream_refuses_what_is_in_process() {
        let seen = [first(refused(Refused::InProcess)), first(stored(1))];
        assert!(
            relation(3)
                .observe(T0, T0, &seen, &mut Table::default())
                .is_ok()
        );
        assert!(
            relation(1)
                .observe(T0, T0, &seen, &mut Table::default())
                .is_err()
        );
    }
}

//! How much a node takes in and sends out at once, so that its memory is bounded when its store
//! stops answering. Pure structures that the lanes of a node ask.

use crate::step::Limits;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use core::sync::atomic::{AtomicUsize, Ordering};

/// The requests of a node that wait for their answers, over all lanes.
///
/// - F1: lanes that ask before they take a request in, and say how many wait in them after each
///   change, keep the node at `requests_max` requests, and one more for each further lane that asked
///   at the same moment.
#[derive(Debug)]
pub struct Admission {
    requests_max: usize,
    total: AtomicUsize,
    /// What each lane said last; no other lane writes it.
    said: Box<[AtomicUsize]>,
}

impl Admission {
    /// For a node with so many lanes, with nobody waiting.
    pub fn new(limits: &Limits, lanes: usize) -> Self {
        Self {
            requests_max: limits.requests_max,
            total: AtomicUsize::new(0),
            said: (0..lanes).map(|_| AtomicUsize::new(0)).collect(),
        }
    }

    /// So many wait in a lane now.
    pub fn set(&self, lane: usize, waiting: usize) {
        let Some(said) = self.said.get(lane) else {
            return;
        };
        let before = said.load(Ordering::Relaxed);
        if before == waiting {
            return;
        }
        said.store(waiting, Ordering::Relaxed);
        if waiting > before {
            self.total.fetch_add(waiting - before, Ordering::Relaxed);
        } else {
            self.total.fetch_sub(before - waiting, Ordering::Relaxed);
        }
    }

    /// How many wait in all lanes.
    pub fn waiting(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// Whether one more may be taken in.
    pub fn admits(&self) -> bool {
        self.waiting() < self.requests_max
    }
}

/// The requests of one lane to its store: for each stream so many are in flight at most, the others
/// wait for their turn in the order in which they came.
///
/// - F2: no stream has more than `store_in_flight_max` in flight, and none waits while there is room.
/// - F3: what waits is given back to be begun exactly once.
#[derive(Clone, Debug)]
pub struct Window<K, T> {
    in_flight_max: usize,
    waiting_max: usize,
    streams: BTreeMap<K, Stream<T>>,
}

#[derive(Clone, Debug)]
struct Stream<T> {
    in_flight: usize,
    waiting: VecDeque<T>,
}

impl<K: Ord + Clone, T> Window<K, T> {
    /// With nothing in flight.
    pub fn new(limits: &Limits) -> Self {
        Self {
            in_flight_max: limits.store_in_flight_max.max(1),
            waiting_max: limits.store_waiting_max,
            streams: BTreeMap::new(),
        }
    }

    /// Whether a request for a stream is to be begun now, and is counted; else it is to
    /// [`wait`](Self::wait).
    pub fn enter(&mut self, stream: &K) -> bool {
        let room = match self.streams.get_mut(stream) {
            Some(stream) => stream,
            None => self.streams.entry(stream.clone()).or_insert(Stream {
                in_flight: 0,
                waiting: VecDeque::new(),
            }),
        };
        let enters = room.in_flight < self.in_flight_max;
        room.in_flight += usize::from(enters);
        enters
    }

    /// A request for a stream that could not [`enter`](Self::enter) waits for its turn.
    ///
    /// # Panics
    ///
    /// When nothing of the stream is in flight, after which its turn would come.
    pub fn wait(&mut self, stream: &K, request: T) {
        let stream = self.streams.get_mut(stream);
        let stream = stream.expect("a stream with requests in flight");
        assert!(stream.in_flight > 0, "who has room does not wait");
        stream.waiting.push_back(request);
    }

    /// A request of a stream was answered: the next one that is to be begun.
    pub fn answered(&mut self, stream: &K) -> Option<T> {
        let stream = self.streams.get_mut(stream)?;
        let next = stream.waiting.pop_front();
        if next.is_none() {
            stream.in_flight = stream.in_flight.saturating_sub(1);
        }
        next
    }

    /// Whether so many wait for a stream that nothing new should be begun for it.
    ///
    /// What is under way may add to them still: each entity has a bounded number of requests, and no
    /// new entity comes.
    pub fn is_full<Q>(&self, stream: &Q) -> bool
    where
        K: core::borrow::Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let stream = self.streams.get(stream);
        stream.is_some_and(|stream| stream.waiting.len() >= self.waiting_max)
    }

    /// How many are in flight.
    pub fn in_flight(&self) -> usize {
        self.streams.values().map(|stream| stream.in_flight).sum()
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.streams
            .values()
            .map(|stream| stream.waiting.len())
            .sum()
    }
}

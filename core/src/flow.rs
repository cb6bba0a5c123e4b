//! How much a node takes in and sends out at once, so that its memory is bounded when its store
//! stops answering. Pure structures that the lanes of a node ask.

use crate::step::Limits;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

/// The requests of a node that wait for their answers, over all lanes.
///
/// - F1: lanes that ask before they take a request in, and say how many wait in them after each
///   change, keep the node at `requests_max` requests, and one more for each further lane that asked
///   at the same moment.
#[derive(Debug)]
pub struct Admission {
    requests_max: usize,
    /// What each lane said last; no other lane writes it. Each command changes one twice and looks at
    /// all once, so there is no sum of them that the lanes would contend for.
    said: Box<[AtomicUsize]>,
}

impl Admission {
    /// For a node with so many lanes, with nobody waiting.
    pub fn new(limits: &Limits, lanes: usize) -> Self {
        Self {
            requests_max: limits.requests_max,
            said: (0..lanes).map(|_| AtomicUsize::new(0)).collect(),
        }
    }

    /// So many wait in a lane now.
    pub fn set(&self, lane: usize, waiting: usize) {
        if let Some(said) = self.said.get(lane) {
            said.store(waiting, Ordering::Relaxed);
        }
    }

    /// How many wait in all lanes.
    pub fn waiting(&self) -> usize {
        let said = self.said.iter();
        said.map(|said| said.load(Ordering::Relaxed)).sum()
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
    /// A lane has a handful of streams, which stay.
    streams: Vec<Stream<K, T>>,
}

#[derive(Clone, Debug)]
struct Stream<K, T> {
    name: K,
    in_flight: usize,
    waiting: VecDeque<T>,
}

/// A stream's place in a [`Window`]: its requests are counted there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamAt(usize);

/// Whether a request is to be begun now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Room {
    /// It is, and is counted until it is [answered](Window::answered).
    Entered(StreamAt),
    /// It is to [wait](Window::wait).
    Full(StreamAt),
}

impl<K: PartialEq + Clone, T> Window<K, T> {
    /// With nothing in flight.
    pub fn new(limits: &Limits) -> Self {
        Self {
            in_flight_max: limits.store_in_flight_max.max(1),
            waiting_max: limits.store_waiting_max,
            streams: Vec::new(),
        }
    }

    /// Counts a request for a stream, if there is room for it.
    pub fn enter(&mut self, stream: &K) -> Room {
        let place = self.streams.iter().position(|other| other.name == *stream);
        let place = place.unwrap_or_else(|| {
            self.streams.push(Stream {
                name: stream.clone(),
                in_flight: 0,
                waiting: VecDeque::new(),
            });
            self.streams.len() - 1
        });
        let room = &mut self.streams[place];
        if room.in_flight < self.in_flight_max {
            room.in_flight += 1;
            Room::Entered(StreamAt(place))
        } else {
            Room::Full(StreamAt(place))
        }
    }

    /// A request for a stream that could not [`enter`](Self::enter) waits for its turn.
    ///
    /// # Panics
    ///
    /// When nothing of the stream is in flight, after which its turn would come.
    pub fn wait(&mut self, stream: StreamAt, request: T) {
        let stream = &mut self.streams[stream.0];
        assert!(stream.in_flight > 0, "who has room does not wait");
        stream.waiting.push_back(request);
    }

    /// A request of a stream was answered: the next one that is to be begun, which takes its place.
    ///
    /// # Panics
    ///
    /// When the stream's place is of another window.
    pub fn answered(&mut self, stream: StreamAt) -> Option<T> {
        let stream = &mut self.streams[stream.0];
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
    pub fn is_full(&self, stream: &K) -> bool {
        let mut streams = self.streams.iter();
        let stream = streams.find(|other| other.name == *stream);
        stream.is_some_and(|stream| stream.waiting.len() >= self.waiting_max)
    }

    /// How many are in flight.
    pub fn in_flight(&self) -> usize {
        self.streams.iter().map(|stream| stream.in_flight).sum()
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.streams.iter().map(|stream| stream.waiting.len()).sum()
    }
}

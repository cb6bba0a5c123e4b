//! The machine: what happens to it, and what it has for connections.

use super::config::FrontConfig;
use super::connection::{Connection, ConnectionId, Outgoing};
use super::dice::Dice;
use super::jetstream::JetStream;
use super::router::{Matching, Router};
use super::wire;
use crate::store::Store;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::BytesMut;
use tenure_core::id::WallTime;

/// What happens to a front.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input {
    /// When a client connects.
    Opened(ConnectionId),
    /// When bytes come of a connection. Their memory is taken over, and messages share it.
    Received(ConnectionId, BytesMut),
    /// When a client is gone.
    Closed(ConnectionId),
    /// When a client took nothing of what was written to it for too long: it is forgotten.
    Stuck(ConnectionId),
    /// When time passed: what was due until then happens.
    Woken,
    /// When the server is to end: clients are told, nobody connects any more, and all connections end after
    /// [`FrontConfig::lame_duck_grace_ms`].
    LameDuck,
}

/// A server without I/O.
#[derive(Debug)]
pub struct Front {
    pub(crate) config: FrontConfig,
    /// The time of the step.
    pub(crate) at: WallTime,
    pub(crate) dice: Dice,
    pub(crate) server_id: String,
    pub(crate) connections: BTreeMap<ConnectionId, Connection>,
    pub(crate) router: Router,
    pub(crate) matching: Matching,
    pub(crate) store: Store,
    pub(crate) jetstream: JetStream,
    ready: VecDeque<ConnectionId>,
    /// When the connections of a server that ends do.
    ends: Option<WallTime>,
    /// When connections are looked at next for those that are silent: no later than any is due.
    looks: WallTime,
    refused: u64,
    /// How many streams the message has gone through that one takes in now.
    pub(crate) hops: u32,
}

/// How much room a connection keeps when nothing waits for it, in bytes.
const ROOM_KEPT: usize = 64 << 10;

impl Front {
    /// A server without streams and connections.
    pub fn new(config: FrontConfig) -> Self {
        let mut dice = Dice::new(config.seed);
        Self {
            at: WallTime(0),
            server_id: dice.name(56),
            dice,
            connections: BTreeMap::new(),
            router: Router::default(),
            matching: Matching::default(),
            store: Store::new(config.store.clone()),
            jetstream: JetStream::default(),
            ready: VecDeque::new(),
            ends: None,
            looks: WallTime(u64::MAX),
            refused: 0,
            hops: 0,
            config,
        }
    }

    /// Takes what happened at a time, which never goes back.
    pub fn step(&mut self, at: WallTime, input: Input) {
        self.at = self.at.max(at);
        match input {
            Input::Opened(connection) => self.open(connection),
            Input::Received(connection, bytes) => self.receive(connection, bytes),
            Input::Closed(connection) => self.forget(connection),
            Input::Stuck(connection) => {
                self.refused += 1;
                self.forget(connection);
            }
            Input::Woken => self.expire(),
            Input::LameDuck => self.end_slowly(),
        }
        self.work();
    }

    /// When time alone changes something next.
    pub fn next_wake(&self) -> Option<WallTime> {
        let ends = self.ends.filter(|_| {
            // One that ends already waits for being taken, and for no time.
            let mut all = self.connections.values();
            all.any(|there| !there.ends)
        });
        let looks = Some(self.looks).filter(|looks| looks.0 < u64::MAX);
        let work = [
            ends,
            looks,
            self.store.next_expiry(),
            self.jetstream.next_due(),
        ];
        work.into_iter().flatten().min()
    }

    /// A connection that has something to take, each once.
    pub fn next_ready(&mut self) -> Option<ConnectionId> {
        let connection = self.ready.pop_front()?;
        if let Some(there) = self.connections.get_mut(&connection) {
            there.is_ready = false;
        }
        Some(connection)
    }

    /// Takes what waits for a connection. Nothing further comes of one that ends: it is forgotten.
    pub fn take(&mut self, connection: ConnectionId) -> Outgoing {
        let Some(there) = self.connections.get_mut(&connection) else {
            return Outgoing {
                ends: true,
                ..Outgoing::default()
            };
        };
        let bytes = there.waiting.split().freeze();
        if there.waiting.capacity() > ROOM_KEPT {
            there.waiting = BytesMut::new();
        }
        let ends = there.ends;
        if ends {
            self.forget(connection);
        }
        Outgoing { bytes, ends }
    }

    /// How many bytes are missing at least before a connection's next operation is whole, for who reads them.
    pub fn missing(&self, connection: ConnectionId) -> usize {
        let there = self.connections.get(&connection);
        there.map_or(1, |there| there.parser.missing(&there.came))
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Whether the server was to end, and nobody is connected any more.
    pub fn has_ended(&self) -> bool {
        self.ends.is_some() && self.connections.is_empty()
    }

    /// How many connections were closed by the front: for what they sent, for not taking what was theirs, or
    /// because there were too many.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// How long a write to a connection may take, in milliseconds, for who writes.
    pub fn write_deadline_ms(&self) -> u64 {
        self.config.write_deadline_ms
    }

    /// The store behind it.
    pub fn store(&self) -> &Store {
        &self.store
    }

    fn open(&mut self, connection: ConnectionId) {
        let mut there = Connection::new(self.config.wire, self.at);
        wire::info(&mut there.waiting, &self.info(connection, false));
        self.looks = self.looks.min(there.due(self.config.ping_interval_ms));
        let full = self.connections.len() >= self.config.connections_max;
        self.connections.insert(connection, there);
        if full {
            self.end(connection, Some("maximum connections exceeded"));
        } else if self.ends.is_some() {
            self.end(connection, None);
        }
        self.name_ready(connection);
    }

    fn receive(&mut self, connection: ConnectionId, bytes: BytesMut) {
        let Some(there) = self.connections.get_mut(&connection) else {
            return;
        };
        if there.ends {
            return;
        }
        there.heard = self.at;
        there.pings_out = 0;
        if there.came.is_empty() {
            there.came = bytes;
        } else {
            there.came.unsplit(bytes);
        }
        while let Some(there) = self.connections.get_mut(&connection)
            && !there.ends
        {
            match there.parser.next(&mut there.came) {
                Ok(Some(operation)) => {
                    let done = self.operate(connection, operation);
                    if let Err(violation) = done {
                        self.violated(connection, violation);
                    }
                    self.work();
                }
                Ok(None) => return,
                Err(violation) => self.violated(connection, violation),
            }
        }
    }

    fn violated(&mut self, connection: ConnectionId, violation: wire::Violation) {
        let text = alloc::format!("{violation}");
        // As the server, which tells nothing of some.
        let told = Some(text.as_str()).filter(|_| violation.is_told());
        self.refused += u64::from(told.is_none());
        self.end(connection, told);
    }

    /// Ends a connection after what waits for it.
    pub(crate) fn end(&mut self, connection: ConnectionId, reason: Option<&str>) {
        let Some(there) = self.connections.get_mut(&connection) else {
            return;
        };
        if let Some(reason) = reason {
            self.refused += 1;
            wire::error(&mut there.waiting, reason);
        }
        there.ends = true;
        there.came = BytesMut::new();
        self.unsubscribe_all(connection);
        self.name_ready(connection);
    }

    /// Something was written to a connection, which is closed when it does not take what is its own.
    pub(crate) fn written(&mut self, connection: ConnectionId) {
        let pending_bytes_max = self.config.pending_bytes_max;
        match self.connections.get_mut(&connection) {
            Some(there) if !there.ends && there.waiting.len() > pending_bytes_max => {
                there.waiting = BytesMut::new();
                self.end(connection, Some("Slow Consumer"));
            }
            Some(_) | None => self.name_ready(connection),
        }
    }

    fn name_ready(&mut self, connection: ConnectionId) {
        if let Some(there) = self.connections.get_mut(&connection)
            && !core::mem::replace(&mut there.is_ready, true)
        {
            self.ready.push_back(connection);
        }
    }

    fn forget(&mut self, connection: ConnectionId) {
        self.unsubscribe_all(connection);
        self.connections.remove(&connection);
    }

    fn unsubscribe_all(&mut self, connection: ConnectionId) {
        let Some(there) = self.connections.get_mut(&connection) else {
            return;
        };
        for (_, subscription) in core::mem::take(&mut there.subscriptions) {
            if let Some(gone) = self.router.remove(subscription) {
                self.jetstream.look_at_interest(&gone.subject);
            }
        }
    }

    fn end_slowly(&mut self) {
        if self.ends.is_some() {
            return;
        }
        let grace_ms = self.config.lame_duck_grace_ms;
        self.ends = Some(WallTime(self.at.0.saturating_add(grace_ms)));
        let all: Vec<ConnectionId> = self.connections.keys().copied().collect();
        for connection in all {
            let info = self.info(connection, true);
            if let Some(there) = self.connections.get_mut(&connection) {
                wire::info(&mut there.waiting, &info);
            }
            self.written(connection);
        }
    }

    /// What was due until now: connections that are silent, a server that ends, and what JetStream waits for.
    fn expire(&mut self) {
        let at = self.at;
        if self.looks <= at || self.ends.is_some_and(|ends| ends <= at) {
            self.look_for_silent();
        }
        if self.store.next_expiry().is_some_and(|expiry| expiry <= at) {
            self.expire_messages();
        }
        self.jetstream.wake(at);
    }

    fn look_for_silent(&mut self) {
        let (at, interval_ms) = (self.at, self.config.ping_interval_ms);
        let over = self.ends.is_some_and(|ends| ends <= at);
        let silent = |there: &Connection| !there.ends && (over || there.due(interval_ms) <= at);
        let due = self.connections.iter().filter(|(_, there)| silent(there));
        let due: Vec<ConnectionId> = due.map(|(connection, _)| *connection).collect();
        for connection in due {
            self.ask_alive(connection, over);
        }
        let living = self.connections.values().filter(|it| !it.ends);
        let next = living.map(|connection| connection.due(interval_ms)).min();
        self.looks = next.unwrap_or(WallTime(u64::MAX));
    }

    fn ask_alive(&mut self, connection: ConnectionId, over: bool) {
        let pings_out_max = self.config.pings_out_max;
        let Some(there) = self.connections.get_mut(&connection) else {
            return;
        };
        if over {
            self.end(connection, None);
        } else if there.pings_out >= pings_out_max {
            self.end(connection, Some("Stale Connection"));
        } else {
            there.pings_out += 1;
            wire::ping(&mut there.waiting);
            self.written(connection);
        }
    }
}

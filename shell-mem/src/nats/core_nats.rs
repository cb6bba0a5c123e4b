//! Operations of clients, and messages on their way to subscriptions.

use super::connection::{ClientOptions, ConnectionId};
use super::front::Front;
use super::jetstream::API_LEVEL;
use super::router::{Subscription, SubscriptionId};
use super::wire::{self, Delivered, Operation, Publication, Text, Violation, status};
use crate::store::valid;
use alloc::string::{String, ToString as _};
use bytes::Bytes;
use serde_json::json;

impl Front {
    /// Does what a client asks.
    pub(super) fn operate(
        &mut self,
        connection: ConnectionId,
        operation: Operation,
    ) -> Result<(), Violation> {
        match operation {
            Operation::Connect(json) => {
                let options = ClientOptions::read(&json)?;
                if let Some(there) = self.connections.get_mut(&connection) {
                    there.options = options;
                }
                self.acknowledge(connection);
            }
            Operation::Ping => {
                if let Some(there) = self.connections.get_mut(&connection) {
                    wire::pong(&mut there.waiting);
                }
                self.written(connection);
            }
            // It was heard, which is all that is asked for.
            Operation::Pong => {}
            Operation::Subscribe {
                subject,
                queue,
                sid,
            } => self.subscribe(connection, (subject, queue, sid))?,
            Operation::Unsubscribe { sid, after } => {
                self.unsubscribe(connection, &sid, after);
                self.acknowledge(connection);
            }
            Operation::Publish(publication) => self.publish(connection, &publication)?,
        }
        Ok(())
    }

    /// What a server tells of itself.
    pub(super) fn info(&self, connection: ConnectionId, ends: bool) -> String {
        let capabilities = &self.store.config().capabilities;
        let mut info = json!({
            "server_id": self.server_id,
            "server_name": self.config.name,
            "version": capabilities.version.to_string(),
            "proto": 1,
            "go": "",
            "host": self.config.host,
            "port": self.config.port,
            "headers": true,
            "max_payload": self.config.wire.payload_bytes_max,
            "jetstream": capabilities.jetstream,
            "client_id": connection.0,
            "api_lvl": API_LEVEL,
        });
        if capabilities.clustered {
            info["cluster"] = self.config.name.as_str().into();
        }
        if ends {
            info["ldm"] = true.into();
        }
        info.to_string()
    }

    fn acknowledge(&mut self, connection: ConnectionId) {
        if let Some(there) = self.connections.get_mut(&connection)
            && there.options.verbose
        {
            wire::ok(&mut there.waiting);
            self.written(connection);
        }
    }

    /// Tells a client of something that does not end its connection.
    fn tell_error(&mut self, connection: ConnectionId, text: &str) {
        if let Some(there) = self.connections.get_mut(&connection) {
            wire::error(&mut there.waiting, text);
            self.written(connection);
        }
    }

    fn subscribe(
        &mut self,
        connection: ConnectionId,
        (subject, queue, sid): (Text, Option<Text>, Text),
    ) -> Result<(), Violation> {
        if !valid(&subject) {
            self.tell_error(connection, "Invalid Subject");
            return Ok(());
        }
        let subscriptions_max = self.config.subscriptions_max;
        let Some(there) = self.connections.get_mut(&connection) else {
            return Ok(());
        };
        if there.subscriptions.len() >= subscriptions_max {
            return Err(Violation::Subscriptions);
        }
        if !there.subscriptions.contains_key(&sid) {
            // What came with them goes sooner than they do.
            let sid = sid.detached();
            let id = self.router.add(Subscription {
                connection,
                sid: sid.clone(),
                subject: subject.detached(),
                queue: queue.as_ref().map(Text::detached),
                delivered: 0,
                after: None,
            });
            there.subscriptions.insert(sid, id);
            self.jetstream.look_at_interest(&subject);
        }
        self.acknowledge(connection);
        Ok(())
    }

    fn unsubscribe(&mut self, connection: ConnectionId, sid: &Text, after: Option<u64>) {
        let Some(there) = self.connections.get(&connection) else {
            return;
        };
        let Some(id) = there.subscriptions.get(sid).copied() else {
            return;
        };
        if let Some(subscription) = self.router.get_mut(id) {
            subscription.after = after.filter(|after| *after > subscription.delivered);
            if subscription.after.is_none() {
                self.end_subscription(id);
            }
        }
    }

    fn end_subscription(&mut self, id: SubscriptionId) {
        let Some(gone) = self.router.remove(id) else {
            return;
        };
        if let Some(there) = self.connections.get_mut(&gone.connection) {
            there.subscriptions.remove(&gone.sid);
        }
        self.jetstream.look_at_interest(&gone.subject);
    }

    fn publish(
        &mut self,
        connection: ConnectionId,
        publication: &Publication,
    ) -> Result<(), Violation> {
        let Some(there) = self.connections.get(&connection) else {
            return Ok(());
        };
        let options = there.options;
        if !publication.headers.is_empty() && !options.headers {
            return Err(Violation::HeadersOff);
        }
        if options.pedantic && !crate::store::literal(&publication.subject) {
            // As the server, which takes the message all the same.
            self.tell_error(connection, "Invalid Publish Subject");
        }
        self.acknowledge(connection);
        let reached = self.route(Some(connection), publication);
        let served = self.serve(publication);
        if !reached && !served && options.no_responders {
            self.tell_nobody_listens(connection, publication);
        }
        Ok(())
    }

    /// Takes a message to those who listen to its subject; whether there was anybody.
    pub(super) fn route(&mut self, from: Option<ConnectionId>, message: &Publication) -> bool {
        self.route_to(from, message, &message.subject)
    }

    /// Takes a message to those who listen to a subject, which need not be its own.
    pub(super) fn route_to(
        &mut self,
        from: Option<ConnectionId>,
        message: &Publication,
        to: &str,
    ) -> bool {
        let mut matching = core::mem::take(&mut self.matching);
        matching.clear();
        self.router.find(to, &mut matching);
        let mut reached = false;
        for id in &matching.plain {
            reached |= self.deliver(from, *id, message);
        }
        for (_, members) in &matching.groups {
            let first = self.dice.below(members.len());
            let (before, after) = members.split_at(first);
            // One whose connection does not want its own messages is passed over.
            let mut turn = after.iter().chain(before);
            reached |= turn.any(|id| self.deliver(from, *id, message));
        }
        self.matching = matching;
        reached
    }

    /// Takes a message to one subscription, unless its client sent it and wants no echo.
    fn deliver(
        &mut self,
        from: Option<ConnectionId>,
        id: SubscriptionId,
        message: &Publication,
    ) -> bool {
        let Some(subscription) = self.router.get_mut(id) else {
            return false;
        };
        let connection = subscription.connection;
        let Some(there) = self.connections.get_mut(&connection) else {
            return false;
        };
        if from == Some(connection) && !there.options.echo {
            return false;
        }
        subscription.delivered += 1;
        let over = subscription.after == Some(subscription.delivered);
        let delivered = Delivered {
            subject: &message.subject,
            reply: message.reply.as_ref(),
            headers: &message.headers,
            payload: &message.payload,
        };
        let headers = there.options.headers;
        wire::deliver(&mut there.waiting, &subscription.sid, delivered, headers);
        self.written(connection);
        if over {
            self.end_subscription(id);
        }
        true
    }

    /// Answers a message that nobody took with just that.
    fn tell_nobody_listens(&mut self, connection: ConnectionId, publication: &Publication) {
        let Some(reply) = &publication.reply else {
            return;
        };
        let mut matching = core::mem::take(&mut self.matching);
        matching.clear();
        self.router.find(reply, &mut matching);
        let own = |id: &&SubscriptionId| {
            let subscription = self.router.get(**id);
            subscription.is_some_and(|it| it.connection == connection)
        };
        let own = matching.plain.iter().find(own).copied();
        self.matching = matching;
        if let Some(own) = own {
            let told = Publication {
                subject: reply.clone(),
                reply: None,
                headers: status(503, "", &[("Nats-Subject", &publication.subject)]),
                payload: Bytes::new(),
            };
            self.deliver(None, own, &told);
        }
    }
}

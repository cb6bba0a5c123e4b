//! What befalls a server, for tests of those who use it.

use super::super::front::Front;
use super::batches::Batches;
use crate::store::Store;
use alloc::vec::Vec;
use tenure_core::port::ConsumerName;

impl Front {
    /// Looks at the store, or damages it. Where consumers are in their streams stays as it is.
    pub fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    /// Removes the consumers of a stream and tells nobody, as when the server that had them is gone.
    pub fn forget_consumers_of(&mut self, stream: &str) {
        self.forget_consumers(stream, |_| true);
    }

    /// Forgets what a server has in its memory alone, as one that is started again has: consumers that are
    /// kept there, and batches that are not whole. Whoever listens closes its connections.
    pub fn forget_memory(&mut self) {
        let streams: Vec<_> = self.jetstream.streams.keys().cloned().collect();
        for stream in streams {
            self.forget_consumers(&stream, |in_memory| in_memory);
        }
        self.jetstream.batches = Batches::default();
    }

    fn forget_consumers(&mut self, stream: &str, is_gone: impl Fn(bool) -> bool) {
        let Some(there) = self.jetstream.streams.get_mut(stream) else {
            return;
        };
        let gone = there
            .consumers
            .iter_mut()
            .filter(|(_, consumer)| is_gone(consumer.config.mem_storage));
        let gone = gone.map(|(name, consumer)| {
            // Those who wait hear nothing.
            consumer.pulls.clear();
            name.clone()
        });
        let gone: Vec<ConsumerName> = gone.collect();
        for name in gone {
            self.end_consumer(stream, &name);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::nats::{ConnectionId, Front, FrontConfig, Input};
    use alloc::format;
    use alloc::string::String;
    use bytes::BytesMut;
    use tenure_core::id::{Sequence, WallTime};

    const ALICE: ConnectionId = ConnectionId(1);

    fn say(front: &mut Front, text: &str) -> String {
        let bytes = BytesMut::from(text.as_bytes());
        front.step(WallTime(1), Input::Received(ALICE, bytes));
        String::from_utf8(front.take(ALICE).bytes.into()).unwrap()
    }

    fn request(subject: &str, body: &str) -> String {
        format!("PUB $JS.API.{subject} in.1 {}\r\n{body}\r\n", body.len())
    }

    /// A front with a stream, a consumer in memory and one that is not.
    fn front() -> Front {
        let mut front = Front::new(FrontConfig::default());
        front.step(WallTime(0), Input::Opened(ALICE));
        say(
            &mut front,
            "CONNECT {\"verbose\":false,\"headers\":true}\r\nSUB in.* 0\r\n",
        );
        let stream = "{\"name\":\"S\",\"subjects\":[\"s.>\"],\"allow_atomic\":true}";
        say(&mut front, &request("STREAM.CREATE.S", stream));
        for (name, in_memory) in [("M", true), ("F", false)] {
            let create = format!(
                "{{\"stream_name\":\"S\",\"config\":{{\"name\":\"{name}\",\"ack_policy\":\"none\",\
                 \"mem_storage\":{in_memory}}}}}"
            );
            let told = say(
                &mut front,
                &request(&format!("CONSUMER.CREATE.S.{name}"), &create),
            );
            assert!(!told.contains("error"), "{told}");
        }
        front
    }

    fn has(front: &mut Front, consumer: &str) -> bool {
        let told = say(front, &request(&format!("CONSUMER.INFO.S.{consumer}"), ""));
        !told.contains("error")
    }

    #[test]
    fn a_server_that_starts_again_has_what_it_stored_and_no_more() {
        let mut front = front();
        say(&mut front, "PUB s.a 1\r\nx\r\n");
        let headers = "NATS/1.0\r\nNats-Batch-Id: b\r\nNats-Batch-Sequence: 1\r\n\r\n";
        let (len, all) = (headers.len(), headers.len() + 1);
        say(
            &mut front,
            &format!("HPUB s.b in.2 {len} {all}\r\n{headers}y\r\n"),
        );
        front.forget_memory();
        assert!(!has(&mut front, "M") && has(&mut front, "F"));
        assert_eq!(front.store().last("S"), Sequence(1));
        let headers = headers.replace("Sequence: 1", "Sequence: 2\r\nNats-Batch-Commit: 1");
        let (len, all) = (headers.len(), headers.len() + 1);
        let told = say(
            &mut front,
            &format!("HPUB s.b in.2 {len} {all}\r\n{headers}y\r\n"),
        );
        assert!(told.contains("error"), "{told}");
    }

    #[test]
    fn consumers_that_are_forgotten_tell_nobody() {
        let mut front = front();
        let pull = "PUB $JS.API.CONSUMER.MSG.NEXT.S.M in.3 0\r\n\r\n";
        assert_eq!(say(&mut front, pull), "");
        front.forget_consumers_of("S");
        assert_eq!(say(&mut front, "PUB s.a 1\r\nx\r\n"), "");
        assert!(!has(&mut front, "M") && !has(&mut front, "F"));
    }

    #[test]
    fn a_tail_that_is_lost_is_gone_for_clients_as_well() {
        let mut front = front();
        say(&mut front, "PUB s.a 1\r\nx\r\nPUB s.a 1\r\ny\r\n");
        front.store_mut().lose_tail("S", Sequence(1));
        let told = say(&mut front, &request("STREAM.INFO.S", ""));
        assert!(told.contains("\"last_seq\":1"), "{told}");
    }
}

//! What clients and servers of NATS tell each other, cut into operations, and told apart as far as what
//! befalls them depends on it.

use super::wire::Carried;
use bytes::{Bytes, BytesMut};

/// How long a line is looked for before it is no line.
const LINE_MAX: usize = 8 << 10;

/// One operation of the protocol, be it of a client or a server.
#[derive(Clone, Debug)]
pub struct Operation {
    bytes: Bytes,
    /// Where its line ends.
    line: usize,
}

impl Operation {
    /// Takes the next whole operation from what came, if there is one. What is no protocol comes as it is.
    pub fn next(came: &mut BytesMut) -> Option<Self> {
        let line = came.windows(2).take(LINE_MAX).position(|it| it == b"\r\n");
        let Some(line) = line else {
            return (came.len() > LINE_MAX).then(|| Self {
                line: 0,
                bytes: came.split().freeze(),
            });
        };
        let length = line + 2 + payload(&came[..line]).map_or(0, |bytes| bytes + 2);
        (came.len() >= length).then(|| Self {
            line,
            bytes: came.split_to(length).freeze(),
        })
    }

    /// All of it.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Its line.
    pub fn line(&self) -> &str {
        str::from_utf8(&self.bytes[..self.line]).unwrap_or("no text")
    }

    /// What a client asks for by it; `None`: it is about the connection itself.
    pub fn asks(&self) -> Option<Carried> {
        let mut words = self.line().split(' ');
        let (verb, subject) = (words.next()?, words.next()?);
        match verb {
            "HPUB" => {
                // A part of a batch is checked with the others.
                let checks_itself = self.has("Nats-Expected-Last-Subject-Sequence: ")
                    && !self.has("Nats-Expected-Last-Subject-Sequence-Subject: ")
                    && !self.has("Nats-Batch-Id: ");
                Some(Carried::Write { checks_itself })
            }
            "PUB" => Some(match subject.strip_prefix("$JS.") {
                Some(api) if api.starts_with("API.CONSUMER.MSG.NEXT.") => Carried::Pull,
                Some(api) if api.contains(".CREATE.") || api.contains(".DELETE.") => {
                    let checks_itself = false;
                    Carried::Write { checks_itself }
                }
                Some(api) => Carried::Read {
                    by_replica: api.starts_with("API.DIRECT.GET."),
                },
                // `PUB <subject> <reply> <bytes>`, or without a way back.
                None if words.count() == 2 => Carried::Frame,
                None => Carried::Cast,
            }),
            _ => None,
        }
    }

    /// What a server brings by it; `None`: it is about the connection itself, or a part of something.
    pub fn brings(&self) -> Option<Brought> {
        let mut words = self.line().split(' ');
        let (verb, subject) = (words.next()?, words.next()?);
        match verb {
            "MSG" if subject.split('.').nth(1) == Some("cast") => Some(Brought::Cast),
            // A delivered message keeps its own subject.
            "MSG" | "HMSG" if self.line().contains(" $JS.ACK.") => {
                // Its way back ends with how many follow it.
                let is_last = words.any(|it| it.starts_with("$JS.ACK.") && it.ends_with(".0"));
                Some(Brought::Delivery { is_last })
            }
            "MSG" if subject.starts_with("_INBOX.") => Some(Brought::Answer),
            "HMSG" if subject.starts_with("_INBOX.") && self.has("\r\nNats-Sequence: ") => {
                Some(Brought::Part)
            }
            "HMSG" if !subject.starts_with("_INBOX.") && self.has("\r\nNats-Sequence: ") => {
                Some(Brought::Announcement)
            }
            _ => None,
        }
    }

    fn has(&self, text: &str) -> bool {
        let text = text.as_bytes();
        self.bytes.windows(text.len()).any(|it| it == text)
    }
}

/// How many bytes follow a line, if any do.
fn payload(line: &[u8]) -> Option<usize> {
    let line = str::from_utf8(line).ok()?;
    let (verb, rest) = line.split_once(' ')?;
    match verb {
        "PUB" | "HPUB" | "MSG" | "HMSG" => rest.rsplit(' ').next()?.parse().ok(),
        _ => None,
    }
}

/// What a server brings to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brought {
    /// All that it says to a request.
    Answer,
    /// A stored message, of which an answer may have several.
    Part,
    /// What a consumer has for who asked.
    Delivery {
        /// It is the last one that there is.
        is_last: bool,
    },
    /// What was stored, for whoever hears it.
    Announcement,
    /// What is not stored, for whoever hears it.
    Cast,
}

#[cfg(test)]
mod tests {
    use super::{Brought, Carried, Operation};
    use bytes::BytesMut;

    #[test]
    fn bytes_are_cut_into_whole_operations() {
        let mut came = BytesMut::from(&b"PING\r\nPUB a b 2\r\nhi\r\nHPUB c 12 13\r\nNATS"[..]);
        let lines: Vec<String> = std::iter::from_fn(|| Operation::next(&mut came))
            .map(|it| it.line().to_owned())
            .collect();
        assert_eq!(lines, ["PING", "PUB a b 2"]);
        came.extend_from_slice(b"/1.0\r\n\r\nx\r\n");
        let last = Operation::next(&mut came).expect("it is whole");
        assert_eq!(last.line(), "HPUB c 12 13");
        assert!(came.is_empty() && Operation::next(&mut came).is_none());
    }

    #[test]
    fn operations_are_told_apart() {
        let of = |text: &str| {
            let mut came = BytesMut::from(text.as_bytes());
            Operation::next(&mut came).expect("it is whole")
        };
        let asks = |text: &str| of(text).asks();
        assert_eq!(asks("SUB a 1\r\n"), None);
        let info = "PUB $JS.API.STREAM.INFO.S r 0\r\n\r\n";
        let by_replica = false;
        assert_eq!(asks(info), Some(Carried::Read { by_replica }));
        let direct = "PUB $JS.API.DIRECT.GET.S r 0\r\n\r\n";
        let by_replica = true;
        assert_eq!(asks(direct), Some(Carried::Read { by_replica }));
        let pull = "PUB $JS.API.CONSUMER.MSG.NEXT.S.C r 0\r\n\r\n";
        assert_eq!(asks(pull), Some(Carried::Pull));
        assert_eq!(asks("PUB node.1 back.7 1\r\nx\r\n"), Some(Carried::Frame));
        assert_eq!(asks("PUB topic 1\r\nx\r\n"), Some(Carried::Cast));
        let write = |header: &str| {
            let headers = format!("NATS/1.0\r\n{header}: 1\r\n\r\n");
            let length = headers.len();
            asks(&format!("HPUB s r {length} {length}\r\n{headers}\r\n"))
        };
        let checks_itself = true;
        assert_eq!(
            write("Nats-Expected-Last-Subject-Sequence"),
            Some(Carried::Write { checks_itself })
        );
        let checks_itself = false;
        assert_eq!(write("Nats-TTL"), Some(Carried::Write { checks_itself }));
        let brings = |text: &str| of(text).brings();
        assert_eq!(brings("PONG\r\n"), None);
        assert_eq!(
            brings("MSG _INBOX.a.1-2 1 0\r\n\r\n"),
            Some(Brought::Answer)
        );
        let found = "NATS/1.0\r\nNats-Sequence: 7\r\n\r\n";
        let length = found.len();
        let found = format!("HMSG _INBOX.a.1-2 1 {length} {length}\r\n{found}\r\n");
        assert_eq!(brings(&found), Some(Brought::Part));
        let status = "HMSG _INBOX.a.1-2 1 16 16\r\nNATS/1.0 204\r\n\r\n\r\n";
        assert_eq!(brings(status), None);
        for (pending, is_last) in [("0", true), ("10", false)] {
            let delivered = format!("MSG ns.ev.1 1 $JS.ACK.S.C.1.1.1.1.{pending} 0\r\n\r\n");
            assert_eq!(brings(&delivered), Some(Brought::Delivery { is_last }));
        }
        assert_eq!(brings("MSG node.1 1 0\r\n\r\n"), None);
        let cast = brings("MSG ns.cast.news 1 0\r\n\r\n");
        assert_eq!(cast, Some(Brought::Cast));
        let announced = "NATS/1.0\r\nNats-Sequence: 7\r\n\r\n";
        let length = announced.len();
        let announced = format!("HMSG ns.own.1 1 {length} {length}\r\n{announced}\r\n");
        assert_eq!(brings(&announced), Some(Brought::Announcement));
    }
}

//! What a client sends.

use super::Text;
use alloc::format;
use bytes::{BufMut, Bytes, BytesMut};

/// One operation of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `CONNECT`: what the client says of itself, as JSON.
    Connect(Bytes),
    /// `PING`.
    Ping,
    /// `PONG`.
    Pong,
    /// `SUB`.
    Subscribe {
        /// A subject, with or without wildcards.
        subject: Text,
        /// The group of which one member gets each message.
        queue: Option<Text>,
        /// The client's own name for the subscription.
        sid: Text,
    },
    /// `UNSUB`.
    Unsubscribe {
        /// The client's own name for the subscription.
        sid: Text,
        /// After how many messages, counted from its begin; at once where there is no number.
        after: Option<u64>,
    },
    /// `PUB` or `HPUB`.
    Publish(Publication),
}

/// A message as it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Where it goes.
    pub subject: Text,
    /// Where answers go.
    pub reply: Option<Text>,
    /// The block of headers, from `NATS/1.0` to the empty line; empty when there is none.
    pub headers: Bytes,
    /// The body.
    pub payload: Bytes,
}

impl Operation {
    /// Writes the operation as a client sends it.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Connect(options) => {
                out.put_slice(b"CONNECT ");
                out.put_slice(options);
                out.put_slice(b"\r\n");
            }
            Self::Ping => out.put_slice(b"PING\r\n"),
            Self::Pong => out.put_slice(b"PONG\r\n"),
            Self::Subscribe {
                subject,
                queue,
                sid,
            } => {
                let line = match queue {
                    Some(queue) => format!("SUB {subject} {queue} {sid}\r\n"),
                    None => format!("SUB {subject} {sid}\r\n"),
                };
                out.put_slice(line.as_bytes());
            }
            Self::Unsubscribe { sid, after } => {
                let line = match after {
                    Some(after) => format!("UNSUB {sid} {after}\r\n"),
                    None => format!("UNSUB {sid}\r\n"),
                };
                out.put_slice(line.as_bytes());
            }
            Self::Publish(publication) => publication.encode(out),
        }
    }
}

impl Publication {
    fn encode(&self, out: &mut BytesMut) {
        let (headers, all) = (self.headers.len(), self.headers.len() + self.payload.len());
        let (verb, sizes) = match headers {
            0 => ("PUB", format!("{all}")),
            _ => ("HPUB", format!("{headers} {all}")),
        };
        let line = match &self.reply {
            Some(reply) => format!("{verb} {} {reply} {sizes}\r\n", self.subject),
            None => format!("{verb} {} {sizes}\r\n", self.subject),
        };
        out.put_slice(line.as_bytes());
        out.put_slice(&self.headers);
        out.put_slice(&self.payload);
        out.put_slice(b"\r\n");
    }
}

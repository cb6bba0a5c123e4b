//! What a server sends.

use super::Text;
use bytes::{BufMut, Bytes, BytesMut};
use core::fmt::Display;
use core::fmt::Write as _;

/// A message on its way to a subscription.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivered<'a> {
    pub(crate) subject: &'a str,
    pub(crate) reply: Option<&'a Text>,
    pub(crate) headers: &'a Bytes,
    pub(crate) payload: &'a Bytes,
}

pub(crate) fn info(out: &mut BytesMut, json: &str) {
    line(out, format_args!("INFO {json}"));
}

pub(crate) fn ok(out: &mut BytesMut) {
    out.put_slice(b"+OK\r\n");
}

pub(crate) fn ping(out: &mut BytesMut) {
    out.put_slice(b"PING\r\n");
}

pub(crate) fn pong(out: &mut BytesMut) {
    out.put_slice(b"PONG\r\n");
}

pub(crate) fn error(out: &mut BytesMut, text: impl Display) {
    line(out, format_args!("-ERR '{text}'"));
}

/// A message to the subscription `sid`. A client without headers gets it without them.
pub(crate) fn deliver(out: &mut BytesMut, sid: &Text, message: Delivered<'_>, headers: bool) {
    let Delivered {
        subject,
        reply,
        headers: block,
        payload,
    } = message;
    let block = if headers { &block[..] } else { &[] };
    let all = block.len() + payload.len();
    out.reserve(subject.len() + sid.len() + reply.map_or(0, |reply| reply.len()) + all + 40);
    out.put_slice(if block.is_empty() { b"MSG " } else { b"HMSG " });
    out.put_slice(subject.as_bytes());
    out.put_u8(b' ');
    out.put_slice(sid.as_bytes());
    if let Some(reply) = reply {
        out.put_u8(b' ');
        out.put_slice(reply.as_bytes());
    }
    if !block.is_empty() {
        // There is always room in what grows.
        let _ = write!(out, " {}", block.len());
    }
    let _ = write!(out, " {all}\r\n");
    out.put_slice(block);
    out.put_slice(payload);
    out.put_slice(b"\r\n");
}

fn line(out: &mut BytesMut, text: core::fmt::Arguments<'_>) {
    let _ = write!(out, "{text}\r\n");
}

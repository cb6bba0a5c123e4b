//! A block of headers: `NATS/1.0`, a status in a server's own answers, then lines of a name and a value.

use alloc::format;
use alloc::string::String;
use bytes::Bytes;
use core::fmt::Display;

/// How a block begins.
const VERSION: &str = "NATS/1.0";
const END: &str = "\r\n";

/// A block of headers that came with a message.
#[derive(Clone, Copy, Debug)]
pub struct HeaderBlock<'a>(&'a [u8]);

impl<'a> HeaderBlock<'a> {
    /// Reads a block; an empty one has no header.
    pub const fn new(block: &'a [u8]) -> Self {
        Self(block)
    }

    /// The headers in their order; lines that are none, or no text, are left out.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let lines = self.0.split(|byte| *byte == b'\n').skip(1);
        lines.filter_map(|line| {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let (name, value) = core::str::from_utf8(line).ok()?.split_once(':')?;
            Some((name, value.trim_matches([' ', '\t'])))
        })
    }

    /// The first value of a name, which is told apart by case.
    pub fn value(self, name: &str) -> Option<&'a str> {
        self.iter()
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value)
    }

    /// The block with more headers at its end.
    #[must_use]
    pub fn with(self, more: &[(&str, &dyn Display)]) -> Bytes {
        let head = self.0.strip_suffix(END.as_bytes()).unwrap_or_default();
        let mut block = alloc::vec::Vec::from(head);
        if block.is_empty() {
            block.extend_from_slice(VERSION.as_bytes());
            block.extend_from_slice(END.as_bytes());
        }
        for (name, value) in more {
            block.extend_from_slice(format!("{name}: {value}{END}").as_bytes());
        }
        block.extend_from_slice(END.as_bytes());
        block.into()
    }
}

/// A block of a server's own: a status, and what belongs to it.
pub fn status(code: u16, text: &str, more: &[(&str, &dyn Display)]) -> Bytes {
    let space = if text.is_empty() { "" } else { " " };
    let mut block = format!("{VERSION} {code}{space}{text}{END}");
    for (name, value) in more {
        block.push_str(&format!("{name}: {value}{END}"));
    }
    block.push_str(END);
    String::into(block)
}

#[cfg(test)]
mod tests {
    use super::{HeaderBlock, status};

    #[test]
    fn headers_are_read_and_added_at_the_end() {
        let block = HeaderBlock::new(b"NATS/1.0\r\nA: 1\r\na:2 \r\nA: 3\r\nodd\r\nX: \xff\r\n\r\n");
        assert_eq!(block.value("A"), Some("1"));
        assert_eq!(block.value("a"), Some("2"));
        assert_eq!((block.value("odd"), block.value("X")), (None, None));
        let more = block.with(&[("B", &4)]);
        assert_eq!(HeaderBlock::new(&more).value("B"), Some("4"));
        assert_eq!(HeaderBlock::new(&more).value("A"), Some("1"));
        let alone = HeaderBlock::new(b"").with(&[("B", &"x")]);
        assert_eq!(&alone[..], b"NATS/1.0\r\nB: x\r\n\r\n");
    }

    #[test]
    fn a_status_stands_in_the_first_line() {
        assert_eq!(&status(503, "", &[])[..], b"NATS/1.0 503\r\n\r\n");
        let told = status(408, "Request Timeout", &[("Nats-Pending-Messages", &3)]);
        let expected = b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 3\r\n\r\n";
        assert_eq!(&told[..], expected);
    }
}

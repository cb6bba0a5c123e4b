//! Operations from bytes, as they come.

use super::{Operation, Publication, Text, Violation};
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};

/// How much of one operation a parser holds.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct WireLimits {
    /// The longest line, in bytes (the server's default: 4096).
    pub control_line_bytes_max: usize,
    /// The largest message, headers included, in bytes (the server's default: 1 MiB).
    pub payload_bytes_max: usize,
}

impl Default for WireLimits {
    fn default() -> Self {
        Self {
            control_line_bytes_max: 4_096,
            payload_bytes_max: 1 << 20,
        }
    }
}

/// How many arguments an operation has at most.
const ARGUMENTS_MAX: usize = 4;
/// How many digits a size has at most.
const DIGITS_MAX: usize = 9;
/// What an operation begins with.
const BEGINS: &[u8] = b"CHPSUchpsu";
/// What ends a message.
const END: &[u8] = b"\r\n";

/// Reads one connection's operations.
#[derive(Debug)]
pub struct Parser {
    limits: WireLimits,
    /// How much of what is there was searched for the end of a line.
    searched: usize,
    head: Option<Head>,
}

/// The line before a message that has not come whole.
#[derive(Debug)]
struct Head {
    subject: Text,
    reply: Option<Text>,
    header_bytes: usize,
    bytes: usize,
}

impl Parser {
    /// A parser for a connection that has sent nothing yet.
    pub fn new(limits: WireLimits) -> Self {
        Self {
            limits,
            searched: 0,
            head: None,
        }
    }

    /// Takes the next operation out of what came; `None` when it is not whole.
    ///
    /// # Errors
    ///
    /// When it is no protocol. What comes afterwards means nothing.
    pub fn next(&mut self, came: &mut BytesMut) -> Result<Option<Operation>, Violation> {
        if let Some(head) = self.head.take() {
            return self.message(head, came);
        }
        let Some(line) = self.line(came)? else {
            return Ok(None);
        };
        let verb = line.iter().position(|byte| matches!(byte, b' ' | b'\t'));
        let verb = line.slice(..verb.unwrap_or(line.len()));
        let rest = line.slice(verb.len()..);
        if rest.is_empty()
            && !verb.eq_ignore_ascii_case(b"PING")
            && !verb.eq_ignore_ascii_case(b"PONG")
        {
            return Err(Violation::Operation);
        }
        let is = |name: &[u8]| verb.eq_ignore_ascii_case(name);
        if is(b"PUB") {
            let head = self.plain_head(&rest)?;
            self.message(head, came)
        } else if is(b"HPUB") {
            let head = self.header_head(&rest)?;
            self.message(head, came)
        } else if is(b"SUB") {
            subscribe(&rest).map(Some)
        } else if is(b"UNSUB") {
            unsubscribe(&rest).map(Some)
        } else if is(b"PING") {
            Ok(Some(Operation::Ping))
        } else if is(b"PONG") {
            Ok(Some(Operation::Pong))
        } else if is(b"CONNECT") {
            Ok(Some(Operation::Connect(trimmed(&rest))))
        } else {
            Err(Violation::Operation)
        }
    }

    /// How many bytes are missing at least before the next operation can be whole.
    pub fn missing(&self, came: &BytesMut) -> usize {
        match &self.head {
            Some(head) => (head.bytes + END.len()).saturating_sub(came.len()),
            None => 1,
        }
    }

    /// One line without its end.
    fn line(&mut self, came: &mut BytesMut) -> Result<Option<Bytes>, Violation> {
        if came.first().is_some_and(|first| !BEGINS.contains(first)) {
            return Err(Violation::Operation);
        }
        let new = came.get(self.searched..).unwrap_or_default();
        let end = new.iter().position(|byte| *byte == b'\n');
        let end = end.map(|end| self.searched + end);
        if end.unwrap_or(came.len()) > self.limits.control_line_bytes_max {
            return Err(Violation::ControlLine);
        }
        let Some(end) = end else {
            self.searched = came.len();
            return Ok(None);
        };
        self.searched = 0;
        let line = came.split_to(end + 1).freeze();
        let end = match line.get(..end) {
            Some([before @ .., b'\r']) => before.len(),
            Some(_) | None => end,
        };
        Ok(Some(line.slice(..end)))
    }

    fn plain_head(&self, rest: &Bytes) -> Result<Head, Violation> {
        let arguments = arguments(rest)?;
        let (subject, reply, bytes) = match arguments.as_slice() {
            [subject, bytes] => (subject, None, bytes),
            [subject, reply, bytes] => (subject, Some(reply), bytes),
            _ => return Err(Violation::Arguments),
        };
        self.head(subject, reply, (0, number(bytes)?))
    }

    fn header_head(&self, rest: &Bytes) -> Result<Head, Violation> {
        let arguments = arguments(rest)?;
        let (subject, reply, headers, bytes) = match arguments.as_slice() {
            [subject, headers, bytes] => (subject, None, headers, bytes),
            [subject, reply, headers, bytes] => (subject, Some(reply), headers, bytes),
            _ => return Err(Violation::Arguments),
        };
        self.head(subject, reply, (number(headers)?, number(bytes)?))
    }

    fn head(
        &self,
        subject: &Bytes,
        reply: Option<&Bytes>,
        (header_bytes, bytes): (usize, usize),
    ) -> Result<Head, Violation> {
        if bytes > self.limits.payload_bytes_max {
            return Err(Violation::Payload);
        }
        if header_bytes > bytes {
            return Err(Violation::Arguments);
        }
        Ok(Head {
            subject: subject.clone().try_into()?,
            reply: reply.cloned().map(Text::try_from).transpose()?,
            header_bytes,
            bytes,
        })
    }

    fn message(&mut self, head: Head, came: &mut BytesMut) -> Result<Option<Operation>, Violation> {
        // Its end is looked at as soon as any of it is there.
        let end = came.get(head.bytes..).unwrap_or_default();
        let end = end.get(..END.len()).unwrap_or(end);
        if !END.starts_with(end) {
            return Err(Violation::Operation);
        }
        if end != END {
            self.head = Some(head);
            return Ok(None);
        }
        let mut message = came.split_to(head.bytes + END.len()).freeze();
        let headers = message.split_to(head.header_bytes);
        message.truncate(head.bytes - head.header_bytes);
        Ok(Some(Operation::Publish(Publication {
            subject: head.subject,
            reply: head.reply,
            headers,
            payload: message,
        })))
    }
}

fn subscribe(rest: &Bytes) -> Result<Operation, Violation> {
    let (subject, queue, sid) = match arguments(rest)?.as_slice() {
        [subject, sid] => (subject.clone(), None, sid.clone()),
        [subject, queue, sid] => (subject.clone(), Some(queue.clone()), sid.clone()),
        _ => return Err(Violation::Arguments),
    };
    Ok(Operation::Subscribe {
        subject: subject.try_into()?,
        queue: queue.map(Text::try_from).transpose()?,
        sid: sid.try_into()?,
    })
}

fn unsubscribe(rest: &Bytes) -> Result<Operation, Violation> {
    let (sid, after) = match arguments(rest)?.as_slice() {
        [sid] => (sid.clone(), None),
        [sid, after] => (sid.clone(), Some(number(after)? as u64)),
        _ => return Err(Violation::Arguments),
    };
    Ok(Operation::Unsubscribe {
        sid: sid.try_into()?,
        after,
    })
}

/// The arguments of an operation, between which is white space.
fn arguments(rest: &Bytes) -> Result<Vec<Bytes>, Violation> {
    let mut found = Vec::with_capacity(ARGUMENTS_MAX);
    let mut begin = None;
    for (at, byte) in rest.iter().chain(b" ").enumerate() {
        let space = matches!(byte, b' ' | b'\t' | b'\r');
        match begin {
            None if !space => begin = Some(at),
            Some(from) if space => {
                if found.len() == ARGUMENTS_MAX {
                    return Err(Violation::Arguments);
                }
                found.push(rest.slice(from..at));
                begin = None;
            }
            None | Some(_) => {}
        }
    }
    Ok(found)
}

fn number(digits: &Bytes) -> Result<usize, Violation> {
    let wrong = digits.len() > DIGITS_MAX || !digits.iter().all(u8::is_ascii_digit);
    let digits = core::str::from_utf8(digits).unwrap_or_default();
    match digits.parse() {
        Ok(number) if !wrong => Ok(number),
        Ok(_) | Err(_) => Err(Violation::Arguments),
    }
}

fn trimmed(rest: &Bytes) -> Bytes {
    let space = rest.len() - rest.trim_ascii_start().len();
    rest.slice(space..)
}

#[cfg(test)]
mod tests {
    use super::{Operation, Parser, Publication, Text, Violation, WireLimits};
    use alloc::vec::Vec;
    use bytes::{Bytes, BytesMut};
    use proptest::prelude::*;

    /// All that is whole in what comes in pieces.
    fn parse(pieces: &[&[u8]]) -> Result<Vec<Operation>, Violation> {
        let mut parser = Parser::new(WireLimits::default());
        let mut came = BytesMut::new();
        let mut found = Vec::new();
        for piece in pieces {
            came.extend_from_slice(piece);
            while let Some(operation) = parser.next(&mut came)? {
                found.push(operation);
            }
        }
        Ok(found)
    }

    #[test]
    fn what_clients_write_is_read() {
        let found = parse(&[b"pub  a.b\t_I.1 3\r\nabc\r\nPING\nSUB a q 1\r\nUNSUB 1 5 \r\n"]);
        let publication = Publication {
            subject: "a.b".into(),
            reply: Some("_I.1".into()),
            headers: Bytes::new(),
            payload: Bytes::from_static(b"abc"),
        };
        let sid = Text::from_static("1");
        let subscribe = Operation::Subscribe {
            subject: "a".into(),
            queue: Some("q".into()),
            sid: sid.clone(),
        };
        let unsubscribe = Operation::Unsubscribe {
            sid,
            after: Some(5),
        };
        let expected = [
            Operation::Publish(publication),
            Operation::Ping,
            subscribe,
            unsubscribe,
        ];
        assert_eq!(found.as_deref(), Ok(&expected[..]));
    }

    #[test]
    fn what_is_no_protocol_is_refused_as_soon_as_it_shows() {
        let long = [b'P'; 4_098];
        for (came, violation) in [
            (&b"NOPE\r\n"[..], Violation::Operation),
            (b"\r\n", Violation::Operation),
            (b"PUB a\r\n", Violation::Arguments),
            (b"PUB a b c d e\r\n", Violation::Arguments),
            (b"PUB a -1\r\n", Violation::Arguments),
            (b"PUB a 1234567890\r\n", Violation::Arguments),
            (b"PUB a 1048577\r\n", Violation::Payload),
            (b"PUB a 2\r\nabc", Violation::Operation),
            (b"PUB a 2\r\nab\rx", Violation::Operation),
            (b"HPUB a 3 2\r\n", Violation::Arguments),
            (b"SUB a\r\n", Violation::Arguments),
            (b"SUB \xff 1\r\n", Violation::Arguments),
            (&long, Violation::ControlLine),
        ] {
            assert_eq!(parse(&[came]), Err(violation), "{came:?}");
        }
    }

    #[test]
    fn a_message_is_a_slice_of_what_came() {
        let mut came = BytesMut::from(&b"HPUB a 12 16\r\nNATS/1.0\r\n\r\nbody\r\nPING\r\n"[..]);
        let memory = came.as_ptr() as usize..came.as_ptr() as usize + came.len();
        let mut parser = Parser::new(WireLimits::default());
        let Ok(Some(Operation::Publish(found))) = parser.next(&mut came) else {
            panic!("a message")
        };
        assert_eq!(&found.headers[..], b"NATS/1.0\r\n\r\n");
        assert_eq!(&found.payload[..], b"body");
        assert!(memory.contains(&(found.payload.as_ptr() as usize)));
        assert!(memory.contains(&(found.headers.as_ptr() as usize)));
        assert_eq!(parser.next(&mut came), Ok(Some(Operation::Ping)));
    }

    fn word() -> impl Strategy<Value = Text> {
        "[a-zA-Z0-9_$.*>é-]{1,20}".prop_map(|text| text.as_str().into())
    }

    fn body() -> impl Strategy<Value = Bytes> {
        prop::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from)
    }

    fn operation() -> impl Strategy<Value = Operation> {
        let publication = (word(), prop::option::of(word()), body(), body());
        prop_oneof![
            Just(Operation::Ping),
            Just(Operation::Pong),
            Just(Operation::Connect(Bytes::from_static(
                b"{\"verbose\":false}"
            ))),
            (word(), prop::option::of(word()), word()).prop_map(|(subject, queue, sid)| {
                Operation::Subscribe {
                    subject,
                    queue,
                    sid,
                }
            }),
            (word(), prop::option::of(0..1_000_000_u64))
                .prop_map(|(sid, after)| Operation::Unsubscribe { sid, after }),
            publication.prop_map(|(subject, reply, headers, payload)| {
                Operation::Publish(Publication {
                    subject,
                    reply,
                    headers,
                    payload,
                })
            }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_however_it_is_cut(
            operations in prop::collection::vec(operation(), 1..12),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let mut written = BytesMut::new();
            operations.iter().for_each(|operation| operation.encode(&mut written));
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(written.len())).collect();
            cuts.extend([0, written.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &written[cut[0]..cut[1]]).collect();
            prop_assert_eq!(parse(&pieces), Ok(operations));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let whole = parse(&[&bytes]);
            let singles: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(parse(&singles).is_ok(), whole.is_ok());
        }
    }
}

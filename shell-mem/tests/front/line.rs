//! A connection by hand: bytes to a server, and what it tells as text without what differs each time.

use serde_json::Value;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a client says of itself that can do all.
pub(crate) const CONNECT: &str = "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\
    \"no_responders\":true,\"protocol\":1,\"echo\":true,\"lang\":\"test\",\"version\":\"1\"}\r\n";

#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) subject: String,
    pub(crate) sid: String,
    pub(crate) reply: String,
    pub(crate) headers: String,
    pub(crate) payload: String,
}

/// What comes of a server.
#[derive(Clone, Debug)]
pub(crate) enum Came {
    Message(Frame),
    Line(String),
    /// The connection is over.
    End,
}

pub(crate) struct Line {
    stream: TcpStream,
    came: Vec<u8>,
    asks: u64,
    greeted: bool,
}

impl Line {
    /// A connection that has said nothing.
    pub(crate) async fn open(url: &str) -> Self {
        let at = url.trim_start_matches("nats://");
        let stream = TcpStream::connect(at).await.expect("it listens");
        let mut line = Self {
            stream,
            came: Vec::new(),
            asks: 0,
            greeted: false,
        };
        let Came::Line(info) = line.next().await else {
            panic!("a server tells of itself first")
        };
        assert!(info.starts_with("INFO {"), "{info}");
        line.greeted = true;
        line
    }

    /// One that listens to answers at `in.*`.
    pub(crate) async fn connect(url: &str) -> Self {
        let mut line = Self::open(url).await;
        line.send(CONNECT).await;
        line.send("SUB in.* 0\r\n").await;
        line.flush().await;
        line
    }

    pub(crate) async fn send(&mut self, text: impl AsRef<[u8]>) {
        // A server that closed it meanwhile tells so when it is read.
        let _ = self.stream.write_all(text.as_ref()).await;
    }

    /// A message, with headers and a place for answers where there are any.
    pub(crate) async fn publish(
        &mut self,
        subject: &str,
        reply: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) {
        let mut block = String::new();
        if !headers.is_empty() {
            block.push_str("NATS/1.0\r\n");
            for (name, value) in headers {
                block.push_str(&format!("{name}: {value}\r\n"));
            }
            block.push_str("\r\n");
        }
        let all = block.len() + body.len();
        let text = match block.len() {
            0 => format!("PUB {subject} {reply} {all}\r\n{body}\r\n"),
            len => format!("HPUB {subject} {reply} {len} {all}\r\n{block}{body}\r\n"),
        };
        self.send(text).await;
    }

    /// Sends a request and gives its first answer.
    pub(crate) async fn ask(&mut self, subject: &str, body: &str) -> String {
        self.ask_with(subject, &[], body).await
    }

    pub(crate) async fn ask_with(
        &mut self,
        subject: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> String {
        self.asks += 1;
        let reply = format!("in.{}", self.asks);
        self.publish(subject, &reply, headers, body).await;
        let answer = self.answer().await;
        format!("{}: {answer}", without_nanos(subject))
    }

    /// The next message for those who ask.
    async fn answer(&mut self) -> String {
        loop {
            match self.next().await {
                Came::Message(frame) if frame.sid == "0" => return frame.told(),
                Came::Message(_) => {}
                Came::Line(line) if line == "PING" => self.send("PONG\r\n").await,
                Came::Line(line) => return line,
                Came::End => return "the end".into(),
            }
        }
    }

    /// Sends a request and gives all its answers up to a status.
    pub(crate) async fn ask_many(&mut self, subject: &str, body: &str) -> Vec<String> {
        self.asks += 1;
        let reply = format!("in.{}", self.asks);
        self.publish(subject, &reply, &[], body).await;
        let mut told = vec![subject.to_owned()];
        loop {
            match self.next().await {
                Came::Message(frame) => {
                    told.push(frame.told());
                    let status = frame.headers.strip_prefix("NATS/1.0 ");
                    if status.is_some_and(|status| !status.starts_with("100")) {
                        return told;
                    }
                }
                Came::Line(line) => told.push(line),
                Came::End => return told,
            }
        }
    }

    /// What came until now, messages and all.
    pub(crate) async fn flush(&mut self) -> Vec<String> {
        self.send("PING\r\n").await;
        let mut told = Vec::new();
        loop {
            match self.next().await {
                Came::Line(line) if line == "PONG" => return told,
                Came::Line(line) if line == "PING" => self.send("PONG\r\n").await,
                Came::Line(line) => told.push(line),
                Came::Message(frame) => told.push(frame.told()),
                Came::End => {
                    told.push("the end".into());
                    return told;
                }
            }
        }
    }

    /// The next message, whatever is told beside.
    pub(crate) async fn message(&mut self) -> Frame {
        loop {
            match self.next().await {
                Came::Message(frame) => return frame,
                Came::Line(line) if line == "PING" => self.send("PONG\r\n").await,
                Came::Line(_) => {}
                Came::End => panic!("the connection is over"),
            }
        }
    }

    /// What comes until the end of the connection.
    pub(crate) async fn until_end(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        loop {
            match self.next().await {
                Came::Line(line) => told.push(line),
                Came::Message(frame) => told.push(frame.told()),
                Came::End => return told,
            }
        }
    }

    pub(crate) async fn next(&mut self) -> Came {
        let found = timeout(PATIENCE, self.read()).await;
        found.expect("something comes in time")
    }

    async fn read(&mut self) -> Came {
        loop {
            if let Some(end) = self.came.windows(2).position(|two| two == b"\r\n") {
                let line = String::from_utf8_lossy(&self.came[..end]).into_owned();
                let words: Vec<&str> = line.split(' ').collect();
                let (sizes, headers) = match words[0] {
                    "MSG" => (words.len() - 1, None),
                    "HMSG" => (words.len() - 1, words.get(words.len() - 2)),
                    _ => {
                        self.came.drain(..end + 2);
                        // What a server tells of itself again differs each time.
                        if self.greeted
                            && line.starts_with("INFO")
                            && !line.contains("\"ldm\":true")
                        {
                            continue;
                        }
                        return Came::Line(line);
                    }
                };
                let size: usize = words[sizes].parse().expect("a size");
                let headers: usize = headers.map_or(0, |it| it.parse().expect("a size"));
                if self.came.len() >= end + 2 + size + 2 {
                    let body = self.came[end + 2..end + 2 + size].to_vec();
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    let named = words.len() - if words[0] == "MSG" { 1 } else { 2 };
                    let frame = Frame {
                        subject: words[1].into(),
                        sid: words[2].into(),
                        reply: if named == 4 {
                            words[3].into()
                        } else {
                            String::new()
                        },
                        headers: text(&body[..headers]),
                        payload: text(&body[headers..]),
                    };
                    self.came.drain(..end + 2 + size + 2);
                    return Came::Message(frame);
                }
            }
            self.came.reserve(65_536);
            match self.stream.read_buf(&mut self.came).await {
                Ok(0) | Err(_) => return Came::End,
                Ok(_) => {}
            }
        }
    }
}

impl Frame {
    /// The message without what differs each time.
    pub(crate) fn told(&self) -> String {
        let mut words: Vec<String> = vec![format!("[{}]", self.sid)];
        if !self.subject.starts_with("in.") {
            words.push(self.subject.clone());
        }
        if !self.reply.is_empty() {
            words.push(format!("reply {}", without_nanos(&self.reply)));
        }
        let lines = self.headers.trim_end().split("\r\n");
        let lines = lines.filter(|line| !line.starts_with("Nats-Time-Stamp"));
        let lines = lines.map(|line| match line.strip_prefix("Nats-Consumer-Stalled") {
            Some(_) => "Nats-Consumer-Stalled",
            None => line,
        });
        let headers: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
        if !headers.is_empty() {
            words.push(format!("{{{}}}", headers.join("; ")));
        }
        match serde_json::from_str::<Value>(&self.payload) {
            Ok(value @ Value::Object(_)) => {
                let text = steady(value).to_string();
                // How JSON is wrong is told in words of one's own.
                let wrong = text.find("invalid JSON: ");
                words.push(wrong.map_or(text.clone(), |at| text[..at].into()));
            }
            Ok(_) | Err(_) => words.push(self.payload.clone()),
        }
        words.join(" ")
    }
}

/// Where a message is acknowledged, without its time.
fn without_nanos(reply: &str) -> String {
    let mut tokens: Vec<&str> = reply.split('.').collect();
    if tokens.len() == 9 && tokens[1] == "ACK" {
        tokens[7] = "nanos";
    }
    if tokens.len() == 5 && tokens[1] == "FC" {
        tokens[4] = "token";
    }
    tokens.join(".")
}

/// JSON without what differs each time.
fn steady(value: Value) -> Value {
    const DIFFERS: [&str; 12] = [
        "created",
        "ts",
        "time",
        "first_ts",
        "last_ts",
        "last_active",
        "pause_remaining",
        "cluster",
        "api",
        "limits",
        "reserved_storage",
        "pause_until",
    ];
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().filter(|(name, value)| {
                let own = *name == "metadata" && value.to_string().contains("_nats.");
                !own && !DIFFERS.contains(&name.as_str())
            });
            kept.map(|(name, value)| (name, steady(value))).collect()
        }
        Value::Array(list) => list.into_iter().map(steady).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

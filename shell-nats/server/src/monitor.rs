//! What a server says of itself: whether it listens, and its monitoring pages.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const WAIT: Duration = Duration::from_secs(2);

/// Whether the server takes clients. Its first line is not looked at: a server that wants the TLS
/// handshake first sends none.
pub(crate) fn listens(port: u16) -> io::Result<()> {
    connect(port).map(drop)
}

/// A monitoring page: its status and its body.
pub(crate) fn page(port: u16, path: &str) -> io::Result<(u16, serde_json::Value)> {
    let mut stream = connect(port)?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body);
    let (Some(status), Some(body)) = (status, body) else {
        return Err(io::Error::other(format!("not an HTTP answer: {text:?}")));
    };
    Ok((
        status,
        serde_json::from_str(body).map_err(io::Error::other)?,
    ))
}

fn connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), WAIT)?;
    stream.set_read_timeout(Some(WAIT))?;
    stream.set_write_timeout(Some(WAIT))?;
    Ok(stream)
}

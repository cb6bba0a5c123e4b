//! A way to a server that takes its time: what a network between machines adds to loopback.

use bytes::{Bytes, BytesMut};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Pieces under way in one direction of one connection.
const PIECES_MAX: usize = 4_096;

/// Listens on a port of loopback, which it returns, and hands what comes there to the server's port
/// `delay` later, and what the server says back as late again. It ends with the runtime.
///
/// # Errors
///
/// When there is no port.
pub async fn proxy(server: u16, delay: Duration) -> io::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(connection(client, server, delay));
        }
    });
    Ok(port)
}

async fn connection(client: TcpStream, server: u16, delay: Duration) -> io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", server)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::spawn(pass(from_client, to_server, delay));
    tokio::spawn(pass(from_server, to_client, delay));
    Ok(())
}

async fn pass(
    mut from: impl AsyncRead + Send + Unpin + 'static,
    mut to: impl AsyncWrite + Unpin,
    delay: Duration,
) -> io::Result<()> {
    let (pieces, mut due) = mpsc::channel::<(Instant, Bytes)>(PIECES_MAX);
    tokio::spawn(async move {
        let mut buffer = BytesMut::new();
        while from.read_buf(&mut buffer).await.is_ok_and(|read| read > 0) {
            let piece = (Instant::now() + delay, buffer.split().freeze());
            if pieces.send(piece).await.is_err() {
                return;
            }
        }
    });
    while let Some((at, piece)) = due.recv().await {
        tokio::time::sleep_until(at).await;
        to.write_all(&piece).await?;
    }
    to.shutdown().await
}

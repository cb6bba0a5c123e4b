//! Madsim's network. Its connections take as many bytes as they are given and send them when they are
//! flushed; here they send at once, as those of an operating system do, and take fewer where that is set.

pub use madsim::net::{ToSocketAddrs, lookup_host};

use madsim::rand::Rng as _;
use real::io::{AsyncRead, AsyncWrite, ReadBuf};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

/// How many bytes a connection takes or gives where it does not take all.
static PIECE_MAX: AtomicUsize = AtomicUsize::new(usize::MAX);

/// One of so many times a connection takes or gives a piece of what there is.
const PIECES_ONE_IN: u32 = 8;

/// From now on a connection takes or gives so many bytes at most now and then, and one at least; when, and
/// how many, is drawn. Each piece goes its way by itself, so it takes as long as all of them would.
pub fn set_piece_max(bytes: usize) {
    PIECE_MAX.store(bytes.max(1), Ordering::Relaxed);
}

/// So many of the bytes that are there.
fn piece(bytes: usize) -> usize {
    let most = PIECE_MAX.load(Ordering::Relaxed);
    if most == usize::MAX {
        return bytes;
    }
    let mut random = madsim::rand::thread_rng();
    match random.gen_ratio(1, PIECES_ONE_IN) {
        true => random.gen_range(1..=most).min(bytes),
        false => bytes,
    }
}

/// Who takes connections at an address.
#[derive(Debug)]
pub struct TcpListener(madsim::net::TcpListener);

impl TcpListener {
    /// Listens at an address.
    ///
    /// # Errors
    ///
    /// When it is taken, or not of this node.
    pub async fn bind(at: impl ToSocketAddrs) -> io::Result<Self> {
        madsim::net::TcpListener::bind(at).await.map(Self)
    }

    /// The next connection, and the address of its other end.
    ///
    /// # Errors
    ///
    /// When the node ends.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, from) = self.0.accept().await?;
        Ok((TcpStream(stream), from))
    }
}

/// A connection.
#[derive(Debug)]
pub struct TcpStream(madsim::net::TcpStream);

impl TcpStream {
    /// Connects.
    ///
    /// # Errors
    ///
    /// When nobody listens there, or the way there is clogged.
    pub async fn connect(to: impl ToSocketAddrs) -> io::Result<Self> {
        madsim::net::TcpStream::connect(to).await.map(Self)
    }

    /// Nothing waits for more bytes here in any case.
    ///
    /// # Errors
    ///
    /// None.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.0.set_nodelay(nodelay)
    }

    /// The address of this end.
    ///
    /// # Errors
    ///
    /// None.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// The address of the other end.
    ///
    /// # Errors
    ///
    /// None.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let most = piece(buffer.remaining());
        if most == buffer.remaining() {
            return Pin::new(&mut self.0).poll_read(cx, buffer);
        }
        let mut bytes = vec![0; most];
        let mut part = ReadBuf::new(&mut bytes);
        let read = Pin::new(&mut self.0).poll_read(cx, &mut part);
        buffer.put_slice(part.filled());
        read
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = &bytes[..piece(bytes.len())];
        let stream = Pin::new(&mut self.0);
        let Poll::Ready(Ok(count)) = stream.poll_write(cx, taken) else {
            unreachable!("a connection of madsim takes all bytes");
        };
        let sent = Pin::new(&mut self.0).poll_flush(cx);
        sent.map(|sent| sent.map(|()| count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A connection that is not made yet.
#[derive(Debug)]
pub struct TcpSocket(());

impl TcpSocket {
    /// One of the old addresses.
    ///
    /// # Errors
    ///
    /// None.
    pub fn new_v4() -> io::Result<Self> {
        Ok(Self(()))
    }

    /// One of the new addresses.
    ///
    /// # Errors
    ///
    /// None.
    pub fn new_v6() -> io::Result<Self> {
        Ok(Self(()))
    }

    /// Every node has one address, which it connects from.
    ///
    /// # Errors
    ///
    /// None.
    pub fn bind(&self, _: SocketAddr) -> io::Result<()> {
        Ok(())
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// As [`TcpStream::connect`].
    pub async fn connect(self, to: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(to).await
    }
}

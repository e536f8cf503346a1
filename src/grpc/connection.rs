//! One connection as tonic drives it: bytes, who is at the other end, and an end from outside.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use crate::grpc::metrics::Open;
use crate::grpc::peer::Peer;
use crate::grpc::places::Place;

/// Time for the client's first words; keep-alive begins only after them.
const PREFACE_TIME: Duration = Duration::from_secs(10);

/// Length of HTTP/2's client preface (RFC 9113, 3.4).
const PREFACE_BYTES: usize = 24;

/// Plain or encrypted bytes.
#[derive(Debug)]
pub(crate) enum Bytes {
    /// As they come.
    Plain(TcpStream),
    /// Behind TLS; boxed because its state is large.
    Tls(Box<TlsStream<TcpStream>>),
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    bytes: Bytes,
    peer: Peer,
    killed: CancellationToken,
    kill: Pin<Box<WaitForCancellationFutureOwned>>,
    preface: Option<(Pin<Box<Sleep>>, usize)>,
    _place: Place,
    _open: Open,
}

impl Connection {
    /// A connection that ends when `killed` is cancelled.
    pub(crate) fn new(
        bytes: Bytes,
        peer: Peer,
        killed: CancellationToken,
        place: Place,
        open: Open,
    ) -> Self {
        Self {
            bytes,
            peer,
            kill: Box::pin(killed.clone().cancelled_owned()),
            killed,
            preface: Some((Box::pin(tokio::time::sleep(PREFACE_TIME)), PREFACE_BYTES)),
            _place: place,
            _open: open,
        }
    }

    /// An error when the connection has to end now.
    fn must_end(&mut self, ctx: &mut Context<'_>) -> io::Result<()> {
        if self.killed.is_cancelled() || self.kill.as_mut().poll(ctx).is_ready() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if let Some((deadline, _)) = &mut self.preface
            && deadline.as_mut().poll(ctx).is_ready()
        {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }

    fn note_read(&mut self, bytes: usize) {
        if let Some((_, missing)) = &mut self.preface {
            *missing = missing.saturating_sub(bytes);
            if *missing == 0 {
                self.preface = None;
            }
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.must_end(ctx)?;
        let before = buffer.filled().len();
        let polled = match &mut self.bytes {
            Bytes::Plain(plain) => Pin::new(plain).poll_read(ctx, buffer),
            Bytes::Tls(tls) => Pin::new(tls).poll_read(ctx, buffer),
        };
        self.note_read(buffer.filled().len() - before);
        polled
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.bytes {
            Bytes::Plain(plain) => Pin::new(plain).poll_write(ctx, bytes),
            Bytes::Tls(tls) => Pin::new(tls).poll_write(ctx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.bytes {
            Bytes::Plain(plain) => Pin::new(plain).poll_flush(ctx),
            Bytes::Tls(tls) => Pin::new(tls).poll_flush(ctx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.bytes {
            Bytes::Plain(plain) => Pin::new(plain).poll_shutdown(ctx),
            Bytes::Tls(tls) => Pin::new(tls).poll_shutdown(ctx),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.bytes {
            Bytes::Plain(plain) => Pin::new(plain).poll_write_vectored(ctx, buffers),
            Bytes::Tls(tls) => Pin::new(tls).poll_write_vectored(ctx, buffers),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.bytes {
            Bytes::Plain(plain) => plain.is_write_vectored(),
            Bytes::Tls(tls) => tls.is_write_vectored(),
        }
    }
}

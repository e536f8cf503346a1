//! A client's connection that ends when the client takes nothing for too long.
//!
//! Given a stream, passes everything through; a write that finds no room within `limit` is an error.
//! Without it a client that stopped reading, and neither hangs up nor goes away, would keep its request
//! in flight for ever, and so its model awake.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A stream with a limit to how long a write may find no room.
pub(super) struct Stall<S> {
    stream: S,
    limit: Duration,
    /// Since a write found no room.
    full: Option<Pin<Box<Sleep>>>,
}

impl<S> Stall<S> {
    /// Around `stream`.
    pub(super) const fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, full: None }
    }

    fn judge<T>(
        &mut self,
        ctx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.full = None;
            return written;
        }
        let limit = self.limit;
        let full = self.full.get_or_insert_with(|| Box::pin(sleep(limit)));
        full.as_mut().poll(ctx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stall<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(ctx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stall<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(ctx, bytes);
        self.judge(ctx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(ctx, slices);
        self.judge(ctx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(ctx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(ctx)
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::{sleep, timeout};

    use super::Stall;

    #[tokio::test(start_paused = true)]
    async fn who_reads_slowly_is_waited_for_and_who_does_not_read_is_given_up() {
        let (mut client, server) = tokio::io::duplex(10);
        let mut server = Stall::new(server, Duration::from_secs(10));
        let written = tokio::spawn(async move {
            server.write_all(&[0; 100]).await.unwrap();
            server.write_all(&[0; 100]).await.map_err(|error| error.kind())
        });
        for _ in 0..10 {
            sleep(Duration::from_secs(9)).await;
            client.read_exact(&mut [0; 10]).await.unwrap();
        }
        let ended = timeout(Duration::from_secs(11), written).await.unwrap();
        assert_eq!(ended.unwrap(), Err(ErrorKind::TimedOut));
    }
}

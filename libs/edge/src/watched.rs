//! A socket that keeps its connection's pulse, and has a last word.

use std::io::{self, IoSlice, Write};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::heads::Heads;
use crate::pulse::Pulse;

const TOO_SLOW: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// The socket of one connection.
pub(crate) struct Watched {
    stream: TcpStream,
    pulse: Arc<Pulse>,
    heads: Heads,
}

impl Watched {
    pub(crate) fn new(stream: TcpStream, pulse: Arc<Pulse>) -> Self {
        Self { stream, pulse, heads: Heads::default() }
    }

    fn note(&self, wrote: &Poll<io::Result<usize>>) {
        match wrote {
            Poll::Pending => self.pulse.blocked(),
            Poll::Ready(_) => self.pulse.wrote(),
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        let bytes = &buf.filled()[before..];
        if !bytes.is_empty() {
            this.pulse.heard(bytes, &mut this.heads);
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(&wrote);
        wrote
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.note(&wrote);
        wrote
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Drop for Watched {
    /// A client whose head did not come is told; its socket takes so little at once.
    fn drop(&mut self) {
        if self.pulse.is_given_up() {
            _ = self.stream.try_write(TOO_SLOW);
        }
    }
}

/// Says something to a client that is not served, as far as its socket takes it at once.
pub(crate) fn say(stream: TcpStream, words: &[u8]) {
    let said = stream.into_std().and_then(|mut stream| {
        stream.write_all(words)?;
        stream.shutdown(Shutdown::Write)
    });
    // It may have gone already.
    _ = said;
}

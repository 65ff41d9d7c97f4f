//! A client's connection, and what an answer that never ends may ask of it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use super::wire::Wire;
use crate::base::Mono;
use crate::rpc::Carrier;

/// Unsent bytes that the kernel takes of a live stream. By itself it takes megabytes, and a client
/// behind a slow link would see what was new many seconds ago.
const UNSENT: u32 = 16 << 10;
/// A client of a live stream that takes nothing for this long is gone.
const GONE: Duration = Duration::from_secs(30);

/// For an answer to end as it should.
const LAST_BYTES: Duration = Duration::from_secs(1);

/// What the answer under way asks of its connection. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Terms(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// When the connection is to be cut, nanoseconds as in [`Mono`]; 0: it is not live.
    until: AtomicU64,
    live: Notify,
    /// It came with TLS; known when there is a request to answer.
    secure: AtomicBool,
}

impl Terms {
    /// From now on the connection carries live pictures, which end at `until`; it is cut a second later
    /// if its client does not take them.
    pub fn live_until(&self, until: Mono) {
        self.0.until.store(until.0.max(1), Ordering::Relaxed);
        self.0.live.notify_one();
    }

    pub fn is_live(&self) -> bool {
        self.0.until.load(Ordering::Relaxed) > 0
    }

    /// Whether the request under way came with TLS.
    pub fn is_secure(&self) -> bool {
        self.0.secure.load(Ordering::Relaxed)
    }

    /// Ends when a live connection is to be cut.
    pub async fn over(&self) {
        self.0.live.notified().await;
        let until = Mono(self.0.until.load(Ordering::Relaxed)) + LAST_BYTES;
        tokio::time::sleep(until.from_now()).await;
    }
}

/// The connection.
pub(super) struct Socket {
    stream: Wire,
    terms: Terms,
    /// Whether the kernel knows that it is live.
    told: bool,
}

impl Socket {
    pub fn new(stream: Wire, terms: Terms) -> Self {
        Self { stream, terms, told: false }
    }

    pub fn into_inner(self) -> Wire {
        self.stream
    }

    fn writable(mut self: Pin<&mut Self>) -> Pin<&mut Wire> {
        if !self.told && self.terms.is_live() {
            self.told = true;
            self.stream.bound_unsent(Some(UNSENT));
            let timed = self.stream.tcp().map(|tcp| SockRef::from(tcp).set_tcp_user_timeout(Some(GONE)));
            if let Some(Err(e)) = timed {
                tracing::debug!("a live connection keeps the usual time-out: {e}");
            }
        }
        Pin::new(&mut self.get_mut().stream)
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if read.is_ready() && this.stream.is_secure() {
            this.terms.0.secure.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writable().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writable().poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

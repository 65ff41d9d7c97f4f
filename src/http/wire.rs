//! The bytes below HTTP: plain, or TLS where the client's first byte says so.
//!
//! Nothing is decided before the first read, so that whatever bounds the wait for a request's head bounds
//! the wait for the first byte and for the handshake too, and a place among the connections is held by
//! either as by a silent one.

use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

use crate::rpc::Carrier;

/// The first byte of a TLS client; no HTTP request begins with it.
const HANDSHAKE: u8 = 0x16;
/// What TLS keeps of our bytes while the peer takes none. rustls' own limit is twice that.
const UNSENT: usize = 32 << 10;

/// A client's connection.
pub(super) enum Wire {
    /// Nothing has come yet.
    New(TcpStream, TlsAcceptor),
    /// In the middle of a handshake.
    Greeting(Box<Accept<TcpStream>>),
    Plain(TcpStream),
    Secure(Box<Secure>),
    /// The handshake failed.
    Broken,
}

/// A connection with TLS.
pub(super) struct Secure {
    stream: TlsStream<TcpStream>,
    /// Bytes that we wrote may still be here.
    unflushed: bool,
}

impl Wire {
    /// `acceptor`: none where everything is plain.
    pub fn new(stream: TcpStream, acceptor: Option<TlsAcceptor>) -> Self {
        match acceptor {
            Some(acceptor) => Self::New(stream, acceptor),
            None => Self::Plain(stream),
        }
    }

    /// Whether it is known to be TLS.
    pub fn is_secure(&self) -> bool {
        matches!(self, Self::Secure(_))
    }

    /// The socket.
    pub fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::New(stream, _) | Self::Plain(stream) => Some(stream),
            Self::Greeting(accept) => accept.get_ref(),
            Self::Secure(secure) => Some(secure.stream.get_ref().0),
            Self::Broken => None,
        }
    }

    /// Ready once it is known what it is and it can carry requests.
    fn poll_greeted(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self {
                Self::New(stream, _) => {
                    let mut first = [0];
                    let count = ready!(stream.poll_peek(cx, &mut ReadBuf::new(&mut first)))?;
                    let Self::New(stream, acceptor) = mem::replace(self, Self::Broken) else {
                        unreachable!("it was new")
                    };
                    *self = if count == 1 && first[0] == HANDSHAKE {
                        Self::Greeting(Box::new(acceptor.accept(stream)))
                    } else {
                        Self::Plain(stream)
                    };
                }
                Self::Greeting(accept) => {
                    let greeted = ready!(Pin::new(&mut **accept).poll(cx));
                    *self = Self::Broken;
                    let mut stream = greeted?;
                    stream.get_mut().1.set_buffer_limit(Some(UNSENT));
                    *self = Self::Secure(Box::new(Secure { stream, unflushed: false }));
                }
                Self::Plain(_) | Self::Secure(_) => return Poll::Ready(Ok(())),
                Self::Broken => return Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            }
        }
    }
}

impl Carrier for Wire {
    fn bound_unsent(&self, bytes: Option<u32>) {
        if let Some(tcp) = self.tcp() {
            tcp.bound_unsent(bytes);
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_greeted(cx))?;
        match this {
            Wire::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Wire::Secure(secure) => {
                // Whoever waits for an answer need not know that our last one is still here.
                if secure.unflushed && Pin::new(&mut secure.stream).poll_flush(cx)?.is_ready() {
                    secure.unflushed = false;
                }
                Pin::new(&mut secure.stream).poll_read(cx, buf)
            }
            _ => unreachable!("it is greeted"),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Wire::Secure(secure) => {
                secure.unflushed = true;
                Pin::new(&mut secure.stream).poll_write(cx, bytes)
            }
            // Nobody has asked for anything.
            _ => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
            Wire::Secure(secure) => {
                secure.unflushed = true;
                Pin::new(&mut secure.stream).poll_write_vectored(cx, bytes)
            }
            _ => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        // Of both kinds; asked before either is known.
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Wire::Secure(secure) => {
                ready!(Pin::new(&mut secure.stream).poll_flush(cx))?;
                secure.unflushed = false;
                Poll::Ready(Ok(()))
            }
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) | Wire::New(stream, _) => Pin::new(stream).poll_shutdown(cx),
            Wire::Secure(secure) => Pin::new(&mut secure.stream).poll_shutdown(cx),
            Wire::Greeting(_) | Wire::Broken => Poll::Ready(Ok(())),
        }
    }
}

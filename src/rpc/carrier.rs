//! What carries a WebSocket's bytes.

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A connection whose kernel buffer can be bounded. What wraps a TCP connection hands it through to that.
pub trait Carrier: AsyncRead + AsyncWrite + Unpin {
    /// From now on the kernel takes about this many bytes that it cannot send yet, or as many as it likes.
    ///
    /// By itself it takes megabytes: a client that reads slowly would hear what was new long ago, and the
    /// box would hold it all.
    fn bound_unsent(&self, bytes: Option<u32>);
}

impl Carrier for TcpStream {
    fn bound_unsent(&self, bytes: Option<u32>) {
        // 0 is the kernel's word for its own limit.
        if let Err(e) = SockRef::from(self).set_tcp_notsent_lowat(bytes.unwrap_or(0)) {
            tracing::debug!("a socket keeps the usual buffers: {e}");
        }
    }
}

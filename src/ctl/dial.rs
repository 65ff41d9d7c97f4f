//! The way to a box: with TLS where it speaks it, and then only to the box that is meant.
//!
//! A certificate that is met for the first time is trusted and remembered (as SSH does); another one later
//! is refused. Where a box is known to speak TLS nothing is ever sent without.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::host::{Host, Scheme};
use super::known::Known;
use super::link::{CONNECT_LIMIT, connect};
use super::{failure, screen};
use crate::base::clock::iso8601;
use crate::base::{Clock, Error, ErrorKind, Result};
use crate::tls::{self, Fingerprint, Shown};

/// A connection to a box.
pub enum Wire {
    /// As it is.
    Plain(TcpStream),
    /// With TLS, and judged.
    Secure(Box<TlsStream<TcpStream>>),
}

/// How a box is known to be the one that is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// By its certificate: that of before, or the first.
    Pinned,
    /// By the claim code, once connected: no certificate of before counts, and none is remembered.
    Claim,
    /// Not at all: it is asked what it tells everybody. No certificate of before counts, and none is remembered.
    Nobody,
}

/// A way to a box.
pub struct Dialled {
    /// The connection.
    pub wire: Wire,
    /// The host as it turned out to speak, for the connections to come.
    pub host: Host,
    /// The certificate it showed; none: it goes without TLS.
    pub fingerprint: Option<Fingerprint>,
}

/// Connects.
pub async fn dial(host: &Host, trust: Trust) -> Result<Dialled> {
    let stream = connect(host).await?;
    let plain = |stream, host| Ok(Dialled { wire: Wire::Plain(stream), host, fingerprint: None });
    if host.scheme() == Scheme::Plain {
        return plain(stream, host.clone());
    }
    let known = Known::open();
    let before = if trust == Trust::Pinned { known.get(host)? } else { None };
    let certain = host.scheme() == Scheme::Tls || before.is_some();
    let greeted = match timeout(CONNECT_LIMIT, tls::greet(stream, host.name())).await {
        Err(_) => return Err(failure::cut_off(host, "no answer to the TLS greeting")),
        Ok(greeted) => greeted,
    };
    match greeted {
        Ok((stream, shown)) => {
            match judge(host.fingerprint(), before, shown, Clock::new().wall_us()) {
                Ok(false) => {}
                Ok(true) if trust != Trust::Pinned => {}
                Ok(true) => {
                    known.put(host, shown.fingerprint).map_err(|e| unknown(host, shown, &e))?;
                    if before.is_none() && host.fingerprint().is_none() {
                        screen::remark(&first(host, shown));
                    }
                }
                Err(doubt) => return Err(refused(host, shown, doubt)),
            }
            Ok(Dialled {
                wire: Wire::Secure(Box::new(stream)),
                host: host.clone().speaking(Scheme::Tls),
                fingerprint: Some(shown.fingerprint),
            })
        }
        Err(e) if tls::is_other_talk(&e) && !certain => {
            plain(connect(host).await?, host.clone().speaking(Scheme::Plain))
        }
        Err(e) if tls::is_other_talk(&e) => Err(no_tls(host, before.is_some())),
        Err(e) => Err(failure::cut_off(host, &format!("TLS failed ({e})"))),
    }
}

/// Why a certificate is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    /// Not the one given on the command line.
    NotGiven,
    /// Not the one it had before.
    Changed(Fingerprint),
    Expired,
}

/// Whether to take it; `Ok(true)`: and to remember it. One that was given is taken as it is.
fn judge(
    given: Option<Fingerprint>,
    before: Option<Fingerprint>,
    shown: Shown,
    now_us: i64,
) -> Result<bool, Doubt> {
    let expired = shown.ends_us.is_some_and(|ends| now_us > ends);
    match (given, before) {
        (Some(given), _) if given != shown.fingerprint => Err(Doubt::NotGiven),
        (Some(given), before) => Ok(before != Some(given)),
        (None, Some(before)) if before != shown.fingerprint => Err(Doubt::Changed(before)),
        (None, _) if expired => Err(Doubt::Expired),
        (None, before) => Ok(before.is_none()),
    }
}

fn first(host: &Host, shown: Shown) -> String {
    format!(
        "{host} is new here: from now on it is known by its certificate\n  {}\n  \
         compare that with the box's ready line, or `fieldcam ctl status` on the box",
        shown.fingerprint
    )
}

fn refused(host: &Host, shown: Shown, doubt: Doubt) -> Error {
    let now = shown.fingerprint;
    let accept = format!("give this once: --host {host} --fingerprint {now}");
    let (reason, what, next) = match doubt {
        Doubt::NotGiven => (
            "certificate_unknown",
            format!("The certificate of {host} is not the one given: it shows {now}"),
            "compare it with the box's ready line, or `fieldcam ctl status` on the box".to_owned(),
        ),
        Doubt::Changed(before) => (
            "certificate_changed",
            format!("The certificate of {host} has changed: it was {before} and is {now}"),
            format!(
                "somebody may be in between; if the box was given a new one (its ready line and `fieldcam ctl \
                 status` on the box show it), {accept}"
            ),
        ),
        Doubt::Expired => (
            "certificate_expired",
            format!("The certificate of {host} ended on {}", iso8601(shown.ends_us.unwrap_or_default())),
            format!(
                "put a new one on the box (server.tls_cert) and reload; to go on with this one, {accept}"
            ),
        ),
    };
    Error::new(ErrorKind::AuthFailed, what).with("reason", reason).with("suggestion", next)
}

fn unknown(host: &Host, shown: Shown, cause: &Error) -> Error {
    Error::new(
        ErrorKind::AuthFailed,
        format!("The certificate of {host} is unknown and cannot be remembered"),
    )
    .with("reason", "certificate_unknown")
    .with("details", cause.message())
    .with(
        "suggestion",
        format!("compare it with the box's ready line and pass it: --fingerprint {}", shown.fingerprint),
    )
}

fn no_tls(host: &Host, before: bool) -> Error {
    let next = if before {
        "it did before: somebody may be in between, or server.tls was switched off; --host http://… does without"
    } else {
        "set server.tls on the box, or use --host http://…"
    };
    Error::new(ErrorKind::AuthFailed, format!("{host} does not speak TLS"))
        .with("reason", "no_tls")
        .with("suggestion", next)
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Wire::Secure(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Wire::Secure(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Wire::Secure(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Wire::Secure(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_or_given_decides() {
        let [a, b] = [b"a", b"b"].map(|c| Fingerprint::of(c));
        let shown = Shown { fingerprint: a, ends_us: Some(10) };
        assert_eq!(judge(None, None, shown, 5), Ok(true), "the first time");
        assert_eq!(judge(None, Some(a), shown, 5), Ok(false));
        assert_eq!(judge(None, Some(b), shown, 5), Err(Doubt::Changed(b)));
        assert_eq!(judge(Some(b), Some(a), shown, 5), Err(Doubt::NotGiven));
        assert_eq!(judge(Some(a), Some(b), shown, 5), Ok(true), "a new one that was given");
        assert_eq!(judge(Some(a), Some(a), shown, 5), Ok(false));
        assert_eq!(judge(None, None, shown, 11), Err(Doubt::Expired));
        assert_eq!(judge(None, Some(a), shown, 11), Err(Doubt::Expired));
        assert_eq!(judge(Some(a), Some(a), shown, 11), Ok(false));
        assert_eq!(judge(None, None, Shown { ends_us: None, ..shown }, i64::MAX), Ok(true));
    }
}

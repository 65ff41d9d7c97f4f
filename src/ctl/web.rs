//! One HTTP request to a box.

use std::fs::File;
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::handshake;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::dial::{Trust, dial};
use super::failure;
use super::host::Host;
use super::link::Link;
use super::progress::Progress;
use crate::base::{Error, ErrorKind, Result};
use crate::supervise::beside;

/// How long the box may take for its answer's head, or say nothing within a body.
pub const SILENCE_LIMIT: Duration = Duration::from_secs(20);

/// `GET path`, whose answer's head may take as long as `patience`; `take` gets the answer while its connection is
/// served beside it.
pub async fn get<T>(
    host: &Host,
    path: &str,
    headers: &[(HeaderName, HeaderValue)],
    patience: Duration,
    take: impl AsyncFnOnce(Response<Incoming>) -> Result<T>,
) -> Result<T> {
    let broken = |e: hyper::Error| failure::cut_off(host, &e.to_string());
    let stream = dial(host, Trust::Pinned).await?.wire;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let mut request = Request::get(path).header(HOST, host.authority());
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(Error::internal)?;
    beside(connection, async {
        let answer = timeout(patience, sender.send_request(request)).await;
        let answer = answer.map_err(|_| failure::cut_off(host, "no answer"))?.map_err(broken)?;
        take(answer).await
    })
    .await
}

/// `PUT path` with a file of `size` bytes, by the log-in of `link`. Answers with what the box says of it.
pub async fn put(
    link: &Link,
    path: &str,
    file: File,
    size: u64,
    progress: &mut Progress,
) -> Result<serde_json::Value> {
    let host = link.host();
    let broken = |e: hyper::Error| failure::cut_off(host, &e.to_string());
    let stream = dial(host, Trust::Pinned).await?.wire;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let (told, mut sent) = tokio::sync::watch::channel(0);
    let request = Request::put(path)
        .header(HOST, host.authority())
        .header(AUTHORIZATION, bearer(link)?)
        .header(CONTENT_TYPE, "application/octet-stream")
        .body(Sending { file, left: size, sent: 0, told })
        .map_err(Error::internal)?;
    // The connection ends early when the box refuses what it does not want to hear to its end.
    beside(connection, async {
        let asked = sender.send_request(request);
        tokio::pin!(asked);
        let answer = loop {
            tokio::select! {
                answer = &mut asked => break answer.map_err(broken)?,
                Ok(()) = sent.changed() => progress.set(*sent.borrow_and_update(), ""),
            }
        };
        let status = answer.status().as_u16();
        let said = said(host, answer).await?;
        if (200..300).contains(&status) { Ok(said) } else { Err(refused(host, status, &said)) }
    })
    .await
}

/// The log-in of `link`, as a request carries it.
pub fn bearer(link: &Link) -> Result<HeaderValue> {
    let token = link.token().map(|token| format!("Bearer {}", token.expose())).unwrap_or_default();
    HeaderValue::from_str(&token).map_err(Error::internal)
}

/// What an answer says as JSON; null when it says something else.
pub async fn said(host: &Host, answer: Response<Incoming>) -> Result<serde_json::Value> {
    let body = timeout(SILENCE_LIMIT, answer.into_body().collect()).await;
    let body = body.map_err(|_| failure::cut_off(host, "no answer"))?;
    let body = body.map_err(|e| failure::cut_off(host, &e.to_string()))?.to_bytes();
    Ok(serde_json::from_slice(&body).unwrap_or_default())
}

/// A refusal in the box's own words, where it has some.
pub fn refused(host: &Host, status: u16, said: &serde_json::Value) -> Error {
    match said["error"].as_str() {
        Some(text) => Error::new(ErrorKind::InvalidState, text)
            .with("suggestion", said["hint"].as_str().unwrap_or("try again")),
        None => failure::http_status(host, status),
    }
}

/// A file on its way out, in pieces.
struct Sending {
    file: File,
    left: u64,
    sent: u64,
    told: tokio::sync::watch::Sender<u64>,
}

impl Body for Sending {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        // A laptop's own disk: nobody else waits for this thread.
        let mut piece = vec![0; self.left.min(256 << 10) as usize];
        match self.file.read(&mut piece) {
            Ok(0) => Poll::Ready(Some(Err(io::Error::other("the file has become shorter")))),
            Ok(n) => {
                piece.truncate(n);
                self.left -= n as u64;
                self.sent += n as u64;
                let sent = self.sent;
                self.told.send_replace(sent);
                Poll::Ready(Some(Ok(Frame::data(piece.into()))))
            }
            Err(e) => Poll::Ready(Some(Err(e))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

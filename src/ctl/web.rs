//! One HTTP request to a box.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1::handshake;
use hyper::header::{HOST, HeaderName, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::dial::{Trust, dial};
use super::failure;
use super::host::Host;
use crate::base::{Error, Result};

/// How long the box may take for its answer's head, or say nothing within a body.
pub const SILENCE_LIMIT: Duration = Duration::from_secs(20);

/// `GET path`; `take` gets the answer while its connection is served beside it.
pub async fn get<T>(
    host: &Host,
    path: &str,
    headers: &[(HeaderName, HeaderValue)],
    take: impl AsyncFnOnce(Response<Incoming>) -> Result<T>,
) -> Result<T> {
    let broken = |e: hyper::Error| failure::cut_off(host, &e.to_string());
    let stream = dial(host, Trust::Pinned).await?.wire;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let mut request = Request::get(path).header(HOST, host.to_string());
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(Error::internal)?;
    let work = async {
        let answer = timeout(SILENCE_LIMIT, sender.send_request(request)).await;
        let answer = answer.map_err(|_| failure::cut_off(host, "no answer"))?.map_err(broken)?;
        take(answer).await
    };
    // The connection may end while the last bytes still wait to be taken: only the work decides.
    let serve = async {
        let _ = connection.await;
        std::future::pending().await
    };
    tokio::select! {
        done = work => done,
        never = serve => never,
    }
}

//! Requests to MediaMTX's HLS and WebRTC listeners. Nothing of a client's request is copied here:
//! each one is made anew from what was judged.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue};
use hyper::http::request::Builder;
use hyper::rt::Executor;
use hyper::{Method, Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioTimer;

use crate::base::{Error, Result, Secret};
use crate::supervise::Group;

/// How long MediaMTX may take until it begins to answer. A path's first reader waits for the
/// publisher (10 s at most) and HLS's first playlist for its first segment besides.
const HEAD: Duration = Duration::from_secs(30);
/// Longer than any pause within a viewing session; shorter than MediaMTX's own limit.
const IDLE: Duration = Duration::from_secs(20);
/// Connections kept for the next request, to each listener.
const KEPT: usize = 8;
/// MediaMTX's errors are a line of JSON.
const MAX_ERROR: usize = 4 << 10;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The two listeners.
pub(super) struct Upstream {
    client: Client<HttpConnector, Full<Bytes>>,
    pub hls: SocketAddr,
    pub webrtc: SocketAddr,
}

impl Upstream {
    pub(super) fn new(hls: SocketAddr, webrtc: SocketAddr, group: &Group) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(InGroup(group.clone()))
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(KEPT)
            .build(connector);
        Self { client, hls: reach(hls), webrtc: reach(webrtc) }
    }

    /// A request in the name of a viewer at `remote`.
    pub(super) fn request(
        method: Method,
        listener: SocketAddr,
        target: &str,
        remote: IpAddr,
        credential: &(String, Secret),
    ) -> Builder {
        let (user, password) = credential;
        let login = STANDARD.encode(format!("{user}:{}", password.expose()));
        Request::builder()
            .method(method)
            .uri(format!("http://{listener}{target}"))
            .header(HOST, listener.to_string())
            .header(FORWARDED_FOR, remote.to_canonical().to_string())
            .header(AUTHORIZATION, sensitive(&format!("Basic {login}")))
    }

    /// Sends a request; answers when MediaMTX begins to. Dropped before that, it is taken back.
    pub(super) async fn send(&self, request: Builder, body: Bytes) -> Result<Response<Incoming>> {
        let request = request.body(Full::new(body)).map_err(Error::internal)?;
        match tokio::time::timeout(HEAD, self.client.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(e)) => Err(away().caused_by(e)),
            Err(_) => Err(away().caused_by(format!("no answer within {HEAD:?}"))),
        }
    }
}

/// MediaMTX's words about why not.
pub(super) async fn words(response: Response<Incoming>) -> String {
    let body = Limited::new(response.into_body(), MAX_ERROR).collect().await;
    let bytes = body.map(|b| b.to_bytes()).unwrap_or_default();
    let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
    json["error"].as_str().unwrap_or_default().to_owned()
}

/// The media server is not there.
pub(super) fn away() -> Error {
    Error::dependency("mediamtx", "the media server does not answer; it is started again by itself")
        .with("suggestion", "try again in a second; get_status tells how the media server is")
}

/// A header that no debug output shows.
pub(super) fn sensitive(text: &str) -> HeaderValue {
    let mut value = HeaderValue::from_str(text).expect("made of base64 and hexadecimal");
    value.set_sensitive(true);
    value
}

/// The address to reach a listener of this machine at.
fn reach(listen: SocketAddr) -> SocketAddr {
    let mut at = listen;
    if at.ip().is_unspecified() {
        at.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    at
}

/// The client's connections are tasks of the phase.
#[derive(Clone)]
struct InGroup(Group);

impl<F> Executor<F> for InGroup
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        let stop = self.0.stop().clone();
        self.0.spawn("live connection", async move {
            stop.run_until_cancelled(task).await;
        });
    }
}
